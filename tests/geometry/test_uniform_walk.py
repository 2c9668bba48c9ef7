"""Uniform samples of classes: closed forms of their averages, and what the checks are for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, stats
from torch import nn

from repgeo.errors import InputError, NonFiniteError
from repgeo.geometry import uniform_walk
from repgeo.geometry.feature_map import FeatureMap
from repgeo.geometry.walks.uniform_walk import _Chains

DOUBLE = torch.float64


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=DOUBLE)


def square_norm(x):
    return x.square().sum(dim=1, keepdim=True)


# --- the torus --------------------------------------------------------------------------------

MAJOR, MINOR = 1.0, 0.5


def torus(x):
    return ((x[:, :2].norm(dim=1) - MAJOR) ** 2 + x[:, 2] ** 2)[:, None]


def tube_cosine(points):
    """cos theta of points, theta the angle around the tube."""
    return (points[..., :2].norm(dim=-1) - MAJOR) / MINOR


def on_the_torus(count: int, seed: int):
    """Uniform points: the area element is proportional to R + r cos theta."""
    draws = seeded(seed)
    theta, phi, chance = 2 * math.pi * torch.rand(3, 4 * count, generator=draws, dtype=DOUBLE)
    keep = chance / (2 * math.pi) < (MAJOR + MINOR * theta.cos()) / (MAJOR + MINOR)
    theta, phi = theta[keep][:count], phi[keep][:count]
    radius = MAJOR + MINOR * theta.cos()
    return torch.stack([radius * phi.cos(), radius * phi.sin(), MINOR * theta.sin()], dim=1)


def mean_and_error(values):
    """Of independent chains, averaged along each, `(K, B)`."""
    each = values.mean(dim=0)
    return each.mean().item(), each.std().item() / len(each) ** 0.5


def test_the_torus_is_sampled_evenly_with_the_checks_and_not_without():
    """E[cos theta] = r / 2R = 1/4 for the uniform distribution, from which all chains start.

    300 chains of 150 steps at s = 0.5; the standard error, estimated from the chains, is about
    0.01. Without the checks the mean falls short by about ten of it; four are asked for.
    """
    x = on_the_torus(300, seed=3)
    checked = uniform_walk(torus, x, steps=150, step_size=0.5, generator=seeded(4))
    mean, error = mean_and_error(tube_cosine(checked.points))
    assert error < 0.015
    assert abs(mean - MINOR / (2 * MAJOR)) < 4 * error
    assert checked.drift.max() < 1e-13
    assert 0.4 < checked.acceptance.mean() < 0.9
    assert checked.irreversible.sum() > 0
    assert checked.rejected.sum() > 0
    plain = _Chains(FeatureMap(torus, x), 0.5, None, checks_return=False, weighs=False)
    biased, error = mean_and_error(tube_cosine(plain.run(150, seeded(4), x.shape).points))
    assert biased < MINOR / (2 * MAJOR) - 4 * error


def test_chains_forget_their_start():
    """All from one point of the inner equator; half of the steps are left out."""
    x = torch.tensor([[MAJOR - MINOR, 0.0, 0.0]], dtype=DOUBLE).expand(100, 3)
    walk = uniform_walk(torus, x, steps=100, step_size=0.4, generator=seeded(1))
    mean, error = mean_and_error(tube_cosine(walk.points[50:]))
    assert error < 0.05
    assert abs(mean - MINOR / (2 * MAJOR)) < 4 * error


# --- other closed forms -----------------------------------------------------------------------


def test_an_ellipse_is_sampled_by_arc_length():
    """The mean of x^2 over the arc length of x^2 / 4 + y^2 = 1, within 4 standard errors."""
    x = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=DOUBLE)
    x = x.repeat(30, 1)
    walk = uniform_walk(
        lambda x: (x[:, :1] / 2) ** 2 + x[:, 1:] ** 2,
        x,
        steps=100,
        step_size=0.5,
        generator=seeded(2),
    )
    speed = lambda t: math.hypot(2 * math.sin(t), math.cos(t))  # noqa: E731
    length = integrate.quad(speed, 0, 2 * math.pi)[0]
    expected = integrate.quad(lambda t: 4 * math.cos(t) ** 2 * speed(t), 0, 2 * math.pi)[0] / length
    mean, error = mean_and_error(walk.points[30:, :, 0].square())
    assert error < 0.1
    assert abs(mean - expected) < 4 * error


def test_the_retraction_is_along_the_normals_of_the_base():
    """On the sphere x + v goes to sqrt(1 - |v|^2) x + v, not to the nearest point.

    So E[x_k . x_0] = (E sqrt(1 - |v|^2))^k, with |v| / s of a chi distribution; the nearest point
    would give (E (1 + |v|^2)^(-1/2))^k. Nothing is rejected: the way back has the same length.
    """
    n, s, k, chains = 4, 0.15, 8, 4000
    x = torch.zeros(chains, n, dtype=DOUBLE)
    x[:, 0] = 1.0
    walk = uniform_walk(square_norm, x, steps=k, step_size=s, generator=seeded(5))
    assert walk.rejected.sum() == 0
    assert walk.accepted.double().mean() > 1 - 1e-4
    chi = stats.chi(n - 1, scale=s)
    expected = chi.expect(lambda t: math.sqrt(max(0.0, 1 - t * t))) ** k
    nearest = chi.expect(lambda t: (1 + t * t) ** -0.5) ** k
    found = walk.points[-1, :, 0]
    error = found.std().item() / chains**0.5
    assert abs(found.mean().item() - expected) < 4 * error
    assert abs(found.mean().item() - nearest) > 4 * error


def test_on_a_flat_class_steps_are_gaussian_and_all_accepted():
    """|x_K - x_0|^2 / (K s^2) is chi-square with n degrees of freedom."""
    A = normal(3, 8)
    x = normal(400, 8, seed=1)
    walk = uniform_walk(lambda x: x @ A.T, x, steps=6, step_size=0.3, generator=seeded(2))
    assert bool(walk.accepted.all())
    assert walk.acceptance.tolist() == [1.0] * 400
    assert walk.null_dim.tolist() == [5] * 400
    assert walk.drift.max() < 1e-13
    moved = (walk.points[-1] - walk.points[0]).square().sum(dim=1) / (6 * 0.3**2)
    assert abs(moved.mean().item() - 5) < 4 * math.sqrt(2 * 5 / 400)


# --- the algorithm ----------------------------------------------------------------------------


def reference(x: np.ndarray, draws: np.ndarray, chances: np.ndarray, s: float) -> list[np.ndarray]:
    """One chain on the torus, as in the paper, with scipy's solver and the gradient written out."""

    def f(p):
        return (math.hypot(p[0], p[1]) - MAJOR) ** 2 + p[2] ** 2 - MINOR**2

    def gradient(p):
        rho = math.hypot(p[0], p[1])
        return np.array([2 * (rho - MAJOR) * p[0] / rho, 2 * (rho - MAJOR) * p[1] / rho, 2 * p[2]])

    def tangent(p, w):
        g = gradient(p)
        return w - g * (g @ w) / (g @ g)

    def project(p, v):
        g = gradient(p)
        root = optimize.root(lambda a: f(p + v + a[0] * g), [0.0], tol=1e-12).x[0]
        y = p + v + root * g
        return y if abs(f(y)) < 1e-10 else None

    path = [x]
    for w, chance in zip(draws, chances, strict=True):
        v = tangent(x, s * w)
        y = project(x, v)
        if y is not None:
            back = tangent(y, x - y)
            again = project(y, back)
            odds = math.exp((v @ v - back @ back) / (2 * s * s))
            if again is not None and np.linalg.norm(again - x) < 1e-6 and chance < odds:
                x = y
        path.append(x)
    return path


def test_the_path_is_that_of_a_plain_implementation():
    """The same draws, another solver. Steps are short, so that both find the same roots."""
    steps, s = 60, 0.15
    x = on_the_torus(3, seed=8)
    walk = uniform_walk(torus, x, steps=steps, step_size=s, generator=seeded(9))
    assert walk.rejected.sum() > 0
    draws, same = [], seeded(9)
    for _ in range(steps):
        drawn = torch.randn(3, 3, generator=same, dtype=DOUBLE)
        draws.append((drawn, torch.rand(3, generator=same, dtype=DOUBLE)))
    for chain in range(3):
        path = reference(
            x[chain].numpy(),
            np.stack([drawn[chain].numpy() for drawn, _ in draws]),
            np.array([chance[chain].item() for _, chance in draws]),
            s,
        )
        expected = torch.from_numpy(np.stack(path))
        torch.testing.assert_close(walk.points[:, chain], expected, rtol=0, atol=1e-9)


def test_every_proposal_is_accounted_for():
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    with torch.no_grad():
        for index, parameter in enumerate(net.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=index))
    walk = uniform_walk(net, normal(5, 6, seed=9), steps=40, step_size=0.4)
    lost = walk.unprojected + walk.irreversible + walk.rejected
    assert torch.equal(walk.accepted.sum(dim=0) + lost, torch.full((5,), 40))
    stays = (walk.points[1:] == walk.points[:-1]).all(dim=2)
    assert torch.equal(stays, ~walk.accepted)
    assert walk.drift.max() < 1e-12
    assert walk.status == ("ok",) * 5


def test_modules_of_float32_and_shapes():
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 3), nn.Softplus(), nn.Linear(3, 2))
    x = torch.linspace(-1, 1, 12).view(2, 2, 3)
    walk = uniform_walk(net, x, steps=5, step_size=0.1)
    assert walk.points.shape == (6, 2, 2, 3)
    assert walk.points.dtype == DOUBLE
    assert walk.drift.max() < 1e-13
    assert net[1].weight.dtype == torch.float32


def test_draws_come_from_the_generator():
    x = on_the_torus(4, seed=1)
    state, before = torch.get_rng_state(), x.clone()
    one, again, other = (
        uniform_walk(torus, x, steps=5, step_size=0.2, generator=seeded(seed)).points
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(x, before)


def test_turned_inputs_have_the_same_law():
    """Chains of f(Q^T x) from Q x are those of f turned, if the draws are turned too."""
    n, s = 3, 0.3
    Q = torch.linalg.qr(normal(n, n)).Q
    x = on_the_torus(50, seed=2)
    plain = uniform_walk(torus, x, steps=40, step_size=s, generator=seeded(1))
    turned = uniform_walk(lambda y: torus(y @ Q), x @ Q.T, steps=40, step_size=s)
    ours, error = mean_and_error(tube_cosine(plain.points))
    theirs, other = mean_and_error(tube_cosine(turned.points @ Q))
    assert abs(ours - theirs) < 4 * math.hypot(error, other)


def test_verdicts():
    point = uniform_walk(lambda x: x, normal(2, 3), steps=3, step_size=0.1)
    assert point.status == ("point", "point")
    assert torch.equal(point.points[-1], point.points[0])
    long = uniform_walk(torus, on_the_torus(3, seed=1), steps=4, step_size=500.0)
    assert long.status == ("stuck",) * 3
    assert long.unprojected.tolist() == [4] * 3


def test_bad_input_is_refused():
    x = on_the_torus(2, seed=1)
    with pytest.raises(InputError, match="steps must be an integer of at least 1, got 0"):
        uniform_walk(torus, x, steps=0, step_size=0.1)
    with pytest.raises(InputError, match=r"step_size must be a positive, finite number, got -0\.1"):
        uniform_walk(torus, x, steps=1, step_size=-0.1)
    with pytest.raises(InputError, match="tolerance must be a positive, finite number"):
        uniform_walk(torus, x, steps=1, step_size=0.1, tolerance=math.inf)
    with pytest.raises(InputError, match="floating point"):
        uniform_walk(torus, torch.ones(2, 3, dtype=torch.int64), steps=1, step_size=0.1)
    with pytest.raises(NonFiniteError, match="where the walk starts"):
        uniform_walk(lambda x: x.log(), -torch.ones(1, 2), steps=1, step_size=0.1)
