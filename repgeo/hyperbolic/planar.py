"""Delaunay edges in two dimensions, in closed form from the triangles."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from repgeo.hyperbolic.predicates import exact_sum_of_roots
from repgeo.hyperbolic.sites import Float, Int, Sites
from repgeo.hyperbolic.triangulation import Triangulation, triangulate

__all__ = ["planar_edges"]

#: A sum of three chords is known to a few units of rounding of each; this is far above it.
_DOUBT = 64 * 2.0**-53


def planar_edges(sites: Sites, *, weak: bool) -> Int | None:
    r"""The Delaunay edges `(m, 2)` of sites in two dimensions, or None without a triangulation.

    Hyperbolic Delaunay edges are Euclidean ones of the Poincaré points. A Euclidean edge (i, j)
    between the triangles with the corners k and l is a hyperbolic one unless one of the two
    corners alone separates i from j:

        s_ik + s_jk <= s_ij,    s = sinh(d/2).

    (The circles through i and j are a line of centres. Those that contain neither k nor l are an
    interval, those inside the unit disk another; both being intervals on a line, they meet unless
    an end of the one passes an end of the other, which is what a corner alone can do.) So each
    triangle whose chords violate the triangle inequality removes its longest side, and no Voronoi
    vertex is ever computed.

    Parameters
    ----------
    sites
        In two dimensions.
    weak
        Join also sites whose cells share a point but no side: all pairs of points on a common
        empty circle.

    Notes
    -----
    O(n log n). Comparisons within rounding are decided in rational arithmetic, as are the
    triangles: the edges are exact for the coordinates as given. The Euclidean superset: Bogdanov,
    Devillers and Teillaud 2014, J. Comput. Geom. 5.
    """
    made = triangulate(sites.points)
    if made is None:
        return None
    removed = _removed(sites, made.corners) if sites.hyperbolic else None
    start, end = (made.corners[made.inner[0], (made.opposite[0] + k) % 3] for k in (1, 2))
    first, last = (made.corners[made.outer[0], (made.outer[1] + k) % 3] for k in (1, 2))
    keep, border = ~made.tied, np.ones(len(first), dtype=bool)
    if removed is not None:
        for triangle, corner in zip(made.inner, made.opposite, strict=True):
            keep &= removed[triangle] != corner
        border = removed[made.outer[0]] != made.outer[1]
    edges = np.concatenate(
        [np.stack([start, end], axis=1)[keep], np.stack([first, last], axis=1)[border]]
    )
    if weak and made.tied.any():
        inside = np.ones(len(made.corners), dtype=bool) if removed is None else removed < 0
        edges = np.concatenate([edges, _of_common_circles(made, inside, edges)])
    return edges


def _removed(sites: Sites, corners: Int) -> Int:
    """For each triangle the corner opposite to the side that it removes, or -1 `(t,)`."""
    gaps = sites.gap[corners]
    squares = np.empty((len(corners), 3))  # of the chord opposite to each corner
    for k in range(3):
        one, two = (k + 1) % 3, (k + 2) % 3
        apart = sites.points[corners[:, one]] - sites.points[corners[:, two]]
        squares[:, k] = (apart[:, 0] ** 2 + apart[:, 1] ** 2) / (gaps[:, one] * gaps[:, two])
    chords = np.sqrt(squares)
    longest = chords.argmax(axis=1)
    most = chords[np.arange(len(chords)), longest]
    margin = chords.sum(axis=1) - 2 * most
    removes = margin < 0
    for row in np.flatnonzero(np.abs(margin) <= _DOUBT * most):
        side = _exactly_removed(sites.points[corners[row]])
        removes[row], longest[row] = side >= 0, max(side, 0)
    return np.where(removes, longest, -1)


def _exactly_removed(rows: Float) -> int:
    """The corner opposite to a side that is at least the sum of the others, or -1."""
    y = [[Fraction(value) for value in row] for row in rows.tolist()]
    room = [1 - a * a - b * b for a, b in y]
    squares = []
    for k in range(3):
        p, q = (k + 1) % 3, (k + 2) % 3
        apart = sum((u - v) ** 2 for u, v in zip(y[p], y[q], strict=True))
        squares.append(apart / (room[p] * room[q]))
    for k in range(3):
        if exact_sum_of_roots(squares[(k + 1) % 3], squares[(k + 2) % 3], squares[k]) <= 0:
            return k
    return -1


def _of_common_circles(made: Triangulation, inside: np.ndarray, kept: Int) -> Int:
    """Pairs of corners of triangles with the same circle, where it is inside, that are not kept."""
    count = len(made.corners)
    tied = made.inner[:, made.tied]
    links = coo_array((np.ones(tied.shape[1]), (tied[0], tied[1])), shape=(count, count))
    group = connected_components(links, directed=False)[1]
    touched = np.unique(group[tied[0]])
    pairs: set[tuple[int, int]] = set()
    sides = {tuple(sorted(edge)) for edge in kept.tolist()}
    order = np.argsort(group, kind="stable")
    limits = np.searchsorted(group[order], [touched, touched + 1])
    for low, high in limits.T:
        triangles = order[low:high]
        if inside[triangles[0]]:
            corners = np.unique(made.corners[triangles]).tolist()
            pairs.update((a, b) for n, a in enumerate(corners) for b in corners[n + 1 :])
    return np.array(sorted(pairs - sides), dtype=np.int64).reshape(-1, 2)
