"""Gaussian moments of activation functions, which decide the geometry of infinitely wide networks.

For z ~ N(0, s): the moment of the square, V(s) = E phi(z)^2, and of the squared slope,
C(s) = E phi'(z)^2, each with two derivatives with respect to s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import torch
from numpy.polynomial import Polynomial
from torch import Tensor

from repgeo.errors import InputError, nearest

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Elementwise",
    "activation_named",
    "derivatives",
    "leaky_relu",
    "monomial",
]

Elementwise: TypeAlias = Callable[[Tensor], Tensor]

_NODES = 513  # on the half line, of the trapezoidal rule: it converges exponentially here
_POINTS = 1024  # variances treated at a time
_SPREADS = 12.0  # standard deviations beyond which the density is below rounding
_REACH = 40.0  # beyond it activations have reached their asymptotes, to rounding
_HEAT_BELOW = 1.0  # variances for which derivatives are taken of the function, not of the density


def derivatives(function: Elementwise, order: int) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """The elementwise function's value and derivatives up to `order`, by nested forward mode."""
    if order == 0:
        return lambda z: (function(z),)
    lower = derivatives(function, order - 1)

    def made(z: Tensor) -> tuple[Tensor, ...]:
        values, slopes = torch.func.jvp(lower, (z,), (torch.ones_like(z),))[:2]
        return (*values, slopes[-1])

    return made


@dataclass(frozen=True)
class Activation:
    """An activation function, with its moments in closed form or by quadrature.

    Attributes
    ----------
    name
        What it is called.
    function
        phi, elementwise.
    square_moment, slope_moment
        V and C as functions of s, where there is a closed form.
    square_asymptote
        (c_0, c_2) such that the even part of phi(z)^2 tends to c_0 + c_2 z^2; for quadrature.
    slope_asymptote
        What the even part of phi'(z)^2 tends to; for quadrature.
    jet
        From z to phi and its first five derivatives, for quadrature; by automatic differentiation
        where it is not given, which is much slower.
    """

    name: str
    function: Elementwise
    square_moment: Elementwise | None = None
    slope_moment: Elementwise | None = None
    square_asymptote: tuple[float, float] = (0.0, 0.0)
    slope_asymptote: float = 0.0
    jet: Callable[[Tensor], Sequence[Tensor]] | None = None

    def square_moments(self, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """V, V' and V'' at variances s >= 0, each of the shape of `s`, float64."""
        if self.square_moment is not None:
            value, first, second = derivatives(self.square_moment, 2)(s.double())
            return value, first, second
        constant, square = self.square_asymptote
        value, first, second = _expectation(self._jet, (constant, square), s)
        return value + constant + square * s, first + square, second

    def slope_moments(self, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """C, C' and C'' at variances s >= 0, each of the shape of `s`, float64."""
        if self.slope_moment is not None:
            value, first, second = derivatives(self.slope_moment, 2)(s.double())
            return value, first, second
        value, first, second = _expectation(
            lambda z: self._jet(z)[1:], (self.slope_asymptote, 0.0), s
        )
        return value + self.slope_asymptote, first, second

    def _jet(self, z: Tensor) -> Sequence[Tensor]:
        return derivatives(self.function, 5)(z) if self.jet is None else self.jet(z)


def _expectation(
    jet: Callable[[Tensor], Sequence[Tensor]], asymptote: tuple[float, float], s: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """E f and two derivatives with respect to s, f the even part of g^2 less c_0 + c_2 z^2.

    `jet` gives g and its first four derivatives. f decays, so that the trapezoidal rule on
    |z| <= min(12 sqrt s, 40) is exact to rounding for small and large s. Derivatives: for small s
    of the function (the heat equation d/ds E f = E f'' / 2), for large s of the density, where
    those of the function cancel.
    """
    if s.numel() > _POINTS:  # memory for so many at a time
        parts = [_expectation(jet, asymptote, part) for part in torch.split(s.reshape(-1), _POINTS)]
        value, slope, bend = (
            torch.cat(column).reshape(s.shape) for column in zip(*parts, strict=True)
        )
        return value, slope, bend
    shape = s.shape
    s = s.double().reshape(-1, 1)  # (points, 1)
    spread = s.sqrt()
    reach = torch.clamp(_REACH / spread.clamp(min=1e-300), max=_SPREADS)
    u = reach * torch.linspace(0.0, 1.0, _NODES, dtype=torch.float64, device=s.device)
    weights = torch.exp(-0.5 * u.square()) * reach * (2.0 / (_NODES - 1) / math.sqrt(2 * math.pi))
    weights[:, 0] *= 0.5  # f is even: twice the half line, zero counted once
    z = spread * u  # (points, nodes)
    ahead, behind = jet(z), jet(-z)
    constant, square = asymptote
    f0 = 0.5 * (ahead[0].square() + behind[0].square()) - constant - square * z.square()
    f2, f4 = (
        0.5 * (_square_derivative(ahead, order) + _square_derivative(behind, order))
        for order in (2, 4)
    )
    small = s <= _HEAT_BELOW
    safe = s.where(~small, 1.0)
    q = u.square()
    first = torch.where(small, 0.5 * (f2 - 2 * square), f0 * (q - 1) / (2 * safe))
    density = (q.square() - 6 * q + 3) / (4 * safe.square())
    second = torch.where(small, 0.25 * f4, f0 * density)
    value, slope, bend = (
        (weights * part).sum(dim=1).reshape(shape) for part in (f0, first, second)
    )
    return value, slope, bend


def _square_derivative(jet: Sequence[Tensor], order: int) -> Tensor:
    """The derivative of g^2 of that order, by Leibniz' rule."""
    terms = [math.comb(order, i) * jet[i] * jet[order - i] for i in range(order + 1)]
    return torch.stack(terms).sum(dim=0)


def _autonomous_jet(values: Tensor, rate: Polynomial, orders: int) -> list[Tensor]:
    """Y and its derivatives, for a function with y' = rate(y): each is a polynomial in y."""
    found, current = [values], rate
    for _ in range(orders):
        made = torch.zeros_like(values)
        for coefficient in reversed(current.coef.tolist()):
            made = made * values + coefficient
        found.append(made)
        current = current.deriv() * rate
    return found


def _sigmoid_jet(z: Tensor) -> list[Tensor]:
    return _autonomous_jet(torch.sigmoid(z), Polynomial([0.0, 1.0, -1.0]), 5)


def _tanh_jet(z: Tensor) -> list[Tensor]:
    return _autonomous_jet(torch.tanh(z), Polynomial([1.0, 0.0, -1.0]), 5)


def _softplus(z: Tensor) -> Tensor:
    # torch's softplus is exactly linear beyond a threshold: its derivatives would be cut off.
    return torch.logaddexp(z, torch.zeros_like(z))


def _softplus_jet(z: Tensor) -> list[Tensor]:
    return [_softplus(z), *_sigmoid_jet(z)[:5]]


def _gelu_jet(z: Tensor) -> list[Tensor]:
    """Z F(z), with F the normal distribution function, whose derivatives are He_k times density."""
    density = torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi)
    hermite = [torch.ones_like(z), z]
    for k in range(1, 4):
        hermite.append(z * hermite[k] - k * hermite[k - 1])
    F = [0.5 * torch.erfc(-z / math.sqrt(2))]
    F += [(-1) ** k * hermite[k] * density for k in range(5)]
    return [z * F[0]] + [z * F[k] + k * F[k - 1] for k in range(1, 6)]


def _double_factorial(n: int) -> int:
    return math.prod(range(n, 0, -2))


def monomial(degree: int) -> Activation:
    """phi(z) = z^degree: C(s) = q^2 (2q-3)!! s^(q-1), V(s) = (2q-1)!! s^q.

    Raises
    ------
    InputError
        If the degree is below 1.

    Examples
    --------
    >>> cube = monomial(3)
    >>> [float(value) for value in cube.slope_moments(torch.tensor(2.0))]  # 27 s^2
    [108.0, 108.0, 54.0]
    """
    if degree < 1:
        raise InputError(f"The degree of a monomial must be at least 1, got {degree}.")
    square, slope = _double_factorial(2 * degree - 1), degree**2 * _double_factorial(2 * degree - 3)
    return Activation(
        f"monomial({degree})",
        lambda z: z**degree,
        lambda s: square * s**degree,
        lambda s: slope * s ** (degree - 1),
    )


def leaky_relu(slope: float) -> Activation:
    """phi(z) = z for z > 0, slope * z else: C(s) = (1 + slope^2) / 2, V(s) = C s.

    Examples
    --------
    >>> [float(value) for value in leaky_relu(0.0).slope_moments(torch.tensor(2.0))]
    [0.5, 0.0, 0.0]
    """
    half = (1.0 + slope**2) / 2
    return Activation(
        f"leaky_relu({slope:g})",
        lambda z: torch.nn.functional.leaky_relu(z, slope),
        lambda s: half * s,
        lambda s: half + 0.0 * s,
    )


def _arcsine(s: Tensor) -> Tensor:
    return 2 / math.pi * torch.asin(s / (1 + s))


ACTIVATIONS: Final[dict[str, Activation]] = {
    "erf": Activation(  # erf(z), as `torch.erf`
        "erf", torch.erf, lambda s: _arcsine(2 * s), lambda s: 4 / math.pi * (1 + 4 * s) ** -0.5
    ),
    "erf_sqrt2": Activation(  # erf(z / sqrt 2), as in the literature on infinite networks
        "erf_sqrt2",
        lambda z: torch.erf(z * 0.5**0.5),
        _arcsine,
        lambda s: 2 / math.pi * (1 + 2 * s) ** -0.5,
    ),
    "gelu": Activation(
        "gelu",
        torch.nn.functional.gelu,
        square_asymptote=(0.0, 0.5),
        slope_asymptote=0.5,
        jet=_gelu_jet,
    ),
    "identity": monomial(1),
    "relu": leaky_relu(0.0),
    "sigmoid": Activation("sigmoid", torch.sigmoid, square_asymptote=(0.5, 0.0), jet=_sigmoid_jet),
    "sin": Activation(
        "sin",
        torch.sin,
        lambda s: -0.5 * torch.expm1(-2 * s),
        lambda s: 0.5 * (1 + torch.exp(-2 * s)),
    ),
    "softplus": Activation(
        "softplus",
        _softplus,
        square_asymptote=(0.0, 0.5),
        slope_asymptote=0.5,
        jet=_softplus_jet,
    ),
    "tanh": Activation("tanh", torch.tanh, square_asymptote=(1.0, 0.0), jet=_tanh_jet),
}


def activation_named(activation: str | Activation) -> Activation:
    """The activation of that name, or the one given.

    Raises
    ------
    InputError
        If there is none.

    Examples
    --------
    >>> activation_named("tanh").name
    'tanh'
    """
    if isinstance(activation, Activation):
        return activation
    if activation not in ACTIVATIONS:
        raise InputError(
            f"Unknown activation {activation!r}. {nearest(activation, ACTIVATIONS)} Allowed: "
            f"{', '.join(ACTIVATIONS)}, monomial(degree), leaky_relu(slope), or an Activation."
        )
    return ACTIVATIONS[activation]
