"""Models of hyperbolic space and the maps between them."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from repgeo.errors import InputError, nearest
from repgeo.hyperbolic.containers import Points, double, like

__all__ = ["Model", "convert", "from_spatial", "gap", "to_spatial", "unit_scale"]

Model: TypeAlias = Literal["poincare", "klein", "lorentz", "tangent"]

MODELS: Final[tuple[str, ...]] = get_args(Model)

#: Of how many units of rounding the time of a point may differ from what its space demands.
_SHEET_TOLERANCE: Final = 1e4

#: Squares of the hyperbolic sine of a larger radius leave the range of float64.
_LARGEST_RADIUS: Final = 350.0

_SPLITTER: Final = 134217729.0  # 2^27 + 1: Veltkamp's


def convert(points: Points, source: Model, target: Model, *, curvature: float = -1.0) -> Points:
    r"""Coordinates of the same points of hyperbolic space in another model.

    With c = -curvature and lengths in units of 1/sqrt(c), a point at distance r of the origin in
    the direction v (a unit vector) is

    ======== ============================== =====================
    poincare y = tanh(r/2) v                the open ball
    klein    k = tanh(r) v                  the open ball
    lorentz  X = (cosh r, sinh(r) v)        <X, X> = -X_0^2 + |X_s|^2 = -1, X_0 > 0
    tangent  h = r v                        tangent space at the origin
    ======== ============================== =====================

    and all four are divided by sqrt(c), so that \|h\| is a distance for every curvature.

    Parameters
    ----------
    points
        `(..., d)`, or `(..., d+1)` with time first for the Lorentz model.
    source, target
        "poincare", "klein", "lorentz" or "tangent".
    curvature
        The sectional curvature, negative.

    Returns
    -------
    Tensor or ndarray
        `(..., d)` or `(..., d+1)`, of the kind, dtype and device given, computed in float64.
        Differentiable for tensors, also at the origin.

    Raises
    ------
    InputError
        If points lie outside of the source model, or so far out that the target model cannot hold
        them in the given dtype (a ball: r above about 37 in float64, 17 in float32). Nothing is
        clipped.

    Notes
    -----
    O(n d). 1 - |y|^2 is computed without cancellation, so that coordinates near the boundary keep
    the digits which they have.

    Examples
    --------
    The radius ln 3: tanh(r/2) = 1/2, tanh(r) = 4/5, cosh(r) = 5/3.

    >>> import numpy as np
    >>> y = np.array([0.5, 0.0])
    >>> convert(y, "poincare", "klein").round(6).tolist()
    [0.8, 0.0]
    >>> convert(y, "poincare", "lorentz").round(6).tolist()
    [1.666667, 1.333333, 0.0]
    >>> convert(y, "poincare", "tangent").round(6).tolist()
    [1.098612, 0.0]
    """
    wide = double(points)
    root = unit_scale(curvature)
    made = from_spatial(to_spatial(wide * root, source, dtype=points.dtype), target)
    out = like(made / root, points)
    if target in ("poincare", "klein"):
        _check_ball(double(out) * root, target, f"in {out.dtype}: the radius is too large for it")
    return out


def unit_scale(curvature: float) -> float:
    """The factor sqrt(-curvature) that takes coordinates to those of curvature -1.

    Raises
    ------
    InputError
        If the curvature is not negative and finite.

    Examples
    --------
    >>> unit_scale(-4.0)
    2.0
    """
    if not -float("inf") < curvature < 0:
        raise InputError(f"The curvature of hyperbolic space is negative, got {curvature}.")
    return float((-curvature) ** 0.5)


def gap(y: Tensor) -> Tensor:
    """1 - |y|^2 of float64 coordinates `(..., d)`, to a few units of rounding of itself.

    The squares are split into two numbers each, so that nothing is lost where |y| is near 1; the
    derivative is that of the plain formula.

    Notes
    -----
    Source of the splitting: Dekker 1971, Numer. Math. 18.

    Examples
    --------
    >>> y = torch.tensor([1 - 2.0**-40], dtype=torch.float64)
    >>> gap(y).item() == 2.0**-39 - 2.0**-80
    True
    """
    squares = y.square()
    plain = 1.0 - squares.sum(dim=-1)
    with torch.no_grad():
        spread = y.detach() * _SPLITTER
        high = spread - (spread - y.detach())
        low = y.detach() - high
        lost = low.square() - ((squares.detach() - high.square()) - 2 * high * low)
        total = torch.ones_like(plain)
        rest = torch.zeros_like(plain)
        for part in [*squares.detach().unbind(-1), *lost.unbind(-1)]:
            new = total - part
            taken = total - new
            rest = rest + ((total - (new + taken)) + (taken - part))
            total = new
        exact = total + rest
    return plain + (exact - plain.detach())


def to_spatial(points: Tensor, source: Model, *, dtype: object = torch.float64) -> Tensor:
    """The spatial Lorentz coordinates sinh(r) v `(..., d)` of points of curvature -1, float64.

    Parameters
    ----------
    points
        float64, `(..., d)` or `(..., d+1)`.
    source
        Their model.
    dtype
        The type they were given in, which decides how exactly points must lie on the hyperboloid.

    Raises
    ------
    InputError
        If points lie outside of the model.

    Examples
    --------
    >>> to_spatial(torch.tensor([0.5, 0.0], dtype=torch.float64), "poincare")
    tensor([1.3333, 0.0000], dtype=torch.float64)
    """
    if source == "poincare":
        return 2 * points / _inside(points, source)[..., None]
    if source == "klein":
        return points / _inside(points, source)[..., None].sqrt()
    if source == "lorentz":
        _check_sheet(points, dtype)
        return points[..., 1:]
    if source == "tangent":
        square = points.square().sum(dim=-1, keepdim=True)
        if bool((square > _LARGEST_RADIUS**2).any()):
            raise InputError(
                f"A tangent vector of norm {float(square.max()) ** 0.5:.4g} lies beyond the radius "
                f"{_LARGEST_RADIUS:g}, whose hyperbolic functions leave float64. Scale the data."
            )
        radius = _safe_root(square)
        return points * torch.where(square > 1e-8, radius.sinh() / radius, 1 + square / 6)
    raise InputError(f"Unknown model {source!r}. {nearest(str(source), MODELS)}")


def from_spatial(spatial: Tensor, target: Model) -> Tensor:
    """Points of curvature -1 in a model, from their spatial Lorentz coordinates `(..., d)`.

    Raises
    ------
    InputError
        If the model is unknown.

    Examples
    --------
    >>> from_spatial(torch.tensor([4 / 3, 0.0], dtype=torch.float64), "klein")
    tensor([0.8000, 0.0000], dtype=torch.float64)
    """
    square = spatial.square().sum(dim=-1, keepdim=True)
    time = (1 + square).sqrt()
    if target == "poincare":
        return spatial / (1 + time)
    if target == "klein":
        return spatial / time
    if target == "lorentz":
        return torch.cat([time, spatial], dim=-1)
    if target == "tangent":
        norm = _safe_root(square)
        return spatial * torch.where(square > 1e-8, norm.asinh() / norm, 1 - square / 6)
    raise InputError(f"Unknown model {target!r}. {nearest(str(target), MODELS)}")


def _safe_root(square: Tensor) -> Tensor:
    """The root where it is used, 1 elsewhere: the derivative of the root at 0 is infinite."""
    return torch.where(square > 1e-8, square, 1.0).sqrt()


def _inside(points: Tensor, model: str) -> Tensor:
    _check_ball(points, model, "")
    return gap(points)


def _check_ball(points: Tensor, model: str, why: str) -> None:
    room = gap(points.detach())
    if not bool((room > 0).all()):
        worst = float(points.detach().norm(dim=-1).max())
        raise InputError(
            f"Points of the {model} model must lie inside of the open ball, the largest norm is "
            f"{worst:.17g} in units of its radius {why}".rstrip()
            + ". Use the Lorentz or the tangent model for points far out; nothing is clipped."
        )


def _check_sheet(points: Tensor, dtype: object) -> None:
    if points.shape[-1] < 2:
        raise InputError(
            "Points of the Lorentz model have a time and at least one spatial coordinate, got "
            f"{points.shape[-1]} coordinates."
        )
    fixed = points.detach()
    time = (1 + fixed[..., 1:].square().sum(dim=-1)).sqrt()
    off = ((fixed[..., 0] - time).abs() / time).max() if time.numel() else torch.zeros(())
    allowed = _SHEET_TOLERANCE * _rounding(dtype)
    if float(off) > allowed:
        raise InputError(
            "Points of the Lorentz model must satisfy X_0 = sqrt(1 + |X_s|^2) (time first, in "
            f"units of the radius), they are off by {float(off):.3g} of it; allowed is "
            f"{allowed:.1g}. Check the curvature, the order of the coordinates and their dtype."
        )


def _rounding(dtype: object) -> float:
    name = str(dtype).rpartition(".")[-1]
    return {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23}.get(name, 2.0**-52)
