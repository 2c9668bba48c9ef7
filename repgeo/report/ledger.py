"""Numbers to compare with, beside our own: agrees, differs, or why there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from repgeo.errors import ConfigurationError, nearest
from repgeo.probes.intervals import Estimate, over_seeds
from repgeo.probes.rows import WHERE_KEYS
from repgeo.report.records import SIDES, Record, mean_of, read_records, with_sides

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Verdict", "ledger"]

#: What may not vary among the numbers that one expectation is compared with.
_ONE_KIND: Final = ("task", "dataset", "probe", "params", "metric", "at", "layer", "layer_b")


@dataclass(frozen=True)
class Verdict:
    """One expected number and ours.

    Attributes
    ----------
    where
        What the number is of.
    value, tolerance, kind, source
        As the task says them.
    ours
        Our mean over seeds with its interval; None where there is none.
    verdict
        "agrees" (within the tolerance), "differs", "not measured", or "ambiguous".
    note
        The seeds used, the number of models or pairs averaged over, or why there is no verdict.
    """

    where: Mapping[str, Any]
    value: float
    tolerance: float
    kind: str
    source: str
    ours: Estimate | None
    verdict: str
    note: str


def ledger(frame: pd.DataFrame, expected: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    """Compare our means over seeds with expected numbers.

    Per seed, the numbers that match are averaged over models or pairs; a seed counts only if all of
    them are there. Pairs of a model with itself never join the others: `where` says which are meant
    with side = "self" or "others" (the latter by default, unless it names `model_b`). Numbers of
    unlike kinds (another `at`, layer, metric, ...) are never averaged: the verdict is then
    "ambiguous". A number agrees if |ours - value| <= tolerance.

    Parameters
    ----------
    frame
        The table of a study.
    expected
        The task's `[[expected]]`: dicts with where, value, tolerance, kind, source. In `where`, the
        objects `at` and `params` match what contains them.

    Raises
    ------
    ConfigurationError
        If `where` names a column that does not exist, or another side.

    Examples
    --------
    >>> from repgeo.probes.rows import to_frame
    >>> cell = {"model": "mlp", "probe": "accuracy", "metric": "accuracy", "status": "ok"}
    >>> frame = to_frame(cell | {"seed": s, "value": v} for s, v in enumerate([0.94, 0.95, 0.96]))
    >>> line = {"where": {"metric": "accuracy"}, "value": 0.946, "tolerance": 0.02,
    ...         "kind": "reference", "source": "own"}
    >>> ledger(frame, [line])[0].verdict
    'agrees'
    """
    if not expected:
        return []
    records = with_sides(read_records(frame))
    return [_verdict(records, line) for line in expected]


def _verdict(records: Sequence[Record], line: Mapping[str, Any]) -> Verdict:
    where = line["where"]
    for name in where:
        if name not in WHERE_KEYS:
            raise ConfigurationError(
                f"An expected number has no {name!r} to be told by. {nearest(name, WHERE_KEYS)}"
            )
    if where.get("side", SIDES[0]) not in SIDES:
        raise ConfigurationError(
            f"The side of an expected number is {' or '.join(map(repr, SIDES))}, got "
            f"{where['side']!r}."
        )
    found = [record for record in records if _matches(record, where)]
    if "model_b" not in where and "side" not in where:
        found = [record for record in found if not record.diagonal]
    ours, verdict, note = _ours(found)
    if ours is not None:
        close = abs(ours.value - float(line["value"])) <= float(line["tolerance"])
        verdict = "agrees" if close else "differs"
    return Verdict(
        dict(where),
        float(line["value"]),
        float(line["tolerance"]),
        str(line["kind"]),
        str(line["source"]),
        ours,
        verdict,
        note,
    )


def _ours(found: Sequence[Record]) -> tuple[Estimate | None, str, str]:
    if not found:
        return None, "not measured", "no such number in the table"
    for name in _ONE_KIND:
        values = sorted({record.get(name) for record in found})
        if len(values) > 1:
            return None, "ambiguous", f"{name} varies: {' / '.join(values[:3])}; name one"
    seeds = sorted({record.seed for record in found})
    parts = {(record.model, record.model_b) for record in found}
    by_seed = {seed: [record for record in found if record.seed == seed] for seed in seeds}
    used = [s for s, here in by_seed.items() if len(here) == len(parts) and all(r.ok for r in here)]
    if not used:
        why = next(
            (f"{r.model} {r.status}: {r.reason}" for r in found if not r.ok), "missing cells"
        )
        return None, "not measured", f"no complete seed ({why})"
    means = [mean_of([r.estimate.value for r in by_seed[s] if r.estimate]) for s in used]
    of = f"{len(used)} of {len(seeds)} seeds" if len(used) < len(seeds) else f"{len(used)} seeds"
    unit = "pairs" if found[0].model_b else "models"
    note = of + (f", mean over {len(parts)} {unit}" if len(parts) > 1 else "")
    single = by_seed[used[0]][0].estimate
    if len(used) == 1 and len(parts) == 1 and single is not None:
        return single, "", note
    if not np.isfinite(means).all():
        return Estimate(mean_of(means), n=len(used)), "", note
    return over_seeds(np.array(means)), "", note


def _matches(record: Record, where: Mapping[str, Any]) -> bool:
    for name, wanted in where.items():
        value = record.get(name)
        if isinstance(wanted, Mapping):
            entries = json.loads(value) if value else {}
            if any(key not in entries or entries[key] != entry for key, entry in wanted.items()):
                return False
        elif value != str(wanted):
            return False
    return True
