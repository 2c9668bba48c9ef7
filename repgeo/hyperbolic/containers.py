"""Points as they come, tensors or numpy arrays, and the same kind given back."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError

__all__ = ["Points", "double", "like"]

Points = TypeVar("Points", Tensor, np.ndarray)


def double(points: Tensor | np.ndarray, name: str = "points") -> Tensor:
    """The same points as a float64 tensor, attached to the graph where they are tensors.

    Parameters
    ----------
    points
        Floating-point coordinates `(..., coordinates)`.
    name
        What an error calls them.

    Raises
    ------
    InputError
        If they are no floating-point array with a last axis, or hold NaN or infinite values.
    """
    if isinstance(points, Tensor):
        floating, wide = points.is_floating_point(), points
    elif isinstance(points, np.ndarray):
        floating, wide = np.issubdtype(points.dtype, np.floating), None
    else:
        raise InputError(f"{name} must be a tensor or a numpy array, got {type(points).__name__}.")
    if not floating:
        raise InputError(f"{name} must be floating point, got {points.dtype}.")
    if points.ndim == 0 or points.shape[-1] == 0:
        raise InputError(
            f"{name} must have the shape (..., coordinates), got {tuple(points.shape)}."
        )
    # torch.tensor copies: arrays that must not be written to cannot be shared with a tensor
    made = torch.tensor(points, dtype=torch.float64) if wide is None else wide.double()
    if not bool(torch.isfinite(made).all()):
        raise InputError(f"{name} hold NaN or infinite values.")
    return made


def like(result: Tensor, first: Points, *others: Tensor | np.ndarray) -> Points:
    """A float64 result as the kind, type and device of what was given.

    Parameters
    ----------
    result
        Any shape.
    first, *others
        The arguments it was made of, all tensors or all arrays; the widest type wins.

    Raises
    ------
    InputError
        If tensors and arrays were mixed.
    """
    given: tuple[Tensor | np.ndarray, ...] = (first, *others)
    tensors = [one for one in given if isinstance(one, Tensor)]
    if not tensors:
        arrays = [one for one in given if isinstance(one, np.ndarray)]
        array: Any = result.numpy().astype(np.result_type(*arrays))
        return cast("Points", array)
    if len(tensors) < len(given):
        raise InputError("Tensors and numpy arrays were mixed; give all points as one kind.")
    dtype = tensors[0].dtype
    for one in tensors[1:]:
        dtype = torch.promote_types(dtype, one.dtype)
    tensor: Any = result.to(dtype)
    return cast("Points", tensor)
