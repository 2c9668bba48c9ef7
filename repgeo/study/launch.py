"""Starting processes from a forkserver that has torch loaded, without the user's script."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import (
    connection,
    context,
    forkserver,
    popen_forkserver,
    resource_tracker,
    spawn,
)
from multiprocessing.process import BaseProcess
from typing import Any

__all__ = ["allow_children", "forkserver_context", "warm_up"]

_PRELOADED = ["torch", "scipy.special", "repgeo.study.sandbox", "repgeo.study.workspace"]
_LAUNCHING = threading.Lock()


class _Popen(popen_forkserver.Popen):  # type: ignore[misc, unused-ignore]
    """Starts a process that does not import the main module.

    multiprocessing would run the user's script again in each process, to find functions defined
    there. Ours are all importable, and a script without a `__main__` guard must not start itself.
    """

    def __init__(self, process_obj: BaseProcess) -> None:
        self._reading = threading.Lock()
        super().__init__(process_obj)

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """The exit code, None while the process lives.

        Several pools ask from several threads, and the code can be read from its pipe only once:
        a second reader would find the end of the file and report 255.
        """
        if self.returncode is None and flag != os.WNOHANG:
            connection.wait([self.sentinel])
        with self._reading:
            code: int | None = super().poll(flag)
        return code

    def _launch(self, process_obj: BaseProcess) -> None:
        prepare = spawn.get_preparation_data

        def without_main(name: str) -> dict[str, Any]:
            data: dict[str, Any] = prepare(name)
            return {key: value for key, value in data.items() if not key.startswith("init_main")}

        with _LAUNCHING, _interrupts_blocked():
            spawn.get_preparation_data = without_main
            try:
                super()._launch(process_obj)  # type: ignore[misc]  # not in typeshed
            finally:
                spawn.get_preparation_data = prepare


class _Process(context.ForkServerProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> _Popen:  # noqa: N802 - the name multiprocessing calls
        return _Popen(process_obj)


class _Context(context.ForkServerContext):
    Process = _Process


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A Ctrl-C while a process starts would reach it before it can ignore it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def forkserver_context() -> context.ForkServerContext:
    """The multiprocessing context that our processes are started from."""
    resource_tracker.ensure_running()  # its start would unblock the interrupt
    made = _Context()
    made.set_forkserver_preload(_PRELOADED)
    return made


def warm_up(*, training: bool = False) -> None:
    """Start the forkserver, which loads torch while this process does the same.

    Parameters
    ----------
    training
        Whether there is something to train: then what the first optimizer needs is loaded too.
    """
    made = forkserver_context()
    if training:
        made.set_forkserver_preload([*_PRELOADED, "repgeo.study.first_step"])
    with _interrupts_blocked():
        forkserver.ensure_running()


def allow_children() -> None:
    """Let this process start others, also where it was made as a daemon (a Dask worker is)."""
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
