from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pandas as pd
import torch

from repgeo.probes import Accuracy, Metric, PullbackVolume, Similarity
from repgeo.probes.intervals import Estimate
from repgeo.probes.measurement import Value
from repgeo.probes.probe import Probe
from repgeo.probes.rows import COLUMNS, COST_COLUMNS, KEY_COLUMNS, probe_columns, rows, to_frame

LISTED = [
    "task",
    "dataset",
    "model",
    "model_b",
    "layer",
    "layer_b",
    "probe",
    "params",
    "metric",
    "at",
    "value",
    "unit",
    "direction",
    "chance",
    "stderr",
    "ci_low",
    "ci_high",
    "ci_kind",
    "n",
    "seed",
    "status",
    "error_type",
    "error",
    "dtype",
    "cell",
    "version",
    "duration_s",
    "peak_mb",
    "started_at",
    "host",
    "device",
]


def test_the_columns_are_those_of_the_documentation() -> None:
    assert list(COLUMNS) == LISTED
    assert list(COST_COLUMNS) == LISTED[-5:]
    assert set(KEY_COLUMNS) < set(COLUMNS)


def test_an_empty_frame_has_all_columns_and_types() -> None:
    frame = to_frame([])
    assert list(frame.columns) == LISTED
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        name: str(pd.Series([], dtype=dtype).dtype) for name, dtype in COLUMNS.items()
    }


def test_absent_text_is_empty_and_absent_numbers_are_missing() -> None:
    frame = to_frame([{"model": "a", "value": -float("inf"), "n": 3}, {"error": None, "seed": 1}])
    assert frame["model"].tolist() == ["a", ""]
    assert frame["error"].tolist() == ["", ""]
    assert frame["value"].tolist()[0] == -float("inf")
    assert frame["value"].isna().tolist() == [False, True]
    assert frame["n"].isna().tolist() == [False, True]
    assert frame["n"].tolist()[0] == 3
    assert frame["seed"].tolist()[1] == 1
    assert not frame["ci_kind"].isna().any()


def test_frames_of_rows_with_and_without_values_have_the_same_types() -> None:
    filled = to_frame([{"value": 1.0, "n": 1, "seed": 0, "chance": 0.5}])
    pd.testing.assert_series_equal(filled.dtypes, to_frame([{"status": "failed"}]).dtypes)


def test_one_row_per_value() -> None:
    values = [
        Value("a", "", Estimate(1.0), "nats", "none", None, "encoder", ""),
        Value(
            "b", '{"k":1}', Estimate(2.0, 0.1, 1.8, 2.2, "t:samples", 9), "", "lower", 0.5, "l", "m"
        ),
    ]
    first, second = rows({"model": "net", "layer": "of the cell"}, values)
    assert (first["model"], first["metric"], first["value"], first["status"]) == (
        "net",
        "a",
        1.0,
        "ok",
    )
    assert (second["layer"], second["layer_b"], second["ci_kind"], second["n"]) == (
        "l",
        "m",
        "t:samples",
        9,
    )
    assert set(first) <= set(COLUMNS)


def test_layers_have_their_own_columns() -> None:
    columns = probe_columns(Similarity(layer="u", layer_b="v"))
    assert '"measures":["cka"]' in columns.pop("params")
    assert columns == {"probe": "similarity", "layer": "u", "layer_b": "v"}
    assert probe_columns(PullbackVolume(layer="u"))["layer_b"] == ""
    assert '"points":256' in probe_columns(PullbackVolume())["params"]
    assert "layer" not in probe_columns(PullbackVolume(layer="u"))["params"]
    assert probe_columns(Accuracy())["layer"] == "output"


def test_parameters_are_canonical() -> None:
    class Two(Probe):
        name: ClassVar[str] = "two"
        metrics: ClassVar[Mapping[str, Metric]] = {"m": Metric()}
        zeta: int = 1
        alpha: float = 2

    assert probe_columns(Two())["params"] == '{"alpha":2.0,"zeta":1}'


def test_a_probe_without_parameters_has_none_in_the_table() -> None:
    frame = Accuracy()(torch.nn.Identity(), torch.eye(4), torch.tensor([0, 1, 2, 0]))
    assert frame["params"].tolist() == [""]
    assert (frame["n"].iloc[0], frame["status"].iloc[0]) == (4, "ok")
