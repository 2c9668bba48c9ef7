"""What the processes of one study share: loaded models, codes, prepared halves of pairs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from engine_study import run

TOYS = """
from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from repgeo.datasets import Dataset, Split
from repgeo.probes import Metric, Probe, Reading


def note(word):
    with open(os.environ["REPGEO_TEST_NOTES"], "a") as stream:
        stream.write(f"{os.getpid()} {word}\\n")


def points(*, seed: int) -> Dataset:
    x = torch.randn(70, 4, generator=torch.Generator().manual_seed(seed))
    y = (x[:, 0] > 0).long()
    return Dataset("points", Split(x, y), Split(x + 1, y, torch.arange(70) + 100))


class Net(nn.Module):
    def __init__(self, number: int) -> None:
        super().__init__()
        note(f"built-{number}")
        self.number = number
        self.encoder = nn.Linear(4, 5)
        self.encoder.register_forward_hook(lambda *_: note(f"forward-{number}"))

    def forward(self, x):
        return self.encoder(x)


def net(number: int = 0) -> nn.Module:
    return Net(number)


class Mean(Probe):
    name: ClassVar[str] = "mean"
    metrics: ClassVar[dict] = {"mean": Metric()}
    number: int = 0
    layer: str = "encoder"

    def measure(self, subject, data, context):
        yield Reading("mean", subject.encode(data.test.x).mean())


class Pair(Probe):
    name: ClassVar[str] = "pair"
    arity: ClassVar[int] = 2
    metrics: ClassVar[dict] = {"distance": Metric()}
    layer: str = "encoder"

    def prepare(self, subject, data, context):
        note(f"prepared-{subject.label}")
        return {"codes": subject.encode(data.test.x)}

    def measure(self, mine, other, data, context):
        yield Reading("distance", (mine.prepared["codes"] - other.prepared["codes"]).norm())
"""


def study(folder: Path, models: int, probes: int) -> Path:
    (folder / "toys.py").write_text(TOYS)
    task = folder / "sharing.toml"
    task.write_text(
        '[dataset]\nname = "./toys.py:points"\n\n[[models]]\nname = "./toys.py:net"\n'
        f"[models.grid]\nnumber = {list(range(models))}\n\n"
        f'[[probes]]\nname = "./toys.py:Mean"\n[probes.grid]\nnumber = {list(range(probes))}\n\n'
        '[[probes]]\nname = "./toys.py:Pair"\n'
    )
    return task


def test_models_are_loaded_once_and_halves_prepared_once_in_two_processes(tmp_path: Path) -> None:
    models, probes = 5, 12
    task, notes = study(tmp_path, models, probes), tmp_path / "notes"
    env = {"REPGEO_TEST_NOTES": str(notes)}
    code, _, err = run("run", task, "--out", tmp_path / "out", "-j", "2", env=env)
    assert code == 0, err

    lines = [line.split() for line in notes.read_text().splitlines()]
    counts = Counter(word for _, word in lines)
    # K halves for K^2 pairs, whichever process they were prepared in.
    assert [counts[f"prepared-net[number={n}]"] for n in range(models)] == [1] * models
    # The first process to build each model is the driver, which checks its layers.
    driver = next(pid for pid, word in lines if word == "built-0")
    builds = Counter(word for pid, word in lines if pid != driver and word.startswith("built"))
    # Five models, seventeen steps of each: one load for each, and one more where both processes
    # helped to finish the last model.
    assert models <= sum(builds.values()) <= models + 1
    # Codes are files: one encoding for each model, whoever asks again (two forward passes at most,
    # where both processes began a model at once).
    forwards = [counts[f"forward-{n}"] for n in range(models)]
    assert sum(forwards) <= models + 1
    assert min(forwards) == 1
