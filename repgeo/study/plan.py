"""A plan: all steps of a study, and which of them are chosen to run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from repgeo.errors import ConfigurationError, nearest
from repgeo.study.steps import ModelSpec, Step
from repgeo.study.taskfile import Expected

__all__ = ["Plan", "Selection"]


@dataclass(frozen=True)
class Plan:
    """All steps of a study, in the order of the table.

    Attributes
    ----------
    task
        The task's name.
    title
        What it calls itself.
    steps
        Train and prepare steps before the cells that need them.
    expected
        The numbers to compare with.
    seeds
        The task seeds.
    notes
        What the task says that a reader of its table has to know.
    """

    task: str
    title: str
    steps: tuple[Step, ...]
    expected: tuple[Expected, ...]
    seeds: tuple[int, ...]
    notes: tuple[str, ...] = ()

    @property
    def cells(self) -> list[Step]:
        """The measure steps."""
        return [step for step in self.steps if step.kind == "measure"]


@dataclass(frozen=True)
class Selection:
    """Which models, probes and seeds of a task are run (patterns such as `mlp*`; () is all)."""

    models: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    seeds: tuple[int, ...] | None = None

    def keep(self, plan: Plan) -> list[Step]:
        """The chosen cells and the steps they need.

        Raises
        ------
        ConfigurationError
            If a pattern matches nothing.
        """
        cells = plan.cells
        labels = {model.label for cell in cells for model in cell.models}
        entries = {model.entry for cell in cells for model in cell.models}
        probes = {cell.probe.name for cell in cells if cell.probe is not None}
        for pattern in self.models:
            _require_match(pattern, labels | entries, "model")
        for pattern in self.probes:
            _require_match(pattern, probes, "probe")
        chosen = [cell for cell in cells if self._wants(cell)]
        needed = {name for cell in chosen for name in (cell.id, *cell.needs)}
        for step in reversed(plan.steps):  # what is needed stands before what needs it
            if step.id in needed:
                needed.update(step.needs)
        return [step for step in plan.steps if step.id in needed]

    def _wants(self, cell: Step) -> bool:
        def named(model: ModelSpec) -> bool:
            return any(
                fnmatchcase(name, _glob(pattern))
                for pattern in self.models
                for name in (model.label, model.entry)
            )

        if self.models and not all(named(model) for model in cell.models):
            return False
        name = cell.probe.name if cell.probe is not None else ""
        return not self.probes or any(fnmatchcase(name, pattern) for pattern in self.probes)


def _glob(pattern: str) -> str:
    # Labels of grids hold brackets, mlp[activation=relu]: only * and ? are special here.
    return pattern.replace("[", "[[]")


def _require_match(pattern: str, names: Iterable[str], kind: str) -> None:
    names = list(names)
    if not any(fnmatchcase(name, _glob(pattern)) for name in names):
        raise ConfigurationError(f"No {kind} matches {pattern!r}. {nearest(pattern, names)}")
