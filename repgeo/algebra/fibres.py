"""Fibres of a network: directions that leave its function, and whether symmetries explain them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from repgeo.algebra.arithmetic import EXACT, REAL, Numbers
from repgeo.algebra.dimension import network_of, pointwise_dimension
from repgeo.algebra.network import Network, Parameters
from repgeo.algebra.spectra import numerical_rank
from repgeo.errors import InputError, UnsupportedError

__all__ = ["FibreReport", "SymmetryCheck", "fibre_check", "module_parameters"]

_INPUTS = 16  # at which outputs are compared, if none are given


@dataclass(frozen=True)
class SymmetryCheck:
    """How much a symmetry changed the outputs.

    Attributes
    ----------
    name
        Of the symmetry.
    dimension
        Of its group.
    holds
        Whether the network should have it; a control should change the outputs.
    relative_error
        The largest change of an output over the largest output, over random elements.
    """

    name: str
    dimension: int
    holds: bool
    relative_error: float


@dataclass(frozen=True)
class FibreReport:
    """The fibre of a network at parameters, to first order.

    Attributes
    ----------
    symmetries
        What each known symmetry does to the outputs.
    fibre_dimension
        The dimension of the kernel of the derivative by the parameters.
    explained_dimension
        The dimension of what the known symmetries span in it.
    """

    symmetries: tuple[SymmetryCheck, ...]
    fibre_dimension: int
    explained_dimension: int

    @property
    def unexplained_dimension(self) -> int:
        """Directions that leave the outputs to first order, for which no symmetry is known."""
        return self.fibre_dimension - self.explained_dimension


def module_parameters(network: Network, module: nn.Module) -> dict[str, Numbers]:
    """The weights of a module by the names of its formula, in float64.

    Raises
    ------
    InputError
        If the module has no parameter of that name and shape.
    """
    own = {name: value.detach().double().cpu().numpy() for name, value in module.named_parameters()}
    found = {name: own[name] for name in network.shapes if name in own}
    shapes = {name: value.shape for name, value in found.items()}
    if shapes != network.shapes:
        raise InputError(
            f"{type(module).__name__} has the weights {shapes}; its spec() names {network.shapes}."
        )
    return found


def fibre_check(
    network: Network | nn.Module,
    x: Numbers | None = None,
    *,
    parameters: Parameters | None = None,
    elements: int = 3,
    generator: np.random.Generator | None = None,
) -> FibreReport:
    """Apply every known symmetry, and look for directions that none of them explains.

    The kernel of the Jacobian by the parameters is the tangent space of the fibre at parameters
    that are not singular. At generic parameters the known symmetries should span it.

    Parameters
    ----------
    network
        A formula, or a module that offers one.
    x
        Inputs `(n, ...)` at which outputs are compared; 16 normal ones by default. The kernel is
        that over as many normal inputs as it takes.
    parameters
        By name, float64. By default a module's own weights; of a formula, generic ones: then the
        dimensions are exact, over a prime field.
    elements
        How many random elements of each group are tried.
    generator
        For all that is drawn; a fixed one by default.

    Raises
    ------
    UnsupportedError
        If there is no formula.
    InputError
        If shapes do not fit.

    Examples
    --------
    >>> from repgeo.algebra import attention
    >>> report = fibre_check(attention([3, 3, 3], [2, 2]))
    >>> report.fibre_dimension, report.unexplained_dimension
    (19, 0)
    >>> [check.name for check in report.symmetries]
    ['key-query basis', 'token basis', 'rescaling']
    """
    spec = network_of(network)
    if spec is None:
        raise UnsupportedError(f"{type(network).__name__} has no spec(), which tells symmetries.")
    draws = np.random.default_rng(0) if generator is None else generator
    generic = parameters is None and not isinstance(network, nn.Module)
    if parameters is None:
        parameters = (
            module_parameters(spec, network)
            if isinstance(network, nn.Module)
            else spec.draw(REAL, draws)
        )
    inputs = REAL.draw((_INPUTS, *spec.input_shape), draws) if x is None else np.asarray(x, float)
    checks = _applied(spec, parameters, inputs, elements, draws)
    if generic:
        residues = spec.draw(EXACT, draws)
        kernel = spec.parameter_count - pointwise_dimension(spec, residues, generator=draws).rank
        return FibreReport(checks, kernel, EXACT.rank(spec.gauge(residues, EXACT)))
    kernel = spec.parameter_count - pointwise_dimension(spec, parameters, generator=draws).rank
    return FibreReport(checks, kernel, numerical_rank(spec.gauge(parameters, REAL)).rank)


def _applied(
    network: Network,
    parameters: Parameters,
    x: Numbers,
    elements: int,
    generator: np.random.Generator,
) -> tuple[SymmetryCheck, ...]:
    outputs = network.apply(parameters, x)
    largest = max(float(np.abs(outputs).max()), np.finfo(float).tiny)
    found = []
    for symmetry in network.symmetries:
        errors = [
            np.abs(network.apply(symmetry.act(parameters, generator), x) - outputs).max() / largest
            for _ in range(elements)
        ]
        found.append(
            SymmetryCheck(symmetry.name, symmetry.dimension, symmetry.holds, float(np.max(errors)))
        )
    return tuple(found)
