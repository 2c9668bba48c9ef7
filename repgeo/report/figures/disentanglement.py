"""Disentanglement of codes beside what it does not see: whether they are told apart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from repgeo.errors import InputError
from repgeo.report.figures.style import PALETTE, place_of, plain_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeo.report.figures import Arrays

__all__ = ["draw", "size"]

_MARKS: Final = ("o", "s", "^", "D", "v", "P", "X")


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    names = max((len(str(name)) for name in frame["model"].unique()), default=0)
    panels = len(_panels(frame))
    return 3.2 * panels + 0.8 + 0.075 * names, max(3.0, 0.22 * frame["model"].nunique() + 0.8)


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw the least distance of codes (margin) against D_LSBD, a mark for each model.

    To the left codes are disentangled, at the top they are different for different angles: what is
    good stands top left. A model that wraps its factors stands bottom left. Models whose factors
    turn no plane have no D_LSBD; they stand at the right, beyond the grey line. Marks are means
    over seeds, thin lines go from the lowest to the highest seed.

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
        If there is no margin.
    """
    rows = frame[(frame["metric"].isin(["d_lsbd", "margin"])) & (frame["at"] == "")]
    if not (rows["metric"] == "margin").any():
        raise InputError("No row of 'disentanglement' is a margin: there is nothing to draw.")
    figure, place = place_of(axes)
    axes.remove()
    listed = _panels(rows)
    grid = place.subgridspec(1, len(listed))
    for column, (params, layer) in enumerate(listed):
        cell = figure.add_subplot(grid[column])
        part = rows[(rows["params"] == params) & (rows["layer"] == layer)]
        _draw_panel(cell, part, list(rows["model"].unique()))
        group = json.loads(params).get("group") if params else None
        cell.set_title(f"{layer}: " + (f"orbits under {group}" if group else "grid of the data"))
        if column == 0:
            cell.set_ylabel("least distance of codes / typical one")
        if column == len(listed) - 1:
            cell.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _panels(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Parameters and layer of each panel."""
    pairs = zip(rows["params"].astype(str), rows["layer"].astype(str), strict=True)
    return list(dict.fromkeys(pairs))


def _draw_panel(axes: Axes, part: pd.DataFrame, models: list[str]) -> None:
    scores = part[part["metric"] == "d_lsbd"]
    right = 1.08 * max(1.0, float(scores["value"].max()) if len(scores) else 1.0)
    beside = False
    for place, model in enumerate(models):
        margins = part[(part["metric"] == "margin") & (part["model"] == model)]["value"]
        if not len(margins):
            continue
        found = scores.loc[scores["model"] == model, "value"]
        beside |= not len(found)
        x = float(found.mean()) if len(found) else 1.06 * right
        colour = PALETTE[place % len(PALETTE)]
        axes.plot([x, x], [margins.min(), margins.max()], color=colour, linewidth=0.8)
        if len(found):
            y = [margins.mean()] * 2
            axes.plot([found.min(), found.max()], y, color=colour, linewidth=0.8)
        axes.plot(
            [x],
            [margins.mean()],
            marker=_MARKS[place % len(_MARKS)],
            markersize=6,
            color=colour,
            markerfacecolor=colour if place < len(PALETTE) else "white",
            linestyle="none",
            label=model,
            clip_on=False,
        )
    if beside:
        axes.axvline(right, color="#999999", linewidth=0.8)
        axes.text(1.06 * right, axes.get_ylim()[1], "none", ha="center", va="bottom", fontsize=7)
    axes.set_xlim(-0.04, 1.14 * right if beside else right)
    axes.set_ylim(bottom=-0.01)
    axes.set_xlabel("D_LSBD (0: disentangled, chance 1)")
    plain_axes(axes)
