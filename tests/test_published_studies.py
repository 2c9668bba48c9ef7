"""What the README says of the studies in numbers is what their published tables hold."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

import repgeo

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
FINAL, LAST = '"epoch":"final"', '"step":1000'
CORRECTED, UNCORRECTED = '"rule":"corrected"', '"rule":"uncorrected"'

pytestmark = pytest.mark.skipif(
    not (ROOT / "results").is_dir(), reason="a source distribution has no results/"
)


def rows(task: str, metric: str, *, model: str = "", **parts: str) -> pd.DataFrame:
    """The rows of a metric, of a model, whose other columns hold the given texts."""
    frame = repgeo.read(ROOT / "results" / task)
    frame = frame[frame["metric"] == metric]
    if model:
        frame = frame[frame["model"] == model]
    for column, text in parts.items():
        frame = frame[frame[column].str.contains(text, regex=False)]
    assert len(frame)
    return frame


def assert_told(*sentences: str) -> None:
    assert [sentence for sentence in sentences if sentence not in TEXT] == []


def test_sinusoid():
    wide, narrow = (
        rows("volume_sinusoid", "contrast_change", model=model, at=FINAL)["value"] / math.log(10)
        for model in ("width 250", "width 20")
    )
    assert len(wide) == len(narrow) == 3
    assert min(wide.min(), narrow.min()) > 0.1
    accuracies = rows("volume_sinusoid", "train_accuracy")["value"]
    assert accuracies.min() >= 0.97
    early = rows("volume_sinusoid", "contrast_change", model="width 250", at='"epoch":3000')
    assert early["value"].max() < 0
    assert_told(
        f"by {wide.min():.2f} to {wide.max():.2f} more than far from it at width 250",
        f"by {narrow.min():.2f} to {narrow.max():.2f} at width 20",
    )


def test_exclusive_or():
    few, many = (
        rows("volume_xor", "contrast_change", model=model, at=FINAL, dataset="0.15")["value"]
        for model in ("width 2", "width 250")
    )
    flat = rows("volume_xor", "scalar_curvature", model="width 2")["value"]
    assert flat.abs().max() < 1e-12
    assert_told(f"by {few.mean():.2f} nats with two units", f"by {many.mean():.3f} with 250")


def test_digits_of_mnist():
    decay, free = (
        rows("volume_mnist", "contrast_change", model=model, at=FINAL)
        for model in ("width 2000", "width 2000, no decay")
    )
    assert ((decay["ci_low"] < 0) & (decay["ci_high"] > 0)).all()
    assert free["ci_low"].min() > 0
    change = {"at": '"epoch":"final","kind":"volume","of":"change"'}
    correlations = [
        rows("volume_mnist", "partial_rank_correlation", model=model, **change)["value"].mean()
        for model in ("width 2000", "width 2000, no decay")
    ]
    assert_told(
        f"by {free['value'].mean():.0f} nats without weight decay",
        f"by {decay['value'].mean():.0f}, of which the intervals over points contain 0",
        f"is {correlations[0]:.2f} ({correlations[1]:.2f} without decay)",
    )


def test_walks_of_mnist():
    def at_the_end(metric: str, rule: str) -> float:
        return float(rows("nullwalk_mnist", metric, at=LAST, params=rule)["value"].item())

    assert at_the_end("drift_max", CORRECTED) < 1e-13
    assert at_the_end("class_retention", CORRECTED) == 1
    assert at_the_end("class_retention", UNCORRECTED) == 0
    assert_told(
        f"by {at_the_end('reach_relative', CORRECTED):.2f} times its own norm",
        f"move them by {at_the_end('drift_max', UNCORRECTED):.1f}, and no walker",
    )


def test_walks_of_the_gas():
    assert rows("nullwalk_gas", "drift_max", params=CORRECTED)["value"].max() < 1e-14
    error = rows("nullwalk_gas", "model_error", at=LAST, params=CORRECTED)["value"].mean()
    assert_told(f"the network by {error:.3f}")
