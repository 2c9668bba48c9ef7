"""Multi-layer perceptrons with a monomial as activation: dimension, and where counting fails."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from repgeo.algebra.arithmetic import Arithmetic, Numbers
from repgeo.algebra.dual import Dual
from repgeo.algebra.network import Network, Parameters, Symmetry
from repgeo.errors import InputError

__all__ = ["MonomialMLP", "monomial_mlp"]

#: (power, variables, terms) for which sums of powers of linear forms have one dimension less than
#: parameters say (Alexander and Hirschowitz), besides quadratic forms.
_DEFECTIVE = {(3, 5, 7), (4, 3, 5), (4, 4, 9), (4, 5, 14)}


@dataclass(frozen=True)
class MonomialMLP(Network):
    """f(x) = W_L (... (W_2 (W_1 x)^r)^r ...), powers entry by entry, none after the last layer.

    Attributes
    ----------
    widths
        d_0, ..., d_L.
    degree
        r.
    """

    widths: tuple[int, ...]
    degree: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The matrices W1, W2, ..., `(d_l, d_{l-1})`."""
        pairs = zip(self.widths, self.widths[1:], strict=False)
        return {f"W{layer}": (out, into) for layer, (into, out) in enumerate(pairs, start=1)}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """`(d_0,)`."""
        return self.widths[:1]

    def evaluate(self, parameters: Mapping[str, Dual], x: Dual) -> Dual:
        """The outputs `(n, d_L)` at `(n, d_0)`."""
        for layer, name in enumerate(self.shapes):
            if layer:
                x = x**self.degree
            x = x @ parameters[name].transposed()
        return x

    @property
    def counted_dimension(self) -> int:
        """What counting gives: parameters up to scalings of the hidden units, or the whole space.

        min(d_L + sum (d_l - 1) d_{l+1}, d_L C(d_0 + r^(L-1) - 1, r^(L-1))).
        """
        w, layers = self.widths, len(self.widths) - 1
        free = w[-1] + sum((w[i] - 1) * w[i + 1] for i in range(layers))
        return min(free, self.ambient_dimension)

    @property
    def ambient_dimension(self) -> int:
        """The forms of degree r^(L - 1) in d_0 variables, d_L times."""
        w = self.widths
        return w[-1] * _forms(w[0], self.degree ** (len(w) - 2))

    @property
    def dimension(self) -> int | None:
        """The counted dimension with the known exceptions; None for r = 1 and a hidden layer.

        The smallest of these numbers, each of which is an upper bound:

        - what counting gives;
        - at any hidden layer m, the dimension of what goes into it, plus that of what comes out,
          minus d_m for scalings: either part may fill all polynomials it can (after a hidden layer
          of width 1 there is one, up to a factor, for each output);
        - with one output and r = 2, what goes into the last hidden layer, narrowed to the rank k of
          W_{L-1}, minus k (k - 1) / 2, since a sum of k squares can be rotated;
        - with one hidden layer, one output and r > 2, the list of Alexander and Hirschowitz.

        That it is attained is known for these lists only; elsewhere compare it with the exact rank.
        """
        if len(self.widths) == 2:
            return self.widths[0] * self.widths[1]
        return None if self.degree == 1 else _bounded(self.widths, self.degree)

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """Scalings and permutations of the hidden units."""
        if len(self.widths) == 2:
            return ()
        return (_unit_scaling(self), _unit_permutation(self))


@lru_cache(maxsize=4096)
def _bounded(widths: tuple[int, ...], degree: int) -> int:
    """See `MonomialMLP.dimension`."""
    if len(widths) == 2:
        return widths[0] * widths[1]
    bounds = [MonomialMLP(widths, degree).counted_dimension]
    bounds += [
        _bounded(widths[: m + 1], degree) + _bounded(widths[m:], degree) - widths[m]
        for m in range(1, len(widths) - 1)
    ]
    if widths[-1] == 1 and degree == 2:
        # So many of the functions that go into the last hidden layer are independent.
        steps = range(1, len(widths) - 1)
        spaces = [_forms(widths[-2 - i], degree ** (i - 1)) for i in steps]
        rank = min(widths[-2], *spaces)
        bounds.append(_bounded((*widths[:-2], rank), degree) - rank * (rank - 1) // 2)
    if len(widths) == 3 and widths[-1] == 1 and (degree, *widths[:2]) in _DEFECTIVE:
        bounds.append(bounds[0] - 1)
    return min(bounds)


def _forms(variables: int, degree: int) -> int:
    """The dimension of the space of forms of a degree."""
    return math.comb(variables + degree - 1, degree)


def _unit_scaling(network: MonomialMLP) -> Symmetry:
    """Row j of W_l times c, column j of W_{l+1} divided by c^r."""
    hidden = network.widths[1:-1]

    def act(parameters: Parameters, generator: np.random.Generator) -> dict[str, Numbers]:
        moved = dict(parameters)
        for layer, width in enumerate(hidden, start=1):
            factors = 2.0 ** (generator.uniform(-1, 1, width) / network.degree)
            moved[f"W{layer}"] = moved[f"W{layer}"] * factors[:, None]
            moved[f"W{layer + 1}"] = moved[f"W{layer + 1}"] / factors**network.degree
        return moved

    def tangents(parameters: Parameters, arithmetic: Arithmetic) -> Numbers:
        moves = []
        for layer, width in enumerate(hidden, start=1):
            for unit in range(width):
                row, column = (np.zeros_like(parameters[f"W{layer + i}"]) for i in (0, 1))
                row[unit] = parameters[f"W{layer}"][unit]
                column[:, unit] = -network.degree * parameters[f"W{layer + 1}"][:, unit]
                moves.append({f"W{layer}": row, f"W{layer + 1}": column})
        return network.directions(moves, arithmetic)

    return Symmetry("unit scaling", sum(hidden), act, tangents)


def _unit_permutation(network: MonomialMLP) -> Symmetry:
    def act(parameters: Parameters, generator: np.random.Generator) -> dict[str, Numbers]:
        moved = dict(parameters)
        for layer, width in enumerate(network.widths[1:-1], start=1):
            order = generator.permutation(width)
            moved[f"W{layer}"] = moved[f"W{layer}"][order]
            moved[f"W{layer + 1}"] = moved[f"W{layer + 1}"][:, order]
        return moved

    def tangents(parameters: Parameters, arithmetic: Arithmetic) -> Numbers:
        return network.directions([], arithmetic)

    return Symmetry("unit permutation", 0, act, tangents)


def monomial_mlp(widths: Sequence[int], degree: int) -> MonomialMLP:
    """A multi-layer perceptron with the activation x^r as a formula.

    Parameters
    ----------
    widths
        d_0, ..., d_L.
    degree
        r.

    Raises
    ------
    InputError
        If there are fewer than two widths, or a number is below 1.

    Examples
    --------
    >>> net = monomial_mlp([3, 2, 1, 2], 2)  # its first two layers are quadrics of rank 2
    >>> net.dimension, net.counted_dimension
    (6, 7)
    """
    if len(widths) < 2 or min(*widths, degree) < 1:
        raise InputError(
            f"widths must be two or more numbers from 1 on, and degree from 1 on; got "
            f"{list(widths)} and {degree}."
        )
    return MonomialMLP(tuple(widths), degree)
