"""A small study for the tests of engines: its cells sleep, count themselves, or die."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

NETS = '''
"""A dataset, models and probes whose cells do as they are told."""
from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import ClassVar

import torch

from repgeo.datasets import Dataset, Split
from repgeo.probes import Metric, Probe, Reading

HERE = Path(__file__).parent  # what is told to the cells lies beside them


def points(*, seed: int, n: int = 70) -> Dataset:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=generator)
    y = (x[:, 0] > 0).long()
    return Dataset("points", Split(x, y), Split(x + 0.1, y, torch.arange(n) + n))


class Deadly(Probe):
    """Does what its mode says."""

    name: ClassVar[str] = "deadly"
    metrics: ClassVar[dict] = {"norm": Metric()}
    mode: str = "good"
    number: int = 0
    layer: str = "output"

    def measure(self, subject, data, context):
        if (HERE / "count").exists():
            with (HERE / "count").open("a") as stream:
                stream.write(f"{context.cell}\\n")
        if not (HERE / "healed").exists():
            self.misbehave()
        if self.mode == "nothing":
            return
        value = float("nan") if self.mode == "nan" else subject(data.test.x).norm(dim=1).mean()
        yield Reading("norm", value)

    def misbehave(self):
        mode = self.mode
        if mode == "raise":
            raise ValueError("a fault of the cell")
        if mode == "hang":
            while True:
                time.sleep(0.01)
        if mode == "hang_in_c":
            # PyDLL keeps the interpreter's lock for as long as the call lasts.
            ctypes.PyDLL(None).sleep(3600)
        if mode == "exit":
            os._exit(7)
        if mode == "exit_zero":
            os._exit(0)
        if mode == "system_exit":
            sys.exit(5)
        if mode == "interrupt":
            raise KeyboardInterrupt
        if mode == "sigkill":
            os.kill(os.getpid(), signal.SIGKILL)
        if mode == "segfault":
            ctypes.string_at(0)
        if mode == "memory":
            import resource
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
            torch.ones(1 << 30)
        if mode == "unpicklable":
            class Local(Exception):
                def __reduce__(self):
                    raise TypeError("not to be pickled")
            raise Local("kept as text")
        if mode == "loud":
            print("x" * 5_000_000)
        if mode == "closes":
            os.closerange(3, 256)
        if mode == "children":
            import subprocess
            child = subprocess.Popen(["sleep", "3600"])
            (HERE / "child").write_text(str(child.pid))
            time.sleep(3600)
        if mode == "sleep":
            time.sleep(0.05)
        if mode == "long":
            time.sleep(1.0)
'''


def write_study(folder: Path, probes: str, *, models: str = "", seeds: str = "[0]") -> Path:
    """A task file over the toy dataset, with the probes given as TOML."""
    (folder / "nets.py").write_text(NETS)
    models = models or '[[models]]\nname = "identity"\n'
    task = folder / "study.toml"
    task.write_text(
        f'[task]\nseeds = {seeds}\n\n[dataset]\nname = "./nets.py:points"\n\n{models}\n{probes}\n'
    )
    return task


def deadly(modes: list[str], count: int = 1) -> str:
    numbers = json.dumps(list(range(count)))
    return (
        '[[probes]]\nname = "./nets.py:Deadly"\n[probes.grid]\n'
        f"mode = {json.dumps(modes)}\nnumber = {numbers}\n"
    )


def repgeo(*arguments: str, env: dict[str, str] | None = None) -> list[str]:
    """The command line of a real run."""
    return [sys.executable, "-m", "repgeo", *map(str, arguments)]


def start(*arguments: object, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "repgeo", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )


def finish(process: subprocess.Popen[str], timeout: float = 120) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def run(*arguments: object, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    return finish(start(*arguments, env=env))


def lasting(folder: Path) -> str:
    """The table's bytes without the columns of cost."""
    import repgeo as package
    from repgeo.probes.rows import COST_COLUMNS
    from repgeo.study.table import to_csv

    return to_csv(package.read(folder).drop(columns=list(COST_COLUMNS)))


def wait_for(condition, timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("waited in vain")
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def session_of(pid: int) -> list[int]:
    """All living processes that descend from a process."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1])
    found, frontier = [], [pid]
    while frontier:
        current = frontier.pop()
        children = [child for child, parent in parents.items() if parent == current]
        found += children
        frontier += children
    return found
