"""The nearest neighbours of every sample, block by block."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from repgeo.errors import InputError, nearest
from repgeo.stitching.similarity.codes import blocks, centred, check_pair

__all__ = [
    "NeighbourMetric",
    "first_columns",
    "nearest_neighbours",
    "nearness_steps",
    "ready_for_products",
]

NeighbourMetric: TypeAlias = Literal["cosine", "euclidean"]

_METRICS: Final[tuple[str, ...]] = get_args(NeighbourMetric)

#: What differs by less, of cosines or of squared distances over the largest squared norm, is equal.
_STEPS: Final = 2.0**40


def nearest_neighbours(
    codes: Tensor, neighbours: int, *, metric: NeighbourMetric = "cosine"
) -> Tensor:
    """The indices of every sample's nearest neighbours, the nearest first, itself left out.

    Ties: of samples that are equally near, the one with the smaller index comes first. Equal are
    cosines (squared distances over the largest squared norm) that round to the same multiple of
    2^-40, so that rounding decides nothing. With ties at the last place the set depends on the
    order of the samples, but in the same way for both sides of a comparison; a sample's duplicate
    is a neighbour like any other. A code of norm zero has the cosine 0 with all.

    Parameters
    ----------
    codes
        `(n, features)`.
    neighbours
        How many, from 1 to n - 1.
    metric
        "cosine", or "euclidean".

    Returns
    -------
    Tensor
        `(n, neighbours)`, int64.

    Raises
    ------
    InputError
        If the shape does not fit, a value is NaN or infinite, all codes are the same, there are
        not more samples than neighbours, or the metric is unknown.

    Notes
    -----
    O(n^2 d) time; memory beside the codes: blocks of 32 MiB of the n x n matrix. In float64.

    Examples
    --------
    >>> points = torch.tensor([[0.0], [1.0], [3.0], [3.0]])
    >>> nearest_neighbours(points, 1, metric="euclidean")[:, 0].tolist()
    [1, 0, 3, 2]
    """
    check_pair(codes, codes, samples=2)
    n = len(codes)
    if not 1 <= neighbours < n:
        raise InputError(
            f"{neighbours} neighbours of {n} samples: give a number from 1 to {n - 1}."
        )
    ready, offsets = ready_for_products(codes, metric)
    found = []
    for rows in blocks(n, n):
        near = nearness_steps(ready[rows], ready, offsets)  # (rows, n)
        own = torch.arange(rows.start, rows.stop, device=codes.device)
        near[own - rows.start, own] = -torch.inf
        found.append(first_columns(near, neighbours))
    return torch.cat(found)


def ready_for_products(codes: Tensor, metric: NeighbourMetric) -> tuple[Tensor, Tensor | None]:
    """Codes in float64 whose products order samples by nearness, and what to add to the products.

    "cosine": unit vectors (zero where the code is zero), nothing to add. "euclidean": centred
    codes with the largest norm 1, and -|z|^2/2: a product with it falls as the distance grows.

    Raises
    ------
    InputError
        If the metric is unknown.
    """
    if metric not in _METRICS:
        raise InputError(f"Unknown metric {metric!r}. {nearest(metric, _METRICS)}")
    if metric == "cosine":
        wide = codes.double()
        largest = wide.abs().amax(dim=1, keepdim=True)  # so that squares stay in range
        wide = wide / torch.where(largest > 0, largest, 1.0)
        norms = torch.linalg.vector_norm(wide, dim=1, keepdim=True)
        return wide / torch.where(norms > 0, norms, 1.0), None
    wide = centred(codes)
    wide = wide / torch.linalg.vector_norm(wide, dim=1).max()
    return wide, wide.square().sum(dim=1) / -2


def nearness_steps(queries: Tensor, ready: Tensor, offsets: Tensor | None) -> Tensor:
    """How near codes are to queries, `(queries, n)`, in whole steps of 2^-40: larger is nearer."""
    near = queries @ ready.T
    if offsets is not None:
        near += offsets
    return near.mul_(_STEPS).round_()


def first_columns(near: Tensor, count: int) -> Tensor:
    """The columns of the largest entries of each row `(rows, count)`; of equal ones the first."""
    values, columns = near.topk(count, dim=1)
    # topk takes any of those that are equal: where more reach the last place, sort the whole row.
    tied = (near >= values[:, -1:]).sum(dim=1) > count
    columns, order = columns.sort(dim=1)
    values = values.gather(1, order)
    columns = columns.gather(1, values.argsort(dim=1, descending=True, stable=True))
    if bool(tied.any()):
        columns[tied] = near[tied].argsort(dim=1, descending=True, stable=True)[:, :count]
    return columns
