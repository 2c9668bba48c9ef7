"""Polynomial convolutional networks on a finite group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from repgeo.algebra.arithmetic import Arithmetic, Numbers
from repgeo.algebra.dual import Dual
from repgeo.algebra.filters import filter_powers, layer_scaling, sign_flip
from repgeo.algebra.network import Network, Parameters, Symmetry
from repgeo.errors import InputError

__all__ = ["GroupCNN", "group_cnn"]


@dataclass(frozen=True)
class GroupCNN(Network):
    """Layers (w * x)(g) = sum_h w(h) x(g h) on functions of a finite group, with x^r between.

    Attributes
    ----------
    table
        The Cayley table, `table[g][h]` = g h.
    layers
        L.
    degree
        r.

    References
    ----------
    "Geometry of polynomial group convolutional neural networks" (2026), arXiv:2603.29566: the
    dimension depends on the number of layers and the order of the group only.
    """

    table: tuple[tuple[int, ...], ...]
    layers: int
    degree: int

    @property
    def order(self) -> int:
        """|G|."""
        return len(self.table)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The filters w0, w1, ..., one number for each element of the group."""
        return {f"w{layer}": (self.order,) for layer in range(self.layers)}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """`(|G|,)`."""
        return (self.order,)

    @property
    def windows(self) -> tuple[Numbers, ...]:
        """For each layer the entries that each output reads: the Cayley table."""
        return (np.array(self.table),) * self.layers

    def evaluate(self, parameters: Mapping[str, Dual], x: Dual) -> Dual:
        """The outputs `(n, |G|)` at `(n, |G|)`."""
        return filter_powers(parameters, x, self.windows, self.degree)

    @property
    def dimension(self) -> int | None:
        """L (|G| - 1) + 1 for r > 1; for r = 1 the composition is one filter: |G|."""
        return self.order if self.degree == 1 else self.layers * (self.order - 1) + 1

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """Scalings between the layers, signs where r is even, and shifts by group elements."""
        if self.layers == 1:
            return ()
        return (
            layer_scaling(self, self.layers, self.degree),
            sign_flip(self, self.layers, self.degree),
            _shift(self),
        )


def _shift(network: GroupCNN) -> Symmetry:
    """Outputs of one layer moved by a group element, and moved back by the filter of the next."""
    table = np.array(network.table)

    def act(parameters: Parameters, generator: np.random.Generator) -> dict[str, Numbers]:
        moved = dict(parameters)
        layer = int(generator.integers(network.layers - 1))
        element = int(generator.integers(network.order))
        # w'(a h) = w(h) gives (w' * x)(g) = (w * x)(g a); then v'(h) = v(h a) undoes it.
        shifted = np.empty_like(moved[f"w{layer}"])
        shifted[table[element]] = moved[f"w{layer}"]
        moved[f"w{layer}"] = shifted
        moved[f"w{layer + 1}"] = moved[f"w{layer + 1}"][table[:, element]]
        return moved

    def tangents(parameters: Parameters, arithmetic: Arithmetic) -> Numbers:
        return network.directions([], arithmetic)

    return Symmetry("group shift", 0, act, tangents)


def group_cnn(table: Sequence[Sequence[int]], layers: int, degree: int) -> GroupCNN:
    """A polynomial group convolutional network with full filters as a formula.

    Parameters
    ----------
    table
        The Cayley table `(|G|, |G|)`: rows g, columns h, entries g h.
    layers
        L.
    degree
        The power r between layers.

    Raises
    ------
    InputError
        If the table is not that of a group, or a number is below 1.

    Examples
    --------
    >>> cyclic = [[(g + h) % 5 for h in range(5)] for g in range(5)]
    >>> group_cnn(cyclic, 3, 2).dimension
    13
    """
    rows = np.array(table)
    n = len(rows)
    if rows.shape != (n, n) or n < 1 or not np.issubdtype(rows.dtype, np.integer):
        raise InputError(f"A Cayley table is a square of whole numbers, got shape {rows.shape}.")
    whole = np.arange(n)
    latin = (np.sort(rows, axis=0) == whole[:, None]).all() and (np.sort(rows) == whole).all()
    if not latin or not np.array_equal(rows[rows], rows[:, rows]):
        raise InputError("The table is not that of a group: not a Latin square, or (ab)c != a(bc).")
    if layers < 1 or degree < 1:
        raise InputError(f"layers and degree must be at least 1, got {layers} and {degree}.")
    return GroupCNN(tuple(tuple(int(entry) for entry in row) for row in rows), layers, degree)
