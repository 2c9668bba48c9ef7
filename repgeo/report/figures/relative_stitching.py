"""The stitching matrix: accuracy of every encoder with every head, one panel per method.

The settings of a factorial are left out: they have a figure of their own.
"""

from __future__ import annotations

import json
import math
import textwrap
from typing import TYPE_CHECKING, Final

import numpy as np

from repgeo.report.aggregate import ABSENT, Aggregate, aggregate
from repgeo.report.figures.style import MAP, axis_label, place_of
from repgeo.report.labels import short_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeo.report.figures import Arrays

__all__ = ["draw", "draws", "size", "without_factorial"]

_KIND: Final = ("task", "dataset", "params", "metric", "at", "layer", "layer_b")


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    frame = without_factorial(frame)
    panels = len(frame[[*_KIND]].drop_duplicates())
    models = frame.groupby([*_KIND])[["model", "model_b"]].nunique().to_numpy().max(initial=1)
    side = 0.46 * int(models) + 1.5
    wide = _panels_per_row(panels)
    return side * wide + 1.1, (side + 0.5) * math.ceil(panels / wide) + 0.3


def draws(frame: pd.DataFrame) -> bool:
    """Whether there is a pair of different models, or at least no pair of unlike layers."""
    rows = without_factorial(frame)
    return bool(
        (rows["model"] != rows["model_b"]).any() or (rows["layer"] == rows["layer_b"]).all()
    )


def without_factorial(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that are no setting of a factorial."""
    return frame.loc[~frame["at"].str.contains('"method":"factorial"', regex=False)]


def _panels_per_row(panels: int) -> int:
    if panels <= 3:
        return panels
    return 2 if panels == 4 else 3 if panels <= 12 else 5


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw the matrix of each method: encoder of the row, head of the column.

    Entries are means over the seeds that all encoders of a column have; a pair without a number is
    grey. All panels share one colour scale; the chance level is a line in the colour bar.

    Parameters
    ----------
    frame
        Finished rows of the probe.
    arrays
        Not needed here: the matrix is in the table.
    axes
        Where to draw.

    Raises
    ------
    InputError
        If the axes belong to no grid of subplots.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    figure, place = place_of(axes)
    axes.remove()
    frame = without_factorial(frame)
    table = aggregate(frame, rows=("model",), columns=("model_b", "at"))
    panels = _panels(table)
    present = {key: _rows(table, columns) for key, columns in panels.items()}
    matrices = {key: _matrix(table, present[key], columns) for key, columns in panels.items()}
    finite = np.concatenate([matrix[np.isfinite(matrix)] for matrix in matrices.values()])
    chances = [entry.chance for entry in table.entries.values() if entry.chance]
    chance = sum(map(sum, chances)) / (2 * len(chances)) if chances else None
    numbers = [*finite.tolist(), *([] if chance is None else [chance])] or [0.0, 1.0]
    scale = Normalize(min(numbers), max(numbers))
    wide = _panels_per_row(len(panels))
    grid = place.subgridspec(math.ceil(len(panels) / wide), wide)
    drawn = []
    for index, (key, columns) in enumerate(panels.items()):
        panel = figure.add_subplot(grid[divmod(index, wide)])
        heads = [table.columns[column].get("model_b") for column in columns]
        _draw_matrix(matrices[key], scale, panel)
        panel.set_title(_title(table, columns[0]))
        panel.set_xticks(range(len(heads)), heads, rotation=45, ha="right", rotation_mode="anchor")
        rows = [table.rows[row].get("model") for row in present[key]]
        same = index % wide and present[key] == present[list(panels)[index - 1]]
        panel.set_yticks(range(len(rows)), [""] * len(rows) if same else rows)
        panel.set_xlabel("head of")
        panel.set_ylabel("encoder of" if index % wide == 0 else "")
        drawn.append(panel)
    metric, unit = str(frame["metric"].iloc[0]), str(frame["unit"].iloc[0])
    name = axis_label(f"{metric} (mean over seeds)", unit)
    lines = math.ceil(len(panels) / wide)  # a bar as long as many rows of panels tells no more
    shrink = 0.85 / max(1, lines - 1)
    mapped = ScalarMappable(scale, MAP)
    bar = figure.colorbar(mapped, ax=drawn, label=name, shrink=shrink, aspect=30, anchor=(0, 1))
    if chance is not None:
        bar.ax.axhline(chance, color="#D55E00", linewidth=2)
        bar.ax.annotate(
            "chance",
            (0, chance),
            xycoords=("axes fraction", "data"),
            xytext=(-3, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=7,
            color="#D55E00",
        )


def _panels(table: Aggregate) -> dict[tuple[str, ...], list[int]]:
    panels: dict[tuple[str, ...], list[int]] = {}
    for column, head in enumerate(table.columns):
        panels.setdefault(tuple(head.get(name) for name in _KIND), []).append(column)
    # Heads in the order of the encoders, so that the diagonal is one.
    order = {head.get("model"): row for row, head in enumerate(table.rows)}
    for columns in panels.values():
        columns.sort(key=lambda c: order.get(table.columns[c].get("model_b"), len(order)))
    return panels


def _rows(table: Aggregate, columns: list[int]) -> list[int]:
    """The encoders that stand in a pair of a panel."""
    return [
        row
        for row in range(len(table.rows))
        if any(table.entries[row, column].status != ABSENT for column in columns)
    ]


def _matrix(table: Aggregate, rows: list[int], columns: list[int]) -> np.ndarray:
    matrix = np.full((len(rows), len(columns)), np.nan)  # (encoders, heads)
    for line, row in enumerate(rows):
        for place, column in enumerate(columns):
            estimate = table.entries[row, column].estimate
            if estimate is not None:
                matrix[line, place] = estimate.value
    return matrix


def _title(table: Aggregate, column: int) -> str:
    """Method, and of parameters the kind of head, or whatever else differs."""
    head = table.columns[column]
    columns = table.columns
    method, others = _parted(head.get("at"))
    params = [one.get("params") for one in columns]
    heads = {_member(text, "head") for text in params}
    told = f"{_member(head.get('params'), 'head')} head" if len(heads) > 1 else ""
    if len(heads) == 1:
        told = short_json(head.get("params"), params)
    usual = columns[0].get("layer")
    varied = [
        head.get(name) for name in ("metric", "dataset") if len({c.get(name) for c in columns}) > 1
    ]
    layers = dict.fromkeys((head.get("layer"), head.get("layer_b")))
    if set(layers) != {usual}:
        varied.append("layer " + " to ".join(layers))
    words = [part for part in (method, others, told, *varied) if part]
    return textwrap.fill(", ".join(words), 28) or head.get("metric")


def _parted(at: str) -> tuple[str, str]:
    """The method, and the other coordinates."""
    coordinates = json.loads(at) if at else {}
    method = str(coordinates.pop("method", ""))
    return method, " ".join(f"{key}={value}" for key, value in coordinates.items())


def _member(text: str, key: str) -> str:
    return str(json.loads(text).get(key, "")) if text else ""


def _draw_matrix(matrix: np.ndarray, scale: object, panel: Axes) -> None:
    panel.set_facecolor("#eeeeee")
    panel.imshow(np.ma.masked_invalid(matrix), cmap=MAP, norm=scale, aspect="equal")  # type: ignore[arg-type]
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(matrix):
        if not np.isfinite(value):
            panel.text(column, row, "none", ha="center", va="center", fontsize=7, color="#555555")
            continue
        shade = float(scale(value))  # type: ignore[operator]
        colour = "white" if shade < 0.55 else "black"
        text = f"{value:.2f}".removeprefix("0") if 0 <= value < 0.995 else f"{value:.2f}"
        panel.text(column, row, text, ha="center", va="center", fontsize=7.5, color=colour)
