"""Closed forms and known limits of measures of similarity."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from repgeo.stitching import (
    canonical_correlations,
    cka,
    cross_barcode,
    cycle_knn,
    distance_correlation,
    mean_cca,
    mutual_knn,
    neighbour_jaccard,
    procrustes_distance,
    pwcca,
    rsa,
    second_order_cosine,
    svcca,
    topology_divergence,
)
from repgeo.stitching.similarity import (
    angular_chance,
    biased_cka_chance,
    biased_cka_shuffled,
    cycle_knn_chance,
    mean_cca_chance,
    mutual_knn_chance,
    neighbour_jaccard_chance,
    procrustes_chance,
)
from repgeo.stitching.similarity.shape_distances import angular_distance


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def over_seeds(measure, n: int, d_a: int, d_b: int, seeds: int) -> tuple[float, float]:
    """Mean and standard error over independent Gaussian codes."""
    values = torch.tensor(
        [float(measure(normal(n, d_a, 2 * s), normal(n, d_b, 2 * s + 1))) for s in range(seeds)],
        dtype=torch.float64,
    )
    return float(values.mean()), float(values.std()) / seeds**0.5


@pytest.mark.parametrize("bits", [4, 12, 40])
def test_independent_bits(bits: int) -> None:
    # Two independent balanced bits of n samples: the unbiased CKA is -1 / (n - 2) exactly, and
    # so is the distance correlation, the distances of a bit being those of its kernel.
    a = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64).repeat(bits // 4)[:, None]
    b = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64).repeat(bits // 4)[:, None]
    assert cka(a, b).item() == pytest.approx(-1 / (bits - 2), abs=1e-13)
    assert distance_correlation(a, b).item() == pytest.approx(-1 / (bits - 2), abs=1e-13)
    assert distance_correlation(a, b, unbiased=False).item() == pytest.approx(0.0, abs=1e-7)
    assert procrustes_distance(a, b).item() == pytest.approx(2**0.5, abs=1e-14)
    if bits > 4:
        assert mean_cca(a, b).item() == pytest.approx(0.0, abs=1e-14)


def test_general_linear_maps_leave_canonical_correlations_and_move_cka() -> None:
    a = normal(200, 20, 0)
    b = a @ normal(20, 20, 1)
    assert mean_cca(a, b).item() == pytest.approx(1.0, abs=1e-12)
    assert pwcca(a, b).item() == pytest.approx(1.0, abs=1e-12)
    assert 0.5 < cka(a, b, unbiased=False).item() < 0.9
    turned = 3 * a @ torch.linalg.qr(normal(20, 20, 2))[0] + 5
    assert cka(a, turned, unbiased=False).item() == pytest.approx(1.0, abs=1e-12)
    assert procrustes_distance(a, turned).item() == pytest.approx(0.0, abs=1e-13)


@pytest.mark.parametrize(("n", "d"), [(200, 100), (200, 1000), (200, 5000)])
def test_biased_cka_of_independent_codes(n: int, d: int) -> None:
    assert biased_cka_chance(n, d, d) == pytest.approx(1 / (1 + n / d), abs=1e-12)
    found = cka(normal(n, d, 0), normal(n, d, 1), unbiased=False).item()
    assert found == pytest.approx(biased_cka_chance(n, d, d), abs=0.01)
    assert abs(cka(normal(n, d, 0), normal(n, d, 1)).item()) < 0.02


def test_biased_cka_of_all_shuffles_is_a_ratio_of_traces() -> None:
    a, b = normal(6, 2, 0), normal(6, 3, 1)
    kernels = [codes @ codes.T for codes in (a - a.mean(0), b - b.mean(0))]
    expected = kernels[0].trace() * kernels[1].trace()
    expected = expected / (5 * kernels[0].norm() * kernels[1].norm())
    orders = torch.cartesian_prod(*[torch.arange(6)] * 6)
    orders = orders[[len(set(order.tolist())) == 6 for order in orders]]
    assert len(orders) == math.factorial(6)
    unbiased, biased = [], []
    for order in orders:
        biased.append(cka(a, b[order], unbiased=False).item())
        unbiased.append(cka(a, b[order]).item())
    assert np.mean(biased) == pytest.approx(expected.item(), abs=1e-12)
    assert biased_cka_shuffled(a, b) == pytest.approx(expected.item(), abs=1e-12)
    wide = normal(6, 40, 2)
    assert biased_cka_shuffled(wide, b) == pytest.approx(
        np.mean([cka(wide, b[order], unbiased=False).item() for order in orders]), abs=1e-12
    )
    assert np.mean(unbiased) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("n", "d_a", "d_b"), [(200, 20, 20), (100, 5, 30), (100, 80, 10), (60, 50, 50)]
)
def test_canonical_correlations_of_independent_codes(n: int, d_a: int, d_b: int) -> None:
    expected = mean_cca_chance(n, d_a, d_b)
    for measure in (mean_cca, pwcca):
        mean, error = over_seeds(measure, n, d_a, d_b, 12)
        assert mean == pytest.approx(expected, abs=4 * error + 0.01)


def test_one_dimension_is_where_the_limit_is_worst() -> None:
    # Of two independent directions in R^m, E|cos| = Gamma(m/2) / (sqrt(pi) Gamma((m+1)/2)).
    m = 59
    exact = math.exp(math.lgamma(m / 2) - math.lgamma((m + 1) / 2)) / math.sqrt(math.pi)
    assert mean_cca_chance(m + 1, 1, 1) / exact == pytest.approx(1.06, abs=0.01)


@pytest.mark.parametrize("d", [60, 75, 98])
def test_correlations_that_are_one_whatever_the_codes(d: int) -> None:
    n = 100
    values = canonical_correlations(normal(n, d, 0), normal(n, d, 1))
    assert int((values > 1 - 1e-9).sum()) == 2 * d - n + 1


def test_mean_cca_at_the_sizes_of_record() -> None:
    assert mean_cca(normal(200, 20, 0), normal(200, 20, 1)).item() == pytest.approx(0.276, abs=0.03)
    wide = mean_cca(normal(200, 150, 0), normal(200, 150, 1)).item()
    assert wide == pytest.approx(0.816, abs=0.01)


@pytest.mark.parametrize(("n", "d_a", "d_b"), [(200, 20, 20), (60, 3, 30), (50, 200, 200)])
def test_procrustes_of_independent_codes(n: int, d_a: int, d_b: int) -> None:
    mean, error = over_seeds(procrustes_distance, n, d_a, d_b, 12)
    assert mean == pytest.approx(procrustes_chance(n, d_a, d_b), abs=4 * error + 0.01)
    angle, error = over_seeds(angular_distance, n, d_a, d_b, 12)
    assert angle == pytest.approx(angular_chance(n, d_a, d_b), abs=4 * error + 0.01)


@pytest.mark.parametrize("share", [1, 2, 5])
def test_a_subspace_of_isotropic_codes(share: int) -> None:
    # Isotropic codes of d features against their first k: the nuclear norm is sqrt(k / d).
    d = 8
    ones = torch.ones(40, 1, dtype=torch.float64)
    codes = torch.linalg.qr(torch.cat([ones, normal(40, d, 0)], dim=1))[0][:, 1:]
    part = codes[:, :share]
    nuclear = (share / d) ** 0.5
    expected = math.sqrt(2 - 2 * nuclear)
    assert procrustes_distance(codes, part).item() == pytest.approx(expected, abs=1e-12)
    assert angular_distance(codes, part).item() == pytest.approx(math.acos(nuclear), abs=1e-12)
    assert canonical_correlations(codes, part).tolist() == pytest.approx([1.0] * share, abs=1e-12)
    # Of d equal directions, k explain k / d of the variance.
    assert svcca(codes, part, variance=(share - 0.5) / d).item() <= 1


@pytest.mark.parametrize(
    ("measure", "chance"),
    [(mutual_knn, mutual_knn_chance), (neighbour_jaccard, neighbour_jaccard_chance)],
)
def test_neighbours_under_all_shuffles(measure, chance) -> None:
    a, b = normal(6, 2, 0), normal(6, 3, 1)
    orders = torch.cartesian_prod(*[torch.arange(6)] * 6)
    orders = orders[[len(set(order.tolist())) == 6 for order in orders]]
    values = [measure(a, b[order], neighbours=2).item() for order in orders]
    assert np.mean(values) == pytest.approx(chance(6, 2), abs=1e-12)


def test_neighbours_of_independent_codes() -> None:
    a, b = normal(200, 8, 0), normal(200, 8, 1)
    assert mutual_knn_chance(200, 10) == pytest.approx(10 / 199, abs=1e-15)
    assert mutual_knn(a, b).item() == pytest.approx(10 / 199, abs=0.01)
    assert neighbour_jaccard(a, b).item() == pytest.approx(10 / 400, abs=0.007)
    mean, error = over_seeds(cycle_knn, 200, 4, 4, 8)
    assert mean == pytest.approx(cycle_knn_chance(200, 10), abs=4 * error + 0.01)
    # Of isotropic codes the cosines to the other side's neighbours are 0 on average.
    assert abs(second_order_cosine(a, b).item()) < 0.08


def test_rsa_over_all_shuffles_is_zero() -> None:
    a, b = normal(5, 2, 0), normal(5, 3, 1)
    orders = torch.cartesian_prod(*[torch.arange(5)] * 5)
    orders = orders[[len(set(order.tolist())) == 5 for order in orders]]
    for correlation in ("spearman", "pearson"):
        values = [rsa(a, b[order], correlation=correlation).item() for order in orders]
        assert np.mean(values) == pytest.approx(0.0, abs=1e-12)


def test_rsa_of_a_power_of_distances() -> None:
    # Points on a line against their squares, which order all distances alike: rank correlation 1.
    a = torch.tensor([[0.0], [1.0], [3.0], [7.0]], dtype=torch.float64)
    b = a**2
    assert rsa(a, b).item() == pytest.approx(1.0, abs=1e-12)
    assert rsa(a, b, correlation="pearson").item() < 0.99


def test_distance_correlation_of_independent_codes() -> None:
    mean, error = over_seeds(distance_correlation, 60, 5, 40, 30)
    assert abs(mean) < 4 * error
    wide = distance_correlation(normal(60, 2000, 0), normal(60, 2000, 1), unbiased=False)
    assert wide.item() > 0.95


def test_distance_correlation_sees_what_no_linear_measure_does() -> None:
    t = torch.linspace(-1, 1, 201, dtype=torch.float64)[:, None]
    assert mean_cca(t, t**2).item() == pytest.approx(0.0, abs=1e-12)
    assert abs(cka(t, t**2).item()) < 0.01
    # The limit for a uniform t and its square is about 0.491.
    assert distance_correlation(t, t**2, unbiased=False).item() == pytest.approx(0.491, abs=0.01)


def test_bars_of_clusters_that_merge() -> None:
    # On a line there are no loops: the bars are clusters of A, merged earlier in B = c A, and
    # their total length is (1 - c) times that of A's minimum spanning tree.
    points = np.array([0.0, 1.0, 3.0, 7.0])
    line = np.abs(points[:, None] - points)
    bars = cross_barcode(line, 0.4 * line)
    assert bars == pytest.approx(np.array([[0.4, 1.0], [0.8, 2.0], [1.6, 4.0]]))
    assert len(cross_barcode(line, 5 * line)) == 0


def test_a_loop_that_one_side_has() -> None:
    # Four points on a square in B, all within 1.1 of each other in A: no cluster of A is split,
    # the square's loop is born at 1 in min(A, B) = B ... and A fills it at 1.1.
    square = np.array([[0, 1, 1.4, 1], [1, 0, 1, 1.4], [1.4, 1, 0, 1], [1, 1.4, 1, 0.0]])
    blob = 1.1 * (1 - np.eye(4))
    bars = cross_barcode(blob, square)
    # Three clusters of A from 1 to 1.1, and one loop of B in the same scales.
    assert bars == pytest.approx(np.array([[1.0, 1.1]] * 4))


def test_topology_divergence_of_shrunk_clouds_is_zero_and_of_others_not() -> None:
    a = normal(30, 3, 0)
    assert topology_divergence(a, 0.1 * a + 4).item() == pytest.approx(0.0, abs=1e-12)
    assert topology_divergence(a, normal(30, 3, 1)).item() > 0.5
