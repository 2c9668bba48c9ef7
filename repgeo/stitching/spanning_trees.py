"""Minimum spanning trees of complete graphs: dense, batched, by rows, of points in the plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["delaunay_tree", "dense_trees", "tree_by_rows"]

#: From so many points on a loop in NumPy over clouds is faster than all clouds at once in torch,
#: whose steps then read more memory than their calls cost. Few clouds are as fast in NumPy.
_LARGE_CLOUD = 128
_FEW_CLOUDS = 4


def dense_trees(distances: Tensor) -> Tensor:
    """Minimum spanning trees of complete graphs given by symmetric matrices of weights.

    Prim's algorithm: beginning with vertex 0, n - 1 times the vertex outside the tree that is
    nearest to it joins. Weights may be zero, and equal: any of the minimum trees is returned.

    Parameters
    ----------
    distances
        Weights `(batch, n, n)`, floating point; diagonals are not looked at.

    Returns
    -------
    Tensor
        Edges `(batch, n - 1, 2)`, int64, on the weights' device: each vertex but 0 stands second
        in the edge by which it joined.

    Notes
    -----
    O(batch n^2) time. Many small graphs advance together, in n - 1 steps of torch, on any device;
    few or large ones on a CPU one by one in NumPy.

    Source: R. C. Prim, Bell System Technical Journal 36 (1957).

    Examples
    --------
    >>> line = torch.tensor([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]])
    >>> dense_trees(line[None]).tolist()
    [[[0, 1], [1, 2]]]
    """
    batch, n, _ = distances.shape
    if n < 2:
        return torch.zeros(batch, max(0, n - 1), 2, dtype=torch.int64, device=distances.device)
    if distances.device.type == "cpu" and (n >= _LARGE_CLOUD or batch <= _FEW_CLOUDS):
        weights = distances.detach().numpy()
        trees = [tree_by_rows(n, matrix.__getitem__) for matrix in weights]
        return torch.from_numpy(np.stack(trees))
    return _trees_at_once(distances.detach())


def _trees_at_once(distances: Tensor) -> Tensor:
    batch, n, _ = distances.shape
    # Row v of graph b stands at position b n + v of one table: a step gathers one row per graph.
    rows = distances.reshape(batch * n, n)
    starts = torch.arange(batch, device=distances.device)[:, None] * n
    reached = torch.zeros_like(distances[:, 0])  # 0, and infinity in the tree: (batch, n)
    reached[:, 0] = torch.inf
    nearest = torch.maximum(distances[:, 0], reached)  # to the tree
    parent = torch.zeros(batch, n, dtype=torch.int64, device=distances.device)
    for _ in range(n - 1):
        joining = nearest.argmin(dim=1, keepdim=True)  # (batch, 1)
        reached.scatter_(1, joining, torch.inf)
        nearest.scatter_(1, joining, torch.inf)
        row = torch.maximum(rows.index_select(0, (starts + joining)[:, 0]), reached)
        parent = torch.where(row < nearest, joining, parent)
        nearest = torch.minimum(nearest, row)
    vertices = torch.arange(1, n, device=distances.device).expand(batch, -1)
    return torch.stack([parent[:, 1:], vertices], dim=2)


def tree_by_rows(n: int, row: Callable[[Any], np.ndarray]) -> np.ndarray:
    """A minimum spanning tree of a complete graph whose weights come one row at a time.

    Prim's algorithm asks for each row once, so that no matrix needs to be held: O(n) memory.

    Parameters
    ----------
    n
        The number of vertices.
    row
        From a vertex to its weights to all others, `(n,)`; it is not changed.

    Returns
    -------
    ndarray
        Edges `(n - 1, 2)`, int64, as of `dense_trees`.

    Examples
    --------
    >>> places = np.array([0.0, 5.0, 2.0])
    >>> tree_by_rows(3, lambda vertex: abs(places - places[vertex])).tolist()
    [[2, 1], [0, 2]]
    """
    first = row(0)
    parent = np.zeros(n, dtype=np.int64)
    reached = np.zeros(n, dtype=first.dtype)  # 0, and infinity in the tree
    reached[0] = np.inf
    nearest = np.maximum(first, reached)
    weights, closer = np.empty_like(first), np.empty(n, dtype=bool)
    for _ in range(n - 1):
        joining = nearest.argmin()
        reached[joining] = nearest[joining] = np.inf
        np.maximum(row(joining), reached, out=weights)
        np.less(weights, nearest, out=closer)
        moved = closer.nonzero()[0]  # few: about log n of them per vertex in all
        parent[moved] = joining
        nearest[moved] = weights[moved]
    return np.stack([parent[1:], np.arange(1, n)], axis=1)


def delaunay_tree(points: np.ndarray) -> np.ndarray | None:
    """A Euclidean minimum spanning tree of points in the plane or in space.

    The edges of the Delaunay triangulation hold such a tree. Repeated points are joined to the
    first of them by edges of length zero.

    Parameters
    ----------
    points
        `(n, 2)` or `(n, 3)`, float64.

    Returns
    -------
    ndarray or None
        Edges `(n - 1, 2)`, int64; None where the points have no triangulation that holds all of
        them (they lie on a line, or nearly so).

    Notes
    -----
    O(n log n) time in the plane, and no matrix of distances.

    Source: M. I. Shamos, D. Hoey, "Closest-point problems" (1975).

    Examples
    --------
    >>> square = np.array([[0.0, 0.0], [0.0, 1.0], [2.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    >>> tree = delaunay_tree(square)
    >>> sorted(float(np.hypot(*(square[i] - square[j]))) for i, j in tree)
    [0.0, 1.0, 1.0, 2.0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial import Delaunay, QhullError

    n, dimension = points.shape
    _, first, inverse = np.unique(points, axis=0, return_index=True, return_inverse=True)
    inverse = inverse.reshape(-1)
    if len(first) < dimension + 2:
        return None
    own = points[first]
    try:
        triangulation = Delaunay(own)
    except QhullError:
        return None
    if len(triangulation.coplanar):  # points that the triangulation left out
        return None
    pointers, neighbours = triangulation.vertex_neighbor_vertices
    i = np.repeat(np.arange(len(own)), np.diff(pointers))
    steps = np.abs(own[i] - own[neighbours])
    # Different points: through squares, tiny distances could become 0, which is no edge to SciPy.
    length = np.hypot(steps[:, 0], steps[:, 1])
    if dimension == 3:
        length = np.hypot(length, steps[:, 2])
    graph = coo_array((length, (i, neighbours)), shape=(len(own), len(own)))
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    if tree.nnz != len(own) - 1:
        return None
    edges = np.stack([first[tree.row], first[tree.col]], axis=1)
    repeated = np.setdiff1d(np.arange(n), first)
    zero = np.stack([first[inverse[repeated]], repeated], axis=1)
    return np.concatenate([edges, zero]).astype(np.int64)
