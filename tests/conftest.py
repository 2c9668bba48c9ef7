"""A toy study in a temporary folder: tiny networks, data and probes given by file."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

NETS = """
import math
import os

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, inputs, width, classes):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), nn.Tanh())
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.encoder(x))


def make(input_shape: tuple[int, ...], classes: int, width: int = 3, act: str = "tanh"):
    return Net(math.prod(input_shape), width, classes)


def broken(input_shape: tuple[int, ...], classes: int):
    net = make(input_shape, classes)
    with torch.no_grad():
        net.encoder[1].bias.fill_(float("nan"))
    return net


def raises(input_shape: tuple[int, ...]):
    raise ValueError("no such network\\ntoday")


def number():
    return 3


class Reducing(Net):
    def reduce(self, x):
        return self.encoder(x).sum(dim=1)


def reducing(input_shape: tuple[int, ...], classes: int):
    return Reducing(math.prod(input_shape), 3, classes)
"""

DATA = """
import torch

from repgeo.datasets import Dataset, Split


def blobs(seed: int, n: int = 20, shift: float = 2.0, unused: int = 0):
    generator = torch.Generator().manual_seed(seed)

    def split(first):
        y = torch.arange(n) % 2
        x = torch.randn(n, 2, generator=generator) + shift * y[:, None]
        return Split(x, y, torch.arange(n) + first)

    return Dataset("blobs", split(0), split(1000))


def empty(seed: int):
    return Dataset("empty", Split(torch.zeros(0, 2)), Split(torch.zeros(0, 2)))


def with_nan(seed: int):
    x = torch.zeros(4, 2)
    x[2, 1] = float("nan")
    return Dataset("with_nan", Split(x), Split(x))


def raises(seed: int):
    raise KeyError("lost")


def nothing(seed: int):
    return None
"""

PROBES = '''
import os
import time
from pathlib import Path
from typing import ClassVar

import torch

from repgeo.probes import Metric, Probe, Reading

LOG = Path(__file__).with_name("calls.log")


def note(*words):
    with LOG.open("a") as stream:
        stream.write(" ".join(words) + "\\n")


class Spread(Probe):
    """Standard deviation of the codes."""

    name: ClassVar = "spread"
    version: ClassVar = 1
    metrics: ClassVar = {"std": Metric(direction="lower")}
    layer: str = "encoder"
    scale: float = 1.0
    sleep: float = 0.0

    def measure(self, subject, data, context):
        note("measure", subject.label)
        time.sleep(self.sleep)
        codes = subject.encode(data.test.x)
        yield Reading("std", self.scale * codes.std())


class Distance(Probe):
    """Distance of the means of two sets of codes."""

    name: ClassVar = "distance"
    arity: ClassVar = 2
    metrics: ClassVar = {"distance": Metric(unit="1", range=(0.0, float("inf")))}
    layer: str = "encoder"

    def prepare(self, subject, data, context):
        note("prepare", subject.label)
        return {"mean": subject.encode(data.test.x).mean(dim=0)}

    def measure(self, mine, other, data, context):
        note("pair", mine.subject.label, other.subject.label)
        yield Reading("distance", (mine.prepared["mean"] - other.prepared["mean"]).norm())


class Raises(Probe):
    name: ClassVar = "raises"
    metrics: ClassVar = {"value": Metric()}
    only: str = ""

    def measure(self, subject, data, context):
        note("raises", subject.label)
        if self.only in ("", subject.label):
            raise ValueError("a fault\\nof two lines")
        yield Reading("value", 1.0)


class RaisesInPreparation(Probe):
    name: ClassVar = "raises_in_preparation"
    arity: ClassVar = 2
    metrics: ClassVar = {"value": Metric()}
    only: str = ""

    def prepare(self, subject, data, context):
        if self.only in ("", subject.label):
            raise ValueError("not prepared")
        return {"zero": torch.zeros(1)}

    def measure(self, mine, other, data, context):
        yield Reading("value", 0.0)


class Strange(Probe):
    """Readings that are no numbers, or none at all."""

    name: ClassVar = "strange"
    metrics: ClassVar = {"value": Metric(range=(0.0, float("inf")))}
    kind: str

    def measure(self, subject, data, context):
        if self.kind == "nan":
            yield Reading("value", float("nan"))
        elif self.kind == "nan sample":
            yield Reading("value", samples=torch.tensor([1.0, float("nan"), 3.0]))
        elif self.kind == "outside":
            yield Reading("value", -1.0)
        elif self.kind == "undeclared":
            yield Reading("valeu", 1.0)
        elif self.kind == "twice":
            yield Reading("value", 1.0)
            yield Reading("value", 2.0)
        elif self.kind == "infinite":
            yield Reading("value", float("inf"))
        elif self.kind == "exits":
            raise SystemExit(7)
        elif self.kind == "surrogate":
            raise ValueError("bad name \\udc80")
        elif self.kind == "speechless":
            raise Speechless


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Wants(Probe):
    name: ClassVar = "wants"
    requires: ClassVar = frozenset({"reduce"})
    metrics: ClassVar = {"value": Metric()}

    def measure(self, subject, data, context):
        yield Reading("value", subject.use("reduce", data.test.x).mean())


class WantsPair(Probe):
    name: ClassVar = "wants_pair"
    arity: ClassVar = 2
    requires: ClassVar = frozenset({"reduce"})
    metrics: ClassVar = {"value": Metric()}

    def measure(self, mine, other, data, context):
        yield Reading("value", 1.0)


class Curve(Probe):
    """Several readings with coordinates, samples and artifacts."""

    name: ClassVar = "curve"
    metrics: ClassVar = {"height": Metric(unit="nats"), "top": Metric()}
    layer: str = "encoder"

    def measure(self, subject, data, context):
        codes = subject.encode(data.test.x)
        for step in (1, 2, 3):
            yield Reading("height", samples=codes[:, 0].double() / step, at={"step": step})
        yield Reading("top", float("inf"), artifact={"codes": codes})


class Dies(Probe):
    name: ClassVar = "dies"
    metrics: ClassVar = {"value": Metric()}

    def measure(self, subject, data, context):
        note("dies", subject.label)
        if Path(__file__).with_name("alive").exists():
            yield Reading("value", 1.0)
        else:
            os._exit(17)
'''

#: The task that most tests vary.
TASK = """
[task]
title = "Toys"
seeds = [0]

[dataset]
name = "./data.py:blobs"

[[models]]
name = "./nets.py:make"
label = "a"

[[models]]
name = "./nets.py:make"
label = "b"
width = 4

[[probes]]
name = "./probes.py:Spread"
"""


@dataclass
class Toys:
    """A folder with `nets.py`, `data.py`, `probes.py` and `task.toml`."""

    folder: Path

    def task(self, text: str = TASK, name: str = "task.toml") -> Path:
        """Write a task file."""
        path = self.folder / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    @property
    def out(self) -> Path:
        """A study folder beside it."""
        return self.folder / "study"

    def calls(self) -> list[str]:
        """What the probes noted since the last call."""
        log = self.folder / "calls.log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def cell_files(self) -> list[str]:
        """The names of the recorded cells."""
        return sorted(path.name for path in (self.out / "cells").glob("*.json"))

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text of a file that must hold it."""
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


def repgeo(
    *arguments: str | Path,
    cwd: Path | None = None,
    path: Sequence[Path] = (),
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "repgeo", *map(str, arguments)],
        cwd=cwd,
        env=environment(path),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def environment(path: Sequence[Path] = ()) -> dict[str, str]:
    """The environment of a process that finds repgeo, and what lies in the given folders."""
    root = Path(__file__).resolve().parents[1]
    places = [*map(str, path), str(root), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in places if p)}


@pytest.fixture(scope="session")
def make_toys():
    """`make_toys(folder)`: the toy study's files in a folder."""

    def make(folder: Path) -> Toys:
        for name, text in (("nets.py", NETS), ("data.py", DATA), ("probes.py", PROBES)):
            (folder / name).write_text(text)
        found = Toys(folder)
        found.task()
        return found

    return make


@pytest.fixture
def toys(tmp_path: Path, make_toys) -> Toys:
    """The toy study in the test's own folder."""
    return make_toys(tmp_path)


@pytest.fixture(scope="session")
def command():
    """`command("run", "task.toml", cwd=...)`: a finished process."""
    return repgeo


@pytest.fixture
def process_environment():
    """The environment for processes that a test starts itself."""
    return environment


@pytest.fixture
def main(capsys):
    """`main("run", "task.toml")`: exit code, standard output and error of a call in process."""
    from repgeo import cli

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return int(left.value.code or 0), told.out, told.err

    return call
