"""Lie derivatives of planted layers in closed form: what aliases, and how much.

A wave of frequency q, in cycles per period of n places, that a grid of N places shows as
q' = q - N round(q / N), moves with a shift at the rate 2π q / n where its alias would move at
2π q' / n. A layer that turns cos θ into the sum of c_m cos(m θ) has the local error
Σ c_m^2 ((m k - (m k)') 2π / n)^2 / 2, in the mean over phases.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import jv
from torch import Tensor

from repgeo.datasets.band_limited import band_limited
from repgeo.equivariance import lie_derivative, local_equivariance_error
from repgeo.errors import ConfigurationError, DatasetError
from repgeo.groups import PeriodicShift, Translations
from repgeo.models.building import build
from repgeo.models.planted_layer import planted_layer
from repgeo.models.pooling import make_pooling

N = 32
SHIFT = PeriodicShift(Translations(1))
HALVED = PeriodicShift(Translations(1), 0.5)
HARMONICS = np.arange(1, 400_001)
HALVING = ("stride", "average", "max", "blur", "max_blur", "ideal_pool")

Spectrum = tuple[np.ndarray, np.ndarray]  # frequencies and amplitudes


def alias(q: np.ndarray, places: int) -> np.ndarray:
    """How fast what the grid shows would move: the highest frequency of the grid does not."""
    seen = q - places * np.round(q / places)
    return np.where(2 * np.abs(seen) == places, 0, seen)


def error_of(spectrum: Spectrum, places: int) -> float:
    q, c = spectrum
    rates = 2 * math.pi / N * (q - alias(q, places))
    return float((c**2 * rates**2).sum() / 2)


def waves(low: int, high: int) -> Spectrum:
    q = np.arange(low, high + 1)
    return q, np.ones(len(q))


def harmonics_of(kind: str, k: int) -> Spectrum:
    """What a layer makes of cos θ."""
    m = HARMONICS
    even = np.where(m % 2 == 0, 1.0, 0.0)
    sign = np.where(m % 4 == 0, -1.0, 1.0)
    if kind == "relu":
        c = np.where(m == 1, 0.5, 2 * even * sign / (math.pi * np.maximum(m**2 - 1.0, 1)))
    elif kind == "square":
        c = np.where(m == 2, 0.5, 0.0)
    elif kind == "sine":
        c = np.zeros(len(m))
        c[:40:2] = 2 * jv(m[:40:2], 1.0)
    else:  # the largest of two neighbours: their mean, and half of the distance between them
        half = math.pi * k / N
        c = 4 * even / (math.pi * (m**2 - 1.0 + (m == 1))) * math.sin(half)
        c[0] = math.cos(half)
    return m * k, c


def expected(kind: str, low: int, high: int) -> float:
    """The local error of a layer on waves of a band (of one frequency, where it is not linear)."""
    q, c = waves(low, high)
    if kind in ("identity", "convolution", "ideal_pool", "ideal_square"):
        return 0.0
    if kind in ("stride", "average", "blur"):
        taps = {"stride": 0, "average": 1, "blur": 2}[kind]
        return error_of((q, c * np.cos(math.pi * q / N) ** taps), N // 2)
    assert low == high
    q, c = harmonics_of(kind, low)
    if kind == "max_blur":  # aliased at every place, blurred there, and aliased again
        seen = q - N * np.round(q / N)
        c = c * np.cos(math.pi * seen / N) ** 2
    return error_of((q, c), N // 2 if kind in HALVING else N)


def found(kind: str, low: int, high: int, seed: int = 0) -> Tensor:
    data = band_limited(seed=seed, length=N, low=1, high=15)
    net = build(planted_layer, {"kind": kind, "low": low, "high": high}, seed=0, dtype="float64")
    net.eval().requires_grad_(False)
    rep = HALVED if kind in HALVING else SHIFT
    return local_equivariance_error(net, data.test.x, rep_in=SHIFT, rep_out=rep)


@pytest.mark.parametrize(
    "kind", ["identity", "convolution", "stride", "average", "blur", "ideal_pool"]
)
@pytest.mark.parametrize(("low", "high"), [(1, 7), (9, 15), (1, 15), (8, 8)])
def test_linear_layers_alias_above_the_limit_of_the_lower_rate(kind: str, low, high) -> None:
    """Exact for each signal: of frequency n/4 alone the error depends on the phase."""
    errors = found(kind, low, high)
    closed = expected(kind, low, high)
    per_signal = 1e-12 if (low > 8 or high < 8) else math.inf
    assert float((errors - closed).abs().max()) <= per_signal
    assert float(errors.mean()) == pytest.approx(closed, rel=1e-12, abs=1e-25)
    if kind == "stride" and low == 9:
        assert closed == pytest.approx(7 * math.pi**2 / 2)
    if high < 8:
        assert float(errors.max()) < 1e-25


@pytest.mark.parametrize("kind", ["relu", "square", "sine", "max", "max_blur"])
@pytest.mark.parametrize("k", [2, 3, 5, 7, 11, 13])
def test_nonlinear_layers_alias_their_harmonics(kind: str, k: int) -> None:
    closed = expected(kind, k, k)
    errors = found(kind, k, k)
    # Kinks have harmonics without end, of which 255 phases mix some.
    tolerance = 1e-9 if kind in ("square", "sine") else 0.01
    assert float(errors.mean()) == pytest.approx(closed, rel=tolerance, abs=1e-20)


def test_what_the_dossier_of_aliases_says_of_squares() -> None:
    """Squares below n/4 are exact; above, π^2 / 2; computed at twice the resolution, 0."""
    assert expected("square", 5, 5) == 0.0
    assert expected("square", 11, 11) == pytest.approx(math.pi**2 / 2)
    assert float(found("square", 1, 7).max()) < 1e-20
    assert float(found("square", 1, 15).min()) > 1
    for low, high in ((1, 7), (11, 11), (1, 15)):
        assert float(found("ideal_square", low, high).max()) < 1e-20


def test_blur_is_between_striding_and_the_ideal() -> None:
    on_band = {kind: float(found(kind, 1, 15).mean()) for kind in HALVING}
    assert on_band["ideal_pool"] < 1e-25 < on_band["blur"] < on_band["average"] < on_band["stride"]
    assert on_band["max_blur"] < on_band["max"]
    # Of one wave: of smooth functions, harmonics fall off faster than those of a kink.
    smooth = {kind: float(found(kind, 3, 3).mean()) for kind in ("gelu", "tanh", "relu")}
    assert smooth["gelu"] < smooth["relu"] / 100
    assert smooth["tanh"] < smooth["relu"] / 100


def test_layers_that_halve_are_invariant_to_nothing_but_their_own_shifts() -> None:
    """Read with the shift of the full resolution, even an ideal layer is not equivariant."""
    data = band_limited(seed=0)
    net = planted_layer("ideal_pool").double()
    one = torch.ones(1, dtype=torch.float64)
    right = lie_derivative(net, data.test.x, one, rep_in=SHIFT, rep_out=HALVED)
    wrong = lie_derivative(net, data.test.x, one, rep_in=SHIFT, rep_out=SHIFT)
    assert float(right.abs().max()) < 1e-12
    assert float(wrong.abs().max()) > 0.1


@pytest.mark.parametrize("name", ["stride", "average", "max", "blur", "max_blur"])
def test_pooling_of_images_is_that_of_rows_and_columns(name: str) -> None:
    image = torch.randn(2, 3, 6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pooled = make_pooling(name, 2)(image)
    assert pooled.shape == (2, 3, 3, 4)
    line = make_pooling(name, 1)
    rows = torch.stack([line(image[:, :, i]) for i in range(6)], dim=2)
    both = torch.stack([line(rows[..., j]) for j in range(4)], dim=3)
    assert torch.allclose(pooled, both, atol=1e-14) == (name != "max_blur")
    shifted = make_pooling(name, 2)(image.roll((2, 2), dims=(2, 3)))
    assert torch.allclose(shifted, pooled.roll((1, 1), dims=(2, 3)), atol=1e-14)


def test_bad_bands_and_layers() -> None:
    with pytest.raises(DatasetError, match="must lie above 0 and below half the length"):
        band_limited(seed=0, length=16, high=8)
    with pytest.raises(DatasetError, match="test_size must be at least 1"):
        band_limited(seed=0, test_size=0)
    with pytest.raises(ConfigurationError, match="the band from 4 to 3 is empty"):
        planted_layer("stride", low=4, high=3)
    with pytest.raises(ConfigurationError, match="Did you mean 'square'"):
        planted_layer("sqare")
    with pytest.raises(ConfigurationError, match="Unknown pooling 'median'"):
        make_pooling("median", 1)
    one, two = (band_limited(seed=seed) for seed in (0, 1))
    assert one.digest == band_limited(seed=0).digest != two.digest
