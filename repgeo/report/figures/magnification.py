"""Magnification near the boundary: contrasts and rank correlations by model and checkpoint."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from repgeo.errors import InputError
from repgeo.report.aggregate import Entry, aggregate
from repgeo.report.figures.epochs import Epoch, epoch_colours, epoch_name, epoch_of, in_order
from repgeo.report.figures.stored import beside_twins, groups, is_twin
from repgeo.report.figures.style import axis_label, place_of, plain_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeo.report.figures import Arrays

__all__ = ["draw", "size"]

#: What tells a number from the others of its metric, apart from the seed.
_KEY: Final = ("dataset", "model", "layer", "params", "at")


@dataclass(frozen=True)
class _Panel:
    """What one panel shows: a metric, `of` of its rows, its name, and the sign of magnification."""

    metric: str
    of: str | None
    name: str
    sign: str

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows it shows."""
        taken = [
            metric == self.metric and _coordinate(at, "of") == self.of
            for metric, at in zip(frame["metric"], frame["at"], strict=True)
        ]
        return frame.loc[taken]


_PANELS: Final = (
    _Panel("contrast_change", None, "contrast change", "positive"),
    _Panel("partial_rank_correlation", "change", "partial rank correlation of change", "negative"),
    _Panel("partial_rank_correlation", "volume", "partial rank correlation of volume", "negative"),
)


@dataclass(frozen=True)
class _Model:
    """One model: its rows, and at which checkpoints they are.

    Attributes
    ----------
    label
        The model, and what else tells it apart.
    name
        The model.
    rows
        All its rows, of all seeds.
    epochs
        In order; empty where its train accuracy was below the gate at every seed.
    gated
        At how many seeds it was below the gate.
    seeds
        Of how many.
    accuracy
        The mean train accuracy.
    """

    label: str
    name: str
    rows: pd.DataFrame
    epochs: Sequence[Epoch]
    gated: int
    seeds: int
    accuracy: float


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    return 10.0, 1.6 + 0.3 * max(3.0, _heights(_models(frame))[-1][-1])


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw the change of the contrast and the partial rank correlations of every checkpoint.

    A diamond is the mean over the seeds that all compared models have, its bar the 95 % interval
    over seeds, or over points where there is one seed. Dots are the seeds, hollow where the mean
    does not take them; with two seeds each has its own interval, over points. A model whose train
    accuracy was below the gate at a seed has no number there, and the figure says so. Diamonds of
    models called untrained are hollow.

    Parameters
    ----------
    frame
        Finished rows of the probe.
    arrays
        Not needed here: the numbers are in the table.
    axes
        Their place is divided among three panels.

    Raises
    ------
    InputError
        If there is no train accuracy, or the axes belong to no grid of subplots.
    """
    figure, place = place_of(axes)
    axes.remove()
    models = _models(frame)
    heights = _heights(models)
    epochs = in_order(epoch for model in models for epoch in model.epochs)
    colours = dict(zip(epochs, epoch_colours(len(epochs)), strict=True))
    grid = place.subgridspec(1, len(_PANELS))
    first: Axes | None = None
    for column, kind in enumerate(_PANELS):
        panel = figure.add_subplot(grid[0, column], sharey=first)
        first = first or panel
        rows = kind.rows(frame)
        entries = _entries(rows)
        for model, own in zip(models, heights, strict=True):
            for epoch, height in zip(model.epochs, own, strict=False):
                here = kind.rows(model.rows)
                here = here.loc[[epoch_of(str(at)) == epoch for at in here["at"]]]
                if len(here):
                    _draw_numbers(here, entries, height, colours[epoch], panel)
        panel.axvline(0.0, color="black", linewidth=0.8, alpha=0.5, zorder=0)
        name = axis_label(kind.name, str(rows["unit"].max()) if len(rows) else "")
        panel.set_xlabel(f"{name}\n({kind.sign}: larger near the boundary)")
        panel.tick_params(axis="y", labelleft=column == 0)
        plain_axes(panel)
        if column == 1:
            panel.set_title(_caption(frame))
    if len(epochs) > 1:
        for epoch in epochs:
            panel.plot([], [], "D-", color=colours[epoch], linewidth=2, label=epoch_name(epoch))
        panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    if first is not None:
        _name_models(models, heights, first)


def _coordinate(at: str, name: str) -> Any:
    return json.loads(at).get(name) if at else None


def _models(frame: pd.DataFrame) -> list[_Model]:
    found = []
    kinds = {_coordinate(at, "kind") for at in frame["at"]} - {None}
    for group in groups(frame, "train_accuracy"):
        same = [frame[name].isin(group.rows[name]) for name in ("cell", "layer")]
        rows = frame.loc[same[0] & same[1]]
        contrasts = rows.loc[rows["metric"] == "contrast"]
        at = [str(at) for at in contrasts["at"]]
        kind = {_coordinate(one, "kind") for one in at} - {None}
        told = f" ({', '.join(sorted(kind))})" if len(kinds) > 1 and kind else ""
        model = _Model(
            group.label + told,
            group.model,
            rows,
            in_order(map(epoch_of, at)),
            len(group.rows) - contrasts["cell"].nunique(),
            len(group.rows),
            float(group.rows["value"].mean()),
        )
        found.append(model)
    if not found:
        raise InputError("The table has no train accuracy of 'magnification': nothing to draw.")
    return [found[place] for place in beside_twins([model.name for model in found])]


def _heights(models: Sequence[_Model]) -> list[list[float]]:
    """How far down each checkpoint of each model stands, and a place for models without one."""
    found: list[list[float]] = []
    height = 0.0
    for model in models:
        own = [height + 0.8 * place for place in range(max(1, len(model.epochs)))]
        found.append(own)
        height = own[-1] + 1.4
    return found


def _entries(rows: pd.DataFrame) -> Mapping[tuple[str, ...], Entry]:
    """The means over seeds, by what tells them apart."""
    if not len(rows):
        return {}
    table = aggregate(rows, rows=("model",), columns=("at",))
    found = {}
    for (row, column), entry in table.entries.items():
        heads = dict(table.columns[column].constants) | {"model": table.rows[row].get("model")}
        found[tuple(heads.get(name, "") for name in _KEY)] = entry
    return found


def _draw_numbers(
    rows: pd.DataFrame,
    entries: Mapping[tuple[str, ...], Entry],
    height: float,
    colour: str,
    panel: Axes,
) -> None:
    """One model at one checkpoint: the mean, its interval, and the seeds."""
    entry = entries.get(tuple(str(rows[name].iloc[0]) for name in _KEY), Entry("absent"))
    estimate = entry.estimate
    several = len(rows) > 1
    bounded = estimate is not None and estimate.ci_low is not None
    for number, (_, row) in enumerate(rows.iterrows()):
        if not several and bounded:
            break
        below = height + (0.22 if bounded else 0.18 + 0.16 * number)
        face = colour if int(row["seed"]) in entry.seeds else "white"
        panel.plot(row["value"], below, "o", color=colour, markerfacecolor=face, markersize=3)
        if not bounded and math.isfinite(row["ci_low"]):
            ends = [row["ci_low"], row["ci_high"]]
            panel.plot(ends, [below] * 2, color=colour, linewidth=1, alpha=0.6)
    if estimate is None:
        return
    if estimate.ci_low is not None and estimate.ci_high is not None:
        ends = [estimate.ci_low, estimate.ci_high]
        panel.plot(ends, [height] * 2, color=colour, linewidth=2, solid_capstyle="butt")
    face = "white" if is_twin(str(rows["model"].iloc[0])) else colour
    panel.plot(estimate.value, height, "D", color=colour, markerfacecolor=face, markersize=5)


def _caption(frame: pd.DataFrame) -> str:
    seeds = frame["seed"].nunique()
    if seeds == 1:
        return "Values with 95 % intervals over points"
    if seeds == 2:
        return "Means over 2 seeds (dots: seeds, with 95 % intervals over points)"
    return f"Means over {seeds} seeds with 95 % intervals (dots: seeds)"


def _name_models(models: Sequence[_Model], heights: Sequence[Sequence[float]], axes: Axes) -> None:
    ticks, labels = [], []
    for model, own in zip(models, heights, strict=True):
        ticks.append(math.fsum(own) / len(own))
        some = f"\n(no number at {model.gated} of {model.seeds} seeds)" if model.gated else ""
        labels.append(model.label + (some if model.epochs else ""))
        if not model.epochs:
            axes.annotate(
                f"no numbers: train accuracy {model.accuracy:.2f} is below the gate",
                (0.02, own[0]),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=7.5,
                color="#555555",
            )
    axes.set_yticks(ticks, labels)
    axes.set_ylim(heights[-1][-1] + 0.8, -0.8)
