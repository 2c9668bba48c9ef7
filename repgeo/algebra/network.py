"""Networks given as formulas: what can be evaluated, and differentiated, in any arithmetic."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from repgeo.algebra.arithmetic import REAL, Arithmetic, Numbers
from repgeo.algebra.dual import Dual
from repgeo.errors import InputError

__all__ = ["Network", "Parameters", "Symmetry", "network_jacobian"]

#: Name -> array.
Parameters: TypeAlias = Mapping[str, Numbers]

_ENTRIES = 1 << 22  # of the derivatives of one layer that are made at a time


@dataclass(frozen=True)
class Symmetry:
    """A group that acts on the parameters of a network.

    Attributes
    ----------
    name
        What tables call it.
    dimension
        Of the group; 0 for a finite one.
    act
        The parameters moved by a random element, in float64: (parameters, generator).
    tangents
        The directions in which the group moves the parameters, `(dimension, parameters)`:
        (parameters, arithmetic).
    holds
        Whether the network's function stays as it is. A symmetry of a relative of the network that
        this one must break is a control.
    """

    name: str
    dimension: int
    act: Callable[[Parameters, np.random.Generator], dict[str, Numbers]]
    tangents: Callable[[Parameters, Arithmetic], Numbers]
    holds: bool = True


class Network(ABC):
    """A family of functions with parameters, as a formula in +, *, powers, 1/x and a normaliser.

    It is evaluated over real numbers, where the normaliser is exp, and over a prime field, where it
    is a polynomial. A module that offers `spec()` gives its network, with its weights by the names
    of `shapes`.
    """

    @property
    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the parameters by name; the order is that of all vectors of parameters."""

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input."""

    @abstractmethod
    def evaluate(self, parameters: Mapping[str, Dual], x: Dual) -> Dual:
        """The outputs `(n, ...)` at inputs `(n, ...)`."""

    @property
    @abstractmethod
    def dimension(self) -> int | None:
        """The dimension of the set of its functions by formula; None where none is known."""

    @property
    def ambient_dimension(self) -> int | None:
        """The dimension of a vector space that contains its functions; None where none is known."""
        return None

    @property
    def parameter_count(self) -> int:
        """The number of parameters."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def fibre_dimension(self) -> int | None:
        """How many dimensions of parameters give the same function, at generic parameters."""
        return None if self.dimension is None else self.parameter_count - self.dimension

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """The known symmetries of the parameters, and controls (`holds` False)."""
        return ()

    def draw(self, arithmetic: Arithmetic, generator: np.random.Generator) -> dict[str, Numbers]:
        """Parameters at random: uniform residues, or standard normal reals."""
        return {name: arithmetic.draw(shape, generator) for name, shape in self.shapes.items()}

    def apply(self, parameters: Parameters, x: Numbers, arithmetic: Arithmetic = REAL) -> Numbers:
        """The outputs `(n, ...)`, without derivatives.

        Raises
        ------
        InputError
            If the parameters or inputs have other shapes than the network's.
        """
        self.check(parameters, x)
        constants = {name: Dual(value, arithmetic) for name, value in parameters.items()}
        return self.evaluate(constants, Dual(x, arithmetic)).value

    def gauge(self, parameters: Parameters, arithmetic: Arithmetic) -> Numbers:
        """The directions of all symmetries that hold, `(directions, parameters)`."""
        parts = [s.tangents(parameters, arithmetic) for s in self.symmetries if s.holds]
        none = np.zeros((0, self.parameter_count), dtype=arithmetic.dtype)
        return np.concatenate([none, *parts])

    def check(self, parameters: Parameters, x: Numbers) -> None:
        """Refuse parameters or inputs of other shapes than the network's.

        Raises
        ------
        InputError
            Naming what does not fit.
        """
        shapes = {name: value.shape for name, value in parameters.items()}
        if shapes != self.shapes:
            raise InputError(f"The parameters have shapes {shapes}; the network's: {self.shapes}.")
        if x.shape[1:] != self.input_shape or not len(x):
            raise InputError(
                f"Inputs must be (n, {', '.join(map(str, self.input_shape))}), got {x.shape}."
            )

    def vector(self, parameters: Parameters) -> Numbers:
        """All parameters in one vector `(parameters,)`."""
        return np.concatenate([parameters[name].reshape(-1) for name in self.shapes])

    def places(self) -> dict[str, slice]:
        """Where each array of parameters stands in the vector of all."""
        found, start = {}, 0
        for name, shape in self.shapes.items():
            found[name] = slice(start, start + math.prod(shape))
            start = found[name].stop
        return found

    def directions(self, moves: Sequence[Mapping[str, Numbers]], arithmetic: Arithmetic) -> Numbers:
        """Directions `(moves, parameters)`, each given by the arrays that move."""
        found = np.zeros((len(moves), self.parameter_count), dtype=arithmetic.dtype)
        places = self.places()
        for row, move in zip(found, moves, strict=True):
            for name, value in move.items():
                row[places[name]] += value.reshape(-1)
        return arithmetic.normal_form(found)


def network_jacobian(
    network: Network, parameters: Parameters, x: Numbers, arithmetic: Arithmetic
) -> Numbers:
    """The derivatives of all outputs at all inputs by all parameters, `(parameters, n outputs)`.

    Parameters
    ----------
    network
        The network.
    parameters
        By name, in the given arithmetic.
    x
        Inputs `(n, ...)`.
    arithmetic
        `EXACT` or `REAL`.

    Raises
    ------
    InputError
        If shapes do not fit.

    Notes
    -----
    Forward mode: about as many evaluations as there are parameters, in chunks of inputs.
    """
    network.check(parameters, x)
    places, count = network.places(), network.parameter_count
    duals = {
        name: Dual.parameter(parameters[name], arithmetic, place.start)
        for name, place in places.items()
    }
    chunk = max(1, _ENTRIES // (count * math.prod(network.input_shape)))
    parts = [
        network.evaluate(duals, Dual(x[start : start + chunk], arithmetic)).jacobian(count)
        for start in range(0, len(x), chunk)
    ]
    return np.concatenate(parts, axis=1)
