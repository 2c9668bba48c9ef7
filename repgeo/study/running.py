"""Running a study: plan, lock, resume, drive an engine, record, and make the table."""

from __future__ import annotations

import dataclasses
import gc
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from repgeo.errors import ConfigurationError, Interrupted
from repgeo.study.agenda import Agenda
from repgeo.study.engine import Engine, InProcessEngine
from repgeo.study.ledger import Ledger
from repgeo.study.lock import locked
from repgeo.study.machine import machine_kind, versions
from repgeo.study.outcome import Outcome
from repgeo.study.plan import Plan, Selection
from repgeo.study.planning import make_plan
from repgeo.study.sandbox import Limits, Setting
from repgeo.study.steps import Step
from repgeo.study.table import make_table, write_table
from repgeo.study.taskfile import TaskFile, parse_task, read_task
from repgeo.study.threads import one_thread
from repgeo.study.workspace import Abandoned

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Listener", "Result", "RunOptions", "run", "run_task"]


@dataclass(frozen=True)
class RunOptions:
    """How a study is run; none of it changes a number.

    Attributes
    ----------
    out
        The study folder; `runs/<task>` by default.
    weights
        A store of trained weights to share between studies; in the study folder by default.
    jobs
        Processes on this machine; 1 runs in this process.
    scheduler
        Address of a Dask scheduler ("tcp://..."), instead of `jobs`.
    timeout
        Seconds after which a step is stopped.
    memory_gb
        Gibibytes of memory that a step may take (its process's address space may grow by).
    models, probes
        Patterns such as `mlp*` of what is run; () is all.
    seeds
        Task seeds in place of the task's.
    overrides
        `section.name.key=value`.
    retry_failed
        Run again what did not end well.
    force
        Run again what is chosen, finished or not.
    parquet
        Write `table.parquet` too.
    shuffle
        Run the steps in a random order by this seed: the table must not change.
    """

    out: str | Path | None = None
    weights: str | Path | None = None
    jobs: int = 1
    scheduler: str | None = None
    timeout: float | None = None
    memory_gb: float | None = None
    models: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    seeds: tuple[int, ...] | None = None
    overrides: tuple[str, ...] = ()
    retry_failed: bool = False
    force: bool = False
    parquet: bool = False
    shuffle: int | None = None

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ConfigurationError(f"jobs must be at least 1, got {self.jobs}.")
        if self.timeout is not None and not self.timeout > 0:
            raise ConfigurationError(f"timeout must be positive seconds, got {self.timeout}.")
        if self.memory_gb is not None and not self.memory_gb > 0:
            raise ConfigurationError(f"memory must be positive gibibytes, got {self.memory_gb}.")
        if self.scheduler is not None and self.jobs != 1:
            raise ConfigurationError("Give either jobs or scheduler: a cluster has its own size.")


class Listener(Protocol):
    """Is told how a run goes on (the command line shows it; by default nobody listens)."""

    def planned(self, plan: Plan, waiting: int, finished: int) -> None:
        """Before the first step."""

    def ended(self, step: Step, outcome: Outcome) -> None:
        """After each step that ran."""

    def blocked(self, step: Step) -> None:
        """For each step that became impossible."""

    def progress(self, fraction: float) -> None:
        """Within a long step of this process."""

    def stopping(self) -> None:
        """After the first signal."""


class _Silent:
    def planned(self, plan: Plan, waiting: int, finished: int) -> None: ...
    def ended(self, step: Step, outcome: Outcome) -> None: ...
    def blocked(self, step: Step) -> None: ...
    def progress(self, fraction: float) -> None: ...
    def stopping(self) -> None: ...


@dataclass(frozen=True)
class Result:
    """A study that was run: where it lies, its plan, its table."""

    folder: Path
    plan: Plan
    frame: pd.DataFrame
    ran: int


def run(
    task: str | Path | Mapping[str, Any],
    *,
    out: str | Path | None = None,
    jobs: int = 1,
    seeds: Sequence[int] | None = None,
    options: RunOptions | None = None,
) -> pd.DataFrame:
    """Run a study and give its table; what was finished before is not computed again.

    Parameters
    ----------
    task
        A path, the name of a task that comes with repgeo, or the contents of a task file.
    out, jobs, seeds
        As in `RunOptions`.
    options
        The other options.

    Returns
    -------
    DataFrame
        The table; cells that failed are rows with their `status` and `error`.

    Raises
    ------
    ConfigurationError
        For any fault in the task, before anything is computed.
    Interrupted
        After Ctrl-C or SIGTERM; the same call resumes.
    """
    chosen = options or RunOptions()
    given: dict[str, Any] = {}
    if out is not None:
        given["out"] = out
    if jobs != 1:
        given["jobs"] = jobs
    if seeds is not None:
        given["seeds"] = tuple(seeds)
    return run_task(task, dataclasses.replace(chosen, **given)).frame


def open_task(task: str | Path | Mapping[str, Any], options: RunOptions) -> TaskFile:
    """The task file of a path, a name or a table, with the options' overrides."""
    if isinstance(task, Mapping):
        return parse_task(task, name="task", folder=Path.cwd(), overrides=options.overrides)
    return read_task(task, options.overrides)


def study_folder(file: TaskFile, options: RunOptions) -> Path:
    """Where the study of a task lies."""
    return Path(options.out) if options.out is not None else Path("runs") / file.name


def run_task(
    task: str | Path | Mapping[str, Any],
    options: RunOptions,
    listener: Listener | None = None,
) -> Result:
    """Run a study (see `run`), telling a listener how it goes on."""
    listener = listener or _Silent()
    file = open_task(task, options)
    folder = study_folder(file, options)
    if options.jobs > 1:
        from repgeo.study.launch import warm_up

        warm_up(training=any(model.train is not None for model in file.task.models))
    with one_thread():
        with _no_collection():
            plan = make_plan(file, options.seeds)
        selected = Selection(options.models, options.probes).keep(plan)
        ledger = Ledger(folder, Path(options.weights) if options.weights is not None else None)
        with locked(folder):
            ledger.open(plan.task)
            ledger.write_study(_describe(file, plan, ledger))
            driver = _Driver(plan, ledger, options, listener)
            ran = driver.run(selected)
            frame = make_table(plan, driver.outcomes)
            write_table(frame, folder, parquet=options.parquet)
    if driver.interrupted:
        raise Interrupted(
            f"Stopped; {ran} steps were finished in this run. The same command goes on from there."
        )
    return Result(folder, plan, frame, ran)


def _describe(file: TaskFile, plan: Plan, ledger: Ledger) -> dict[str, Any]:
    source = Path(file.source)
    return {
        "task": file.name,
        "title": plan.title,
        # An absolute path means nothing elsewhere.
        "command": f"repgeo run {source.name if source.is_absolute() else source}",
        "places": {"task": str(file.folder), "weights": str(ledger.weights.resolve())},
        "contents": file.task.model_dump(mode="json"),
        "seeds": list(plan.seeds),
        "versions": versions(),
        "machine": machine_kind(),
    }


@contextmanager
def _no_collection() -> Iterator[None]:
    """No search for cyclic garbage while a hundred thousand objects are made that all stay."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@dataclass
class _Driver:
    """Hands steps to an engine and records what comes back."""

    plan: Plan
    ledger: Ledger
    options: RunOptions
    listener: Listener
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    interrupted: bool = False
    _signals: int = 0
    _protect: bool = False

    def run(self, selected: Sequence[Step]) -> int:
        """Run the selected steps that are not finished; how many were."""
        marked = self.ledger.marked()
        with _no_collection():
            for step in self.plan.steps:
                outcome = self.ledger.outcome(step)
                if outcome is None and step.id == marked:
                    outcome = self._record_crash(step)
                if outcome is not None:
                    self.outcomes[step.id] = outcome
        self.ledger.unmark()
        if self.options.force or self.options.retry_failed:
            again = [step for step in selected if step.id in self.outcomes]
            if not self.options.force:
                again = [step for step in again if not self.outcomes[step.id].ok]
            # What took a process down before shall not take this one down.
            self._protect = any(self.outcomes[step.id].status == "crashed" for step in again)
            self.ledger.forget(again)
            for step in again:
                del self.outcomes[step.id]
        waiting = self._unfinished(selected)
        if self.options.shuffle is not None:
            random.Random(self.options.shuffle).shuffle(waiting)
        self.listener.planned(self.plan, len(waiting), len(selected) - len(waiting))
        agenda = Agenda(waiting, {name: o.status for name, o in self.outcomes.items()})
        for step in agenda.take_blocked():
            self.listener.blocked(step)
        if not len(agenda):
            return 0
        with self._signals_noted():
            return self._drive(agenda)

    def _unfinished(self, selected: Sequence[Step]) -> list[Step]:
        """The selected steps without an outcome, less preparations that no open cell needs."""
        waiting = [step for step in selected if step.id not in self.outcomes]
        needed = {step.id for step in waiting if step.kind == "measure"}
        for step in reversed(waiting):
            if step.id in needed:
                needed.update(step.needs)
        return [step for step in waiting if step.id in needed]

    def _record_crash(self, step: Step) -> Outcome:
        outcome = Outcome(
            step.id,
            "crashed",
            error_type="ProcessDied",
            error=f"{step.title}: the process ended while this step ran in it (killed, out of "
            "memory, or a fault in native code). --retry-failed runs it in a process of its own.",
        )
        self.ledger.record(step, outcome)
        return outcome

    def _drive(self, agenda: Agenda) -> int:
        engine = make_engine(
            self.ledger, self.options, self.listener.progress, protect=self._protect
        )
        ran, abandon = 0, True
        try:
            while len(agenda) and not self._signals:
                self._hand_out(engine, agenda)
                ran += self._collect(engine, agenda)
            abandon = bool(self._signals)
        except Abandoned:
            pass
        finally:
            self.interrupted = bool(self._signals)
            engine.close(abandon=abandon)
        return ran

    def _hand_out(self, engine: Engine, agenda: Agenda) -> None:
        while (vacancy := engine.vacancy()) is not None:
            step = agenda.next(vacancy.home)
            if step is None:
                break
            engine.submit(step)

    def _collect(self, engine: Engine, agenda: Agenda) -> int:
        ended = engine.finished()
        for step, outcome in ended:
            agenda.done(step, outcome.ok)
        if engine.elsewhere and not self._signals:
            self._hand_out(engine, agenda)  # other processes need not wait for our files
        for step, outcome in ended:
            self.ledger.record(step, outcome)
            self.outcomes[step.id] = outcome
            self.listener.ended(step, outcome)
            for dependent in agenda.take_blocked():
                self.listener.blocked(dependent)
        return len(ended)

    @contextmanager
    def _signals_noted(self) -> Iterator[None]:
        """The first signal asks to stop after what runs, the second leaves it, the third exits."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(_number: int, _frame: FrameType | None) -> None:
            self._signals += 1
            if self._signals == 1:
                self.listener.stopping()
            elif self._signals == 2:
                raise Abandoned
            else:
                os._exit(3)

        numbers = (signal.SIGINT, signal.SIGTERM)
        before: dict[signal.Signals, Any] = {n: signal.signal(n, note) for n in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def make_engine(
    ledger: Ledger, options: RunOptions, progress: Callable[[float], None], *, protect: bool
) -> Engine:
    """The engine that the options ask for; `protect`: never in this process."""
    limits = Limits(options.timeout, _bytes(options.memory_gb))
    setting = Setting(ledger.folder.resolve(), ledger.weights.resolve(), limits)
    if options.scheduler is not None:
        from repgeo.study.cluster_engine import ClusterEngine

        return ClusterEngine(setting, options.scheduler)
    if options.jobs > 1 or options.timeout is not None or options.memory_gb is not None or protect:
        from repgeo.study.local_engine import LocalEngine

        return LocalEngine(setting, options.jobs)
    return InProcessEngine(ledger, progress)


def _bytes(gigabytes: float | None) -> int | None:
    return None if gigabytes is None else int(gigabytes * 2**30)


def dry_run(task: str | Path | Mapping[str, Any], options: RunOptions) -> Iterator[str]:
    """Lines that say what a run would do; the task is checked, nothing is computed."""
    file = open_task(task, options)
    plan = make_plan(file, options.seeds)
    selected = Selection(options.models, options.probes).keep(plan)
    folder = study_folder(file, options)
    ledger = Ledger(folder, Path(options.weights) if options.weights is not None else None)
    recorded = {step.id: ledger.outcome(step) for step in selected}
    spent = [o.cost.duration_s for o in recorded.values() if o is not None]
    yield f"{plan.task}: {len(selected)} steps, {len(spent)} finished in {str(folder)!r}"
    for kind in ("train", "prepare", "measure"):
        steps = [step for step in selected if step.kind == kind]
        missing = [step for step in steps if recorded[step.id] is None]
        yield f"  {kind:<8} {len(steps)} steps, {len(missing)} to run"
        for step in missing:
            yield f"    {step.id}  {step.title}"
    if spent:
        yield f"  the finished steps took {sum(spent):.1f} s"
