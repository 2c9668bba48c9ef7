"""Deaths in dimension 0: every way of finding them against slow ones, gradients, bad input."""

from __future__ import annotations

import gudhi
import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import linkage
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist, pdist, squareform
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching import h0_deaths, persistence, spanning_trees
from repgeo.stitching.persistence import pairwise_distances

SCIPY = {"euclidean": "euclidean", "l1": "cityblock", "linf": "chebyshev", "cosine": "cosine"}


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def by_kruskal(distances: np.ndarray) -> list[float]:
    """The definition: components are joined at the scale of the shortest edge between them."""
    n = len(distances)
    component = list(range(n))
    deaths = []
    for i, j in sorted(np.ndindex(n, n), key=lambda pair: distances[pair]):
        if component[i] != component[j]:
            deaths.append(float(distances[i, j]))
            gone, kept = component[j], component[i]
            component = [kept if c == gone else c for c in component]
    return deaths


def by_gudhi(distances: np.ndarray) -> np.ndarray:
    tree = gudhi.RipsComplex(distance_matrix=distances).create_simplex_tree(max_dimension=1)
    tree.compute_persistence(min_persistence=-1)
    deaths = np.sort(tree.persistence_intervals_in_dimension(0)[:, 1])
    assert np.isinf(deaths[-1])
    return deaths[:-1]


@pytest.mark.parametrize("metric", ["euclidean", "l1", "linf", "cosine", "angular"])
@pytest.mark.parametrize(("batch", "n", "d"), [(1, 2, 1), (1, 30, 3), (6, 17, 5), (3, 150, 4)])
def test_deaths_are_those_of_gudhi_and_of_the_definition(metric, batch, n, d):
    points = normal(batch, n, d)
    found = h0_deaths(points, metric=metric)
    assert found.shape == (batch, n - 1)
    for cloud, deaths in zip(points.numpy(), found.numpy(), strict=True):
        distances = cdist(cloud, cloud, SCIPY.get(metric, "cosine"))
        if metric == "angular":
            distances = np.arccos(np.clip(1 - distances, -1, 1))
        np.fill_diagonal(distances, 0.0)
        # Through the cosine, angles lose half their digits near 0.
        tolerance = 1e-7 if metric == "angular" else 1e-12
        np.testing.assert_allclose(deaths, by_gudhi(distances), rtol=0, atol=tolerance)
        if n <= 30:
            np.testing.assert_allclose(deaths, by_kruskal(distances), rtol=0, atol=tolerance)


@pytest.mark.parametrize(("batch", "n"), [(1, 40), (9, 12), (2, 200)])
def test_deaths_of_given_distances_are_bitwise_those_of_others(batch, n):
    points = normal(batch, n, 4)
    distances = np.stack([squareform(pdist(cloud.numpy())) for cloud in points])
    found = h0_deaths(distances=distances)
    assert isinstance(found, np.ndarray)
    for matrix, deaths in zip(distances, found, strict=True):
        single_linkage = linkage(squareform(matrix), "single")[:, 2]
        np.testing.assert_array_equal(deaths, single_linkage)
        np.testing.assert_array_equal(deaths, by_gudhi(matrix))


def grid(side: int, dimension: int) -> Tensor:
    axis = torch.arange(side, dtype=torch.float64)
    return torch.cartesian_prod(*[axis] * dimension)


@pytest.mark.parametrize(
    "cloud",
    [
        normal(1000, 2),
        normal(700, 3),
        torch.cat([normal(400, 2)] * 2),
        grid(24, 2),
        grid(9, 3),
        torch.stack([torch.arange(600.0).double()] * 2, dim=1),  # on a line: no triangulation
        torch.cat([normal(300, 2), 1e-9 * normal(300, 2, seed=1)]),
        1e-200 * normal(600, 2),
    ],
    ids=["plane", "space", "repeated", "grid", "lattice", "line", "two scales", "tiny"],
)
def test_triangulated_clouds_have_the_deaths_of_dense_ones(cloud):
    assert len(cloud) >= persistence._WORTH_A_TRIANGULATION
    expected = linkage(pdist(cloud.numpy()), "single")[:, 2]
    # The tree is found on centred points, which are rounded to 1e-16 of their distance to 0.
    rounding = 4e-16 * float(cloud.abs().max())
    np.testing.assert_allclose(h0_deaths(cloud).numpy(), expected, rtol=1e-12, atol=rounding)


def test_a_large_cloud_in_the_plane_is_triangulated(monkeypatch):
    def refuse(*_args: object) -> None:
        raise AssertionError("a matrix was made")

    monkeypatch.setattr(persistence, "_pairwise", refuse)
    monkeypatch.setattr(persistence, "tree_by_rows", refuse)
    assert h0_deaths(normal(20_000, 2)).shape == (19_999,)


@pytest.mark.parametrize("metric", ["euclidean", "l1", "linf", "cosine", "angular"])
def test_clouds_too_large_for_a_matrix_are_done_by_rows(metric, monkeypatch):
    points = normal(2, 60, 5)
    expected = h0_deaths(points, metric=metric)
    monkeypatch.setattr(persistence, "_LARGEST_MATRIX", 1000)
    torch.testing.assert_close(h0_deaths(points, metric=metric), expected, rtol=1e-14, atol=0)


def test_trees_all_at_once_and_one_by_one_are_the_same():
    distances = pairwise_distances(normal(10, 21, 3))
    at_once = spanning_trees.dense_trees(distances)
    for matrix, tree in zip(distances, at_once, strict=True):
        np.testing.assert_array_equal(spanning_trees.dense_trees(matrix[None])[0], tree)


@pytest.mark.parametrize("metric", ["euclidean", "l1", "linf", "cosine", "angular"])
@pytest.mark.parametrize("spread", [1.0, 1e-9])
def test_pairwise_distances_keep_digits_of_near_points(metric, spread):
    points = torch.cat([normal(5, 4) + 3, spread * normal(5, 4, seed=1) + 3])
    found = pairwise_distances(points[None], metric)[0].numpy()
    centred = (points - points.mean(dim=0)).numpy()
    if metric in ("euclidean", "l1", "linf"):
        expected = cdist(centred, centred, SCIPY[metric])
    else:
        unit = points / points.norm(dim=1, keepdim=True)
        chord = cdist(unit.numpy(), unit.numpy())
        expected = chord**2 / 2 if metric == "cosine" else 2 * np.arcsin(chord / 2)
    np.testing.assert_allclose(found, expected, rtol=1e-6 if spread < 1 else 1e-12, atol=1e-15)


def test_edges_realise_their_deaths():
    points = normal(4, 25, 3)
    deaths, edges = h0_deaths(points, return_edges=True)
    assert edges.shape == (4, 24, 2)
    assert bool((edges[..., 0] < edges[..., 1]).all())
    for cloud, own, pairs in zip(points, deaths, edges, strict=True):
        lengths = (cloud[pairs[:, 0]] - cloud[pairs[:, 1]]).norm(dim=1)
        torch.testing.assert_close(lengths, own, rtol=1e-13, atol=0)
        # The edges join all points: those of a tree.
        reached = {0}
        for _ in pairs:
            reached |= {int(k) for pair in pairs if reached & set(pair.tolist()) for k in pair}
        assert reached == set(range(25))


@pytest.mark.parametrize("metric", ["euclidean", "l1", "linf", "cosine", "angular"])
@pytest.mark.parametrize("shape", [(7, 3), (5, 6, 3), (2, 140, 2)])
def test_gradients_are_those_of_finite_differences(metric, shape):
    points = normal(*shape).requires_grad_()
    direction = normal(*shape, seed=1)
    # A function that does not tell the deaths apart has no kink where two of them change places.
    h0_deaths(points, metric=metric).square().sum().backward()
    step = 1e-6
    above, below = (
        h0_deaths(points.detach() + sign * step * direction, metric=metric).square().sum()
        for sign in (1, -1)
    )
    expected = float((above - below) / (2 * step))
    found = float((points.grad * direction).sum())
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_gradcheck():
    assert torch.autograd.gradcheck(h0_deaths, (normal(8, 3).requires_grad_(),))
    distances = pairwise_distances(normal(3, 6, 2)).requires_grad_()
    deaths, edges = h0_deaths(distances=distances, return_edges=True)
    deaths.sum().backward()
    expected = torch.zeros_like(distances)
    for cloud, pairs in enumerate(edges):
        for i, j in pairs:
            expected[cloud, i, j] += 1
    # A distance stands at two places; which of them the gradient arrives at is not promised.
    torch.testing.assert_close(distances.grad + distances.grad.mT, expected + expected.mT)


def test_repeated_points_die_at_zero_with_a_finite_gradient():
    points = torch.tensor([[0.0, 0.0], [0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    deaths = h0_deaths(points)
    assert deaths.tolist() == [0.0, 5.0]
    deaths.sum().backward()
    assert points.grad is not None
    assert bool(points.grad.isfinite().all())
    torch.testing.assert_close(points.grad[2], torch.tensor([0.6, 0.8]))
    for metric in ("l1", "linf"):
        points.grad = None
        h0_deaths(points, metric=metric).sum().backward()
        assert bool(points.grad.isfinite().all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dtype_stays_and_input_is_not_changed(dtype):
    points = normal(3, 9, 4).to(dtype)
    before = points.clone()
    deaths, edges = h0_deaths(points, return_edges=True)
    assert deaths.dtype == dtype
    assert edges.dtype == torch.int64
    assert torch.equal(points, before)
    array = points.double().numpy()
    assert isinstance(h0_deaths(array, return_edges=True)[1], np.ndarray)


def test_one_point_has_no_death():
    assert h0_deaths(torch.ones(1, 3)).shape == (0,)
    assert h0_deaths(torch.ones(5, 1, 3), return_edges=True)[1].shape == (5, 0, 2)
    assert h0_deaths(distances=torch.zeros(1, 1)).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either points or distances"),
        ({"points": torch.ones(2, 2), "distances": torch.zeros(2, 2)}, "one of the two"),
        ({"points": torch.ones(3)}, r"shape \(n, features\) or \(batch, n, features\), got \(3,\)"),
        ({"points": torch.ones(0, 3)}, r"got \(0, 3\)"),
        ({"points": torch.ones(3, 3, dtype=torch.int64)}, "floating point, got torch.int64"),
        ({"points": [[1.0]]}, "a tensor or an array, got list"),
        ({"points": torch.tensor([[0.0], [torch.nan]])}, "NaN or infinite"),
        ({"points": torch.ones(2, 2), "metric": "l2"}, "Unknown metric 'l2'"),
        ({"points": torch.eye(3)[:, :2], "metric": "cosine"}, "norm 0 has no direction"),
        ({"distances": torch.zeros(2, 3)}, r"square matrices, got \(2, 3\)"),
        ({"distances": torch.eye(3)}, "0 on the diagonal"),
        ({"distances": -torch.ones(3, 3)}, "must not be negative"),
        ({"distances": torch.tensor([[0.0, 1.0], [2.0, 0.0]])}, "must be symmetric"),
        ({"distances": torch.tensor([[0.0, torch.inf], [torch.inf, 0.0]])}, "NaN or infinite"),
        ({"distances": torch.tensor([[0.0, torch.nan], [torch.nan, 0.0]])}, "NaN or infinite"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        h0_deaths(**arguments)


def test_a_single_pair_of_unequal_distances_among_many_is_seen():
    distances = pairwise_distances(normal(1, 300, 3))[0]
    h0_deaths(distances=distances)
    distances[17, 203] += 1e-3
    with pytest.raises(InputError, match="symmetric"):
        h0_deaths(distances=distances)


def test_scipy_loses_edges_of_length_zero_and_this_does_not():
    distances = np.array([[0.0, 0, 1], [0, 0, 1], [1, 1, 0]])
    lost = minimum_spanning_tree(distances)
    assert sorted(lost.data.tolist()) != [0.0, 1.0]  # the fault that the test is about
    assert h0_deaths(distances=distances).tolist() == [0.0, 1.0]
    assert h0_deaths(np.array([[0.0], [0.0], [1.0]])).tolist() == [0.0, 1.0]


def test_gudhi_hides_bars_of_length_zero_unless_told():
    tree = gudhi.RipsComplex(points=[[0.0], [0.0], [1.0]]).create_simplex_tree(max_dimension=1)
    tree.compute_persistence()
    assert len(tree.persistence_intervals_in_dimension(0)) == 2
    tree.compute_persistence(min_persistence=-1)
    assert len(tree.persistence_intervals_in_dimension(0)) == 3


@pytest.mark.parametrize("offset", [0.0, 10.0, 1000.0])
def test_clouds_far_from_the_origin_keep_their_deaths(offset):
    # float32: by products of points as they are, deaths are wrong by 8 at an offset of 1000.
    points = (normal(40, 768) + offset).float()
    expected = linkage(pdist(points.double().numpy()), "single")[:, 2]
    np.testing.assert_allclose(h0_deaths(points).numpy(), expected, rtol=2e-7, atol=0)
