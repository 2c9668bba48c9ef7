"""Null-class walks: drift and reach along them, and the walks themselves as images or paths."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from repgeo.errors import InputError
from repgeo.report.figures.stored import reading
from repgeo.report.figures.style import MAP, PALETTE, axis_label, place_of, plain_axes
from repgeo.report.labels import short_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

    from repgeo.report.figures import Arrays

__all__ = ["draw", "size"]

_WIDTH: Final = 10.0
_CURVES: Final = 3.0  # height of the curves, inches
_FRAME: Final = 1.18  # of a strip of images
_MAP: Final = 3.1  # of a row of paths

#: What a figure has room for: walks shown as strips, starts of each, walks shown as paths.
_MOST_STRIPS, _MOST_STARTS, _MOST_MAPS = 4, 2, 9
_MAPS_IN_A_ROW: Final = 3

#: Level sets under paths in the plane, and where a drift of zero is drawn.
_LEVELS: Final = 16
_FLOOR: Final = 1e-18

_STYLES: Final = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class _Walk:
    """One model walked on by one rule.

    Attributes
    ----------
    label
        The model, and what tells its parameters from the others'.
    curves
        Metric -> its means over seeds by step.
    units
        Metric -> its unit.
    stored
        Arrays of the first seed.
    """

    label: str
    curves: Mapping[str, Sequence[tuple[int, float]]]
    units: Mapping[str, str]
    stored: Mapping[str, np.ndarray]


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    walks = _walks(frame, arrays)
    return _WIDTH, _CURVES + 0.16 * len(walks) + sum(_heights(walks))


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw drift and reach by step, one line for each model and rule, and below what was walked.

    Lines are means over seeds. Drift is on a logarithmic scale; where it is zero the line stands at
    the bottom. Below, at the first seed: walks through images as strips, each image with its
    step, the network's answer and the softmax of that; walks in the plane over level sets of
    the first output, and walks in space, from dots on. What there is no room for is told.

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
        If there is no drift, or the axes belong to no grid of subplots.
    """
    figure, place = place_of(axes)
    walks = _walks(frame, arrays)
    if not walks:
        raise InputError("The table has no drift of 'null_walk': there is nothing to draw.")
    axes.remove()
    # The compressed layout is for one grid; here every part has its own.
    figure.figure.set_layout_engine("constrained")
    heights = _heights(walks)
    whole = figure.add_subfigure(place)
    curves = _CURVES + 0.16 * len(walks)
    parts = whole.subfigures(1 + len(heights), 1, squeeze=False, height_ratios=[curves, *heights])
    _draw_curves(walks, parts[0, 0])
    strips, maps = _strips(walks), _maps(walks)
    for walk, part in zip(strips, parts[1:, 0], strict=False):
        _draw_strip(walk, part)
    if maps:
        _draw_maps(maps, parts[-1, 0])
    shown = [sum("strip" in w.stored for w in walks), sum("path" in w.stored for w in walks)]
    left_out = shown[0] - len(strips) + shown[1] - len(maps)
    if left_out:
        whole.supxlabel(f"Not drawn: the walks of {left_out} more", fontsize=7.5)


def _walks(frame: pd.DataFrame, arrays: Arrays) -> list[_Walk]:
    """One for each model and each set of parameters, in the order of the table."""
    rows = frame.loc[frame["metric"] == "drift"]
    key = ["model", "dataset", "layer", "params"]
    among = [str(text) for text in rows["params"].unique()]
    several = [name for name in ("dataset", "layer") if rows[name].nunique() > 1]
    models = rows["model"].nunique() > 1
    found = []
    for values, part in rows.groupby(key, sort=False, dropna=False):
        own = dict(zip(key, map(str, values), strict=True))
        words = [own["model"]] if models or len(among) == 1 else []
        words += [own[name] for name in several] + [_named(own["params"], among)]
        same = frame.loc[frame["cell"].isin(part["cell"]) & (frame["layer"].isin(part["layer"]))]
        curves, units = {}, {}
        for metric in ("drift", "reach"):
            values_of = same.loc[same["metric"] == metric]
            steps = [int(json.loads(str(at))["step"]) for at in values_of["at"]]
            means = values_of["value"].groupby(np.array(steps)).mean()
            curves[metric] = list(zip(means.index.tolist(), means.tolist(), strict=True))
            units[metric] = str(values_of["unit"].iloc[0])
        stored = _stored(frame, same, arrays)
        label = " ".join(word for word in words if word)
        found.append(_Walk(label, curves, units, stored))
    return found


def _named(params: str, among: Sequence[str]) -> str:
    """The parameters that differ, the rule without its key, and without what the rule ignores."""
    given = json.loads(params)
    told = {key: value for key, value in given.items() if key != "rule"}
    others = [
        json.dumps({key: value for key, value in json.loads(text).items() if key != "rule"})
        for text in among
    ]
    words = short_json(json.dumps(told), others).split()
    ignored = {
        "corrected": {"script"},
        "uncorrected": {"script", "tolerance"},
        "published": {"direction", "tolerance"},
        "exact": {"script", "direction", "tolerance"},
    }[given["rule"]]
    kept = [word for word in words if word.partition("=")[0] not in ignored]
    rules = {json.loads(text)["rule"] for text in among}
    return " ".join([given["rule"]] * (len(rules) > 1) + kept)


def _stored(frame: pd.DataFrame, rows: pd.DataFrame, arrays: Arrays) -> dict[str, np.ndarray]:
    """The arrays stored with the last reach of the first seed."""
    first = rows.loc[(rows["metric"] == "reach") & (rows["seed"] == rows["seed"].min())]
    if not len(first):
        return {}
    found = reading(frame, first.index[-1], arrays)
    return {name: array for name, array in found.items() if name not in ("samples", "ids")}


def _strips(walks: Sequence[_Walk]) -> list[_Walk]:
    return [walk for walk in walks if "strip" in walk.stored][:_MOST_STRIPS]


def _maps(walks: Sequence[_Walk]) -> list[_Walk]:
    return [walk for walk in walks if "path" in walk.stored][:_MOST_MAPS]


def _heights(walks: Sequence[_Walk]) -> list[float]:
    """Of the parts below the curves: one for each strip, one for all paths."""
    heights = [0.45 + _FRAME * min(_MOST_STARTS, len(w.stored["strip"])) for w in _strips(walks)]
    rows = -(-len(_maps(walks)) // _MAPS_IN_A_ROW)
    return heights + [_MAP * rows] * (rows > 0)


def _draw_curves(walks: Sequence[_Walk], part: SubFigure) -> None:
    drift, reach = part.subplots(1, 2)
    handles = []
    for number, walk in enumerate(walks):
        look: dict[str, Any] = {
            "color": PALETTE[number % len(PALETTE)],
            "linestyle": _STYLES[number // len(PALETTE) % len(_STYLES)],
            "marker": "o",
            "markersize": 3,
        }
        steps, values = zip(*walk.curves["drift"], strict=True)
        (handle,) = drift.plot(steps, np.maximum(values, _FLOOR), **look, label=walk.label)
        steps, values = zip(*walk.curves["reach"], strict=True)
        reach.plot(steps, values, **look)
        handles.append(handle)
    drift.set_yscale("log")
    zero = any(value < _FLOOR for walk in walks for _, value in walk.curves["drift"])
    note = f"\n(0 is drawn at {_FLOOR:g})" if zero else ""
    drift.set_ylabel(axis_label("change of the output", walks[0].units["drift"]) + note)
    reach.set_ylabel(axis_label("distance from the start", walks[0].units["reach"]))
    drift.set_title("Drift")
    reach.set_title("Reach")
    for panel in (drift, reach):
        panel.set_xlabel("step")
        plain_axes(panel)
    part.legend(
        handles=handles, loc="outside lower center", ncols=min(2, len(walks)), frameon=False
    )


def _draw_strip(walk: _Walk, part: SubFigure) -> None:
    """Images along a walk, one row for each start."""
    stored = walk.stored
    images = stored["strip"][:_MOST_STARTS]  # (s, frames, channels, h, w)
    part.suptitle(walk.label, fontsize=9.5)
    grid = part.subplots(*images.shape[:2], squeeze=False)
    low, high = float(images.min()), float(images.max())
    for row, column in itertools.product(*map(range, images.shape[:2])):
        panel, image = grid[row, column], images[row, column]
        if len(image) == 1:
            panel.imshow(image[0], cmap="gray", vmin=low, vmax=high)
        else:
            panel.imshow(((image - low) / max(high - low, 1e-12)).transpose(1, 2, 0))
        title = f"step {int(stored['strip_steps'][column])}" if row == 0 else ""
        panel.set_title(title, fontsize=8, pad=3)
        if "strip_answers" in stored:
            answer, share = (stored[f"strip_{name}"][row, column] for name in ("answers", "shares"))
            panel.set_xlabel(f"{int(answer)}: {float(share):.4f}", fontsize=7.5, labelpad=2)
        panel.set_xticks([])
        panel.set_yticks([])


def _draw_maps(walks: Sequence[_Walk], part: SubFigure) -> None:
    """Paths in the plane, over level sets, and in space."""
    rows = -(-len(walks) // _MAPS_IN_A_ROW)
    columns = min(len(walks), _MAPS_IN_A_ROW)
    grid = part.add_gridspec(rows, columns)
    for number, walk in enumerate(walks):
        path = walk.stored["path"]  # (vertices, walkers, 2 or 3)
        spot = grid[number // columns, number % columns]
        if path.shape[2] == 3:
            _draw_in_space(path, part.add_subplot(spot, projection="3d"))
        else:
            _draw_in_plane(walk.stored, part.add_subplot(spot))
        part.axes[-1].set_title(walk.label, fontsize=8, wrap=True)


def _draw_in_plane(stored: Mapping[str, np.ndarray], panel: Axes) -> None:
    from matplotlib.colors import BoundaryNorm

    x, y, field = (stored[name] for name in ("field_x", "field_y", "field"))
    # Quantiles: slopes of other orders of magnitude have their level sets too. An inactive region
    # is one class, without any.
    levels = np.unique(np.quantile(field, np.linspace(0, 1, _LEVELS)))
    if len(levels) > 2:
        shades = BoundaryNorm(levels, 256)
        panel.contourf(x, y, field, levels=levels, cmap=MAP, norm=shades, alpha=0.5)
        panel.contour(x, y, field, levels=levels, colors="black", linewidths=0.3, alpha=0.5)
    path = stored["path"]
    for walker in range(path.shape[1]):
        panel.plot(*path[:, walker].T, color=PALETTE[1], linewidth=1.2)
    panel.plot(*path[0].T, "o", color="black", markersize=4)
    panel.set_xlabel("x1 [input]")
    panel.set_ylabel("x2 [input]")
    panel.set_aspect("equal")


def _draw_in_space(path: np.ndarray, panel: Any) -> None:
    for walker in range(path.shape[1]):
        colour = PALETTE[walker % len(PALETTE)]
        panel.plot(*path[:, walker].T, color=colour, linewidth=0.9)
    panel.plot(*path[0].T, "o", color="black", markersize=4)
    panel.set_xlabel("x1 [input]")
    panel.set_ylabel("x2 [input]")
    panel.set_zlabel("x3 [input]")
    panel.tick_params(labelsize=6.5)
    panel.set_box_aspect(None, zoom=0.88)  # or the labels at the bottom would be cut off
