"""How far the values of one coordinate of `at` (a method, a setting) are from a baseline's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from repgeo.errors import InputError, nearest
from repgeo.identity import canonical_json
from repgeo.probes.reading import Scalar
from repgeo.report.labels import short_json
from repgeo.report.pairing import paired_differences
from repgeo.report.records import Record, mean_of, read_records, with_sides

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["compare_along", "comparison_lines"]

#: What two paired numbers share, besides the other coordinates, the models and the seed.
_KIND: Final = ("task", "dataset", "probe", "params", "layer", "layer_b", "side")

_Cell = tuple[int, str, str]  # seed, model, model_b


@dataclass
class _Line:
    """The numbers at one place, by cell."""

    record: Record
    at: dict[str, Scalar]
    values: dict[_Cell, float] = field(default_factory=dict)


def compare_along(
    frame: pd.DataFrame,
    *,
    metric: str,
    coordinate: str,
    baseline: Scalar,
    probe: str | None = None,
) -> pd.DataFrame:
    """The mean paired difference of each value of a coordinate to a baseline value.

    Every number with `at[coordinate]` other than the baseline is paired with the number that
    differs from it in this coordinate alone: the same model or pair, seed, layers, parameters, and
    the same other coordinates. So methods are compared on the same models, splits and anchors
    (coordinate "method", baseline "cosine"), and settings of a factorial with all else equal
    (coordinate "center", baseline False).

    At each seed the differences are averaged over the models or pairs; of a pair probe the diagonal
    ("self") is a line apart from the rest ("others"). The interval is that of the mean over seeds
    (95 % Student-t, from three on): pairs share models, and are no independent repetitions. Pairs
    in which one side has no number at any seed are left out; a seed counts if all others are there.

    Parameters
    ----------
    frame
        The table of a study.
    metric
        Of which metric.
    coordinate
        A key of `at`.
    baseline
        Its value that the others are compared with.
    probe
        Where several probes have such numbers.

    Returns
    -------
    DataFrame
        The coordinate's value in the column `value`, `baseline`, `at` (of the compared numbers),
        dataset, probe, params, layer, layer_b, side, `mean` and `baseline_mean` (of the pairs),
        `difference` (value minus baseline), `ci_low`, `ci_high`, `ci_kind`, `n` and `seeds` (of the
        interval), `cells` (models or pairs averaged over at each seed), `unit`, `direction`.

    Raises
    ------
    InputError
        If there is no such metric, coordinate or baseline, or nothing can be paired.

    Examples
    --------
    >>> from repgeo.probes.rows import to_frame
    >>> cell = {"model": "mlp", "probe": "stitch", "metric": "accuracy", "status": "ok"}
    >>> values = {"cosine": [0.5, 0.6, 0.7], "robust": [0.7, 0.8, 0.9]}
    >>> frame = to_frame(
    ...     cell | {"seed": seed, "value": value, "at": canonical_json({"method": name})}
    ...     for name, many in values.items() for seed, value in enumerate(many))
    >>> found = compare_along(frame, metric="accuracy", coordinate="method", baseline="cosine")
    >>> found[["value", "difference", "ci_low", "n"]].round(6)
        value  difference  ci_low  n
    0  robust         0.2     0.2  3
    """
    import pandas as pd

    records = [
        record
        for record in with_sides(read_records(frame))
        if record.metric == metric and probe in (None, record.probe)
    ]
    if not records:
        raise InputError(
            f"The table has no metric {metric!r}. "
            f"{nearest(metric, sorted({str(name) for name in frame['metric'] if str(name)}))}"
        )
    lines = _lines(records)
    _check(lines, coordinate, baseline)
    by_place = {_place(line, line.at): line for line in lines}
    found = []
    for line in lines:
        if coordinate not in line.at or line.at[coordinate] == baseline:
            continue
        partner = by_place.get(_place(line, {**line.at, coordinate: baseline}))
        compared = _compared(line, partner, coordinate) if partner is not None else None
        if compared is not None:
            found.append(compared)
    if not found:
        raise InputError(
            f"No number of {metric!r} differs from one with {coordinate} = {baseline!r} in this "
            "coordinate alone: nothing to compare."
        )
    numbers = ("mean", "baseline_mean", "difference", "ci_low", "ci_high")
    return pd.DataFrame(found).astype(dict.fromkeys(numbers, "float64"))


def comparison_lines(found: pd.DataFrame) -> list[str]:
    """The lines of a table in Markdown of what `compare_along` found.

    Columns that say the same in all rows are left out; parameters and coordinates are shortened to
    what differs.
    """
    told = [
        name
        for name in ("dataset", "probe", "params", "layer", "layer_b", "at", "side")
        if found[name].nunique() > 1 or (name == "side" and found[name].iloc[0])
    ]
    heads = [*told, "value", "mean", "baseline", "difference", "95 %", "seeds", "cells of each"]
    lines = [f"| {' | '.join(heads)} |", "|" + ":--|" * (len(told) + 1) + "--:|" * 6]
    for row in found.to_dict("records"):
        cells = [
            short_json(str(row[name]), [str(one) for one in found[name]])
            if name in ("params", "at")
            else str(row[name])
            for name in told
        ]
        low, high = row["ci_low"], row["ci_high"]
        interval = f"{low:+.4f} to {high:+.4f}" if low == low else ""  # missing: not a number
        means = [f"{row['mean']:.4f}", f"{row['baseline_mean']:.4f}"]
        cells += [str(row["value"]), *means, f"{row['difference']:+.4f}", interval]
        lines.append(f"| {' | '.join([*cells, str(row['n']), str(row['cells'])])} |")
    return lines


def _lines(records: Sequence[Record]) -> list[_Line]:
    found: dict[tuple[str, ...], _Line] = {}
    for record in records:
        key = (record.at, *(record.get(name) for name in _KIND))
        line = found.get(key)
        if line is None:
            line = found[key] = _Line(record, json.loads(record.at) if record.at else {})
        if record.estimate is not None:
            line.values[record.seed, record.model, record.model_b] = record.estimate.value
    return list(found.values())


def _place(line: _Line, at: Mapping[str, Scalar]) -> tuple[str, ...]:
    return (canonical_json(dict(at)), *(line.record.get(name) for name in _KIND))


def _check(lines: Sequence[_Line], coordinate: str, baseline: Scalar) -> None:
    names = sorted({name for line in lines for name in line.at})
    if coordinate not in names:
        raise InputError(
            f"The numbers have no coordinate {coordinate!r}. {nearest(coordinate, names)}"
        )
    values = {line.at[coordinate] for line in lines if coordinate in line.at}
    if baseline not in values:
        raise InputError(
            f"The coordinate {coordinate!r} has no value {baseline!r}. "
            f"{nearest(str(baseline), sorted(map(str, values)))}"
        )


def _compared(line: _Line, partner: _Line, coordinate: str) -> dict[str, object] | None:
    common = set(line.values) & set(partner.values)
    if not common:
        return None
    cells = {(model, model_b) for _, model, model_b in common}
    seeds = sorted({seed for seed, _, _ in common})
    used = [seed for seed in seeds if all((seed, *cell) in common for cell in cells)]
    if not used:
        return None
    mine, base = (
        {seed: mean_of([one.values[seed, *cell] for cell in sorted(cells)]) for seed in used}
        for one in (line, partner)
    )
    estimate = paired_differences(mine, base)
    record = line.record
    others = {key: value for key, value in line.at.items() if key != coordinate}
    return {
        "value": line.at[coordinate],
        "baseline": partner.at[coordinate],
        "at": canonical_json(others),
        **{name: record.get(name) for name in _KIND[1:]},
        "mean": mean_of(list(mine.values())),
        "baseline_mean": mean_of(list(base.values())),
        "difference": estimate.value,
        "ci_low": estimate.ci_low,
        "ci_high": estimate.ci_high,
        "ci_kind": estimate.ci_kind,
        "n": len(used),
        "seeds": " ".join(map(str, used)),
        "cells": len(cells),
        "unit": record.unit,
        "direction": record.direction,
    }
