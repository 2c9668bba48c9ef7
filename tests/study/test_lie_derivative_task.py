"""The tasks of Lie derivatives, run at a size of seconds."""

from __future__ import annotations

import os
import tomllib
from typing import Any

import pytest

import repgeo
from repgeo.study.locating import task_files


def table_of(name: str) -> dict[str, Any]:
    with task_files()[name].open("rb") as stream:
        return tomllib.load(stream)


def test_planted_layers_have_the_errors_that_are_written_beside_them(tmp_path) -> None:
    """All models and all expected values, of one seed."""
    table = table_of("lie_derivative_layers")
    table["task"] = {**table["task"], "seeds": [0]}
    frame = repgeo.run(table, out=tmp_path)
    assert set(frame["status"]) == {"ok"}, frame["error"].unique()
    found = frame.set_index(["metric", "model", "layer"])["value"]
    assert len(table["expected"]) == 20
    for row in table["expected"]:
        where = row["where"]
        value = float(found[where["metric"], where["model"], where["layer"]])
        assert abs(value - row["value"]) <= row["tolerance"], row["source"]
    bands = frame[(frame["layer"] == "band") & (frame["metric"] == "relative_error")]
    assert len(bands) == len(table["models"]) - 2
    assert float(bands["value"].max()) < 1e-25  # filters commute with shifts
    chances = frame[(frame["metric"] == "relative_error") & (frame["layer"] == "output")]
    assert set(chances[chances["chance"].isna()]["model"]) == {"data", "constant"}


@pytest.mark.skipif(not os.environ.get("REPGEO_DATA"), reason="REPGEO_DATA, with mnist, is not set")
def test_image_classifiers_lose_shifts_where_they_alias(tmp_path) -> None:
    table = table_of("lie_derivative_images")
    table["task"] = {**table["task"], "seeds": [0]}
    table["dataset"] |= {"train_size": 100, "test_size": 40}
    kept = {
        "data",
        "constant",
        "spectrum",
        "stride",
        "stride, untrained",
        "blur, gelu",
        "blur, gelu, untrained",
    }
    table["models"] = [model for model in table["models"] if model["label"] in kept]
    for model in table["models"]:
        if "train" in model:
            model["train"] |= {"epochs": 1}
    for probe in table["probes"]:
        if "samples" in probe:
            probe["samples"] = 16
    frame = repgeo.run(table, out=tmp_path)
    assert set(frame["status"]) == {"ok"}, frame["error"].unique()
    errors = frame[frame["metric"] == "relative_error"]
    shifts = errors[errors["at"].str.contains("shift_right")]
    first = shifts[shifts["layer"] == "conv1"]
    assert len(first) == 4
    assert float(first["value"].max()) < 1e-25
    for model in ("stride", "blur, gelu"):
        twins = {model, f"{model}, untrained"}
        codes = shifts[(shifts["layer"] == "encoder") & shifts["model"].isin(twins)]
        assert set(codes["model"]) == twins
        assert float(codes["value"].min()) > 1e-12
    spectrum = errors[(errors["model"] == "spectrum") & (errors["layer"] == "encoder")]
    turned = spectrum["at"].str.contains("rotation")
    assert float(spectrum[~turned]["value"].max()) < 1e-20
    assert float(spectrum[turned]["value"].min()) > 1e-3
    data = errors[errors["model"] == "data"]
    assert data["value"].to_numpy() == pytest.approx(1.0, abs=1e-9)
    assert float(errors[errors["model"] == "constant"]["value"].max()) == 0.0
    assert {"rotation", "shift_down", "shift_right"} == {
        name for name in ("rotation", "shift_down", "shift_right")
        if errors["at"].str.contains(name).any()
    }  # fmt: skip
