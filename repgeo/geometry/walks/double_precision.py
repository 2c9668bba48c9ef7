"""Modules in float64: what a walk must not change by is far below the rounding of float32."""

from __future__ import annotations

import copy
from itertools import chain

import torch
from torch import Tensor, nn

from repgeo.geometry.feature_map import Map

__all__ = ["in_double_precision"]


def in_double_precision(f: Map, x: Tensor) -> tuple[Map, Tensor]:
    """A map and its inputs in float64, where the map is a module.

    A module of another dtype is copied; the copy is frozen. Of a callable nobody knows what it
    holds: it is left as it is, and so are its inputs.

    Parameters
    ----------
    f
        A module or a callable.
    x
        Inputs `(B, ...)`.

    Returns
    -------
    Map, Tensor
        The map to call, and inputs in its dtype.

    Examples
    --------
    >>> module = nn.Linear(2, 1)
    >>> double, x = in_double_precision(module, torch.ones(1, 2))
    >>> double(x).dtype, module.weight.dtype
    (torch.float64, torch.float32)
    """
    if not isinstance(f, nn.Module) or not x.is_floating_point():
        return f, x
    held = chain(f.parameters(), f.buffers())
    if any(tensor.is_floating_point() and tensor.dtype != torch.float64 for tensor in held):
        f = copy.deepcopy(f).double().requires_grad_(False)
    return f, x.detach().double()
