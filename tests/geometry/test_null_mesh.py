"""Meshes of classes: counts on flat ones, coverage of curved ones."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from repgeo.errors import InputError
from repgeo.geometry import mesh_size, null_mesh

DOUBLE = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def square_norm(x):
    return x.square().sum(dim=1, keepdim=True)


def lattice(n: int, steps: int) -> int:
    """Points of a lattice up to some steps from the origin, by going there."""
    origin = (0,) * n
    found, ring = {origin}, {origin}
    for _ in range(steps):
        ring = {
            (*point[:axis], point[axis] + sign, *point[axis + 1 :])
            for point in ring
            for axis in range(n)
            for sign in (-1, 1)
        } - found
        found |= ring
    return len(found)


@pytest.mark.parametrize(("n", "steps"), [(1, 5), (2, 3), (3, 2), (4, 3)])
def test_counts_on_flat_classes(n, steps):
    A = normal(3, n + 3)
    x = normal(1, n + 3, seed=1)
    assert mesh_size(n, steps, tree=False) == lattice(n, steps)
    mesh = null_mesh(lambda x: x @ A.T, x, step_size=0.3, steps=steps)
    assert len(mesh.points) == lattice(n, steps)
    tree = null_mesh(lambda x: x @ A.T, x, step_size=0.3, steps=steps, merge=None)
    assert len(tree.points) == sum((2 * n) ** k for k in range(steps + 1))
    assert len(tree.edges) == len(tree.points) - 1
    for made in (mesh, tree):
        assert made.drift.max() < 1e-13
        assert made.failed == 0
        one, other = made.edges.T
        lengths = (made.points[one] - made.points[other]).norm(dim=1)
        torch.testing.assert_close(lengths, torch.full_like(lengths, 0.3))
    assert (torch.pdist(mesh.points) > 0.3 - 1e-12).all()


def test_the_lattice_has_the_edges_of_a_lattice():
    """Up to K steps from the origin of a square lattice lie 4 K^2 edges."""
    mesh = null_mesh(lambda x: x[:, :1], normal(1, 3), step_size=1.0, steps=4)
    assert len(mesh.edges) == 4 * 4**2
    assert (mesh.depth[mesh.edges[:, 1]] - mesh.depth[mesh.edges[:, 0]]).tolist() == [1] * 64


def test_parents_are_one_step_away_and_one_step_nearer():
    x = torch.tensor([[0.0, 0.0, 2.0]], dtype=DOUBLE)
    mesh = null_mesh(square_norm, x, step_size=0.4, steps=3)
    children = torch.arange(1, len(mesh.points))
    parents = mesh.parent[children]
    assert mesh.parent[0] == -1
    assert torch.equal(mesh.depth[children], mesh.depth[parents] + 1)
    away = (mesh.points[children] - mesh.points[parents]).norm(dim=1)
    # A tangent of 0.4, brought back along the parent's normal: a chord with sin(angle) = 0.4 / 2.
    chord = 4 * math.sin(math.asin(0.2) / 2)
    torch.testing.assert_close(away, torch.full_like(away, chord))
    inner = mesh.depth < 3
    assert (mesh.rank[inner] == 1).all()
    assert (mesh.rank[~inner] == -1).all()


def test_a_circle_is_covered_once():
    """Steps along the tangent, back along the normal: turns of asin(step), until both ends meet."""
    x = torch.tensor([[1.0, 0.0]], dtype=DOUBLE)
    mesh = null_mesh(square_norm, x, step_size=0.1, steps=100)
    turn = math.asin(0.1)
    count = len(mesh.points)
    assert count in (math.floor(2 * math.pi / turn), math.ceil(2 * math.pi / turn))
    assert len(mesh.edges) == count
    assert mesh.drift.max() < 1e-13
    angles = torch.atan2(mesh.points[:, 1], mesh.points[:, 0]).sort().values
    assert (angles.diff() < 1.6 * turn).all()


def test_a_sphere_is_covered():
    """No two points are nearer than half a step, and none of the sphere is a step away."""
    x = torch.tensor([[0.0, 0.0, 1.0]], dtype=DOUBLE)
    mesh = null_mesh(square_norm, x, step_size=0.3, steps=14)
    assert torch.pdist(mesh.points).min() >= 0.15
    assert mesh.depth.max() < 14
    anywhere = nn.functional.normalize(normal(500, 3), dim=1)
    assert torch.cdist(anywhere, mesh.points).min(dim=1).values.max() < 0.3


def test_networks_of_float32_and_shapes_are_kept():
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    x = torch.linspace(-1, 1, 6).view(1, 2, 3)
    before = x.clone()
    mesh = null_mesh(net, x, step_size=0.1, steps=3)
    assert mesh.points.shape[1:] == (2, 3)
    assert mesh.points.dtype == DOUBLE
    assert mesh.drift.max() < 1e-13
    assert torch.equal(x, before)
    outputs = net.double()(mesh.points)
    assert (outputs - outputs[0]).abs().max() < 1e-13


def test_steps_out_of_an_inactive_region_end_at_its_edge():
    """relu(x1 - 1) is flat for x1 < 1: what goes beyond is brought back to x1 = 1."""
    f = lambda x: torch.relu(x[:, :1] - 1)  # noqa: E731
    mesh = null_mesh(f, torch.zeros(1, 2, dtype=DOUBLE), step_size=0.35, steps=5)
    assert mesh.drift.max() < 1e-15
    assert mesh.points[:, 0].max() == pytest.approx(1.0, abs=1e-12)
    assert set(mesh.rank[mesh.points[:, 0] < 1 - 1e-9].tolist()) == {-1, 0}
    inside = mesh.points[:, 0] < 0.5
    assert torch.pdist(mesh.points[inside]).min() > 0.35 - 1e-12


def test_too_large_meshes_are_refused_with_their_number():
    x = normal(1, 10)
    with pytest.raises(
        InputError, match="3 steps both ways along 9 null directions has 1159 points"
    ):
        null_mesh(square_norm, x, step_size=0.1, steps=3, most=1000)
    with pytest.raises(InputError, match=r"has 6175 points, and most=1000.*merge points"):
        null_mesh(square_norm, x, step_size=0.1, steps=3, merge=None, most=1000)


def test_bad_input_is_refused():
    x = normal(1, 3)
    with pytest.raises(InputError, match=r"from one input, \(1, \.\.\.\); got \(2, 3\)"):
        null_mesh(square_norm, normal(2, 3), step_size=0.1, steps=1)
    with pytest.raises(InputError, match=r"step_size must be a positive, finite number, got 0\.0"):
        null_mesh(square_norm, x, step_size=0.0, steps=1)
    with pytest.raises(InputError, match="steps must be an integer of at least 1, got 0"):
        null_mesh(square_norm, x, step_size=0.1, steps=0)
    with pytest.raises(InputError, match=r"merge must lie between 0 and 1 steps.*got 1\.5"):
        null_mesh(square_norm, x, step_size=0.1, steps=1, merge=1.5)
    with pytest.raises(InputError, match="the class is a point"):
        null_mesh(lambda x: x, x, step_size=0.1, steps=1)
