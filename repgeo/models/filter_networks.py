"""Convolutional networks with a power as activation, on a line and on a finite group."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.algebra.group_convolution import GroupCNN
from repgeo.algebra.group_convolution import group_cnn as group_formula
from repgeo.algebra.polynomial_convolution import PolynomialCNN
from repgeo.algebra.polynomial_convolution import polynomial_cnn as polynomial_formula
from repgeo.errors import ConfigurationError, InputError
from repgeo.groups.families import named_group
from repgeo.models.formula_network import FormulaNetwork

__all__ = ["group_cnn", "polynomial_cnn"]


class _FilterNetwork(FormulaNetwork):
    """Filters applied to windows of the entries, with a power between layers."""

    def __init__(self, formula: PolynomialCNN | GroupCNN) -> None:
        super().__init__(formula)
        self._degree = formula.degree
        self._inputs = formula.input_shape[0]
        for layer, index in enumerate(formula.windows):
            window = torch.from_numpy(index.copy())
            self.register_buffer(f"window{layer}", window, persistent=False)
        self._layers = len(formula.windows)

    def hidden(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        if x.shape[1] != self._inputs:
            raise InputError(f"The network reads {self._inputs} numbers, got {x.shape[1]}.")
        for layer in range(self._layers - 1):
            x = self._filtered(x, layer) ** self._degree
        return x

    def last(self, z: Tensor) -> Tensor:
        return self._filtered(z, self._layers - 1)

    def _filtered(self, x: Tensor, layer: int) -> Tensor:
        filtered: Tensor = x[:, getattr(self, f"window{layer}")] @ getattr(self, f"w{layer}")
        return filtered


def polynomial_cnn(
    filters: tuple[int, ...],
    degree: int,
    *,
    strides: tuple[int, ...] | int = 1,
    outputs: int = 1,
) -> FormulaNetwork:
    """A convolutional network with one channel in one dimension and x -> x^r between its layers.

    From `(batch, d_0)` to `(batch, outputs)` without padding, d_l = s_l (d_{l+1} - 1) + k_l;
    filters are drawn from N(0, 1 / k_l). `spec()` gives `repgeo.algebra.PolynomialCNN`.

    Parameters
    ----------
    filters
        The lengths k_l.
    degree
        The power r.
    strides
        s_l, or one for all layers.
    outputs
        How many numbers the last layer gives.

    Raises
    ------
    ConfigurationError
        If a number is below 1, or there are not as many strides as filters.

    References
    ----------
    V. Shahverdi, G. L. Marchetti, K. Kohn (2024), arXiv:2410.00722.

    Examples
    --------
    >>> net = polynomial_cnn((3, 2), 2)
    >>> tuple(net(torch.zeros(5, 4)).shape), tuple(net.encoder(torch.zeros(5, 4)).shape)
    ((5, 1), (5, 2))
    """
    chosen = (strides,) * len(filters) if isinstance(strides, int) else strides
    try:
        formula = polynomial_formula(filters, degree, strides=chosen, outputs=outputs)
    except InputError as error:
        raise ConfigurationError(f"polynomial_cnn: {error}") from None
    return _FilterNetwork(formula)


def group_cnn(group: str, depth: int, degree: int) -> FormulaNetwork:
    """A convolutional network on a finite group with full filters and x -> x^r between its layers.

    From `(batch, |G|)` to `(batch, |G|)`: (w * x)(g) = sum_h w(h) x(g h), filters drawn from
    N(0, 1 / |G|). `spec()` gives `repgeo.algebra.GroupCNN`.

    Parameters
    ----------
    group
        "C5", "D4", "S3", "Q8", ...: see `repgeo.groups.named_group`.
    depth
        The number of layers.
    degree
        The power r.

    Raises
    ------
    ConfigurationError
        If the group is unknown, or a number is below 1.

    Examples
    --------
    >>> tuple(group_cnn("S3", 2, 2)(torch.zeros(5, 6)).shape)
    (5, 6)
    """
    try:
        formula = group_formula(named_group(group).table.tolist(), depth, degree)
    except InputError as error:
        raise ConfigurationError(f"group_cnn: {error}") from None
    return _FilterNetwork(formula)
