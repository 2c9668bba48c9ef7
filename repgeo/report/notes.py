"""What a table has to say of itself: what was averaged, over what, and what its intervals are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from repgeo.report.aggregate import ABSENT, Aggregate, Entry, Group
from repgeo.report.labels import head_parts

__all__ = ["INTERVALS", "footnotes"]

#: The kinds of interval (`ci_kind`) in words.
INTERVALS: Final = {
    "t:seeds": "Student-t over seeds",
    "t:samples": "Student-t over samples",
    "t:clusters": "Student-t over clusters of samples",
    "wilson:samples": "Wilson over samples",
    "order:samples": "order statistics of the samples",
    "bootstrap:samples": "bootstrap of the samples",
    "bootstrap:clusters": "bootstrap of clusters of samples",
}


def footnotes(table: Aggregate, *, best: str = "Bold") -> list[str]:
    """The sentences below a table, in a fixed order; only those that apply.

    `best` is what sets off the best entry.
    """
    return [
        *_seeds(table),
        *_intervals(table),
        *_pairs(table),
        *_marks(table, best),
        *_left_out(table),
    ]


def _name(table: Aggregate, place: tuple[int, int]) -> str:
    """The kind of number at a place: its probe, metric and what else tells it apart."""
    row, column = place
    head = table.columns[column] if table.metrics_in == "columns" else table.rows[row]
    parts = [head.get("probe"), *head_parts(table, head)]
    return " ".join(dict.fromkeys(part for part in parts if part))


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _seeds(table: Aggregate) -> list[str]:
    full: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for group in table.groups:
        if group.used and group.used == group.seeds:
            full.setdefault(group.used, []).append(group.places[0])
    found = []
    for seeds, places in full.items():
        what = "Values are" if len(full) == 1 else f"{_several(table, places)}: values are"
        of = f"means over the seeds {_listed(seeds)}"
        found.append(f"{what} {of if len(seeds) > 1 else f'of the seed {seeds[0]} alone'}.")
    short: dict[str, list[tuple[int, int]]] = {}
    for group in table.groups:
        if group.used != group.seeds and _compared(table, group):
            which = f" ({_listed(group.used)})" if group.used else ""
            text = f"{len(group.used)} of {len(group.seeds)} seeds{which}; {_gaps(group)}"
            short.setdefault(text, []).append(group.places[0])
    if short:
        found.append(
            "(k/n): only the k of n seeds count at which every compared model has all its cells."
        )
        found += [f"{_several(table, places)}: {text}." for text, places in short.items()]
    return found


def _gaps(group: Group) -> str:
    models: dict[tuple[int, str], list[str]] = {}
    for seed, model, what in group.gaps:
        models.setdefault((seed, what), []).append(model)
    told = []
    for (seed, what), named in models.items():
        who = ", ".join(named) if len(named) < 4 else f"{len(named)} models"
        told.append(f"seed {seed}: {who} {what}")
    return "; ".join(told)


def _compared(table: Aggregate, group: Group) -> bool:
    return any(table.entries[place].by_seed for place in group.places)


def _several(table: Aggregate, places: Iterable[tuple[int, int]]) -> str:
    """The kinds of number at several places; a probe with all its kinds is told by its name."""
    all_names: dict[str, set[str]] = {}
    for place, entry in table.entries.items():
        if entry.status != ABSENT:
            all_names.setdefault(_probe(table, place), set()).add(_name(table, place))
    chosen: dict[str, list[str]] = {}
    for place in places:
        chosen.setdefault(_probe(table, place), []).append(_name(table, place))
    found = []
    for probe, names in chosen.items():
        several = len(set(names)) > 1 and set(names) == all_names[probe]
        found += [probe] if several and probe else list(dict.fromkeys(names))
    return "; ".join(found[:6]) + (f"; {len(found) - 6} more" if len(found) > 6 else "")


def _probe(table: Aggregate, place: tuple[int, int]) -> str:
    row, column = place
    return (table.columns[column] if table.metrics_in == "columns" else table.rows[row]).get(
        "probe"
    )


def _intervals(table: Aggregate) -> list[str]:
    kinds: dict[str, list[tuple[int, int]]] = {}
    for place, entry in table.entries.items():
        if entry.estimate is not None:
            kinds.setdefault(entry.estimate.ci_kind, []).append(place)
    without = kinds.pop("", [])
    told = [
        INTERVALS.get(kind, kind) + (f" ({_several(table, places)})" if len(kinds) > 1 else "")
        for kind, places in kinds.items()
    ]
    found = [f"± and [low, high] are 95 % intervals: {'; '.join(told)}."] if told else []
    if without:
        few = any(len(table.entries[place].seeds) < 3 for place in without)
        why = "fewer than three seeds" if few else "values that are not finite"
        where = f" ({_several(table, without)})" if kinds else ""
        found.append(f"Without ±{where}: no interval, for {why}.")
    return found


def _pairs(table: Aggregate) -> list[str]:
    heads = table.columns if table.metrics_in == "columns" else table.rows
    sides = {head.get("side") for head in heads}
    found = []
    if "others" in sides:
        found.append(
            "others: the mean over the other models as second model, at each seed, without the "
            "diagonal" + ("; self: the diagonal." if "self" in sides else ".")
        )
    for group in table.groups:
        if group.dropped:
            found.append(
                f"{_name(table, group.places[0])}: averages leave out {', '.join(group.dropped)} "
                "as second model, which has no number with any model."
            )
        if group.uneven:
            found.append(
                f"{_name(table, group.places[0])}: the models are paired with unlike sets of "
                "others, so their averages are not ranked."
            )
    return list(dict.fromkeys(found))


def _marks(table: Aggregate, best: str) -> list[str]:
    entries = table.entries.values()
    if any(entry.mark for entry in entries):
        return [
            f"{best} is the best mean; ≈ is not distinguishable from it: the 95 % Student-t "
            "interval of the paired differences over seeds contains 0 (not adjusted for the number "
            "of models). Where nothing can be told from the best, nothing is marked."
        ]
    ranked = [e for e in entries if e.status == "ok" and e.direction in ("higher", "lower")]
    if len(ranked) > 1 and all(len(entry.seeds) < 3 for entry in ranked):
        return ["No entry is marked as best: fewer than three common seeds."]
    return []


def _left_out(table: Aggregate) -> list[str]:
    lines: dict[str, list[tuple[int, int]]] = {}
    for (row, column), entry in table.entries.items():
        if entry.status in ("ok", ABSENT):
            continue
        heads = (table.rows[row], table.columns[column])
        model = next((head.get("model") for head in heads if "model" in head.names), "")
        lines.setdefault(f"{model} {_why(entry)}", []).append((row, column))
    found = [f"Not compared: {text} in {_several(table, where)}." for text, where in lines.items()]
    if any(entry.status == ABSENT for entry in table.entries.values()):
        found.append("-: not measured.")
    return found


def _why(entry: Entry) -> str:
    return entry.status + (f" ({entry.reason})" if entry.reason else "")
