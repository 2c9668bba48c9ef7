"""Signs of geometric expressions: in floating point where that is certain, exactly elsewhere."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from repgeo.hyperbolic.sites import Float, Int

__all__ = ["exact_incircle", "exact_orientation", "exact_sum_of_roots", "incircle", "orientation"]

_EPSILON = 2.0**-53

#: Bounds of the rounding of the two determinants, in units of the sums of their absolute terms.
_ORIENTATION_BOUND = (3 + 16 * _EPSILON) * _EPSILON
_INCIRCLE_BOUND = (10 + 96 * _EPSILON) * _EPSILON


def orientation(points: Float, a: Int, b: Int, c: Int) -> Int:
    """Signs `(m,)` of the turns a, b, c in the plane: 1 where they turn left.

    Parameters
    ----------
    points
        `(n, 2)`.
    a, b, c
        Rows `(m,)`.

    Notes
    -----
    Source of the error bounds: Shewchuk 1997, Discrete Comput. Geom. 18.

    Examples
    --------
    >>> points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [2.0, -1.0]])
    >>> orientation(points, np.array([0, 1]), np.array([1, 3]), np.array([2, 4])).tolist()
    [1, 0]
    """
    u, v = points[a] - points[c], points[b] - points[c]
    left, right = u[:, 0] * v[:, 1], u[:, 1] * v[:, 0]
    det = left - right
    sign = np.sign(det).astype(np.int64)
    for row in np.flatnonzero(np.abs(det) <= _ORIENTATION_BOUND * (np.abs(left) + np.abs(right))):
        sign[row] = exact_orientation(points, int(a[row]), int(b[row]), int(c[row]))
    return sign


def incircle(points: Float, corners: Int, d: Int) -> Int:
    """Signs `(m,)`: 1 where a point lies inside the circle of a triangle, 0 where on it.

    Parameters
    ----------
    points
        `(n, 2)`.
    corners
        Triangles that turn left `(m, 3)`.
    d
        Rows `(m,)`.

    Examples
    --------
    >>> points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, 0.5]])
    >>> incircle(points, np.array([[0, 1, 2], [0, 1, 2]]), np.array([3, 4])).tolist()
    [0, 1]
    """
    base = points[d]
    a, b, c = (points[corners[:, k]] - base for k in range(3))
    det = np.zeros(len(d))
    most = np.zeros(len(d))
    for u, v, w in ((a, b, c), (b, c, a), (c, a, b)):
        lift = w[:, 0] ** 2 + w[:, 1] ** 2
        plus, minus = u[:, 0] * v[:, 1], u[:, 1] * v[:, 0]
        det += lift * (plus - minus)
        most += lift * (np.abs(plus) + np.abs(minus))
    sign = np.sign(det).astype(np.int64)
    for row in np.flatnonzero(np.abs(det) <= _INCIRCLE_BOUND * most):
        one, two, three = (int(k) for k in corners[row])
        sign[row] = exact_incircle(points, one, two, three, int(d[row]))
    return sign


def exact_orientation(points: Float, a: int, b: int, c: int) -> int:
    """The sign of one turn, in rational arithmetic."""
    (ax, ay), (bx, by), (cx, cy) = (_rational(points[k]) for k in (a, b, c))
    return _sign((ax - cx) * (by - cy) - (ay - cy) * (bx - cx))


def exact_incircle(points: Float, a: int, b: int, c: int, d: int) -> int:
    """Whether d lies inside the circle of the left turn a, b, c, in rational arithmetic."""
    x, y = _rational(points[d])
    rows = [(px - x, py - y) for px, py in (_rational(points[k]) for k in (a, b, c))]
    det = Fraction(0)
    for k in range(3):
        (ux, uy), (vx, vy), (wx, wy) = rows[k], rows[(k + 1) % 3], rows[(k + 2) % 3]
        det += (wx * wx + wy * wy) * (ux * vy - uy * vx)
    return _sign(det)


def exact_sum_of_roots(a: Fraction, b: Fraction, c: Fraction) -> int:
    """The sign of sqrt(a) + sqrt(b) - sqrt(c) of numbers that are not negative.

    Examples
    --------
    >>> exact_sum_of_roots(Fraction(1), Fraction(4), Fraction(9))
    0
    """
    rest = c - a - b
    if rest < 0:
        return 1
    return _sign(4 * a * b - rest * rest)


def _rational(row: Float) -> list[Fraction]:
    return [Fraction(value) for value in row.tolist()]


def _sign(value: Fraction) -> int:
    return (value > 0) - (value < 0)
