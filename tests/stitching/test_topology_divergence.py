from __future__ import annotations

import gudhi
import numpy as np
import pytest
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching import cross_barcode, topology_divergence
from repgeo.stitching.similarity import topology


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def distances(points: np.ndarray) -> np.ndarray:
    return np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=-1))


def by_the_definition(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """H_1 of the Vietoris-Rips complex of the doubled samples, without any shortcut."""
    n = len(a)
    doubled = np.zeros((2 * n, 2 * n))
    doubled[n:, :n], doubled[:n, n:], doubled[n:, n:] = a, a.T, np.minimum(a, b)
    tree = gudhi.RipsComplex(distance_matrix=doubled).create_simplex_tree(max_dimension=2)
    tree.compute_persistence()
    bars = tree.persistence_intervals_in_dimension(1).reshape(-1, 2)
    bars = bars[bars[:, 1] > bars[:, 0]]
    return bars[np.lexsort((bars[:, 1], bars[:, 0]))]


@pytest.mark.parametrize(("n", "dimension"), [(2, 1), (3, 2), (8, 1), (12, 2), (16, 4)])
def test_against_the_doubled_complex(n: int, dimension: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(3):
        a, b = (distances(rng.normal(size=(n, dimension))) for _ in range(2))
        expected = by_the_definition(a, b)
        assert cross_barcode(a, b) == pytest.approx(expected, abs=1e-12)
        assert np.isfinite(expected).all()


def test_circles_and_clusters() -> None:
    angles = 2 * np.pi * np.arange(12) / 12
    circle = distances(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    cluster = distances(np.stack([angles, 0 * angles], axis=1) / 10)
    bars = cross_barcode(cluster, circle)
    assert bars == pytest.approx(by_the_definition(cluster, circle), abs=1e-12)


def test_both_orders_are_averaged_and_scaled() -> None:
    a, b = normal(14, 2, 0), normal(14, 3, 1)
    scaled = []
    for codes in (a, b):
        d = distances(codes.numpy())
        scaled.append(d / np.quantile(d[np.triu_indices(14, 1)], 0.9))
    total = sum(
        float(np.diff(by_the_definition(x, y), axis=1).sum()) for x, y in (scaled, scaled[::-1])
    )
    assert topology_divergence(a, b).item() == pytest.approx(total / 2, abs=1e-10)


def test_samples_are_drawn_alike_of_both_sides() -> None:
    a = normal(60, 3, 0)

    def value(seed: int) -> float:
        generator = torch.Generator().manual_seed(seed)
        return topology_divergence(a, torch.tanh(a), samples=20, generator=generator).item()

    assert value(0) == value(0)
    assert value(0) != value(1)
    generator = torch.Generator().manual_seed(0)
    same = topology_divergence(a, 2 * a + 1, samples=20, generator=generator).item()
    assert same == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(InputError, match="give a generator, or samples=60"):
        topology_divergence(a, a, samples=20)


def test_nearly_all_samples_at_one_point() -> None:
    a = torch.zeros(12, 2, dtype=torch.float64)
    a[0] = 5.0
    assert topology_divergence(a, a).item() == 0.0
    assert topology_divergence(a, normal(12, 2, 0)).item() > 0


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((2, 3)), np.zeros((2, 3)), r"must be \(n, n\)"),
        (np.zeros((2, 2)), np.zeros((3, 3)), "of the same samples"),
        (np.eye(2), np.zeros((2, 2)), "zero diagonal"),
        (np.zeros((2, 2)), np.array([[0, 1], [2, 0.0]]), "second matrix must be symmetric"),
        (np.array([[0, -1], [-1, 0.0]]), np.zeros((2, 2)), "not negative"),
        (np.zeros((2, 2)), np.array([[0, np.nan], [np.nan, 0]]), "finite"),
    ],
)
def test_bad_distances(a: np.ndarray, b: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        cross_barcode(a, b)


def test_gudhi_is_imported_when_it_is_needed() -> None:
    assert "gudhi" not in vars(topology)
