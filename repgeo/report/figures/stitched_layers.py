"""A model stitched to itself across layers: accuracy by method and by the layers of both sides."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final

import numpy as np

from repgeo.report.figures.relative_stitching import without_factorial
from repgeo.report.figures.style import MAP, NOTHING, axis_label, place_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeo.report.figures import Arrays

__all__ = ["draw", "draws", "size"]

_WIDTH: Final = 2.9
_MOST_MODELS: Final = 4


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    rows = _chosen(frame)
    models = min(rows["model"].nunique(), _MOST_MODELS)
    return _WIDTH * models + 2.2, 0.3 * rows["at"].nunique() + 1.5


def draws(frame: pd.DataFrame) -> bool:
    """Whether a model was stitched to itself at another layer."""
    return len(_chosen(frame)) > 0


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw, for up to four models, a table: rows are methods, columns pairs of layers.

    Columns without a stitch (a layer with itself) come first. Means over seeds.

    Parameters
    ----------
    frame
        Finished rows of the probe.
    arrays
        Not needed here.
    axes
        Their place is divided among the models.

    Raises
    ------
    InputError
        If the axes belong to no grid of subplots.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    figure, place = place_of(axes)
    axes.remove()
    rows = _chosen(frame)
    models = list(dict.fromkeys(rows["model"]))[:_MOST_MODELS]
    methods = list(dict.fromkeys(rows["at"]))
    pairs = sorted(
        dict.fromkeys(zip(rows["layer"], rows["layer_b"], strict=True)), key=lambda p: p[0] != p[1]
    )
    tables = {model: _table(rows.loc[rows["model"] == model], methods, pairs) for model in models}
    finite = np.concatenate([table[np.isfinite(table)] for table in tables.values()])
    scale = Normalize(finite.min(), finite.max())
    grid = place.subgridspec(1, len(models))
    panels = []
    for column, (model, table) in enumerate(tables.items()):
        panel = figure.add_subplot(grid[0, column])
        _draw_table(table, scale, panel)
        panel.set_title(model)
        names = [" ".join(map(str, json.loads(str(at)).values())) for at in methods]
        panel.set_yticks(range(len(names)), names if column == 0 else [""] * len(names))
        texts = [f"{encoder}\nto {head}" for encoder, head in pairs]
        panel.set_xticks(range(len(pairs)), texts)
        panels.append(panel)
    metric, unit = str(rows["metric"].iloc[0]), str(rows["unit"].iloc[0])
    label = axis_label(f"{metric} (mean over seeds)", unit)
    figure.colorbar(ScalarMappable(scale, MAP), ax=panels, label=label, shrink=0.9, aspect=25)


def _chosen(frame: pd.DataFrame) -> pd.DataFrame:
    """Pairs of a model with itself, of the first parameters under which layers differ."""
    rows = without_factorial(frame)
    rows = rows.loc[rows["model"] == rows["model_b"]]
    crossing = rows.loc[rows["layer"] != rows["layer_b"]]
    if not len(crossing):
        return crossing
    rows = rows.loc[rows["params"] == crossing["params"].iloc[0]]
    chosen: pd.DataFrame = rows.loc[rows["metric"] == crossing["metric"].iloc[0]]
    return chosen


def _table(rows: pd.DataFrame, methods: list[str], pairs: list[tuple[str, str]]) -> np.ndarray:
    means = rows.groupby(["at", "layer", "layer_b"])["value"].mean().to_dict()
    table = [[means.get((at, *pair), math.nan) for pair in pairs] for at in methods]
    return np.array(table, dtype=np.float64)  # (methods, pairs of layers)


def _draw_table(table: np.ndarray, scale: object, panel: Axes) -> None:
    panel.set_facecolor(NOTHING)
    panel.imshow(np.ma.masked_invalid(table), cmap=MAP, norm=scale, aspect="auto")  # type: ignore[arg-type]
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            colour = "white" if float(scale(value)) < 0.55 else "black"  # type: ignore[operator]
            panel.text(
                column, row, f"{value:.3f}", ha="center", va="center", color=colour, fontsize=7.5
            )
