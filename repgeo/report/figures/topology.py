"""Death times of classes by model, and persistence diagrams."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from repgeo.errors import InputError
from repgeo.report.figures.epochs import epoch_name, spread
from repgeo.report.figures.stored import beside_twins, groups, is_twin, reading
from repgeo.report.figures.style import PALETTE, axis_label, place_of, plain_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeo.report.figures import Arrays

__all__ = ["draw", "size"]

_DIAGRAMS: Final = 6  # at most, in two columns
_PURE, _MIXED = PALETTE[0], PALETTE[4]

#: Parameters of the probe that labels do not tell: what is stored shows them.
_UNTOLD: Final = ("layer", "layer_post", "beta_factors", "loops", "clouds")

_DIMENSIONS: Final = {0: ("o", PALETTE[0], "components"), 1: ("^", PALETTE[1], "loops")}


@dataclass(frozen=True)
class _Setting:
    """What differs in nothing but seed and replica.

    Attributes
    ----------
    model
        The model without the number of its replica.
    label
        The same, and what else tells it apart, but the layer.
    layer
        Where the codes were taken.
    pure, mixed
        Death times of class-pure and of mixed clouds, of all seeds and replicas.
    bars
        Of the first seed and replica: dimension -> births and deaths `(bars, 2)`.
    """

    model: str
    label: str
    layer: str
    pure: np.ndarray
    mixed: np.ndarray
    bars: Mapping[int, np.ndarray]


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    settings = _settings(frame, arrays)
    shown = len(_with_diagrams(settings))
    layers = len({setting.layer for setting in settings})
    height = 0.9 + 0.7 * layers + 0.32 * len(settings)
    return (10.0 if shown else 6.5), max(height, 0.8 + 2.3 * -(-shown // 2))


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw the spread of death times of every model, and the persistence diagrams of some.

    Left: death times in dimension 0 of clouds of one class (blue) and of clouds drawn irrespective
    of class (yellow, below): a thin line from the 5th to the 95th percentile, a bar from the 25th
    to the 75th, a dot at the median. All seeds are put together, and replicas of a model, whose
    labels end in "#" and a number; layers have axes of their own. Right: births and deaths of
    components and loops among some test points of all classes, of the first layer, seed and
    replica; of many models the first, the last, and others evenly between.

    Parameters
    ----------
    frame
        Finished rows of the probe.
    arrays
        Gives the stored arrays of a cell.
    axes
        Their place is divided.

    Raises
    ------
    InputError
        If there are no death times, or the axes belong to no grid of subplots.
    """
    figure, place = place_of(axes)
    axes.remove()
    settings = _settings(frame, arrays)
    if not settings:
        raise InputError("No cell of 'topology' has stored death times: nothing to draw.")
    unit = str(frame.loc[frame["metric"] == "death_mean", "unit"].max())
    shown = _with_diagrams(settings)
    rows, widths = max(1, -(-len(shown) // 2)), [1.2, 1.0, 1.0] if shown else [1.0]
    grid = place.subgridspec(rows, len(widths), width_ratios=widths)
    layers = list(dict.fromkeys(setting.layer for setting in settings))
    there = [[setting for setting in settings if setting.layer == layer] for layer in layers]
    left = grid[:, 0].subgridspec(len(layers), 1, height_ratios=[len(own) + 1.5 for own in there])
    for row, (layer, own) in enumerate(zip(layers, there, strict=True)):
        panel = figure.add_subplot(left[row])
        _draw_spreads(own, panel)
        where = f"at {layer}" if len(layers) > 1 else "in clouds"
        panel.set_xlabel(axis_label(f"death times of components\n{where}", unit))
        if not row:
            panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    first: Axes | None = None
    for number, setting in enumerate(shown):
        row, column = divmod(number, 2)
        panel = figure.add_subplot(grid[row, 1 + column], sharex=first, sharey=first)
        first = first or panel
        _draw_diagram(setting, panel)
        panel.tick_params(labelleft=column == 0, labelbottom=number >= len(shown) - 2)
        if column == 0:
            panel.set_ylabel(axis_label("death", unit))
        if number >= len(shown) - 2:
            panel.set_xlabel(axis_label("birth", unit))
    if first is not None:
        _share_limits(shown, first)
        first.legend(loc="lower right", frameon=False, handletextpad=0.1)


def _settings(frame: pd.DataFrame, arrays: Arrays) -> list[_Setting]:
    places = [_at(text) for text in frame["at"]]
    pure = frame.loc[[at.get("cloud") == "class" for at in places]]
    others = _by_cell(frame, places)
    found: dict[tuple[str, str, str], list[tuple[object, Any]]] = {}
    for layer in dict.fromkeys(pure["layer"]):
        for group in groups(pure.loc[pure["layer"] == layer], "death_mean", untold=_UNTOLD):
            model = re.sub(r"#\d+$", "", group.model)
            label = model + group.label.removeprefix(group.model)
            label = re.sub(r"\s*(cloud=)?class\b", "", label)
            if group.epoch is not None:
                label = f"{label}, {epoch_name(group.epoch)}"
            rows = [(index, group.epoch) for index in group.rows.index]
            found.setdefault((model, label, str(layer)), []).extend(rows)
    settings = []
    for (model, label, layer), rows in found.items():
        deaths: dict[str, list[np.ndarray]] = {"class": [], "mixed": []}
        bars: dict[int, np.ndarray] = {}
        for index, epoch in rows:
            cell = frame.at[index, "cell"]
            here = {
                key[3]: other for key, other in others.items() if key[:3] == (cell, layer, epoch)
            }
            deaths["class"].append(reading(frame, index, arrays)["deaths"].ravel())
            deaths["mixed"].append(reading(frame, here["mixed"], arrays)["deaths"].ravel())
            for dimension in (0, 1) if not bars else ():
                if dimension in here:
                    bars[dimension] = reading(frame, here[dimension], arrays)["bars"]
        pooled = [np.concatenate(deaths[kind]) for kind in ("class", "mixed")]
        settings.append(_Setting(model, label, layer, pooled[0], pooled[1], bars))
    return [settings[place] for place in beside_twins([setting.model for setting in settings])]


def _with_diagrams(settings: Sequence[_Setting]) -> list[_Setting]:
    """Those whose persistence diagrams are drawn: of the first layer."""
    stored = [one for one in settings if one.bars and one.layer == settings[0].layer]
    return spread(stored, _DIAGRAMS)


def _at(text: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(str(text)) if text else {}
    return found


def _by_cell(
    frame: pd.DataFrame, places: Sequence[dict[str, Any]]
) -> dict[tuple[Any, Any, Any, Any], object]:
    """The rows of mixed clouds and of persistence, by cell, layer, checkpoint and what they are."""
    found: dict[tuple[Any, Any, Any, Any], object] = {}
    for index, at in zip(frame.index, places, strict=True):
        metric, kind = frame.at[index, "metric"], None
        if metric == "death_mean":
            kind = at.get("cloud")
        elif metric == "total_persistence":
            kind = at.get("dimension")
        if kind is not None:
            found[frame.at[index, "cell"], frame.at[index, "layer"], at.get("epoch"), kind] = index
    return found


def _draw_spreads(settings: Sequence[_Setting], panel: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    for height, setting in enumerate(settings):
        kinds = ((setting.pure, -0.12, _PURE), (setting.mixed, 0.18, _MIXED))
        for deaths, shift, colour in kinds:
            low, left, middle, right, high = np.percentile(deaths, [5, 25, 50, 75, 95])
            y = height + shift
            panel.plot([low, high], [y, y], color=colour, linewidth=1)
            panel.plot([left, right], [y, y], color=colour, linewidth=4, solid_capstyle="butt")
            face = "white" if is_twin(setting.model) else colour
            panel.plot(middle, y, "o", color=colour, markerfacecolor=face, markersize=4.5)
    panel.plot([], [], "o-", color=_PURE, label="of one class")
    panel.plot([], [], "o-", color=_MIXED, label="of all classes")
    panel.set_yticks(range(len(settings)), [setting.label for setting in settings])
    panel.set_ylim(len(settings) - 0.4, -0.7)
    panel.set_xlim(left=0)
    panel.xaxis.set_major_locator(MaxNLocator(5, prune="upper"))  # the next panels begin there
    plain_axes(panel)


def _draw_diagram(setting: _Setting, panel: Axes) -> None:
    for dimension, bars in sorted(setting.bars.items()):
        marker, colour, name = _DIMENSIONS[dimension]
        panel.scatter(
            bars[:, 0], bars[:, 1], s=12, marker=marker, color=colour, alpha=0.6, linewidths=0,
            label=name, clip_on=False, zorder=3,
        )  # fmt: skip
    panel.set_title(setting.label, fontsize=8)
    plain_axes(panel)


def _share_limits(shown: Sequence[_Setting], panel: Axes) -> None:
    """One square of axes for all diagrams, with the diagonal."""
    most = max(float(bars.max(initial=0.0)) for setting in shown for bars in setting.bars.values())
    for other in panel.get_shared_x_axes().get_siblings(panel):
        other.plot([0, 1.05 * most], [0, 1.05 * most], color="black", linewidth=0.7, alpha=0.5)
    panel.set_xlim(0, 1.05 * most)
    panel.set_ylim(0, 1.05 * most)
