"""The shipped tasks of algebra, most of them without data, at a size of seconds."""

from __future__ import annotations

import tomllib

import pytest

import repgeo
from repgeo.study.locating import task_files


def short(table):
    """Two values of every grid, one seed, few draws."""
    table = dict(table)
    table["task"] = {**table["task"], "seeds": [0]}
    for model in table["models"]:
        model["grid"] = {key: values[:2] for key, values in model.get("grid", {}).items()}
        if "train" in model:
            model["train"]["epochs"] = 1
    for probe in table["probes"]:
        if "draws" in probe:
            probe["draws"] = 2
    table["expected"] = []
    return table


@pytest.mark.parametrize(
    "name", [n for n in task_files() if n.startswith(("neuromanifold", "fibres", "critical"))]
)
def test_a_task_of_algebra_at_a_size_of_seconds(name, tmp_path):
    with task_files()[name].open("rb") as stream:
        whole = tomllib.load(stream)
    assert ("dataset" in whole) == (name == "critical_points_cnn")
    frame = repgeo.run(short(whole), out=tmp_path)
    assert set(frame["status"]) == {"ok"}, frame["error"].unique()
    assert set(frame["probe"]) == {probe["name"] for probe in whole["probes"]}
    agrees = frame[frame["metric"] == "agrees"]
    right = agrees[~agrees["model"].str.contains("defect")]
    assert (right["value"] == 1).all()
    assert (frame[frame["metric"] == "unexplained_dimension"]["value"] == 0).all()
    assert frame[frame["metric"] == "relative_error"]["value"].max() < 1e-12 or "fibre" not in name


def test_tasks_name_as_many_networks_as_they_say():
    with task_files()["neuromanifold_cnn"].open("rb") as stream:
        whole = tomllib.load(stream)
    grid = whole["models"][0]["grid"]
    assert len(grid["filters"]) * len(grid["degree"]) * len(grid["strides"]) == 150
    assert len({tuple(filters) for filters in grid["filters"]}) == len(grid["filters"])
