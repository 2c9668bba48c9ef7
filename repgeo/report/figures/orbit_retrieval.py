"""Retrieval of moved samples against the number of elements in a row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import numpy as np

from repgeo.errors import InputError
from repgeo.report.figures.equivariance_error import line_style
from repgeo.report.figures.style import place_of, plain_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeo.report.figures import Arrays

__all__ = ["draw", "size"]

_METRIC: Final = "hit_rate"
_TITLES: Final = {
    "representation": "moved by the representation",
    "fitted": "moved by a fitted rotation",
}


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    names = max((len(str(name)) for name in frame["model"].unique()), default=0)
    panels = _panels(_told(frame))
    return 2.5 * len(panels) + 1.0 + 0.075 * names, max(2.6, 0.2 * frame["model"].nunique() + 0.8)


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw the hit rate of each model against T, a panel for each way in which codes are predicted.

    Lines are means over seeds, bands go from the lowest to the highest seed; the dashed grey line
    is chance. Codes that a representation moves keep their rate for every T, as elements compose;
    errors of a fitted rotation add up.

    Parameters
    ----------
    frame
        Finished rows of the probe.
    arrays
        Not needed here: all is in the table.
    axes
        Where to draw.

    Raises
    ------
    InputError
        If there is no hit rate.
    """
    told = _told(frame)
    panels = _panels(told)
    if not panels:
        raise InputError("No row of 'orbit_retrieval' is a hit rate: there is nothing to draw.")
    figure, place = place_of(axes)
    axes.remove()
    grid = place.subgridspec(1, len(panels))
    models = list(told["model"].unique())
    several = told[["params", "layer"]].drop_duplicates().shape[0] > 1
    for column, (params, layer, by) in enumerate(panels):
        cell = figure.add_subplot(grid[column])
        chosen = (told["params"] == params) & (told["layer"] == layer) & (told["by"] == by)
        _draw_panel(cell, told[chosen], models)
        group = json.loads(params).get("group") if params else None
        where = ", ".join([layer, *([str(group)] if group else [])])
        cell.set_title(_TITLES.get(by, by) + (f"\n{where}" if several else ""))
        if column == 0:
            cell.set_ylabel("hit rate")
        if column == len(panels) - 1:
            cell.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _told(frame: pd.DataFrame) -> pd.DataFrame:
    rows = frame[frame["metric"] == _METRIC]
    at = [json.loads(text) for text in rows["at"]]
    return rows.assign(by=[each["by"] for each in at], rollout=[each["rollout"] for each in at])


def _panels(told: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Parameters, layer and prediction of each panel."""
    columns = (told[name].astype(str) for name in ("params", "layer", "by"))
    return list(dict.fromkeys(zip(*columns, strict=True)))


def _draw_panel(axes: Axes, part: pd.DataFrame, models: list[str]) -> None:
    for place, model in enumerate(models):
        found = part[part["model"] == model].groupby("rollout")["value"].agg(["mean", "min", "max"])
        if not len(found):
            continue
        style = line_style(place)
        # Earlier lines are wider, so that equal ones show beneath the later.
        width = 1.2 + 0.35 * (len(models) - 1 - place)
        axes.plot(found.index, found["mean"], marker=".", linewidth=width, label=model, **style)
        axes.fill_between(
            found.index, found["min"], found["max"], color=style["color"], alpha=0.15, linewidth=0
        )
    axes.axhline(part["chance"].mean(), color="#777777", linestyle="--", linewidth=0.8)
    axes.set_ylim(-0.02, 1.04)
    rollouts = np.unique(part["rollout"])
    axes.set_xscale("log")
    axes.set_xticks(rollouts, [str(value) for value in rollouts])
    axes.minorticks_off()
    axes.set_xlabel("elements in a row, T")
    plain_axes(axes)
