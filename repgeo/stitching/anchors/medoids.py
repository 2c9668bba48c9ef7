"""k-means, and the samples in the middle of its clusters."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from repgeo.stitching.anchors.farthest import require_points

__all__ = ["medoids"]

_ITERATIONS = 300
_ROWS = 8192  # distances to all centroids are held for so many points at a time


def medoids(points: Tensor, *, count: int, generator: torch.Generator) -> Tensor:
    """Indices of the points nearest to the centroids of k-means, one of each cluster.

    Lloyd's iterations from a k-means++ start until no point changes its cluster (300 at most). A
    cluster that loses all its points gets the one that is farthest from its own centroid. Of each
    cluster the point nearest to the centroid is taken, so that all are different.

    Parameters
    ----------
    points
        `(n, features)`.
    count
        The number of clusters, at most n.
    generator
        Of the start; a CPU generator.

    Returns
    -------
    Tensor
        `(count,)`, int64, different indices.

    Raises
    ------
    InputError
        If shapes do not fit, or `count` is not within 1..n.

    Notes
    -----
    O(count n d) per iteration, in float64. Sources: Lloyd 1982; Arthur and Vassilvitskii 2007.

    Examples
    --------
    >>> line = torch.tensor([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
    >>> sorted(medoids(line, count=2, generator=torch.Generator().manual_seed(0)).tolist())
    [1, 4]
    """
    require_points(points, count)
    wide = points.detach().double()
    centroids = wide[_spread_start(wide, count, generator)]
    members = torch.full((len(wide),), -1, device=wide.device)
    for _ in range(_ITERATIONS):
        gap, moved = _nearest(wide, centroids)
        moved = _filled(moved, gap, count)
        if torch.equal(moved, members):
            break
        members = moved
        sums = torch.zeros_like(centroids).index_add_(0, members, wide)
        centroids = sums / torch.bincount(members, minlength=count)[:, None]
    own = (wide - centroids[members]).square().sum(dim=1)
    order = torch.argsort(own, stable=True)
    _, first = np.unique(members[order].cpu().numpy(), return_index=True)
    return order[torch.from_numpy(first).to(order.device)]


def _spread_start(points: Tensor, count: int, generator: torch.Generator) -> list[int]:
    """k-means++: each next point with a chance proportional to its squared distance."""
    chosen = [int(torch.randint(len(points), (), generator=generator))]
    gap = points.new_full((len(points),), float("inf"))
    while len(chosen) < count:
        gap = torch.minimum(gap, (points - points[chosen[-1]]).square().sum(dim=1))
        gap[chosen[-1]] = 0.0
        weights = gap
        if not bool((gap > 0).any()):  # only copies of what was chosen are left
            weights = torch.ones_like(gap)
            weights[chosen] = 0.0
        edges = weights.cumsum(dim=0)
        draw = torch.rand((), dtype=torch.float64, generator=generator).to(edges.device) * edges[-1]
        place = int(torch.searchsorted(edges, draw, right=True))
        # A draw within rounding of the end may fall on the last point, of weight zero perhaps.
        chosen.append(min(place, int(weights.nonzero()[-1])))
    return chosen


def _nearest(points: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distance to the nearest centroid, and which it is, `(n,)` both."""
    size = centroids.square().sum(dim=1)
    found = [(size - 2 * block @ centroids.T).min(dim=1) for block in torch.split(points, _ROWS)]
    gap = torch.cat([each.values for each in found]) + points.square().sum(dim=1)
    return gap, torch.cat([each.indices for each in found])


def _filled(members: Tensor, gap: Tensor, count: int) -> Tensor:
    """The clusters, with every empty one given the farthest point of a cluster of several."""
    sizes = torch.bincount(members, minlength=count)
    empty = (sizes == 0).nonzero()[:, 0].tolist()
    if not empty:
        return members
    members = members.clone()
    for index in torch.argsort(gap, descending=True, stable=True).tolist():
        if not empty:
            break
        if sizes[members[index]] > 1:
            sizes[members[index]] -= 1
            members[index] = empty.pop(0)
            sizes[members[index]] += 1
    return members
