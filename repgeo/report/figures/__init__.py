"""Figures from stored readings and artifacts, one file per probe; nothing is computed again.

A figure's file has `draw(frame, arrays, axes)`: it draws the rows `frame` of one probe into `axes`
(and may divide their place among several), taking samples and artifacts from `arrays(cell)`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from repgeo.errors import InputError, UnknownNameError, nearest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Arrays", "available", "draw_probe", "figures_of"]

#: Gives a cell's stored arrays by its id: "<position>/samples", "<position>/ids",
#: "<position>/artifact/<name>", position being the reading's place among the rows of the cell.
Arrays = Callable[[str], "Mapping[str, np.ndarray]"]

#: Probe -> the module that draws it.
_MODULES: Final = {
    "cayley_recovery": "repgeo.report.figures.cayley_recovery",
    "circular_harmonics": "repgeo.report.figures.circular_harmonics",
    "critical_points": "repgeo.report.figures.critical_points",
    "disentanglement": "repgeo.report.figures.disentanglement",
    "equivariance_error": "repgeo.report.figures.equivariance_error",
    "fibre": "repgeo.report.figures.fibre",
    "fourier_features": "repgeo.report.figures.fourier_features",
    "hyperdga": "repgeo.report.figures.hyperdga",
    "lie_derivative": "repgeo.report.figures.lie_derivative",
    "magnification": "repgeo.report.figures.magnification",
    "neuromanifold": "repgeo.report.figures.neuromanifold",
    "null_walk": "repgeo.report.figures.null_walk",
    "orbit_retrieval": "repgeo.report.figures.orbit_retrieval",
    "pullback_volume": "repgeo.report.figures.pullback_volume",
    "relative_stitching": "repgeo.report.figures.relative_stitching",
    "scalar_curvature": "repgeo.report.figures.scalar_curvature",
    "similarity": "repgeo.report.figures.similarity",
    "topology": "repgeo.report.figures.topology",
    "volume_slice": "repgeo.report.figures.volume_slice",
}


#: Further figures of a probe: figure -> (the probe, the module that draws it). Such a module says
#: with `draws(frame)` whether there is something to draw.
_FURTHER: Final = {
    "latent_spaces": ("relative_stitching", "repgeo.report.figures.latent_spaces"),
    "stitched_layers": ("relative_stitching", "repgeo.report.figures.stitched_layers"),
    "stitching_factorial": ("relative_stitching", "repgeo.report.figures.stitching_factorial"),
}


def available() -> list[str]:
    """The probes that have a figure.

    Examples
    --------
    >>> "pullback_volume" in available()
    True
    """
    return sorted(_MODULES)


def figures_of(frame: pd.DataFrame) -> list[str]:
    """The figures that a table has something for: of its probes, and further ones."""
    finished = frame.loc[frame["status"] == "ok"]
    found = []
    for name in sorted({*_MODULES, *_FURTHER}):
        probe, module = _drawn_by(name)
        rows = finished.loc[finished["probe"] == probe]
        if len(rows):
            draws = getattr(importlib.import_module(module), "draws", None)
            if draws is None or draws(rows):
                found.append(name)
    return found


def _drawn_by(name: str) -> tuple[str, str]:
    """The probe of a figure, and the module that draws it."""
    return _FURTHER[name] if name in _FURTHER else (name, _MODULES[name])


def draw_probe(name: str, frame: pd.DataFrame, arrays: Arrays, path: str | Path) -> Path:
    """Draw one probe's figure of a study and save it as PNG.

    Parameters
    ----------
    name
        The probe, or the name of a further figure of it (see `figures_of`).
    frame
        The table of the study; rows of other probes and failed cells are left out.
    arrays
        Gives the stored arrays of a cell by its id.
    path
        The file to write.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UnknownNameError
        If the probe has no figure.
    InputError
        If the table has no number of that probe.
    MissingExtraError
        If matplotlib is not installed.
    """
    known = [*_MODULES, *_FURTHER]
    if name not in known:
        raise UnknownNameError(f"No figure for the probe {name!r}. {nearest(name, known)}")
    probe, place = _drawn_by(name)
    rows = frame.loc[(frame["probe"] == probe) & (frame["status"] == "ok")]
    if not len(rows):
        raise InputError(f"The table has no finished cell of {probe!r}: there is nothing to draw.")
    from repgeo.report.figures.style import new_figure, save, settings

    module = importlib.import_module(place)
    width, height = module.size(rows, arrays)
    with settings():
        figure = new_figure(width, height)
        module.draw(rows, arrays, figure.add_subplot())
        save(figure, Path(path))
    return Path(path)
