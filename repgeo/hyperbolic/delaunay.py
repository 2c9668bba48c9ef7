"""The Delaunay graph of points in hyperbolic or flat space: one door to all methods."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from torch import Tensor

from repgeo.errors import InputError, nearest
from repgeo.hyperbolic.coordinates import MODELS
from repgeo.hyperbolic.hull import hull_edges
from repgeo.hyperbolic.planar import planar_edges
from repgeo.hyperbolic.sites import Int, Sites, Space, sites_of
from repgeo.hyperbolic.star import Decisions, star_edges

__all__ = ["DelaunayGraph", "Method", "Ties", "delaunay_edges", "delaunay_graph"]

Method: TypeAlias = Literal["auto", "hull", "star"]
Ties: TypeAlias = Literal["strict", "weak"]

SPACES: Final[tuple[str, ...]] = (*MODELS, "euclidean")

#: Up to how many sites the hull is the faster method, by dimension; in 1 to 3 it always is.
_HULL_SITES: Final = {4: 5_000, 5: 700, 6: 200}


@dataclass(frozen=True, eq=False)
class DelaunayGraph:
    """A Delaunay graph of points.

    Attributes
    ----------
    edges
        Pairs i < j of rows of the points, sorted `(m, 2)`, int64.
    sites
        Distinct points: each is one vertex of the graph, named by the row where it occurs first.
    method
        "hull" or "star".
    margin
        The smallest distance of a decision in floating point from being another one; infinite in
        the plane, where signs are certain one by one.
    exact
        How many pairs were left to rational arithmetic (not counted in the plane).
    certified
        Whether every pair was decided with a margin far above rounding or in rational arithmetic:
        so it is for the graphs that `delaunay_graph` makes.
    """

    edges: Int
    sites: Sites
    method: str
    margin: float
    exact: int
    certified: bool

    @cached_property
    def degrees(self) -> Int:
        """Of the sites `(sites,)`."""
        rank = np.zeros(len(self.sites.place), dtype=np.int64)
        rank[self.sites.first] = np.arange(len(self.sites))
        return np.bincount(rank[self.edges.ravel()], minlength=len(self.sites)).astype(np.int64)


def delaunay_edges(
    points: Tensor | np.ndarray,
    *,
    model: Space = "poincare",
    curvature: float = -1.0,
    method: Method = "auto",
    ties: Ties = "strict",
) -> Int:
    r"""The edges of the hyperbolic Delaunay graph: pairs whose Voronoi cells share a side.

    i and j are joined if some point of hyperbolic space is equally near to both and nearer to
    them than to all others, on a set of codimension 1. Exact in any dimension: decisions that
    floating point leaves open are made in rational arithmetic, for the float64 Poincaré (or flat)
    coordinates of the points. Nothing is rescaled or clipped.

    Parameters
    ----------
    points
        `(n, d)`, or `(n, d+1)` in the Lorentz model.
    model
        "poincare", "klein", "lorentz", "tangent"; or "euclidean" for the flat Delaunay graph.
    curvature
        The sectional curvature, negative; not used in flat space.
    method
        "hull" (the triangulation in the plane, Qhull on the hyperboloid above it), "star" (each
        site by itself, any dimension), "auto" for what is faster. Both give the same edges.
    ties
        "strict": cells must share a set of codimension 1; "weak": a common point is enough, so
        that all pairs on an empty sphere are joined, also the diagonals of a square.

    Returns
    -------
    ndarray
        `(m, 2)` int64, i < j, sorted.

    Raises
    ------
    InputError
        If points are no matrix, lie outside of the model or too far out for Poincaré coordinates
        in float64, an option is unknown, or "hull" is asked for where there is no hull with a
        volume (points on a common sphere or plane: "star" takes them).

    Notes
    -----
    Policy for points in special position. Equal points are one site, which stands under the row
    where it occurs first; the others have no edges. Points on a common sphere are joined as `ties`
    says, exactly and not as rounding would have it. Points on one geodesic give a path.

    In the plane signs in floating point count only where an error bound proves them. In more
    dimensions a decision counts where its margin exceeds 1e-9 plus an estimate of its rounding,
    which grows with the weights of a solution and with how thin a facet is; all others are made
    in rational arithmetic.

    The plane: O(n log n), less than twice the time of Qhull. Star: see `star_edges`. Sources:
    Medbouhi et al. 2024 (arXiv 2404.08608); Bogdanov, Devillers and Teillaud 2014, J. Comput.
    Geom. 5.

    Examples
    --------
    A hub and four points around it at Poincaré radius .6 < cos(pi/4): four spokes, four rim edges.
    Further out than that, the hub separates the others.

    >>> import numpy as np
    >>> rim = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    >>> hub = np.zeros((1, 2))
    >>> len(delaunay_edges(np.concatenate([hub, 0.6 * rim])))
    8
    >>> delaunay_edges(np.concatenate([hub, 0.8 * rim])).tolist()
    [[0, 1], [0, 2], [0, 3], [0, 4]]
    """
    graph = delaunay_graph(points, model=model, curvature=curvature, method=method, ties=ties)
    return graph.edges


def delaunay_graph(
    points: Tensor | np.ndarray,
    *,
    model: Space = "poincare",
    curvature: float = -1.0,
    method: Method = "auto",
    ties: Ties = "strict",
) -> DelaunayGraph:
    """The Delaunay graph with what is known of how it was decided; see `delaunay_edges`.

    Examples
    --------
    >>> import numpy as np
    >>> graph = delaunay_graph(np.array([[0.0, 0.1], [0.0, 0.3], [0.0, -0.5]]))
    >>> graph.edges.tolist(), graph.certified
    ([[0, 1], [0, 2]], True)
    """
    for value, allowed in ((model, SPACES), (method, get_args(Method)), (ties, get_args(Ties))):
        if value not in allowed:
            raise InputError(f"Unknown option {value!r}. {nearest(str(value), allowed)}")
    sites = sites_of(points, model, curvature)
    edges, used, decisions = _edges(sites, method, weak=ties == "weak")
    if len(sites) < len(sites.place):
        edges = sites.first[edges]
    return DelaunayGraph(
        _sorted(edges, len(sites.place)), sites, used, decisions.margin, decisions.exact, True
    )


def _edges(sites: Sites, method: Method, *, weak: bool) -> tuple[Int, str, Decisions]:
    n, d = len(sites), sites.dimension
    few = n <= _HULL_SITES.get(d, 0)
    if n > 1 and (method == "hull" or (method == "auto" and (d <= 3 or few))):
        found = _by_hull(sites, weak=weak)
        if found is not None:
            return found[0], "hull", found[1]
        if method == "hull":
            raise InputError(
                f"These {n} points in dimension {d} have no hull with a volume (too few, or on a "
                "common line, plane or sphere). Use method='star' or 'auto'."
            )
    edges, decisions = star_edges(sites, weak=weak)
    return edges, "star", decisions


def _by_hull(sites: Sites, *, weak: bool) -> tuple[Int, Decisions] | None:
    if sites.dimension == 1:
        order = np.argsort(sites.points[:, 0], kind="stable")
        return np.stack([order[:-1], order[1:]], axis=1), Decisions()
    if sites.dimension > 2:
        return hull_edges(sites, weak=weak)
    planar = planar_edges(sites, weak=weak)
    return None if planar is None else (planar, Decisions())


def _sorted(edges: Int, n: int) -> Int:
    keys = np.sort(edges.min(axis=1) * n + edges.max(axis=1)) if len(edges) else edges[:, 0]
    return np.stack([keys // max(n, 1), keys % max(n, 1)], axis=1).astype(np.int64)
