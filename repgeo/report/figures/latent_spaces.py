"""Latent spaces side by side: what the head of one model sees of the codes of several."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from repgeo.report.figures.stored import reading
from repgeo.report.figures.style import NOTHING, place_of
from repgeo.report.labels import short_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeo.report.figures import Arrays

__all__ = ["draw", "draws", "size"]

#: Which methods are shown, in this order, where they were measured; the first is always there.
_METHODS: Final = ("absolute", "cosine", "robust", "whitened")
_MOST_MODELS: Final = 5
_SIDE: Final = 1.75

#: Ten colours that differ in hue and in lightness.
_COLOURS: Final = "tab10"


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    rows = _chosen(frame)
    columns = min(rows["model"].nunique(), _MOST_MODELS)
    return _SIDE * columns + 1.6, (_SIDE + 0.25) * rows["method"].nunique() + 0.7


def draws(frame: pd.DataFrame) -> bool:
    """Whether two models and a relative method beside the absolute codes were measured."""
    rows = _chosen(frame)
    return rows["model"].nunique() > 1 and rows["method"].nunique() > 1


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw the codes of up to five models as the head of the first one sees them.

    A row is a method, absolute codes above relative ones; a column is an encoder, the first one the
    head's own. Every panel of a row is the same plane: that of the two leading principal components
    of the head side's own codes, at the same scale. Dots are test samples, coloured by class; of
    the first seed. Where codes cannot be seen (they have another number of features) a panel is
    grey.

    Parameters
    ----------
    frame
        Finished rows of the probe.
    arrays
        Gives the stored arrays of a cell.
    axes
        Their place is divided among the panels.

    Raises
    ------
    InputError
        If the axes belong to no grid of subplots.
    """
    figure, place = place_of(axes)
    axes.remove()
    rows = _chosen(frame)
    models = list(dict.fromkeys(rows["model"]))[:_MOST_MODELS]
    methods = [name for name in _METHODS if name in set(rows["method"])]
    grid = place.subgridspec(len(methods), len(models))
    for line, method in enumerate(methods):
        found: dict[str, Mapping[str, np.ndarray]] = {}
        values: dict[str, float] = {}
        for index, row in rows.loc[rows["method"] == method].iterrows():
            found[str(row["model"])] = reading(frame, index, arrays)
            values[str(row["model"])] = float(row["value"])
        corners = _corners(found.get(models[0], {}))
        for column, model in enumerate(models):
            panel = figure.add_subplot(grid[line, column])
            _draw_cloud(found.get(model, {}), corners, panel)
            if line == 0:
                kind = "own head" if column == 0 else f"head of {models[0]}"
                panel.set_title(textwrap.fill(f"{model}, {kind}", 22), fontsize=8)
            if column == 0:
                panel.set_ylabel(method)
            if model in values:
                panel.set_xlabel(f"accuracy {values[model]:.2f}", fontsize=7.5)
    figure.suptitle(_title(rows, frame), fontsize=9)


def _chosen(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of one seed and one setting, with the first model's head; "method" is a column."""
    methods = [json.loads(str(at)).get("method", "") if at else "" for at in frame["at"]]
    rows: pd.DataFrame = frame.assign(method=methods)
    rows = rows.loc[rows["method"].isin(_METHODS)]
    if not len(rows):
        return rows
    kind = ["dataset", "params", "layer", "layer_b"]
    # One model with itself is no side by side.
    counts = rows.groupby(kind, sort=False)[["model_b", "method"]].nunique()
    best = max(
        counts.index,
        key=lambda key: (min(2, counts.loc[key, "model_b"]), counts.loc[key, "method"]),
    )
    for name, value in zip(kind, best, strict=True):
        rows = rows.loc[rows[name] == value]
    rows = rows.loc[rows["seed"] == rows["seed"].min()]
    chosen: pd.DataFrame = rows.loc[rows["model_b"] == rows["model"].iloc[0]]
    return chosen


def _title(rows: pd.DataFrame, frame: pd.DataFrame) -> str:
    told = short_json(str(rows["params"].iloc[0]), [str(text) for text in frame["params"].unique()])
    head = [word for word in told.split(" ") if word.startswith("head=")]
    words = ["Codes in the principal plane of the head's own codes", *head]
    return ", ".join([*words, f"seed {rows['seed'].iloc[0]}"])


def _corners(stored: Mapping[str, np.ndarray]) -> tuple[np.ndarray, float] | None:
    """Middle and half the side of the square that holds the head side's own codes."""
    if "plane" not in stored:
        return None
    plane = stored["plane"]
    low, high = plane.min(axis=0), plane.max(axis=0)
    return (low + high) / 2, 0.65 * float(max(*(high - low), 1e-12))


def _draw_cloud(
    stored: Mapping[str, np.ndarray], corners: tuple[np.ndarray, float] | None, panel: Axes
) -> None:
    panel.set_xticks([])
    panel.set_yticks([])
    panel.spines[:].set_color("#bbbbbb")
    if "plane" not in stored or corners is None:
        panel.set_facecolor(NOTHING)
        return
    middle, half = corners
    x, y = stored["plane"].T
    panel.scatter(x, y, c=stored["labels"] % 10, cmap=_COLOURS, vmin=0, vmax=9, s=4, linewidths=0)
    panel.set_xlim(middle[0] - half, middle[0] + half)
    panel.set_ylim(middle[1] - half, middle[1] + half)
    panel.set_aspect("equal", adjustable="box")
    outside = np.mean((abs(x - middle[0]) > half) | (abs(y - middle[1]) > half))
    if outside > 0:
        share = f"{max(1, round(100 * outside))} % outside"
        panel.text(0.03, 0.03, share, transform=panel.transAxes, fontsize=6.5, color="#555555")
