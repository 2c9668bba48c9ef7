"""Rows of weights beside each other, and how pure they are against what chance gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from repgeo.report.figures.stored import reading
from repgeo.report.figures.style import DIVERGING, PALETTE, place_of, plain_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeo.report.figures import Arrays

__all__ = ["draw", "size"]

#: Models whose rows are shown.
_MOST: Final = 4
#: Rows of weights that are shown.
_ROWS: Final = 32


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    rows = _first(frame)
    models = min(_MOST, rows["model"].nunique())
    return 1.55 * models + 4.6, 1.5 * rows["dataset"].nunique() + 0.9


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw one row for each dataset: filters of each model as lines, and their scores.

    Filters (real parts, each scaled to its largest entry) are sorted by the component that holds
    most of their energy; of exact models they are the entries of the irreducible representations.
    On the right: the scores of all rows in order, with the band that holds 98 % of random rows.

    Parameters
    ----------
    frame
        Finished rows of the probe.
    arrays
        Gives the stored filters and shares of a cell.
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
    rows = rows[rows["metric"] == "score"]
    datasets = list(rows["dataset"].unique())
    models = list(rows["model"].unique())
    # Exact answers, where there are any, stand first: the others are compared with them.
    shown = sorted(models, key=lambda name: name != "exact")[:_MOST]
    grid = place.subgridspec(len(datasets), len(shown) + 1, width_ratios=[*[1.0] * len(shown), 1.7])
    for line, dataset in enumerate(datasets):
        here = rows[rows["dataset"] == dataset]
        here = here[here["seed"] == here["seed"].min()]
        for column, model in enumerate(shown):
            cell = here[here["model"] == model]
            if not len(cell):
                continue
            panel = figure.add_subplot(grid[line, column])
            _draw_filters(panel, reading(frame, cell.index[0], arrays))
            if line == 0:
                title = model.replace(" ", "\n", 1) if len(model) > 12 else model
                panel.set_title(title, fontsize=8)
            if column == 0:
                panel.set_ylabel(_name(str(dataset)), fontsize=9)
        scores = figure.add_subplot(grid[line, len(shown)])
        for place_, model in enumerate(models):
            cell = here[here["model"] == model]
            if len(cell):
                stored = reading(frame, cell.index[0], arrays)
                _draw_scores(scores, stored, model, place_, len(models) - 1 - place_)
        plain_axes(scores)
        scores.set_ylim(0, 1.03)
        scores.yaxis.tick_right()
        scores.tick_params(labelsize=7)
        scores.set_xticks([])
        if line == len(datasets) - 1:
            scores.set_xlabel("rows in the order of their share", fontsize=7)
        if line == 0:
            scores.set_title("largest share of each row's\nenergy in one component", fontsize=8)
            scores.legend(
                fontsize=6.5, loc="upper left", bbox_to_anchor=(1.12, 1.05), frameon=False
            )


def _first(frame: pd.DataFrame) -> pd.DataFrame:
    rows: pd.DataFrame = frame.loc[frame["params"] == frame["params"].iloc[0]]
    return rows


def _name(dataset: str) -> str:
    return dataset.partition("[")[2].rstrip("]").replace("group=", "") or dataset


def _draw_filters(panel: Axes, stored: Mapping[str, np.ndarray]) -> None:
    filters = stored["filters"][..., 0]  # (rows, n): real parts
    best = stored["fractions"][: len(filters)].argmax(axis=1)
    order = np.argsort(best, kind="stable")[:_ROWS]
    part = filters[order]
    part = part / np.maximum(np.abs(part).max(axis=1, keepdims=True), 1e-12)
    panel.imshow(part, cmap=DIVERGING, vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
    for edge in np.flatnonzero(np.diff(best[order])):
        panel.axhline(edge + 0.5, color="black", linewidth=0.5)
    panel.set_xticks([])
    panel.set_yticks([])


def _draw_scores(
    panel: Axes, stored: Mapping[str, np.ndarray], model: str, place: int, above: int
) -> None:
    scores = np.sort(stored["fractions"].max(axis=1))
    at = np.linspace(0, 1, len(scores)) if len(scores) > 1 else np.array([0.5])
    if place == 0:
        low, high = stored["null_quantiles"][[1, 99]]
        panel.axhspan(
            low, high, color="#bbbbbb", alpha=0.5, linewidth=0, label="98 % of random rows"
        )
    colour = PALETTE[place % len(PALETTE)]
    # Earlier lines are wider, so that equal ones show beneath the later.
    width = 1.0 + 0.5 * above
    panel.plot(
        at, scores, color=colour, linewidth=width, marker=".", markersize=width + 2, label=model
    )
