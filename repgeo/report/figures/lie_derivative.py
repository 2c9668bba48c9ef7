"""Lie derivatives: profiles over the layers of networks, or errors of many single layers."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final

import numpy as np

from repgeo.errors import InputError
from repgeo.report.figures.stored import is_twin
from repgeo.report.figures.style import PALETTE, place_of, plain_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeo.report.figures import Arrays

__all__ = ["draw", "size"]

_FLOOR: Final = 1e-12  # of what is drawn; below it errors are rounding
_DEEP: Final = 4  # so many layers make a profile
_ROWS: Final = {
    "relative_error": "relative error of the codes\n(1: as fast as the data)",
    "contribution": "added to the outputs' error\nby this layer",
}


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    rows = _chosen(frame)
    panels = rows["generator"].nunique()
    if _is_profile(rows):
        layers = len(_in_order(rows))
        metrics = rows["metric"].nunique()
        return min(13.0, 1.2 + panels * (1.1 + 0.27 * layers) + 1.6), 1.3 + 2.3 * metrics
    longest = rows["model"].str.len().max()
    return 2.2 + 0.07 * longest + 3.2 * panels, 1.1 + 0.2 * rows["model"].nunique()


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw relative errors and contributions over the layers of networks, one panel per generator.

    A line is the mean over seeds of a model, its band from the smallest to the largest seed;
    models called untrained are dashed, in the colour of the model they are twins of. Models with
    one layer have no profile: where that is all there is, each has a row, with the error of its
    outputs, one dot for each seed. What is below 1e-12 is rounding and drawn there.

    Parameters
    ----------
    frame
        Finished rows of the probe.
    arrays
        Not needed here.
    axes
        Their place is divided among the panels.

    Raises
    ------
    InputError
        If there is no error to draw.
    """
    rows = _chosen(frame)
    if rows.empty:
        raise InputError("No cell of 'lie_derivative' has an error: there is nothing to draw.")
    if _is_profile(rows):
        _draw_profiles(rows, axes)
    else:
        _draw_outputs(rows, axes)


def _chosen(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with their generator; of a generator measured under several parameters, the first."""
    rows = frame.loc[frame["metric"].isin(list(_ROWS))].copy()
    rows["generator"] = [json.loads(at)["generator"] for at in rows["at"]]
    first = rows.groupby("generator", sort=False)["params"].transform("first")
    return rows.loc[rows["params"] == first]


def _layers(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Model -> its layers in the order in which they run."""
    return {
        str(model): list(dict.fromkeys(own["layer"]))
        for model, own in rows.groupby("model", sort=False)
    }


def _in_order(rows: pd.DataFrame) -> list[str]:
    """Layers of all models, those of the deepest first, codes and outputs last."""
    deepest = sorted(_layers(rows).values(), key=len, reverse=True)
    names = dict.fromkeys(name for layers in deepest for name in layers)
    last = [name for name in ("encoder", "output") if name in names]
    return [*(name for name in names if name not in last), *last]


def _is_profile(rows: pd.DataFrame) -> bool:
    return any(len(layers) >= _DEEP for layers in _layers(rows).values())


def _draw_profiles(rows: pd.DataFrame, axes: Axes) -> None:
    figure, place = place_of(axes)
    axes.remove()
    deep = [model for model, layers in _layers(rows).items() if len(layers) >= _DEEP]
    rows = rows.loc[rows["model"].isin(deep)]
    names, colours = _in_order(rows), _colours(deep)
    generators = list(dict.fromkeys(rows["generator"]))
    metrics = [metric for metric in _ROWS if (rows["metric"] == metric).any()]
    grid = place.subgridspec(len(metrics), len(generators))
    shared: dict[int, Axes] = {}
    for line, metric in enumerate(metrics):
        for column, generator in enumerate(generators):
            panel = figure.add_subplot(grid[line, column], sharey=shared.get(line))
            shared.setdefault(line, panel)
            own = rows.loc[(rows["metric"] == metric) & (rows["generator"] == generator)]
            _draw_profile(own, names, colours, panel)
            if line == 0:
                panel.set_title(generator.replace("_", " "), loc="left")
            if line < len(metrics) - 1:
                panel.tick_params(labelbottom=False)
            if column == 0:
                panel.set_ylabel(_ROWS[metric])
            else:
                panel.tick_params(labelleft=False)
    handles, labels = next(iter(shared.values())).get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False)


def _colours(models: list[str]) -> dict[str, str]:
    """A twin has the colour of the longest name that its own begins with."""
    trained = [model for model in models if not is_twin(model)]
    colours = {model: PALETTE[place % len(PALETTE)] for place, model in enumerate(trained)}
    for model in models:
        if model not in colours:
            owners = [name for name in trained if model.startswith(name)]
            owner = max(owners, key=len, default="")
            colours[model] = colours.get(owner, PALETTE[len(colours) % len(PALETTE)])
    return colours


def _draw_profile(
    rows: pd.DataFrame, names: list[str], colours: dict[str, str], panel: Axes
) -> None:
    for model, own in rows.groupby("model", sort=False):
        table = own.pivot_table(index="layer", columns="seed", values="value", sort=False)
        values = np.maximum(table.to_numpy(), _FLOOR)  # (layers, seeds)
        style = "--" if is_twin(str(model)) else "-"
        x = [names.index(str(layer)) for layer in table.index]
        colour = colours[str(model)]
        panel.plot(
            x, np.exp(np.log(values).mean(axis=1)), style, color=colour, linewidth=1.3, marker="o",
            markersize=2.5, label=str(model),
        )  # fmt: skip
        panel.fill_between(x, values.min(axis=1), values.max(axis=1), color=colour, alpha=0.12)
    plain_axes(panel)
    _log_axis(panel, "y")
    if rows["metric"].iloc[0] == "relative_error":
        panel.axhline(1.0, color="black", linewidth=0.8, alpha=0.5, zorder=0)
    panel.set_xticks(range(len(names)), names, rotation=90)


def _draw_outputs(rows: pd.DataFrame, axes: Axes) -> None:
    figure, place = place_of(axes)
    axes.remove()
    rows = rows.loc[(rows["metric"] == "relative_error") & (rows["layer"] == "output")]
    models = list(dict.fromkeys(rows["model"]))
    heights = {model: -place for place, model in enumerate(models)}
    generators = list(dict.fromkeys(rows["generator"]))
    grid = place.subgridspec(1, len(generators))
    for column, generator in enumerate(generators):
        panel = figure.add_subplot(grid[0, column])
        own = rows.loc[rows["generator"] == generator]
        y = own["model"].map(heights)
        x = np.maximum(own["value"], _FLOOR)
        panel.plot(x, y, "o", color=PALETTE[0], markersize=4, alpha=0.7)
        known = own.loc[own["chance"].notna()]
        panel.plot(
            known["chance"], known["model"].map(heights), "|", color="black", markersize=8,
            label="chance",
        )  # fmt: skip
        plain_axes(panel)
        _log_axis(panel, "x")
        panel.axvline(1.0, color="black", linewidth=0.8, alpha=0.5, zorder=0)
        named = models if column == 0 else [""] * len(models)
        panel.set_yticks(list(heights.values()), named)
        panel.set_title(generator.replace("_", " "), loc="left")
        panel.set_xlabel("relative error of the outputs (1: as fast as the data)")
        if len(known):
            panel.legend(frameon=False, loc="upper center")


def _log_axis(panel: Axes, which: str) -> None:
    """A logarithmic axis that ends where errors are rounding, if some are."""
    axis = panel.xaxis if which == "x" else panel.yaxis
    (panel.set_xscale if which == "x" else panel.set_yscale)("log")
    low, high = panel.get_xlim() if which == "x" else panel.get_ylim()
    if low > 2 * _FLOOR:
        return
    exponents = range(-12, math.ceil(math.log10(high)) + 1, 3)
    texts = ["rounding", *(f"$10^{{{k}}}$" for k in exponents[1:])]
    axis.set_ticks([10.0**k for k in exponents], texts)
