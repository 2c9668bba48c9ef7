"""Steps in several sandboxes on this machine."""

from __future__ import annotations

import queue

from repgeo.errors import StorageError
from repgeo.study.engine import Vacancy
from repgeo.study.outcome import Outcome
from repgeo.study.sandbox import Sandbox, Setting
from repgeo.study.steps import Step

__all__ = ["LocalEngine"]

_WAIT = 0.1  # seconds between looks at the signals


class LocalEngine:
    """Runs steps in `jobs` sandboxes; each prefers the model that it has loaded.

    Parameters
    ----------
    setting
        Where the study is, and the limits of a step.
    jobs
        How many processes.
    """

    elsewhere = True

    def __init__(self, setting: Setting, jobs: int) -> None:
        self._ended: queue.SimpleQueue[tuple[Sandbox, Step, Outcome | StorageError]] = (
            queue.SimpleQueue()
        )
        self._idle = [Sandbox(setting, self._deliver) for _ in range(jobs)]
        self._busy: list[Sandbox] = []

    def _deliver(self, sandbox: Sandbox, step: Step, outcome: Outcome | StorageError) -> None:
        self._ended.put((sandbox, step, outcome))

    def vacancy(self) -> Vacancy | None:
        """The next idle sandbox's wish."""
        return Vacancy(self._idle[-1].home) if self._idle else None

    def submit(self, step: Step) -> None:
        """Run a step in the sandbox that was offered."""
        sandbox = self._idle.pop()
        self._busy.append(sandbox)
        sandbox.submit(step)

    def finished(self) -> list[tuple[Step, Outcome]]:
        """What ended; waits a moment where nothing has.

        Raises
        ------
        StorageError
            If a process could not write to the study folder.
        """
        found: list[tuple[Step, Outcome]] = []
        wait = True
        while True:
            try:
                sandbox, step, outcome = self._ended.get(block=wait, timeout=_WAIT)
            except queue.Empty:
                break
            wait = False
            self._busy.remove(sandbox)
            self._idle.append(sandbox)
            if isinstance(outcome, StorageError):
                raise outcome
            found.append((step, outcome))
        if not found:
            for sandbox in list(self._busy):
                sandbox.look_after()
        return found

    def close(self, *, abandon: bool) -> None:
        """Stop all processes and what they started."""
        for sandbox in [*self._busy, *self._idle]:
            sandbox.close()
