"""Similarity: which measure sees what, or every model against every other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from repgeo.report.aggregate import Header, aggregate
from repgeo.report.figures.style import MAP, NOTHING, place_of
from repgeo.report.labels import short_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from repgeo.report.figures import Arrays

__all__ = ["draw", "size"]

#: What sets one panel apart from another, beside the measure.
_SETTINGS: Final = ("task", "dataset", "params", "layer", "layer_b")

_COLUMN, _ROW = 0.55, 0.36  # inches


@dataclass(frozen=True)
class _Panel:
    """A heat map: numbers, and how far each is from chance on the way to equal sides."""

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: np.ndarray  # (rows, columns), NaN where there is none
    shares: np.ndarray  # (rows, columns), 0 at chance, 1 where a measure sees no difference


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    panels = _panels(frame)
    wide = _panels_per_row(panels)
    columns = max(len(panel.columns) for panel in panels)
    rows = max(len(panel.rows) for panel in panels)
    width = wide * (_COLUMN * columns + 0.3) + 2.9
    return width, math.ceil(len(panels) / wide) * (_ROW * rows + 1.5)


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw what each measure gives: numbers, on colours that compare them.

    Where all pairs share one model there is one panel: a row for each measure, a column for each
    other model. Else there is a panel for each measure: first model by second model.

    The colour is the share of the way from chance to the value of equal sides, (v - c) / (s - c),
    so that distances and similarities of any range read alike: yellow sees no difference, blue no
    more than chance. Numbers are means over the seeds.

    Parameters
    ----------
    frame
        Finished rows of the probe.
    arrays
        Not needed here: all is in the table.
    axes
        Where to draw.

    Raises
    ------
    InputError
        If the axes belong to no grid of subplots.
    """
    figure, place = place_of(axes)
    axes.remove()
    panels = _panels(frame)
    wide = _panels_per_row(panels)
    grid = place.subgridspec(math.ceil(len(panels) / wide), wide)
    drawn = []
    for index, panel in enumerate(panels):
        cell = figure.add_subplot(grid[divmod(index, wide)])
        image = _draw_panel(panel, cell, names=index % wide == 0 or panel.rows != panels[0].rows)
        drawn.append(cell)
    bar = figure.colorbar(image, ax=drawn, shrink=0.8, aspect=30, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["chance", "half-way", "equal"])
    bar.set_label("from chance to equal sides")


def _panels_per_row(panels: Sequence[_Panel]) -> int:
    return 1 if len(panels[0].columns) > 8 else min(len(panels), 3)


def _panels(frame: pd.DataFrame) -> list[_Panel]:
    alone = next((side for side in ("model", "model_b") if frame[side].nunique() == 1), None)
    star = alone is not None and frame["metric"].nunique() > 1
    keys = _SETTINGS if star else (*_SETTINGS, "metric")
    # The order of the table, not of the alphabet.
    parts = [part for _, part in frame.groupby(list(keys), sort=False, dropna=False)]
    if alone is None or not star:
        return [_panel(part, "model", "model_b", _title(part, frame, "metric")) for part in parts]
    others = "model_b" if alone == "model" else "model"
    return [_panel(part, "metric", others, _title(part, frame, alone)) for part in parts]


def _title(part: pd.DataFrame, frame: pd.DataFrame, shared: str) -> str:
    """What all of a panel shares: the metric, or the one first or second model."""
    words = {"metric": "", "model": "first model: ", "model_b": "second model: "}
    found = [words[shared] + str(part[shared].iloc[0])]
    params = [str(value) for value in frame["params"].unique()]
    if len(params) > 1:
        found.append(short_json(str(part["params"].iloc[0]), params))
    found += [
        str(part[name].iloc[0])
        for name in ("dataset", "layer", "layer_b")
        if frame[name].nunique() > 1
    ]
    return ", ".join(word for word in found if word)


def _panel(part: pd.DataFrame, rows: str, columns: str, title: str) -> _Panel:
    sides = ("model", "model_b") if rows == "metric" else (columns,)
    table = aggregate(part, rows=(rows,), columns=sides)  # whole pairs: no means over others
    down, across = _in_order(table.rows, part, rows), _in_order(table.columns, part, columns)
    values, shares = (np.full((len(down), len(across)), np.nan) for _ in range(2))
    for row, place in enumerate(down):
        metric = table.rows[place].get("metric") if rows == "metric" else part["metric"].iloc[0]
        equal = _equal(str(metric))
        for column, other in enumerate(across):
            entry = table.entries[place, other]
            if entry.estimate is None:
                continue
            values[row, column] = entry.estimate.value
            chance = sum(entry.chance) / 2 if entry.chance else 0.0
            if equal != chance:
                shares[row, column] = (entry.estimate.value - chance) / (equal - chance)
    names = [table.rows[place].get(rows) for place in down]
    return _Panel(
        title,
        [name.replace("_", " ") for name in names] if rows == "metric" else names,
        [table.columns[place].get(columns) for place in across],
        values,
        shares.clip(0.0, 1.0),
    )


def _in_order(heads: Sequence[Header], part: pd.DataFrame, name: str) -> list[int]:
    """The places of rows (columns) in the order in which the table first names them."""
    order = {value: place for place, value in enumerate(part[name].unique())}
    return sorted(range(len(heads)), key=lambda place: order[heads[place].get(name)])


def _equal(metric: str) -> float:
    """The value of a measure for two sides that it takes for equal."""
    from repgeo.stitching.similarity.measures import MEASURES

    return MEASURES[metric].same


def _draw_panel(panel: _Panel, axes: Axes, *, names: bool) -> AxesImage:
    axes.set_facecolor(NOTHING)
    image = axes.imshow(
        np.ma.masked_invalid(panel.shares), cmap=MAP, vmin=0.0, vmax=1.0, aspect="auto"
    )
    axes.set_title(panel.title)
    axes.set_xticks(
        range(len(panel.columns)), panel.columns, rotation=40, ha="right", rotation_mode="anchor"
    )
    axes.set_yticks(range(len(panel.rows)), panel.rows if names else [""] * len(panel.rows))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(panel.values):
        if not np.isfinite(value):
            axes.text(column, row, "none", ha="center", va="center", fontsize=6.5, color="#555555")
            continue
        share = panel.shares[row, column]
        dark = np.isfinite(share) and share < 0.55
        axes.text(
            column,
            row,
            _number(float(value)),
            ha="center",
            va="center",
            fontsize=7,
            color="white" if dark else "black",
        )
    return image


def _number(value: float) -> str:
    """Two decimals, without the zero before them; one for larger numbers.

    Examples
    --------
    >>> _number(0.256), _number(-0.001), _number(1.0), _number(11.4)
    ('.26', '.00', '1.00', '11.4')
    """
    if abs(value) >= 9.995:
        return f"{value:.1f}"
    text = f"{value:.2f}".replace("-0.00", "0.00")
    return text.replace("0.", ".", 1) if abs(value) < 0.995 else text
