"""How far each model is from a baseline, paired by seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from repgeo.errors import InputError, nearest
from repgeo.report.aggregate import ABSENT, Entry, Header, aggregate
from repgeo.report.labels import short_json
from repgeo.report.pairing import paired_differences

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["compare", "model_comparison_lines"]


def compare(
    frame: pd.DataFrame,
    *,
    metric: str,
    baseline: str | Mapping[str, str],
    probe: str | None = None,
) -> pd.DataFrame:
    """The mean paired difference of each model to a baseline, over the seeds that both have.

    Every model's value at a seed is the one that `repgeo.report.aggregate` uses (pair probes: the
    mean over the other models, the diagonal apart); only complete seeds count. Each line has its
    own common seeds, named in it.

    Parameters
    ----------
    frame
        The table of a study.
    metric
        The metric; a line for each dataset, layer, `at`, ... that it has.
    baseline
        A model, or model -> its own baseline (its untrained twin); models without one are left out.
    probe
        Where several probes have a metric of that name.

    Returns
    -------
    DataFrame
        model, baseline, what tells the number apart (dataset, probe, params, layer, layer_b, at,
        side), `difference` (model minus baseline), `ci_low`, `ci_high` (95 % Student-t over seeds,
        from three on), `ci_kind`, `n`, `seeds`, `unit`, `direction`, and `status`: "ok", or why a
        side has no seed to pair (then there is no difference).

    Raises
    ------
    InputError
        If the metric or a baseline is not in the table, or nothing can be paired.

    Examples
    --------
    >>> from repgeo.probes.rows import to_frame
    >>> cell = {"probe": "accuracy", "metric": "accuracy", "status": "ok"}
    >>> frame = to_frame(cell | {"model": m, "seed": s, "value": base + s}
    ...                  for m, base in (("mlp", 5.0), ("twin", 3.0)) for s in range(3))
    >>> compare(frame, metric="accuracy", baseline="twin")[["model", "difference", "ci_low", "n"]]
      model  difference  ci_low  n
    0   mlp         2.0     2.0  3
    """
    import pandas as pd

    _known(frame, "metric", [metric])
    if probe is not None:
        _known(frame, "probe", [probe])
    models = list(dict.fromkeys(str(model) for model in frame["model"]))
    baselines = dict(baseline) if isinstance(baseline, Mapping) else dict.fromkeys(models, baseline)
    _known(frame, "model", [*baselines, *baselines.values()])
    table = aggregate(frame, rows=("model",), columns=("metric",))
    row_of = {head.get("model"): row for row, head in enumerate(table.rows)}
    lines: list[dict[str, object]] = []
    for column, head in enumerate(table.columns):
        if head.get("metric") != metric or probe not in (None, head.get("probe")):
            continue
        for model, other in baselines.items():
            if model == other:
                continue
            sides = (table.entries[row_of[model], column], table.entries[row_of[other], column])
            lines += _line(model, other, head, sides)
    if not any(line["n"] for line in lines):
        raise InputError(
            f"No model has a seed with {metric!r} in common with its baseline: nothing to compare."
        )
    numbers = ("difference", "ci_low", "ci_high")
    return pd.DataFrame(lines).astype(dict.fromkeys(numbers, "float64"))


def model_comparison_lines(found: pd.DataFrame) -> list[str]:
    """The lines of a table in Markdown of what `compare` found, without what cannot be paired.

    Columns that say the same in all rows are left out; parameters and coordinates are shortened to
    what differs.
    """
    paired = found[found["status"] == "ok"]
    names = ("dataset", "probe", "params", "layer", "layer_b", "at", "side")
    told = [name for name in names if paired[name].nunique() > 1]
    lines = [f"| {' | '.join([*told, 'model', 'difference', '95 %', 'seeds'])} |"]
    lines.append("|" + ":--|" * (len(told) + 1) + "--:|" * 3)
    for row in paired.to_dict("records"):
        cells = [
            short_json(str(row[name]), [str(one) for one in paired[name]])
            if name in ("params", "at")
            else str(row[name])
            for name in told
        ]
        low, high = row["ci_low"], row["ci_high"]
        interval = f"{low:+.4f} to {high:+.4f}" if low == low else ""  # missing: not a number
        cells += [str(row["model"]), f"{row['difference']:+.4f}", interval, str(row["n"])]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _line(
    model: str, baseline: str, head: Header, sides: tuple[Entry, Entry]
) -> list[dict[str, object]]:
    mine, base = (entry.by_seed for entry in sides)
    common = sorted(set(mine) & set(base))
    if any(entry.status == ABSENT for entry in sides):
        return []
    found = paired_differences(mine, base) if common else None
    statuses = [entry.status for entry in sides if not entry.by_seed] or ["incomplete"]
    told = ("dataset", "probe", "params", "layer", "layer_b", "at", "side")
    return [
        {"model": model, "baseline": baseline}
        | {name: head.get(name) for name in told}
        | {
            "difference": found.value if found else None,
            "ci_low": found.ci_low if found else None,
            "ci_high": found.ci_high if found else None,
            "ci_kind": found.ci_kind if found else "",
            "n": len(common),
            "seeds": " ".join(map(str, common)),
            "unit": sides[0].unit,
            "direction": sides[0].direction,
            "status": "ok" if found else statuses[0],
        }
    ]


def _known(frame: pd.DataFrame, column: str, names: list[str]) -> None:
    present = sorted({str(value) for value in frame[column] if str(value)})
    for name in names:
        if name not in present:
            raise InputError(f"The table has no {column} {name!r}. {nearest(name, present)}")
