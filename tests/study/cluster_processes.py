"""A real Dask scheduler and workers, on loopback only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine_study import wait_for

QUIET = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")


def _dask(*arguments: object, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + str(arguments[0])]
            + [str(argument) for argument in arguments[1:]],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


def start_worker(folder: Path, name: str) -> subprocess.Popen[bytes]:
    return _dask(
        "worker", "--scheduler-file", folder / "scheduler.json", "--host", "127.0.0.1",
        "--nthreads", "1", "--memory-limit", "0", "--no-nanny", "--name", name,
        "--local-directory", folder / "scratch", *QUIET, log=folder / f"{name}.log",
    )  # fmt: skip


@contextmanager
def cluster(folder: Path, workers: int = 2) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """The scheduler's address and its worker processes."""
    file = folder / "scheduler.json"
    scheduler = _dask(
        "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", file, *QUIET,
        log=folder / "scheduler.log",
    )  # fmt: skip
    started = [scheduler]
    try:
        wait_for(lambda: file.is_file() and file.stat().st_size > 10, 60)
        address = json.loads(file.read_text())["address"]
        own = [start_worker(folder, f"worker{number}") for number in range(workers)]
        started += own
        wait_for(
            lambda: all(
                "Registered to" in (folder / f"worker{n}.log").read_text() for n in range(workers)
            ),
            60,
        )
        yield address, own
    finally:
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
