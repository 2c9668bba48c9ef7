"""Scalar curvature: against the Christoffel formula, flags, degenerate points, refusals."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from repgeo.errors import InputError, NonFiniteError
from repgeo.geometry import PrecisionWarning, curvature_report, scalar_curvature


def _random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _network(*widths, activation=nn.Sigmoid, seed=0):
    layers = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), activation()]
    module = nn.Sequential(*layers).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return module


def _by_christoffel_symbols(f, point):
    """R at one point `(d,)` by the textbook formula, with nested automatic differentiation."""

    def metric(x):
        J = torch.func.jacfwd(lambda t: f(t[None])[0])(x)
        return J.T @ J

    def christoffel(x):
        g, dg = metric(x), torch.func.jacfwd(metric)(x)  # dg[a, b, c] = d g_ab / d x_c
        lowered = 0.5 * (dg.permute(0, 2, 1) + dg - dg.permute(2, 0, 1))  # (a, j, k)
        return torch.einsum("ia,ajk->ijk", torch.linalg.inv(g), lowered)

    gamma, dgamma = christoffel(point), torch.func.jacfwd(christoffel)(point)
    ricci = (
        torch.einsum("ijli->jl", dgamma)
        - torch.einsum("iijl->jl", dgamma)
        + torch.einsum("iip,pjl->jl", gamma, gamma)
        - torch.einsum("ilp,pij->jl", gamma, gamma)
    )
    return torch.einsum("jl,jl->", torch.linalg.inv(metric(point)), ricci)


@pytest.mark.parametrize(("widths", "seed"), [((2, 8, 8), 0), ((2, 8, 8), 1), ((3, 12, 12), 2)])
@pytest.mark.parametrize("recognised", [True, False])
def test_agrees_with_the_christoffel_formula(widths, seed, recognised):
    net = _network(*widths, seed=seed)
    f = net if recognised else lambda x: 1.0 * net(x)
    x = _random(4, widths[0], seed=3)
    expected = torch.stack([_by_christoffel_symbols(net, point) for point in x])
    torch.testing.assert_close(scalar_curvature(f, x), expected, rtol=1e-8, atol=1e-8)


def test_a_plane_is_the_map_restricted_to_it():
    net = _network(5, 9, 7, activation=nn.Tanh)
    x = _random(3, 5, seed=1)
    V = torch.linalg.qr(_random(5, 2, seed=2)).Q
    found = scalar_curvature(net, x, subspace=V)
    expected = [
        scalar_curvature(lambda t, point=point: net(point + t @ V.T), torch.zeros(1, 2).double())
        for point in x
    ]
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-9, atol=1e-10)
    several = V.expand(3, 5, 2)
    torch.testing.assert_close(scalar_curvature(net, x, subspace=several), found)


def test_images_and_attention_on_a_plane():
    """No chain of plain layers: nested forward mode, against a small step in the plane."""
    f = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Softplus(), nn.AvgPool2d(2)
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in f.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    f = nn.Sequential(f, nn.Flatten()).double().eval()
    x, V = _random(2, 1, 4, 4), torch.linalg.qr(_random(16, 2, seed=1)).Q
    for point, found in zip(x, scalar_curvature(f, x, subspace=V), strict=True):
        plane = lambda t, point=point: f(point + (t @ V.T).reshape(-1, 1, 4, 4))  # noqa: E731
        expected = _by_christoffel_symbols(plane, torch.zeros(2).double())
        assert found.item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-9)
    encoder = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, activation="gelu")
    encoder = nn.Sequential(encoder, nn.Flatten()).double().eval()
    x, V = _random(2, 3, 4), torch.linalg.qr(_random(12, 2, seed=1)).Q
    assert bool(scalar_curvature(encoder, x, subspace=V).isfinite().all())


def test_rectifiers_are_flagged_and_flat():
    report = curvature_report(_network(2, 9, 9, activation=nn.ReLU, seed=1), _random(6, 2))
    assert report.scalar_curvature.tolist() == [0.0] * 6
    assert bool(report.piecewise_linear.all())
    smooth = curvature_report(_network(2, 9), _random(6, 2))
    assert not bool(smooth.piecewise_linear.any())
    assert bool((smooth.condition >= 1.0).all())


def test_degenerate_points_are_nan_and_warned_of():
    with pytest.warns(PrecisionWarning, match="degenerate at 1 of 2 inputs"):
        report = curvature_report(
            lambda x: torch.cat([x**3, x[:, :1] * x], dim=1),
            torch.tensor([[0.0, 0.0], [1.0, 2.0]], dtype=torch.float64),
        )
    assert math.isnan(report.scalar_curvature[0].item())
    assert report.condition[0].item() == math.inf
    assert math.isfinite(report.scalar_curvature[1].item())


def test_small_memory_budgets_change_nothing():
    net, x = _network(3, 8, 8), _random(7, 3)
    for f in (net, lambda x: 1.0 * net(x)):
        found = curvature_report(f, x, memory_budget=1).scalar_curvature
        torch.testing.assert_close(found, scalar_curvature(f, x), rtol=1e-9, atol=1e-9)


def test_float32_keeps_the_dtype_and_most_digits():
    net, x = _network(2, 60, activation=nn.Tanh), _random(50, 2)
    exact = scalar_curvature(net, x)
    found = scalar_curvature(net.float(), x.float())
    assert found.dtype == torch.float32
    error = (found - exact).abs() / (exact.abs() + 1e-3)
    assert float(error.median()) < 1e-4


def test_fewer_features_than_inputs_need_a_subspace():
    net, x = _network(5, 3), _random(2, 5)
    with pytest.raises(InputError, match=r"3 features of 5 inputs.*subspace=V"):
        scalar_curvature(net, x)
    V = torch.linalg.qr(_random(5, 2)).Q
    assert scalar_curvature(net, x, subspace=V).shape == (2,)
    with pytest.raises(InputError, match="must be orthonormal"):
        scalar_curvature(net, x, subspace=2 * V)


def test_infinite_second_derivatives_are_refused():
    with pytest.raises(NonFiniteError, match="not twice differentiable"):
        scalar_curvature(lambda x: x.abs() ** 1.5, torch.zeros(1, 1, dtype=torch.float64))
