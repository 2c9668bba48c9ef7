"""What networks of filters with powers between share: the layer, its scalings, and degrees."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from repgeo.algebra.arithmetic import Arithmetic, Numbers
from repgeo.algebra.dual import Dual
from repgeo.algebra.network import Network, Parameters, Symmetry

__all__ = [
    "filter_powers",
    "layer_scaling",
    "segre_veronese_chern_numbers",
    "segre_veronese_degree",
    "sign_flip",
]


def filter_powers(
    parameters: Mapping[str, Dual], x: Dual, windows: Sequence[Numbers], degree: int
) -> Dual:
    """Filters w_0, w_1, ... applied one after the other, with x -> x^r between.

    Parameters
    ----------
    parameters
        The filters `w0`, `w1`, ..., `(k,)` each.
    x
        `(n, d)`.
    windows
        For each layer the entries that each of its outputs reads, `(outputs, k)`.
    degree
        r.
    """
    for layer, index in enumerate(windows):
        if layer:
            x = x**degree
        w = parameters[f"w{layer}"]
        products = x.gathered(index) @ w.reshaped(w.value.size, 1)  # (n, outputs, 1)
        x = products.reshaped(len(products.value), len(index))
    return x


def layer_scaling(network: Network, layers: int, degree: int) -> Symmetry:
    """w_l -> c_l w_l, and the last filter divided by the c_l to the power of r^(L - 1 - l)."""
    last = f"w{layers - 1}"

    def act(parameters: Parameters, generator: np.random.Generator) -> dict[str, Numbers]:
        moved = dict(parameters)
        for layer in range(layers - 1):
            # Between 1/2 and 2 where the last filter is concerned: no power over- or underflows.
            exponent = degree ** (layers - 1 - layer)
            factor = 2.0 ** (generator.uniform(-1, 1) / exponent)
            moved[f"w{layer}"] = moved[f"w{layer}"] * factor
            moved[last] = moved[last] / factor**exponent
        return moved

    def tangents(parameters: Parameters, arithmetic: Arithmetic) -> Numbers:
        moves = [
            {
                f"w{layer}": parameters[f"w{layer}"],
                last: arithmetic.multiply(
                    arithmetic.normal_form(-parameters[last]),
                    np.asarray(degree ** (layers - 1 - layer)),
                ),
            }
            for layer in range(layers - 1)
        ]
        return network.directions(moves, arithmetic)

    return Symmetry("layer scaling", layers - 1, act, tangents)


def sign_flip(network: Network, layers: int, degree: int) -> Symmetry:
    """w_l -> -w_l for any filters but the last: only even powers leave the function as it is."""

    def act(parameters: Parameters, generator: np.random.Generator) -> dict[str, Numbers]:
        moved = dict(parameters)
        chosen = int(generator.integers(layers - 1))
        moved[f"w{chosen}"] = -moved[f"w{chosen}"]
        return moved

    def tangents(parameters: Parameters, arithmetic: Arithmetic) -> Numbers:
        return network.directions([], arithmetic)

    return Symmetry("sign flip", 0, act, tangents, holds=degree % 2 == 0)


def segre_veronese_degree(sizes: Sequence[int], powers: Sequence[int]) -> int:
    """The degree of the product of projective spaces P^(k - 1), embedded by O(powers).

    n! prod_l d_l^(k_l - 1) / (k_l - 1)!, with n the sum of the k_l - 1.

    Parameters
    ----------
    sizes
        k_l.
    powers
        d_l.

    Examples
    --------
    >>> segre_veronese_degree([2], [3])  # the twisted cubic
    3
    """
    found = math.factorial(sum(k - 1 for k in sizes))
    for k, d in zip(sizes, powers, strict=True):
        found = found // math.factorial(k - 1) * d ** (k - 1)
    return found


def segre_veronese_chern_numbers(sizes: Sequence[int], powers: Sequence[int]) -> list[int]:
    """The numbers c_i = deg(c_i(X) h^(n - i)) of that variety, for i = 0, ..., n.

    c_i = (n - i)! times the sum over i_0 + i_1 + ... = i of the products of C(k_l, i_l)
    d_l^(k_l - 1 - i_l) / (k_l - 1 - i_l)!. The first is the degree.

    Examples
    --------
    >>> segre_veronese_chern_numbers([2], [3])
    [3, 2]
    """
    n = sum(k - 1 for k in sizes)
    # In multiples of 1 / (n + 1)!, of which every product of the denominators is a divisor.
    scale = math.factorial(n + 1)
    sums = {0: scale}
    for k, d in zip(sizes, powers, strict=True):
        grown: dict[int, int] = {}
        for done, value in sums.items():
            for i in range(k):
                term = value * math.comb(k, i) * d ** (k - 1 - i)
                grown[done + i] = grown.get(done + i, 0) + _divided(term, k - 1 - i)
        sums = grown
    return [math.factorial(n - i) * sums.get(i, 0) // scale for i in range(n + 1)]


def _divided(value: int, m: int) -> int:
    """The quotient by m!, which is whole here."""
    quotient, rest = divmod(value, math.factorial(m))
    assert rest == 0  # the product of factorials of parts of n divides n!
    return quotient
