"""The hyperbolicity of finite metric spaces with known answers."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from repgeo.datasets.trees import tree_ancestors
from repgeo.errors import InputError
from repgeo.hyperbolic.distances import distance_matrix
from repgeo.hyperbolic.tree_likeness import gromov_delta


def four_points(distances: np.ndarray) -> float:
    """The definition by quadruples."""
    worst = 0.0
    for x, y, z, w in combinations(range(len(distances)), 4):
        sums = sorted(
            (
                distances[x, y] + distances[z, w],
                distances[x, z] + distances[y, w],
                distances[x, w] + distances[y, z],
            )
        )
        worst = max(worst, (sums[2] - sums[1]) / 2)
    return worst


def ring(n: int) -> np.ndarray:
    apart = np.abs(np.arange(n)[:, None] - np.arange(n)[None, :])
    return np.minimum(apart, n - apart).astype(float)


def test_trees_have_none() -> None:
    bits = tree_ancestors(5).double().numpy()
    distances = np.abs(bits[:, None, :] - bits[None, :, :]).sum(axis=-1)
    assert gromov_delta(distances) == 0.0


@pytest.mark.parametrize("k", [1, 2, 3])
def test_rings_of_4k_points_have_k(k: int) -> None:
    assert gromov_delta(ring(4 * k)) == float(k)


def test_two_crossing_geodesics_approach_ln_2() -> None:
    reach = 1 - 1e-9
    corners = np.array([[reach, 0], [0, reach], [-reach, 0], [0, -reach]])
    found = gromov_delta(distance_matrix(corners, corners))
    assert found == pytest.approx(np.log(2), abs=1e-8)


def test_it_is_the_definition_by_quadruples() -> None:
    rng = np.random.default_rng(0)
    for dimension in (1, 2, 5):
        points = rng.standard_normal((14, dimension))
        distances = np.linalg.norm(points[:, None] - points[None, :], axis=-1)
        assert gromov_delta(distances) == pytest.approx(four_points(distances), abs=1e-12)


def test_one_base_point_gives_at_least_half_and_scale_goes_along() -> None:
    rng = np.random.default_rng(1)
    points = rng.standard_normal((20, 3))
    distances = np.linalg.norm(points[:, None] - points[None, :], axis=-1)
    whole = gromov_delta(distances)
    for base in range(20):
        part = gromov_delta(distances, bases=np.array([base]))
        assert whole / 2 <= part <= whole
    assert gromov_delta(3 * distances) == pytest.approx(3 * whole, rel=1e-12)


@pytest.mark.parametrize(
    ("distances", "message"),
    [
        (np.zeros((2, 3)), "square"),
        (np.array([[0.0, 1.0], [2.0, 0.0]]), "symmetric"),
        (np.array([[0.0, -1.0], [-1.0, 0.0]]), "not negative"),
        (np.array([[1.0, 1.0], [1.0, 0.0]]), "zero on the diagonal"),
    ],
)
def test_what_is_no_matrix_of_distances_is_refused(distances: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        gromov_delta(distances)


def test_base_points_must_exist() -> None:
    with pytest.raises(InputError, match="positions below 4"):
        gromov_delta(ring(4), bases=np.array([4]))
