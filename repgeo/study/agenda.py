"""Which step comes next: what is ready, steps of one model together."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence

from repgeo.study.steps import Step

__all__ = ["Agenda"]


class Agenda:
    """The steps still to be run, by their dependencies.

    Parameters
    ----------
    steps
        What is to be run, in any order.
    finished
        Status of each step that was finished before: "ok" lets others go on.
    """

    def __init__(self, steps: Sequence[Step], finished: Mapping[str, str]) -> None:
        self._steps = {step.id: step for step in steps}
        self._waiting: dict[str, set[str]] = {}
        self._dependents: dict[str, list[str]] = {}
        self._ready: OrderedDict[str, deque[str]] = OrderedDict()  # home -> steps
        self._at_work: Counter[str] = Counter()
        self._begun: set[str] = set()
        self._blocked: list[Step] = []
        dead = {name for name, status in finished.items() if status != "ok"}
        for step in steps:
            open_needs = {n for n in step.needs if n in self._steps or n in dead}
            self._waiting[step.id] = open_needs
            for need in open_needs:
                self._dependents.setdefault(need, []).append(step.id)
            if not open_needs:
                self._make_ready(step)
        for name in dead:
            self._block(name)

    def _make_ready(self, step: Step) -> None:
        self._ready.setdefault(step.home, deque()).append(step.id)

    def __len__(self) -> int:
        """How many steps are neither ended nor blocked."""
        return len(self._waiting)

    def next(self, home: str | None = None) -> Step | None:
        """The next ready step: of the same model, else of one that nobody began, else any."""
        if home is None or not self._ready.get(home):
            homes = [name for name, queue in self._ready.items() if queue]
            if not homes:
                return None
            # A model that was begun is loaded elsewhere, even if its process is between two steps.
            home = min(homes, key=lambda name: (name in self._begun, self._at_work[name]))
        step = self._steps[self._ready[home].popleft()]
        if not self._ready[home]:
            del self._ready[home]
        self._begun.add(step.home)
        self._at_work[step.home] += 1
        return step

    def done(self, step: Step, ok: bool) -> None:
        """Note the end of a step that `next` gave."""
        self._at_work[step.home] -= 1
        del self._waiting[step.id]
        if not ok:
            self._block(step.id)
            return
        for name in self._dependents.get(step.id, ()):
            if name in self._waiting:
                self._waiting[name].discard(step.id)
                if not self._waiting[name]:
                    self._make_ready(self._steps[name])

    def _block(self, name: str) -> None:
        for dependent in self._dependents.get(name, ()):
            if dependent in self._waiting:
                del self._waiting[dependent]
                self._blocked.append(self._steps[dependent])
                self._block(dependent)

    def take_blocked(self) -> Iterable[Step]:
        """The steps that became impossible since the last call."""
        blocked, self._blocked = self._blocked, []
        return blocked
