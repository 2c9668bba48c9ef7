"""Persistent homology in dimension 0: the scales at which a cloud of points grows together."""

from __future__ import annotations

from functools import partial
from typing import Final, Literal, TypeAlias, TypeVar, get_args, overload

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError, nearest
from repgeo.stitching.spanning_trees import delaunay_tree, dense_trees, tree_by_rows

__all__ = ["PointMetric", "h0_deaths", "pairwise_distances"]

PointMetric: TypeAlias = Literal["euclidean", "l1", "linf", "cosine", "angular"]
Array = TypeVar("Array", Tensor, np.ndarray)

_METRICS: Final[tuple[str, ...]] = get_args(PointMetric)
_ORDERS: Final = {"euclidean": 2.0, "l1": 1.0, "linf": float("inf")}  # of the norm of x - y
_OF_DIRECTIONS: Final = ("cosine", "angular")

#: Least squared distance, against the largest squared norm, at which distances by products of
#: float64 still have twelve digits; where points are nearer, differences are taken.
_NEAR: Final = 1e-2

#: A matrix of distances of more bytes is not held: rows are made when they are needed.
_LARGEST_MATRIX: Final = 1 << 30

#: From so many points on a triangulation of the plane or of space is faster than a matrix.
_WORTH_A_TRIANGULATION: Final = 512

_EXACT: Final = "donot_use_mm_for_euclid_dist"


@overload
def h0_deaths(
    points: Array | None = ...,
    *,
    distances: Array | None = ...,
    metric: PointMetric = ...,
    return_edges: Literal[False] = ...,
) -> Array: ...


@overload
def h0_deaths(
    points: Array | None = ...,
    *,
    distances: Array | None = ...,
    metric: PointMetric = ...,
    return_edges: Literal[True],
) -> tuple[Array, Array]: ...


def h0_deaths(
    points: Array | None = None,
    *,
    distances: Array | None = None,
    metric: PointMetric = "euclidean",
    return_edges: bool = False,
) -> Array | tuple[Array, Array]:
    r"""Death times of the connected components of a cloud of points, all n - 1 that are finite.

    In the Vietoris-Rips filtration every point is born at scale 0, and two points are joined at
    the scale of their distance. A component dies when it is joined to another; one never dies.
    The deaths are the lengths of the edges of a minimum spanning tree, or the heights of a
    single-linkage clustering: no complex is built. The cloud is connected at scale s exactly if
    the largest death is at most s.

    Repeated points die at 0: there are always n - 1 deaths. Where distances are equal the tree is
    not unique, the deaths are.

    ========= ========================================== ===========================================
    metric    distance of x and y                        deaths stay the same if the cloud is
    ========= ========================================== ===========================================
    euclidean sqrt of sum (x_i - y_i)^2                  moved, rotated, mirrored
    l1        sum of abs(x_i - y_i)                      moved, its coordinates permuted or mirrored
    linf      largest abs(x_i - y_i)                     moved, its coordinates permuted or mirrored
    cosine    1 - <x, y> / (norm x norm y)               rotated, scaled point by point
    angular   angle between x and y, in radians          rotated, scaled point by point
    ========= ========================================== ===========================================

    Differentiable with respect to `points` and to `distances`: the tree is held, and its n - 1
    lengths are computed anew from its end points. The gradients of the deaths with respect to all
    points of a cloud add up to 0 for the first three. Where distances are equal the gradient is
    one of the possible ones; that of a length 0 is 0.

    Parameters
    ----------
    points
        A cloud `(n, features)` or clouds of equal size `(batch, n, features)`, floating point.
    distances
        In place of points: symmetric distances `(n, n)` or `(batch, n, n)`.
    metric
        Between points.
    return_edges
        Whether to return the edges of the tree too.

    Returns
    -------
    deaths
        `(n - 1,)` or `(batch, n - 1)`, ascending, in the units of the distance, in the dtype of
        what was given and on its device.
    edges
        Only with `return_edges`: the two points that each death joins, `(..., n - 1, 2)`, int64,
        the smaller index first.

    Raises
    ------
    InputError
        If neither or both of points and distances are given, for shapes that do not fit, values
        that are NaN or infinite, an unknown metric, a point of norm 0 where the metric is one of
        directions, and distances that are negative, not symmetric, or not 0 on the diagonal.

    Notes
    -----
    O(n^2) time after the distances, which take O(n^2 features) and n^2 numbers; in the plane and in
    space large Euclidean clouds go through a Delaunay triangulation, O(n log n) in the plane;
    clouds whose distances would take more than a gibibyte are done row by row, in O(n) memory. The
    tree is found in float64, on centred points: in float32 and far from the origin distances
    lose all their digits.

    Sources: that deaths in dimension 0 are the edges of a minimum spanning tree: V. Robins,
    "Towards computing homology from finite approximations" (1999); differentiation: Hofer et al.
    2019 (arXiv 1906.09003).

    Examples
    --------
    >>> h0_deaths(torch.tensor([[0.0], [7.0], [1.0], [3.0]])).tolist()
    [1.0, 2.0, 4.0]
    >>> _, edges = h0_deaths(torch.tensor([[0.0], [7.0], [1.0], [3.0]]), return_edges=True)
    >>> edges.tolist()
    [[0, 2], [2, 3], [1, 3]]
    """
    if (points is None) == (distances is None):
        raise InputError("Give either points or distances, one of the two.")
    if metric not in _METRICS:
        raise InputError(f"Unknown metric {metric!r}. {nearest(metric, _METRICS)}")
    given = points if points is not None else distances
    assert given is not None
    tensor = _checked(given, "Points" if points is not None else "Distances")
    clouds = tensor if tensor.ndim == 3 else tensor[None]  # (batch, n, features or n)
    if points is not None:
        edges = _tree_of_points(_wide(clouds.detach(), metric), metric)
        # Of the points as they are: centring rounds them.
        unit = metric in _OF_DIRECTIONS
        lengths = _lengths(_wide(clouds, metric) if unit else clouds.double(), edges, metric)
    else:
        _check_distances(clouds.detach())
        edges = dense_trees(clouds)
        batch = torch.arange(len(clouds), device=clouds.device)[:, None]
        lengths = clouds[batch, edges[..., 0], edges[..., 1]]
    deaths, order = lengths.sort(dim=1)
    deaths = deaths.to(tensor.dtype)
    edges = edges.gather(1, order[..., None].expand(-1, -1, 2)).sort(dim=2).values
    if tensor.ndim == 2:
        deaths, edges = deaths[0], edges[0]
    if isinstance(given, np.ndarray):
        return (deaths.numpy(), edges.numpy()) if return_edges else deaths.numpy()
    return (deaths, edges) if return_edges else deaths


def pairwise_distances(points: Tensor, metric: PointMetric = "euclidean") -> Tensor:
    """Distances between all points of clouds, in float64.

    Parameters
    ----------
    points
        Clouds `(batch, n, features)`.
    metric
        As of `h0_deaths`.

    Returns
    -------
    Tensor
        `(batch, n, n)`, float64, symmetric up to rounding, zero on the diagonal.

    Raises
    ------
    InputError
        For a point of norm 0 where the metric is one of directions.

    Notes
    -----
    O(batch n^2 features). Euclidean distances come from products of centred points, and from
    differences in clouds where products would leave fewer than twelve digits.

    Examples
    --------
    >>> pairwise_distances(torch.tensor([[[0.0, 0.0], [3.0, 4.0]]])).tolist()
    [[[0.0, 5.0], [5.0, 0.0]]]
    """
    return _pairwise(_wide(points, metric), metric)


def _wide(clouds: Tensor, metric: str) -> Tensor:
    """Points in float64, centred, or of norm 1 where only directions count."""
    clouds = clouds.double()
    if metric not in _OF_DIRECTIONS:
        return clouds - clouds.detach().mean(dim=1, keepdim=True)
    # First by the largest entry: squares of very small or very large points leave the range.
    largest = clouds.detach().abs().amax(dim=2, keepdim=True)
    if bool((largest == 0).any()):
        raise InputError(
            f"A point of norm 0 has no direction, so no {metric} distance. Leave it out, or use "
            "the metric 'euclidean'."
        )
    scaled = clouds / largest
    unit: Tensor = scaled / torch.linalg.vector_norm(scaled, dim=2, keepdim=True)
    return unit


def _pairwise(clouds: Tensor, metric: str) -> Tensor:
    """Distances `(batch, n, n)` of clouds that `_wide` made."""
    if metric in ("l1", "linf"):
        return torch.cdist(clouds, clouds, p=_ORDERS[metric])
    products = clouds @ clouds.mT
    squared_norms = products.diagonal(dim1=1, dim2=2)
    squares = squared_norms[:, :, None] + squared_norms[:, None] - 2 * products
    squares.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    nearest = squares.flatten(1).amin(dim=1)
    few_digits = nearest < _NEAR * squared_norms.amax(dim=1)
    squares.diagonal(dim1=1, dim2=2).fill_(0.0)
    chords = squares.clamp_(min=0.0).sqrt_()
    if bool(few_digits.any()):
        near = clouds[few_digits]
        chords[few_digits] = torch.cdist(near, near, compute_mode=_EXACT)
    return _from_chords(chords, metric)


def _from_chords(chords: Tensor, metric: str) -> Tensor:
    """Distances from lengths of differences (of unit vectors, where only directions count)."""
    if metric == "cosine":
        return 0.5 * chords.square()
    if metric == "angular":
        return 2 * torch.asin((chords / 2).clamp(max=1.0))
    return chords


def _tree_of_points(clouds: Tensor, metric: str) -> Tensor:
    """Edges of minimum spanning trees `(batch, n - 1, 2)` of clouds that `_wide` made."""
    _, n, features = clouds.shape
    trees: list[Tensor] = []
    flat = metric == "euclidean" and features in (2, 3) and n >= _WORTH_A_TRIANGULATION
    large = n * n * 8 > _LARGEST_MATRIX
    if not (flat or large):
        # Monotonous functions of the chord have the same tree.
        order = metric if metric not in _OF_DIRECTIONS else "euclidean"
        return dense_trees(_pairwise(clouds, order))
    for cloud in clouds:
        points = cloud.cpu().numpy()
        edges = delaunay_tree(points) if flat else None
        if edges is None and large:
            edges = tree_by_rows(n, partial(_row, points, _ORDERS.get(metric, 2.0)))
        tree = dense_trees(_pairwise(cloud[None], metric))[0] if edges is None else None
        trees.append(torch.from_numpy(edges).to(clouds.device) if tree is None else tree)
    return torch.stack(trees)


def _row(points: np.ndarray, order: float, vertex: int) -> np.ndarray:
    """Distances of one point to all, by differences."""
    steps = points - points[vertex]
    if order == 2.0:
        squares: np.ndarray = np.einsum("ij,ij->i", steps, steps)
        return squares
    np.abs(steps, out=steps)
    distances: np.ndarray = steps.sum(axis=1) if order == 1.0 else steps.max(axis=1)
    return distances


def _lengths(clouds: Tensor, edges: Tensor, metric: str) -> Tensor:
    """Lengths `(batch, n - 1)` of edges, from differences of their ends; differentiable."""
    batch, n, features = clouds.shape
    starts = torch.arange(batch, device=clouds.device)[:, None, None] * n
    places = (edges + starts).permute(2, 0, 1).reshape(2, -1)  # in one table of all points
    points = clouds.reshape(batch * n, features)
    steps = points.index_select(0, places[1]) - points.index_select(0, places[0])
    # The norm's own derivative at 0 is 0, where the root's would be infinite.
    norms = torch.linalg.vector_norm(steps, ord=_ORDERS.get(metric, 2.0), dim=1)
    norms = norms.reshape(batch, max(0, n - 1))
    return _from_chords(norms, metric)


def _checked(given: Tensor | np.ndarray, what: str) -> Tensor:
    tensor = torch.from_numpy(given) if isinstance(given, np.ndarray) else given
    if not isinstance(tensor, Tensor):
        raise InputError(f"{what} must be a tensor or an array, got {type(given).__name__}.")
    last = "features" if what == "Points" else "n"
    if tensor.ndim not in (2, 3) or tensor.numel() == 0:
        raise InputError(
            f"{what} must have the shape (n, {last}) or (batch, n, {last}), got "
            f"{tuple(tensor.shape)}."
        )
    if what == "Distances" and tensor.shape[-1] != tensor.shape[-2]:
        raise InputError(f"Distances must be square matrices, got {tuple(tensor.shape)}.")
    if not tensor.is_floating_point():
        raise InputError(f"{what} must be floating point, got {tensor.dtype}.")
    if what == "Points" and not bool(torch.isfinite(tensor).all()):
        raise InputError(f"{what} hold NaN or infinite values.")
    return tensor


def _check_distances(distances: Tensor) -> None:
    """Refuse what is no matrix of distances, in three passes over it."""
    smallest, largest = distances.aminmax()
    if not bool(torch.isfinite(largest)):
        raise InputError("Distances hold NaN or infinite values.")
    if bool(smallest < 0):
        raise InputError(
            "Distances must not be negative. Similarities are no distances: give 1 - similarity."
        )
    slack = float(largest) * torch.finfo(distances.dtype).eps ** 0.5
    if bool(distances.diagonal(dim1=-2, dim2=-1).max() > slack):
        raise InputError("Distances must be 0 on the diagonal: of each point to itself.")
    # An asymmetric part shows in products with almost every vector; comparing with the transpose
    # would read memory across its grain and cost more than the tree.
    n = distances.shape[-1]
    turns = torch.arange(n, dtype=torch.float64, device=distances.device) * 0.6180339887498949
    vector = 0.5 + turns.frac()  # no two entries are alike
    wide = distances.double()
    difference = (wide @ vector - wide.mT @ vector).abs().max()
    if bool(difference > slack):
        raise InputError("Distances must be symmetric: d(i, j) = d(j, i).")
