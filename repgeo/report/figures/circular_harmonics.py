"""Filters on patches, the purest first, and their scores against those of random filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from repgeo.report.figures.stored import reading
from repgeo.report.figures.style import DIVERGING, PALETTE, place_of, plain_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeo.report.figures import Arrays

__all__ = ["draw", "size"]

_TILES: Final = 10
_LINES: Final = 3
#: From one tile to the next, in sides of a tile.
_GAP: Final = 1.3


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    return 8.6, 1.9 * frame["model"].nunique() + 0.7


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw a row for each model: filters (real parts) by descending score, and a histogram.

    Filters are those of the first seed; each is labelled with its angular frequency. Histograms
    have the scores of all rows, in front of those of random filters.

    Parameters
    ----------
    frame
        Finished rows of the probe.
    arrays
        Gives the stored filters and scores of a cell.
    axes
        Where to draw.

    Raises
    ------
    InputError
        If the axes belong to no grid of subplots.
    """
    figure, place = place_of(axes)
    axes.remove()
    rows = frame[(frame["metric"] == "score") & (frame["params"] == frame["params"].iloc[0])]
    models = list(rows["model"].unique())
    grid = place.subgridspec(len(models), 2, width_ratios=[2.6, 1.0])
    for line, model in enumerate(models):
        cells = rows[rows["model"] == model]
        found = reading(frame, cells.index[0], arrays)
        filters = found["filters"][..., 0]
        order = np.argsort(-found["scores"][: len(filters)])[: _TILES * _LINES]
        panel = figure.add_subplot(grid[line, 0])
        _draw_tiles(panel, filters[order], found["frequencies"][order])
        panel.set_ylabel(model, fontsize=8)
        histogram = figure.add_subplot(grid[line, 1])
        bins = np.linspace(0, 1, 41).tolist()
        histogram.hist(found["null"], bins, density=True, color="#bbbbbb", label="random filters")
        histogram.hist(
            found["scores"],
            bins,
            density=True,
            histtype="step",
            color=PALETTE[0],
            linewidth=1.4,
            label="rows of weights",
        )
        plain_axes(histogram)
        histogram.set_yticks([])
        histogram.tick_params(labelsize=7)
        if line == 0:
            histogram.legend(fontsize=7)
            histogram.set_title("largest share of one angular frequency", fontsize=8)


def _draw_tiles(panel: Axes, filters: np.ndarray, frequencies: np.ndarray) -> None:
    """Filters in lines of tiles, each scaled to its largest entry, with its frequency above."""
    side = round(filters.shape[1] ** 0.5)
    step = side * _GAP
    lines = -(-len(filters) // _TILES)
    for number, (row, frequency) in enumerate(zip(filters, frequencies, strict=True)):
        line, column = divmod(number, _TILES)
        left, top = column * step, line * step
        largest = max(float(np.abs(row).max()), 1e-12)
        panel.imshow(
            row.reshape(side, side) / largest,
            cmap=DIVERGING,
            vmin=-1,
            vmax=1,
            extent=(left, left + side, top + side, top),
        )
        panel.text(left + side / 2, top - 0.06 * side, f"{int(frequency)}", ha="center", fontsize=6)
    panel.set_xlim(-0.1 * side, _TILES * step)
    panel.set_ylim(lines * step, -0.3 * side)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.spines[:].set_visible(False)
