"""The error over the directions of the first filter, and how many critical points draws have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from repgeo.errors import InputError
from repgeo.report.figures.stored import groups, reading
from repgeo.report.figures.style import PALETTE, place_of, plain_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeo.report.figures import Arrays

__all__ = ["draw", "size"]

_MOST: Final = 8  # rows
_ROW: Final = 1.75  # inches


@dataclass(frozen=True, eq=False)
class _Row:
    """One model: counts of real points over all seeds and draws, by kind of labels."""

    label: str
    counts: dict[str, np.ndarray]
    complex_count: float
    curve: Mapping[str, np.ndarray]


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    return 8.4, 0.7 + _ROW * min(_MOST, max(1, len(_rows(frame, arrays))))


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw a row for each model: an error curve, and a histogram.

    To the left, at the first draw of the first seed and the first kind of labels, the mean squared
    error over the angle of the first filter, the last filter solved for; minima and saddles are
    marked. To the right the share of draws by how many real critical points they have, a colour for
    each kind of labels.

    Parameters
    ----------
    frame
        Finished rows of the probe.
    arrays
        Gives the stored arrays of a cell.
    axes
        Where to draw.

    Raises
    ------
    InputError
        If no critical points were counted.
    """
    rows = _rows(frame, arrays)
    if not rows:
        raise InputError("No critical points were counted: there is nothing to draw.")
    figure, place = place_of(axes)
    axes.remove()
    shown = rows[:_MOST]
    grid = place.subgridspec(len(shown), 2, width_ratios=[3, 2])
    most = max(counts.max() for row in shown for counts in row.counts.values())
    for number, row in enumerate(shown):
        left, right = (figure.add_subplot(grid[number, column]) for column in (0, 1))
        _draw_curve(row, left)
        _draw_counts(row, right, int(most))
        if number == 0:
            left.legend(frameon=False, loc="best", fontsize=7)
            right.legend(frameon=False, loc="upper right", fontsize=7)
        if number + 1 == len(shown):
            left.set_xlabel("angle of the first filter [degree]")
            note = f" ({len(rows) - _MOST} more not drawn)" if len(rows) > _MOST else ""
            right.set_xlabel(f"real critical points{note}")


def _rows(frame: pd.DataFrame, arrays: Arrays) -> list[_Row]:
    totals = frame.loc[frame["metric"] == "complex_points"].groupby("model")["value"].mean()
    found: dict[str, _Row] = {}
    for group in groups(frame, "real_points"):
        stored = [reading(frame, index, arrays) for index in group.rows.index]
        counts = [one["samples"] for one in stored if "samples" in one]
        if not counts or "angles" not in stored[0]:
            continue
        kind = str(json.loads(group.params)["labels"])
        row = found.setdefault(
            group.model, _Row(group.model, {}, float(totals[group.model]), stored[0])
        )
        row.counts[kind] = np.concatenate([row.counts.get(kind, np.empty(0)), *counts])
    return list(found.values())


def _draw_curve(row: _Row, axes: Axes) -> None:
    curve = row.curve
    axes.plot(np.degrees(curve["angles"]), curve["errors"], color="#555555", linewidth=1.0)
    for minimum, label, colour, mark in (
        (True, "minimum", PALETTE[0], "o"),
        (False, "saddle", PALETTE[1], "^"),
    ):
        which = curve["point_is_minimum"] == minimum
        axes.plot(
            np.degrees(curve["point_angles"][which]), curve["point_errors"][which], mark,
            color=colour, markersize=5, label=label,
        )  # fmt: skip
    axes.set_xlim(-90, 90)
    axes.set_xticks([-90, -45, 0, 45, 90])
    axes.set_title(row.label, loc="left", fontsize=8.5)
    axes.set_ylabel("error", fontsize=8)
    plain_axes(axes)


def _draw_counts(row: _Row, axes: Axes, most: int) -> None:
    wide = 0.8 / len(row.counts)
    for number, (kind, counts) in enumerate(row.counts.items()):
        values, times = np.unique(counts, return_counts=True)
        places = values + wide * (number - (len(row.counts) - 1) / 2)
        colour = PALETTE[(5, 4, 3)[number % 3]]
        axes.bar(places, times / times.sum(), width=wide, color=colour, label=f"labels: {kind}")
    axes.set_xticks(range(most + 1))
    axes.set_xlim(0.4, most + 0.6)
    axes.set_ylim(0, 1.05)
    axes.set_title(f"real ones of {row.complex_count:.4g} complex", loc="right", fontsize=8.5)
    axes.set_ylabel("share of draws", fontsize=8)
    plain_axes(axes)
