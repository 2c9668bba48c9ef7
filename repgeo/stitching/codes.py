"""Codes as the functions of this room take them: tensors or arrays, checked once."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError

__all__ = ["Codes", "as_codes", "directions", "like_codes"]

#: A tensor or an array; what comes in as the one comes out as the same.
Codes = TypeVar("Codes", Tensor, np.ndarray)


def as_codes(codes: Tensor | np.ndarray, name: str) -> Tensor:
    """Codes `(n, features)` as a tensor that shares their memory, after the checks.

    Parameters
    ----------
    codes
        `(n, features)`, floating point and finite.
    name
        What messages call them: "source codes".

    Raises
    ------
    InputError
        If it is neither a tensor nor an array, the shape does not fit, the type is not floating
        point, or a value is NaN or infinite.

    Examples
    --------
    >>> as_codes(np.eye(2), "codes").dtype
    torch.float64
    """
    if not isinstance(codes, Tensor | np.ndarray):
        raise InputError(
            f"The {name} must be a tensor or a numpy array, got {type(codes).__name__}."
        )
    if codes.ndim != 2 or codes.shape[1] == 0:
        raise InputError(
            f"The {name} must have the shape (n, features), got {tuple(codes.shape)}. "
            "Flatten them: codes.reshape(len(codes), -1)."
        )
    floating = (
        codes.is_floating_point()
        if isinstance(codes, Tensor)
        else np.issubdtype(codes.dtype, np.floating)
    )
    if not floating:
        raise InputError(f"The {name} must be floating point, got {codes.dtype}.")
    # A read-only array is copied: torch has no read-only tensors, and would warn.
    tensor = codes if isinstance(codes, Tensor) else torch.from_numpy(np.require(codes, None, "W"))
    if not bool(torch.isfinite(tensor).all()):
        raise InputError(f"The {name} hold NaN or infinite values.")
    return tensor


def like_codes(result: Tensor, codes: Codes) -> Codes:
    """A float64 result as what the codes were: tensor or array, of their dtype.

    Examples
    --------
    >>> like_codes(torch.ones(1, 1).double(), np.zeros((1, 1), dtype=np.float32))
    array([[1.]], dtype=float32)
    """
    if isinstance(codes, Tensor):
        return result.to(codes.dtype)
    return result.detach().cpu().numpy().astype(codes.dtype, copy=False)


def directions(codes: Tensor) -> Tensor:
    """Rows over their norms, `(n, features)`; a row of zeros stays zero.

    Examples
    --------
    >>> directions(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    # First by the largest entry: squares of very small or very large codes leave the range.
    largest = codes.abs().amax(dim=1, keepdim=True)
    scaled = codes / torch.where(largest == 0, 1.0, largest)
    norm = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
    return scaled / torch.where(norm == 0, 1.0, norm)
