"""Directions in which symmetries move samples: tangents of group orbits."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from repgeo.errors import InputError

__all__ = ["RigidMotions", "orbit_tangents"]

RigidMotions: TypeAlias = Literal["rotations", "translations", "rigid"]


def orbit_tangents(x: Tensor, motions: RigidMotions) -> Tensor:
    """Tangents of the orbits of point clouds under rigid motions, one for each generator.

    A sample is a cloud of n points in k dimensions, `(n, k)`, or one point, `(k,)`. The generator
    of the translation along axis i moves every point by the unit vector e_i; that of the rotation
    in the plane of axes i < j moves each point p by p_i e_j - p_j e_i (about the origin).

    Parameters
    ----------
    x
        Samples `(B, n, k)` or `(B, k)`.
    motions
        "rotations": k (k - 1) / 2 generators; "translations": k; "rigid": both.

    Returns
    -------
    Tensor
        `(B, generators, ...)`, each of the shape of a sample.

    Raises
    ------
    InputError
        If samples are neither points nor clouds of points, or have one dimension and no rotations.

    Examples
    --------
    >>> orbit_tangents(torch.tensor([[3.0, 4.0]]), "rigid").tolist()
    [[[1.0, 0.0], [0.0, 1.0], [-4.0, 3.0]]]
    """
    if x.ndim not in (2, 3):
        raise InputError(
            f"Rigid motions act on points (B, k) or clouds of points (B, n, k); got "
            f"{tuple(x.shape)}."
        )
    k = x.shape[-1]
    found = []
    if motions in ("translations", "rigid"):
        unit = torch.eye(k, dtype=x.dtype, device=x.device)
        found += [unit[axis].expand(x.shape) for axis in range(k)]
    if motions in ("rotations", "rigid"):
        for i in range(k):
            for j in range(i + 1, k):
                tangent = torch.zeros_like(x)
                tangent[..., j], tangent[..., i] = x[..., i], -x[..., j]
                found.append(tangent)
    if not found:
        raise InputError("There are no rotations in one dimension.")
    return torch.stack(found, dim=1)
