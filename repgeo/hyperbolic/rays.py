"""Delaunay edges found by rays, as in Delaunay component analysis: true ones, but not all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.hyperbolic.sites import Int, Space, sites_of

__all__ = ["RayGraph", "ray_edges"]


@dataclass(frozen=True, eq=False)
class RayGraph:
    """What rays have found.

    Attributes
    ----------
    edges
        `(m, 2)` int64, i < j, sorted: true Delaunay edges, in general not all.
    hits
        How many rays of either end hit the common side of each edge `(m,)`.
    escaped
        The share of rays that meet no other cell. In hyperbolic space of more than a few
        dimensions nearly all do.
    """

    edges: Int
    hits: Int
    escaped: float


def ray_edges(
    points: Tensor | np.ndarray,
    *,
    rays: int = 1_000,
    generator: torch.Generator,
    model: Space = "poincare",
    curvature: float = -1.0,
) -> RayGraph:
    r"""Delaunay edges whose common side is hit by random rays from their ends.

    From each site rays go in random directions u and in the opposite ones. With the polar points w
    of the others (see `Sites`), a ray leaves the cell through the side of argmax_k <u, w_k>, if the
    maximum exceeds 1 (in flat space 0); otherwise it escapes to infinity.

    Parameters
    ----------
    points, model, curvature
        As for `delaunay_edges`.
    rays
        Directions for each site, each shot both ways.
    generator
        Of the directions, on the CPU.

    Raises
    ------
    InputError
        If there are no rays, or `delaunay_edges` refuses the points.

    Notes
    -----
    O(n^2 d rays), one product of matrices for each site. This is how Delaunay component analysis
    approximates flat Delaunay graphs; in hyperbolic space of more than a few dimensions most rays
    escape and most edges are missed, so that `delaunay_edges` does not use it. Source: Poklukar
    et al. 2022 (arXiv 2202.06866).

    Examples
    --------
    >>> y = np.array([[0.0, 0.0], [0.5, 0.0], [-0.5, 0.0]])
    >>> ray_edges(y, rays=100, generator=torch.Generator().manual_seed(0)).edges.tolist()
    [[0, 1], [0, 2]]
    """
    if rays < 1:
        raise InputError(f"There must be at least one ray for each site, got {rays}.")
    sites = sites_of(points, model, curvature)
    n = len(sites)
    hits = torch.zeros(n, n, dtype=torch.int64)
    escaped = 0
    for i in range(n):
        normals = torch.from_numpy(sites.normals(i))
        u = torch.randn(rays, sites.dimension, generator=generator, dtype=torch.float64)
        u = u / u.norm(dim=1, keepdim=True)
        time = torch.where(normals[:, 0] < 0, -normals[:, 0], 1.0)
        polar = normals[:, 1:] / time[:, None]
        reach = u @ polar.T  # (rays, n)
        reach[:, i] = -torch.inf
        ahead = reach.max(dim=1)
        reach[:, i] = torch.inf
        behind = reach.min(dim=1)
        bar = 1.0 if sites.hyperbolic else 0.0
        for value, index in ((ahead.values, ahead.indices), (-behind.values, behind.indices)):
            hit = value > bar
            escaped += int((~hit).sum())
            hits[i] += torch.bincount(index[hit], minlength=n)
    both = (hits + hits.T).triu(1)
    pairs = both.nonzero()
    edges = np.sort(sites.first[pairs.numpy()], axis=1)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    counts = both[pairs[:, 0], pairs[:, 1]].numpy()
    return RayGraph(edges[order], counts[order], escaped / (2 * rays * n) if n else 0.0)
