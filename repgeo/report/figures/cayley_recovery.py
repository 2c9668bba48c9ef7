"""Multiplication tables: the true one, what networks hold, errors and rates of all their starts."""

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
_MOST: Final = 5
#: What is shown of starts as a share, by parameters of the probe: metric, text, marker.
_SHARES: Final = (
    ("plancherel", "success", "error below 0.05", "D"),
    ("plancherel", "exact_starts", "table exact", "o"),
    ("published", "exact_starts", "exact in the published metric", "s"),
    ("plancherel", "certified_starts", "certified", "x"),
)
#: Models whose names are so short stand in one line.
_SHORT: Final = 24
_SIDE: Final = 1.35


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    rows = _first(frame)
    datasets = rows["dataset"].nunique()
    tables = min(_MOST, rows["model"].nunique()) + 1
    return _SIDE * tables + 5.6, _SIDE * datasets + 0.9


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw one row for each dataset: tables, wrong cells in red; errors and rates of starts.

    Tables are those of the first seed, and of the first parameters of the probe. Beside them stand
    the homomorphism error of every start of every seed, on a logarithmic scale, and the shares of
    starts that have a small error, an exact table, and a certified one, with Wilson intervals over
    the starts of all seeds; models that have one start only are left out there.

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
    widths = [*[1.0] * (len(shown) + 1), 2.0, 1.5]
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
        shares = figure.add_subplot(grid[line, len(shown) + 2])
        _draw_shares(shares, frame[frame["dataset"] == dataset], models)
        if line == 0:
            errors.set_title("homomorphism error of starts\n(dashed: 0.05)", fontsize=8)
            shares.set_title("share of starts", fontsize=8)
            if shares.get_legend_handles_labels()[0]:
                shares.legend(
                    fontsize=6.5, loc="lower left", bbox_to_anchor=(1.02, 1.0), frameon=False
                )


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
    panel.set_yticks(range(len(told)), [])
    panel.tick_params(axis="x", labelsize=7)


def _draw_shares(panel: Axes, here: pd.DataFrame, models: list[str]) -> None:
    plain_axes(panel)
    started = here[here["metric"] == "success"]
    told = [model for model in models if (started["model"] == model).any()]
    if not told:
        panel.set_axis_off()
        return
    for place, (distance, metric, text, marker) in enumerate(_SHARES):
        chosen = here["params"].str.contains(f'"distance":"{distance}"', regex=False)
        found = here[chosen & (here["metric"] == metric)]
        if not len(found):
            continue
        levels, centres, reach = [], [], []
        for level, model in enumerate(told):
            rows = found[found["model"] == model]
            if len(rows) and rows["n"].max() > 1:
                share, low, high = _pooled(rows)
                levels.append(level + 0.2 * (place - 1.5))
                centres.append(share)
                reach.append((share - low, high - share))
        panel.errorbar(
            centres,
            levels,
            xerr=np.array(reach).reshape(-1, 2).T,
            fmt=marker,
            color=PALETTE[place],
            markersize=2.5,
            linewidth=0.9,
            label=text,
        )
    panel.set_xlim(-0.05, 1.05)
    panel.set_ylim(len(told) - 0.5, -0.5)
    panel.set_yticks(range(len(told)), told, fontsize=7)
    panel.yaxis.tick_right()
    panel.tick_params(axis="x", labelsize=7)


def _pooled(rows: pd.DataFrame) -> tuple[float, float, float]:
    """A share over the samples of all rows with its Wilson interval."""
    n = int(rows["n"].sum())
    share = float((rows["value"] * rows["n"]).sum()) / n
    z = 1.959963984540054
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return share, min(share, centre - half), max(share, centre + half)
