"""The factorial of relative representations: accuracy by centre, scale, l2 and output scale."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final

import numpy as np

from repgeo.report.figures.style import MAP, NOTHING, axis_label, place_of
from repgeo.report.records import SIDES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeo.report.figures import Arrays

__all__ = ["draw", "draws", "size"]

_OUTPUTS: Final = {
    "root_dimension": "over the root\nof the dimension",
    "none": "as it is",
    "standardized": "standardised",
}
_SWITCHES: Final = ("center", "scale", "l2")
_TITLES: Final = {"self": "a model's own head", "others": "heads of other models"}


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    return 8.2, 4.2


def draws(frame: pd.DataFrame) -> bool:
    """Whether a factorial was measured."""
    return bool(frame["at"].str.contains('"method":"factorial"', regex=False).any())


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw accuracy by setting: rows are center, scale and l2, columns the output scale.

    Left without a stitch, right with the heads of other models. Means over models or pairs, then
    over seeds; of the first parameters with a factorial. Absolute codes, where measured under the
    same parameters, stand below.

    Parameters
    ----------
    frame
        Finished rows of the probe.
    arrays
        Not needed here.
    axes
        Their place is divided between the two panels.

    Raises
    ------
    InputError
        If the axes belong to no grid of subplots.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    figure, place = place_of(axes)
    axes.remove()
    rows = frame.loc[frame["at"].str.contains('"method":"factorial"', regex=False)]
    same = frame.loc[frame["params"] == rows["params"].iloc[0]]
    tables = {side: _table(same, side) for side in reversed(SIDES)}
    finite = np.concatenate([table[np.isfinite(table)] for table in tables.values()])
    scale = Normalize(finite.min(initial=1.0), finite.max(initial=0.0))
    grid = place.subgridspec(1, 2)
    panels = []
    for position, (side, table) in enumerate(tables.items()):
        panel = figure.add_subplot(grid[0, position])
        _draw_table(table, scale, panel)
        panel.set_title(_TITLES[side])
        panel.set_yticks(range(len(table)), _row_names() if position == 0 else [""] * len(table))
        panels.append(panel)
    metric, unit = str(rows["metric"].iloc[0]), str(rows["unit"].iloc[0])
    label = axis_label(f"{metric} (mean over seeds)", unit)
    figure.colorbar(ScalarMappable(scale, MAP), ax=panels, label=label, shrink=0.85, aspect=30)
    figure.supxlabel("relative coordinates, " + _head(str(rows["params"].iloc[0])), fontsize=9)


def _head(params: str) -> str:
    known = json.loads(params)
    words = [f"head {known.get('head', '')}"]
    if known.get("head") == "adam":
        words.append(f"rate {known['head_lr']:g}, {known['head_epochs']} epochs")
    return ": ".join(words)


def _settings() -> list[tuple[bool, bool, bool]]:
    return [(c, s, n) for c in (False, True) for s in (False, True) for n in (False, True)]


def _row_names() -> list[str]:
    names = [
        " + ".join(name for name, on in zip(_SWITCHES, setting, strict=True) if on) or "none"
        for setting in _settings()
    ]
    return [*names, "absolute codes"]


def _table(rows: pd.DataFrame, side: str) -> np.ndarray:
    """Means `(settings + 1, output scales)`; absolute codes in the middle of the last row."""
    diagonal = rows["model"] == rows["model_b"]
    chosen = rows.loc[diagonal if side == "self" else ~diagonal]
    table = np.full((len(_settings()) + 1, len(_OUTPUTS)), math.nan)
    places = {setting: line for line, setting in enumerate(_settings())}
    for at, part in chosen.groupby("at", sort=False):
        coordinates = json.loads(str(at))
        mean = float(part.groupby("seed")["value"].mean().mean())
        if coordinates.get("method") == "factorial":
            line = places[tuple(coordinates[name] for name in _SWITCHES)]
            table[line, list(_OUTPUTS).index(coordinates["output_scale"])] = mean
        elif coordinates.get("method") == "absolute":
            table[-1, list(_OUTPUTS).index("none")] = mean
    return table


def _draw_table(table: np.ndarray, scale: object, panel: Axes) -> None:
    panel.set_facecolor(NOTHING)
    panel.imshow(np.ma.masked_invalid(table), cmap=MAP, norm=scale, aspect="auto")  # type: ignore[arg-type]
    panel.set_xticks(range(len(_OUTPUTS)), list(_OUTPUTS.values()))
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            colour = "white" if float(scale(value)) < 0.55 else "black"  # type: ignore[operator]
            panel.text(column, row, f"{value:.3f}", ha="center", va="center", color=colour)
