"""Graphs between which the Delaunay graph lies, from distances alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from repgeo.hyperbolic.sites import Float, Int, Sites, Space, sites_of

__all__ = ["chord_edges", "gabriel_edges"]

#: Comparisons of sums of chords this close are given to the side that keeps the bound a bound.
_DOUBT = 1e-12


def gabriel_edges(
    points: Tensor | np.ndarray, *, model: Space = "poincare", curvature: float = -1.0
) -> Int:
    r"""Pairs whose smallest sphere holds no other point: a subset of the Delaunay edges.

    With the chords s = sinh(d/2), of i and j such that s_ik^2 + s_jk^2 > s_ij^2 for all k (in flat
    space with the distances themselves). The point halfway between i and j is then nearest to
    these two, so that their cells meet there: they are Delaunay edges in every dimension.

    Parameters
    ----------
    points, model, curvature
        As for `delaunay_edges`.

    Returns
    -------
    ndarray
        `(m, 2)` int64, i < j, sorted.

    Notes
    -----
    O(n^3) additions, vectorised. Comparisons within rounding leave a pair out.

    Examples
    --------
    Two sites and a third between them:

    >>> import numpy as np
    >>> gabriel_edges(np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, 0.1]])).tolist()
    [[0, 2], [1, 2]]
    """
    sites = sites_of(points, model, curvature)

    def empty(mine: Float, others: Float, row: Float) -> np.ndarray:
        nearest = (mine[:, None] ** 2 + others**2).min(axis=0)
        kept: np.ndarray = nearest > row**2 * (1 + _DOUBT)
        return kept

    return _rows(sites, empty)


def chord_edges(
    points: Tensor | np.ndarray, *, model: Space = "poincare", curvature: float = -1.0
) -> Int:
    r"""Pairs that no third point separates alone: a superset of the Delaunay edges.

    With the chords s = sinh(d/2), all pairs but those with a k such that s_ik + s_jk <= s_ij: then
    the whole bisector of i and j is nearer to k. Exact for three points. In flat space only points
    on the segment separate a pair, and nearly all pairs are left.

    Parameters
    ----------
    points, model, curvature
        As for `delaunay_edges`.

    Returns
    -------
    ndarray
        `(m, 2)` int64, i < j, sorted.

    Notes
    -----
    O(n^3) additions, vectorised. Comparisons within rounding keep a pair.

    Examples
    --------
    Two sites and a third between them, but not far from the middle:

    >>> import numpy as np
    >>> chord_edges(np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, 0.1]])).tolist()
    [[0, 2], [1, 2]]
    """
    sites = sites_of(points, model, curvature)

    def open_(mine: Float, others: Float, row: Float) -> np.ndarray:
        kept: np.ndarray = (mine[:, None] + others).min(axis=0) > row * (1 - _DOUBT)
        return kept

    return _rows(sites, open_)


def _rows(sites: Sites, keeps: Callable[[Float, Float, Float], np.ndarray]) -> Int:
    """Pairs that a test keeps, which sees the chords from i, all chords, and those from i again."""
    n = len(sites)
    chords = np.stack([sites.chords(i) for i in range(n)]) if n else np.empty((0, 0))
    # a site does not stand between itself and others
    between = chords.copy()
    np.fill_diagonal(between, np.inf)
    kept = np.zeros((n, n), dtype=bool)
    for i in range(n):
        kept[i] = keeps(between[i], between, chords[i])
    kept &= kept.T
    pairs = sites.first[np.argwhere(np.triu(kept, 1))]
    pairs = np.sort(pairs, axis=1)
    made: Int = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return made
