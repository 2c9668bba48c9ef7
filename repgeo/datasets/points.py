"""Points that are written in the task."""

from __future__ import annotations

import math

import torch

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import DatasetError

__all__ = ["points"]


def points(*, x: tuple[tuple[float, ...], ...], seed: int = 0) -> Dataset:
    """The points of a list, for models that are not trained: where a walk starts, for instance.

    `x` is `(n, d)`, float64; there are no labels. Both splits hold all points, with their places in
    the list as ids.

    Parameters
    ----------
    x
        The points, of the same dimension.
    seed
        Decides nothing here: the points are those given.

    Raises
    ------
    DatasetError
        If there is none, dimensions differ, or a number is not finite.

    Examples
    --------
    >>> data = points(x=((-1.85, 1.3), (1.85, 1.3)))
    >>> data.test.x.tolist(), data.test.ids.tolist()
    ([[-1.85, 1.3], [1.85, 1.3]], [0, 1])
    """
    sizes = {len(point) for point in x}
    if len(sizes) != 1 or 0 in sizes or not all(math.isfinite(c) for point in x for c in point):
        raise DatasetError(
            "points: x must be a list of points with the same number of finite coordinates, got "
            f"{len(x)} points of {', '.join(map(str, sorted(sizes))) or 'no'} coordinates."
        )
    split = Split(torch.tensor(x, dtype=torch.float64))
    return Dataset("points", split, split)
