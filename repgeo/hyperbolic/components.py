"""Component analysis: clusters of a Delaunay graph, and how well each is mixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from repgeo.errors import InputError
from repgeo.hyperbolic.alignment import both
from repgeo.hyperbolic.containers import double
from repgeo.hyperbolic.delaunay import DelaunayGraph, Method, delaunay_graph
from repgeo.hyperbolic.distances import distance_matrix
from repgeo.hyperbolic.sites import Float, Int, Space

__all__ = ["Component", "ComponentAnalysis", "ComponentRules", "component_analysis"]


@dataclass(frozen=True)
class ComponentRules:
    """How points are clustered, and which components count.

    Attributes
    ----------
    convention
        "hyperdga": noise of the clustering is one more component; quality counts all edges of the
        graph; consistency is the mean over components, weighted by size. "dca": each noise point
        is a component; quality counts edges within components; consistency compares the sizes of
        the two sets.
    min_cluster_size, min_samples, allow_single_cluster
        Of HDBSCAN.
    min_consistency, min_quality
        A component is fundamental if it exceeds both.

    Examples
    --------
    >>> ComponentRules.dca().min_cluster_size
    10
    """

    convention: Literal["hyperdga", "dca"] = "hyperdga"
    min_cluster_size: int = 5
    min_samples: int | None = None
    allow_single_cluster: bool = True
    min_consistency: float = 0.5
    min_quality: float = 0.3

    @classmethod
    def dca(cls) -> ComponentRules:
        """The defaults of Delaunay component analysis."""
        return cls("dca", 10, 1, False, 0.0, 0.0)


@dataclass(frozen=True)
class Component:
    """One component.

    Attributes
    ----------
    first, second
        Points of either set.
    edges, heterogeneous
        Edges within it, and those between the sets.
    consistency
        1 - |first - second| / (first + second).
    quality
        heterogeneous / edges, 0 without edges.
    fundamental
        Whether both exceed their thresholds.
    """

    first: int
    second: int
    edges: int
    heterogeneous: int
    consistency: float
    quality: float
    fundamental: bool


@dataclass(frozen=True, eq=False)
class ComponentAnalysis:
    """Scores of components and of the whole.

    Attributes
    ----------
    components
        The largest first.
    labels
        The component of each point, rows of the first set and then of the second `(n,)`.
    precision, recall
        The share of the second set, and of the first, that lies in fundamental components.
    consistency, quality
        Of the whole; see `ComponentRules`.
    graph
        The Delaunay graph.
    """

    components: tuple[Component, ...]
    labels: Int
    precision: float
    recall: float
    consistency: float
    quality: float
    graph: DelaunayGraph


def component_analysis(
    a: Tensor | np.ndarray,
    b: Tensor | np.ndarray,
    *,
    rules: ComponentRules | None = None,
    model: Space = "poincare",
    curvature: float = -1.0,
    method: Method = "auto",
) -> ComponentAnalysis:
    """Delaunay component analysis of two sets, in hyperbolic space or in flat space.

    The points of both sets are clustered by HDBSCAN on their distances; edges of the Delaunay
    graph between clusters are cut; each component is scored by how balanced (consistency) and how
    mixed (quality) it is, and the whole by how much of either set lies in good components.

    Parameters
    ----------
    a
        The reference `(n_a, d)`: recall is its share.
    b
        What is compared with it `(n_b, d)`: precision is its share.
    rules
        `ComponentRules()` as in HyperDGA, or `ComponentRules.dca()`.
    model, curvature, method
        As for `hyperdga`; "euclidean" is Delaunay component analysis itself.

    Raises
    ------
    InputError
        If the sets do not fit, or have fewer points than HDBSCAN's smallest cluster.

    Notes
    -----
    O(n^2) time and memory for the distances. Edges of points that stand where others stand are
    those of the first of them. Sources: Medbouhi et al. 2024 (arXiv 2404.08608); Poklukar et al.
    2022 (arXiv 2202.06866); Campello et al. 2013 for HDBSCAN.

    Examples
    --------
    Two sets far apart, each a cluster of its own: neither is fundamental.

    >>> rng = np.random.default_rng(0)
    >>> cloud = 0.05 * rng.standard_normal((2, 30, 2))
    >>> found = component_analysis(cloud[0] + [0.5, 0], cloud[1] - [0.5, 0])
    >>> [(one.first, one.second) for one in found.components], found.precision
    ([(30, 0), (0, 30)], 0.0)
    """
    rules = ComponentRules() if rules is None else rules
    points = both(a, b)
    if len(points) < rules.min_cluster_size:
        raise InputError(
            f"Clusters of at least {rules.min_cluster_size} points need as many, got {len(points)}."
        )
    graph = delaunay_graph(points, model=model, curvature=curvature, method=method)
    labels = _labels(_distances(points, model, curvature), rules)
    in_first = np.arange(len(points)) < len(a)
    return _scored(graph, labels, in_first, rules)


def _distances(points: Tensor | np.ndarray, model: Space, curvature: float) -> Float:
    wide = double(points).detach().cpu()
    if model == "euclidean":
        apart: Float = np.linalg.norm(wide[:, None] - wide[None], axis=-1)
        return apart
    made: Float = distance_matrix(wide, wide, model=model, curvature=curvature).numpy()
    return made


def _labels(distances: Float, rules: ComponentRules) -> Int:
    """Clusters by HDBSCAN, with its noise as the convention has it `(n,)`."""
    from sklearn.cluster import HDBSCAN  # seconds of import that only this function needs

    clustering = HDBSCAN(
        metric="precomputed",
        min_cluster_size=rules.min_cluster_size,
        min_samples=rules.min_samples,
        allow_single_cluster=rules.allow_single_cluster,
        copy=True,
    )
    labels: Int = clustering.fit(distances).labels_.astype(np.int64)
    noise = np.flatnonzero(labels < 0)
    if rules.convention == "dca":
        labels[noise] = labels.max(initial=-1) + 1 + np.arange(len(noise))
    else:
        labels[noise] = labels.max(initial=-1) + 1
    sizes = np.bincount(labels)
    rank = np.empty(len(sizes), dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return rank[labels]


def _scored(
    graph: DelaunayGraph, labels: Int, in_first: np.ndarray, rules: ComponentRules
) -> ComponentAnalysis:
    ends = labels[graph.edges]
    within = ends[:, 0] == ends[:, 1]
    mixed = in_first[graph.edges[:, 0]] != in_first[graph.edges[:, 1]]
    count = int(labels.max()) + 1
    edges = np.bincount(ends[within, 0], minlength=count)
    heterogeneous = np.bincount(ends[within & mixed, 0], minlength=count)
    first = np.bincount(labels[in_first], minlength=count)
    second = np.bincount(labels[~in_first], minlength=count)
    consistency = 1 - np.abs(first - second) / (first + second)
    quality = heterogeneous / np.maximum(edges, 1)
    good = (consistency > rules.min_consistency) & (quality > rules.min_quality)
    components = tuple(
        Component(
            int(first[k]), int(second[k]), int(edges[k]), int(heterogeneous[k]),
            float(consistency[k]), float(quality[k]), bool(good[k]),
        )
        for k in range(count)
    )  # fmt: skip
    a, b = int(in_first.sum()), int((~in_first).sum())
    if rules.convention == "dca":
        whole = 1 - abs(a - b) / (a + b)
        share = float(heterogeneous.sum() / max(int(edges.sum()), 1))
    else:
        whole = float((consistency * (first + second)).sum() / (a + b))
        share = float(mixed.mean()) if len(mixed) else 0.0
    return ComponentAnalysis(
        components,
        labels,
        precision=float(second[good].sum() / b),
        recall=float(first[good].sum() / a),
        consistency=whole,
        quality=share,
        graph=graph,
    )
