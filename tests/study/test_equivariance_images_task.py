"""The tasks on turned digits and on the torus, at a size of seconds."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import repgeo
from repgeo.study.locating import task_files

HAS_MNIST = (Path(os.environ.get("REPGEO_DATA", "")) / "mnist" / "mnist.npz").is_file()

#: Exact by construction, under each group.
OF_QUARTER_TURNS = {
    "group cnn C4",
    "group cnn D4",
    "radial_profile",
    "group cnn C4, untrained",
    "constant",
}
OF_REFLECTIONS = {"group cnn D4", "radial_profile", "constant"}


def table_of(name: str) -> dict[str, Any]:
    table = tomllib.loads(task_files()[name].read_text(encoding="utf-8"))
    table["task"]["seeds"] = [0]
    table["expected"], table["compare"] = [], []
    for model in table["models"]:
        if "train" in model:
            model["train"].pop("epochs")
            model["train"] |= {"steps": 4, "batch_size": 10}
    return table


def measured(table: dict[str, Any], folder: Path) -> pd.DataFrame:
    frame = repgeo.run(table, out=folder)
    assert set(frame["status"]) == {"ok"}, frame["error"].dropna().unique()
    assert set(frame["probe"]) == {probe["name"] for probe in table["probes"]}
    assert frame["model"].nunique() == len(table["models"])
    return frame


def values(frame: pd.DataFrame, metric: str, layer: str, group: str = "") -> pd.Series:
    rows = frame[(frame["metric"] == metric) & (frame["layer"] == layer) & (frame["at"] == "")]
    rows = rows[rows["params"].str.contains(f'"group":"{group}"')] if group else rows
    return rows.set_index("model")["value"]


@pytest.mark.skipif(not HAS_MNIST, reason="REPGEO_DATA names no folder with mnist")
def test_turned_digits(tmp_path: Path) -> None:
    table = table_of("equivariance_images")
    table["dataset"] |= {"train_size": 40, "test_size": 40}
    for model in table["models"]:
        if model["name"] == "image_group_cnn":
            model |= {"channels": [2, 2], "features": 4}
    for probe in table["probes"]:
        if "samples" in probe:
            probe["samples"] = 32 if probe["name"] == "orbit_retrieval" else 6
        if "curve" in probe:
            probe["curve"] = [30, 90]
    frame = measured(table, tmp_path)
    for group, known in (("C4", OF_QUARTER_TURNS), ("D4", OF_REFLECTIONS)):
        for layer in ("encoder", "output"):
            exact = values(frame, "exact", layer, group)
            assert set(exact[exact == 1.0].index) == known
    # Every layer of a group network, and the feature maps of another as images.
    for layer in ("conv1", "pool1", "conv2", "pool2"):
        errors = values(frame, "error", layer, "C4")
        assert errors[["group cnn C4", "group cnn D4"]].max() < 1e-5
        assert errors[["cnn", "cnn, rotations"]].min() > 0.05
    collapsed = values(frame, "collapsed", "output", "C4")
    assert collapsed["constant"] == 1.0
    angles = frame[(frame["metric"] == "error") & frame["at"].str.contains("angle")]
    assert set(angles["at"]) == {'{"angle":30.0}', '{"angle":90.0}'}


def test_two_circles(tmp_path: Path) -> None:
    table = table_of("disentanglement")
    table["dataset"] |= {"train_size": 64}
    for probe in table["probes"]:
        if probe.get("group"):
            probe["samples"] = 2
        if probe["name"] == "orbit_retrieval":
            probe["samples"] = 64
    frame = measured(table, tmp_path)
    grid = frame[(frame["layer"] == "encoder") & frame["params"].str.contains('"group":null')]
    scores = grid[grid["metric"] == "d_lsbd"].set_index("model")["value"]
    assert scores[["phases", "wrapped"]].max() < 1e-9
    assert scores["entangled"] > 0.3
    assert "constant" not in scores
    margins = grid[grid["metric"] == "margin"].set_index("model")["value"]
    assert margins["wrapped"] < 1e-5
    assert margins["constant"] == 0.0
    assert margins["phases"] > 0.2
