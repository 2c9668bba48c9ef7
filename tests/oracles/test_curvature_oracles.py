"""Curvatures and areas known in closed form, in charts that tell the right sign from the wrong one.

In an orthogonal chart of the 2-sphere a wrong sign of the quadratic Christoffel terms goes
unnoticed; in the charts here it would give 6.648 for 2 and 11.64 for 6.
"""

from __future__ import annotations

import math

import pytest
import torch

from repgeo.geometry import log_volume, scalar_curvature


def _points(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def _sphere(x):
    polar, azimuth = x.unbind(dim=1)
    return torch.stack(
        [polar.sin() * azimuth.cos(), polar.sin() * azimuth.sin(), polar.cos()], dim=1
    )


def _bent(x):
    """A nonlinear change of two coordinates."""
    return torch.stack([x[:, 0] + 0.3 * x[:, 1] ** 2, x[:, 1] + 0.2 * x[:, 0] * x[:, 1]], dim=1)


def _torus(x, outer=2.0, inner=0.5):
    u, v = x.unbind(dim=1)
    ring = outer + inner * u.cos()
    return torch.stack([ring * v.cos(), ring * v.sin(), inner * u.sin()], dim=1)


def _clifford(x):
    return torch.cat([x.cos(), x.sin()], dim=1) / math.sqrt(2)


def _stereographic(x):
    r = x.square().sum(dim=1, keepdim=True)
    return torch.cat([2 * x, r - 1], dim=1) / (1 + r)


def _hyperspherical(x):
    a, b, c = x.unbind(dim=1)
    return torch.stack(
        [a.cos(), a.sin() * b.cos(), a.sin() * b.sin() * c.cos(), a.sin() * b.sin() * c.sin()],
        dim=1,
    )


def _catenoid(x):
    u, v = x.unbind(dim=1)
    return torch.stack([u.cosh() * v.cos(), u.cosh() * v.sin(), u], dim=1)


CASES = {
    "sphere": (_sphere, _points([0.6, 0.4], [1.2, 2.0]), lambda x: x.new_full((2,), 2.0)),
    "sphere of radius 3": (
        lambda x: 3 * _sphere(x),
        _points([0.6, 0.4]),
        lambda x: x.new_full((1,), 2 / 9),
    ),
    "sphere, bent chart": (
        lambda x: _sphere(_bent(x)),
        _points([0.6, 0.4]),
        lambda x: x.new_full((1,), 2.0),
    ),
    "plane, bent chart": (_bent, _points([0.6, 0.4]), lambda x: x.new_zeros(1)),
    "torus": (
        _torus,
        _points([0.7, 0.1], [2.5, 1.0]),
        lambda x: 2 * x[:, 0].cos() / (0.5 * (2 + 0.5 * x[:, 0].cos())),
    ),
    "Clifford torus": (_clifford, _points([0.3, 1.0]), lambda x: x.new_zeros(1)),
    "catenoid": (_catenoid, _points([0.3, 1.0]), lambda x: -2 * x[:, 0].cosh() ** -4),
    "3-sphere, stereographic": (
        _stereographic,
        _points([0.3, 0.5, -0.2]),
        lambda x: x.new_full((1,), 6.0),
    ),
    "3-sphere, hyperspherical": (
        _hyperspherical,
        _points([0.7, 1.1, 0.4]),
        lambda x: x.new_full((1,), 6.0),
    ),
    "4-sphere, stereographic": (
        _stereographic,
        _points([0.3, 0.5, -0.2, 0.7]),
        lambda x: x.new_full((1,), 12.0),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_scalar_curvature(name):
    f, x, expected = CASES[name]
    torch.testing.assert_close(scalar_curvature(f, x), expected(x), rtol=1e-11, atol=1e-11)


def test_the_torus_at_the_published_digits():
    found = scalar_curvature(_torus, _points([0.7, 0.0]))
    assert found.item() == pytest.approx(1.28414274, abs=5e-9)


@pytest.mark.parametrize(
    ("f", "spans", "area", "tolerance"),
    [
        (_sphere, (math.pi, 2 * math.pi), 4 * math.pi, 1e-3),
        (_torus, (2 * math.pi, 2 * math.pi), 4 * math.pi**2 * 2 * 0.5, 1e-9),
    ],
)
def test_areas_by_the_midpoint_rule(f, spans, area, tolerance):
    """Midpoints on 100 x 100 cells; their error is 4e-5 relative on the sphere's polar angle."""
    axes = [(torch.arange(100, dtype=torch.float64) + 0.5) / 100 * span for span in spans]
    grid = torch.cartesian_prod(*axes)
    total = log_volume(f, grid).exp().mean() * spans[0] * spans[1]
    assert float(total) == pytest.approx(area, abs=tolerance)
