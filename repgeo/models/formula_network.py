"""Networks whose formula is known: modules that offer `spec()` and evaluate the same in torch."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from repgeo.algebra.network import Network

__all__ = ["FormulaNetwork"]


class FormulaNetwork(nn.Module):
    """A network with the parameters of a formula, drawn from N(0, 1 / inputs).

    The weights have the names and shapes of `spec().shapes`, and the outputs are those of
    `spec().apply`. The codes are what goes into the last layer, flattened.

    Parameters
    ----------
    formula
        The formula.
    """

    def __init__(self, formula: Network) -> None:
        super().__init__()
        self._formula = formula
        for name, shape in formula.shapes.items():
            scale = shape[-1] ** -0.5
            self.register_parameter(name, nn.Parameter(scale * torch.randn(shape)))
        self.encoder = _Encoder(self)

    def spec(self) -> Network:
        """The formula."""
        return self._formula

    @abstractmethod
    def hidden(self, x: Tensor) -> Tensor:
        """What goes into the last layer, at inputs `(batch, ...)`."""

    @abstractmethod
    def last(self, z: Tensor) -> Tensor:
        """The outputs, of what `hidden` gives."""

    def forward(self, x: Tensor) -> Tensor:
        """The outputs."""
        codes = self.encoder(x)
        return self.last(codes)


class _Encoder(nn.Module):
    """The network up to its last layer, as codes `(batch, features)`."""

    def __init__(self, owner: FormulaNetwork) -> None:
        super().__init__()
        # In a tuple, so that the owner is not taken for a part of its part.
        self._owner = (owner,)

    def forward(self, x: Any) -> Tensor:
        return self._owner[0].hidden(x).flatten(1)
