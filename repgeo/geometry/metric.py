"""The metric that a feature map pulls back to its inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.geometry.feature_map import Map
from repgeo.geometry.jacobians import jacobian_chunks

__all__ = ["pullback_metric"]


def pullback_metric(f: Map, x: Tensor) -> Tensor:
    """The Euclidean metric of the features, pulled back to the inputs: g = J^T J.

    Parameters
    ----------
    f
        A batched map from `(B, ...)` to `(B, n)`, see `jacobian`.
    x
        Inputs `(B, ...)`, d numbers each.

    Returns
    -------
    Tensor
        `(B, d, d)`, symmetric positive semidefinite, accumulated in float64, in the common dtype
        of inputs and features. For volumes use `log_volume`: a float32 metric has lost the digits
        that its determinant needs.

    Raises
    ------
    InputError
        If shapes do not fit.
    NonFiniteError
        If a derivative is NaN or infinite.

    Notes
    -----
    Cost: the Jacobian (see `jacobian`), and n d^2 operations for each input.

    Examples
    --------
    >>> pullback_metric(lambda x: torch.cat([x, 2 * x], dim=1), torch.zeros(1, 2)).tolist()
    [[[5.0, 0.0], [0.0, 5.0]]]
    """
    parts = []
    for _, jacobians in jacobian_chunks(f, x):
        wide = jacobians.double()
        metric = wide.mT @ wide
        # Products of matrices need not round symmetrically.
        parts.append((0.5 * (metric + metric.mT)).to(jacobians.dtype))
    return torch.cat(parts)
