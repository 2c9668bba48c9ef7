"""HyperDGA: how two sets of points are mixed, by the edges of their common Delaunay graph."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.hyperbolic.delaunay import DelaunayGraph, Method, delaunay_graph
from repgeo.hyperbolic.sites import Float, Int, Sites, Space

__all__ = ["HyperDGA", "aligned", "both", "hyperdga", "null_law", "share_of_first"]


@dataclass(frozen=True, eq=False)
class HyperDGA:
    """How two sets are mixed in a Delaunay graph, and what shuffled labels would give.

    Attributes
    ----------
    score
        1 - heterogeneous / edges, in [0, 1): high where the sets are apart. Neither a metric nor 0
        for equal laws: see `null_mean`.
    heterogeneous
        Edges between the sets. A site that holds points of both counts by its shares (see
        `hyperdga`), otherwise a whole number.
    edges
        Edges of the graph.
    null_mean, null_std
        Mean and standard deviation of the score when the labels of the sites are shuffled, exact.
    z
        (score - null_mean) / null_std; 0 where shuffling changes nothing (a complete graph).
    p_value
        One-sided, of a larger score under shuffled labels, by the normal law of z; 1 where
        shuffling changes nothing.
    normalized
        1 - heterogeneous / its mean under shuffling: 0 for chance, comparable between pairs of
        sets of different sizes, negative where the sets seek each other.
    density
        edges / all pairs of sites: near 1 the score says nothing.
    max_degree
        The largest number of neighbours: near the number of sites the score hangs on one site.
    method
        How the graph was found.
    certified
        Whether each edge was decided with a margin far above rounding or in rational arithmetic.
    merged
        Points that stand where an earlier one stands.
    graph
        The graph; its rows are those of the first set, then those of the second.
    """

    score: float
    heterogeneous: float
    edges: int
    null_mean: float
    null_std: float
    z: float
    p_value: float
    normalized: float
    density: float
    max_degree: int
    method: str
    certified: bool
    merged: int
    graph: DelaunayGraph = field(repr=False)


def hyperdga(
    a: Tensor | np.ndarray,
    b: Tensor | np.ndarray,
    *,
    model: Space = "poincare",
    curvature: float = -1.0,
    method: Method = "auto",
) -> HyperDGA:
    r"""Hyperbolic Delaunay geometric alignment of two sets of points.

    With E the edges of the hyperbolic Delaunay graph of both sets together,

        score = 1 - #{(i, j) in E: one of a, one of b} / #E.

    Symmetric, invariant to isometries of either model. Sets of the same law score 1 - 2pq on
    average (p, q their shares of the points), a set and a slightly moved copy of it about 5/12 in
    the plane, sets apart nearly 1.

    Parameters
    ----------
    a, b
        Points `(n_a, d)` and `(n_b, d)`, d+1 coordinates in the Lorentz model.
    model
        As for `delaunay_edges`; "euclidean" gives the same statistic of the flat Delaunay graph.
    curvature
        The sectional curvature, negative.
    method
        As for `delaunay_edges`.

    Raises
    ------
    InputError
        If a set is empty, the shapes do not fit, there is only one place, or `delaunay_edges`
        refuses the points.

    Notes
    -----
    Equal points are one site. Where points of both sets are at one place, its label is the share p
    of those of a, and an edge counts p_i (1 - p_j) + p_j (1 - p_i), the mean over labels drawn for
    each site from its own points; shuffling then moves shares between sites.

    The cost is that of the graph. It is a Friedman-Rafsky statistic, so that mean and variance
    under shuffled labels are closed forms: see `null_law`. Source: Medbouhi et al. 2024 (arXiv
    2404.08608).

    Examples
    --------
    A hub and four points at Poincaré radius .8: all four edges join the sets; at .6 the rim has
    four edges of its own.

    >>> import numpy as np
    >>> rim = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    >>> hub = np.zeros((1, 2))
    >>> hyperdga(hub, 0.8 * rim).score, hyperdga(hub, 0.6 * rim).score
    (0.0, 0.5)
    """
    points = both(a, b)
    graph = delaunay_graph(points, model=model, curvature=curvature, method=method)
    return aligned(graph, share_of_first(graph.sites, len(a)))


def both(a: Tensor | np.ndarray, b: Tensor | np.ndarray) -> Tensor | np.ndarray:
    """The rows of two sets of points, of one kind and not empty.

    Raises
    ------
    InputError
        If they do not fit.
    """
    for name, points in (("first", a), ("second", b)):
        if points.ndim != 2 or len(points) == 0:
            raise InputError(
                f"A set of points must have the shape (n, coordinates) with n > 0, the {name} has "
                f"{tuple(points.shape)}."
            )
    if a.shape[1] != b.shape[1]:
        raise InputError(
            f"Both sets need points of the same space, got {a.shape[1]} and {b.shape[1]} "
            "coordinates."
        )
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.cat([a.detach(), b.detach().to(a.device)])
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        raise InputError("Tensors and numpy arrays were mixed; give all points as one kind.")
    return np.concatenate([a, b])


def share_of_first(sites: Sites, count: int) -> Float:
    """For each site the share of its points that are among the first `count` rows `(sites,)`."""
    in_first = np.arange(len(sites.place)) < count
    total = np.bincount(sites.place, minlength=len(sites))
    made: Float = np.bincount(sites.place, weights=in_first, minlength=len(sites)) / total
    return made


def aligned(graph: DelaunayGraph, share: Float) -> HyperDGA:
    """The score of a graph whose sites are shared between two sets.

    Parameters
    ----------
    graph
        Of the points of both.
    share
        For each site the share of its points that are of the first set `(sites,)`: 0 or 1 but for
        places held by both.

    Raises
    ------
    InputError
        If the shares do not fit, or the graph has no edge.

    Notes
    -----
    O(edges): milliseconds for 1e5 edges.
    """
    if share.shape != (len(graph.sites),) or not bool(((share >= 0) & (share <= 1)).all()):
        raise InputError(
            f"Shares must be ({len(graph.sites)},) numbers in [0, 1], got {share.shape}."
        )
    m, n = len(graph.edges), len(graph.sites)
    if m == 0:
        raise InputError("All points are at one place: there is no edge, and no score.")
    sites = graph.sites.place[graph.edges]
    p, q = share[sites[:, 0]], share[sites[:, 1]]
    heterogeneous = float((p + q - 2 * p * q).sum())
    degrees = graph.degrees
    mean, variance = null_law(share, degrees)
    score, null_mean, null_std = 1 - heterogeneous / m, 1 - mean / m, math.sqrt(variance) / m
    z = (score - null_mean) / null_std if null_std > 0 else 0.0
    return HyperDGA(
        score=score,
        heterogeneous=heterogeneous,
        edges=m,
        null_mean=null_mean,
        null_std=null_std,
        z=z,
        p_value=math.erfc(z / math.sqrt(2)) / 2 if null_std > 0 else 1.0,
        normalized=1 - heterogeneous / mean if mean > 0 else 0.0,
        density=2 * m / (n * (n - 1)),
        max_degree=int(degrees.max()),
        method=graph.method,
        certified=graph.certified,
        merged=len(graph.sites.place) - n,
        graph=graph,
    )


def null_law(share: Float, degrees: Int) -> tuple[float, float]:
    r"""Mean and variance of the number of heterogeneous edges when labels are shuffled.

    With q = 2 share - 1 an edge counts (1 - q_i q_j) / 2. For a graph of m edges with
    C = sum deg (deg - 1) / 2 pairs of edges that meet, and a random permutation of the q,

        E = (m - m e_11) / 2,
        Var = (m e_22 + 2C e_211 + (m(m-1) - 2C) e_1111 - (m e_11)^2) / 4,

    where e_abc is the mean of q_i^a q_j^b q_k^c over different i, j, k, from power sums. For labels
    0 and 1 this is E = m 2 n_a n_b / (N(N-1)), and the variance of Friedman and Rafsky.

    Parameters
    ----------
    share
        Labels of the sites `(sites,)`, in [0, 1].
    degrees
        Of the sites `(sites,)`.

    Notes
    -----
    O(sites), then rational arithmetic on a handful of numbers: no cancellation. Source: Friedman
    and Rafsky 1979, Ann. Stat. 7.

    Examples
    --------
    One edge, one point of each set and a third: two of three labellings join them.

    >>> mean, variance = null_law(np.array([1.0, 0.0, 0.0]), np.array([1, 1, 0]))
    >>> round(mean, 9), round(variance, 9)
    (0.666666667, 0.222222222)
    """
    q = 2 * share - 1
    s1, s2, s3, s4 = (Fraction(float((q**power).sum())) for power in range(1, 5))
    n = len(q)
    n2, n3 = n * (n - 1), n * (n - 1) * (n - 2)
    n4 = n3 * (n - 3)
    m = int(degrees.sum()) // 2
    meeting = int((degrees * (degrees - 1)).sum())  # ordered pairs of edges with a common site
    e11 = (s1**2 - s2) / n2
    e22 = (s2**2 - s4) / n2
    e211 = (s2 * (s1**2 - s2) - 2 * (s3 * s1 - s4)) / n3 if n3 else Fraction(0)
    whole = s1**4 - 6 * s1**2 * s2 + 3 * s2**2 + 8 * s1 * s3 - 6 * s4
    e1111 = whole / n4 if n4 else Fraction(0)
    variance = m * e22 + meeting * e211 + (m * (m - 1) - meeting) * e1111 - (m * e11) ** 2
    return float((m - m * e11) / 2), max(float(variance / 4), 0.0)
