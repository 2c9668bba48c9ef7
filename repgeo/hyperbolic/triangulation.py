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
    the faults are repaired by exact flips. None is returned for points on a line, and where Qhull
    leaves points out.

    Notes
    -----
    O(n log n) time; rational arithmetic only for what floating point leaves open. Sources: Barber
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
    used = np.zeros(len(points), dtype=bool)
    used[corners.ravel()] = True
    if not used.all():
        return None
    turns = orientation(points, corners[:, 0], corners[:, 1], corners[:, 2])
    if not (turns == 1).all():
        return None
    found, wrong = _edges(points, corners, neighbours)
    if found is None:
        corners, neighbours = _repaired(points, corners, wrong)
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


def _repaired(points: Float, corners: Int, wrong: list[tuple[int, int]]) -> tuple[Int, Int]:
    """Corners and neighbours after the hull has been made convex and edges have been flipped."""
    apex = {(t[k], t[(k + 1) % 3]): t[(k + 2) % 3] for t in corners.tolist() for k in range(3)}
    waiting = [*wrong, *_fill_hull(points, apex)]
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
