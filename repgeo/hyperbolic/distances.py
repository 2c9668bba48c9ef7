"""Distances of points of hyperbolic space."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.hyperbolic.containers import Points, double, like
from repgeo.hyperbolic.coordinates import Model, gap, to_spatial, unit_scale

__all__ = ["chord_squares", "distance", "distance_matrix"]


def distance(a: Points, b: Points, *, model: Model = "poincare", curvature: float = -1.0) -> Points:
    r"""Hyperbolic distances of rows of two arrays.

    In the Poincaré model

        d(x, y) = 2 asinh(\|x - y\| / sqrt((1 - \|x\|^2)(1 - \|y\|^2))),

    in the others, by radii and directions,

        sinh(d/2)^2 = sinh((r - r')/2)^2 + sinh(r) sinh(r') \|v - v'\|^2 / 4,

    sums of squares both, so that neither near points nor far ones lose digits as they do with
    arccosh; for K = -c the coordinates are multiplied by sqrt(c) and the distance divided by it.

    Parameters
    ----------
    a, b
        Points `(..., d)`, or `(..., d+1)` in the Lorentz model; shapes that broadcast.
    model
        Of both.
    curvature
        The sectional curvature, negative.

    Returns
    -------
    Tensor or ndarray
        `(...)`, in the dtype of the points, computed in float64, differentiable for tensors (with
        derivative 0 where the points are the same).

    Raises
    ------
    InputError
        If the shapes do not fit, or points lie outside of the model.

    Examples
    --------
    >>> import numpy as np
    >>> float(np.exp(distance(np.array([0.0, 0.0]), np.array([0.5, 0.0]))).round(9))
    3.0
    """
    left, right = _unit(a, b, curvature)
    half = _root(_half_sine_squares(left, right, model, a.dtype))
    return like(2 * half.asinh() / unit_scale(curvature), a, b)


def distance_matrix(
    a: Points, b: Points, *, model: Model = "poincare", curvature: float = -1.0
) -> Points:
    """Hyperbolic distances of all rows of one array to all rows of another.

    See `distance` for the formulas.

    Parameters
    ----------
    a, b
        Points `(n, d)` and `(m, d)`, or with d+1 coordinates in the Lorentz model.
    model
        Of both.
    curvature
        The sectional curvature, negative.

    Returns
    -------
    Tensor or ndarray
        `(n, m)`, in the dtype of the points, computed in float64.

    Raises
    ------
    InputError
        If the shapes do not fit, or points lie outside of the model.

    Notes
    -----
    O(n m d) time, memory for a few matrices `(n, m)`.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.array([[0.0, 0.0], [0.5, 0.0], [-0.5, 0.0]])
    >>> np.exp(distance_matrix(points, points)[1]).round(6).tolist()
    [3.0, 1.0, 9.0]
    """
    left, right = _unit(a, b, curvature)
    if left.ndim != 2 or right.ndim != 2:
        raise InputError(
            "A matrix of distances needs points (n, coordinates), got "
            f"{tuple(left.shape)} and {tuple(right.shape)}."
        )
    if model == "poincare":
        squares = chord_squares(left, right)
    else:
        squares = _by_radii(_polar(left, model, a.dtype), _polar(right, model, b.dtype))
    return like(2 * _root(squares).asinh() / unit_scale(curvature), a, b)


def chord_squares(a: Tensor, b: Tensor) -> Tensor:
    """Squares of sinh(d/2) `(n, m)` of Poincaré points `(n, d)`, `(m, d)`, curvature -1, float64.

    Examples
    --------
    At the distance ln 3, sinh(d/2)^2 = (cosh d - 1)/2 = 1/3:

    >>> y = torch.tensor([[0.0, 0.0], [0.5, 0.0]], dtype=torch.float64)
    >>> chord_squares(y, y)[0]
    tensor([0.0000, 0.3333], dtype=torch.float64)
    """
    _inside(a, b)
    # differences, not products: near points keep their digits
    apart = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square()
    return apart / (gap(a)[:, None] * gap(b)[None, :])


def _unit(a: Points, b: Points, curvature: float) -> tuple[Tensor, Tensor]:
    root = unit_scale(curvature)
    left, right = double(a, "the first points"), double(b, "the second points")
    if left.shape[-1] != right.shape[-1]:
        raise InputError(
            f"Points of the same space have equally many coordinates, got {left.shape[-1]} and "
            f"{right.shape[-1]}."
        )
    return left * root, right * root


def _half_sine_squares(a: Tensor, b: Tensor, model: Model, dtype: object) -> Tensor:
    if model == "poincare":
        _inside(a, b)
        return (a - b).square().sum(dim=-1) / (gap(a) * gap(b))
    radius_a, direction_a, sine_a = _polar(a, model, dtype)
    radius_b, direction_b, sine_b = _polar(b, model, dtype)
    angular = (direction_a - direction_b).square().sum(dim=-1)
    return ((radius_a - radius_b) / 2).sinh().square() + sine_a * sine_b * angular / 4


def _by_radii(a: tuple[Tensor, Tensor, Tensor], b: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    radial = ((a[0][:, None] - b[0][None, :]) / 2).sinh().square()
    angular = torch.cdist(a[1], b[1], compute_mode="donot_use_mm_for_euclid_dist").square()
    return radial + a[2][:, None] * b[2][None, :] * angular / 4


def _polar(points: Tensor, model: Model, dtype: object) -> tuple[Tensor, Tensor, Tensor]:
    """Radii, unit directions (0 at the origin) and hyperbolic sines of the radii."""
    spatial = to_spatial(points, model, dtype=dtype)
    square = spatial.square().sum(dim=-1)
    sine = torch.where(square > 0, square, 1.0).sqrt() * (square > 0)
    direction = spatial / torch.where(square > 0, square, 1.0).sqrt()[..., None]
    if model == "tangent":
        flat = points.square().sum(dim=-1)
        return torch.where(flat > 0, flat, 1.0).sqrt() * (flat > 0), direction, sine
    return sine.asinh(), direction, sine


def _root(squares: Tensor) -> Tensor:
    """Square roots, with derivative 0 at 0."""
    positive = squares > 0
    return torch.where(positive, squares, 1.0).sqrt() * positive


def _inside(*sets: Tensor) -> None:
    for points in sets:
        to_spatial(points.detach(), "poincare")
