"""The leaderboard: one static page that needs neither a server nor a network."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from repgeo.errors import InputError
from repgeo.identity import canonical_json
from repgeo.report.aggregate import ABSENT, Aggregate, Entry
from repgeo.report.labels import blocks, chance_text, head_parts, unit_text
from repgeo.report.ledger import Verdict, ledger
from repgeo.report.matrices import matrices_html
from repgeo.report.notes import INTERVALS, footnotes
from repgeo.report.overviews import MOST_COLUMNS, is_too_wide, overviews
from repgeo.report.rounding import estimate_text
from repgeo.report.tables import failures, row_names, summary_lines

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["leaderboard_html"]


def leaderboard_html(
    frame: pd.DataFrame,
    *,
    title: str,
    expected: Sequence[Mapping[str, Any]] | None = None,
    notes: Sequence[str] = (),
) -> str:
    """One HTML page of a study: models by metrics, pair matrices, failures, and expected numbers.

    The page is one file without external resources; it reads without JavaScript, in the order of
    the table, and with it sorts by a click on a head and filters by model. A table per dataset.

    Parameters
    ----------
    frame
        The table of a study (`repgeo.probes.rows.COLUMNS`).
    title
        The heading.
    expected
        The task's `[[expected]]` as dicts (see `repgeo.report.ledger`).
    notes
        The task's notes, a sentence or more each.

    Raises
    ------
    InputError
        If the table is empty.
    """
    if not len(frame):
        raise InputError("The table has no rows: there is nothing to show. Run the study first.")
    parts = []
    for name, part in _by_dataset(frame):
        where = f" on {name}" if name else ""
        pairs = part["model_b"] != ""
        for heading, rows in (("Models", part.loc[~pairs]), ("Pairs of models", part.loc[pairs])):
            if len(rows):
                parts.append(f"<h2>{html.escape(heading + where)}</h2>")
                tables = overviews(rows)
                if not tables:
                    parts.append(f"<p>More than {MOST_COLUMNS} columns: see the table itself.</p>")
                for table in tables:
                    parts += [_wide_table(table), _notes(table)]
                if not is_too_wide(rows):
                    parts.append(matrices_html(rows))
    if notes:
        items = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
        parts.append(f'<h2>Notes</h2>\n<ul class="notes">{items}</ul>')
    if expected:
        parts.append(_ledger(ledger(frame, expected)))
    parts += [_failures(frame), _footer(frame)]
    body = "\n".join(part for part in parts if part)
    counts = summary_lines(frame).partition("\n")[0]
    total, _, statuses = counts.partition(": ")
    badges = "".join(
        f'<span class="count{"" if text.endswith(" ok") else " bad"}">{html.escape(text)}</span>'
        for text in statuses.split(", ")
        if text
    )
    return _PAGE.format(
        title=html.escape(title),
        css=_asset("leaderboard.css"),
        js=_asset("leaderboard.js"),
        summary=f'<p class="lead">{html.escape(total)} {badges}</p>',
        body=body,
    )


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{css}</style>
</head>
<body>
<header>
<h1>{title}</h1>
{summary}
</header>
<p class="filter" hidden><label>Filter models <input type="search" placeholder="part of a name"></label></p>
<main>
{body}
</main>
<script>
{js}</script>
</body>
</html>
"""  # noqa: E501 - one line of HTML


def _asset(name: str) -> str:
    return resources.files("repgeo.report").joinpath(name).read_text(encoding="utf-8")


def _by_dataset(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    keys = list(dict.fromkeys(zip(frame["task"], frame["dataset"], strict=True)))
    if len(keys) <= 1:
        return [(str(keys[0][1]) if keys else "", frame)]
    several_tasks = len({task for task, _ in keys}) > 1
    found = []
    for task, dataset in keys:
        part = frame.loc[(frame["task"] == task) & (frame["dataset"] == dataset)]
        words = [str(dataset), f"({task})" if several_tasks else ""]
        found.append((" ".join(word for word in words if word), part))
    return found


def _wide_table(table: Aggregate) -> str:
    order = [column for _, columns in blocks(table) for column in columns]
    firsts = {columns[0] for _, columns in blocks(table)}
    scales = {column: _scale(table, column) for column in order}
    lines = ['<div class="scroll"><table class="sortable">', "<thead>", _probe_heads(table)]
    lines.append(f"<tr>{''.join(_head(table, c, i, firsts) for i, c in enumerate(order, 1))}</tr>")
    lines += ["</thead>", "<tbody>"]
    for row, head in enumerate(table.rows):
        model = html.escape(head.get("model"))
        cells = [
            _cell(table.entries[row, column], scales[column], column in firsts) for column in order
        ]
        names = html.escape(" ".join(filter(None, row_names(table, head, row))))
        lines.append(f'<tr data-model="{model}"><th scope="row">{names}</th>{"".join(cells)}</tr>')
    lines += ["</tbody>", _chance_row(table, order, firsts), "</table></div>"]
    return "\n".join(line for line in lines if line)


def _probe_heads(table: Aggregate) -> str:
    groups = "".join(
        f'<th class="probe" scope="colgroup" colspan="{len(columns)}">{html.escape(title)}</th>'
        for title, columns in blocks(table)
    )
    names = html.escape(", ".join(table.row_names))
    stub = (
        '<th class="names" scope="col" rowspan="2" aria-sort="none" data-column="0" '
        f'data-kind="text"><button type="button">{names}</button></th>'
    )
    return f"<tr>{stub}{groups}</tr>"


def _head(table: Aggregate, column: int, position: int, firsts: Iterable[int]) -> str:
    first, *rest = head_parts(table, table.columns[column])
    unit = unit_text(table, column=column)
    name = html.escape(first) + ("&nbsp;" * bool(unit)) + html.escape(unit)
    lines = [line for part in rest for line in part.split(" ")]  # narrow columns
    small = "".join(f"<small>{html.escape(line)}</small>" for line in lines)
    directions = {table.entries[row, column].direction for row in range(len(table.rows))}
    start = "ascending" if directions <= {"lower", "none"} and "lower" in directions else ""
    return (
        f'<th scope="col"{_first(column in firsts)} aria-sort="none" data-column="{position}" '
        f'data-kind="number" data-first="{start or "descending"}">'
        f'<button type="button">{name}</button>{small}</th>'
    )


def _first(is_first: bool, *classes: str) -> str:
    names = [*classes, "first"] if is_first else list(classes)
    return f' class="{" ".join(names)}"' if names else ""


def _scale(table: Aggregate, column: int) -> tuple[float, float] | None:
    """The common axis of a column's bars: all values, interval ends and chance levels."""
    numbers: list[float] = []
    for row in range(len(table.rows)):
        entry = table.entries[row, column]
        if entry.estimate is not None:
            ends = (entry.estimate.value, entry.estimate.ci_low, entry.estimate.ci_high)
            numbers += [end for end in ends if end is not None and math.isfinite(end)]
            numbers += entry.chance or ()
    if not numbers or min(numbers) == max(numbers):
        return None
    return min(numbers), max(numbers)


def _cell(entry: Entry, scale: tuple[float, float] | None, is_first: bool) -> str:
    if entry.estimate is None:
        if entry.status == ABSENT:
            return f'<td{_first(is_first, "absent")} data-sort="" title="not measured">-</td>'
        reason = html.escape(entry.reason or "no message")
        return (
            f'<td{_first(is_first, "status")} data-sort="" title="{reason}"><details><summary>'
            f"{html.escape(entry.status)}</summary><p>{reason}</p></details></td>"
        )
    value, uncertainty = estimate_text(entry.estimate)
    small = [uncertainty] if uncertainty else []
    small += ["≈"] if entry.mark == "tied" else []
    small += [f"({len(entry.seeds)}/{entry.of})"] if entry.coverage < 1 else []
    kind = INTERVALS.get(entry.estimate.ci_kind, "no interval")
    seeds = ", ".join(map(str, entry.seeds))
    classes = [entry.mark] if entry.mark else []
    return (
        f'<td{_first(is_first, *classes)} data-sort="{entry.estimate.value!r}" '
        f'title="seeds {seeds}; {html.escape(kind)}">{value}'
        f"<small>{html.escape(' '.join(small)) or '&nbsp;'}</small>{_bar(entry, scale)}</td>"
    )


def _bar(entry: Entry, scale: tuple[float, float] | None) -> str:
    estimate = entry.estimate
    if scale is None or estimate is None or not math.isfinite(estimate.value):
        return ""
    low, high = scale

    def percent(number: float) -> float:
        return 3 + 94 * (number - low) / (high - low)

    parts = []
    if entry.chance is not None:
        parts.append(f'<u style="left:{percent(sum(entry.chance) / 2):.1f}%"></u>')
    if estimate.ci_low is not None and estimate.ci_high is not None:
        start, end = percent(estimate.ci_low), percent(estimate.ci_high)
        parts.append(f'<i style="left:{start:.1f}%;width:{end - start:.1f}%"></i>')
    parts.append(f'<b style="left:{percent(estimate.value):.1f}%"></b>')
    return f'<span class="bar" aria-hidden="true">{"".join(parts)}</span>'


def _chance_row(table: Aggregate, order: Sequence[int], firsts: Iterable[int]) -> str:
    texts = {}
    for column in order:
        entries = [table.entries[row, column] for row in range(len(table.rows))]
        texts[column] = chance_text([e.chance for e in entries if e.chance is not None])
    if not any(texts.values()):
        return ""
    cells = "".join(f"<td{_first(c in firsts)}>{text}</td>" for c, text in texts.items())
    return f'<tfoot><tr><th scope="row">chance</th>{cells}</tr></tfoot>'


def _notes(table: Aggregate) -> str:
    notes = footnotes(table)
    if any(entry.chance for entry in table.entries.values()):
        notes.append("Bars: the interval and the value on an axis of the column; dashed: chance.")
    else:
        notes.append("Bars: the interval and the value on an axis of the column.")
    return f'<ul class="notes">{"".join(f"<li>{html.escape(n)}</li>" for n in notes)}</ul>'


def _ledger(verdicts: Sequence[Verdict]) -> str:
    heads = ("what", "expected", "ours", "verdict", "kind", "source", "of")
    rows = []
    for line in verdicts:
        where = " ".join(
            f"{k}={v if isinstance(v, str) else canonical_json(v)}" for k, v in line.where.items()
        )
        ours = " ".join(p for p in estimate_text(line.ours) if p) if line.ours else "-"
        wanted = f"{line.value:g} ± {line.tolerance:g}"
        verdict = f'<span class="verdict {line.verdict.split()[0]}">{line.verdict}</span>'
        rows.append(
            f"<tr><td><code>{html.escape(where)}</code></td>"
            f'<td class="number">{wanted}</td><td class="number">{ours}</td><td>{verdict}</td>'
            f"<td>{html.escape(line.kind)}</td><td>{html.escape(line.source)}</td>"
            f"<td>{html.escape(line.note)}</td></tr>"
        )
    note = (
        '<p class="legend">Expected: value ± tolerance. Ours: the mean over seeds with its 95 % '
        "interval. It agrees where it lies within the tolerance.</p>"
    )
    return "\n".join(["<h2>Expected numbers</h2>", _plain(heads, rows), note])


def _plain(heads: Sequence[str], rows: Sequence[str]) -> str:
    top = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in heads)
    body = "\n".join(rows)
    return (
        f'<div class="scroll"><table class="plain"><thead><tr>{top}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _failures(frame: pd.DataFrame) -> str:
    found = failures(frame)
    if not len(found):
        return "<h2>Failures</h2>\n<p>None: every cell gave its numbers.</p>"
    names = ["model", "model_b", "probe", "seed", "status", "error_type", "error"]
    heads = ("model", "second model", "probe", "seed", "status", "error type", "error")
    rows = [
        "<tr>" + "".join(f"<td>{html.escape(str(row[name]))}</td>" for name in names) + "</tr>"
        for row in found.to_dict("records")
    ]
    return "\n".join([f"<h2>Failures ({len(found)})</h2>", _plain(heads, rows)])


def _footer(frame: pd.DataFrame) -> str:
    def listed(column: str) -> str:
        values = sorted({value for value in frame[column].dropna().tolist() if value != ""})
        return html.escape(", ".join(map(str, values)))

    lines = [
        f"repgeo {listed('version') or '(version unknown)'}",
        f"Task seeds: {listed('seed')}"
        + (f". Dtype: {listed('dtype')}" if listed("dtype") else ""),
        "All intervals are at 95 %. Over seeds: Student-t from three seeds on, none below; within "
        "a cell they name what was resampled: "
        + "; ".join(f"{kind} = {text}" for kind, text in INTERVALS.items())
        + ".",
    ]
    return "<footer>" + "".join(f"<p>{line}</p>" for line in lines) + "</footer>"
