"""Closed forms of death times and of the densification loss."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from repgeo.stitching import densification_loss, h0_deaths, overlap_coefficient


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def rotation(d: int) -> Tensor:
    return torch.linalg.qr(normal(d, d, seed=9))[0]


def one_class(z: Tensor) -> Tensor:
    return torch.zeros(len(z), dtype=torch.int64)


@pytest.mark.parametrize("n", [2, 3, 16, 100])
@pytest.mark.parametrize("beta", [0.3, 1.0, 7.0])
@pytest.mark.parametrize("kind", ["l1", "squared", "relu"])
def test_an_equispaced_line_of_spacing_beta_costs_nothing(n, beta, kind):
    direction = normal(5)
    line = beta * torch.arange(n).double()[:, None] * direction / direction.norm() + normal(5)
    loss = densification_loss(line, one_class(line), beta, kind=kind, reduction="sum")
    assert float(loss) == pytest.approx(0.0, abs=1e-12 * n)


@pytest.mark.parametrize("n", [2, 5, 30])
def test_a_regular_simplex_of_edge_beta_costs_nothing(n):
    beta = 1.7
    simplex = beta / math.sqrt(2) * torch.eye(n, dtype=torch.float64)
    torch.testing.assert_close(h0_deaths(simplex), torch.full((n - 1,), beta).double())
    loss = densification_loss(simplex, one_class(simplex), beta, reduction="sum")
    assert float(loss) == pytest.approx(0.0, abs=1e-13 * n)


@pytest.mark.parametrize("n", [2, 8, 16])
def test_a_collapsed_cluster_costs_beta_for_each_death(n):
    point = normal(1, 6).expand(n, 6)
    label = one_class(point)
    for kind, each in (("l1", 0.7), ("squared", 0.49), ("relu", 0.0)):
        loss = densification_loss(point, label, 0.7, kind=kind, reduction="sum")
        assert float(loss) == pytest.approx((n - 1) * each, abs=1e-12)
        mean = densification_loss(point, label, 0.7, kind=kind)
        assert float(mean) == pytest.approx(each, abs=1e-12)


@pytest.mark.parametrize(("kind", "power"), [("l1", 1), ("relu", 1), ("squared", 2)])
@pytest.mark.parametrize("metric", ["euclidean", "l1", "linf"])
def test_scaled_points_at_a_scaled_beta(kind, power, metric):
    z, c = normal(20, 4), 3.0
    labels = torch.arange(20) % 3
    small = densification_loss(z, labels, 0.8, kind=kind, metric=metric)
    large = densification_loss(c * z, labels, c * 0.8, kind=kind, metric=metric)
    assert float(large) == pytest.approx(c**power * float(small), rel=1e-12)


def test_isometries_and_permutations_change_nothing():
    z, labels = normal(24, 5), torch.arange(24) % 4
    expected = float(densification_loss(z, labels, 1.2))
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    moved = {
        "rotated": (z @ rotation(5), labels),
        "shifted": (z + 100 * normal(5, seed=2), labels),
        "mirrored": (-z, labels),
        "shuffled": (z[order], labels[order]),
        "renamed": (z, 10 - 3 * labels),
    }
    for what, (points, names) in moved.items():
        found = float(densification_loss(points, names, 1.2))
        assert found == pytest.approx(expected, rel=1e-11), what


def test_the_sum_of_deaths_is_the_weight_of_the_tree_and_the_largest_tells_connection():
    # A star and a far point: weights 1, 1, 1 and 5.
    z = torch.tensor([[0.0, 0], [1, 0], [0, 1], [-1, 0], [6, 0]], dtype=torch.float64)
    deaths = h0_deaths(z)
    assert deaths.tolist() == [1.0, 1.0, 1.0, 5.0]
    distances = torch.cdist(z, z)
    for scale in (0.9, 1.1, 4.9, 5.0):
        within = (distances <= scale).double()
        reached = torch.linalg.matrix_power(within, 5)[0] > 0
        assert bool(reached.all()) == bool(deaths.max() <= scale)


@pytest.mark.parametrize("metric", ["euclidean", "l1", "linf"])
@pytest.mark.parametrize("seed", range(5))
def test_gradients_over_a_cloud_add_up_to_zero_and_are_bounded_by_degrees(metric, seed):
    z = normal(40, 3, seed=seed).requires_grad_()
    labels = torch.arange(40) % 2
    loss = densification_loss(z, labels, 0.5, reduction="sum", metric=metric) * 2  # of two clouds
    (gradient,) = torch.autograd.grad(loss, z)
    for label in (0, 1):
        own = labels == label
        assert float(gradient[own].sum(dim=0).abs().max()) < 1e-12
        _, edges = h0_deaths(z.detach()[own], metric=metric, return_edges=True)
        degree = torch.bincount(edges.flatten(), minlength=20)
        # The gradient of a norm has dual norm 1, and so a coordinate of 1 at most.
        assert bool((gradient[own].abs().amax(dim=1) <= degree + 1e-12).all())
        if metric == "euclidean":
            assert bool((gradient[own].norm(dim=1) <= degree + 1e-12).all())
            # In the plane and in space, no vertex of a minimum tree has more than 6 or 12 edges.
            assert int(degree.max()) <= 12


@pytest.mark.parametrize("metric", ["euclidean", "l1", "linf"])
def test_deaths_move_by_twice_the_largest_move_of_a_point_at_most(metric):
    norm = {"euclidean": 2.0, "l1": 1.0, "linf": torch.inf}[metric]
    z = normal(50, 4)
    for size in (1e-3, 1e-1, 1.0):
        step = size * normal(50, 4, seed=3)
        most = float(torch.linalg.vector_norm(step, ord=norm, dim=1).max())
        change = (h0_deaths(z + step, metric=metric) - h0_deaths(z, metric=metric)).abs().max()
        assert float(change) <= 2 * most + 1e-12


def test_descent_brings_all_deaths_to_beta():
    z = normal(16, 64).requires_grad_()
    optimizer = torch.optim.SGD([z], lr=0.05)
    labels = one_class(z)
    for _ in range(600):
        optimizer.zero_grad()
        densification_loss(z, labels, 1.0, reduction="sum").backward()
        optimizer.step()
    deaths, edges = h0_deaths(z.detach(), return_edges=True)
    # A step moves a point by 0.05 for each edge that ends there, and so never ends on the spot.
    last_step = 2 * 0.05 * int(torch.bincount(edges.flatten()).max())
    assert last_step < 0.5
    assert float((deaths - 1).abs().max()) <= last_step


def test_points_of_the_standard_directions_under_angular_and_cosine():
    z = torch.diag(torch.tensor([1.0, 5.0, 0.1], dtype=torch.float64))
    torch.testing.assert_close(
        h0_deaths(z, metric="angular"), torch.full((2,), torch.pi / 2).double()
    )
    torch.testing.assert_close(h0_deaths(z, metric="cosine"), torch.ones(2).double())


@pytest.mark.parametrize("apart", [0.0, 0.5, 1.0, 3.0])
def test_overlap_of_normal_distributions(apart):
    sample = torch.special.ndtri((torch.arange(1000).double() + 0.5) / 1000)
    expected = 2 * float(torch.special.ndtr(torch.tensor(-apart / 2)))
    # The kernels, of bandwidth 0.27, widen both by sqrt(1 + 0.27^2) - 1 = 4 %.
    found = overlap_coefficient(sample, sample + apart)
    assert found == pytest.approx(expected, abs=0.02)
    scaled = overlap_coefficient(3 * sample + 7, 3 * (sample + apart) + 7)
    assert scaled == pytest.approx(found, abs=1e-9)
