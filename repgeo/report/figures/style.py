"""One style for all figures: colours that colour-blind readers tell apart, sizes, and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from repgeo.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.gridspec import SubplotSpec

__all__ = [
    "DIVERGING",
    "MAP",
    "NOTHING",
    "PALETTE",
    "axis_label",
    "new_figure",
    "place_of",
    "plain_axes",
    "save",
    "settings",
]

#: Okabe and Ito's eight colours, the palest left out, black last.
PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

#: The colour map of quantities: perceptually uniform, readable in grey.
MAP: Final = "cividis"

#: The colour map of quantities of both signs, palest at zero; blue against red.
DIVERGING: Final = "RdBu_r"

#: The colour of places where there is no number.
NOTHING: Final = "#cfcfcf"

_SETTINGS: Final[Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "legend.fontsize": 8.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
}

#: Dots per inch of a saved figure.
_RESOLUTION: Final = 160


def new_figure(width: float = 6.4, height: float = 4.2) -> Figure:
    """An empty figure of a size in inches, that belongs to no window and no global state.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "plots", "Drawing figures") from None
    figure = Figure(figsize=(width, height), layout="compressed")
    FigureCanvasAgg(figure)
    return figure


def settings() -> Any:
    """A context in which text has the sizes of the style; matplotlib's settings stay as they were.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise MissingExtraError("matplotlib", "plots", "Drawing figures") from None
    return mpl.rc_context(_SETTINGS)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; the same figure gives the same bytes (no date inside)."""
    figure.savefig(path, format="png", dpi=_RESOLUTION, metadata={"Software": None})


def axis_label(name: str, unit: str) -> str:
    """A quantity with its unit.

    Examples
    --------
    >>> axis_label("log-volume", "nats"), axis_label("accuracy", "1")
    ('log-volume [nats]', 'accuracy')
    """
    return f"{name} [{unit}]" if unit not in ("", "1") else name


def place_of(axes: Axes) -> tuple[Figure | SubFigure, SubplotSpec]:
    """The figure that axes belong to, and their place in its grid, to be divided among several.

    Raises
    ------
    InputError
        If the axes belong to no grid of subplots.
    """
    figure, place = axes.figure, axes.get_subplotspec()
    if figure is None or place is None:
        raise InputError("Several panels need axes that belong to a figure's grid of subplots.")
    return figure, place


def plain_axes(axes: Axes) -> None:
    """Axes without a frame above and to the right, with a faint grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#000000", alpha=0.08, linewidth=0.6)
    axes.set_axisbelow(True)
