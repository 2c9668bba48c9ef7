"""Aggregates as markdown, CSV, LaTeX, HTML and plain text."""

from __future__ import annotations

import html
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from repgeo.errors import ConfigurationError, nearest
from repgeo.probes.rows import STATUSES
from repgeo.report.aggregate import ABSENT, Aggregate, Entry, Header
from repgeo.report.labels import blocks, chance_text, head_parts, short_json, unit_text
from repgeo.report.notes import footnotes
from repgeo.report.rounding import estimate_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMATS", "as_text", "escape_latex", "failures", "render", "row_names", "summary_lines"]

Format = Literal["md", "csv", "tex", "html"]

FORMATS: Final = ("md", "csv", "tex", "html")

_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "_": r"\_",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "$": r"\$",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "·": r"$\cdot$",
    "\n": " ",
}


@dataclass(frozen=True)
class Sheet:
    """One block of a table as text that no format has escaped yet.

    Attributes
    ----------
    title
        Of the block, "" for none.
    stub
        Heads of the leading columns, that name the rows.
    heads
        The lines of each column's head.
    body
        For each row: the leading cells, and the entries.
    """

    title: str
    stub: tuple[str, ...]
    heads: tuple[tuple[str, ...], ...]
    body: tuple[tuple[tuple[str, ...], tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Cell:
    """One entry as text, with what may set it off."""

    text: str
    mark: str = ""
    failed: bool = False
    reason: str = ""


def render(table: Aggregate, format: Format) -> str:  # noqa: A002 - the word users know
    """A table as text: columns by probe, values rounded by their uncertainty, footnotes below.

    Parameters
    ----------
    table
        What `repgeo.report.aggregate` gave.
    format
        "md" (one table per probe), "tex" (booktabs), "html" (a fragment), or "csv": the entries at
        full precision, one per line, for machines.

    Raises
    ------
    ConfigurationError
        If the format is unknown.

    Examples
    --------
    >>> from repgeo.probes.rows import to_frame
    >>> from repgeo.report.aggregate import aggregate
    >>> cell = {"probe": "accuracy", "metric": "accuracy", "status": "ok", "direction": "higher"}
    >>> frame = to_frame(cell | {"model": "mlp", "seed": s, "value": v, "chance": 0.1}
    ...                  for s, v in enumerate([0.93, 0.95, 0.94]))
    >>> print(render(aggregate(frame), "md"))
    **accuracy**
    <BLANKLINE>
    | model | accuracy ↑ |
    |:--|--:|
    | mlp | 0.940 ± 0.025 |
    | chance | 0.1 |
    <BLANKLINE>
    - Values are means over the seeds 0, 1, 2.
    - ± and [low, high] are 95 % intervals: Student-t over seeds.
    """
    writers: dict[str, Callable[[Aggregate], str]] = {
        "md": _markdown,
        "csv": _csv,
        "tex": _latex,
        "html": _html,
    }
    if format not in writers:
        raise ConfigurationError(f"Unknown table format {format!r}. {nearest(format, FORMATS)}")
    return writers[format](table)


def as_text(table: Aggregate, width: int = 100) -> str:
    """A table as aligned plain text, one block per probe, split further to fit `width` columns.

    The best entry has a `*` (see the footnote).
    """
    parts = []
    for sheet in _sheets(table):
        parts += _text_blocks(sheet, width)
    notes = [_wrapped(note, width) for note in footnotes(table, best="*")]
    return "\n\n".join([*parts, "\n".join(notes)]).rstrip() + "\n"


def failures(frame: pd.DataFrame) -> pd.DataFrame:
    """The cells that gave no number: model, model_b, probe, seed, status, error_type, error."""
    names = ["dataset", "model", "model_b", "probe", "params", "seed"]
    names += ["status", "error_type", "error"]
    return frame.loc[frame["status"] != "ok", names].reset_index(drop=True)


def summary_lines(frame: pd.DataFrame) -> str:
    """Counts of cells by status, and a line for each cell that gave no number.

    Examples
    --------
    >>> from repgeo.probes.rows import to_frame
    >>> ok = {"model": "mlp", "probe": "norm", "seed": 0, "status": "ok", "cell": "a", "value": 1}
    >>> bad = {"model": "cnn", "probe": "norm", "seed": 0, "status": "failed", "cell": "b",
    ...        "error_type": "LayerError", "error": "no layer 'net.9'"}
    >>> print(summary_lines(to_frame([ok, ok | {"metric": "second"}, bad])))
    2 cells: 1 ok, 1 failed
    failed  cnn  norm  seed 0  LayerError: no layer 'net.9'
    """
    key = ["task", "dataset", "model", "model_b", "layer", "probe", "params", "seed", "cell"]
    cells = frame.drop_duplicates(subset=key)
    counts = Counter(str(status) for status in cells["status"])
    order = [*STATUSES, *sorted(set(counts) - set(STATUSES))]
    told = ", ".join(f"{counts[status]} {status}" for status in order if counts[status])
    lines = [f"{len(cells)} cells" + (f": {told}" if told else "")]
    for row in failures(frame).to_dict("records"):
        model = f"{row['model']} -> {row['model_b']}" if row["model_b"] else str(row["model"])
        why = ": ".join(str(row[name]) for name in ("error_type", "error") if row[name])
        why = " ".join(why.split())
        lines.append(
            f"{row['status']}  {model}  {row['probe']}  seed {row['seed']}  {why}".rstrip()
        )
    return "\n".join(lines)


def escape_latex(text: str) -> str:
    r"""Text that LaTeX prints as it is.

    Examples
    --------
    >>> print(escape_latex("50 % of a_b & {c}"))
    50 \% of a\_b \& \{c\}
    """
    return "".join(_LATEX.get(character, character) for character in text)


def _sheets(table: Aggregate) -> list[Sheet]:
    return [_sheet(table, title, columns) for title, columns in blocks(table)]


def _sheet(table: Aggregate, title: str, columns: Sequence[int]) -> Sheet:
    by_rows = table.metrics_in == "rows"
    heads = []
    for column in columns:
        first, *rest = head_parts(table, table.columns[column])
        unit = "" if by_rows else unit_text(table, column=column)
        heads.append((f"{first} {unit}".strip(), *rest))
    body = []
    for row, head in enumerate(table.rows):
        cells = [_cell(table.entries[row, column]) for column in columns]
        if by_rows:
            cells.append(Cell(_chance(table.entries[row, column] for column in columns)))
        body.append((row_names(table, head, row), tuple(cells)))
    if by_rows:
        heads.append(("chance",))
    else:
        levels = [_chance(table.entries[r, c] for r in range(len(table.rows))) for c in columns]
        if any(levels):
            stub = ("chance", *[""] * (len(table.row_names) - 1))
            body.append((stub, tuple(Cell(level) for level in levels)))
    return Sheet(title, table.row_names, tuple(heads), tuple(body))


def row_names(table: Aggregate, head: Header, row: int) -> tuple[str, ...]:
    """What stands at the head of a row, one text for each dimension of the rows."""
    names = [
        short_json(head.get(name), [other.get(name) for other in table.rows])
        if name in ("params", "at")
        else head.get(name)
        for name in table.row_names
    ]
    if table.metrics_in == "rows":
        extra = [name for name in head.names if name not in table.row_names]
        told = head_parts(table, Header(tuple(extra), head.constants)) if extra else []
        names[-1] = " ".join([", ".join([names[-1], *told]), unit_text(table, row=row)]).strip()
    return tuple(names)


def _cell(entry: Entry) -> Cell:
    if entry.estimate is None:
        if entry.status == ABSENT:
            return Cell("-")
        return Cell(entry.status, failed=True, reason=entry.reason)
    parts = [part for part in estimate_text(entry.estimate) if part]
    if entry.mark == "tied":
        parts.append("≈")
    if entry.coverage < 1:
        parts.append(f"({len(entry.seeds)}/{entry.of})")
    return Cell(" ".join(parts), entry.mark)


def _chance(entries: Iterable[Entry]) -> str:
    return chance_text([entry.chance for entry in entries if entry.chance is not None])


def _markdown(table: Aggregate) -> str:
    parts = []
    for sheet in _sheets(table):
        if sheet.title:
            parts += [f"**{_escape_markdown(sheet.title)}**", ""]
        heads = ["<br>".join(map(_escape_markdown, lines)) for lines in sheet.heads]
        parts.append(_markdown_row([*map(_escape_markdown, sheet.stub), *heads]))
        parts.append("|" + ":--|" * len(sheet.stub) + "--:|" * len(heads))
        for names, cells in sheet.body:
            texts = [_markdown_cell(cell) for cell in cells]
            parts.append(_markdown_row([*map(_escape_markdown, names), *texts]))
        parts.append("")
    return "\n".join([*parts, *(f"- {_escape_markdown(note)}" for note in footnotes(table))])


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_cell(cell: Cell) -> str:
    text = _escape_markdown(cell.text)
    return f"**{text}**" if cell.mark == "best" else text


def _escape_markdown(text: str) -> str:
    text = html.escape(" ".join(text.split()), quote=False)
    # Brackets and underscores inside words are text as they are; links and emphasis are not.
    text = re.sub(r"[\\|*`]|(?<!\w)_|_(?!\w)", lambda found: "\\" + found[0], text)
    return text.replace("](", "]\\(")


def _csv(table: Aggregate) -> str:
    return table.to_frame().to_csv(index=False, lineterminator="\n")


def _latex(table: Aggregate) -> str:
    sheets = _sheets(table)
    stub = len(sheets[0].stub)
    heads = [lines for sheet in sheets for lines in sheet.heads]
    lines = [r"\begin{tabular}{" + "l" * stub + "r" * len(heads) + "}", r"\toprule"]
    if any(sheet.title for sheet in sheets):
        spans, rules, start = [], [], stub + 1
        for sheet in sheets:
            end = start + len(sheet.heads) - 1
            spans.append(rf"\multicolumn{{{len(sheet.heads)}}}{{c}}{{{escape_latex(sheet.title)}}}")
            rules.append(rf"\cmidrule(lr){{{start}-{end}}}")
            start = end + 1
        lines += [" & ".join([*[""] * stub, *spans]) + r" \\", " ".join(rules)]
    for level in range(max(map(len, heads))):
        names = sheets[0].stub if level == 0 else [""] * stub
        texts = [head[level] if level < len(head) else "" for head in heads]
        lines.append(" & ".join(map(escape_latex, [*names, *texts])) + r" \\")
    lines.append(r"\midrule")
    lines += _latex_body(sheets)
    lines += [r"\bottomrule", r"\end{tabular}", "", r"\medskip", r"{\footnotesize"]
    lines += [escape_latex(note) + r"\par" for note in footnotes(table)]
    return "\n".join([r"% needs \usepackage{booktabs}", *lines, "}"]) + "\n"


def _latex_body(sheets: Sequence[Sheet]) -> list[str]:
    found: dict[tuple[str, ...], list[str]] = {}
    order = dict.fromkeys(names for sheet in sheets for names, _ in sheet.body)
    for names in sorted(order, key=lambda n: n[0] == "chance"):
        cells: list[str] = []
        for sheet in sheets:
            row = dict(sheet.body).get(names, (Cell(""),) * len(sheet.heads))
            cells += [_latex_cell(cell) for cell in row]
        found[names] = cells
    return [
        " & ".join([*map(escape_latex, names), *cells]) + r" \\" for names, cells in found.items()
    ]


def _latex_cell(cell: Cell) -> str:
    text = re.sub(r"(-?)\binf\b", r"$\1\\infty$", escape_latex(cell.text))
    return rf"\textbf{{{text}}}" if cell.mark == "best" else text


def _html(table: Aggregate) -> str:
    parts = []
    for sheet in _sheets(table):
        parts.append("<table>")
        if sheet.title:
            parts.append(f"<caption>{html.escape(sheet.title)}</caption>")
        heads = [html.escape(name) for name in sheet.stub]
        heads += ["<br>".join(map(html.escape, lines)) for lines in sheet.heads]
        columns = "".join(f'<th scope="col">{head}</th>' for head in heads)
        parts.append(f"<thead><tr>{columns}</tr></thead>")
        parts.append("<tbody>")
        for names, cells in sheet.body:
            row = "".join(f'<th scope="row">{html.escape(name)}</th>' for name in names)
            parts.append(f"<tr>{row}{''.join(map(_html_cell, cells))}</tr>")
        parts += ["</tbody>", "</table>"]
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in footnotes(table))
    return "\n".join([*parts, f"<ul>{notes}</ul>"]) + "\n"


def _html_cell(cell: Cell) -> str:
    text = html.escape(cell.text)
    if cell.mark == "best":
        text = f"<strong>{text}</strong>"
    title = f' title="{html.escape(cell.reason)}"' if cell.reason else ""
    return f"<td{title}>{text}</td>"


def _text_blocks(sheet: Sheet, width: int) -> list[str]:
    names = [list(column) for column in zip(*(names for names, _ in sheet.body), strict=True)]
    left = [_aligned([head, *column], "<") for head, column in zip(sheet.stub, names, strict=True)]
    depth = max(map(len, sheet.heads))
    columns = []
    for index, head in enumerate(sheet.heads):
        lines = [*head, *[""] * (depth - len(head))]
        cells = [cells[index] for _, cells in sheet.body]
        texts = [f"{cell.text} *" if cell.mark == "best" else cell.text for cell in cells]
        columns.append(_aligned([*lines, *texts], ">"))
    # The stub has one line of head: fill it up to the depth of the others.
    blank = [[column[0], *[" " * len(column[0])] * (depth - 1), *column[1:]] for column in left]
    found, chosen = [], list(blank)
    for column in columns:
        if len(chosen) > len(blank) and sum(len(c[0]) + 2 for c in [*chosen, column]) - 2 > width:
            found.append(_joined(sheet.title, chosen, depth))
            chosen = list(blank)
        chosen.append(column)
    return [*found, _joined(sheet.title, chosen, depth)]


def _aligned(texts: Sequence[str], side: str) -> list[str]:
    widest = max(map(len, texts))
    return [f"{text:{side}{widest}}" for text in texts]


def _joined(title: str, columns: Sequence[Sequence[str]], depth: int) -> str:
    lines = ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]
    rule = "-" * max(map(len, lines))
    heading = [title] if title else []
    return "\n".join([*heading, *lines[:depth], rule, *lines[depth:]])


def _wrapped(note: str, width: int) -> str:
    return textwrap.fill(note, width=width, initial_indent="- ", subsequent_indent="  ")
