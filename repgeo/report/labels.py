"""What heads of rows and columns are called, and in which blocks they stand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from repgeo.report.aggregate import Aggregate, Header

__all__ = ["ARROWS", "Block", "blocks", "chance_text", "head_parts", "short_json", "unit_text"]

#: What the direction of a metric looks like.
ARROWS: Final = {"higher": "↑", "lower": "↓", "none": ""}

#: Told by the block that a head stands in.
_OF_BLOCK: Final = ("task", "dataset", "probe")

_LONG: Final = 4

Block = tuple[str, tuple[int, ...]]


def blocks(table: Aggregate) -> list[Block]:
    """The columns by task, dataset and probe: (title, indices of columns).

    Titles name the probe, what differs, and what the table was asked to have in its columns. A
    table whose rows are the metrics is one block without a title.
    """
    if table.metrics_in == "rows":
        return [("", tuple(range(len(table.columns))))]
    told = [
        name
        for name in _OF_BLOCK
        if name in ("probe", *table.column_names)
        or len({head.get(name) for head in table.columns}) > 1
    ]
    found: dict[str, list[int]] = {}
    for index, head in enumerate(table.columns):
        title = " · ".join(head.get(name) for name in told if head.get(name))
        found.setdefault(title, []).append(index)
    return [(title, tuple(indices)) for title, indices in found.items()]


def head_parts(table: Aggregate, head: Header, *, block: bool = True) -> list[str]:
    """The words that tell a head from its neighbours, most telling first.

    `at` and `params` are shortened to the keys that differ among the heads of the same metric. With
    `block`, what the title of the block says is left out.
    """
    axis = table.columns if any(head is one for one in table.columns) else table.rows
    same = ("dataset", "probe", "metric")
    siblings = [one for one in axis if all(one.get(name) == head.get(name) for name in same)]
    left_out = _OF_BLOCK if block and table.metrics_in == "columns" else ()
    parts = []
    for name in head.names:
        value = head.get(name)
        if name in left_out:
            continue
        if name in ("at", "params"):
            value = short_json(value, [sibling.get(name) for sibling in siblings])
        elif name in ("layer", "layer_b", "seed"):
            value = f"{name} {value}" if value else ""
        elif name == "metric":
            value = value or "no number"
        if value:
            parts.append(value)
    return parts or [head.get("metric") or "no number"]


def short_json(text: str, among: Sequence[str]) -> str:
    """The members of a JSON object that differ among several, as "key=value key=value".

    Of lists with more than four entries only their number is told.

    Examples
    --------
    >>> among = ['{"of":"codes","turn":90}', '{"of":"codes","turn":180}']
    >>> short_json(among[0], among)
    'turn=90'
    """
    entries = _object(text)
    others = [_object(other) for other in among]
    missing = object()
    telling = [
        key
        for key, value in entries.items()
        if any(other.get(key, missing) != value for other in others)
    ]
    return " ".join(f"{key}={_plain(entries[key])}" for key in telling)


def unit_text(table: Aggregate, *, row: int | None = None, column: int | None = None) -> str:
    """Arrow and unit of a row or a column: "↑", "[nats]", "↓ [radian]"."""
    entries = [
        entry
        for (r, c), entry in table.entries.items()
        if r == (r if row is None else row) and c == (c if column is None else column)
    ]
    told = {(e.direction, e.unit) for e in entries if e.status == "ok"}
    told = told or {(e.direction, e.unit) for e in entries if e.status != "absent"}
    if len(told) != 1:
        return ""
    direction, unit = told.pop()
    words = [ARROWS.get(direction, ""), f"[{unit}]" if unit not in ("", "1") else ""]
    return " ".join(word for word in words if word)


def chance_text(levels: Sequence[tuple[float, float]]) -> str:
    """One chance level, or the range of several; "" for none.

    Examples
    --------
    >>> chance_text([(0.1, 0.1)]), chance_text([(0.1, 0.104), (0.09, 0.1)]), chance_text([])
    ('0.1', '0.09 to 0.104', '')
    """
    if not levels:
        return ""
    low = f"{min(low for low, _ in levels):.3g}"
    high = f"{max(high for _, high in levels):.3g}"
    return low if low == high else f"{low} to {high}"


def _object(text: str) -> Mapping[str, Any]:
    if not text:
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        return {"": text}
    return value if isinstance(value, dict) else {"": value}


def _plain(value: Any) -> str:
    if isinstance(value, list) and len(value) > _LONG:
        return f"[{len(value)} entries]"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
