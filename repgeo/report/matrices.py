"""Pair probes as heat tables: first model by second model."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

from repgeo.report.aggregate import ABSENT, Aggregate, Entry, Header, aggregate
from repgeo.report.labels import ARROWS, short_json
from repgeo.report.rounding import estimate_text, number_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["matrices_html"]


def matrices_html(frame: pd.DataFrame) -> str:
    """One heat table per number of each pair probe, numbers in the cells; "" without pairs.

    Rows are first models, columns second models, the diagonal is framed. Every entry is a mean over
    the seeds that all models of its column have; ° marks fewer than all.

    Raises
    ------
    InputError
        If the table holds two values for one number.
    """
    pairs = frame.loc[frame["model_b"] != ""]
    if not len(pairs):
        return ""
    table = aggregate(pairs, rows=("model",), columns=("model_b", "probe", "metric", "at"))
    kinds: dict[tuple[str, ...], list[int]] = {}
    for column, head in enumerate(table.columns):
        kinds.setdefault(tuple(head.get(name) for name in _KIND), []).append(column)
    # Second models in the order of the first ones, so that the diagonal is one.
    order = {head.get("model"): row for row, head in enumerate(table.rows)}
    for columns in kinds.values():
        columns.sort(key=lambda c: order.get(table.columns[c].get("model_b"), len(order)))
    blocks = [_matrix(table, columns) for columns in kinds.values()]
    return "\n".join(['<div class="matrices">', *blocks, "</div>", _LEGEND])


_KIND = ("task", "dataset", "probe", "params", "metric", "at", "layer", "layer_b")

_LEGEND = (
    '<p class="legend">Rows: first model (its encoder, where a probe stitches). Columns: second '
    "model (its head). The diagonal is framed. Means over seeds; ° fewer than all seeds.</p>"
)


def _matrix(table: Aggregate, columns: list[int]) -> str:
    # Models that stand in no pair of this kind have no row in it.
    rows = [
        row
        for row in range(len(table.rows))
        if any(table.entries[row, column].status != ABSENT for column in columns)
    ]
    entries = [table.entries[row, column] for row in rows for column in columns]
    values = [e.estimate.value for e in entries if e.estimate and math.isfinite(e.estimate.value)]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    direction = next((e.direction for e in entries if e.status == "ok"), "none")
    unit = next((e.unit for e in entries if e.status == "ok" and e.unit not in ("", "1")), "")
    chance = next((e.chance for e in entries if e.chance), None)
    head = table.columns[columns[0]]
    words = [_title(table, head), ARROWS.get(direction, ""), f"[{unit}]" if unit else ""]
    scale = f"colour from {number_text(low)} to {number_text(high)}" if values else "no number"
    if chance:
        scale += f"; chance {number_text(sum(chance) / 2)}"
    tops = "".join(
        f'<th scope="col"><span>{html.escape(table.columns[c].get("model_b"))}</span></th>'
        for c in columns
    )
    lines = [
        '<section class="matrix">',
        f"<h3>{html.escape(' '.join(word for word in words if word))}</h3>",
        '<div class="scroll"><table>',
        f'<thead><tr><th class="names" scope="col"></th>{tops}</tr></thead>',
        "<tbody>",
    ]
    for row in rows:
        model = table.rows[row].get("model")
        cells = "".join(
            _cell(table.entries[row, c], model == table.columns[c].get("model_b"), (low, high))
            for c in columns
        )
        lines.append(
            f'<tr data-model="{html.escape(model)}"><th scope="row">{html.escape(model)}</th>'
            f"{cells}</tr>"
        )
    lines += ["</tbody></table></div>", f'<p class="legend">{scale}</p>', "</section>"]
    return "\n".join(lines)


def _title(table: Aggregate, head: Header) -> str:
    same = [one for one in table.columns if one.get("probe") == head.get("probe")]
    told = (short_json(head.get(n), [one.get(n) for one in same]) for n in ("at", "params"))
    layers = (
        f"{name} {head.get(name)}"
        for name in ("layer", "layer_b")
        if len({one.get(name) for one in same}) > 1
    )
    parts = (head.get("probe"), head.get("metric") or "no number", *told, *layers)
    return " · ".join(dict.fromkeys(part for part in parts if part))


def _cell(entry: Entry, diagonal: bool, scale: tuple[float, float]) -> str:
    own = ["self"] if diagonal else []
    if entry.estimate is None:
        if entry.status == ABSENT:
            return f'<td class="{" ".join([*own, "absent"])}" title="not measured">-</td>'
        reason = html.escape(entry.reason or "no message")
        return (
            f'<td class="{" ".join([*own, "status"])}" title="{reason}">'
            f"{html.escape(entry.status)}</td>"
        )
    low, high = scale
    value = entry.estimate.value
    heat = 0.0
    if math.isfinite(value) and high > low:
        heat = (value - low) / (high - low)
    text = number_text(value) + ("°" if entry.coverage < 1 else "")
    exact = " ".join(part for part in estimate_text(entry.estimate) if part)
    title = f"{exact}, {len(entry.seeds)} of {entry.of} seeds"
    attribute = f' class="{own[0]}"' if own else ""
    return f'<td{attribute} style="--heat:{heat:.2f}" title="{html.escape(title)}">{text}</td>'
