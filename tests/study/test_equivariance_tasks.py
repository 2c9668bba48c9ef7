"""The tasks on tetris, point clouds, molecules and voxels, at a size of seconds."""

from __future__ import annotations

import os
import tomllib
from typing import Any

import pandas as pd
import pytest

import repgeo
from repgeo.study.locating import task_files

#: What is exact by construction, and what is not, at the outputs.
EXACT = {
    "equivariance_tetris": {"e3nn", "e3nn, untrained", "formula", "constant"},
    "equivariance_point_clouds": {"e3nn", "e3nn, untrained", "sorted radii", "constant"},
    "equivariance_molecules": {"e3nn", "e3nn, untrained", "formula", "constant", "coordinates"},
    "equivariance_voxels": {"cnn, averaged", "histogram", "constant"},
}
#: The least data with every class in it.
SMALL = {
    "equivariance_tetris": {"copies": 2},
    "equivariance_point_clouds": {"points": 16, "train_copies": 2, "test_copies": 1},
    "equivariance_molecules": {"train_size": 300},
    "equivariance_voxels": {"side": 8, "train_size": 20, "test_size": 12},
}


def small(name: str) -> dict[str, Any]:
    """The task with little data and short trainings: all it asks is still asked."""
    with task_files()[name].open("rb") as stream:
        table = tomllib.load(stream)
    table["task"]["seeds"] = [0]
    table["dataset"] |= SMALL[name]
    table["expected"], table["compare"] = [], []
    for model in table["models"]:
        if "channels" in model:
            model["channels"] = [2, 4]
        if model["name"] == "tetris_network":
            model["hidden"] = "4x0e+2x0o+2x1o+2x1e"
        if model["name"] == "density_network":
            model["hidden"] = "4x0e+2x1o"
        if "train" in model:
            model["train"].pop("epochs", None)
            model["train"] |= {"steps": 3, "batch_size": 8}
    for probe in table["probes"]:
        if probe["name"] == "orbit_retrieval":
            probe |= {"candidates": 6, "samples": 12}
        if probe["name"] == "equivariance_error":
            probe |= {"n_elements": 6, "samples": 8}
            if "curve" in probe:
                probe["curve"] = [45, 90]
    return table


def at_outputs(frame: pd.DataFrame, metric: str, group: str | None = None) -> pd.Series:
    """Model -> value, of the settings of the data's own group or of another."""
    rows = frame[(frame["metric"] == metric) & (frame["layer"] == "output")]
    named = rows["params"].str.contains('"group"')
    rows = rows[named & rows["params"].str.contains(f'"group":"{group}"') if group else ~named]
    return rows.set_index("model")["value"]


@pytest.mark.parametrize("name", EXACT)
def test_an_equivariance_task_at_a_size_of_seconds(name, tmp_path):
    if name != "equivariance_tetris" and not os.environ.get("REPGEO_DATA"):
        pytest.skip("REPGEO_DATA, which holds meshes, molecules and voxels, is not set")
    table = small(name)
    frame = repgeo.run(table, out=tmp_path)
    assert set(frame["status"]) == {"ok"}, frame["error"].unique()
    assert set(frame["probe"]) == {probe["name"] for probe in table["probes"]}
    labels = {model.get("label", model["name"]) for model in table["models"]}
    assert set(frame["model"]) == labels
    exact = at_outputs(frame, "exact")
    assert set(exact[exact == 1.0].index) == EXACT[name]
    errors = at_outputs(frame, "error")
    assert float(errors[list(EXACT[name])].max()) < 1e-5
    assert float(errors.drop(list(EXACT[name])).min()) > 1e-3
    assert float(at_outputs(frame, "collapsed")["constant"]) == 1.0

    if name == "equivariance_tetris":
        the_mirror_pair_changes_its_sign(frame)


def the_mirror_pair_changes_its_sign(frame: pd.DataFrame) -> None:
    """Codes of irreps are exact under reflections, while the outputs of the pair change places."""
    codes = frame[(frame["layer"] == "encoder") & frame["params"].str.contains('"group":"O3"')]
    exact = codes[codes["metric"] == "exact"].set_index("model")["value"]
    assert set(exact[exact == 1.0].index) == EXACT["equivariance_tetris"]
    outputs = at_outputs(frame, "exact", "O3")
    assert set(outputs[outputs == 1.0].index) == {"constant"}
