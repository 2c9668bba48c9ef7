"""Polynomial convolutional networks: dimension, degree and Euclidean distance degree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from repgeo.algebra.arithmetic import Numbers
from repgeo.algebra.dual import Dual
from repgeo.algebra.filters import (
    filter_powers,
    layer_scaling,
    segre_veronese_chern_numbers,
    segre_veronese_degree,
    sign_flip,
)
from repgeo.algebra.network import Network, Symmetry
from repgeo.errors import InputError

__all__ = ["PolynomialCNN", "polynomial_cnn"]


@dataclass(frozen=True)
class PolynomialCNN(Network):
    """A convolutional network with one channel in one dimension and x -> x^r between its layers.

    Layer l maps `(d_l,)` to `(d_{l+1},)` by (w * x)_i = sum_j w_j x_{s i + j} with w `(k_l,)`; no
    padding, so d_l = s_l (d_{l+1} - 1) + k_l. Nothing follows the last layer.

    Attributes
    ----------
    filters
        The lengths k_l.
    degree
        r.
    strides
        s_l.
    outputs
        How many numbers the last layer gives. No formula depends on it.

    References
    ----------
    V. Shahverdi, G. L. Marchetti, K. Kohn, "On the geometry and optimization of polynomial
    convolutional networks" (2024), arXiv:2410.00722.
    """

    filters: tuple[int, ...]
    degree: int
    strides: tuple[int, ...]
    outputs: int = 1

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The filters w0, w1, ..."""
        return {f"w{layer}": (k,) for layer, k in enumerate(self.filters)}

    @property
    def sizes(self) -> tuple[int, ...]:
        """The lengths d_0, ..., d_L of what goes in and out of the layers."""
        found = [self.outputs]
        for k, s in zip(reversed(self.filters), reversed(self.strides), strict=True):
            found.insert(0, s * (found[0] - 1) + k)
        return tuple(found)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """`(d_0,)`."""
        return self.sizes[:1]

    @property
    def windows(self) -> tuple[Numbers, ...]:
        """For each layer the entries that each output reads, `(d_{l+1}, k_l)`."""
        return tuple(
            s * np.arange(size)[:, None] + np.arange(k)
            for k, s, size in zip(self.filters, self.strides, self.sizes[1:], strict=True)
        )

    def evaluate(self, parameters: Mapping[str, Dual], x: Dual) -> Dual:
        """The outputs `(n, outputs)` at `(n, d_0)`."""
        return filter_powers(parameters, x, self.windows, self.degree)

    @property
    def dimension(self) -> int | None:
        """|k| - L + 1 with |k| = sum k_l: the parameters up to scalings between the layers.

        Also for r = 1, where a composition of filters is a product of polynomials: these have
        finitely many factorisations.
        """
        return sum(self.filters) - len(self.filters) + 1

    @property
    def powers(self) -> tuple[int, ...]:
        """r^(L - 1 - l): the degree of the function in each filter."""
        layers = len(self.filters)
        return tuple(self.degree ** (layers - 1 - layer) for layer in range(layers))

    @property
    def variety_degree(self) -> int:
        """The degree of the neuromanifold as a projective variety (r > 1).

        (|k| - L)! prod_l r^((L - 1 - l)(k_l - 1)) / (k_l - 1)!.

        Raises
        ------
        InputError
            For r = 1.
        """
        self._require_power("degree")
        return segre_veronese_degree(self.filters, self.powers)

    @property
    def euclidean_distance_degree(self) -> int:
        """The number of complex critical points of a generic squared distance (r > 1).

        sum_i (-1)^i (2^(n + 1 - i) - 1) c_i with n = |k| - L and the Chern numbers c_i of the
        variety: 3 r - 2 for filters (2, 1), 4 r m - 2 for (2, m). It is also the number of critical
        points of the mean squared error for generic data, up to scaling, without those that have a
        filter zero.

        Raises
        ------
        InputError
            For r = 1.
        """
        self._require_power("Euclidean distance degree")
        numbers = segre_veronese_chern_numbers(self.filters, self.powers)
        n = len(numbers) - 1
        return sum((-1) ** i * (2 ** (n + 1 - i) - 1) * c for i, c in enumerate(numbers))

    def _require_power(self, what: str) -> None:
        if self.degree == 1:
            raise InputError(f"The formula for the {what} holds for powers r > 1, not for r = 1.")

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """Scalings between the layers, and signs where r is even."""
        layers = len(self.filters)
        if layers == 1:
            return ()
        return (
            layer_scaling(self, layers, self.degree),
            sign_flip(self, layers, self.degree),
        )


def polynomial_cnn(
    filters: Sequence[int],
    degree: int,
    *,
    strides: Sequence[int] | None = None,
    outputs: int = 1,
) -> PolynomialCNN:
    """A polynomial convolutional network as a formula.

    Parameters
    ----------
    filters
        The lengths k_0, ..., k_{L-1}.
    degree
        The power r between layers.
    strides
        s_0, ..., s_{L-1}; 1 by default.
    outputs
        The length of what the last layer gives.

    Raises
    ------
    InputError
        If a number is below 1, or there are not as many strides as filters.

    Examples
    --------
    >>> net = polynomial_cnn([3, 2], 2)
    >>> net.dimension, net.variety_degree, net.euclidean_distance_degree
    (4, 12, 79)
    """
    chosen = (1,) * len(filters) if strides is None else tuple(strides)
    if len(chosen) != len(filters):
        raise InputError(f"{len(filters)} filters need as many strides, got {len(chosen)}.")
    if not filters or min(*filters, *chosen, degree, outputs) < 1:
        raise InputError(
            "filters, degree, strides and outputs must be at least 1, got "
            f"{list(filters)}, {degree}, {list(chosen)}, {outputs}."
        )
    return PolynomialCNN(tuple(filters), degree, chosen, outputs)
