"""Dimensions by rank, by formula, and numbers of parameters, model by model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from repgeo.errors import InputError
from repgeo.report.figures.style import PALETTE, place_of, plain_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeo.report.figures import Arrays

__all__ = ["draw", "size"]

_NAMED: Final = 45  # so many models have their names at the axis
_WIDE: Final = 15  # times the smallest dimension: drawn on a logarithmic scale
_DRAWN: Final = ("dimension", "formula_dimension", "pointwise_rank")
_PRECISIONS: Final = {"float32": PALETTE[1], "float64": PALETTE[0]}


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    models = frame["model"].nunique()
    named = models <= _NAMED
    compared = (frame["metric"] == "numerical_rank").any()
    longest = int(frame["model"].str.len().max()) if named else 0
    width = max(6.4, min(10.0, 2.0 + (0.22 if named else 0.05) * models))
    return width, 3.6 + 0.055 * longest + 2.4 * bool(compared)


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw the dimension of each model, models in the order of their number of parameters.

    Grey: parameters. Dots: the rank at random parameters, filled where it is proved; crosses: the
    formula; a ring below where the rank at the model's own weights is smaller. With ranks in
    several precisions, a second panel has how far they are from the dimension, one dot for each
    seed.

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
        If there is neither a dimension nor a rank.
    """
    figure, place = place_of(axes)
    table = frame.loc[frame["at"] == ""].pivot_table(
        index="model", columns="metric", values="value", aggfunc="max", sort=False
    )
    if not {"dimension", "pointwise_rank"} & set(table.columns):
        raise InputError("No model has a rank: there is nothing to draw.")
    by = [name for name in ("parameters", "dimension") if name in table]
    table = table.sort_values(by, kind="stable")
    compared = frame.loc[frame["metric"] == "numerical_rank"]
    if compared.empty:
        _draw_dimensions(table, axes)
        _name_models(table, axes)
        return
    axes.remove()
    grid = place.subgridspec(2, 1, height_ratios=[3, 2])
    upper = figure.add_subplot(grid[0])
    lower = figure.add_subplot(grid[1], sharex=upper)
    _draw_dimensions(table, upper)
    upper.tick_params(labelbottom=False)
    _draw_precisions(table, compared, lower)
    _name_models(table, lower)


def _draw_dimensions(table: pd.DataFrame, axes: Axes) -> None:
    places = np.arange(len(table))
    axes.step(
        places, table["parameters"], where="mid", color="#9a9a9a", linewidth=1.2, label="parameters"
    )
    few = len(table) <= _NAMED
    if "dimension" in table:
        proved = (table["certified"] == 1).to_numpy()
        rank = table["dimension"].to_numpy()
        dot = 5.0 if few else 2.6
        for which, face, label in (
            (proved, PALETTE[0], "rank, proved"),
            (~proved, "white", "rank, not proved"),
        ):
            if which.any():
                axes.plot(
                    places[which], rank[which], "o", color=PALETTE[0], markerfacecolor=face,
                    markersize=dot, label=label,
                )  # fmt: skip
    if "formula_dimension" in table:
        axes.plot(
            places, table["formula_dimension"], "x", color=PALETTE[1],
            markersize=7 if few else 3.2, markeredgewidth=1.0 if few else 0.6, label="formula",
        )  # fmt: skip
    if "pointwise_rank" in table:
        lower = (table["pointwise_rank"] < table.get("dimension", np.inf)).to_numpy()
        if lower.any():
            axes.plot(
                places[lower], table["pointwise_rank"].to_numpy()[lower], "s", color=PALETTE[2],
                markerfacecolor="none", markersize=5, label="rank at own weights, where lower",
            )  # fmt: skip
    plain_axes(axes)
    smallest = float(table[[name for name in _DRAWN if name in table]].min().min())
    if smallest > 0 and table["parameters"].max() > _WIDE * smallest:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set_ylim(bottom=0)
    axes.set_ylabel("dimension")
    axes.legend(frameon=False, loc="upper left")
    if "agrees" in table:
        known = table["agrees"].dropna()
        axes.set_title(
            f"rank and formula agree for {int(known.sum())} of {len(known)} models", loc="left"
        )


def _draw_precisions(table: pd.DataFrame, rows: pd.DataFrame, axes: Axes) -> None:
    place = {model: number for number, model in enumerate(table.index)}
    for number, (precision, colour) in enumerate(_PRECISIONS.items()):
        own = rows.loc[rows["at"].str.contains(precision)]
        if own.empty:
            continue
        x = own["model"].map(place) + 0.24 * (number - 0.5)
        off = own["value"].to_numpy() - table.loc[own["model"], "dimension"].to_numpy()
        axes.plot(x, off, "o", color=colour, markersize=3.5, alpha=0.7, label=precision)
    axes.axhline(0.0, color="black", linewidth=0.8, alpha=0.5, zorder=0)
    plain_axes(axes)
    axes.set_yscale("symlog", linthresh=1.0)
    ticks = [-100, -10, -1, 0, 1]
    axes.set_yticks(ticks, [str(tick).replace("-", "\N{MINUS SIGN}") for tick in ticks])
    axes.set_ylabel("numerical rank\nminus dimension")
    axes.set_ylim(top=8)  # room for the legend above
    axes.legend(
        frameon=False, loc="upper left", ncols=2, title="default tolerance in", title_fontsize=8
    )


def _name_models(table: pd.DataFrame, axes: Axes) -> None:
    if len(table) > _NAMED:
        axes.set_xlabel(f"{len(table)} models, by parameters")
        return
    axes.set_xticks(
        range(len(table)), list(table.index), rotation=50, ha="right", rotation_mode="anchor"
    )
