"""The tasks of stitching at a size of seconds: what they ask, and what is published of them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

import repgeo
from repgeo.report.figures import figures_of
from repgeo.report.publishing import publish_study
from repgeo.study.locating import task_files


def short(name: str) -> dict[str, Any]:
    """The task with one seed, two networks of each kind, and one epoch."""
    with task_files()[name].open("rb") as stream:
        table = tomllib.load(stream)
    table["task"] = {**table["task"], "seeds": [0]}
    for model in table["models"]:
        model["train"] |= {"epochs": 1}
        if "replicas" in model:
            model["replicas"] = 2
        if "grid" in model:
            model["grid"] = {"octaves": [2, 3]}
    for probe in table["probes"]:
        if "head_lr" in probe:
            probe["head_epochs"] = 1
        if "pairs" in probe:
            probe["pairs"] = [pair for pair in probe["pairs"] if "octaves=1" not in pair[0]]
    return table


@pytest.mark.slow
def test_stitching_digits_at_a_size_of_seconds(tmp_path: Path) -> None:
    table = short("stitching_digits")
    frame = repgeo.run(table, out=tmp_path / "study")
    assert set(frame["status"]) == {"ok"}, frame["error"].unique()
    rows = frame[frame["probe"] == "relative_stitching"]
    methods = {json.loads(at)["method"] for at in rows["at"]}
    asked = {m for p in table["probes"] if "methods" in p for m in p["methods"]}
    assert methods == asked | {"factorial"}
    assert len(asked) == 22
    relative = rows[rows["layer"] == "relative"]
    assert set(relative["model"].str.split("#").str[0]) == {"end to end", "end to end, robust"}
    # What networks trained end to end hand to one another are coordinates of one set of anchors.
    own = relative[(relative["model"] == relative["model_b"]) & relative["at"].str.contains("abs")]
    own = own[own["params"].str.contains('"head":"own"')]
    assert len(own) == 4
    plain = frame[frame["probe"] == "accuracy"].set_index("model")["value"]
    for _, row in own.iterrows():
        assert row["value"] == pytest.approx(plain[row["model"]])
    assert set(figures_of(frame)) == {
        "latent_spaces",
        "relative_stitching",
        "stitching_factorial",
    }
    publish_study(tmp_path / "study", tmp_path / "results")
    (folder,) = (tmp_path / "results").iterdir()
    summary = (folder / "summary.md").read_text(encoding="utf-8")
    assert "accuracy, method against cosine" in summary
    assert "accuracy, output_scale against none" in summary
    assert summary.count("side = others") >= 10
    assert {path.stem for path in (folder / "figures").iterdir()} == set(figures_of(frame))


@pytest.mark.slow
def test_stitching_intertwiner_at_a_size_of_seconds(tmp_path: Path) -> None:
    frame = repgeo.run(short("stitching_intertwiner"), out=tmp_path / "study")
    assert set(frame["status"]) == {"ok"}, frame["error"].unique()
    rows = frame[frame["probe"] == "relative_stitching"].copy()
    assert (rows["model"] == rows["model_b"]).all()
    rows["method"] = [json.loads(at)["method"] for at in rows["at"]]
    values = rows.set_index(["model", "method", "layer", "layer_b"])["value"].sort_index()
    for model in rows["model"].unique():
        # Robust coordinates of the two layers are the same numbers, up to float32 rounding.
        robust = values[model, "robust"]
        assert robust.max() - robust.min() <= 2 / 540
        for layers in (("plain", "twin"), ("twin", "plain")):
            assert values[(model, "absolute", *layers)] < values[(model, "robust", *layers)] - 0.3
    assert figures_of(frame) == ["stitched_layers"]
    publish_study(tmp_path / "study", tmp_path / "results")
