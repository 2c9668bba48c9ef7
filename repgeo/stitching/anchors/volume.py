"""Rows of a matrix that are as independent of each other as can be."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from repgeo.stitching.anchors.farthest import require_points

__all__ = ["greedy_volume"]

_TIE: Final = 32  # units of rounding within which two sizes are the same


def greedy_volume(points: Tensor, *, count: int) -> Tensor:
    r"""Indices of points each of which enlarges the volume of the chosen ones most.

    With A the chosen points as rows, the next one maximises det(A A^T), the squared volume of the
    parallelotope they span (pivoted QR), up to the rank of all points; from there on
    det(A^T A) within their span, that is a^T (A^T A)^{-1} a, the leverage of a (a greedy
    D-optimal design). The first index wins a tie, also one that only rounding breaks.

    A large volume at given norms means directions that are far from dependent: a small condition
    number. Give points of norm one (`repgeo.stitching.choose_anchors` does) where sizes are not to
    count.

    Parameters
    ----------
    points
        `(n, features)`. What is below max(n, features) units of rounding of their dtype, relative
        to the largest, does not add to their rank.
    count
        At most n.

    Returns
    -------
    Tensor
        `(count,)`, int64, different indices. The first k of a larger choice are the choice of k.

    Raises
    ------
    InputError
        If shapes do not fit, or `count` is not within 1..n.

    Notes
    -----
    O(n d) per point up to the rank, O(n rank) per further point, in float64. Sources:
    Businger and Golub 1965, Numerische Mathematik 7; Wynn 1970, Annals of Mathematical
    Statistics 41.

    Examples
    --------
    >>> points = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 0.9]])
    >>> greedy_volume(points, count=2).tolist()
    [1, 2]
    """
    require_points(points, count)
    rounding = torch.finfo(points.dtype).eps
    wide = points.detach().double()
    chosen, frame = _by_residual(wide, count, rounding)
    if len(chosen) < count:
        chosen += _by_leverage(wide @ frame, chosen, count - len(chosen))
    return torch.tensor(chosen, device=points.device)


def _by_residual(points: Tensor, count: int, rounding: float) -> tuple[list[int], Tensor]:
    """Pivoted QR of the rows: at most rank many, and an orthonormal frame `(features, chosen)`."""
    residual, chosen = points.clone(), list[int]()
    frame = points.new_zeros(points.shape[1], 0)
    floor = max(points.shape) * rounding * torch.linalg.vector_norm(points, dim=1).max()
    for _ in range(count):
        size = torch.linalg.vector_norm(residual, dim=1)
        size[chosen] = 0.0
        largest = size.max()
        if not largest > floor:
            break
        # Rows of norm one tie at first, up to rounding, which is not to decide.
        best = int((size >= largest * (1 - _TIE * rounding)).nonzero()[0])
        chosen.append(best)
        axis = residual[best] - frame @ (frame.T @ residual[best])
        axis = axis / torch.linalg.vector_norm(axis)
        frame = torch.cat([frame, axis[:, None]], dim=1)
        residual -= torch.outer(residual @ axis, axis)
    return chosen, frame


def _by_leverage(within: Tensor, chosen: list[int], more: int) -> list[int]:
    """Further points `(n, rank)`, in the frame of the chosen ones, by leverage."""
    basis = within[chosen]  # (rank, rank), invertible
    inverse = torch.linalg.inv(basis.T @ basis)
    leverage = ((within @ inverse) * within).sum(dim=1)
    leverage[chosen] = -float("inf")
    found: list[int] = []
    for _ in range(more):
        best = int(leverage.argmax())
        found.append(best)
        # Sherman and Morrison: what one more row takes off all leverages.
        along = inverse @ within[best]
        factor = 1.0 + within[best] @ along
        leverage = leverage - (within @ along).square() / factor
        inverse = inverse - torch.outer(along, along) / factor
        leverage[best] = -float("inf")
    return found
