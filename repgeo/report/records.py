"""The rows of a table as records: a failed cell becomes one record per number it does not give."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from repgeo.errors import InputError
from repgeo.probes.intervals import Estimate
from repgeo.probes.rows import COLUMNS, COST_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SIDES", "Record", "mean_of", "read_records", "with_sides"]

#: What a record of a pair probe is averaged with: the diagonal never joins the other models.
SIDES: Final = ("others", "self")

_NEEDED: Final = tuple(
    name for name in COLUMNS if name not in (*COST_COLUMNS, "dtype", "cell", "version")
)

_NUMBERS: Final = ("value", "chance", "stderr", "ci_low", "ci_high", "n", "seed")


@dataclass(frozen=True)
class Record:
    """One number of one cell, or the place of a number that a failed cell does not give.

    Attributes
    ----------
    task, dataset, model, model_b, layer, layer_b, probe, params, metric, at, seed
        What the number is of, as in the table.
    status
        "ok", or why there is no number.
    estimate
        The value with its own interval; None unless `status` is "ok".
    unit, direction, chance
        Of the metric.
    reason
        "ErrorType: message" of a failed cell.
    side
        "self" or "others" for a pair that is averaged over its second model, else "".
    """

    task: str
    dataset: str
    model: str
    model_b: str
    layer: str
    layer_b: str
    probe: str
    params: str
    metric: str
    at: str
    seed: int
    status: str
    estimate: Estimate | None
    unit: str
    direction: str
    chance: float | None
    reason: str = ""
    side: str = ""

    def get(self, dimension: str) -> str:
        """The value of a dimension as text."""
        return str(getattr(self, dimension))

    @property
    def ok(self) -> bool:
        """Whether there is a number."""
        return self.estimate is not None

    @property
    def diagonal(self) -> bool:
        """Whether this is a pair of a model with itself."""
        return bool(self.model_b) and self.model == self.model_b


def mean_of(values: Sequence[float]) -> float:
    """The mean, infinities allowed: NaN only where plus and minus infinity meet.

    Examples
    --------
    >>> mean_of([1.0, 2.0]), mean_of([-math.inf, 2.0]), mean_of([-math.inf, math.inf])
    (1.5, -inf, nan)
    """
    infinite = {value for value in values if math.isinf(value)}
    if infinite:
        return infinite.pop() if len(infinite) == 1 else math.nan
    return math.fsum(values) / len(values)


def read_records(frame: pd.DataFrame) -> list[Record]:
    """The records of a table, each failed cell repeated for every number it should have given.

    A failed cell is one row without a metric. Which numbers are missing is told by the cells of
    the same probe, parameters and dataset that did finish; if none did, the record has no metric.

    Raises
    ------
    InputError
        If the table is empty, lacks columns or seeds, or holds two values for one number.
    """
    missing = [name for name in _NEEDED if name not in frame.columns]
    if missing:
        raise InputError(
            f"The table lacks the columns {', '.join(missing)}. A table has the columns "
            f"{', '.join(COLUMNS)}; read one with repgeo.read(path)."
        )
    if not len(frame):
        raise InputError("The table has no rows: nothing was measured yet. Run the study first.")
    if frame["seed"].isna().any():
        raise InputError("The table has rows without a seed; every row needs its task seed.")
    columns = [_column(frame, name) for name in _NEEDED]
    records = [_record(dict(zip(_NEEDED, row, strict=True))) for row in zip(*columns, strict=True)]
    return _one_per_number(_spread(records))


def with_sides(records: Iterable[Record]) -> list[Record]:
    """The records with pairs marked as "self" (the diagonal) or "others"."""
    return [
        replace(record, side=SIDES[record.diagonal]) if record.model_b else record
        for record in records
    ]


def _column(frame: pd.DataFrame, name: str) -> list[Any]:
    if name not in _NUMBERS:
        return [str(value) for value in frame[name].astype("object").fillna("")]
    numbers = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
    return [None if math.isnan(value) else value for value in numbers.tolist()]


def _record(row: dict[str, Any]) -> Record:
    status, estimate = row["status"], None
    if status == "ok" and row["value"] is not None:
        interval = (row["stderr"], row["ci_low"], row["ci_high"], row["ci_kind"])
        estimate = Estimate(row["value"], *interval, None if row["n"] is None else int(row["n"]))
    elif status == "ok":
        status = "failed"  # a value that is missing is never counted as measured
    return Record(
        **{name: row[name] for name in _NEEDED[:10]},
        seed=int(row["seed"]),
        status=status,
        estimate=estimate,
        unit=row["unit"],
        direction=row["direction"] or "none",
        chance=row["chance"],
        reason=": ".join(part for part in (row["error_type"], row["error"]) if part),
    )


def _spread(records: list[Record]) -> list[Record]:
    known: dict[tuple[str, ...], dict[tuple[str, ...], Record]] = {}
    for record in records:
        if record.metric:
            quantity = (record.metric, record.at, record.layer, record.layer_b)
            for family in _families(record):
                known.setdefault(family, {}).setdefault(quantity, record)
    found = []
    for record in records:
        if record.metric:
            found.append(record)
            continue
        examples: list[Record] = []
        for family in _families(record):
            examples = examples or list(known.get(family, {}).values())
        layers = (record.layer, record.layer_b)
        same = [e for e in examples if (e.layer, e.layer_b) == layers]
        found += [
            replace(
                record,
                metric=example.metric,
                at=example.at,
                layer=example.layer,
                layer_b=example.layer_b,
                unit=example.unit,
                direction=example.direction,
            )
            for example in same or examples
        ] or [record]
    return found


def _families(record: Record) -> list[tuple[str, ...]]:
    """What tells the numbers of a cell: first the cells most like it, then those of its probe."""
    probe = (record.task, record.dataset, record.probe, record.params)
    return [(*probe, str(record.diagonal)), probe]


def _one_per_number(records: list[Record]) -> list[Record]:
    chosen: dict[tuple[str | int, ...], Record] = {}
    for record in records:
        key = (*(getattr(record, name) for name in _NEEDED[:10]), record.seed)
        earlier = chosen.get(key)
        if earlier is None or not earlier.ok:
            chosen[key] = record if earlier is None or record.ok else earlier
        elif record.ok and record.estimate != earlier.estimate:
            raise InputError(
                f"The table holds two values for one number ({record.probe}.{record.metric} of "
                f"{record.model!r}, seed {record.seed}). Aggregate one study at a time."
            )
    return list(chosen.values())
