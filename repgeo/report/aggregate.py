"""Tables of means over seeds that compare only what all compared models have."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from repgeo.errors import ConfigurationError, nearest
from repgeo.probes.intervals import Estimate, over_seeds
from repgeo.probes.rows import KEY_COLUMNS, STATUSES
from repgeo.report.pairing import standings
from repgeo.report.records import SIDES, Record, mean_of, read_records, with_sides

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ABSENT",
    "Aggregate",
    "Entry",
    "Group",
    "Header",
    "aggregate",
]

#: The status of an entry that no cell belongs to.
ABSENT: Final = "absent"

#: What a header is split by where it varies, in this order, so that unlike things never mix.
_SPLIT: Final = (
    "task",
    "dataset",
    "probe",
    "metric",
    "params",
    "layer",
    "layer_b",
    "at",
    "side",
)

#: What is compared with each other within a column.
_COMPARED: Final = ("model", "model_b", "layer", "layer_b")


@dataclass(frozen=True, eq=False)
class Header:
    """The head of a row or a column.

    Attributes
    ----------
    names
        The dimensions that tell it apart: those asked for, and those it was split by.
    constants
        Every dimension that is the same in all its numbers, with the value.
    """

    names: tuple[str, ...]
    constants: Mapping[str, str]

    def get(self, dimension: str) -> str:
        """The value of a dimension that is constant here, "" otherwise."""
        return self.constants.get(dimension, "")


@dataclass(frozen=True)
class Entry:
    """One entry of the table.

    Attributes
    ----------
    status
        "ok"; the status of a model's cells where it has no complete seed ("failed", "blocked",
        ...); "absent" where there is no cell; "incomplete" where cells are not there yet, or where
        the compared models have no complete seed in common; "undefined" where plus and minus
        infinity meet.
    estimate
        The mean over the seeds used, with its interval; None unless the status is "ok".
    seeds, of
        The seeds used, and how many there are.
    by_seed
        The value at every seed where this entry is complete, used or not.
    partners
        The models that each value is a mean over (pair probes), else ().
    unit, direction, chance
        Of the metric; the chance level as its smallest and largest value over the cells used.
    mark
        "best", "tied" or "" (see `repgeo.report.pairing.standings`).
    reason
        What kept it from being compared.
    """

    status: str
    estimate: Estimate | None = None
    seeds: tuple[int, ...] = ()
    of: int = 0
    by_seed: Mapping[int, float] = field(default_factory=dict)
    partners: tuple[str, ...] = ()
    unit: str = ""
    direction: str = "none"
    chance: tuple[float, float] | None = None
    mark: str = ""
    reason: str = ""

    @property
    def coverage(self) -> float:
        """Share of the seeds that the value is a mean over."""
        return len(self.seeds) / self.of if self.of else 0.0


@dataclass(frozen=True)
class Group:
    """Entries that are compared with each other.

    Attributes
    ----------
    places
        (row, column) of its entries.
    used, seeds
        The seeds averaged over, and all.
    gaps
        Why seeds are not used: (seed, model, what is wrong with it).
    dropped
        Second models of pairs that are left out of every average, having no number at all.
    uneven
        Whether the entries are averages over unlike sets of other models.
    """

    places: tuple[tuple[int, int], ...]
    used: tuple[int, ...]
    seeds: tuple[int, ...]
    gaps: tuple[tuple[int, str, str], ...] = ()
    dropped: tuple[str, ...] = ()
    uneven: bool = False


@dataclass(frozen=True)
class Aggregate:
    """A table of estimates over seeds.

    Attributes
    ----------
    rows, columns
        The heads.
    entries
        (row, column) -> entry, for every place.
    groups
        What was compared with what, and over which seeds.
    row_names, column_names
        The dimensions asked for.
    metrics_in
        Whether a row or a column is one metric of one probe.
    """

    rows: tuple[Header, ...]
    columns: tuple[Header, ...]
    entries: Mapping[tuple[int, int], Entry]
    groups: tuple[Group, ...]
    row_names: tuple[str, ...]
    column_names: tuple[str, ...]
    metrics_in: Literal["rows", "columns"]

    def to_frame(self) -> pd.DataFrame:
        """One row per entry, at full precision; missing numbers are missing, never zero."""
        import pandas as pd

        records = []
        for (row, column), entry in self.entries.items():
            heads = dict(self.rows[row].constants) | dict(self.columns[column].constants)
            estimate = entry.estimate or Estimate(math.nan)
            low, high = entry.chance or (None, None)
            record: dict[str, object] = {
                name: heads.get(name, "") for name in (*KEY_COLUMNS[:-1], "side")
            } | {
                "value": entry.estimate.value if entry.estimate else None,
                "ci_low": estimate.ci_low,
                "ci_high": estimate.ci_high,
                "ci_kind": estimate.ci_kind,
                "unit": entry.unit,
                "direction": entry.direction,
                "chance_low": low,
                "chance_high": high,
                "status": entry.status,
                "mark": entry.mark,
                "seeds": " ".join(map(str, entry.seeds)),
                "coverage": entry.coverage,
                "partners": len(entry.partners),
                "reason": entry.reason,
            }
            records.append(record)
        numbers = ("value", "ci_low", "ci_high", "chance_low", "chance_high")
        return pd.DataFrame(records).astype(dict.fromkeys(numbers, "float64"))


def aggregate(
    frame: pd.DataFrame,
    *,
    rows: Sequence[str] = ("model",),
    columns: Sequence[str] = ("metric",),
) -> Aggregate:
    """Means over task seeds, of like things only, over what all compared models have.

    1. A column (a row, where the metric or the probe is in the rows) is split by every other
       dimension that varies within it: task, dataset, probe, metric, params, layer, layer_b, at.
    2. A pair probe whose second model is in neither rows nor columns gives, per seed, the mean over
       the other models; the diagonal ("self") is a column of its own.
    3. A model that has all its cells at no seed is not compared; the entry says why. A second model
       that nobody has a number with is left out for everybody. Of the rest, a seed counts only if
       *every* compared model has *all* its cells there.
    4. Over the seeds that count: the mean, with a 95 % Student-t interval from three on. A single
       number of a single seed keeps its own interval.

    Parameters
    ----------
    frame
        The table of a study (`repgeo.probes.rows.COLUMNS`).
    rows, columns
        Columns of the table: task, dataset, model, model_b, layer, layer_b, probe, params, metric,
        at, seed. The model is added to the rows where it is in neither: models are not averaged.

    Raises
    ------
    InputError
        If the table is empty or holds two values for one number.
    ConfigurationError
        If a dimension is unknown, or named twice.

    Notes
    -----
    Cost: linear in the number of rows.

    Examples
    --------
    >>> from repgeo.probes.rows import to_frame
    >>> cell = {"probe": "accuracy", "metric": "accuracy", "status": "ok", "direction": "higher"}
    >>> values = {"mlp": [0.8, 0.9, 1.0], "cnn": [0.9, 0.9]}
    >>> table = aggregate(to_frame(
    ...     cell | {"model": model, "seed": seed, "value": value}
    ...     for model, numbers in values.items() for seed, value in enumerate(numbers)))
    >>> entry = table.entries[0, 0]  # cnn has no seed 2, so the mlp is not averaged over it either
    >>> round(entry.estimate.value, 3), entry.seeds, entry.of
    (0.85, (0, 1), 3)
    """
    row_names, column_names = _dimensions(rows, columns)
    records = read_records(frame)
    if "model_b" not in row_names + column_names:
        records = with_sides(records)
    in_rows = bool({"metric", "probe"} & set(row_names)) and "metric" not in column_names
    row_heads = _headers(records, row_names, _SPLIT if in_rows else (), column_names)
    column_heads = _headers(records, column_names, () if in_rows else _SPLIT, row_names)
    row_of = {index: row for row, (_, block) in enumerate(row_heads) for index in block}
    column_of = {index: column for column, (_, block) in enumerate(column_heads) for index in block}
    heads = tuple(head for head, _ in row_heads)
    tops = tuple(head for head, _ in column_heads)
    members_of: dict[tuple[int, int], list[Record]] = {}
    for index, record in enumerate(records):
        members_of.setdefault((row_of[index], column_of[index]), []).append(record)
    grouped: dict[tuple[str, ...], dict[tuple[int, int], list[Record]]] = {}
    for (row, column), members in members_of.items():
        kind, other = (heads[row], tops[column]) if in_rows else (tops[column], heads[row])
        grouped.setdefault(_group_key(kind, other), {})[row, column] = members
    shape = (len(heads), len(tops))
    entries = {(int(row), int(column)): Entry(ABSENT) for row, column in np.ndindex(shape)}
    groups = []
    for group in sorted(grouped.values(), key=lambda places: min((c, r) for r, c in places)):
        compared, found = _compare_members(group)
        groups.append(compared)
        entries |= found
    return Aggregate(
        heads,
        tops,
        entries,
        tuple(groups),
        row_names,
        column_names,
        "rows" if in_rows else "columns",
    )


def _dimensions(
    rows: Sequence[str], columns: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    named = [*rows, *columns]
    for name in named:
        if name not in KEY_COLUMNS:
            raise ConfigurationError(
                f"A table cannot be arranged by {name!r}. {nearest(name, KEY_COLUMNS)}"
            )
        if named.count(name) > 1:
            raise ConfigurationError(f"The dimension {name!r} is named twice; name it once.")
    if "model" not in named:
        return ("model", *rows), tuple(columns)
    return tuple(rows), tuple(columns)


def _headers(
    records: Sequence[Record], names: tuple[str, ...], split: Sequence[str], others: tuple[str, ...]
) -> list[tuple[Header, list[int]]]:
    """Headers with their records: by `names`, refined by every dimension of `split` that varies."""
    blocks: dict[tuple[str, ...], list[int]] = {}
    for index, record in enumerate(records):
        blocks.setdefault(tuple(record.get(name) for name in names), []).append(index)
    leaves: list[tuple[tuple[str, ...], list[int]]] = [(names, block) for block in blocks.values()]
    for dimension in split:
        if dimension in names or dimension in others:
            continue
        leaves = [leaf for parent in leaves for leaf in _refine(parent, dimension, records)]
    if split:  # probes in the order of the table, whatever metrics they share
        probes = list(dict.fromkeys((r.task, r.dataset, r.probe) for r in records))
        place = {probe: index for index, probe in enumerate(probes)}
        first = [records[block[0]] for _, block in leaves]
        order = [place[r.task, r.dataset, r.probe] for r in first]
        leaves = [leaves[i] for i in sorted(range(len(leaves)), key=order.__getitem__)]
    return [(_header(leaf_names, block, records), block) for leaf_names, block in leaves]


def _header(names: tuple[str, ...], block: Sequence[int], records: Sequence[Record]) -> Header:
    constants = {}
    first = records[block[0]]
    for dimension in (*KEY_COLUMNS, "side"):
        value = getattr(first, dimension)
        if all(getattr(records[index], dimension) == value for index in block):
            constants[dimension] = str(value)
    return Header(names, constants)


def _refine(
    leaf: tuple[tuple[str, ...], list[int]], dimension: str, records: Sequence[Record]
) -> list[tuple[tuple[str, ...], list[int]]]:
    names, block = leaf
    parts: dict[str, list[int]] = {}
    for index in block:
        parts.setdefault(records[index].get(dimension), []).append(index)
    if len(parts) == 1:
        return [leaf]
    if dimension == "side":
        parts = {side: parts[side] for side in ("", *SIDES) if side in parts}
    return [((*names, dimension), part) for part in parts.values()]


def _group_key(kind: Header, other: Header) -> tuple[str, ...]:
    """Entries with the same key are compared: everything but the models (and layers) agrees."""
    key = [f"{name}={kind.get(name)}" for name in dict.fromkeys((*_SPLIT, *kind.names))]
    key = [part for part in key if not part.startswith("model=")]
    return (*key, *(f"{name}={other.get(name)}" for name in other.names if name not in _COMPARED))


def _compare_members(
    members: Mapping[tuple[int, int], list[Record]],
) -> tuple[Group, dict[tuple[int, int], Entry]]:
    seeds = tuple(sorted({record.seed for records in members.values() for record in records}))
    dropped = _partners_without_number(members)
    entries: dict[tuple[int, int], Entry] = {}
    complete: dict[tuple[int, int], dict[int, list[Record]]] = {}
    gaps: list[tuple[int, str, str]] = []
    for place, records in members.items():
        kept = [r for r in records if not (r.side == "others" and r.model_b in dropped)]
        found, missing = _complete_seeds(kept, seeds)
        if found:
            complete[place] = found
            gaps += missing
        else:
            entries[place] = _not_compared(records, len(seeds))
    used = tuple(s for s in seeds if complete and all(s in found for found in complete.values()))
    uneven = len({_company(members[place], dropped) for place in complete}) > 1
    entries |= {place: _entry(found, used, len(seeds)) for place, found in complete.items()}
    group = Group(tuple(members), used, seeds, tuple(gaps), tuple(sorted(dropped)), uneven)
    return group, entries if uneven else _marked(entries, members)


def _not_compared(records: Sequence[Record], of: int) -> Entry:
    example = records[0]
    plain = Entry("incomplete", of=of, unit=example.unit, direction=example.direction)
    failed = [record for record in records if not record.ok]
    if not failed:
        return replace(plain, reason="some of its cells are not there")
    counts = Counter(record.status for record in failed)
    status = min(counts, key=lambda name: (-counts[name], _severity(name)))
    reasons = list(dict.fromkeys(r.reason for r in failed if r.status == status and r.reason))
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return replace(plain, status=status, reason=(reasons[0] + more) if reasons else "")


def _severity(status: str) -> int:
    return STATUSES.index(status) if status in STATUSES else len(STATUSES)


def _partners_without_number(members: Mapping[tuple[int, int], list[Record]]) -> set[str]:
    pairs = [r for records in members.values() for r in records if r.side == "others"]
    with_number = {r.model_b for r in pairs if r.ok}
    # If nobody has a number with anybody, leaving all out would hide why.
    return {r.model_b for r in pairs} - with_number if with_number else set()


def _complete_seeds(
    records: Sequence[Record], seeds: Sequence[int]
) -> tuple[dict[int, list[Record]], list[tuple[int, str, str]]]:
    """The seeds at which all cells of one entry gave a number, and what is wrong at the others."""
    needed = {record.model_b for record in records if record.side == "others"}
    found: dict[int, list[Record]] = {}
    gaps = []
    for seed in seeds:
        here = [record for record in records if record.seed == seed]
        ok = [record for record in here if record.ok]
        present = {record.model_b for record in ok if record.side == "others"}
        if ok and len(ok) == len(here) and present == needed:
            found[seed] = ok
            continue
        failed = next((record for record in here if not record.ok), None)
        pair = f" with {failed.model_b}" if failed and failed.side == "others" else ""
        gaps.append((seed, records[0].model, f"{failed.status}{pair}" if failed else "missing"))
    return found, gaps


def _company(records: Sequence[Record], dropped: set[str]) -> frozenset[str]:
    others = {r.model_b for r in records if r.side == "others"} - dropped
    return frozenset(others | {r.model for r in records} - dropped) if others else frozenset()


def _entry(found: Mapping[int, list[Record]], used: Sequence[int], of: int) -> Entry:
    example = next(iter(found.values()))[0] if found else None
    unit, direction = (example.unit, example.direction) if example else ("", "none")
    values = {seed: mean_of([_value(r) for r in here]) for seed, here in found.items()}
    records = [record for seed in used for record in found[seed]]
    partners = tuple(dict.fromkeys(r.model_b for r in records if r.side == "others"))
    plain = Entry(
        "incomplete", of=of, by_seed=values, partners=partners, unit=unit, direction=direction
    )
    if not used:
        return replace(plain, reason="no seed at which all compared models have all their cells")
    estimate = _estimate([values[seed] for seed in used], records)
    if math.isnan(estimate.value):
        reason = "a mean of plus and minus infinity"
        return replace(plain, status="undefined", seeds=tuple(used), reason=reason)
    chances = [record.chance for record in records if record.chance is not None]
    chance = (min(chances), max(chances)) if chances else None
    return replace(plain, status="ok", estimate=estimate, seeds=tuple(used), chance=chance)


def _value(record: Record) -> float:
    return record.estimate.value if record.estimate else math.nan


def _estimate(values: Sequence[float], records: Sequence[Record]) -> Estimate:
    own = records[0].estimate
    if len(records) == 1 and own is not None:
        return own
    if all(math.isfinite(value) for value in values):
        return over_seeds(np.array(values))
    return Estimate(mean_of(values), n=len(values))


def _marked(
    entries: dict[tuple[int, int], Entry], members: Mapping[tuple[int, int], list[Record]]
) -> dict[tuple[int, int], Entry]:
    # On a table of pairs the diagonal is no competitor: a model always knows itself best.
    own = {place for place, r in members.items() if any(one.diagonal and not one.side for one in r)}
    rivals = {
        place: {seed: entry.by_seed[seed] for seed in entry.seeds}
        for place, entry in entries.items()
        if entry.status == "ok" and place not in own
    }
    directions = {entries[place].direction for place in rivals}
    if len(directions) != 1:
        return entries
    marks = standings(rivals, directions.pop())
    return {place: replace(e, mark=marks.get(place, "")) for place, e in entries.items()}
