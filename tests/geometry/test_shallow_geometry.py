"""Networks of one hidden layer: closed forms against automatic differentiation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from repgeo.errors import InputError
from repgeo.geometry import (
    ShallowNetwork,
    kernel_geometry,
    log_volume,
    pullback_metric,
    scalar_curvature,
)


def _random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _network(n, d, activation):
    return ShallowNetwork(_random(n, d, seed=1), _random(n, seed=2), activation=activation)


@pytest.mark.parametrize("activation", ["erf_sqrt2", "sigmoid", "tanh", "gelu", "sin"])
@pytest.mark.parametrize(("n", "d"), [(60, 2), (25, 3), (12, 5)])
def test_agrees_with_automatic_differentiation(activation, n, d):
    net, x = _network(n, d, activation), _random(50, d)
    torch.testing.assert_close(net.metric(x), pullback_metric(net, x), rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(net.log_volume(x), log_volume(net, x), rtol=0, atol=1e-10)
    expected = scalar_curvature(net, x)
    torch.testing.assert_close(net.scalar_curvature(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("n", "d"), [(40, 1), (40, 2), (15, 3), (4, 4)])
def test_the_sum_over_subsets(n, d):
    net, x = _network(n, d, "sigmoid"), _random(20, d)
    torch.testing.assert_close(net.log_volume_by_subsets(x), net.log_volume(x), rtol=0, atol=1e-10)


def test_the_sum_over_triples_of_units():
    """R = -(1/det^2 g) sum_ijk m_jk^2 m_ij m_ik phi'_i^2 phi'_j phi'_k phi''_j phi''_k (d = 2)."""
    net, x = _network(9, 2, "tanh"), _random(6, 2)
    z = x @ net.weight.T + net.bias
    first, second = 1 - z.tanh() ** 2, -2 * z.tanh() * (1 - z.tanh() ** 2)
    w = net.weight
    m = w[:, None, 0] * w[None, :, 1] - w[:, None, 1] * w[None, :, 0]
    both = first * second
    total = torch.einsum("jk,ij,ik,bi,bj,bk->b", m**2, m, m, first**2, both, both)
    expected = -total / torch.linalg.det(net.metric(x)) ** 2
    torch.testing.assert_close(net.scalar_curvature(x), expected, rtol=1e-10, atol=1e-12)


def test_wide_networks_approach_the_kernel():
    """20,000 units, weights of variance 1: features divided by sqrt(n)."""
    n, d = 20_000, 2
    net, x = _network(n, d, "erf_sqrt2"), _random(5, d, seed=4)
    limit = kernel_geometry("erf_sqrt2", bias_var=1.0)
    shift = -d / 2 * math.log(n)
    difference = net.log_volume(x) + shift - limit.log_volume(x)
    assert float(difference.abs().max()) < 5 * d / math.sqrt(n)
    # The curvature of features divided by sqrt(n) is n times larger.
    expected = limit.scalar_curvature(x)
    error = (n * net.scalar_curvature(x) - expected).abs() / (1 + expected.abs())
    assert float(error.max()) < 50 / math.sqrt(n)


def test_chunks_do_not_matter(monkeypatch):
    net, x = _network(20, 3, "tanh"), _random(30, 3)
    expected = net.log_volume(x), net.scalar_curvature(x), net.log_volume_by_subsets(x)
    monkeypatch.setattr("repgeo.geometry.shallow.MEMORY_BUDGET", 1)
    found = net.log_volume(x), net.scalar_curvature(x), net.log_volume_by_subsets(x)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("stretch", [1.0, 30.0, 1e3, 1e5])
def test_curvature_of_metrics_of_any_condition(stretch):
    """A stretched input space has the same curvature; the metric is conditioned as its square.

    Up to a hundred sums of powers of the weights are used, beyond that the QR factors.
    """
    weight, bias, x = _random(30, 3, seed=1), _random(30, seed=2), _random(40, 3)
    scale = torch.tensor([1.0, 1.0, stretch], dtype=torch.float64)
    expected = ShallowNetwork(weight, bias, activation="tanh").scalar_curvature(x)
    stretched = ShallowNetwork(weight * scale, bias, activation="tanh")
    found = stretched.scalar_curvature(x / scale)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_curvature_by_powers_is_that_by_frames(monkeypatch):
    net, x = _network(60, 4, "gelu"), _random(50, 4)
    by_powers = net.scalar_curvature(x)
    monkeypatch.setattr("repgeo.geometry.shallow._MOST_INPUTS", 0)
    torch.testing.assert_close(net.scalar_curvature(x), by_powers, rtol=1e-11, atol=1e-11)
    monkeypatch.setattr("repgeo.geometry.shallow._CACHED", 1)
    torch.testing.assert_close(net.scalar_curvature(x), by_powers, rtol=1e-11, atol=1e-11)


def test_rectifiers_have_curvature_zero_and_dead_points_none():
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    net = ShallowNetwork(weight, activation=nn.ReLU())
    x = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    found = net.scalar_curvature(x)
    assert found[0].item() == 0.0
    assert math.isnan(found[1].item())
    assert net.log_volume(x).tolist() == [0.0, -math.inf]


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match=r"bias must be \(4,\)"):
        ShallowNetwork(_random(4, 2), _random(3))
    with pytest.raises(InputError, match=r"weight must be floating point \(n, d\)"):
        ShallowNetwork(_random(4))
    with pytest.raises(InputError, match=r"Inputs must be \(B, 2\)"):
        ShallowNetwork(_random(4, 2)).metric(_random(3, 3))
    with pytest.raises(InputError, match="1 units of 2 inputs have a degenerate metric"):
        ShallowNetwork(_random(1, 2)).scalar_curvature(_random(3, 2))
    with pytest.raises(InputError, match=r"subsets of 4: too many\. Use log_volume"):
        ShallowNetwork(_random(100, 4)).log_volume_by_subsets(_random(3, 4))
