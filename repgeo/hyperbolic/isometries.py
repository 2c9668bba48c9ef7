"""Isometries that move the origin, and the centre of a set."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.hyperbolic.containers import Points, double, like
from repgeo.hyperbolic.coordinates import Model, from_spatial, gap, to_spatial, unit_scale

__all__ = ["boosted", "centroid", "lorentz_boost", "translate", "unboosted"]


def lorentz_boost(point: Points, *, model: Model = "poincare", curvature: float = -1.0) -> Points:
    r"""The boost that takes the origin to a point: a Lorentz matrix for columns X.

    With X = (X_0, X_s) the Lorentz coordinates of the point, for curvature -1,

        B = [[X_0, X_s^T], [X_s, I + X_s X_s^T / (1 + X_0)]],

    the isometry that moves all points along the geodesic from the origin to X; its inverse is the
    boost to (X_0, -X_s). The matrix is the same for every curvature.

    Parameters
    ----------
    point
        `(d,)`, or `(d+1,)` in the Lorentz model.
    model, curvature
        Of the point.

    Returns
    -------
    Tensor or ndarray
        `(d+1, d+1)`, symmetric, of determinant 1.

    Raises
    ------
    InputError
        If it is not one point, or lies outside of the model.

    Examples
    --------
    >>> import numpy as np
    >>> lorentz_boost(np.array([0.5])).round(6).tolist()
    [[1.666667, 1.333333], [1.333333, 1.666667]]
    """
    wide = double(point, "the point")
    if wide.ndim != 1:
        raise InputError(f"A boost takes one point (coordinates,), got {tuple(wide.shape)}.")
    to = to_spatial(wide * unit_scale(curvature), model, dtype=point.dtype)
    time = (1 + to.square().sum()).sqrt()
    lower = torch.eye(len(to), dtype=to.dtype, device=to.device) + torch.outer(to, to) / (1 + time)
    top = torch.cat([time[None], to])
    return like(torch.cat([top[None], torch.cat([to[:, None], lower], dim=1)]), point)


def translate(
    points: Points,
    by: Points,
    *,
    inverse: bool = False,
    model: Model = "poincare",
    curvature: float = -1.0,
) -> Points:
    r"""Points moved by the boost that takes the origin to a point, or by its inverse.

    In the Poincaré model this is Möbius addition a + y, whose inverse takes a to the origin:

        (-a) + y = ((1 - \|a\|^2) u - \|u\|^2 a) / (\|u\|^2 + (1 - \|a\|^2)(1 - \|y\|^2))

    with u = y - a; in the others the matrix of `lorentz_boost` applied to differences.

    Parameters
    ----------
    points
        `(..., d)`, or `(..., d+1)` in the Lorentz model.
    by
        Where the origin goes; a shape that broadcasts with that of the points.
    inverse
        Take `by` to the origin instead.
    model, curvature
        Of both.

    Returns
    -------
    Tensor or ndarray
        The moved points in the same model and dtype; differentiable for tensors.

    Raises
    ------
    InputError
        If points lie outside of the model, or would leave a ball by rounding.

    Examples
    --------
    On a geodesic through the origin distances add up: 2 artanh(1/2) + 2 artanh(1/2).

    >>> import numpy as np
    >>> translate(np.array([0.5, 0.0]), np.array([0.5, 0.0])).round(6).tolist()
    [0.8, 0.0]
    """
    root = unit_scale(curvature)
    wide, base = double(points) * root, double(by, "the translation") * root
    if wide.shape[-1] != base.shape[-1]:
        raise InputError(
            f"The translation has {base.shape[-1]} coordinates, the points {wide.shape[-1]}."
        )
    if model == "poincare":
        to_spatial(wide.detach(), model)
        to_spatial(base.detach(), model)
        made = _moebius(wide, base if inverse else -base)
    else:
        source = to_spatial(wide, model, dtype=points.dtype)
        shift = to_spatial(base, model, dtype=by.dtype)
        moved = unboosted(source, shift) if inverse else boosted(source, shift)
        made = from_spatial(moved, model)
    out = like(made / root, points, by)
    if model in ("poincare", "klein"):
        to_spatial(double(out).detach() * root, model)  # refuses what rounding put on the boundary
    return out


def boosted(spatial: Tensor, to: Tensor) -> Tensor:
    """Spatial Lorentz coordinates `(..., d)` after the boost that takes the origin to `to`."""
    time = (1 + spatial.square().sum(dim=-1, keepdim=True)).sqrt()
    base = (1 + to.square().sum(dim=-1, keepdim=True)).sqrt()
    return spatial + to * (time + (to * spatial).sum(dim=-1, keepdim=True) / (1 + base))


def unboosted(spatial: Tensor, to: Tensor) -> Tensor:
    """Spatial Lorentz coordinates `(..., d)` after the boost that takes `to` to the origin.

    Written in differences, which keeps the digits of points near to `to`.
    """
    time = (1 + spatial.square().sum(dim=-1, keepdim=True)).sqrt()
    base = (1 + to.square().sum(dim=-1, keepdim=True)).sqrt()
    apart = spatial - to
    later = (apart * (spatial + to)).sum(dim=-1, keepdim=True) / (time + base)
    return apart - to * (later - (to * apart).sum(dim=-1, keepdim=True) / (1 + base))


def _moebius(y: Tensor, a: Tensor) -> Tensor:
    apart = y - a
    square = apart.square().sum(dim=-1, keepdim=True)
    room = gap(a)[..., None]
    return (room * apart - square * a) / (square + room * gap(y)[..., None])


def centroid(
    points: Points,
    *,
    weights: Points | None = None,
    model: Model = "poincare",
    curvature: float = -1.0,
) -> Points:
    r"""The Lorentz centroid: the sum of the points on the hyperboloid, scaled back onto it.

        C = sum_i w_i X_i / sqrt(-<S, S>),  S = sum_i w_i X_i,

    the point with the smallest weighted sum of squared Lorentz distances -2 - 2 <X_i, C>. It moves
    with every isometry.

    Parameters
    ----------
    points
        `(n, d)`, or `(n, d+1)` in the Lorentz model, n > 0.
    weights
        `(n,)`, not negative and not all 0; equal by default.
    model, curvature
        Of the points and of the result.

    Returns
    -------
    Tensor or ndarray
        `(d,)` or `(d+1,)`; differentiable for tensors.

    Raises
    ------
    InputError
        If there are no points, they lie outside of the model, or weights do not fit.

    Notes
    -----
    O(n d). Source: Law et al. 2019, Lorentzian distance learning for hyperbolic representations.

    Examples
    --------
    >>> import numpy as np
    >>> centroid(np.array([[0.5, 0.0], [-0.5, 0.0]])).round(6).tolist()
    [0.0, 0.0]
    """
    root = unit_scale(curvature)
    wide = double(points) * root
    if wide.ndim != 2 or len(wide) == 0:
        raise InputError(f"A centroid needs points (n, coordinates), got {tuple(wide.shape)}.")
    spatial = to_spatial(wide, model, dtype=points.dtype)
    share = torch.ones_like(spatial[:, 0]) if weights is None else double(weights, "weights")
    if share.shape != (len(wide),) or bool((share < 0).any()) or not bool((share > 0).any()):
        raise InputError(
            f"Weights must be ({len(wide)},), not negative and not all 0, got {tuple(share.shape)}."
        )
    time = (1 + spatial.square().sum(dim=-1)).sqrt()
    total, total_time = share @ spatial, share @ time
    # t^2 - |s|^2 as a product: the factors lose less than the difference of squares
    norm = torch.linalg.vector_norm(total)
    length = ((total_time - norm) * (total_time + norm)).sqrt()
    return like(from_spatial(total / length, model) / root, points)
