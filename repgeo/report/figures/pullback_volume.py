"""The log-volume over the points: a map where they lie in the plane, else its distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from repgeo.errors import InputError
from repgeo.report.figures.style import MAP, PALETTE, axis_label, plain_axes
from repgeo.report.labels import short_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

    from repgeo.report.figures import Arrays

__all__ = ["draw", "size"]

_PANELS_PER_ROW: Final = 4

#: What the label of an untrained twin says.
_TWIN_WORDS: Final = ("untrained", "init", "random")


@dataclass(frozen=True)
class _Cloud:
    """The stored samples of one model: log-volumes `(n,)`, and points `(n, 2)` where there are."""

    model: str
    label: str  # the model, and what else tells it apart from the others drawn
    values: np.ndarray
    points: np.ndarray | None


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    _, clouds = _drawn(frame, arrays)
    if _in_plane(clouds):
        columns = min(len(clouds), _PANELS_PER_ROW)
        return 2.3 * columns + 1.2, 2.1 * math.ceil(len(clouds) / _PANELS_PER_ROW) + 0.5
    return 6.8, 1.0 + 0.36 * max(3, len(clouds))


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw the log-volume at the test points, one panel or one line per model.

    Where the artifact `points` has two columns, each model is a map of the plane at the first seed,
    all with one colour scale. Otherwise each model is a line with the spread of its samples over
    all seeds: a thin line from the 5th to the 95th percentile, a bar from the 25th to the 75th, a
    dot at the median; untrained twins stand below their trained ones, hollow. Points where the map
    loses rank (log-volume minus infinity) are counted at the side, not drawn; where no model has
    any other point, the ranks are drawn instead.

    Parameters
    ----------
    frame
        Finished rows of the probe.
    arrays
        Gives the stored arrays of a cell.
    axes
        Where to draw.

    Raises
    ------
    InputError
        If no cell has stored samples.
    """
    label, clouds = _drawn(frame, arrays)
    if not clouds:
        raise InputError("No cell of 'pullback_volume' has stored samples: nothing to draw.")
    if _in_plane(clouds):
        _maps(clouds, label, axes)
    else:
        _spreads(clouds, label, axes)


def _drawn(frame: pd.DataFrame, arrays: Arrays) -> tuple[str, list[_Cloud]]:
    """The label of the axis, and what is drawn along it."""
    unit = str(frame.loc[frame["metric"] == "log_volume", "unit"].max())
    clouds = _clouds(frame, "log_volume", arrays)
    if any(np.isfinite(cloud.values).any() for cloud in clouds):
        return axis_label("log-volume", unit), clouds
    ranks = _clouds(frame, "rank", arrays)
    if ranks:
        return "rank of the Jacobian (the log-volume is minus infinity everywhere)", ranks
    return axis_label("log-volume", unit), clouds


def _clouds(frame: pd.DataFrame, metric: str, arrays: Arrays) -> list[_Cloud]:
    rows = frame.loc[frame["metric"] == metric]
    if not len(rows):
        return []
    varied = [n for n in ("dataset", "layer", "params", "at") if rows[n].nunique() > 1]
    found = []
    for key, part in rows.groupby(["model", *varied], sort=False):
        told = [str(key[0])]
        for name, value in zip(varied, key[1:], strict=True):
            among = [str(text) for text in rows[name].unique()]
            short = name in ("params", "at")
            told.append(short_json(str(value), among) if short else str(value))
        values, points = _stored(part, frame, arrays)
        if len(values):
            label = " ".join(word for word in told if word)
            found.append(_Cloud(str(key[0]), label, values, points))
    return found


def _in_plane(clouds: Sequence[_Cloud]) -> bool:
    return bool(clouds) and all(cloud.points is not None for cloud in clouds)


def _stored(
    rows: pd.DataFrame, frame: pd.DataFrame, arrays: Arrays
) -> tuple[np.ndarray, np.ndarray | None]:
    """The samples of all rows `(n,)`, or those of the first one that has points in the plane."""
    found = []
    for index, cell in rows["cell"].items():
        # The position of a reading is its place among the rows of its cell.
        position = list(frame.index[frame["cell"] == cell]).index(index)
        stored = arrays(str(cell))
        samples = stored.get(f"{position}/samples")
        if samples is None:
            continue
        found.append(np.asarray(samples, dtype=np.float64))
        plane = stored.get(f"{position}/artifact/points")
        if plane is not None and plane.shape == (len(samples), 2):
            points = np.asarray(plane, dtype=np.float64)
            return found[-1], points  # a map shows one seed; other seeds have other points
    return np.concatenate(found) if found else np.empty(0), None


def _beside_twins(clouds: Sequence[_Cloud]) -> list[_Cloud]:
    """The same clouds, each untrained twin right after the models (or replicas) it is a twin of."""
    groups: dict[str, list[_Cloud]] = {}
    for cloud in sorted(clouds, key=lambda c: _is_twin(c.model)):
        name = cloud.model.partition("#")[0]
        if _is_twin(name):
            name = max((g for g in groups if name.startswith(g)), key=len, default=name)
        groups.setdefault(name, []).append(cloud)
    return [cloud for group in groups.values() for cloud in group]


def _is_twin(model: str) -> bool:
    return any(word in model.lower() for word in _TWIN_WORDS)


def _spreads(clouds: Sequence[_Cloud], label: str, axes: Axes) -> None:
    ordered = _beside_twins(clouds)
    for height, cloud in enumerate(ordered):
        finite = cloud.values[np.isfinite(cloud.values)]
        colour = PALETTE[1] if _is_twin(cloud.model) else PALETTE[0]
        lost = int(np.isneginf(cloud.values).sum())
        if len(finite):
            low, left, middle, right, high = np.percentile(finite, [5, 25, 50, 75, 95])
            axes.plot([low, high], [height, height], color=colour, linewidth=1.2)
            axes.plot([left, right], [height, height], color=colour, linewidth=6, alpha=0.35)
            face = "white" if _is_twin(cloud.model) else colour
            axes.plot(middle, height, "o", color=colour, markerfacecolor=face, markersize=5.5)
        if lost:
            note = f"{100 * lost / len(cloud.values):.1f} % lose rank"
            axes.annotate(
                note,
                (1.0, height),
                xycoords=("axes fraction", "data"),
                xytext=(0, 5),
                textcoords="offset points",
                ha="right",
                va="bottom",
                fontsize=7,
                color=colour,
            )
    axes.set_yticks(range(len(ordered)), [cloud.label for cloud in ordered])
    axes.set_ylim(len(ordered) - 0.4, -0.6)
    axes.set_xlabel(label)
    axes.set_title("Over test points: median, quartiles, 5 % to 95 % (hollow: untrained)")
    plain_axes(axes)


def _maps(clouds: Sequence[_Cloud], label: str, axes: Axes) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    figure, place = axes.get_figure(root=True), axes.get_subplotspec()
    if figure is None or place is None:
        raise InputError("Maps need axes that belong to a figure's grid of subplots.")
    axes.remove()
    ordered = _beside_twins(clouds)
    finite = np.concatenate([cloud.values[np.isfinite(cloud.values)] for cloud in ordered])
    # The outermost per cent would take up most of the scale; it is clipped, and the bar says so.
    low, high = np.percentile(finite, [1, 99]) if len(finite) else (0.0, 1.0)
    scale = Normalize(float(low), float(high))
    columns = min(len(ordered), _PANELS_PER_ROW)
    grid = place.subgridspec(math.ceil(len(ordered) / columns), columns)
    panels = []
    for index, cloud in enumerate(ordered):
        panel = figure.add_subplot(grid[divmod(index, columns)])
        _map(cloud, scale, panel)
        if index % columns == 0:
            panel.set_ylabel("$x_2$")
        if index + columns >= len(ordered):
            panel.set_xlabel("$x_1$")
        panels.append(panel)
    colours = ScalarMappable(scale, MAP)
    figure.colorbar(colours, ax=panels, label=label, extend="both", shrink=0.9, aspect=30)


def _map(cloud: _Cloud, scale: Normalize, panel: Axes) -> None:
    if cloud.points is None:
        return
    kept = np.isfinite(cloud.values)
    x, y = cloud.points[kept].T
    area = min(14.0, max(1.0, 7500 / len(cloud.points)))  # many points become small dots
    panel.scatter(x, y, c=cloud.values[kept], s=area, cmap=MAP, norm=scale, linewidths=0)
    lost = cloud.points[~kept]
    if len(lost):
        panel.plot(*lost.T, "x", color=PALETTE[1], markersize=4)
    panel.set_title(cloud.label + (" (x: loses rank)" if len(lost) else ""))
    panel.set_aspect("equal", adjustable="box")
