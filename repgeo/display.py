"""How a run is shown: one live bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from repgeo.study.outcome import Outcome
from repgeo.study.plan import Plan
from repgeo.study.steps import Step

__all__ = ["Display"]

_EVERY = 10.0  # seconds between lines of a log


class Display:
    """Shows progress and failures on standard error, as they happen."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[last]}"),
            console=self._console,
            disable=not self._live,
        )
        self._task = self._bar.add_task("", total=None, last="")
        self._name = ""
        self._total = self._done = self._failed = 0
        self._said = 0.0
        self._warned: dict[str, list[str]] = {}  # category -> one line per step

    def __enter__(self) -> Display:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
        for category, lines in self._warned.items():
            more = f" (and {len(lines) - 1} more steps; see cells/*.json)" if lines[1:] else ""
            self._line(f"{category}: {lines[0]}{more}", style="yellow")

    def planned(self, plan: Plan, waiting: int, finished: int) -> None:
        """Say how much there is to do."""
        self._name, self._total, self._done = plan.task, waiting, 0
        self._bar.update(self._task, description=plan.task, total=waiting, completed=0)
        done = f", {finished} finished before" if finished else ""
        self._line(f"{plan.task}: {waiting} steps to run{done}")
        self._said = time.monotonic()

    def ended(self, step: Step, outcome: Outcome) -> None:
        """Count a step, and show it where it failed."""
        self._done += 1
        self._bar.update(self._task, completed=self._done, last=step.title)
        for text in outcome.warnings:
            category, _, message = text.partition(": ")
            self._warned.setdefault(category, []).append(f"{step.title}: {message}")
        if not outcome.ok and outcome.status != "unsupported":
            self._failed += 1
            self._line(f"{outcome.status}: {outcome.error_type}: {outcome.error}", style="red")
        elif not self._live and time.monotonic() - self._said > _EVERY:
            self._said = time.monotonic()
            self._line(f"{self._name}: {self._done} of {self._total} steps ({step.title})")

    def blocked(self, step: Step) -> None:
        """Count a step that became impossible."""
        self._total -= 1
        self._bar.update(self._task, total=self._total)

    def progress(self, fraction: float) -> None:
        """Show how far a long step is."""
        self._bar.update(self._task, last=f"{fraction:.0%} of the present step")

    def stopping(self) -> None:
        """Say that a signal was heard."""
        self._line(
            "stopping after what runs now; once more leaves it, the third time exits at once"
        )

    def _line(self, text: str, style: str | None = None) -> None:
        if self._live:
            self._bar.console.print(text, style=style, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)
