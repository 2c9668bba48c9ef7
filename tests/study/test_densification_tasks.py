"""The tasks of densification at a size of seconds, and the paired tests of their tables."""

from __future__ import annotations

import importlib.util
import math
import os
import sys
import tomllib
from pathlib import Path

import pytest

import repgeo
from repgeo.probes.rows import to_frame
from repgeo.study.locating import task_files

SCRIPT = Path(__file__).parents[2] / "scripts" / "densification_test.py"


@pytest.fixture(scope="module")
def paired_tests():
    if not SCRIPT.is_file():
        pytest.skip("a source distribution without scripts/")
    spec = importlib.util.spec_from_file_location("densification_test", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["densification_test"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def small(table):
    table["task"]["seeds"] = [0, 1]
    table["expected"] = []
    for model in table["models"]:
        model.get("train", {}).pop("epochs", None)
        model.pop("grid", None)
        if "train" in model:
            model["train"]["steps"] = 2
    for probe in table["probes"]:
        if probe["name"] == "topology":
            probe |= {"clouds": 1, "loops": min(12, probe.get("loops", 12))}
    return table


@pytest.mark.parametrize("name", [n for n in task_files() if n.startswith("densification")])
def test_a_task_of_densification_at_a_size_of_seconds(name, tmp_path, paired_tests):
    with task_files()[name].open("rb") as stream:
        table = tomllib.load(stream)
    if table["dataset"]["name"] == "mnist":
        if not os.environ.get("REPGEO_DATA"):
            pytest.skip("REPGEO_DATA, which holds mnist, is not set")
        table["dataset"]["test_size"] = 500
    # Three of the settings, one of them the baseline: all are alike but for their numbers.
    off = [model for model in table["models"] if model["label"] == "off"]
    table["models"] = off + [model for model in table["models"] if model["label"] != "off"][-2:]
    frame = repgeo.run(small(table), out=tmp_path)
    assert set(frame["status"]) == {"ok"}, frame["error"].unique()
    assert set(frame["probe"]) == {probe["name"] for probe in table["probes"]}
    pages = "\n".join(paired_tests.tables(frame, "off"))
    assert "## accuracy" in pages
    assert "mean death time of classes" in pages
    assert ("accuracy of stitching" in pages) == ("relative_stitching" in set(frame["probe"]))


def test_paired_tests_average_replicas_and_leave_out_the_diagonal(paired_tests):
    cell = {"probe": "relative_stitching", "metric": "accuracy", "status": "ok", "at": ""}
    records = []
    for seed, gain in enumerate((0.1, 0.2, 0.3)):
        for setting, base in (("off", 0.5), ("on", 0.5 + gain)):
            for mine in (0, 1):
                for other in (0, 1):
                    value = 0.99 if mine == other else base + 0.02 * mine - 0.01
                    pair = {"model": f"{setting}#{mine}", "model_b": f"{setting}#{other}"}
                    records.append(cell | pair | {"seed": seed, "value": value})
    values = paired_tests.by_setting(to_frame(records))
    assert values["off"] == pytest.approx({0: 0.5, 1: 0.5, 2: 0.5})
    (line,) = paired_tests.tested(values, "off")
    assert line.difference == pytest.approx(0.2)
    # Differences .1, .2, .3: t = 2 sqrt 3, and of two degrees of freedom p = 1 - t / sqrt(2 + t^2).
    t = 2 * math.sqrt(3)
    assert line.p == pytest.approx(1 - t / math.sqrt(2 + t * t))
    assert paired_tests.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
