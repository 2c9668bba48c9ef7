"""Critical points of the mean squared error of polynomial convolutional networks."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from repgeo.algebra.integer_polynomials import (
    Polynomial,
    add,
    derivative,
    determinant,
    distinct_roots,
    evaluate,
    multiply,
    real_roots,
    trimmed,
)
from repgeo.algebra.polynomial_convolution import PolynomialCNN
from repgeo.errors import InputError

__all__ = ["CriticalPoint", "CriticalPoints", "ProjectedLoss", "critical_points", "projected_loss"]

Kind: TypeAlias = Literal["minimum", "saddle", "degenerate"]
Status: TypeAlias = Literal["counted", "interpolating", "degenerate", "formula only"]

#: First filters (p + q b, s + t b) by (p, q, s, t): every direction but one for each b; another
#: chart is taken if a critical point lies in the direction that is missing.
_CHARTS: Final = ((1, 2, -3, 5), (2, 3, 1, -4), (5, -1, 2, 7), (1, 0, 0, 1))


@dataclass(frozen=True)
class CriticalPoint:
    """A real critical point of the error, up to scalings between the filters.

    Attributes
    ----------
    first, last
        The filters, the first with norm 1: `(2,)` and `(m,)`.
    loss
        The mean squared error there.
    kind
        By the Hessian on functions (parameters up to scalings): all directions of the last filter
        have positive curvature, so that a point is a minimum or a saddle with one direction down.
    """

    first: tuple[float, float]
    last: tuple[float, ...]
    loss: float
    kind: Kind


@dataclass(frozen=True)
class CriticalPoints:
    """What is known of the critical points.

    Attributes
    ----------
    expected
        The generic Euclidean distance degree: how many complex ones there are for generic data.
    count
        How many complex ones there are for these data; None where they were not counted.
    real
        The real ones.
    status
        "counted"; "interpolating" where every first filter fits all data; "degenerate" where the
        error does not depend on the first filter, or the data do not decide the last; "formula
        only" for architectures other than filters (2, m).
    """

    expected: int
    count: int | None
    real: tuple[CriticalPoint, ...]
    status: Status

    def of_kind(self, kind: Kind) -> int:
        """How many real ones are of a kind."""
        return sum(point.kind == kind for point in self.real)


@dataclass(frozen=True)
class ProjectedLoss:
    """The error with the last filter solved for, E(b) = total - N(b) / D(b).

    Attributes
    ----------
    numerator, denominator
        N = g^T adj(G) g and D = det G, with the Gram matrix G of the features that the last filter
        combines, and their products g with the targets.
    products
        g.
    total
        The sum of the squares of the targets.
    chart
        (p, q, s, t): the first filter is (p + q b, s + t b).
    unit
        What a squared target is to be multiplied with for its mean in the given units.
    """

    numerator: Polynomial
    denominator: Polynomial
    products: tuple[Polynomial, ...]
    total: int
    chart: tuple[int, int, int, int]
    unit: Fraction

    @property
    def slope(self) -> Polynomial:
        """N' D - N D', whose roots are those of dE/db."""
        n, d = self.numerator, self.denominator
        return add(multiply(derivative(n), d), multiply(n, derivative(d)), -1)

    def at(self, b: Fraction) -> Fraction:
        """The mean squared error."""
        quotient = evaluate(self.numerator, b) / evaluate(self.denominator, b)
        return (self.total - quotient) * self.unit

    def direction(self, b: Fraction) -> tuple[float, float]:
        """The first filter, with norm 1."""
        p, q, s, t = self.chart
        x, y = float(p + q * b), float(s + t * b)
        size = math.hypot(x, y)
        return x / size, y / size


def projected_loss(
    network: PolynomialCNN,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    *,
    chart: tuple[int, int, int, int] = _CHARTS[0],
) -> ProjectedLoss:
    """The mean squared error of filters (2, m) as an exact rational function of the first filter.

    Parameters
    ----------
    network
        With two filters, the first of length 2.
    x
        Inputs `(n, d_0)`, finite: taken as the rational numbers that they are.
    y
        Targets `(n, outputs)`.
    chart
        How the first filter depends on b.

    Raises
    ------
    InputError
        For other filters, or shapes that do not fit.
    """
    if len(network.filters) != 2 or network.filters[0] != 2:
        raise InputError(f"The filters must be (2, m), got {network.filters}.")
    if x.shape[1:] != network.input_shape or y.shape != (len(x), network.outputs) or not len(x):
        raise InputError(
            f"x must be (n, {network.input_shape[0]}) and y (n, {network.outputs}); "
            f"got {x.shape} and {y.shape}."
        )
    inputs, _ = _whole(x)
    targets, scale = _whole(y)
    p, q, s, t = chart
    first, second = network.windows
    pairs = inputs[:, first]  # (n, d_1, 2)
    constant = p * pairs[..., 0] + s * pairs[..., 1]
    linear = q * pairs[..., 0] + t * pairs[..., 1]
    r = network.degree
    powers = np.stack(
        [math.comb(r, i) * constant ** (r - i) * linear**i for i in range(r + 1)], axis=-1
    )
    m = network.filters[1]
    features = powers[:, second].reshape(-1, m * (r + 1))  # (n outputs, m (r + 1))
    flat = targets.reshape(-1)
    moments = features.T.dot(features).reshape(m, r + 1, m, r + 1)
    gram = [[_of_moments(moments[i, :, j]) for j in range(m)] for i in range(m)]
    products = tuple(trimmed([int(c) for c in row]) for row in flat.dot(features).reshape(m, r + 1))
    bordered = [[*row, g] for row, g in zip(gram, products, strict=True)]
    bordered.append([*products, ()])
    numerator = tuple(-c for c in determinant(bordered))
    unit = Fraction(1, flat.size * scale * scale)
    total = int((flat * flat).sum())
    return ProjectedLoss(numerator, determinant(gram), products, total, chart, unit)


def _of_moments(moments: NDArray[np.object_]) -> Polynomial:
    """sum_{i, j} m_ij b^(i + j) of a square array."""
    size = len(moments)
    found = [0] * (2 * size - 1)
    for i, j in itertools.product(range(size), repeat=2):
        found[i + j] += int(moments[i, j])
    return trimmed(found)


def _whole(values: NDArray[np.float64]) -> tuple[NDArray[np.object_], int]:
    """The numbers times the power of two that makes them all whole, and that power."""
    if not np.isfinite(values).all():
        raise InputError("Data must be finite.")
    ratios = [float(value).as_integer_ratio() for value in values.reshape(-1)]
    scale = max(denominator for _, denominator in ratios)
    whole = [numerator * (scale // denominator) for numerator, denominator in ratios]
    return np.array(whole, dtype=object).reshape(values.shape), scale


def critical_points(
    network: PolynomialCNN, x: NDArray[np.float64], y: NDArray[np.float64]
) -> CriticalPoints:
    """The critical points of the mean squared error, those with a filter zero left out.

    Parameters up to scalings are what is counted: each function once. For filters (2, m) the last
    filter is solved for, which leaves a rational function E(b); its critical points are counted
    exactly (modulo a prime), the real ones isolated by Sturm's theorem and told apart by the sign
    of the second derivative. For other architectures the formula is given.

    Parameters
    ----------
    network
        The network, with r > 1.
    x
        Inputs `(n, d_0)`.
    y
        Targets `(n, outputs)`.

    Raises
    ------
    InputError
        For r = 1, or shapes that do not fit.

    Notes
    -----
    Data are taken as the rational numbers that floating point makes of them. Cost: the square of
    m (r + 1) for each output at each input, and polynomials of degree 4 r m.

    References
    ----------
    V. Shahverdi, G. L. Marchetti, K. Kohn (2024), arXiv:2410.00722.

    Examples
    --------
    >>> from repgeo.algebra import polynomial_cnn
    >>> draws = np.random.default_rng(0)
    >>> net = polynomial_cnn([2, 2], 2)
    >>> found = critical_points(net, draws.normal(size=(9, 3)), draws.normal(size=(9, 1)))
    >>> found.expected, found.count, found.of_kind("minimum") == found.of_kind("saddle")
    (14, 14, True)
    """
    expected = network.euclidean_distance_degree
    if len(network.filters) != 2 or network.filters[0] != 2:
        return CriticalPoints(expected, None, (), "formula only")
    degree = 4 * network.degree * network.filters[1] - 2
    for chart in _CHARTS:
        loss = projected_loss(network, x, y, chart=chart)
        slope = loss.slope
        if len(slope) == degree + 1:
            break
    if not loss.denominator:
        rows = y.size
        status: Status = "interpolating" if rows < network.filters[1] else "degenerate"
        return CriticalPoints(expected, None, (), status)
    if not slope:
        fits = not add(loss.numerator, tuple(loss.total * c for c in loss.denominator), -1)
        return CriticalPoints(expected, None, (), "interpolating" if fits else "degenerate")
    # Where all products vanish the last filter is zero.
    zero = _shared_factor(loss.products)
    count = distinct_roots(slope, [loss.denominator, zero])
    points = tuple(
        _point(network, loss, slope, interval, x, y)
        for interval in real_roots(slope)
        if not _vanishes(loss, interval)
    )
    return CriticalPoints(expected, count, points, "counted")


def _shared_factor(polynomials: tuple[Polynomial, ...]) -> Polynomial:
    """A combination of polynomials: their common roots are among its own.

    Its other roots depend on the factors, which have nothing to do with the data: critical points
    do not lie there.
    """
    if len(polynomials) == 1:
        return polynomials[0]
    total: Polynomial = ()
    for factor, polynomial in enumerate(polynomials, start=2):
        total = add(total, polynomial, 7919 * factor + factor**3)
    return total


def _vanishes(loss: ProjectedLoss, interval: tuple[Fraction, Fraction]) -> bool:
    """Whether the root in an interval is one of the denominator, or makes the last filter zero."""
    low, high = interval
    values = (loss.denominator, *([loss.products[0]] if len(loss.products) == 1 else []))
    return any(
        (evaluate(value, low) > 0) != (evaluate(value, high) > 0) or not evaluate(value, high)
        for value in values
    )


def _point(
    network: PolynomialCNN,
    loss: ProjectedLoss,
    slope: Polynomial,
    interval: tuple[Fraction, Fraction],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
) -> CriticalPoint:
    low, high = interval
    before, after = evaluate(slope, low), evaluate(slope, high)
    if not after:  # the end of the interval is the root: look as far behind it
        after = evaluate(slope, high + (high - low) / 2)
    # dE/db = - slope / D^2
    kind: Kind = "degenerate"
    if before > 0 > after:
        kind = "minimum"
    elif before < 0 < after:
        kind = "saddle"
    middle = (low + high) / 2
    first = loss.direction(middle)
    index = network.windows
    hidden = (np.asarray(x, float)[:, index[0]] @ np.array(first)) ** network.degree
    features = hidden[:, index[1]].reshape(-1, network.filters[1])
    last = np.linalg.lstsq(features, np.asarray(y, float).reshape(-1), rcond=None)[0]
    return CriticalPoint(first, tuple(map(float, last)), float(loss.at(middle)), kind)
