"""Delaunay edges in rational arithmetic, for pairs that floating point leaves in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from repgeo.hyperbolic.sites import Float, Sites

__all__ = ["project_exactly", "referee"]

Vector: TypeAlias = list[Fraction]

#: Constraints with more room than this at p, in units of |g_k| |p|, are certainly not violated.
_NEAR = 1e-11


def referee(sites: Sites, i: int, j: int, tight: Sequence[int], *, weak: bool) -> bool:
    r"""Whether two sites are joined, decided exactly for the coordinates as floats give them.

    Seen from i, let g_k = (-\|u_k\|^2, (1 - \|a\|^2) u_k - \|u_k\|^2 a) with u_k = y_k - a, a
    positive multiple of (-1, w_k), which has rational coordinates. The cells of i and j share a
    point if and only if the projection p of the first unit vector onto

        {p: <g_j, p> = 0, <g_k, p> <= 0 for all k}

    is timelike, p_0 > \|p_s\| (flat space: not 0). It is computed with its multipliers in rational
    arithmetic, for a few constraints; those that it may violate are evaluated exactly, and the one
    violated most is added. The cells share a side (not only a point or less) if, moreover, no
    combination with positive weights of the g_k that are tight at p lies in the direction of g_j.

    Parameters
    ----------
    sites
        All of them.
    i, j
        Two of them.
    tight
        Constraints that are thought to be tight at p: where the search begins, and nothing else.
    weak
        Whether a common point is enough.

    Notes
    -----
    O(n d), and rational arithmetic for the few constraints near to p: milliseconds for a pair.
    """
    normals = sites.normals(i)
    normals[[i, j]] = 0.0
    own = _constraint(sites, i, j)
    seen: dict[int, Vector] = {}

    def perpendicular(k: int) -> Vector:
        if k not in seen:
            seen[k] = _perpendicular(_constraint(sites, i, k), own)
        return seen[k]

    target = _perpendicular([Fraction(1)] + [Fraction(0)] * sites.dimension, own)
    chosen = list(tight)
    while True:
        p = project_exactly([perpendicular(k) for k in chosen], target)[1]
        if not any(p):
            return False
        room = -(normals @ _floats(p, sites))
        room[[i, j]] = np.inf
        near = [k for k in np.flatnonzero(room < _NEAR).tolist() if k not in chosen]
        excess = {k: _dot(perpendicular(k), p) for k in near}
        violated = {k: float(value) / _size(seen[k]) for k, value in excess.items() if value > 0}
        if not violated:
            break
        chosen.append(max(violated, key=lambda k: violated[k]))
    timelike = p[0] > 0
    if sites.hyperbolic:
        timelike = timelike and p[0] * p[0] > sum(value * value for value in p[1:])
    if not timelike or weak:
        return timelike
    touching = [k for k in {*chosen, *near} if _dot(perpendicular(k), p) == 0]
    return not _surrounds_zero([perpendicular(k) for k in touching])


def _constraint(sites: Sites, i: int, k: int) -> Vector:
    a = [Fraction(value) for value in sites.points[i].tolist()]
    u = [Fraction(value) - b for value, b in zip(sites.points[k].tolist(), a, strict=True)]
    square = _dot(u, u)
    if not sites.hyperbolic:
        return [-square, *u]
    room = 1 - _dot(a, a)
    return [-square, *(room * b - square * c for b, c in zip(u, a, strict=True))]


def _floats(p: Vector, sites: Sites) -> Float:
    """A rational solution in the frame of `Sites.normals`, of norm 1."""
    made = np.array([float(value) for value in p])
    if not sites.hyperbolic:
        made[0] *= sites.unit_of_length
    norm = float(np.linalg.norm(made))
    return made / norm if norm else made


def project_exactly(rows: Sequence[Vector], target: Vector) -> tuple[Vector, Vector]:
    """The weights x >= 0 that minimise |target - sum_k x_k rows_k|, and what is left.

    Parameters
    ----------
    rows
        Vectors.
    target
        A vector of the same length.

    Notes
    -----
    The active set method of Lawson and Hanson 1974 in rational arithmetic, where it ends.

    Examples
    --------
    >>> one, two = [Fraction(1), Fraction(0)], [Fraction(0), Fraction(-1)]
    >>> weights, rest = project_exactly([one, two], [Fraction(3), Fraction(2)])
    >>> [int(x) for x in weights], [int(x) for x in rest]
    ([3, 0], [0, 2])
    """
    x = [Fraction(0)] * len(rows)
    passive: list[int] = []
    rest = list(target)
    while True:
        gains = [(_dot(row, rest), k) for k, row in enumerate(rows) if k not in passive]
        best = max(gains, default=(Fraction(0), -1))
        if best[0] <= 0:
            return x, rest
        passive.append(best[1])
        while True:
            wanted = _least_squares([rows[k] for k in passive], target)
            if all(value > 0 for value in wanted):
                break
            step = min(
                x[k] / (x[k] - value)
                for k, value in zip(passive, wanted, strict=True)
                if value <= 0
            )
            for k, value in zip(passive, wanted, strict=True):
                x[k] += step * (value - x[k])
            passive = [k for k in passive if x[k] > 0]
        x = [Fraction(0)] * len(rows)
        rest = list(target)
        for k, value in zip(passive, wanted, strict=True):
            x[k] = value
            rest = [r - value * b for r, b in zip(rest, rows[k], strict=True)]


def _least_squares(rows: Sequence[Vector], target: Vector) -> Vector:
    """The weights of linearly independent rows nearest to a target, by elimination."""
    m = len(rows)
    system = [[_dot(a, b) for b in rows] + [_dot(a, target)] for a in rows]
    for k in range(m):
        pivot = system[k][k]
        for r in range(k + 1, m):
            factor = system[r][k] / pivot
            if factor:
                system[r] = [u - factor * v for u, v in zip(system[r], system[k], strict=True)]
    weights = [Fraction(0)] * m
    for k in reversed(range(m)):
        known = sum((system[k][c] * weights[c] for c in range(k + 1, m)), Fraction(0))
        weights[k] = (system[k][m] - known) / system[k][k]
    return weights


def _surrounds_zero(rows: Sequence[Vector]) -> bool:
    """Whether 0 is a combination of vectors with weights that are not negative and not all 0."""
    if not rows:
        return False
    lifted = [[*row, Fraction(1)] for row in rows]
    target = [Fraction(0)] * len(rows[0]) + [Fraction(1)]
    return not any(project_exactly(lifted, target)[1])


def _perpendicular(row: Vector, to: Vector) -> Vector:
    share = _dot(row, to) / _dot(to, to)
    return [a - share * b for a, b in zip(row, to, strict=True)]


def _size(row: Vector) -> float:
    return float(np.linalg.norm([float(value) for value in row])) or 1.0


def _dot(a: Vector, b: Vector) -> Fraction:
    return sum((u * v for u, v in zip(a, b, strict=True)), Fraction(0))
