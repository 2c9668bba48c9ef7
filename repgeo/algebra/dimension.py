"""The dimension of the set of functions that a network can express."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from repgeo.algebra.arithmetic import EXACT, REAL, Arithmetic, Numbers
from repgeo.algebra.module_jacobian import module_jacobian
from repgeo.algebra.network import Network, Parameters, network_jacobian
from repgeo.algebra.rank import compressed
from repgeo.algebra.spectra import NumericalRank, numerical_rank
from repgeo.errors import InputError, UnsupportedError

__all__ = ["Bank", "Dimension", "network_of", "neuromanifold_dimension", "pointwise_dimension"]

#: Inputs `(n, ...)` to differentiate at, or what draws n of them.
Bank: TypeAlias = Numbers | Tensor | Callable[[int], Any]

Backend: TypeAlias = Literal["exact", "float64"]

_FIRST = 2.0  # so many rows for each dimension that there can be, over a field
_FIRST_REAL = 3.0  # so many for each parameter, over the reals
_DOUBLINGS = 4
_SPARE = 8  # rows and columns that are kept beyond the largest rank there can be


@dataclass(frozen=True)
class Dimension:
    """The rank of the derivative of a network's function by its parameters.

    Attributes
    ----------
    rank
        The rank that was found.
    parameters
        The number of parameters.
    formula
        What the formula says; None where there is none.
    backend
        "exact" (over a prime field) or "float64".
    upper
        An upper bound of the dimension, proved by explicit symmetries: parameters minus the
        dimension of their orbits, or that of a space which contains all functions.
    stable
        Whether twice as many inputs gave the same rank, or the rank reached the upper bound.
    gap
        Decades between the last singular value that counts and the next; infinite over a field, and
        where there is none.
    numerical
        Of float64: the rank by several tolerances; None over a field.
    outputs
        How many numbers were differentiated at last.
    """

    rank: int
    parameters: int
    formula: int | None
    backend: Backend
    upper: int
    stable: bool
    gap: float = math.inf
    numerical: NumericalRank | None = field(default=None, repr=False)
    outputs: int = 0

    @property
    def certified(self) -> bool:
        """Whether the dimension is proved: a rank over a field that reaches the upper bound."""
        return self.backend == "exact" and self.rank == self.upper

    @property
    def agrees(self) -> bool | None:
        """Whether rank and formula agree; None without a formula."""
        return None if self.formula is None else self.rank == self.formula


def network_of(network: Network | nn.Module) -> Network | None:
    """The formula of a network: itself, or what its `spec()` gives; None where there is none."""
    if isinstance(network, Network):
        return network
    spec = getattr(network, "spec", None)
    found = spec() if callable(spec) else None
    return found if isinstance(found, Network) else None


def neuromanifold_dimension(
    network: Network | nn.Module,
    *,
    backend: Backend | None = None,
    inputs: Bank | None = None,
    generator: np.random.Generator | None = None,
) -> Dimension:
    """The dimension of the set of functions that a network can express, at generic parameters.

    The largest rank over parameters of the derivative of all outputs at many inputs, taken at
    parameters drawn at random. The inputs double until the rank stands still.

    Parameters
    ----------
    network
        A formula, a module that offers one by `spec()`, or any module (float64 only).
    backend
        "exact": the rank over the field of 2^31 - 1 elements by dual numbers, softmax replaced by
        a rational function. It is a proved lower bound; explicit symmetries give an upper one.
        "float64": singular values, with the gap behind the last that counts. By default exact,
        where there is a formula.
    inputs
        Inputs `(n, ...)`, which then do not double: half of them have to give the same rank. Or a
        function that draws n of them. Needed where there is no formula.
    generator
        For parameters and inputs; a fixed one by default.

    Raises
    ------
    UnsupportedError
        If an exact answer is asked of a module without a formula.
    InputError
        If inputs do not fit, or are missing.

    Notes
    -----
    A rank over the field is too small with a chance of about (degree of the network) / 2^31.
    Cost: forward mode over all parameters, and an elimination.

    References
    ----------
    N. W. Henry, G. L. Marchetti, K. Kohn (2024), arXiv:2408.17221, estimate dimensions by ranks in
    floating point.

    Examples
    --------
    >>> from repgeo.algebra import polynomial_cnn
    >>> found = neuromanifold_dimension(polynomial_cnn([3, 2], 2))
    >>> found.rank, found.parameters, found.certified
    (4, 5, True)
    """
    spec = network_of(network)
    draws = np.random.default_rng(0) if generator is None else generator
    chosen = backend or ("exact" if spec is not None else "float64")
    if chosen not in ("exact", "float64"):
        raise InputError(f"Unknown backend {chosen!r}. Known: exact, float64.")
    if spec is None:
        if chosen == "exact":
            raise UnsupportedError(
                f"{type(network).__name__} has no spec(), which an exact dimension needs. "
                "Use backend='float64'."
            )
        assert isinstance(network, nn.Module)
        drawn = {
            name: torch.from_numpy(draws.standard_normal(tuple(value.shape)))
            for name, value in network.named_parameters()
        }
        return _of_module(network, drawn, inputs, draws)
    arithmetic = EXACT if chosen == "exact" else REAL
    parameters = spec.draw(arithmetic, draws)
    return _of_network(spec, parameters, arithmetic, inputs, draws)


def pointwise_dimension(
    network: Network | nn.Module,
    parameters: Parameters | None = None,
    *,
    inputs: Bank | None = None,
    generator: np.random.Generator | None = None,
) -> Dimension:
    """The rank at given parameters, such as trained weights: at most the dimension.

    It is smaller at singular parameters, and where a module's weights are not generic. Residues
    (int64) are treated exactly, reals in float64.

    Parameters
    ----------
    network
        As for `neuromanifold_dimension`.
    parameters
        By name; a module's own weights by default.
    inputs, generator
        As for `neuromanifold_dimension`.

    Raises
    ------
    InputError
        If parameters or inputs are missing or do not fit.

    Examples
    --------
    >>> from repgeo.algebra import polynomial_cnn
    >>> zero_last = {"w0": np.array([1, 2, 3]), "w1": np.array([0, 0, 0])}
    >>> pointwise_dimension(polynomial_cnn([3, 3], 2), zero_last).rank
    3
    """
    spec = network_of(network)
    draws = np.random.default_rng(0) if generator is None else generator
    if spec is None or (parameters is None and isinstance(network, nn.Module)):
        assert isinstance(network, nn.Module)
        own = {name: value.detach().double() for name, value in network.named_parameters()}
        if spec is None:
            return _of_module(network, own, inputs, draws)
        parameters = {name: own[name].cpu().numpy() for name in spec.shapes}
    if parameters is None:
        raise InputError("The rank at a point needs its parameters.")
    exact = all(np.issubdtype(value.dtype, np.integer) for value in parameters.values())
    arithmetic = EXACT if exact else REAL
    normal = {
        name: arithmetic.normal_form(np.asarray(value, dtype=arithmetic.dtype))
        for name, value in parameters.items()
    }
    return _of_network(spec, normal, arithmetic, inputs, draws)


def _of_network(
    network: Network,
    parameters: Parameters,
    arithmetic: Arithmetic,
    inputs: Bank | None,
    generator: np.random.Generator,
) -> Dimension:
    """The rank at parameters, over the field or over the reals."""
    count = network.parameter_count
    gauge = arithmetic.rank(network.gauge(parameters, arithmetic))
    upper = min(count - gauge, network.ambient_dimension or count)

    def draw(n: int) -> Numbers:
        made = (
            inputs(n) if callable(inputs) else arithmetic.draw((n, *network.input_shape), generator)
        )
        return arithmetic.normal_form(np.asarray(made, dtype=arithmetic.dtype))

    def rows(x: Numbers) -> Numbers:
        return network_jacobian(network, parameters, x, arithmetic)

    given = None if inputs is None or callable(inputs) else np.asarray(inputs, arithmetic.dtype)
    if arithmetic is EXACT:
        first = math.ceil(_FIRST * upper) + 1
        rank, stable, outputs = _exact_rank_of(rows, draw, given, first, upper, generator)
        return Dimension(rank, count, network.dimension, "exact", upper, stable, outputs=outputs)
    first = math.ceil(_FIRST_REAL * count) + 1
    found, stable, outputs = _real_rank_of(rows, draw, given, first)
    return _real_dimension(found, count, network.dimension, upper, stable, outputs)


def _of_module(
    module: nn.Module,
    parameters: Mapping[str, Tensor],
    inputs: Bank | None,
    generator: np.random.Generator,
) -> Dimension:
    """The rank at parameters of a module without a formula, in float64."""
    if inputs is None:
        raise InputError(
            f"{type(module).__name__} has no spec(): give `inputs` (n, ...), or a function of n."
        )
    count = sum(value.numel() for value in parameters.values())

    def draw(n: int) -> Tensor:
        assert callable(inputs)
        return torch.as_tensor(inputs(n)).double()

    def rows(x: Any) -> Numbers:
        return module_jacobian(module, parameters, torch.as_tensor(x).double())

    given = None if callable(inputs) else torch.as_tensor(inputs)
    found, stable, outputs = _real_rank_of(rows, draw, given, math.ceil(_FIRST_REAL * count) + 1)
    return _real_dimension(found, count, None, count, stable, outputs)


def _real_dimension(
    found: NumericalRank,
    count: int,
    formula: int | None,
    upper: int,
    stable: bool,
    outputs: int,
) -> Dimension:
    return Dimension(
        found.rank, count, formula, "float64", upper, stable, found.gap, found, outputs
    )


def _exact_rank_of(
    rows: Callable[[Numbers], Numbers],
    draw: Callable[[int], Numbers],
    given: Numbers | None,
    first: int,
    upper: int,
    generator: np.random.Generator,
) -> tuple[int, bool, int]:
    """The rank, whether it stands, and the number of outputs."""

    def rank(matrix: Numbers) -> int:
        return EXACT.rank(compressed(matrix, upper + _SPARE, generator))

    if given is not None:
        jacobian = rows(EXACT.normal_form(given))
        found = rank(jacobian)
        half = rank(jacobian[:, : jacobian.shape[1] // 2])
        return found, found in (half, upper), jacobian.shape[1]
    jacobian = _first_bank(rows, draw, first)
    found = rank(jacobian)
    for _ in range(_DOUBLINGS):
        if found == upper:
            return found, True, jacobian.shape[1]
        # As many new inputs again.
        jacobian = np.concatenate([jacobian, _first_bank(rows, draw, jacobian.shape[1])], axis=1)
        grown = rank(jacobian)
        if grown == found:
            return found, True, jacobian.shape[1]
        found = grown
    return found, False, jacobian.shape[1]


def _first_bank(
    rows: Callable[[Any], Numbers], draw: Callable[[int], Any], outputs: int
) -> Numbers:
    """The derivatives of at least so many outputs."""
    one = rows(draw(1))
    if not one.shape[1]:
        raise InputError("The network has no outputs.")
    more = math.ceil(outputs / one.shape[1]) - 1
    return one if more < 1 else np.concatenate([one, rows(draw(more))], axis=1)


def _real_rank_of(
    rows: Callable[[Any], Numbers],
    draw: Callable[[int], Any],
    given: Any,
    first: int,
) -> tuple[NumericalRank, bool, int]:
    """The numerical rank, whether it stands, and the number of outputs."""
    if given is not None:
        jacobian = rows(given)
        found = numerical_rank(jacobian)
        half = numerical_rank(jacobian[:, : jacobian.shape[1] // 2])
        return found, found.rank == half.rank, jacobian.shape[1]
    jacobian = _first_bank(rows, draw, first)
    found = numerical_rank(jacobian)
    for _ in range(_DOUBLINGS):
        jacobian = np.concatenate([jacobian, _first_bank(rows, draw, jacobian.shape[1])], axis=1)
        grown = numerical_rank(jacobian)
        if grown.rank == found.rank:
            return grown, True, jacobian.shape[1]
        found = grown
    return found, False, jacobian.shape[1]
