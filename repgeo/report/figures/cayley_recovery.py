"""Multiplication tables: the true one, what networks hold, and the errors of all their starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from repgeo.report.figures.stored import reading
from repgeo.report.figures.style import MAP, PALETTE, place_of, plain_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeo.report.figures import Arrays

__all__ = ["draw", "size"]

#: Tables of so many models stand beside the true one.
_MOST: Final = 4
#: Models whose names are so short stand in one line.
_SHORT: Final = 24
_SIDE: Final = 1.35


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    rows = _first(frame)
    datasets = rows["dataset"].nunique()
    tables = min(_MOST, rows["model"].nunique()) + 1
    return _SIDE * tables + 3.4, _SIDE * datasets + 0.9


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw one row for each dataset: tables in grey levels, wrong cells in red; errors of starts.

    Tables are those of the first seed, and of the first parameters of the probe. The panel on the
    right has the homomorphism error of every start of every seed, on a logarithmic scale.

    Parameters
    ----------
    frame
        Finished rows of the probe.
    arrays
        Gives the stored tables and errors of a cell.
    axes
        Where to draw.

    Raises
    ------
    InputError
        If the axes belong to no grid of subplots.
    """
    figure, place = place_of(axes)
    axes.remove()
    rows = _first(frame)
    datasets = list(rows["dataset"].unique())
    models = list(rows["model"].unique())
    shown = models[:_MOST]
    widths = [*[1.0] * (len(shown) + 1), 2.2]
    grid = place.subgridspec(len(datasets), len(widths), width_ratios=widths)
    for line, dataset in enumerate(datasets):
        here = rows[rows["dataset"] == dataset]
        seed = here["seed"].min()
        known = None
        for column, model in enumerate(shown):
            cells = here[
                (here["model"] == model)
                & (here["seed"] == seed)
                & (here["metric"] == "cell_accuracy")
            ]
            if not len(cells):
                continue
            found = reading(frame, cells.index[0], arrays)
            panel = figure.add_subplot(grid[line, column + 1])
            _draw_table(panel, found)
            panel.set_xlabel(f"{float(cells['value'].iloc[0]):.2f} right", fontsize=7, labelpad=2)
            if line == 0:
                panel.set_title(_broken(model), fontsize=8)
            known = found["known"]
        if known is not None:
            panel = figure.add_subplot(grid[line, 0])
            _draw_table(panel, {"table": known, "known": known})
            panel.set_ylabel(_name(str(dataset)), fontsize=9)
            if line == 0:
                panel.set_title("true table", fontsize=8)
        errors = figure.add_subplot(grid[line, len(shown) + 1])
        _draw_errors(errors, frame, here, arrays, models)
        if line == 0:
            errors.set_title("homomorphism error of starts", fontsize=8)


def _first(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with the first parameters of the probe."""
    rows: pd.DataFrame = frame.loc[frame["params"] == frame["params"].iloc[0]]
    return rows


def _name(dataset: str) -> str:
    """What tells a dataset apart: the values in its brackets."""
    inside = dataset.partition("[")[2].rstrip("]")
    return "\n".join(inside.replace("group=", "").split(",")) or dataset


def _broken(model: str) -> str:
    return model.replace(" ", "\n", 1) if len(model) > _SHORT // 2 else model


def _draw_table(panel: Axes, found: Mapping[str, np.ndarray]) -> None:
    from matplotlib.colors import ListedColormap

    table, known = found["table"], found["known"]
    panel.imshow(table, cmap=MAP, interpolation="nearest")
    wrong = np.ma.masked_equal(table != known, False)
    panel.imshow(wrong, cmap=ListedColormap(["#D55E00"]), interpolation="nearest", alpha=0.85)
    panel.set_xticks([])
    panel.set_yticks([])


def _draw_errors(
    panel: Axes, frame: pd.DataFrame, here: pd.DataFrame, arrays: Arrays, models: list[str]
) -> None:
    plain_axes(panel)
    told: list[str] = []
    for model in models:
        cells = here[(here["model"] == model) & (here["metric"] == "success")]
        if not len(cells):
            continue
        errors = np.concatenate([reading(frame, i, arrays)["errors"] for i in cells.index])
        level = len(told)
        # Spread by rank, so that equal errors stay visible; rounding errors stand at the left end.
        order = np.argsort(np.argsort(errors))
        offsets = 0.6 * (order / max(1, len(errors) - 1) - 0.5)
        colour = PALETTE[level % len(PALETTE)]
        panel.scatter(np.maximum(errors, 1e-8), level + offsets, s=4, color=colour, linewidths=0)
        told.append(model)
    if not told:
        panel.set_axis_off()
        return
    panel.axvline(0.05, color="#555555", linewidth=0.8, linestyle="--")
    panel.set_xscale("log")
    panel.set_xlim(0.6e-8, 20)
    panel.set_ylim(len(told) - 0.5, -0.5)
    panel.set_yticks(range(len(told)), told, fontsize=7)
    panel.yaxis.tick_right()
    panel.tick_params(axis="x", labelsize=7)
