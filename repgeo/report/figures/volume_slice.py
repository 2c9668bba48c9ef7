"""Answers, entropy and log-volume along lines and planes, with the singular values at samples."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from repgeo.errors import InputError
from repgeo.report.figures.epochs import epoch_colours, epoch_name, spread
from repgeo.report.figures.slices import Slice, class_colours, level_text, log_spectrum, slices_of
from repgeo.report.figures.style import MAP, NOTHING, PALETTE, place_of, plain_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import SubFigure

    from repgeo.report.figures import Arrays

__all__ = ["draw", "size"]

#: Lines and planes in one figure, and checkpoints of each.
_MOST_SLICES: Final = 6
_MOST_EPOCHS: Final = {"line": 6, "plane": 3}

_WIDTH: Final = 10.0

#: How the samples that a slice goes through are marked.
_ANCHOR: Final[Any] = {
    "marker": "o",
    "linestyle": "none",
    "markersize": 4.5,
    "markerfacecolor": "white",
    "markeredgecolor": "black",
}

#: Singular values below the largest by more decades than that are out of view.
_DECADES: Final = 12.0

#: Up to so many singular values each is a dot.
_DOTS: Final = 12

_STYLES: Final = ("-", "--", ":")


def size(frame: pd.DataFrame, arrays: Arrays) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    return _WIDTH, 0.3 + sum(map(_height, _shown(frame, arrays)[0]), 0.0)


def draw(frame: pd.DataFrame, arrays: Arrays, axes: Axes) -> None:
    """Draw each line and plane with its checkpoints, at the first seed.

    A line: the network's answers, their entropy and the log-volume over the distance from the first
    sample, in units of input; and the singular values at both samples. A plane: a row of maps per
    checkpoint (the first, the middle and the last), with the singular values at the three samples;
    its coordinates are affine, so that the samples form an equilateral triangle. In both the
    log-volume is drawn less its median over the grid, which is told beside it: training moves the
    level by far more than what it varies by. All checkpoints have one scale, that of maps from the
    1st to the 99th percentile.

    At most six slices are drawn, of replicas the first; the figure says how many were left out.

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
        If no cell has a stored slice, or the axes belong to no grid of subplots.
    """
    figure, place = place_of(axes)
    shown, left_out = _shown(frame, arrays)
    if not shown:
        raise InputError("No cell of 'volume_slice' has a stored slice: nothing to draw.")
    axes.remove()
    # The compressed layout is for one grid; here every slice has its own.
    figure.figure.set_layout_engine("constrained")
    colours = class_colours(shown)
    whole = figure.add_subfigure(place)
    parts = whole.subfigures(
        len(shown), 1, squeeze=False, height_ratios=[_height(one) for one in shown]
    )
    for one, part in zip(shown, parts[:, 0], strict=True):
        if one.is_line:
            _draw_line(one, colours, part)
        else:
            _draw_plane(one, colours, part)
    if left_out:
        whole.supxlabel(f"Not drawn: {left_out} more, of other models or replicas", fontsize=7.5)


def _shown(frame: pd.DataFrame, arrays: Arrays) -> tuple[list[Slice], int]:
    """What is drawn, and how many slices are not."""
    found, replicas = slices_of(frame, arrays)
    kept = []
    for one in found[:_MOST_SLICES]:
        places = spread(range(len(one.epochs)), _MOST_EPOCHS["line" if one.is_line else "plane"])
        epochs, stored = zip(*((one.epochs[p], one.stored[p]) for p in places), strict=True)
        kept.append(replace(one, epochs=epochs, stored=stored))
    return kept, len(found) - len(kept) + replicas


def _height(one: Slice) -> float:
    if one.is_line:
        return 3.6 + 0.18 * len(one.epochs)
    return 1.1 + 2.3 * len(one.epochs)


def _draw_line(one: Slice, colours: Mapping[int, str], part: SubFigure) -> None:
    first, last = one.classes
    part.suptitle(
        f"{one.name}: from a test sample of class {first} to one of class {last}, seed {one.seed}",
        fontsize=10,
    )
    count = len(one.epochs)
    grid = part.add_gridspec(
        3, 2, width_ratios=[2.1, 1], height_ratios=[0.25 + 0.18 * count, 1.0, 1.35]
    )
    strip = part.add_subplot(grid[0, 0])
    entropy = part.add_subplot(grid[1, 0], sharex=strip)
    volume = part.add_subplot(grid[2, 0], sharex=strip)
    shades = epoch_colours(count)
    _draw_strip(one, colours, shades, strip)
    for stored, values, shade in zip(one.stored, one.centred(), shades, strict=True):
        x = _distance(stored)
        entropy.plot(x, stored["entropy"], color=shade)
        volume.plot(x, values, color=shade)
        lost = x[~np.isfinite(values)]
        if len(lost):
            below = volume.get_xaxis_transform()
            volume.plot(lost, 0 * lost, "x", color=shade, transform=below, clip_on=False)
    entropy.set_ylabel("entropy /\nmaximum")
    entropy.set_ylim(-0.04, 1.04)
    volume.set_ylabel(one.quantity.replace(" [", "\nless median ["))
    lost_note = " (x: loses rank)" if one.loses_rank else ""
    volume.set_xlabel(
        f"distance from the first sample [input]{lost_note}\nmedians: {_levels_text(one)}"
    )
    for panel in (entropy, volume):
        plain_axes(panel)
    entropy.tick_params(labelbottom=False)
    spectra = part.add_subplot(grid[:, 1])
    for stored, shade in zip(one.stored, shades, strict=True):
        for values, style in zip(stored["spectra"], _STYLES, strict=False):
            _plot_spectrum(values, spectra, color=shade, linestyle=style)
    for label, style in zip(one.classes, _STYLES, strict=False):
        spectra.plot([], [], color="black", linestyle=style, label=f"at the sample of {label}")
    spectra.legend(frameon=False)
    spectra.set_title("Singular values of the Jacobian")
    _finish_spectra([spectra])


def _distance(stored: Mapping[str, np.ndarray]) -> np.ndarray:
    """How far each point of a line is from its first sample, `(m,)`, in units of input."""
    distance: np.ndarray = stored["grid"][:, 0] * np.exp(float(stored["log_area"]))
    return distance


def _levels_text(one: Slice) -> str:
    named = zip(one.epochs, one.levels(), strict=True)
    return ", ".join(f"{epoch_name(epoch)} {level_text(level)}" for epoch, level in named)


def _draw_strip(one: Slice, colours: Mapping[int, str], shades: Sequence[str], strip: Axes) -> None:
    """The answers along the line, one row per checkpoint, named where there is room."""
    x = _distance(one.stored[0])
    half = float(x[1] - x[0]) / 2
    answers = np.stack([stored["prediction"] for stored in one.stored])  # (epochs, m)
    palette, scale = _answers(colours)
    extent = (float(x[0]) - half, float(x[-1]) + half, len(answers) - 0.5, -0.5)
    strip.imshow(
        answers, aspect="auto", extent=extent, cmap=palette, norm=scale, interpolation="nearest"
    )
    for height, row in enumerate(answers):
        starts = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(row)]
        for start, end in itertools.pairwise(starts):
            if end - start >= 0.018 * len(row):
                middle = (float(x[start]) + float(x[end - 1])) / 2
                strip.text(middle, height, str(row[start]), ha="center", va="center", fontsize=8)
    for height in range(1, len(answers)):
        strip.axhline(height - 0.5, color="white", linewidth=1.5)
    strip.set_yticks(range(len(answers)), [epoch_name(epoch) for epoch in one.epochs])
    for text, shade in zip(strip.get_yticklabels(), shades, strict=True):
        text.set_color(shade)
        text.set_fontweight("bold")
    strip.set_title("Answer (class)")
    strip.tick_params(length=0, labelbottom=False)
    strip.spines[:].set_visible(False)


def _answers(colours: Mapping[int, str]) -> tuple[Colormap, Normalize]:
    """The colour map of class numbers."""
    from matplotlib.colors import ListedColormap, NoNorm

    most = max(colours)
    listed = [colours.get(label, NOTHING) for label in range(most + 1)]
    return ListedColormap(listed), NoNorm(0, most)


def _draw_plane(one: Slice, colours: Mapping[int, str], part: SubFigure) -> None:
    named = ", ".join(map(str, one.classes))
    part.suptitle(
        f"{one.name}: plane through test samples of classes {named}, seed {one.seed}", fontsize=10
    )
    part.supxlabel(
        "Affine coordinates, in which the three samples (numbered by class) form an equilateral "
        "triangle. Orange: where the answer changes."
        + (" Grey: loses rank." if one.loses_rank else ""),
        fontsize=7.5,
    )
    count = len(one.epochs)
    grid = part.add_gridspec(count, 4)
    panels = np.array(
        [[part.add_subplot(grid[row, column]) for column in range(4)] for row in range(count)]
    )
    for panel in panels[:-1].flat:
        panel.tick_params(labelbottom=False)
    _draw_answers(one, colours, part, panels[:, 0])
    entropies = [stored["entropy"] for stored in one.stored]
    _draw_column(one, entropies, (0.0, 1.0), "entropy / maximum", panels[:, 1])
    centred = one.centred()
    finite = np.concatenate([values[np.isfinite(values)] for values in centred])
    low, high = np.percentile(finite, [1, 99]) if len(finite) else (0.0, 1.0)
    label = one.quantity.replace(" [", " less median [")
    _draw_column(one, centred, (float(low), float(high)), label, panels[:, 2], extend="both")
    for row, (stored, level) in enumerate(zip(one.stored, one.levels(), strict=True)):
        answers, log_volume, spectra = panels[row, 0], panels[row, 2], panels[row, 3]
        answers.set_ylabel(epoch_name(one.epochs[row]), fontweight="bold")
        _draw_boundaries(stored, log_volume)
        log_volume.set_title(f"median {level_text(level)}", fontsize=7.5, pad=2)
        for sample, values in zip(one.classes, stored["spectra"], strict=True):
            _plot_spectrum(values, spectra, color=colours[sample], label=f"sample of {sample}")
    panels[0, 3].legend(frameon=False, fontsize=7, loc="lower left")
    _finish_spectra(list(panels[:, 3]))


def _draw_answers(
    one: Slice, colours: Mapping[int, str], part: SubFigure, panels: np.ndarray
) -> None:
    """The maps of the network's answers, with a bar of those there are."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, NoNorm

    palette, scale = _answers(colours)
    for stored, panel in zip(one.stored, panels, strict=True):
        _draw_image(stored, stored["prediction"], palette, scale, panel)
        for label, (x, y) in zip(one.classes, stored["anchors"], strict=True):
            panel.annotate(
                str(label), (x, y), xytext=(4, 3), textcoords="offset points", fontsize=8
            )
    there = sorted({int(label) for stored in one.stored for label in stored["prediction"]})
    fills = ListedColormap([colours[label] for label in there])
    bar = part.colorbar(
        ScalarMappable(NoNorm(0, len(there) - 1), fills),
        ax=list(panels),
        location="top",
        aspect=18,
        shrink=0.85,
        label="answer (class)",
    )
    bar.set_ticks(range(len(there)), labels=[str(label) for label in there])
    bar.ax.tick_params(length=0)


def _draw_column(
    one: Slice,
    values: Sequence[np.ndarray],
    limits: tuple[float, float],
    label: str,
    panels: np.ndarray,
    *,
    extend: str = "neither",
) -> None:
    """The maps of one quantity `(m,)` at every checkpoint, with one colour scale."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale, colours = Normalize(*limits), colormaps[MAP].with_extremes(bad=NOTHING)
    for stored, own, panel in zip(one.stored, values, panels, strict=True):
        _draw_image(stored, own, colours, scale, panel)
        panel.tick_params(labelleft=False)
    panels[0].figure.colorbar(
        ScalarMappable(scale, colours),
        ax=list(panels),
        location="top",
        aspect=18,
        shrink=0.85,
        label=label,
        extend=extend,
    )


def _draw_image(
    stored: Mapping[str, np.ndarray],
    values: np.ndarray,
    colours: Colormap,
    scale: Normalize,
    panel: Axes,
) -> None:
    """A map over the grid of a plane, the samples on it."""
    ticks = np.unique(stored["grid"][:, 0])
    half = float(ticks[1] - ticks[0]) / 2
    low, high = float(ticks[0]) - half, float(ticks[-1]) + half
    # The first coordinate is the slow one of the grid: rows of the image are the second.
    image = np.ma.masked_invalid(_square(values).T)
    panel.imshow(
        image,
        origin="lower",
        extent=(low, high, low, high),
        cmap=colours,
        norm=scale,
        interpolation="nearest",
    )
    panel.plot(*stored["anchors"].T, **_ANCHOR)
    panel.set_xticks([-1, 0, 1])
    panel.set_yticks([-1, 0, 1])


def _square(values: np.ndarray) -> np.ndarray:
    """Values on the grid of a plane, `(m,)`, by first and second coordinate."""
    steps = round(len(values) ** 0.5)
    return values.reshape(steps, steps)


def _draw_boundaries(stored: Mapping[str, np.ndarray], panel: Axes) -> None:
    """Lines where the network's answer changes."""
    ticks = np.unique(stored["grid"][:, 0])
    answers = _square(stored["prediction"]).T
    for label in np.unique(answers)[1:]:  # the first borders on others only
        inside = (answers == label).astype(np.float64)
        panel.contour(ticks, ticks, inside, levels=[0.5], colors=PALETTE[1], linewidths=0.9)


def _plot_spectrum(values: np.ndarray, panel: Axes, **style: Any) -> None:
    """Singular values `(r,)` from the largest on, to base 10, over their number from 1 on."""
    marker = "o" if len(values) <= _DOTS else ""
    panel.plot(
        range(1, len(values) + 1), log_spectrum(values), marker=marker, markersize=3.5, **style
    )


def _finish_spectra(panels: Sequence[Axes]) -> None:
    """Labels, and one range for all panels."""
    from matplotlib.ticker import MaxNLocator

    drawn = [np.asarray(line.get_ydata(), dtype=float) for p in panels for line in p.lines]
    known = np.concatenate([*drawn, np.empty(0)])
    known = known[np.isfinite(known)]
    for panel in panels:
        if len(known):
            high = float(known.max())
            low = max(float(known.min()), high - _DECADES)
            space = 0.06 * (high - low) or 0.5
            panel.set_ylim(low - space, high + space)
        panel.set_ylabel("singular value, log10")
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        plain_axes(panel)
    panels[-1].set_xlabel("number")
