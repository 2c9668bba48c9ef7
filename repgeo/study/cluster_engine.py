"""Steps on the user's own Dask cluster: Dask hands out names, sandboxes on the workers compute.

A step never runs in a Dask worker's own process. Dask blames a lost worker on whatever was queued
there and has no hard time limit; a sandbox takes the death of a step and nothing else.
"""

from __future__ import annotations

import atexit
import queue
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from repgeo.errors import ConfigurationError, MissingExtraError, StorageError
from repgeo.study.engine import Vacancy
from repgeo.study.launch import allow_children
from repgeo.study.machine import versions
from repgeo.study.outcome import Outcome
from repgeo.study.sandbox import Sandbox, Setting
from repgeo.study.steps import Step

__all__ = ["ClusterEngine"]

_LATENCY = 0.1  # seconds of steps handed to a worker ahead, to hide the way to it and back
_MOST_AHEAD = 64
_WAIT = 0.1
_ANSWER = 10  # seconds within which a scheduler answers
_LOOK = 2.0  # seconds between looks at which workers there are
_PATIENCE = 60.0  # seconds to wait for a first worker


# --------------------------------------------------------------------------- on a worker
class _Bench:
    """The sandbox of a worker for one study, and what comes back from it."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._answers: queue.SimpleQueue[Outcome | StorageError] = queue.SimpleQueue()
        self._sandbox = Sandbox(setting, lambda _sandbox, _step, end: self._answers.put(end))
        self._closed = threading.Event()

    def run(self, step: Step) -> Outcome | StorageError:
        self._sandbox.submit(step)
        while not self._closed.is_set():
            try:
                return self._answers.get(timeout=0.2)
            except queue.Empty:
                self._sandbox.look_after()
        raise RuntimeError("The study was stopped.")

    def close(self) -> None:
        self._closed.set()
        self._sandbox.close()


_benches: list[_Bench] = []  # none or one


def run_on_worker(setting: Setting, step: Step) -> Outcome | StorageError:
    """Run a step in this worker's sandbox, and wait for it."""
    if not _benches or _benches[0].setting != setting:
        close_on_worker()
        allow_children()
        _benches.append(_Bench(setting))
        atexit.register(close_on_worker)
    return _benches[0].run(step)


def close_on_worker() -> None:
    """Stop this worker's sandbox, and whoever waits for it."""
    while _benches:
        _benches.pop().close()


def see_from_worker(path: str, content: str) -> tuple[bool, dict[str, str]]:
    """Whether a file of the study folder is there, and the versions of this worker."""
    try:
        seen = Path(path).read_text(encoding="utf-8") == content
    except OSError:
        seen = False
    return seen, versions()


# --------------------------------------------------------------------------- in the driver
class ClusterEngine:
    """Hands steps to the workers of a Dask scheduler, each with a sandbox of its own.

    Parameters
    ----------
    setting
        Where the study is (the same path on all machines), and the limits of a step.
    scheduler
        The scheduler's address, such as "tcp://127.0.0.1:8786".

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    ConfigurationError
        If the scheduler does not answer, has no workers, or a worker does not see the study folder
        or has other versions.
    """

    elsewhere = True

    def __init__(self, setting: Setting, scheduler: str) -> None:
        try:
            from distributed import Client
        except ModuleNotFoundError:
            raise MissingExtraError("distributed", "cluster", "--scheduler") from None
        self._setting = setting
        try:
            self._client = Client(scheduler, timeout=_ANSWER, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"No Dask scheduler answers at {scheduler!r}: {' '.join(str(error).split())}. "
                "Start one with `dask scheduler`, or use -j for this machine."
            ) from None
        self._run = secrets.token_hex(4)  # the same key again would give an old result
        self._ended: queue.SimpleQueue[tuple[Step, Any]] = queue.SimpleQueue()
        self._load: dict[str, int] = {}  # worker -> steps handed to it
        self._homes: dict[str, str] = {}  # worker -> the model of its last step
        self._open: dict[str, tuple[str, Any]] = {}  # step -> worker, future
        self._looked = 0.0
        self._pace = _LATENCY  # seconds that a step takes, a running mean
        self._closing = threading.Event()
        try:
            self._await_workers(scheduler)
            self._check_workers()
        except BaseException:
            self._client.close()
            raise

    def _await_workers(self, scheduler: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not self._look():
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"The scheduler at {scheduler!r} has no workers after {_PATIENCE:g} s. "
                    f"Start some with: dask worker {scheduler} --nthreads 1 --memory-limit 0"
                )
            time.sleep(0.2)

    def _look(self) -> bool:
        """Note which workers there are; whether there are any."""
        self._looked = time.monotonic()
        present = self._client.scheduler_info(n_workers=-1)["workers"]
        for worker in set(self._load) - set(present):
            del self._load[worker]
        for worker in present:
            self._load.setdefault(worker, 0)
        return bool(self._load)

    def _check_workers(self) -> None:
        folder = self._setting.folder
        content = secrets.token_hex(8)
        probe = folder / f".seen-{self._run}"
        probe.write_text(content, encoding="utf-8")
        try:
            answers = self._client.run(see_from_worker, str(probe), content)
        finally:
            probe.unlink(missing_ok=True)
        own = versions()
        for worker, (seen, theirs) in answers.items():
            if not seen:
                raise ConfigurationError(
                    f"The worker {worker} does not see the study folder {str(folder)!r}. "
                    "Put it (--out) on a file system that all machines share under one path."
                )
            other = [f"{name} {theirs.get(name)}" for name in own if theirs.get(name) != own[name]]
            if other:
                raise ConfigurationError(
                    f"The worker {worker} has {', '.join(other)}; here it is "
                    f"{', '.join(f'{n} {own[n]}' for n in own if theirs.get(n) != own[n])}. "
                    "Start the workers from the same environment."
                )

    def vacancy(self) -> Vacancy | None:
        """Room at the least busy worker."""
        if time.monotonic() - self._looked > _LOOK:
            self._look()
        worker = self._least_busy()
        return None if worker is None else Vacancy(self._homes.get(worker))

    def _least_busy(self) -> str | None:
        # One more than runs where steps are long, so that the last ones are shared evenly; many
        # where they are short.
        ahead = 2 + min(_MOST_AHEAD, int(_LATENCY / max(self._pace, 1e-4)))
        free = [worker for worker, load in self._load.items() if load < ahead]
        return min(free, key=self._load.__getitem__) if free else None

    def submit(self, step: Step) -> None:
        """Hand a step to the worker that was offered; another takes it if that one is lost."""
        worker = self._least_busy()
        if worker is None:
            raise RuntimeError("No worker has room.")
        self._load[worker] += 1
        self._homes[worker] = step.home
        future = self._client.submit(
            run_on_worker,
            self._setting,
            step,
            key=("repgeo", self._run, step.id),
            workers=[worker],
            allow_other_workers=True,
            pure=False,
            retries=0,
        )
        self._open[step.id] = worker, future
        future.add_done_callback(lambda done: self._take(step, done))

    def _take(self, step: Step, future: Any) -> None:
        if not self._closing.is_set():
            self._ended.put((step, future))

    def finished(self) -> list[tuple[Step, Outcome]]:
        """What ended; waits a moment where nothing has.

        Raises
        ------
        StorageError
            If a worker could not write to the study folder.
        """
        ended = self._drain()
        whole = [future for _, future in ended if future.status == "finished"]
        # One call for all of them: each is a way to the scheduler and to a worker and back.
        results = dict(zip((f.key for f in whole), self._client.gather(whole), strict=True))
        found = []
        for step, future in ended:
            worker, _ = self._open.pop(step.id)
            if worker in self._load:
                self._load[worker] -= 1
            outcome = _outcome(step, future, results.get(future.key))
            self._pace += 0.2 * (outcome.cost.duration_s - self._pace)
            found.append((step, outcome))
        return found

    def _drain(self) -> list[tuple[Step, Any]]:
        """The futures that ended; waits a moment for a first one."""
        ended: list[tuple[Step, Any]] = []
        with suppress(queue.Empty):
            ended.append(self._ended.get(timeout=_WAIT))
            while True:
                ended.append(self._ended.get_nowait())
        return ended

    def close(self, *, abandon: bool) -> None:
        """Leave the cluster as it was: nothing of ours queued, no sandbox left."""
        self._closing.set()
        with suppress(OSError, TimeoutError):
            if abandon:
                self._client.cancel([future for _, future in self._open.values()], force=True)
            self._client.run(close_on_worker, on_error="ignore")
        self._client.close(timeout=5)


def _outcome(step: Step, future: Any, result: Any) -> Outcome:
    if isinstance(result, StorageError):
        raise result
    if isinstance(result, Outcome):
        return result
    error = future.exception() if future.status == "error" else None
    # KilledWorker: workers were lost again and again while they had this step.
    why = f"{type(error).__name__}: {error}" if error is not None else f"it is {future.status}"
    return Outcome(
        step.id,
        "crashed",
        error_type=type(error).__name__ if error is not None else "LostByCluster",
        error=" ".join(f"{step.title}: the cluster lost it: {why}".split()),
        fingerprint=step.fingerprint,
    )
