"""The scalar curvature over the points: a map where they lie in the plane, else its spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

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
from repgeo.report.figures.epochs import Epoch
from repgeo.report.figures.stored import groups
from repgeo.report.figures.style import DIVERGING, axis_label

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

    from repgeo.report.figures import Arrays

__all__ = ["draw", "size"]

#: Curvatures up to this are what rounding makes of zero, and drawn as zero.
_ROUNDING: Final = 1e-12

#: Zero is the palest colour of the maps, which would not show on white.
_BEHIND: Final = "#a8a8a8"

#: Shares that are told beside a model, and how.
_SHARES: Final = {"degenerate": "without curvature", "piecewise_linear": "piecewise linear"}


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    return size_of(_clouds(frame, arrays))


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw the scalar curvature at the test points, one panel or line per model and checkpoint.

    Where the artifact `points` has two columns, each model is a map of the plane at the first seed,
    with its median; with several checkpoints, models are rows and checkpoints columns. All have one
    colour scale, symmetric about zero, up to the 95th percentile of the magnitude. Otherwise each
    model is a line with the spread of its samples over all seeds: a thin line from the 5th to the
    95th percentile, a bar from the 25th to the 75th, a dot at the median.

    Curvatures of unlike models and checkpoints differ by orders of magnitude: the scale is
    logarithmic to both sides, and linear below the power of ten that the median magnitude of the
    flattest is not below.

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
        If there are curvatures, and no cell has stored samples.
    """
    clouds = _clouds(frame, arrays)
    rows = frame.loc[frame["metric"] == "scalar_curvature"]
    if len(rows) and not any(len(cloud.values) for cloud in clouds):
        raise InputError("No cell of 'scalar_curvature' has stored samples: nothing to draw.")
    unit = str(rows["unit"].max()).replace("^2", "²") if len(rows) else ""
    label, shares = axis_label("scalar curvature", unit), _shares(frame)
    if in_plane(clouds):
        draw_maps(clouds, MapStyle(label, _colour_scale, DIVERGING, _median, _BEHIND), axes)
        return
    threshold, most = _scale(clouds)
    draw_spreads(clouds, axes, note=lambda cloud: shares.get((cloud.label, cloud.epoch), ""))
    if threshold < most:
        axes.set_xscale("symlog", linthresh=threshold)
    axes.axvline(0.0, color="black", linewidth=0.8, alpha=0.5, zorder=0)
    axes.set_xlabel(label)


def _clouds(frame: pd.DataFrame, arrays: Arrays) -> list[Cloud]:
    return clouds_of(frame, "scalar_curvature", arrays, listed="degenerate")


def _scale(clouds: Sequence[Cloud]) -> tuple[float, float]:
    """Where the scale turns linear, and the magnitude up to which it goes."""
    sizes = [np.abs(cloud.values[np.isfinite(cloud.values)]) for cloud in clouds]
    magnitudes = np.concatenate([*sizes, np.empty(0)])
    bent = [one[one > _ROUNDING] for one in sizes]
    curved = [float(np.median(one)) for one in bent if len(one)]
    if not curved:
        return 1.0, 1.0
    return 10.0 ** math.floor(math.log10(min(curved))), float(np.percentile(magnitudes, 95))


def _colour_scale(clouds: Sequence[Cloud]) -> Normalize:
    from matplotlib.colors import Normalize, SymLogNorm

    threshold, most = _scale(clouds)
    if threshold < most:
        return SymLogNorm(threshold, vmin=-most, vmax=most)
    return Normalize(-most, most)


def _median(cloud: Cloud) -> str:
    known = cloud.values[np.isfinite(cloud.values)]
    if not len(known):
        return "no curvature"
    median = float(np.median(known))
    return f"median {median if abs(median) > _ROUNDING else 0:.3g}".replace("-", "\N{MINUS SIGN}")


def _shares(frame: pd.DataFrame) -> dict[tuple[str, Epoch], str]:
    """What stands beside each label and checkpoint: shares of unusual points, over all seeds."""
    found: dict[tuple[str, Epoch], list[str]] = {}
    for metric, words in _SHARES.items():
        for group in groups(frame, metric):
            share = float(group.rows["value"].mean())
            if share > 0:
                told = found.setdefault((group.label, group.epoch), [])
                told.append(f"{100 * share:.3g} % {words}")
    return {key: ", ".join(told) for key, told in found.items()}
