"""The log-volume over the points: a map where they lie in the plane, else its distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from repgeo.errors import InputError
from repgeo.report.figures.clouds import (
    Cloud,
    MapStyle,
    clouds_of,
    draw_maps,
    draw_spreads,
    in_plane,
    size_of,
)
from repgeo.report.figures.style import MAP, axis_label

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

    from repgeo.report.figures import Arrays

__all__ = ["draw", "size"]


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    return size_of(_drawn(frame, arrays)[1])


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw the log-volume at the test points, one panel or one line per model and checkpoint.

    Where the artifact `points` has two columns, each model is a map of the plane at the first seed,
    all with one colour scale; with several checkpoints, models are rows and checkpoints columns.
    Otherwise each model is a line with the spread of its samples over all seeds: a thin line from
    the 5th to the 95th percentile, a bar from the 25th to the 75th, a dot at the median; untrained
    twins stand below their trained ones, hollow, and checkpoints below each other. Points where the
    map loses rank (log-volume minus infinity) are counted at the side, not drawn; where no model
    has any other point, the ranks are drawn instead.

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
    if in_plane(clouds):
        draw_maps(clouds, MapStyle(label, _scale, MAP), axes)
    else:
        draw_spreads(clouds, axes, note=_lost)
        axes.set_xlabel(label)


def _drawn(frame: pd.DataFrame, arrays: Arrays) -> tuple[str, list[Cloud]]:
    """The label of the axis, and what is drawn along it."""
    unit = str(frame.loc[frame["metric"] == "log_volume", "unit"].max())
    clouds = clouds_of(frame, "log_volume", arrays)
    if any(np.isfinite(cloud.values).any() for cloud in clouds):
        return axis_label("log-volume", unit), clouds
    ranks = clouds_of(frame, "rank", arrays)
    if ranks:
        return "rank of the Jacobian (the log-volume is minus infinity everywhere)", ranks
    return axis_label("log-volume", unit), clouds


def _lost(cloud: Cloud) -> str:
    lost = int(np.isneginf(cloud.values).sum())
    return f"{100 * lost / len(cloud.values):.1f} % lose rank" if lost else ""


def _scale(clouds: Sequence[Cloud]) -> Normalize:
    from matplotlib.colors import Normalize

    finite = np.concatenate([cloud.values[np.isfinite(cloud.values)] for cloud in clouds])
    # The outermost per cent would take up most of the scale; it is clipped, and the bar says so.
    low, high = np.percentile(finite, [1, 99]) if len(finite) else (0.0, 1.0)
    return Normalize(float(low), float(high))
