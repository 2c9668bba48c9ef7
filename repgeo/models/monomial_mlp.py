"""A multi-layer perceptron whose activation is a power."""

from __future__ import annotations

from torch import Tensor

from repgeo.algebra.monomial_perceptron import MonomialMLP
from repgeo.algebra.monomial_perceptron import monomial_mlp as formula_of
from repgeo.errors import ConfigurationError, InputError
from repgeo.models.formula_network import FormulaNetwork

__all__ = ["monomial_mlp"]


class _MonomialNetwork(FormulaNetwork):
    def __init__(self, formula: MonomialMLP) -> None:
        super().__init__(formula)
        self._degree = formula.degree
        self._layers = len(formula.widths) - 1

    def hidden(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in range(1, self._layers):
            x = (x @ getattr(self, f"W{layer}").T) ** self._degree
        return x

    def last(self, z: Tensor) -> Tensor:
        outputs: Tensor = z @ getattr(self, f"W{self._layers}").T
        return outputs


def monomial_mlp(widths: tuple[int, ...], degree: int) -> FormulaNetwork:
    """A perceptron without biases and with the activation x^r, `(batch, d_0)` to `(batch, d_L)`.

    Weights are drawn from N(0, 1 / inputs). `spec()` gives `repgeo.algebra.MonomialMLP`.

    Parameters
    ----------
    widths
        d_0, ..., d_L.
    degree
        r.

    Raises
    ------
    ConfigurationError
        If there are fewer than two widths, or a number is below 1.

    Examples
    --------
    >>> net = monomial_mlp((3, 2, 1, 2), 2)
    >>> net.spec().dimension, net.spec().parameter_count
    (6, 10)
    """
    try:
        return _MonomialNetwork(formula_of(widths, degree))
    except InputError as error:
        raise ConfigurationError(f"monomial_mlp: {error}") from None
