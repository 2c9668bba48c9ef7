"""Infinitely wide networks and kernels: closed forms, autodiff of the kernel, finite networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from repgeo.errors import InputError
from repgeo.geometry import (
    PrecisionWarning,
    dot_product_geometry,
    kernel_geometry,
    kernel_metric,
    leaky_relu,
    log_volume,
    monomial,
    polynomial_geometry,
    rbf_geometry,
    rescaled_metric,
    scalar_curvature,
)
from repgeo.geometry.moments import ACTIVATIONS, derivatives


def _random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("d", [2, 3, 5])
@pytest.mark.parametrize(("weight_var", "bias_var"), [(1.0, 0.0), (0.7, 0.4)])
def test_erf_in_closed_form(d, weight_var, bias_var):
    x = _random(20, d)
    r = x.square().sum(dim=1)
    s = weight_var * r + bias_var
    found = kernel_geometry("erf_sqrt2", weight_var=weight_var, bias_var=bias_var)
    volume = (
        (2 * weight_var / math.pi) ** (d / 2)
        * (1 + 2 * s) ** (-d / 4)
        * torch.sqrt((1 + 2 * bias_var) / (1 + 2 * s))
    )
    torch.testing.assert_close(found.log_volume(x), volume.log(), rtol=0, atol=1e-12)
    curvature = (
        -(math.pi / 2) * (d - 1) * (d + 2) * weight_var * r
        / ((1 + 2 * bias_var) * torch.sqrt(1 + 2 * s))
    )  # fmt: skip
    torch.testing.assert_close(found.scalar_curvature(x), curvature, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_rectifiers_are_flat_at_any_depth(depth):
    x = _random(5, 3)
    for activation, half in ((ACTIVATIONS["relu"], 0.5), (leaky_relu(0.2), 0.52)):
        made = kernel_geometry(activation, weight_var=1.5, bias_var=0.3, depth=depth)
        expected = ((1.5 * half) ** depth * torch.eye(3).double()).expand(5, 3, 3)
        torch.testing.assert_close(made.metric(x), expected, rtol=1e-13, atol=1e-14)
        assert torch.equal(made.scalar_curvature(x), torch.zeros(5, dtype=torch.float64))


@pytest.mark.parametrize("q", [2, 3, 4])
@pytest.mark.parametrize("d", [2, 3, 4])
def test_monomials_in_closed_form(q, d):
    x = _random(6, d)
    made = kernel_geometry(monomial(q), weight_var=0.8)
    r = x.square().sum(dim=1)
    factor = 0.8 * q**2 * math.prod(range(2 * q - 3, 0, -2)) * (0.8 * r) ** (q - 1)
    volume = math.sqrt(2 * q - 1) * factor ** (d / 2)
    torch.testing.assert_close(made.log_volume(x), volume.log(), rtol=0, atol=1e-12)
    curvature = -(d - 1) * (d - 2) * (q - 1) ** 2 / ((2 * q - 1) * r * factor)
    torch.testing.assert_close(made.scalar_curvature(x), curvature, rtol=1e-11, atol=1e-12)


def test_the_apex_of_a_cone_is_degenerate():
    made = kernel_geometry(monomial(2))
    x = torch.zeros(1, 3, dtype=torch.float64)
    assert made.log_volume(x).item() == -math.inf
    with pytest.warns(PrecisionWarning, match="degenerate at 1 of 1"):
        assert math.isnan(made.scalar_curvature(x).item())


def test_the_origin_is_isotropic():
    x = torch.zeros(1, 3, dtype=torch.float64)
    for name in ("erf", "tanh", "gelu", "sigmoid"):
        made = kernel_geometry(name, weight_var=0.7, bias_var=0.4)
        metric = made.metric(x)[0]
        torch.testing.assert_close(metric, metric[0, 0] * torch.eye(3).double())
        assert math.isfinite(made.scalar_curvature(x).item())


def _arcsine_kernel(depth, weight_var, bias_var):
    """The kernel of a deep network with erf(z / sqrt 2), from its covariances."""

    def kernel(x, y):
        xx, xy, yy = x @ x, x @ y, y @ y
        for _ in range(depth):
            xx, xy, yy = (weight_var * value + bias_var for value in (xx, xy, yy))
            root = torch.sqrt((1 + xx) * (1 + yy))
            xx, xy, yy = (
                2 / math.pi * torch.asin(value)
                for value in (xx / (1 + xx), xy / root, yy / (1 + yy))
            )
        return xy

    return kernel


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_deep_metrics_are_the_mixed_derivative_of_the_kernel(depth):
    x = _random(4, 3)
    expected = kernel_metric(_arcsine_kernel(depth, 1.3, 0.2), x)
    found = kernel_geometry("erf_sqrt2", weight_var=1.3, bias_var=0.2, depth=depth).metric(x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("d", [2, 3])
def test_curvature_of_radial_metrics_by_differences(depth, d):
    """Against -2(d-1) B''/B + (d-1)(d-2)(1-B'^2)/B^2, B = sqrt(a r), by central differences."""
    made = kernel_geometry("tanh", weight_var=1.3, bias_var=0.2, depth=depth)
    step = 1e-3
    radius = torch.tensor([0.8]).double() + step * torch.arange(-2, 3).double()

    profile = made.profile(radius.square())
    B, A = (profile.a.sqrt() * radius), (profile.a + profile.b * radius**2).sqrt()
    slope = ((B[2:] - B[:-2]) / (2 * step)) / A[1:-1]  # dB / d(arc length)
    bend = ((slope[2] - slope[0]) / (2 * step)) / A[2]
    expected = -2 * (d - 1) * bend / B[2] + (d - 1) * (d - 2) * (1 - slope[1] ** 2) / B[2] ** 2
    x = torch.zeros(1, d, dtype=torch.float64)
    x[0, 0] = 0.8
    found = made.scalar_curvature(x)
    assert found.item() == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("name", ["erf_sqrt2", "relu", "tanh", "gelu", "sigmoid", "softplus"])
def test_wide_networks_by_monte_carlo(name):
    """n random units against the limit: relative Frobenius error below 5 / sqrt(n)."""
    n, d = 100_000, 3
    x = _random(1, d, seed=1)
    weight, bias = math.sqrt(1.2) * _random(n, d, seed=2), math.sqrt(0.3) * _random(n, seed=3)
    slopes = torch.func.jvp(
        ACTIVATIONS[name].function, (x @ weight.T + bias,), (torch.ones(1, n).double(),)
    )[1]
    sampled = (slopes[0, :, None] * weight).T @ (slopes[0, :, None] * weight) / n
    limit = kernel_geometry(name, weight_var=1.2, bias_var=0.3).metric(x)[0]
    assert float((sampled - limit).norm() / limit.norm()) < 5 / math.sqrt(n)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "gelu", "softplus"])
@pytest.mark.parametrize("s", [1e-3, 0.5, 1.0, 2.0, 100.0])
def test_quadrature_against_many_panels(name, s):
    """V and C by Gauss-Legendre on 4,000 panels; their derivatives by central differences."""
    activation = ACTIVATIONS[name]

    def slope(z):
        return torch.func.jvp(activation.function, (z,), (torch.ones_like(z),))[1]

    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(16))
    centres = (torch.arange(4000).double() + 0.5) * 0.006 - 12  # panels of width 0.006
    u = (centres[:, None] + 0.003 * nodes).flatten()
    density = 0.003 * weights.repeat(4000) * torch.exp(-0.5 * u**2) / math.sqrt(2 * math.pi)

    def expected(function, s):
        return float((density * function(math.sqrt(s) * u) ** 2).sum())

    point = torch.tensor([s], dtype=torch.float64)
    step = 1e-3 * s
    for function, found in (
        (activation.function, activation.square_moments(point)),
        (slope, activation.slope_moments(point)),
    ):
        low, middle, high = (expected(function, s + k * step) for k in (-1, 0, 1))
        assert found[0].item() == pytest.approx(middle, rel=1e-10)
        assert found[1].item() == pytest.approx((high - low) / (2 * step), rel=1e-5)


def test_quadrature_for_large_inputs():
    """Where Gauss-Hermite rules and cut-off ranges fail; limits: 1/2 plus O(1/sqrt s)."""
    s = torch.tensor([1e4, 1e8], dtype=torch.float64)
    gelu, softplus = (ACTIVATIONS[name].slope_moments(s)[0] for name in ("gelu", "softplus"))
    # To first order in 1 / sqrt(s): density at 0 times the integral of phi'^2 - [z > 0].
    # softplus: integral of -sigma (1 - sigma) = -1.
    density = (2 * math.pi * s) ** -0.5
    torch.testing.assert_close(softplus, 0.5 - density, rtol=0, atol=1e-5)
    assert 0.5 < float(gelu[0]) < 0.501
    # sigmoid: integral of (sigma (1 - sigma))^2 = 1/6.
    sigmoid = ACTIVATIONS["sigmoid"].slope_moments(s)
    torch.testing.assert_close(sigmoid[0], density / 6, rtol=1e-3, atol=0)
    torch.testing.assert_close(sigmoid[1], -density / 12 / s, rtol=1e-3, atol=0)
    torch.testing.assert_close(sigmoid[2], density / 8 / s**2, rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", ["erf", "erf_sqrt2", "sin"])
def test_closed_moments_against_quadrature(name):
    """The closed forms and the trapezoidal rule on the same function."""
    import dataclasses

    closed = ACTIVATIONS[name]
    asymptote = 1.0 if name.startswith("erf") else 0.0
    rule = dataclasses.replace(
        closed, square_moment=None, slope_moment=None, square_asymptote=(asymptote, 0.0)
    )
    s = torch.tensor([0.0, 0.3, 1.0, 3.0], dtype=torch.float64)
    for kind in ("square_moments", "slope_moments"):
        for found, expected in zip(getattr(rule, kind)(s), getattr(closed, kind)(s), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "gelu", "softplus"])
def test_jets_against_automatic_differentiation(name):
    activation = ACTIVATIONS[name]
    z = torch.linspace(-5, 5, 21, dtype=torch.float64)
    expected = derivatives(activation.function, 5)(z)
    for found, wanted in zip(activation.jet(z), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-13)


def test_dot_product_and_polynomial_kernels():
    x = _random(4, 3)
    made = dot_product_geometry(torch.exp)
    expected = kernel_metric(lambda x, y: torch.exp(x @ y), x)
    torch.testing.assert_close(made.metric(x), expected)
    for q in (2, 3):
        r = x.square().sum(dim=1)
        found = polynomial_geometry(q).scalar_curvature(x)
        torch.testing.assert_close(found, -2 * (q - 1) / (q * r**q), rtol=1e-11, atol=0)
    made = polynomial_geometry(3, offset=0.5)
    expected = kernel_metric(lambda x, y: (x @ y + 0.5) ** 3, x)
    torch.testing.assert_close(made.metric(x), expected)


def test_the_curvature_of_a_quadratic_kernel_is_that_of_its_features():
    """(x . y)^2 has the features x_i x_j; (x . y + c)^2 also sqrt(2c) x_i."""
    x = _random(4, 2)

    def features(x):
        squares = (x[:, :, None] * x[:, None, :]).flatten(1)
        return torch.cat([squares, math.sqrt(0.8) * x], dim=1)

    made = polynomial_geometry(2, offset=0.4)
    torch.testing.assert_close(
        made.scalar_curvature(x), scalar_curvature(features, x), rtol=1e-10, atol=1e-12
    )
    torch.testing.assert_close(made.log_volume(x), log_volume(features, x), rtol=0, atol=1e-12)


def test_stationary_kernels_are_flat():
    x = _random(4, 3)
    made = rbf_geometry(0.7)
    expected = kernel_metric(lambda x, y: torch.exp(-(x - y).square().sum() / 2 / 0.49), x)
    torch.testing.assert_close(made.metric(x), expected)
    assert torch.equal(made.scalar_curvature(x), torch.zeros(4, dtype=torch.float64))
    torch.testing.assert_close(made.log_volume(x), torch.full((4,), -3 * math.log(0.7)).double())


def test_rescaled_kernels():
    x = _random(4, 3)

    def kernel(x, y):
        return torch.exp(x @ y) + (x @ y + 0.3) ** 2

    def scale(x):
        return torch.exp(-0.3 * (x - 0.4).square().sum())

    found = rescaled_metric(kernel, scale, x)
    expected = kernel_metric(lambda x, y: scale(x) * scale(y) * kernel(x, y), x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


def test_many_dimensions_and_dtypes():
    x = (10 * _random(3, 784)).float()
    made = kernel_geometry("sigmoid")
    assert made.log_volume(x).dtype == torch.float64
    assert bool(made.log_volume(x).isfinite().all())
    assert made.metric(x).dtype == torch.float32
    assert made.scalar_curvature(x).dtype == torch.float32


def test_many_inputs_are_treated_in_parts(monkeypatch):
    x = _random(7, 3)
    expected = kernel_geometry("gelu", depth=2).scalar_curvature(x)
    monkeypatch.setattr("repgeo.geometry.moments._POINTS", 3)
    found = kernel_geometry("gelu", depth=2).scalar_curvature(x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match=r"Unknown activation 'tahn'\. Did you mean 'tanh'"):
        kernel_geometry("tahn")
    with pytest.raises(InputError, match="weight_var must be positive"):
        kernel_geometry("tanh", weight_var=0.0)
    with pytest.raises(InputError, match="depth counts hidden layers"):
        kernel_geometry("tanh", depth=0)
    with pytest.raises(InputError, match="The degree of a monomial must be at least 1"):
        monomial(0)
    with pytest.raises(InputError, match="The degree must be at least 1"):
        polynomial_geometry(0)
    with pytest.raises(InputError, match="length scale must be positive"):
        rbf_geometry(0.0)
    with pytest.raises(InputError, match=r"Inputs must be floating point \(B, d\)"):
        rbf_geometry(1.0).metric(torch.zeros(2, 2, 2))
