"""Values of a grid between its points, by linear or cubic interpolation."""

from __future__ import annotations

import itertools
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from repgeo.errors import InputError

__all__ = ["Interpolation", "resample"]

Interpolation: TypeAlias = Literal["linear", "cubic"]

_SHARPNESS = -0.5  # of the cubic kernel: reproduces quadratic polynomials (Keys)


def resample(
    x: Tensor,
    points: Tensor,
    *,
    dimensions: int,
    method: Interpolation = "cubic",
    wrap: bool = False,
) -> Tensor:
    """The grids x at points given in units of their spacing, grid by grid.

    Differentiable in the points, in forward mode as well; the cubic kernel is continuously
    differentiable, so that derivatives at the grid points themselves are two-sided.

    Parameters
    ----------
    x
        `(m or 1, ..., *sides)`, the grid in the last `dimensions` axes.
    points
        `(m, prod(sides), dimensions)`: where each point of the new grid is taken from.
    dimensions
        2 for images, 3 for voxels.
    method
        "linear" (2^dimensions neighbours) or "cubic" (4^dimensions; Keys 1981).
    wrap
        Whether the grid is periodic; otherwise values outside of it are 0.

    Returns
    -------
    Tensor
        `(m, ..., *sides)`.

    Raises
    ------
    InputError
        If the shapes do not fit.

    Notes
    -----
    One pass over the data for each neighbour. Source: Keys 1981 (cubic convolution interpolation
    for digital image processing).

    Examples
    --------
    >>> line = torch.tensor([[[0.0, 1.0, 2.0, 3.0]]])
    >>> resample(line, torch.tensor([[[0.5], [1.5], [1.0], [9.0]]]), dimensions=1)
    tensor([[[0.4375, 1.5000, 1.0000, 0.0000]]])
    """
    sides = x.shape[x.ndim - dimensions :]
    if points.ndim != 3 or tuple(points.shape[1:]) != (sides.numel(), dimensions):
        raise InputError(
            f"Points (m, {sides.numel()}, {dimensions}) are needed for grids of {tuple(sides)}, "
            f"got {tuple(points.shape)}."
        )
    m = len(points)
    flat = x.flatten(x.ndim - dimensions)  # (m or 1, ..., P)
    flat = flat.expand(m, *flat.shape[1:])
    lead = [1] * (flat.ndim - 2)
    base = points.detach().floor()
    fraction = points - base
    offsets = range(-1, 3) if method == "cubic" else range(2)
    kernel = _cubic if method == "cubic" else _linear
    weights = {step: kernel(fraction - step) for step in offsets}  # (m, P, dimensions)
    found: Tensor | None = None
    for steps in itertools.product(offsets, repeat=dimensions):
        index = torch.zeros(base.shape[:2], dtype=torch.int64, device=x.device)
        weight = torch.ones_like(fraction[..., 0])
        for axis, (step, side) in enumerate(zip(steps, sides, strict=True)):
            place = base[..., axis].long() + step
            weight = weight * weights[step][..., axis]
            if not wrap:
                weight = weight * ((place >= 0) & (place < side))
            index = index * side + (place % side)
        taken = flat.gather(-1, index.view(m, *lead, -1).expand(flat.shape))
        term = taken * weight.view(m, *lead, -1)
        found = term if found is None else found + term
    assert found is not None
    return found.reshape(*found.shape[:-1], *sides)


def _linear(distance: Tensor) -> Tensor:
    return 1 - distance.abs()


def _cubic(distance: Tensor) -> Tensor:
    d = distance.abs()
    a = _SHARPNESS
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros_like(d)))
