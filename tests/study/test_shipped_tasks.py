"""The tasks of studies that take minutes, run at a size of seconds."""

from __future__ import annotations

import os
import tomllib
from typing import Any

import pytest

import repgeo
from repgeo.study.locating import task_files

SMALL: dict[str, Any] = {"points": 12, "steps": 4, "gate": 0.0}
MIDDLE, LAST = 100, 200


def small(table: dict[str, Any]) -> dict[str, Any]:
    """A task with small networks, one seed, and little to look at: all it asks is still asked."""
    table = dict(table)
    table["task"] = {**table["task"], "seeds": [0]}
    sizes = {"test": 25} if table["dataset"].get("test") == "grid" else {"test": 60}
    table["dataset"] = {**table["dataset"], "train_size": 80, "test_size": sizes["test"]}
    for model in table["models"]:
        if "train" in model:
            model["train"] |= {"epochs": LAST, "keep": ["init", MIDDLE, "final"], "batch_size": 40}
            if model["train"]["optimizer"] == "sgd":
                model["train"]["lr"] = 0.1
            model["train"].pop("restarts", None)
        model["width"] = min(model["width"], 30)
    for probe in table["probes"]:
        probe |= {name: value for name, value in SMALL.items() if name in probe}
        if "epochs" in probe:
            probe["epochs"] = [MIDDLE if isinstance(at, int) else at for at in probe["epochs"]]
        for name in ("near_distance", "far_distance"):  # so few points are all far apart
            probe.pop(name, None)
    table["expected"] = []
    return table


@pytest.mark.parametrize("name", [name for name in task_files() if name.startswith("volume")])
def test_a_volume_task_at_a_size_of_seconds(name, tmp_path):
    with task_files()[name].open("rb") as stream:
        table = tomllib.load(stream)
    if table["dataset"]["name"] == "mnist" and not os.environ.get("REPGEO_DATA"):
        pytest.skip("REPGEO_DATA, which holds mnist, is not set")
    frame = repgeo.run(small(table), out=tmp_path)
    assert set(frame["status"]) == {"ok"}, frame["error"].unique()
    asked = {probe["name"] for probe in table["probes"]}
    assert set(frame["probe"]) == asked
    # At the start, in the middle and at the end of one training.
    volumes = frame[(frame["probe"] == "pullback_volume") & (frame["metric"] == "log_volume")]
    for model, rows in volumes.groupby("model"):
        epochs = [text.split('"epoch":')[1].split(",")[0] for text in rows["at"].unique()]
        assert sorted(epochs) == ['"final"', '"init"', str(MIDDLE)], model
    changes = frame[frame["metric"] == "contrast_change"]
    assert len(changes) == 2 * len(volumes) / 3
    trained = [model for model in table["models"] if "train" in model]
    assert len(trained) == len(table["models"]) == volumes["model"].nunique()


def short(table: dict[str, Any]) -> dict[str, Any]:
    """A task of walks with few steps, from few points, of a network that was hardly trained."""
    table = dict(table)
    table["task"] = {**table["task"], "seeds": [0]}
    if table["dataset"]["name"] != "points":
        table["dataset"] = {**table["dataset"], "train_size": 200, "test_size": 60}
    for model in table["models"]:
        if "train" in model:
            model["train"] |= {"epochs": 2}
    for probe in table["probes"]:
        if "steps" in probe:
            probe.update(steps=6, points=2)
    table["expected"] = []
    return table


@pytest.mark.parametrize("name", [name for name in task_files() if name.startswith("nullwalk")])
def test_a_task_of_walks_at_a_size_of_seconds(name, tmp_path):
    with task_files()[name].open("rb") as stream:
        table = tomllib.load(stream)
    if table["dataset"]["name"] == "mnist" and not os.environ.get("REPGEO_DATA"):
        pytest.skip("REPGEO_DATA, which holds mnist, is not set")
    frame = repgeo.run(short(table), out=tmp_path)
    assert set(frame["status"]) == {"ok"}, frame["error"].unique()
    walks = frame[frame["probe"] == "null_walk"]
    rules = {probe["rule"] for probe in table["probes"] if probe["name"] == "null_walk"}
    drifts = walks[walks["metric"] == "drift_max"]
    for rule in rules:
        own = drifts[drifts["params"].str.contains(f'"rule":"{rule}"')]
        assert len(own) >= len(table["models"]) > 0
        if rule in ("corrected", "exact"):
            assert own["value"].max() < 1e-12
