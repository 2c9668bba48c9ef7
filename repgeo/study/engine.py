"""What runs steps: the contract of an engine, and the one that runs them in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from repgeo.study.ledger import Ledger
from repgeo.study.outcome import Outcome
from repgeo.study.steps import Step
from repgeo.study.workspace import Workspace

__all__ = ["Engine", "InProcessEngine", "Vacancy"]


@dataclass(frozen=True)
class Vacancy:
    """Room for one step, best one of the model `home`, which is loaded there (None: any)."""

    home: str | None = None


class Engine(Protocol):
    """Runs steps that the driver hands it, and hands back their outcomes.

    The driver alone decides what is ready, records outcomes and shows progress.

    Attributes
    ----------
    elsewhere
        Whether steps run in other processes, while `submit` returns at once.
    """

    elsewhere: bool

    def vacancy(self) -> Vacancy | None:
        """Room for one more step, or None."""

    def submit(self, step: Step) -> None:
        """Take a step."""

    def finished(self) -> list[tuple[Step, Outcome]]:
        """The steps that ended since the last call; waits a little where none has."""

    def close(self, *, abandon: bool) -> None:
        """Free all processes; with `abandon`, what still runs is stopped and forgotten."""


class InProcessEngine:
    """Runs each step in this process, when it is submitted.

    Exceptions are isolated; a step that takes the process down leaves a mark, which the next run
    turns into a `crashed` row.
    """

    elsewhere = False

    def __init__(self, ledger: Ledger, progress: Callable[[float], None]) -> None:
        self._ledger = ledger
        self._workspace = Workspace(ledger, progress=progress)
        self._ended: list[tuple[Step, Outcome]] = []
        self._home: str | None = None

    def vacancy(self) -> Vacancy | None:
        """Room for one step, best of the same model as the last."""
        return None if self._ended else Vacancy(self._home)

    def submit(self, step: Step) -> None:
        """Run the step."""
        self._ledger.mark(step.id)
        self._home = step.home
        self._ended.append((step, self._workspace.run(step)))

    def finished(self) -> list[tuple[Step, Outcome]]:
        """The step that was run."""
        ended, self._ended = self._ended, []
        return ended

    def close(self, *, abandon: bool) -> None:
        """Nothing is left behind."""
        self._ledger.unmark()
