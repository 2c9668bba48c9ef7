"""Farthest-point sampling: points that cover a cloud."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.errors import InputError

__all__ = ["farthest_points", "require_points"]


def farthest_points(points: Tensor, *, count: int, start: int = 0) -> Tensor:
    """Indices of points each of which is the farthest from those before it.

    The first is `start`; then, again and again, the point whose distance to the nearest chosen one
    is largest (the first such point in a tie). The chosen points cover the cloud within at most
    twice the radius that any `count` points can.

    Parameters
    ----------
    points
        `(n, features)`.
    count
        At most n.
    start
        The index of the first.

    Returns
    -------
    Tensor
        `(count,)`, int64, different indices. The first k of a larger choice are the choice of k.

    Raises
    ------
    InputError
        If shapes do not fit, `count` is not within 1..n, or `start` is not an index.

    Notes
    -----
    O(count n d), in float64. Source: Gonzalez 1985, Theoretical Computer Science 38.

    Examples
    --------
    >>> line = torch.tensor([[0.0], [1.0], [4.0], [10.0]])
    >>> farthest_points(line, count=3).tolist()
    [0, 3, 2]
    """
    require_points(points, count)
    if not 0 <= start < len(points):
        raise InputError(f"The start must be an index of {len(points)} points, got {start}.")
    wide = points.detach().double()
    chosen, gap = [start], wide.new_full((len(wide),), float("inf"))
    while len(chosen) < count:
        gap = torch.minimum(gap, (wide - wide[chosen[-1]]).square().sum(dim=1))
        gap[chosen[-1]] = -1.0  # never again, also where all points coincide
        chosen.append(int(gap.argmax()))
    return torch.tensor(chosen, device=points.device)


def require_points(points: Tensor, count: int) -> None:
    """Raise where `count` of the points cannot be chosen.

    Examples
    --------
    >>> require_points(torch.zeros(3, 2), 3)
    """
    if points.ndim != 2 or not points.is_floating_point():
        raise InputError(
            f"Points must be floating point (n, features), got {points.dtype} "
            f"{tuple(points.shape)}."
        )
    if not 1 <= count <= len(points):
        raise InputError(f"From 1 to {len(points)} of the points can be chosen, got count={count}.")
