"""Stored samples of models, as maps of the plane where their points lie in it, else as spreads."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from repgeo.report.figures.epochs import Epoch, epoch_colours, epoch_name, in_order, spread
from repgeo.report.figures.stored import beside_twins, groups, is_twin, reading
from repgeo.report.figures.style import PALETTE, place_of, plain_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

    from repgeo.report.figures import Arrays

__all__ = [
    "Cloud",
    "MapStyle",
    "as_grid",
    "clouds_of",
    "draw_maps",
    "draw_spreads",
    "in_plane",
    "size_of",
]

#: Maps side by side: of models, or of the checkpoints of one.
_PANELS_PER_ROW: Final = 4
_LABEL_WIDTH: Final = 20  # characters of a line beside a map


@dataclass(frozen=True)
class Cloud:
    """The stored samples of one model at one checkpoint.

    Attributes
    ----------
    model
        The model.
    label
        The model, and what else tells it apart from the others drawn.
    epoch
        The checkpoint.
    values
        The samples `(n,)`.
    points
        Where they were taken `(n, 2)`, if in the plane.
    """

    model: str
    label: str
    epoch: Epoch
    values: np.ndarray
    points: np.ndarray | None


def _no_note(cloud: Cloud) -> str:
    """Nothing to say of a cloud."""
    return ""


@dataclass(frozen=True)
class MapStyle:
    """How maps are coloured.

    Attributes
    ----------
    label
        Of the colour bar.
    scale
        The colour scale of maps that are to be compared.
    colours
        The colour map.
    note
        What the title of a map says below the name.
    behind
        The colour behind the points.
    """

    label: str
    scale: Callable[[Sequence[Cloud]], Normalize]
    colours: str
    note: Callable[[Cloud], str] = _no_note
    behind: str = "white"


def clouds_of(frame: pd.DataFrame, metric: str, arrays: Arrays, *, listed: str = "") -> list[Cloud]:
    """The stored samples of a metric, in the order of the table, twins beside their models.

    Where points lie in the plane they are those of the first seed, since the seeds have different
    ones; otherwise the samples of all seeds are put together.

    Parameters
    ----------
    frame
        All finished rows of the probe.
    metric
        Of which samples were stored.
    arrays
        Gives the stored arrays of a cell.
    listed
        A metric that also cells without a number of `metric` have: these give empty clouds.
    """
    found = []
    for group in groups(frame, listed or metric):
        values, points = _samples(_same_places(group.rows, frame, metric), frame, arrays)
        if len(values) or listed:
            found.append(Cloud(group.model, group.label, group.epoch, values, points))
    return [found[place] for place in beside_twins([cloud.model for cloud in found])]


def _same_places(rows: pd.DataFrame, frame: pd.DataFrame, metric: str) -> Iterator[object]:
    """The index of each row of a metric in the same cells, layers, and at the same coordinates."""
    among = frame.loc[frame["metric"] == metric]
    for index in rows.index:
        same = [among[name] == frame.at[index, name] for name in ("cell", "layer", "at")]
        yield from among.index[np.logical_and.reduce(same)]


def _samples(
    rows: Iterable[object], frame: pd.DataFrame, arrays: Arrays
) -> tuple[np.ndarray, np.ndarray | None]:
    """The samples of all rows `(n,)`, or those of the first one that has points in the plane."""
    found = []
    for index in rows:
        stored = reading(frame, index, arrays)
        samples = stored.get("samples")
        if samples is None:
            continue
        found.append(np.asarray(samples, dtype=np.float64))
        plane = stored.get("points")
        if plane is not None and plane.shape == (len(samples), 2):
            return found[-1], np.asarray(plane, dtype=np.float64)
    return np.concatenate(found) if found else np.empty(0), None


def in_plane(clouds: Sequence[Cloud]) -> bool:
    """Whether there are points, and all lie in the plane."""
    found = [cloud.points is not None for cloud in clouds if len(cloud.values)]
    return bool(found) and all(found)


def size_of(clouds: Sequence[Cloud]) -> tuple[float, float]:
    """Width and height in inches of the figure of some clouds."""
    if in_plane(clouds):
        rows = _arranged(clouds)
        columns = max(map(len, rows))
        return 2.3 * columns + 1.2, 2.1 * len(rows) + 0.5
    lines = len({cloud.label for cloud in clouds})
    extra = len(clouds) - lines
    return 6.8, 1.0 + 0.36 * max(3, lines) + 0.26 * extra


def _arranged(clouds: Sequence[Cloud]) -> list[list[Cloud]]:
    """The maps by row: one row per model where there are checkpoints, else one after the other."""
    epochs = in_order(cloud.epoch for cloud in clouds)
    if len(epochs) == 1:
        starts = range(0, len(clouds), _PANELS_PER_ROW)
        return [list(clouds[start : start + _PANELS_PER_ROW]) for start in starts]
    rows: dict[str, list[Cloud]] = {}
    for cloud in clouds:
        rows.setdefault(cloud.label, []).append(cloud)
    kept = {label: spread([c.epoch for c in row], _PANELS_PER_ROW) for label, row in rows.items()}
    return [[c for c in row if c.epoch in kept[label]] for label, row in rows.items()]


def draw_maps(clouds: Sequence[Cloud], style: MapStyle, axes: Axes) -> None:
    """Draw a map per cloud.

    With several checkpoints, models are rows, each with a colour scale of its own, and checkpoints
    columns: at most four, the first and the last among them. Else all have one scale.

    Parameters
    ----------
    clouds
        All with points in the plane.
    style
        Colours and titles.
    axes
        Their place is divided among the maps.

    Raises
    ------
    InputError
        If the axes belong to no grid of subplots.
    """
    from matplotlib.cm import ScalarMappable

    figure, place = place_of(axes)
    axes.remove()
    rows = _arranged(clouds)
    several = len(in_order(cloud.epoch for cloud in clouds)) > 1
    grid = place.subgridspec(len(rows), max(map(len, rows)))
    together: list[tuple[Normalize, list[Axes]]] = []
    for number, row in enumerate(rows):
        if several or not number:
            together.append((style.scale(row if several else clouds), []))
        scale, panels = together[-1]
        for column, cloud in enumerate(row):
            panel = figure.add_subplot(grid[number, column])
            _draw_map(cloud, style, scale, panel, named=not several)
            if column == 0:
                label = textwrap.fill(cloud.label, _LABEL_WIDTH) + "\n" if several else ""
                panel.set_ylabel(f"{label}$x_2$")
            below = rows[number + 1] if number + 1 < len(rows) else []
            if column >= len(below):
                panel.set_xlabel("$x_1$")
            panels.append(panel)
    for scale, panels in together:
        colours = ScalarMappable(scale, style.colours)
        figure.colorbar(
            colours,
            ax=panels,
            label=style.label,
            extend="both",
            shrink=0.9,
            aspect=12 if several else 30,
        )


def _draw_map(cloud: Cloud, style: MapStyle, scale: Normalize, panel: Axes, *, named: bool) -> None:
    points = np.empty((0, 2)) if cloud.points is None else cloud.points
    kept = np.isfinite(cloud.values)
    panel.set_facecolor(style.behind)
    grid = as_grid(points, np.where(kept, cloud.values, np.nan))
    if grid is not None:
        panel.pcolormesh(*grid, shading="nearest", cmap=style.colours, norm=scale)
    else:
        x, y = points[kept].T
        area = min(14.0, max(1.0, 7500 / max(1, len(points))))  # many points become small dots
        panel.scatter(
            x, y, c=cloud.values[kept], s=area, cmap=style.colours, norm=scale, linewidths=0
        )
    lost = points[~kept]
    if len(lost):
        panel.plot(*lost.T, "x", color=PALETTE[1], markersize=4)
    name = cloud.label if named else epoch_name(cloud.epoch)
    below = style.note(cloud)
    title = name + (" (x: loses rank)" if len(lost) else "")
    panel.set_title(f"{title}\n{below}" if below else title)
    panel.set_aspect("equal", adjustable="box")


def as_grid(
    points: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Places along both axes and values `(rows, columns)` of points that fill a grid, else None.

    Parameters
    ----------
    points
        `(n, 2)`.
    values
        `(n,)`.

    Examples
    --------
    >>> corners = np.array([[0, 0], [0, 1], [2, 0], [2, 1]])
    >>> x, y, table = as_grid(corners, np.array([1, 2, 3, 4]))
    >>> x.tolist(), y.tolist(), table.tolist()
    ([0, 2], [0, 1], [[1, 3], [2, 4]])
    """
    x, columns = np.unique(points[:, 0], return_inverse=True)
    y, rows = np.unique(points[:, 1], return_inverse=True)
    if min(len(x), len(y)) < 2 or len(x) * len(y) != len(points):
        return None
    table = np.empty((len(y), len(x)), dtype=values.dtype)
    filled = np.zeros(table.shape, dtype=bool)
    table[rows, columns] = values
    filled[rows, columns] = True
    return (x, y, table) if filled.all() else None


def draw_spreads(
    clouds: Sequence[Cloud], axes: Axes, *, note: Callable[[Cloud], str] = _no_note
) -> None:
    """Draw each cloud as a line: 5 % to 95 %, a bar between the quartiles, a dot at the median.

    Checkpoints of a model stand below each other, from pale to dark; untrained twins are hollow.

    Parameters
    ----------
    clouds
        In the order of their lines. Values that are not finite are left out.
    axes
        Where to draw; the label of the x axis is left to the caller.
    note
        What stands at the right end of a cloud's line.
    """
    epochs = in_order(cloud.epoch for cloud in clouds)
    colours = dict(zip(epochs, epoch_colours(len(epochs)), strict=True))
    ticks: dict[str, list[float]] = {}
    height = 0.0
    for place, cloud in enumerate(clouds):
        if place:
            height += 1.0 if cloud.label != clouds[place - 1].label else 0.65
        ticks.setdefault(cloud.label, []).append(height)
        twin = is_twin(cloud.model)
        colour = colours[cloud.epoch] if len(epochs) > 1 else PALETTE[1 if twin else 0]
        _draw_spread(cloud.values[np.isfinite(cloud.values)], height, colour, twin, axes)
        words = note(cloud)
        if words:
            axes.annotate(
                words,
                (1.0, height),
                xycoords=("axes fraction", "data"),
                xytext=(0, 5),
                textcoords="offset points",
                ha="right",
                va="bottom",
                fontsize=7,
                color=colour,
            )
    axes.set_yticks([math.fsum(own) / len(own) for own in ticks.values()], list(ticks))
    axes.set_ylim(height + 0.6, -0.6)
    hollow = " (hollow: untrained)" if any(is_twin(cloud.model) for cloud in clouds) else ""
    axes.set_title("Over test points: median, quartiles, 5 % to 95 %" + hollow)
    plain_axes(axes)
    if len(epochs) > 1:
        for epoch in epochs:
            axes.plot([], [], "o-", color=colours[epoch], linewidth=4, label=epoch_name(epoch))
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _draw_spread(values: np.ndarray, height: float, colour: str, twin: bool, axes: Axes) -> None:
    if not len(values):
        return
    low, left, middle, right, high = np.percentile(values, [5, 25, 50, 75, 95])
    axes.plot([low, high], [height, height], color=colour, linewidth=1.2)
    axes.plot([left, right], [height, height], color=colour, linewidth=6, alpha=0.35)
    face = "white" if twin else colour
    axes.plot(middle, height, "o", color=colour, markerfacecolor=face, markersize=5.5)
