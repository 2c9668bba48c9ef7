"""Two sets of points in the Poincaré disk, with the edges of their Delaunay graph as geodesics."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from repgeo.errors import InputError
from repgeo.report.figures.stored import is_twin, reading
from repgeo.report.figures.style import PALETTE, axis_label, place_of, plain_axes
from repgeo.report.labels import short_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeo.report.figures import Arrays

__all__ = ["draw", "geodesics", "size"]

_PANELS: Final = 6
_PER_ROW: Final = 3
_SIDE: Final = 3.1  # inches
_TITLE: Final = 34  # characters of a line
_STEPS: Final = 12  # of the polygon that stands for a geodesic
_HETEROGENEOUS: Final = PALETTE[1]
_SETS: Final = (PALETTE[0], PALETTE[4])


@dataclass(frozen=True)
class _Panel:
    """One comparison that was stored.

    Attributes
    ----------
    title
        What was compared, and its score.
    points
        Poincaré coordinates `(n, 2)`.
    second
        Which points belong to the second set `(n,)`.
    edges
        `(m, 2)`.
    flat
        Whether the plane is Euclidean.
    """

    title: str
    points: np.ndarray
    second: np.ndarray
    edges: np.ndarray
    flat: bool


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    panels = len(_panels(frame, arrays))
    if not panels:
        return 6.4, 0.4 * len(_bars(frame)) + 1.4
    wide = min(_PER_ROW, panels)
    return _SIDE * wide, (_SIDE + 0.35) * math.ceil(panels / wide) + 0.35


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw the points of both sets and the edges between them, one disk for each comparison.

    Of the first seed, without untrained twins; heterogeneous edges, which join the two sets, are
    drawn over the others. Of more comparisons than there is room for the first and the last and
    some between are drawn. Codes that do not lie in the plane are not drawn: then the scores are,
    as bars beside their null.

    Parameters
    ----------
    frame
        Finished rows of the probe.
    arrays
        Gives the stored arrays of a cell.
    axes
        Their place is divided.

    Raises
    ------
    InputError
        If there is no score, or the axes belong to no grid of subplots.
    """
    from matplotlib.lines import Line2D

    panels = _panels(frame, arrays)
    if not panels:
        _draw_bars(_bars(frame), axes)
        return
    figure, place = place_of(axes)
    axes.remove()
    wide = min(_PER_ROW, len(panels))
    grid = place.subgridspec(math.ceil(len(panels) / wide), wide)
    for number, panel in enumerate(panels):
        _draw_panel(panel, figure.add_subplot(grid[divmod(number, wide)]))
    names = ("first set", "second set", "edge between the sets", "edge within a set")
    marks = [
        Line2D([], [], marker="o", linestyle="", markersize=4, color=colour) for colour in _SETS
    ] + [Line2D([], [], color=_HETEROGENEOUS), Line2D([], [], color="#888888", linewidth=0.8)]
    figure.figure.legend(marks, names, loc="outside lower center", ncols=4, frameon=False)


def geodesics(
    points: np.ndarray, edges: np.ndarray, *, steps: int = _STEPS, flat: bool = False
) -> np.ndarray:
    """Polygons `(m, steps + 1, 2)` along the segments that edges stand for.

    Parameters
    ----------
    points
        Poincaré coordinates `(n, 2)`, or plane ones where `flat`.
    edges
        `(m, 2)`.
    steps
        Of one polygon.
    flat
        Straight segments.

    Examples
    --------
    The geodesic of two points at right angles bends towards the centre, along a circle that
    meets the boundary at right angles:

    >>> points = np.array([[0.8, 0.0], [0.0, 0.8]])
    >>> middle = geodesics(points, np.array([[0, 1]]), steps=2)[0, 1]
    >>> bool(np.hypot(*middle) < np.hypot(0.4, 0.4))
    True
    """
    share = np.linspace(0, 1, steps + 1)[None, :, None]
    ends = points[edges]  # (m, 2, 2)
    if not flat:  # straight in Klein's model
        ends = 2 * ends / (1 + np.square(ends).sum(axis=-1, keepdims=True))
    lines = (1 - share) * ends[:, :1] + share * ends[:, 1:]
    if flat:
        return np.asarray(lines)
    room = np.sqrt(np.clip(1 - np.square(lines).sum(axis=-1, keepdims=True), 0, None))
    return np.asarray(lines / (1 + room))


def _draw_panel(panel: _Panel, axes: Axes) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Circle

    axes.set_aspect("equal")
    axes.set_axis_off()
    if not panel.flat:
        axes.add_patch(Circle((0, 0), 1, fill=False, color="#444444", linewidth=0.8))
        axes.set_xlim(-1.02, 1.02)
        axes.set_ylim(-1.02, 1.02)
    mixed = panel.second[panel.edges[:, 0]] != panel.second[panel.edges[:, 1]]
    crowd = max(0.25, min(1.0, 12 / math.sqrt(len(panel.edges) + 1)))
    for chosen, colour, width, above in (
        (~mixed, "#888888", 0.8, 2),
        (mixed, _HETEROGENEOUS, 1.1, 4),  # over the points: in a crowd these would hide them
    ):
        lines = geodesics(panel.points, panel.edges[chosen], flat=panel.flat)
        axes.add_collection(
            LineCollection(list(lines), colors=colour, linewidths=width * crowd, zorder=above)
        )
    for which, colour in zip((False, True), _SETS, strict=True):
        mine = panel.points[panel.second == which]
        axes.plot(mine[:, 0], mine[:, 1], ".", color=colour, markersize=1 + 4.5 * crowd, zorder=3)
    if panel.flat:
        axes.autoscale_view()
    axes.set_title(panel.title)


def _panels(frame: pd.DataFrame, arrays: Arrays) -> list[_Panel]:
    """Stored comparisons, as many as there is room for."""
    rows = frame.loc[frame["metric"] == "score"]
    rows = rows.loc[rows["seed"] == rows["seed"].min()] if len(rows) else rows
    twins = np.array([is_twin(str(model)) for model in rows["model"]], dtype=bool)
    if not twins.all():  # there is room for few, and nothing to see in what was not trained
        rows = rows.loc[~twins]
    titles = _titles(rows)
    found = []
    for (index, row), title in zip(rows.iterrows(), titles, strict=True):
        stored = reading(frame, index, arrays)
        if "edges" not in stored:
            continue
        found.append(
            _Panel(
                f"{textwrap.fill(title, _TITLE)}\nscore {float(row['value']):.3f}",
                stored["points"],
                stored["second"].astype(bool),
                stored["edges"],
                bool(stored["flat"].item()),
            )
        )
    if len(found) <= _PANELS:
        return found
    chosen = np.unique(np.linspace(0, len(found) - 1, _PANELS).round().astype(int))
    return [found[number] for number in chosen]


def _titles(rows: pd.DataFrame) -> list[str]:
    """What tells the rows of a score apart."""
    several = [name for name in ("model", "dataset", "layer") if rows[name].nunique() > 1]
    told: Mapping[str, list[str]] = {
        name: [str(text) for text in rows[name]] for name in ("params", "at")
    }
    found = []
    for number in range(len(rows)):
        words = [str(rows[name].iloc[number]) for name in several]
        words += [short_json(told[name][number], told[name]) for name in ("params", "at")]
        found.append(", ".join(word for word in words if word))
    return found


def _bars(frame: pd.DataFrame) -> list[tuple[str, float, float | None, str]]:
    """Title, score, its null mean, unit: means over seeds."""
    rows = frame.loc[frame["metric"] == "score"]
    found: dict[str, list[tuple[float, float | None]]] = {}
    unit = ""
    for title, (_, row) in zip(_titles(rows), rows.iterrows(), strict=True):
        chance = float(row["chance"]) if row["chance"] == row["chance"] else None
        found.setdefault(title, []).append((float(row["value"]), chance))
        unit = str(row["unit"])
    made = []
    for title, pairs in found.items():
        nulls = [chance for _, chance in pairs if chance is not None]
        null = sum(nulls) / len(nulls) if nulls else None
        made.append((title, sum(value for value, _ in pairs) / len(pairs), null, unit))
    return made


def _draw_bars(bars: list[tuple[str, float, float | None, str]], axes: Axes) -> None:
    if not bars:
        raise InputError("The table has no score of 'hyperdga': there is nothing to draw.")
    plain_axes(axes)
    heights = range(len(bars) - 1, -1, -1)
    axes.barh(heights, [value for _, value, _, _ in bars], color=PALETTE[0], height=0.6)
    for height, (_, _, null, _) in zip(heights, bars, strict=True):
        if null is not None:
            axes.plot([null, null], [height - 0.4, height + 0.4], color=PALETTE[1], linewidth=2)
    axes.plot([], [], color=PALETTE[1], linewidth=2, label="mean under shuffled labels")
    axes.set_yticks(list(heights), [title for title, *_ in bars])
    axes.set_xlabel(axis_label("score (mean over seeds)", bars[0][3]))
    axes.legend(loc="lower right", frameon=False)
