"""The tasks of hyperbolic spaces, run at a size of seconds."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import repgeo
from repgeo.study.locating import task_files

pytest.importorskip("geoopt", reason="needs the extra 'hyperbolic'")
pytest.importorskip("ot", reason="needs the extra 'hyperbolic'")

HAS_DATA = (Path(os.environ.get("REPGEO_DATA", "")) / "hierarchies").is_dir()
needs_data = pytest.mark.skipif(not HAS_DATA, reason="REPGEO_DATA names no folder with the data")


def table_of(name: str) -> dict[str, Any]:
    return tomllib.loads(task_files()[name].read_text(encoding="utf-8"))


def measured(table: dict[str, Any], folder: Path) -> pd.DataFrame:
    frame = repgeo.run(table, out=folder)
    assert set(frame["status"]) == {"ok"}, frame["error"].dropna().unique()
    return frame


def smaller(table: dict[str, Any], epochs: list[int]) -> dict[str, Any]:
    table["task"]["seeds"] = [0]
    table["dataset"]["depth"] = 5
    for model in table["models"]:
        model["train"] |= {"steps": epochs[-1], "batch_size": 31, "keep": epochs, "lr": 1e-2}
    for probe in table["probes"]:
        if "epochs" in probe:
            probe["epochs"] = epochs
    return table


@pytest.mark.parametrize("name", ["hyperdga_noise", "hyperdga_vae"])
def test_autoencoders_of_a_tree(name: str, tmp_path: Path) -> None:
    frame = measured(smaller(table_of(name), [10, 40, 80]), tmp_path)
    orders = frame[frame["metric"] == "order"]
    assert {f'{{"score":"{score}"}}' for score in ("hyperdga", "chamfer", "transport")} <= set(
        orders["at"]
    )
    assert orders["value"].abs().max() <= 1
    assert len(frame[frame["metric"] == "pearson"]) == frame["model"].nunique()


@needs_data
def test_words(tmp_path: Path) -> None:
    table = table_of("hyperdga_wordnet")
    table["task"]["seeds"] = [0]
    for model in table["models"]:
        if "train" in model:
            model["train"] |= {"epochs": 1, "batch_size": 256}
    frame = measured(table, tmp_path)
    assert len(frame[frame["metric"] == "score"]) == 30


@needs_data
def test_cells(tmp_path: Path) -> None:
    table = table_of("hyperdga_cells")
    table["dataset"]["grid"]["tissue"] = ["olsson", "paul"]
    scores = measured(table, tmp_path).query("metric == 'score'")
    found = dict(zip(scores["at"], scores["value"], strict=True))
    assert found['{"pair":"14Mo - 13Baso"}'] == 1 - 571 / 1986
    assert found['{"pair":"Mono - Gran"}'] == 1 - 26 / 433
