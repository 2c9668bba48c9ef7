"""How fast singular values of the parameter derivative vanish as queries and keys shrink."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from repgeo.algebra.arithmetic import REAL
from repgeo.algebra.network import network_jacobian
from repgeo.algebra.self_attention import Attention
from repgeo.errors import InputError

__all__ = ["ContactOrder", "contact_spectrum", "predicted_contact"]

_FLOOR = 1e3 * np.finfo(np.float64).eps  # of the largest singular value: below is rounding


@dataclass(frozen=True)
class ContactOrder:
    """Singular values that vanish with one power of the scale.

    Attributes
    ----------
    order
        The slope of log s against log t, the mean of the group; infinite for those that are zero.
    multiplicity
        How many there are.
    predicted
        The predicted order; NaN where there is none for so many.
    spread
        The largest distance of a slope from its group's mean.
    """

    order: float
    multiplicity: int
    predicted: float
    spread: float


def predicted_contact(network: Attention) -> list[tuple[float, int]]:
    """Orders and multiplicities for deep softmax attention of equal widths.

    With Q = t U, K = t W and values the identity, layer i has order 2 3^(i - 1) - 1 with
    multiplicity a_i (2 d - a_i); the values together order 0 with d^2, and the rest, (l - 1) d^2 +
    sum a_i^2, is zero.

    Raises
    ------
    InputError
        For another network.

    References
    ----------
    P. V. Konda, "Identifiability and observability of deep normalized attention", a preprint whose
    prediction is put to the test here.

    Examples
    --------
    >>> from repgeo.algebra import attention
    >>> predicted_contact(attention([2, 2, 2], [1, 1], normalized=True))
    [(0.0, 4), (1.0, 3), (5.0, 3), (inf, 6)]
    """
    d = network.widths[0]
    plain = network.heads == 1 and not network.residual and network.value_rank is None
    if not plain or not network.normalized or set(network.widths) != {d} or network.causal:
        raise InputError(
            "Contact orders are predicted for softmax attention of one head with equal widths, "
            "without residuals or a causal mask."
        )
    ranks = [min(a, d) for a in network.ranks]
    orders = [(0.0, d * d)]
    orders += [(float(2 * 3**i - 1), a * (2 * d - a)) for i, a in enumerate(ranks)]
    rest = network.parameter_count - sum(count for _, count in orders)
    return [*orders, (math.inf, rest)]


def contact_spectrum(
    network: Attention,
    *,
    scales: Sequence[float] = (0.08, 0.04),
    inputs: int = 40,
    generator: np.random.Generator | None = None,
) -> tuple[ContactOrder, ...]:
    """The orders at which singular values vanish along Q = t U, K = t W, V = 1.

    Parameters
    ----------
    network
        Softmax attention of equal widths, one head.
    scales
        Two values of t, the larger first; slopes are taken between them.
    inputs
        How many normal inputs are differentiated at.
    generator
        For U, W and the inputs; a fixed one by default.

    Raises
    ------
    InputError
        For another network, or scales that do not decrease.

    Notes
    -----
    Orders beyond about 5 vanish in the rounding of float64 at scales small enough for slopes to be
    clean, and are then counted as zero: such layers cannot be told from gauges by singular values.

    Examples
    --------
    >>> from repgeo.algebra import attention
    >>> found = contact_spectrum(attention([2, 2], [1], normalized=True))
    >>> [(round(group.order, 1), group.multiplicity) for group in found]
    [(0.0, 4), (1.0, 3), (inf, 1)]
    """
    predicted = predicted_contact(network)
    if len(scales) != 2 or not scales[0] > scales[1] > 0:
        raise InputError(f"scales must be two positive numbers that decrease, got {list(scales)}.")
    draws = np.random.default_rng(0) if generator is None else generator
    x = REAL.draw((inputs, *network.input_shape), draws)
    base = network.draw(REAL, draws)
    spectra = []
    for t in scales:
        parameters = {
            name: np.eye(network.widths[0]) if name.startswith("V") else t * value
            for name, value in base.items()
        }
        jacobian = network_jacobian(network, parameters, x, REAL)
        spectra.append(np.linalg.svd(jacobian, compute_uv=False))
    kept = min(int((values > _FLOOR * values[0]).sum()) for values in spectra)
    ratio = math.log(scales[0] / scales[1])
    slopes = np.sort(np.log(spectra[0][:kept] / spectra[1][:kept]) / ratio)
    return _grouped(slopes, network.parameter_count - kept, predicted)


def _grouped(
    slopes: np.ndarray, zeros: int, predicted: Sequence[tuple[float, int]]
) -> tuple[ContactOrder, ...]:
    """Slopes in groups, each at the predicted order that is nearest."""
    orders = np.array([order for order, _ in predicted if math.isfinite(order)])
    nearest = np.abs(orders[:, None] - slopes).argmin(axis=0)
    found = []
    for place, order in enumerate(orders.tolist()):
        own = slopes[nearest == place]
        if len(own):
            mean = float(own.mean())
            found.append(ContactOrder(mean, len(own), order, float(np.abs(own - mean).max())))
    return (*found, ContactOrder(math.inf, zeros, math.inf, 0.0))
