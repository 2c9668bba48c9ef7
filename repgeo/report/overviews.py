"""The tables in which a study is read, laid out by what was measured at how many places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from repgeo.report.aggregate import Aggregate, aggregate

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MOST_COLUMNS", "is_too_wide", "overviews"]

#: A table with more columns is not laid out for reading.
MOST_COLUMNS: Final = 200

#: What makes the rows of a table that would be too wide otherwise.
_PLACES: Final = ("model", "params", "at")
_LAYERS: Final = ("layer", "layer_b")
_FEW_PLACES: Final = 12  # parameters, coordinates and layers side by side


def is_too_wide(frame: pd.DataFrame) -> bool:
    """Whether a table by metrics would have more than `MOST_COLUMNS` columns (told quickly)."""
    told = ["dataset", "probe", "params", "layer", "layer_b", "metric", "at"]
    return len(frame[told].drop_duplicates()) > MOST_COLUMNS


def overviews(frame: pd.DataFrame) -> list[Aggregate]:
    """The tables in which a study is read: one by metrics, where that is not too wide.

    Else one per dataset and probe. Of a probe that was measured at many places (parameters and
    coordinates), such as the steps of a walk, these are rows; where there would be too many of
    them, curves (numbers with coordinates) are left out, and where there still are, there is no
    table.

    Raises
    ------
    InputError, ConfigurationError
        As `aggregate`.
    """
    parts = [part for _, part in frame.groupby(["dataset", "probe"], sort=False)]
    if not is_too_wide(frame) and not any(map(_has_many_places, parts)):
        return [aggregate(frame)]
    # What tells the parts from one another stands above each.
    columns = (*(name for name in ("task", "dataset") if frame[name].nunique() > 1), "metric")
    found = []
    for part in parts:
        if not is_too_wide(part) and not _has_many_places(part):
            found.append(aggregate(part, columns=columns))
            continue
        for rows in (part, part[part["at"].fillna("") == ""]):
            varied = [name for name in _LAYERS if rows[name].nunique() > 1]
            places = ("model", *varied, *_PLACES[1:])
            if 0 < len(rows[list(places)].drop_duplicates()) <= MOST_COLUMNS:
                found.append(aggregate(rows, rows=places, columns=columns))
                break
    return found


def _has_many_places(part: pd.DataFrame) -> bool:
    return len(part[["params", "at", *_LAYERS]].drop_duplicates()) > _FEW_PLACES
