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

__all__ = ["Arrays", "available", "draw_probe"]

#: Gives a cell's stored arrays by its id: "<position>/samples", "<position>/ids",
#: "<position>/artifact/<name>", position being the reading's place among the rows of the cell.
Arrays = Callable[[str], "Mapping[str, np.ndarray]"]

#: Probe -> the module that draws it.
_MODULES: Final = {
    "cayley_recovery": "repgeo.report.figures.cayley_recovery",
    "circular_harmonics": "repgeo.report.figures.circular_harmonics",
    "critical_points": "repgeo.report.figures.critical_points",
    "fibre": "repgeo.report.figures.fibre",
    "fourier_features": "repgeo.report.figures.fourier_features",
    "hyperdga": "repgeo.report.figures.hyperdga",
    "magnification": "repgeo.report.figures.magnification",
    "neuromanifold": "repgeo.report.figures.neuromanifold",
    "null_walk": "repgeo.report.figures.null_walk",
    "pullback_volume": "repgeo.report.figures.pullback_volume",
    "relative_stitching": "repgeo.report.figures.relative_stitching",
    "scalar_curvature": "repgeo.report.figures.scalar_curvature",
    "similarity": "repgeo.report.figures.similarity",
    "topology": "repgeo.report.figures.topology",
    "volume_slice": "repgeo.report.figures.volume_slice",
}


def available() -> list[str]:
    """The probes that have a figure.

    Examples
    --------
    >>> "pullback_volume" in available()
    True
    """
    return sorted(_MODULES)


def draw_probe(name: str, frame: pd.DataFrame, arrays: Arrays, path: str | Path) -> Path:
    """Draw one probe's figure of a study and save it as PNG.

    Parameters
    ----------
    name
        The probe.
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
    if name not in _MODULES:
        raise UnknownNameError(f"No figure for the probe {name!r}. {nearest(name, _MODULES)}")
    rows = frame.loc[(frame["probe"] == name) & (frame["status"] == "ok")]
    if not len(rows):
        raise InputError(f"The table has no finished cell of {name!r}: there is nothing to draw.")
    from repgeo.report.figures.style import new_figure, save, settings

    module = importlib.import_module(_MODULES[name])
    width, height = module.size(rows, arrays)
    with settings():
        figure = new_figure(width, height)
        module.draw(rows, arrays, figure.add_subplot())
        save(figure, Path(path))
    return Path(path)
