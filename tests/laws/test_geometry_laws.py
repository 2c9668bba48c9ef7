"""Laws of the pullback metric that hold for every map and every input."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from repgeo.geometry import (
    ShallowNetwork,
    kernel_geometry,
    log_volume,
    pullback_metric,
    scalar_curvature,
    volume_report,
    volume_spectrum,
)

LIGHT = settings(max_examples=15, deadline=None, derandomize=True)
seeds = st.integers(0, 10_000)
inputs = st.integers(1, 4)


def _random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _orthogonal(seed, size):
    return torch.linalg.qr(_random(seed, size, size)).Q


def _invertible(seed, size):
    factors = torch.linspace(0.5, 2.0, size, dtype=torch.float64)
    return _orthogonal(seed, size) @ torch.diag(factors) @ _orthogonal(seed + 1, size)


def _net(seed, d, n):
    """A smooth network of two layers, and five inputs."""
    module = nn.Sequential(nn.Linear(d, 7), nn.Tanh(), nn.Linear(7, n), nn.Sigmoid()).double()
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            parameter.copy_(_random(seed + number, *parameter.shape))
    return module.eval(), _random(seed + 9, 5, d)


def _close(found, expected, tolerance=1e-8):
    scale = expected.abs().clamp(min=1.0)
    assert bool(((found - expected).abs() <= tolerance * scale).all()), (found, expected)


@LIGHT
@given(seeds, inputs, st.integers(1, 8))
def test_isometries_of_the_features_change_nothing(seed, d, n):
    f, x = _net(seed, d, n)
    Q, shift = _orthogonal(seed, n), _random(seed, n)
    moved = lambda x: f(x) @ Q.T + shift  # noqa: E731
    doubled = lambda x: torch.cat([f(x), f(x)], dim=1) / math.sqrt(2)  # noqa: E731
    for g in (moved, doubled):
        _close(pullback_metric(g, x), pullback_metric(f, x))
        _close(volume_spectrum(g, x)[:, : min(n, d)], volume_spectrum(f, x))
    _close(log_volume(moved, x), log_volume(f, x))


@LIGHT
@given(seeds, st.integers(2, 3), st.integers(4, 8))
def test_curvature_does_not_see_isometries_or_coordinates(seed, d, n):
    f, x = _net(seed, d, n)
    Q, A = _orthogonal(seed, n), _invertible(seed, d)
    # A curvature of large size comes with a metric that is nearly singular: fewer digits.
    expected, tolerance = scalar_curvature(f, x), 1e-5
    _close(scalar_curvature(lambda x: f(x) @ Q.T, x), expected, tolerance)
    moved = torch.linalg.solve(A, x.T).T
    _close(scalar_curvature(lambda y: f(y @ A.T), moved), expected, tolerance)
    bent = lambda y: f(y + 0.1 * (y**2).flip(1))  # noqa: E731
    origin = torch.zeros(1, d, dtype=torch.float64)
    _close(scalar_curvature(bent, origin), scalar_curvature(f, origin), tolerance)


@LIGHT
@given(seeds, inputs, st.integers(1, 8), st.floats(0.1, 10.0))
def test_scaling_the_features(seed, d, n, factor):
    f, x = _net(seed, d, n)
    found = log_volume(lambda x: factor * f(x), x)
    _close(found, log_volume(f, x) + min(n, d) * math.log(factor))


@LIGHT
@given(seeds, inputs, st.integers(0, 4))
def test_coordinates_shift_volumes_by_their_determinant(seed, d, more):
    f, x = _net(seed, d, d + more)
    A = _invertible(seed, d)
    moved = torch.linalg.solve(A, x.T).T
    found = log_volume(lambda y: f(y @ A.T), moved)
    _close(found, log_volume(f, x) + torch.linalg.slogdet(A).logabsdet)


@LIGHT
@given(seeds, inputs)
def test_coarea_shifts_under_multiples_of_rotations(seed, more):
    n = 2
    f, x = _net(seed, n + more, n)
    Q = 3.0 * _orthogonal(seed, n + more)
    moved = torch.linalg.solve(Q, x.T).T
    report = volume_report(lambda y: f(y @ Q.T), moved)
    assert report.kind == "coarea"
    _close(report.log_volume, log_volume(f, x) + n * math.log(3.0))


@LIGHT
@given(seeds, st.integers(1, 3))
def test_compositions_add_volumes(seed, d):
    f, x = _net(seed, d, d + 2)
    inner = lambda x: x + 0.3 * torch.sin(x).roll(1, dims=1)  # noqa: E731
    found = log_volume(lambda x: f(inner(x)), x)
    _close(found, log_volume(f, inner(x)) + log_volume(inner, x))


@LIGHT
@given(seeds, st.integers(2, 5), st.integers(1, 8), st.integers(1, 4))
def test_subspaces_have_no_more_than_the_largest_singular_values(seed, d, n, k):
    k = min(k, d, n)
    f, x = _net(seed, d, n)
    V = _orthogonal(seed, d)[:, :k]
    restricted = log_volume(f, x, subspace=V)
    assert bool((restricted <= log_volume(f, x, rank=k) + 1e-9).all())


@LIGHT
@given(seeds, inputs, st.integers(1, 8))
def test_samples_do_not_act_on_each_other(seed, d, n):
    f, x = _net(seed, d, n)
    alone = torch.cat([log_volume(f, point[None]) for point in x])
    _close(alone, log_volume(f, x), 1e-11)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    _close(log_volume(f, x[order]), log_volume(f, x)[order], 1e-11)
    twice = log_volume(f, x[[0, 0]])
    _close(twice[0], twice[1], 1e-12)


@LIGHT
@given(seeds, st.integers(2, 3))
def test_shallow_networks_do_not_see_the_order_of_their_units(seed, d):
    weight, bias, x = _random(seed, 9, d), _random(seed + 1, 9), _random(seed + 2, 4, d)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    nets = [
        ShallowNetwork(weight, bias, activation="tanh"),
        ShallowNetwork(weight[order], bias[order], activation="tanh"),
    ]
    values = [(net.log_volume(x), net.scalar_curvature(x)) for net in nets]
    _close(values[0][0], values[1][0])
    _close(values[0][1], values[1][1], 1e-6)


@LIGHT
@given(seeds, st.integers(2, 5), st.sampled_from(["erf", "tanh", "gelu", "sin"]), st.integers(1, 3))
def test_infinitely_wide_networks_are_the_same_in_all_directions(seed, d, activation, depth):
    made = kernel_geometry(activation, weight_var=0.9, bias_var=0.2, depth=depth)
    x, Q = _random(seed, 4, d), _orthogonal(seed, d)
    metric = made.metric(x)
    assert bool((torch.linalg.eigvalsh(metric) > 0).all())
    _close(made.metric(x @ Q.T), Q @ metric @ Q.T)
    _close(made.log_volume(x @ Q.T), made.log_volume(x))
    _close(made.scalar_curvature(x @ Q.T), made.scalar_curvature(x))
    _close(made.log_volume(x), 0.5 * torch.linalg.slogdet(metric).logabsdet)
