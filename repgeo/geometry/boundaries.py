"""How far inputs are from a classifier's decision boundary."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from repgeo.errors import InputError

__all__ = ["boundary_distance"]

_HALVINGS = 30
_ROWS = 256  # inputs whose distances to the pool are computed at a time


def boundary_distance(
    classify: Callable[[Tensor], Tensor], x: Tensor, pool: Tensor, *, candidates: int = 8
) -> Tensor:
    """Distance of each input to the nearest place where the classifier answers otherwise.

    For each input the nearest `candidates` of the pool that are classified otherwise are taken, and
    on the segment to each the place where the answer changes is found by bisection; the smallest
    distance counts. It is an upper bound of the distance to the decision boundary, tight where the
    pool is dense.

    Parameters
    ----------
    classify
        From inputs `(B, ...)` to integer classes `(B,)`.
    x
        Inputs `(B, ...)`.
    pool
        Inputs `(m, ...)` to look for other answers in.
    candidates
        Segments that are searched for each input.

    Returns
    -------
    Tensor
        `(B,)`, float64, in units of input (Euclidean).

    Raises
    ------
    InputError
        If the shapes do not fit, or an input has no other answer in the pool.

    Notes
    -----
    Cost: B m d operations, and 30 forward passes of B times `candidates` inputs.

    Examples
    --------
    >>> x = torch.tensor([[-2.0], [0.5], [3.0]], dtype=torch.float64)
    >>> found = boundary_distance(lambda x: (x[:, 0] > 0).long(), x, x)
    >>> [round(value, 6) for value in found.tolist()]
    [2.0, 0.5, 3.0]
    """
    if x.shape[1:] != pool.shape[1:] or candidates < 1:
        raise InputError(
            f"Inputs {tuple(x.shape)} and pool {tuple(pool.shape)} must have one shape per input, "
            f"and candidates ({candidates}) be at least 1."
        )
    answers, others = classify(x), classify(pool)
    found = []
    for start in range(0, len(x), _ROWS):
        part = slice(start, start + _ROWS)
        found.append(_nearest_change(classify, x[part], answers[part], pool, others, candidates))
    return torch.cat(found)


def _nearest_change(
    classify: Callable[[Tensor], Tensor],
    x: Tensor,
    answers: Tensor,
    pool: Tensor,
    others: Tensor,
    candidates: int,
) -> Tensor:
    rows, ends = x.flatten(1).double(), pool.flatten(1).double()
    # Not by matrix products: those would lose the digits of small distances.
    distances = torch.cdist(rows, ends, compute_mode="donot_use_mm_for_euclid_dist")
    distances = distances.masked_fill(answers[:, None] == others[None, :], torch.inf)
    count = min(candidates, len(pool))
    lengths, index = distances.topk(count, dim=1, largest=False)  # (b, count)
    if not bool(lengths[:, 0].isfinite().all()):
        raise InputError(
            "Some inputs have no other answer in the pool: the classifier gives one class to all."
        )
    low, high = torch.zeros_like(lengths), torch.ones_like(lengths)
    wanted = answers[:, None].expand_as(index).flatten()
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        points = rows[:, None] + middle[:, :, None] * (ends[index] - rows[:, None])
        same = classify(points.reshape(-1, *x.shape[1:]).to(x.dtype)) == wanted
        same = same.reshape(middle.shape)
        low, high = torch.where(same, middle, low), torch.where(same, high, middle)
    # Candidates that are no other answers have an infinite length.
    return (high * lengths).where(lengths.isfinite(), torch.inf).amin(dim=1)
