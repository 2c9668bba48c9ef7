"""What symmetries do to outputs, and what of each fibre they explain."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from repgeo.errors import InputError
from repgeo.report.figures.style import PALETTE, place_of, plain_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeo.report.figures import Arrays

__all__ = ["draw", "size"]

_MARKS: Final = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
_EXACT: Final = 1e-17  # where outputs that did not change at all are drawn


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    return 9.2, 1.9 + 0.27 * frame["model"].nunique()


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw, for each model, the changes of outputs and the dimensions of the fibre.

    To the left the largest change over seeds, filled for symmetries, hollow for controls; a line at
    1e-12. To the right the fibre at generic weights: bars of what symmetries explain, in another
    colour what none explains, and a mark for the fibre at the model's own weights.

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
        If there is no dimension of a fibre.
    """
    figure, place = place_of(axes)
    models = list(dict.fromkeys(frame["model"]))[::-1]
    dimensions = frame.loc[frame["metric"].str.endswith("dimension")]
    if dimensions.empty:
        raise InputError("No fibre has a dimension: there is nothing to draw.")
    axes.remove()
    grid = place.subgridspec(1, 2, width_ratios=[3, 2])
    left = figure.add_subplot(grid[0])
    right = figure.add_subplot(grid[1], sharey=left)
    _draw_changes(frame, models, left)
    _draw_fibres(dimensions, models, right)
    right.tick_params(labelleft=False)


def _draw_changes(frame: pd.DataFrame, models: list[str], axes: Axes) -> None:
    rows = frame.loc[frame["metric"].isin(["relative_error", "control_change"])]
    names = [json.loads(str(at))["symmetry"] for at in rows["at"]]
    largest = rows["value"].groupby([rows["model"], np.array(names), rows["metric"]]).max()
    order = list(dict.fromkeys(names))
    look = {
        name: (PALETTE[n % len(PALETTE)], _MARKS[n % len(_MARKS)]) for n, name in enumerate(order)
    }
    told = set()
    for key, value in largest.items():
        model, name, metric = (str(part) for part in cast("tuple[object, ...]", key))
        colour, mark = look[name]
        hollow = metric == "control_change"
        axes.plot(
            max(float(value), _EXACT), models.index(model), mark, color=colour, markersize=5,
            markerfacecolor="white" if hollow else colour,
            label=None if name in told else name,
        )  # fmt: skip
        told.add(name)
    axes.axvline(1e-12, color="black", linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_xlim(_EXACT / 3, 30)
    axes.set_yticks(range(len(models)), models)
    axes.set_ylim(-0.7, len(models) - 0.3)
    axes.set_xlabel("largest change of an output, relative\n(hollow: controls; at the edge: none)")
    plain_axes(axes)
    axes.legend(
        frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), handletextpad=0.2
    )


def _draw_fibres(rows: pd.DataFrame, models: list[str], axes: Axes) -> None:
    def of(metric: str, weights: str) -> np.ndarray:
        chosen = rows.loc[(rows["metric"] == metric) & rows["at"].str.contains(f'"{weights}"')]
        values: Any = chosen["value"].groupby(chosen["model"]).max()
        return np.array([float(values.get(model, np.nan)) for model in models])

    places = np.arange(len(models))
    explained = of("explained_dimension", "generic")
    unexplained = of("unexplained_dimension", "generic")
    axes.barh(places, explained, height=0.6, color=PALETTE[5], label="explained")
    axes.barh(places, unexplained, 0.6, left=explained, color=PALETTE[1], label="unexplained")
    axes.plot(of("fibre_dimension", "own"), places, "|", color="black", markersize=11,
              label="at own weights")  # fmt: skip
    axes.set_xlabel("dimension of the fibre\nat generic weights")
    plain_axes(axes)
    axes.legend(frameon=False, ncols=1, loc="lower center", bbox_to_anchor=(0.5, 1.0))
