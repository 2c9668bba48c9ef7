"""Measure what the framework itself costs: start-up, per cell, per engine, resuming.

Whole processes, several runs, medians; no number here is asserted by a test. Results go to
`results/benchmarks/framework.md` and `.json` with the command, versions and machine kind.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from repgeo.study.machine import machine_kind, versions

TOY = '''
from typing import ClassVar
import time
import torch
from repgeo.datasets import Dataset, Split
from repgeo.probes import Metric, Probe, Reading

def points(*, seed: int) -> Dataset:
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(seed))
    return Dataset("points", Split(x), Split(x))

class Trivial(Probe):
    """The mean norm of the codes, or a wait."""
    name: ClassVar[str] = "trivial"
    metrics: ClassVar[dict] = {"norm": Metric()}
    number: int = 0
    def measure(self, subject, data, context):
        yield Reading("norm", subject.encode(data.test.x).norm(dim=1).mean())

class Busy(Probe):
    """A second of matrix products."""
    name: ClassVar[str] = "busy"
    metrics: ClassVar[dict] = {"norm": Metric()}
    number: int = 0
    products: int = 1
    def measure(self, subject, data, context):
        a = torch.randn(400, 400, generator=context.private("matrix")) / 20
        b = a
        for _ in range(self.products):
            b = a @ b
            b = b / b.norm()
        yield Reading("norm", b.norm())
'''


def command(*arguments: object, env: dict[str, str] | None = None) -> float:
    """Seconds that a whole process takes."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
    )
    spent = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{arguments} failed:\n{done.stderr}")
    return spent


def median(runs: int, measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(runs))


def write_task(folder: Path, cells: int, probe: str = "Trivial", extra: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "toy.py").write_text(TOY)
    task = folder / f"cells_{cells}_{probe}.toml"
    task.write_text(
        '[dataset]\nname = "./toy.py:points"\n\n[[models]]\nname = "identity"\n\n'
        f'[[probes]]\nname = "./toy.py:{probe}"\n{extra}\n[probes.grid]\n'
        f"number = {json.dumps(list(range(cells)))}\n"
    )
    return task


@contextmanager
def cluster(folder: Path, workers: int):
    """A scheduler and workers on loopback; yields the address and the scheduler's process id."""
    quiet = ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
    file = folder / "scheduler.json"
    dask = [sys.executable, "-m", "distributed.cli."]

    def start(kind: str, *options: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*dask[:2], dask[2] + kind, *map(str, options), *quiet],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    started = [
        start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", file)
    ]
    started += [
        start(
            "dask_worker", "--scheduler-file", file, "--host", "127.0.0.1", "--nthreads", 1,
            "--memory-limit", 0, "--local-directory", folder / "scratch",
        )
        for _ in range(workers)
    ]  # fmt: skip
    try:
        while not file.is_file() or file.stat().st_size < 10:
            time.sleep(0.1)
        yield json.loads(file.read_text())["address"], started[0].pid
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait()


def peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def per_cell(folder: Path, cells: int, few: int, runs: int, *options: object) -> float:
    """Milliseconds per cell: the difference between many and few cells, so that start-up drops."""
    many, base = write_task(folder, cells), write_task(folder, few)

    def once(task: Path) -> float:
        with tempfile.TemporaryDirectory() as out:
            return command("-m", "repgeo", "run", task, "--out", out, *options)

    spent = median(runs, lambda: once(many)) - median(runs, lambda: once(base))
    return 1000 * spent / (cells - few)


def startup(runs: int) -> dict[str, float]:
    return {
        "bare interpreter, s": median(runs, lambda: command("-c", "pass")),
        "import repgeo, s": median(runs, lambda: command("-c", "import repgeo")),
        "repgeo list, s": median(runs, lambda: command("-m", "repgeo", "list")),
    }


def resume(folder: Path, cells: int, runs: int) -> dict[str, float]:
    """Resuming a finished study, beside the imports that no study with a torch model can avoid."""
    task, out = write_task(folder, cells), folder / "resumed"
    command("-m", "repgeo", "run", task, "--out", out)
    libraries = "import torch, pandas, typer, rich"
    return {
        f"{libraries}: nothing else, s": median(runs, lambda: command("-c", libraries)),
        f"resuming a finished study of {cells} cells, s": median(
            runs, lambda: command("-m", "repgeo", "run", task, "--out", out)
        ),
    }


def steps_alone(*arguments: object) -> tuple[float, float]:
    """Seconds of a whole `repgeo run`, and those after imports and planning."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "repgeo", "run", *map(str, arguments)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    planned = started
    for line in process.stderr or ():
        if "steps to run" in line:
            planned = time.perf_counter()
    if process.wait() != 0:
        raise SystemExit(f"{arguments} failed")
    ended = time.perf_counter()
    return ended - started, ended - planned


def span(folder: Path) -> float:
    """Seconds from the start of the first step to the end of the last, as recorded."""
    begun, ended = [], []
    for path in (*folder.glob("*/*.json"), *folder.glob("weights/*/step.json")):
        outcome = json.loads(path.read_bytes())
        ended.append(path.stat().st_mtime)
        begun.append(ended[-1] - outcome["cost"]["duration_s"])
    return max(ended) - min(begun)


def two_against_one(folder: Path) -> dict[str, float]:
    """Two processes against one: busy cells, the digits task, and what the machine itself allows.

    Of the whole process; from the end of planning to the end of the process; and from the start of
    the first step to the end of the last, which is what grows with a study.
    """
    busy = write_task(folder, 32, "Busy", "products = 450")
    found: dict[str, float] = {}
    for name, task in (("32 busy cells", busy), ("digits task", "digits")):
        spent = {
            jobs: steps_alone(task, "--out", folder / f"{name}{jobs}", "-j", jobs)
            for jobs in (1, 2)
        }
        spans = {jobs: span(folder / f"{name}{jobs}") for jobs in (1, 2)}
        for jobs, (whole, steps) in spent.items():
            found[f"{name}, -j {jobs}: whole process, s"] = whole
            found[f"{name}, -j {jobs}: after planning, s"] = steps
            found[f"{name}, -j {jobs}: first to last step, s"] = spans[jobs]
        found[f"{name}: whole process, ratio"] = spent[1][0] / spent[2][0]
        found[f"{name}: after planning, ratio"] = spent[1][1] / spent[2][1]
        found[f"{name}: first to last step, ratio"] = spans[1] / spans[2]
    return found | {"two bare processes at once against one after another": bare_ratio()}


BARE = """
import torch
torch.set_num_threads(1)
print("ready", flush=True)
input()
a = torch.randn(400, 400) / 20
b = a
for _ in range(2500):
    b = a @ b
    b = b / b.norm()
"""


def bare_ratio() -> float:
    """How much faster this machine does two things at once than one after another."""

    def spent(processes: int) -> float:
        started = [
            subprocess.Popen(
                [sys.executable, "-c", BARE],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for _ in range(processes)
        ]  # fmt: skip
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        begun = time.perf_counter()
        for process in started:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in started:
            process.wait()
        return time.perf_counter() - begun

    return 2 * spent(1) / spent(2)


def many_cells(folder: Path, cells: int) -> dict[str, float]:
    """Memory and time of a large study through a scheduler, driver and scheduler apart."""
    task = write_task(folder, cells)
    with cluster(folder, 2) as (address, scheduler):
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as out:
            driver = subprocess.Popen(
                [sys.executable, "-m", "repgeo", "run", str(task), "--out", out,
                 "--scheduler", address],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            driver_peak = 0.0
            while driver.poll() is None:
                try:
                    driver_peak = max(driver_peak, peak_mb(driver.pid))
                except OSError:
                    break
                time.sleep(0.2)
            code = driver.wait()
        spent = time.perf_counter() - started
        if code != 0:
            raise SystemExit(f"the study of {cells} cells ended with {code}")
        return {
            f"{cells} cells through a scheduler, ms per cell": 1000 * spent / cells,
            "scheduler's peak memory, MiB": peak_mb(scheduler),
            "driver's peak memory, MiB": driver_peak,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the cells, one run")
    parser.add_argument("--runs", type=int, default=3, help="of which medians are taken [3]")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    options = parser.parse_args()
    part = 10 if options.quick else 1
    runs = 1 if options.quick else options.runs
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        found |= startup(2 * runs + 1)
        found["one cell in process, ms"] = per_cell(folder, 2000 // part, 20, runs)
        found["one cell, -j 2, ms"] = per_cell(folder, 4000 // part, 20, runs, "-j", 2)
        with cluster(folder, 2) as (address, _):
            found["one cell through a scheduler, two workers, ms"] = per_cell(
                folder, 2000 // part, 20, runs, "--scheduler", address
            )
        found |= resume(folder, 10_000 // part, runs)
        found |= two_against_one(folder)
        found |= many_cells(folder, 20_000 // part)
    options.out.mkdir(parents=True, exist_ok=True)
    about = {
        "command": " ".join(["python", "scripts/bench_framework.py", *sys.argv[1:]]),
        "versions": versions(),
        "machine": machine_kind(),
        "values": found,
    }
    (options.out / "framework.json").write_text(json.dumps(about, indent=1) + "\n")
    lines = ["# What the framework costs", "", f"`{about['command']}`, medians of {runs} runs; "]
    lines[-1] += f"{about['machine']['processor']}, {about['machine']['cores']} cores, "
    lines[-1] += ", ".join(f"{name} {number}" for name, number in about["versions"].items()) + "."
    lines += ["", "| what | value |", "|---|---|"]
    lines += [f"| {name.strip()} | {value:.3g} |" for name, value in found.items()]
    (options.out / "framework.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
