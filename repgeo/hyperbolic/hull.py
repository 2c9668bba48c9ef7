"""Delaunay edges from the convex hull of the points on the hyperboloid, in a few dimensions."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.optimize import nnls
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, QhullError

from repgeo.hyperbolic.sites import Float, Int, Sites
from repgeo.hyperbolic.star import MARGIN, Decisions, StarBuilder

__all__ = ["hull_edges"]

#: Far above the rounding of a normal of a facet of extent 1 (of coordinates of order 1).
_ROUNDING = 1e-14

#: A corner this close to the plane of a neighbouring facet may be on the other side of it.
_FLAT = 1e-12


def hull_edges(sites: Sites, *, weak: bool) -> tuple[Int, Decisions] | None:
    r"""The Delaunay edges `(m, 2)` of sites, or None where Qhull finds no hull.

    The Lorentz coordinates of the sites are, up to a projective map, the points (y, \|y\|^2) on a
    paraboloid. Let (a, b) be the time and space of the outward normal of a facet of their convex
    hull; b/a is a vertex of the Voronoi diagram in Klein coordinates, and lies in the ball where
    a > \|b\|. An edge of the hull is a Delaunay edge if and only if the cone of the normals of
    *all* its facets, the upper ones too, holds a vector with a > \|b\|: if one of the normals is
    such a vector, or else by a projection of (1, 0) onto the cone, whose residual is then below
    1/sqrt(2). Flat space: all edges of lower facets.

    Facets that are flat against a neighbour within rounding are joined to clusters, and all pairs
    in a cluster are decided by `StarBuilder`, as are edges without a margin.

    Notes
    -----
    The hull: O(n^floor((d+1)/2)) facets at worst; measured 6, 25, 115, 400 facets for each point
    in 3, 4, 5, 6 dimensions.
    """
    points = sites.points
    if len(points) < sites.dimension + 3:
        return None
    base = np.zeros(sites.dimension) if sites.hyperbolic else points.mean(axis=0)
    scale = 1.0 if sites.hyperbolic else sites.unit_of_length
    flat = (points - base) / scale
    lifted = np.column_stack([flat, (flat**2).sum(axis=1)])
    try:
        hull = ConvexHull(lifted)
    except QhullError:
        return None  # on a common sphere or plane, or too few: there is no hull with a volume
    if len(hull.vertices) < len(points):
        return None
    corners = hull.simplices.astype(np.int64)
    doubt = _doubts(lifted[corners])
    doubtful = _clusters(hull, lifted, doubt)
    builder = StarBuilder(sites, weak)
    if sites.hyperbolic:
        joined, open_ = _by_cones(hull.equations, corners, doubt, builder.decisions)
    else:
        joined = _pairs(corners[hull.equations[:, -2] < 0])
        open_ = np.empty((0, 2), dtype=np.int64)
    n = len(sites)
    unsure = np.unique(np.concatenate([_keys(doubtful, n), _keys(open_, n)]))
    sure = np.setdiff1d(_keys(joined, n), unsure)
    settled = [key for key in unsure.tolist() if builder.joined(key // n, key % n)]
    keys = np.sort(np.concatenate([sure, np.array(settled, dtype=np.int64)]))
    return np.stack([keys // n, keys % n], axis=1), builder.decisions


def _keys(pairs: Int, n: int) -> Int:
    return pairs.min(axis=1) * n + pairs.max(axis=1) if len(pairs) else np.empty(0, dtype=np.int64)


def _pairs(corners: Int) -> Int:
    """Pairs of corners of simplices, with repetitions `(m, 2)`."""
    columns = list(combinations(range(corners.shape[1]), 2))
    return (
        np.concatenate([corners[:, pair] for pair in columns]) if len(corners) else corners[:, :2]
    )


def _doubts(facets: Float) -> Float:
    """How uncertain the unit normals of facets `(f, corners, d + 1)` are: more for thin ones."""
    edges = facets[:, 1:] - facets[:, :1]
    thinnest = np.linalg.svd(edges, compute_uv=False)[:, -1]
    made: Float = MARGIN + _ROUNDING / np.maximum(thinnest, _ROUNDING)
    return made


def _by_cones(
    equations: Float, corners: Int, doubt: Float, decisions: Decisions
) -> tuple[Int, Int]:
    """Edges whose cones of normals hold a timelike vector, and those without a margin."""
    normals = np.column_stack([-(equations[:, -2] + equations[:, -1]), equations[:, :-2]])
    size = np.linalg.norm(normals, axis=1)
    normals /= size[:, None]
    excess = normals[:, 0] - np.linalg.norm(normals[:, 1:], axis=1)
    pairs = _pairs(corners)
    facet = np.tile(np.arange(len(corners)), len(pairs) // len(corners))
    n = int(corners.max()) + 1
    keys, edge = np.unique(_keys(pairs, n), return_inverse=True)
    best = np.full(len(keys), -np.inf)
    np.maximum.at(best, edge, (excess - doubt)[facet])
    joined = best > 0
    decisions.margin = min(decisions.margin, float(best[joined].min(initial=np.inf)))
    unclear = np.flatnonzero(~joined)
    order = np.argsort(edge, kind="stable")
    starts = np.searchsorted(edge[order], unclear)
    ends = np.searchsorted(edge[order], unclear + 1)
    axis = np.zeros(normals.shape[1])
    axis[0] = 1.0
    open_ = []
    for one, low, high in zip(unclear, starts, ends, strict=True):
        around = facet[order[low:high]]
        weights, length = nnls(normals[around].T, axis)
        room = 0.5 - length * length
        joined[one] = room > 0
        if abs(room) <= doubt[around].max() * (1 + weights.sum()):
            open_.append(one)
        else:
            decisions.margin = min(decisions.margin, abs(room))
    split = np.stack([keys // n, keys % n], axis=1)
    return split[joined], split[np.array(open_, dtype=np.int64)]


def _clusters(hull: ConvexHull, lifted: Float, doubt: Float) -> Int:
    """Pairs of corners of facets that are flat against each other `(m, 2)`."""
    count = len(hull.simplices)
    facet, corner = np.nonzero(hull.neighbors > np.arange(count)[:, None])
    beyond = hull.neighbors[facet, corner]
    other = (hull.neighbors[beyond] == facet[:, None]).argmax(axis=1)
    apex = lifted[hull.simplices[beyond, other]]
    height = np.einsum("fd,fd->f", hull.equations[facet, :-1], apex) + hull.equations[facet, -1]
    flat = height > -(doubt[facet] - MARGIN + _FLAT)
    if not flat.any():
        return np.empty((0, 2), dtype=np.int64)
    links = coo_array((np.ones(flat.sum()), (facet[flat], beyond[flat])), shape=(count, count))
    group = connected_components(links, directed=False)[1]
    found: set[tuple[int, int]] = set()
    for label in np.unique(group[facet[flat]]):
        corners = np.unique(hull.simplices[group == label]).tolist()
        found.update(combinations(corners, 2))
    return np.array(sorted(found), dtype=np.int64)
