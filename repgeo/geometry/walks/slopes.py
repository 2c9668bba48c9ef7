"""Jacobians at a few points at a time, many times over: what a walk asks for."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from repgeo.geometry.feature_map import MEMORY_BUDGET, FeatureMap, full_precision
from repgeo.geometry.jacobians import jacobian

__all__ = ["Slopes"]

_AGREEMENT = 1e4  # eps: how far Jacobians of two ways may be apart, of the largest entry


class Slopes:
    """Jacobians `(b, m, d)` of a feature map at rows `(b, d)`.

    Of a few samples most of the cost is that of many small operations. Where all operations of the
    map have a backward pass for several cotangents at once, there is one forward pass of the
    samples themselves and one such backward pass; `jacobian` makes copies of them instead, or
    multiplies the weights of a plain chain. Whether it works, and agrees, is looked at once.

    Parameters
    ----------
    feature_map
        The map.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 2.0]])
    >>> Slopes(FeatureMap(lambda x: x.prod(dim=1, keepdim=True), x))(x).tolist()
    [[[2.0, 1.0]]]
    """

    def __init__(self, feature_map: FeatureMap) -> None:
        self._map = feature_map
        self._cotangents = torch.eye(
            feature_map.features, dtype=feature_map.x.dtype, device=feature_map.x.device
        )
        few = feature_map.features <= feature_map.inputs
        self._at_once = feature_map.chain is None and few and self._agrees()

    def __call__(self, x: Tensor) -> Tensor:
        """The Jacobians at rows `(b, d)`.

        Raises
        ------
        NonFiniteError
            If a derivative is NaN or infinite.
        """
        kept = len(x) * self._map.features * self._map.bytes_per_sample
        if self._at_once and kept <= MEMORY_BUDGET:
            made = self._together(x)
            if bool(made.isfinite().all()):
                return made
        return jacobian(self._map, x)

    def _together(self, x: Tensor) -> Tensor:
        m = self._map.features
        with torch.enable_grad(), full_precision(x.device):
            leaf = x.detach().requires_grad_()
            features = self._map(leaf)
            if not features.requires_grad:  # a constant map
                return x.new_zeros(len(x), m, x.shape[1])
            cotangents = self._cotangents[:, None].expand(m, len(x), m)
            (made,) = torch.autograd.grad(
                features, leaf, cotangents, is_grads_batched=True, allow_unused=True
            )
        return x.new_zeros(len(x), m, x.shape[1]) if made is None else made.transpose(0, 1)

    def _agrees(self) -> bool:
        """Whether the backward pass of several cotangents gives what `jacobian` does."""
        rows = self._map.x[:2]
        expected = jacobian(self._map, rows)
        try:
            with warnings.catch_warnings():
                # An operation that can only be repeated for each cotangent says so by a warning.
                warnings.simplefilter("error")
                found = self._together(rows)
        except (RuntimeError, UserWarning):
            return False
        allowed = _AGREEMENT * torch.finfo(rows.dtype).eps * expected.abs().amax()
        return bool(((found - expected).abs() <= allowed).all())
