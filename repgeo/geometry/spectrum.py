"""Singular values of the Jacobians of a feature map."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.geometry.determinants import singular_values
from repgeo.geometry.feature_map import Map
from repgeo.geometry.jacobians import jacobian_chunks

__all__ = ["volume_spectrum"]


def volume_spectrum(f: Map, x: Tensor, *, k: int | None = None) -> Tensor:
    """The singular values of the Jacobians, in descending order.

    Their squares are the eigenvalues of the pullback metric J^T J (without its d - n zeros where
    n < d); the sum of their logarithms is the log-volume.

    Parameters
    ----------
    f
        A batched map from `(B, ...)` to `(B, n)`, see `jacobian`.
    x
        Inputs `(B, ...)`, d numbers each.
    k
        Only the largest k; all min(n, d) by default.

    Returns
    -------
    Tensor
        `(B, k)`, float64, in units of features per unit of input.

    Raises
    ------
    InputError
        If shapes do not fit, or k is not between 1 and min(n, d).
    NonFiniteError
        If a derivative is NaN or infinite.

    Examples
    --------
    >>> volume_spectrum(lambda x: x * torch.tensor([1.0, 4.0]), torch.zeros(1, 2)).tolist()
    [[4.0, 1.0]]
    """
    parts = []
    for _, jacobians in jacobian_chunks(f, x):
        most = min(jacobians.shape[1:])
        if k is not None and not 1 <= k <= most:
            raise InputError(f"k must be between 1 and {most}, got {k}.")
        parts.append(singular_values(jacobians)[:, : k or most])
    return torch.cat(parts)
