"""The numbers a task expects, beside the means over seeds that were measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from repgeo.errors import ConfigurationError, nearest
from repgeo.probes.intervals import over_seeds
from repgeo.probes.rows import COLUMNS
from repgeo.study.taskfile import Expected

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ledger"]


def ledger(expected: Iterable[Expected], frame: pd.DataFrame) -> list[dict[str, Any]]:
    """One line per expected number: ours, the interval over seeds, and a verdict.

    The verdict is `reproduced` where the mean over seeds lies within the tolerance of the expected
    value, `deviates` where it does not, `underpowered` where the interval over seeds is wider than
    the tolerance and holds both a reproducing and a deviating value, `ambiguous` where the
    conditions select unlike numbers, and `not run` where there is none.
    """
    return [_entry(item, frame) for item in expected]


def _entry(item: Expected, frame: pd.DataFrame) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "where": dict(item.where),
        "expected": item.value,
        "tolerance": item.tolerance,
        "kind": item.kind,
        "source": item.source,
        "value": None,
        "ci_low": None,
        "ci_high": None,
        "n": 0,
    }
    chosen = _select(frame, item.where)
    chosen = chosen[chosen["status"] == "ok"]
    if chosen.empty:
        return {**entry, "verdict": "not run"}
    kinds = chosen[["dataset", "probe", "params", "metric", "at", "layer", "layer_b"]]
    if len(kinds.drop_duplicates()) > 1:
        return {**entry, "verdict": "ambiguous"}
    found = over_seeds(chosen.groupby("seed")["value"].mean().to_numpy(dtype=np.float64))
    entry |= {"value": found.value, "ci_low": found.ci_low, "ci_high": found.ci_high, "n": found.n}
    low, high = item.value - item.tolerance, item.value + item.tolerance
    inside = low <= found.value <= high
    verdict = "reproduced" if inside else "deviates"
    if found.ci_low is not None and found.ci_high is not None:
        both = found.ci_low < high and found.ci_high > low
        wide = found.ci_high - found.ci_low > 2 * item.tolerance
        undecided = both and not (low <= found.ci_low and found.ci_high <= high)
        if wide and undecided:
            verdict = "underpowered"
    return {**entry, "verdict": verdict}


def _select(frame: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    for key, wanted in where.items():
        if key not in COLUMNS:
            raise ConfigurationError(f"expected.where: no column {key!r}. {nearest(key, COLUMNS)}")
        if isinstance(wanted, Mapping):
            matches = frame[key].map(lambda text, w=wanted: _holds(text, w)).astype(bool)
        else:
            matches = (frame[key] == wanted).fillna(value=False).astype(bool)
        frame = frame[matches]
    return frame


def _holds(text: str, wanted: Mapping[str, Any]) -> bool:
    """Whether the canonical JSON of `at` or `params` has these entries."""
    found = json.loads(text) if text else {}
    return all(found.get(key) == value for key, value in wanted.items())
