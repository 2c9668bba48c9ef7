"""A process that runs steps, and takes the blame when one of them kills it.

One pebble pool of one process each: a hard time limit, also for code that holds the interpreter's
lock, and exact knowledge of which step a dead process was in. The process is a session of its own,
so that what a step starts is killed with it, and dies with the driver, however that ends.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repgeo.errors import StorageError
from repgeo.study.outcome import Cost, Outcome
from repgeo.study.steps import Step

__all__ = ["Limits", "Sandbox"]

_LOG_BYTES = 16_384  # of a dead process's output that are kept in its row's log
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Limits:
    """What a step may use.

    Attributes
    ----------
    timeout
        Seconds, or None.
    memory
        Bytes of address space beyond what the process has at its start, or None.
    """

    timeout: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Setting:
    """What a sandbox process needs to know: where the study is, and its limits."""

    folder: Path
    weights: Path
    limits: Limits = Limits()


# --------------------------------------------------------------------------- inside the process
_state: _Inside | None = None


class _Inside:
    """The state of a sandbox process: its workspace, and the files that tell where it is."""

    def __init__(self, setting: Setting, place: str) -> None:
        from repgeo.study.ledger import Ledger
        from repgeo.study.threads import one_thread
        from repgeo.study.workspace import Workspace

        self.threads = one_thread()
        self.threads.__enter__()  # for as long as this process lives
        if setting.limits.memory is not None:
            _limit_memory(setting.limits.memory)
        self.timeout = setting.limits.timeout
        self.log = os.open(f"{place}.log", os.O_RDWR | os.O_CREAT, 0o600)
        # Not emptied: what the process before this one wrote tells how it ended.
        self.where = os.open(f"{place}.where", os.O_RDWR | os.O_CREAT, 0o600)
        for stream in (1, 2):  # what a step prints belongs to its log, not between our lines
            os.dup2(self.log, stream)
        faulthandler.enable(file=self.log)
        ledger = Ledger(setting.folder, setting.weights)
        self.workspace = Workspace(ledger, share_codes=True)

    def run(self, step: Step) -> Outcome | StorageError:
        os.ftruncate(self.log, 0)
        os.lseek(self.log, 0, os.SEEK_SET)
        os.pwrite(self.where, f"{os.getpid():>10} {step.id}\n".encode(), 0)
        if self.timeout is not None:
            # The stack is written shortly before the process is killed, also from within C code.
            margin = min(0.5, 0.2 * self.timeout)
            faulthandler.dump_traceback_later(self.timeout - margin, file=self.log)
        try:
            return self.workspace.run(step)
        except StorageError as error:
            return error
        finally:
            if self.timeout is not None:
                faulthandler.cancel_dump_traceback_later()


def _limit_memory(extra: int) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = used + extra
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _begin(setting: Setting, place: str) -> None:
    """Make a fresh process a sandbox (pebble's initializer)."""
    global _state  # noqa: PLW0603 - one sandbox per process
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # to die at once, also inside C code
    if sys.platform == "linux":
        # The parent is the forkserver, which ends when the driver does, however that ends.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _state = _Inside(setting, place)


def _run(step: Step) -> Outcome | StorageError:
    if _state is None:
        raise RuntimeError("The sandbox was not begun.")
    return _state.run(step)


# --------------------------------------------------------------------------- in the driver
class _EndedItself(Exception):  # noqa: N818 - not an error that is raised
    exitcode = 0


Deliver = Callable[["Sandbox", Step, "Outcome | StorageError"], None]


class Sandbox:
    """One process for steps; replaced when it dies.

    Parameters
    ----------
    setting
        Where the study is, and the limits.
    deliver
        Called, from another thread, with each step that ended.
    """

    def __init__(self, setting: Setting, deliver: Deliver) -> None:
        self._setting = setting
        self._deliver = deliver
        self._scratch = Path(tempfile.mkdtemp(prefix="repgeo-"))
        self._place = self._scratch / "sandbox"
        self._pool: Any = None
        self.step: Step | None = None
        self.home: str | None = None
        self._started = 0.0
        self._tries = 0
        self._closed = False
        self._lock = threading.RLock()  # pebble's threads and the driver's meet here

    def submit(self, step: Step) -> None:
        """Run a step; its outcome is delivered, whatever happens."""
        self.step, self.home, self._tries = step, step.home, 0
        self._schedule(step)

    def _schedule(self, step: Step) -> None:
        import pebble

        from repgeo.study.launch import forkserver_context

        if self._pool is None:
            self._pool = pebble.ProcessPool(
                max_workers=1,
                context=forkserver_context(),
                initializer=_begin,
                initargs=(self._setting, str(self._place)),
            )
        self._started = time.monotonic()
        future = self._pool.schedule(_run, args=(step,), timeout=self._setting.limits.timeout)
        future.add_done_callback(lambda done: self._ended(step, done))

    def _ended(self, step: Step, future: Any) -> None:
        with self._lock:
            if not self._closed and self.step is step:
                self._take(step, future)

    def _take(self, step: Step, future: Any) -> None:
        try:
            outcome = future.result()
        except BaseException as error:  # noqa: BLE001 - a dead process has many faces
            if isinstance(error, BrokenProcessPool) and self._position()[1] != step.id:
                # The process was gone before the step reached it: not the step's doing.
                self._drop_pool()
                self._tries += 1
                if self._tries < 3:
                    self._schedule(step)
                    return
            self._kill_group()
            outcome = self._death(step, error)
        self._finish(step, outcome)

    def _finish(self, step: Step, outcome: Outcome | StorageError) -> None:
        if isinstance(outcome, Outcome) and outcome.status == "crashed":
            self._drop_pool()  # a process that ran out of memory is not trusted any more
        self.step = None
        self._deliver(self, step, outcome)

    def _death(self, step: Step, error: BaseException) -> Outcome:
        limit = self._setting.limits.timeout
        spent = time.monotonic() - self._started
        if isinstance(error, TimeoutError | CancelledError) and limit is not None:
            status, kind = "timeout", "Timeout"
            text = f"stopped after the time limit of {limit:g} s"
        else:
            status, kind = "crashed", "ProcessDied"
            text = f"the process died: {_describe_exit(getattr(error, 'exitcode', None))}"
        return Outcome(
            step.id,
            status,
            error_type=kind,
            error=f"{step.title}: {text}",
            log=self._tail(),
            cost=Cost(duration_s=round(spent, 3)),
            fingerprint=step.fingerprint,
        )

    def _position(self) -> tuple[int, str]:
        """The process's id and the step it is in, as it wrote them ((0, "") if it did not)."""
        try:
            pid, _, step = self._place.with_suffix(".where").read_text().strip().partition(" ")
            return int(pid), step
        except (OSError, ValueError):
            return 0, ""

    def _tail(self) -> str:
        try:
            content = self._place.with_suffix(".log").read_bytes()
        except OSError:
            return ""
        return content[-_LOG_BYTES:].decode(errors="replace")

    def look_after(self) -> None:
        """Notice a process that ended with exit code 0 in the middle of a step.

        pebble takes that for an orderly end and would wait for ever.
        """
        step = self.step
        if step is None or time.monotonic() - self._started < 0.5:
            return
        pid, position = self._position()
        if position != step.id or pid == 0 or _is_alive(pid):
            return
        time.sleep(0.3)  # the news of its end, or the step's result, may be on its way
        with self._lock:
            if self.step is step and not self._closed:
                self._kill_group()
                self._finish(step, self._death(step, _EndedItself()))

    def _kill_group(self) -> None:
        """Kill what the step started and left behind."""
        pid, _ = self._position()
        if pid > 1:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)

    def _drop_pool(self) -> None:
        pool, self._pool, self.home = self._pool, None, None
        if pool is not None:
            pool.stop()
            # Joined elsewhere: this may be one of the pool's own threads.
            threading.Thread(target=pool.join, daemon=True).start()

    def close(self) -> None:
        """Stop the process and what it started."""
        with self._lock:
            self._closed = True
            self._kill_group()
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()
            pool.join()
        shutil.rmtree(self._scratch, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not Path("/proc/self").exists()  # with /proc, a process that is not there is gone


def _describe_exit(code: int | None) -> str:
    if code is None:
        return "no exit code is known"
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit code {code}"
