"""Equivariance errors over groups: by model, against the angle, and layer by layer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from repgeo.errors import InputError
from repgeo.report.figures.style import PALETTE, place_of, plain_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeo.report.figures import Arrays

__all__ = ["draw", "draws", "line_style", "size"]

#: Coordinates that an error may be followed along, and what axes call them.
_ALONG: Final = {"angle": "angle of the element [degrees]", "distance": "distance of the element"}

#: Layers that have a panel of their own kind.
_INPUT, _OUTPUT = "input", "output"

_ROW: Final = 0.27  # inches for a model
_CURVE: Final = 2.7  # inches for a row of curves
_DOT = {True: "o", False: "s"}


def draws(frame: pd.DataFrame) -> bool:
    """Whether some error is that of a group (exact transformations of images have no figure)."""
    return bool((frame["metric"] == "error").any())


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    bands = _bands(frame)
    width = max((2.3 * len(band.panels) + band.beside for band in bands), default=0.0)
    return max(6.0, width), sum(band.height for band in bands) or 3.0


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw the errors of all models, along the angle where it was asked for, and by layer.

    On top, a panel for each setting of the probe: the error of codes (square) and outputs (circle)
    of each model, filled where it is known to be rounding (`exact`), a thin line from the lowest to
    the highest seed, a pale tick at the error that another sample has (chance), and a dotted line
    at the error of the action itself, where it is more than rounding. Errors of 0 stand at the left
    edge. Below, where there are such rows: the error of the outputs against
    the angle, with the error of the action as a dotted grey line, and the accuracy of moved
    samples; the error by layer, in the order of the network. Lines are means over seeds, bands go
    from the lowest to the highest seed.

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
        If there is no error of a group.
    """
    bands = _bands(frame)
    if not bands:
        raise InputError("No row of 'equivariance_error' is of a group: there is nothing to draw.")
    figure, place = place_of(axes)
    axes.remove()
    rows = place.subgridspec(len(bands), 1, height_ratios=[band.height for band in bands])
    for line, band in enumerate(bands):
        grid = rows[line].subgridspec(1, len(band.panels))
        for column, panel in enumerate(band.panels):
            cell = figure.add_subplot(grid[column])
            panel(cell, first=column == 0, last=column == len(band.panels) - 1)
            plain_axes(cell)


@dataclass(frozen=True)
class _Band:
    """Panels beside each other: height, width beside the panels, and what draws each."""

    height: float
    beside: float
    panels: Sequence[Callable[..., None]]


def line_style(place: int) -> dict[str, Any]:
    """Colour and dashes of the line of a model by its place: the palette, then dashed again."""
    colour = PALETTE[place % len(PALETTE)]
    return {"color": colour, "linestyle": ("-", "--", ":")[place // len(PALETTE) % 3]}


def _bands(frame: pd.DataFrame) -> list[_Band]:
    coordinates: list[Any] = [json.loads(str(text)) if text else {} for text in frame["at"]]
    told = frame.assign(coordinates=coordinates)
    models = list(told["model"].unique())
    dots: list[Callable[..., None]] = []
    curves: list[Callable[..., None]] = []
    profiles: list[Callable[..., None]] = []
    for params, part in told.groupby("params", sort=False):
        errors = part[part["metric"] == "error"]
        if not len(errors):
            continue
        dots.append(partial(_draw_dots, part, models, _title(str(params))))
        along = next((name for name in _ALONG if _has(errors, name)), None)
        if along is not None:
            curves.append(partial(_draw_curve, part, models, along, "error"))
            if _has(part[part["metric"] == "moved_accuracy"], along):
                curves.append(partial(_draw_curve, part, models, along, "moved_accuracy"))
        inner = errors[~errors["layer"].isin([_OUTPUT])]
        if inner.groupby("model")["layer"].nunique().max() > 1:
            profiles.append(partial(_draw_profile, errors, models))
    names = max((len(name) for name in models), default=0) * 0.075
    bands = [_Band(_ROW * len(models) + 1.0, 0.4 + names, dots)] if dots else []
    legend = 0.7 + names
    bands += [_Band(_CURVE, 0.8 + legend, curves)] if curves else []
    bands += [_Band(_CURVE + 0.5, 0.8 + legend, profiles)] if profiles else []
    return bands


def _has(rows: pd.DataFrame, name: str) -> bool:
    return any(name in coordinates for coordinates in rows["coordinates"])


def _title(params: str) -> str:
    told = json.loads(params) if params else {}
    return str(told.get("group") or "group of the data")


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows that are not along a curve."""
    keep = [not set(coordinates) & set(_ALONG) for coordinates in rows["coordinates"]]
    return rows.loc[np.array(keep, dtype=bool)]


def _followed(rows: pd.DataFrame, along: str) -> pd.DataFrame:
    """Rows along a curve, with their places on it."""
    keep = np.array([along in coordinates for coordinates in rows["coordinates"]], dtype=bool)
    found = rows.loc[keep]
    return found.assign(place=[coordinates[along] for coordinates in found["coordinates"]])


def _draw_dots(
    part: pd.DataFrame, models: Sequence[str], title: str, axes: Axes, *, first: bool, last: bool
) -> None:
    errors = _plain(part[part["metric"] == "error"])
    exact = _plain(part[part["metric"] == "exact"])
    shown = [(layer, rows) for layer, rows in errors.groupby("layer", sort=False)]
    ends = {str(part["layer"].iloc[0]), _OUTPUT}
    shown = [(str(layer), rows) for layer, rows in shown if layer in ends]
    positive = errors.loc[errors["value"] > 0, "value"]
    floor = 10 ** np.floor(np.log10(float(positive.min()) if len(positive) else 1e-16) - 1)
    for layer, rows in shown:
        output = layer == _OUTPUT
        lift = 0.0 if len(shown) == 1 else (0.14 if output else -0.14)
        for place, model in enumerate(models):
            values = rows.loc[rows["model"] == model, "value"].to_numpy()
            if not len(values):
                continue
            told = exact[(exact["model"] == model) & (exact["layer"] == layer)]["value"]
            filled = bool(len(told)) and bool(told.min() == 1)
            colour = PALETTE[1 if output else 0]
            low, high = (max(float(edge), floor) for edge in (values.min(), values.max()))
            axes.plot([low, high], [place + lift] * 2, color=colour, linewidth=0.8)
            _mark_chance(axes, rows.loc[rows["model"] == model, "chance"], place + lift, colour)
            if values.max() == 0:
                axes.annotate(
                    "0",
                    (floor, place + lift),
                    xytext=(6, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=6,
                    color=colour,
                )
            axes.plot(
                [max(float(values.mean()), floor)],
                [place + lift],
                marker=_DOT[output],
                markersize=5,
                color=colour,
                markerfacecolor=colour if filled else "white",
                clip_on=False,
                linestyle="none",
            )
    own = _plain(part[part["metric"] == "action_error"])["value"]
    if len(own) and own.mean() > 1e-5:
        axes.axvline(own.mean(), color="#777777", linestyle=":", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(left=floor / 1.5)
    axes.set_ylim(len(models) - 0.5, -0.5)
    axes.set_yticks(range(len(models)), models if first else [""] * len(models))
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("error, relative")
    axes.set_title(title)
    if last:
        _explain(axes, [str(layer) for layer, _ in shown])


def _mark_chance(axes: Axes, chance: pd.Series, height: float, colour: str) -> None:
    """A tick at the error that another sample has."""
    if chance.notna().any() and chance.mean() > 0:
        axes.plot([chance.mean()], [height], marker="|", markersize=6, color=colour, alpha=0.45)


def _explain(axes: Axes, layers: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    marks = [
        Line2D(
            [],
            [],
            color=PALETTE[1 if layer == _OUTPUT else 0],
            marker=_DOT[layer == _OUTPUT],
            linestyle="none",
            markersize=5,
            markerfacecolor="white",
            label=layer,
        )
        for layer in layers
    ]
    told: Any = {"color": "#555555", "linestyle": "none"}
    marks += [
        Line2D([], [], marker="o", markersize=5, label="filled: exact", **told),
        Line2D([], [], marker="|", markersize=6, label="of another sample", **told),
        Line2D([], [], color="#777777", linestyle=":", label="the action's own"),
    ]
    axes.legend(handles=marks, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _draw_curve(
    part: pd.DataFrame,
    models: Sequence[str],
    along: str,
    metric: str,
    axes: Axes,
    *,
    first: bool,
    last: bool,
) -> None:
    rows = _followed(part[(part["metric"] == metric) & (part["layer"] == _OUTPUT)], along)
    logarithmic = metric == "error"
    for place, model in enumerate(models):
        found = rows[rows["model"] == model].groupby("place")["value"].agg(["mean", "min", "max"])
        if not len(found) or (logarithmic and not (found["mean"] > 0).all()):
            continue
        style = line_style(place)
        # Earlier lines are wider, so that equal ones show beneath the later.
        width = 1.2 + 0.3 * (len(models) - 1 - place)
        axes.plot(found.index, found["mean"], linewidth=width, label=model, **style)
        axes.fill_between(
            found.index, found["min"], found["max"], color=style["color"], alpha=0.15, linewidth=0
        )
    if logarithmic:
        own = _followed(part[part["metric"] == "action_error"], along)
        if len(own):
            mean = own.groupby("place")["value"].mean().clip(lower=1e-17)
            told = {"color": "#777777", "linestyle": ":", "label": "the action's own"}
            axes.plot(mean.index, mean, linewidth=1.6, **told)  # type: ignore[arg-type]
        axes.set_yscale("log")
    elif len(rows) and rows["chance"].notna().any():
        axes.axhline(rows["chance"].mean(), color="#777777", linestyle="--", linewidth=0.8)
    axes.set_xlabel(_ALONG[along])
    axes.set_ylabel("error of outputs, relative" if logarithmic else "accuracy of moved samples")
    if last:
        handles, labels = axes.get_legend_handles_labels()
        missing = axes.figure.axes[-2].get_legend_handles_labels() if not first else ([], [])
        for handle, label in zip(*missing, strict=True):
            if label not in labels:
                handles, labels = [*handles, handle], [*labels, label]
        axes.legend(handles, labels, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _draw_profile(
    errors: pd.DataFrame, models: Sequence[str], axes: Axes, *, first: bool, last: bool
) -> None:
    rows = _plain(errors)
    orders: dict[str, list[str]] = {}
    for model in models:
        order = list(rows.loc[rows["model"] == model, "layer"].unique())
        if len(order) >= 3:
            # The probe's own layer is told first; of a network it is the last before the outputs.
            orders[model] = [*order[1:-1], order[0], order[-1]]
    most = max(map(len, orders.values()), default=0)
    for place, model in enumerate(models):
        if model not in orders:
            continue
        found = rows[rows["model"] == model]
        values = found.groupby("layer")["value"].agg(["mean", "min", "max"]).loc[orders[model]]
        at = np.arange(most - len(values), most)  # outputs stand below one another
        floor = float(values.loc[values["mean"] > 0, "mean"].min()) if len(values) else 1e-16
        mean = values["mean"].clip(lower=floor)
        width = 1.2 + 0.3 * (len(models) - 1 - place)
        axes.plot(at, mean, marker=".", linewidth=width, label=model, **line_style(place))
    # Networks of different kinds have layers of different names at one depth.
    names = [
        " / ".join(dict.fromkeys(order[i] for order in orders.values() if i >= -len(order)))
        for i in range(-most, 0)
    ]
    axes.set_yscale("log")
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_ylabel("error, relative")
    axes.set_title("by layer")
    if last:
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
