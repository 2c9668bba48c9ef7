"""The Delaunay triangulation of points in the plane, exact: proposed by Qhull, then verified."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import Delaunay, QhullError

from repgeo.hyperbolic.predicates import (
    exact_incircle,
    exact_orientation,
    incircle,
    orientation,
)
from repgeo.hyperbolic.sites import Float, Int

__all__ = ["Triangulation", "triangulate"]


@dataclass(frozen=True, eq=False)
class Triangulation:
    """A Delaunay triangulation with its inner edges.

    Attributes
    ----------
    corners
        Triangles that turn left `(t, 3)`.
    inner
        Edges between two triangles, each once: the triangles `(2, e)`.
    opposite
        For each inner edge the corner (0 to 2) of either triangle that is not on it `(2, e)`.
    outer
        Edges of the hull: the triangle, and the corner that is not on it `(2, h)`.
    tied
        Inner edges whose two triangles have the same circle `(e,)`.
    """

    corners: Int
    inner: Int
    opposite: Int
    outer: Int
    tied: np.ndarray


def triangulate(points: Float) -> Triangulation | None:
    """The Delaunay triangulation of distinct points `(n, 2)`, or None where Qhull proposes none.

    Qhull's triangulation is verified with predicates whose signs are certain: every triangle turns
    left, no opposite corner lies inside a circle, the hull is convex. Where rounding misled Qhull
    the faults are repaired by exact flips; points that it left out, as it does with near ones, are
    put in one by one. None is returned for points on a line.

    Notes
    -----
    O(n log n) time, O(n) for each point that was left out; rational arithmetic only for what
    floating point leaves open. Sources: Barber
    et al. 1996, ACM Trans. Math. Softw. 22; flips: Lawson 1977.
    """
    if len(points) < 4:
        return None
    try:  # any affine image is as good a proposal, and this one has no common offset
        made = Delaunay(points - points.mean(axis=0))
    except QhullError:
        return None  # points on a line, or indistinguishable from one in Qhull's arithmetic
    corners: Int = made.simplices.astype(np.int64)
    neighbours: Int = made.neighbors.astype(np.int64)
    left_out = np.setdiff1d(np.arange(len(points)), corners).tolist()
    turns = orientation(points, corners[:, 0], corners[:, 1], corners[:, 2])
    if not (turns == 1).all():
        return None
    found, wrong = _edges(points, corners, neighbours)
    if found is None or left_out:
        corners, neighbours = _repaired(points, corners, wrong, left_out)
        found, _ = _edges(points, corners, neighbours)
    return found


def _edges(
    points: Float, corners: Int, neighbours: Int
) -> tuple[Triangulation | None, list[tuple[int, int]]]:
    """Edges of a triangulation, or None where it is not Delaunay, with the edges to be flipped."""
    triangle, corner = np.nonzero(neighbours > np.arange(len(corners))[:, None])
    beyond = neighbours[triangle, corner]
    other = (neighbours[beyond] == triangle[:, None]).argmax(axis=1)
    side = incircle(points, corners[triangle], corners[beyond, other])
    outer = np.stack(np.nonzero(neighbours < 0)).astype(np.int64)
    start, end = (corners[outer[0], (outer[1] + k) % 3] for k in (1, 2))
    following = np.empty(len(points), dtype=np.int64)
    following[start] = end
    dented = (orientation(points, start, end, following[end]) < 0).any()
    if dented or (side > 0).any():
        ends = [corners[triangle, (corner + k) % 3][side > 0].tolist() for k in (1, 2)]
        return None, list(zip(*ends, strict=True))
    inner, opposite = np.stack([triangle, beyond]), np.stack([corner, other])
    return Triangulation(corners, inner, opposite, outer, side == 0), []


def _repaired(
    points: Float, corners: Int, wrong: list[tuple[int, int]], left_out: list[int]
) -> tuple[Int, Int]:
    """Corners and neighbours once the hull is convex, all points are in, and edges are flipped."""
    apex = {(t[k], t[(k + 1) % 3]): t[(k + 2) % 3] for t in corners.tolist() for k in range(3)}
    waiting = [*wrong, *_fill_hull(points, apex)]
    for point in left_out:
        waiting += _put_in(points, apex, point)
    while waiting:
        a, b = waiting.pop()
        c, d = apex.get((a, b)), apex.get((b, a))
        if c is None or d is None or exact_incircle(points, a, b, c, d) <= 0:
            continue
        del apex[a, b], apex[b, a]
        for u, v, w in ((c, a, d), (d, b, c)):
            apex[u, v], apex[v, w], apex[w, u] = w, u, v
        waiting += [(a, d), (d, b), (b, c), (c, a)]
    triangles = sorted({min((a, b, c), (b, c, a), (c, a, b)) for (a, b), c in apex.items()})
    owner = {(t[k], t[(k + 1) % 3]): n for n, t in enumerate(triangles) for k in range(3)}
    neighbours = [
        [owner.get((t[(k + 2) % 3], t[(k + 1) % 3]), -1) for k in range(3)] for t in triangles
    ]
    return np.array(triangles, dtype=np.int64), np.array(neighbours, dtype=np.int64)


def _put_in(points: Float, apex: dict[tuple[int, int], int], point: int) -> list[tuple[int, int]]:
    """Join a point to the corners of the triangle around it; the edges that may have to be flipped.

    On an edge it is joined to the corners of both triangles there, outside to a side of the hull.
    """
    corners = np.array([(a, b, c) for (a, b), c in apex.items() if a < b and a < c])
    here = np.full(len(corners), point)
    sides = np.stack(
        [orientation(points, corners[:, k], corners[:, (k + 1) % 3], here) for k in range(3)],
        axis=1,
    )
    around = np.flatnonzero((sides >= 0).all(axis=1))
    if len(around) == 0:
        hull = np.array([(a, b) for a, b in apex if (b, a) not in apex])
        seen = orientation(points, hull[:, 0], hull[:, 1], np.full(len(hull), point)) < 0
        b, a = hull[seen.argmax()].tolist()
        apex[a, b], apex[b, point], apex[point, a] = point, a, b
        return [(a, b), *_fill_hull(points, apex)]
    rims = []  # directed edges that will have the point as their apex
    for triangle in around:  # two where it lies on an edge
        a, b, c = corners[triangle].tolist()
        for k, edge in enumerate(((a, b), (b, c), (c, a))):
            del apex[edge]
            if sides[triangle, k] > 0:
                rims.append(edge)
    for a, b in rims:
        apex[a, b], apex[b, point], apex[point, a] = point, a, b
    return rims


def _fill_hull(points: Float, apex: dict[tuple[int, int], int]) -> list[tuple[int, int]]:
    """Add the flat triangles that a boundary with dents lacks; the edges they stand on."""
    added = []
    after = {a: b for a, b in apex if (b, a) not in apex}
    before = {b: a for a, b in after.items()}
    waiting = list(after)
    while waiting:
        b = waiting.pop()
        if b not in after:
            continue
        a, c = before[b], after[b]
        if exact_orientation(points, a, b, c) >= 0:
            continue
        apex[a, c], apex[c, b], apex[b, a] = b, a, c
        del after[b], before[b]
        after[a], before[c] = c, a
        added += [(a, b), (b, c)]
        waiting += [a, c]
    return added
