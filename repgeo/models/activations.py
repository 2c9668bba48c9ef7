"""Activation functions by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from repgeo.errors import ConfigurationError, nearest

__all__ = ["ACTIVATIONS", "Erf", "make_activation"]


class Erf(nn.Module):
    """The error function, elementwise: erf(x) = 2 / sqrt(pi) * integral_0^x exp(-t^2) dt."""

    def forward(self, x: Tensor) -> Tensor:
        """The values, of the shape of `x`."""
        return torch.erf(x)


ACTIVATIONS: Final[dict[str, Callable[[], nn.Module]]] = {
    "erf": Erf,
    "gelu": nn.GELU,
    "identity": nn.Identity,
    "leaky_relu": nn.LeakyReLU,  # slope 0.01 for negative values
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}


def make_activation(name: str) -> nn.Module:
    """A new module for the activation function of that name.

    Raises
    ------
    ConfigurationError
        If there is none; the nearest names are given.

    Examples
    --------
    >>> make_activation("relu")(torch.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    if name not in ACTIVATIONS:
        raise ConfigurationError(
            f"Unknown activation {name!r}. {nearest(name, ACTIVATIONS)} "
            f"Allowed: {', '.join(ACTIVATIONS)}."
        )
    return ACTIVATIONS[name]()
