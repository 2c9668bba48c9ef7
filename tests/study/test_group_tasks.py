"""The tasks of groups at a size of seconds, and starts pooled over their seeds."""

from __future__ import annotations

import importlib.util
import os
import tomllib
from pathlib import Path

import pytest

import repgeo
from repgeo.study.locating import task_files

SCRIPT = Path(__file__).parents[2] / "scripts" / "starts_over_seeds.py"
DATA = os.environ.get("REPGEO_DATA")
TASKS = [
    name
    for name in task_files()
    if name.startswith(("harmonics", "bispectral"))
    or name.endswith(("composition", "addition", "planted_noise"))
]


@pytest.fixture(scope="module")
def starts_over_seeds():
    if not SCRIPT.is_file():
        pytest.skip("a source distribution without scripts/")
    spec = importlib.util.spec_from_file_location("starts_over_seeds", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def small(table):
    table["task"]["seeds"] = [0]
    grid = table.get("dataset", {}).get("grid", {})
    for key in grid:
        grid[key] = grid[key][:1]
    for model in table["models"]:
        if "starts" in model:
            model["starts"] = 2
        if "draws" in model:
            model["draws"] = 3
        if "train" in model:
            model["train"].pop("epochs", None)
            model["train"]["steps"] = 3
        if "width" in model:
            model["width"] = 20
    return table


def test_all_tasks_of_groups_are_known():
    assert len(TASKS) == 10


@pytest.mark.parametrize("name", TASKS)
def test_a_task_of_groups_at_a_size_of_seconds(name, tmp_path):
    with task_files()[name].open("rb") as stream:
        table = small(tomllib.load(stream))
    if table.get("dataset", {}).get("name") == "natural_patches":
        if not DATA:
            pytest.skip("REPGEO_DATA, which holds natural images, is not set")
        table["dataset"] |= {"train_size": 300, "test_size": 20, "components": 12, "side": 8}
    if name.startswith("bispectral") and not DATA:
        pytest.skip("REPGEO_DATA, which holds the published weights, is not set")
    if name.startswith("bispectral"):
        # A group of 256 elements takes its time: one network, two probes.
        table |= {"models": table["models"][:1], "probes": table["probes"][2:], "expected": []}
    frame = repgeo.run(table, out=tmp_path)
    assert set(frame["status"]) == {"ok"}, frame["error"].unique()
    assert set(frame["probe"]) == {probe["name"] for probe in table["probes"]}
    # Every expected number names one line of the full table.
    models = {model.get("label", model["name"]) for model in table["models"]}
    for row in table.get("expected", []):
        assert row["where"]["probe"] in set(frame["probe"])
        assert row["where"]["metric"] in set(frame["metric"])
        assert row["where"]["model"].partition("[")[0] in models


def test_starts_are_pooled_over_seeds(tmp_path, starts_over_seeds):
    table = {
        "task": {"seeds": [0, 1, 2]},
        "dataset": {
            "name": "orbit_pairs",
            "train_size": 2,
            "test_size": 2,
            "grid": {"group": ["S3"]},
        },
        "models": [
            {"name": "planted_representation", "label": "noisy", "eta": 0.45, "draws": 10},
            {"name": "planted_representation", "label": "exact"},
            {"name": "power_spectral", "label": "untrained", "starts": 4},
        ],
        "probes": [{"name": "cayley_recovery"}],
    }
    frame = repgeo.run(table, out=tmp_path)
    noisy, untrained = starts_over_seeds.lines(frame)  # of the exact answer there is one start
    cells = [cell.strip() for cell in noisy.strip("|").split("|")]
    rows = frame[(frame["model"] == "noisy") & (frame["metric"] == "exact_starts")]
    hits = round(float(rows["value"].sum() * 10))
    assert cells[:4] == ["S3", "noisy", "Plancherel", "0 of 3"]
    assert cells[5] == "0 of 30 (0.00 to 0.11)"  # Wilson: z^2 / (n + z^2) = 0.1135
    assert cells[6].startswith(f"{hits} of 30 (")
    assert cells[8].startswith("0 of 30")  # under noise each representation keeps its block
    cells = [cell.strip() for cell in untrained.strip("|").split("|")]
    assert cells[1] == "untrained"
    assert cells[5].startswith("0 of 12")
    assert cells[7].startswith("12 of 12")
