"""Closed forms of hyperbolic Delaunay graphs and of HyperDGA."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.spatial import ConvexHull, Delaunay

from repgeo.hyperbolic import (
    aligned,
    convert,
    delaunay_edges,
    delaunay_graph,
    hyperdga,
    null_law,
    translate,
)

METHODS: tuple[Any, ...] = ("hull", "star")


def disk(n: int, radius: float, seed: int = 0) -> np.ndarray:
    """Points of the uniform law on a hyperbolic disk, in Poincaré coordinates."""
    rng = np.random.default_rng(seed)
    r = np.arccosh(1 + (math.cosh(radius) - 1) * rng.random(n))
    angle = 2 * math.pi * rng.random(n)
    return np.tanh(r / 2)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def ball(n: int, d: int, radius: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    v = rng.standard_normal((n, d))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    return np.tanh(radius * rng.random((n, 1)) / 2) * v


def as_set(edges: np.ndarray) -> set[tuple[int, int]]:
    return {(int(i), int(j)) for i, j in edges}


def lifted_normals(points: np.ndarray) -> tuple[ConvexHull, np.ndarray]:
    """The hull of the points on a paraboloid, and time and space of its normals."""
    hull = ConvexHull(np.column_stack([points, (points**2).sum(axis=1)]))
    n = hull.equations
    return hull, np.column_stack([-(n[:, -2] + n[:, -1]), n[:, :-2]])


@pytest.mark.parametrize(("n", "radius"), [(100, 1.0), (300, 8.0), (1000, 4.0), (1000, 16.0)])
def test_euler_in_the_plane(n: int, radius: float) -> None:
    points = disk(n, radius)
    _, normals = lifted_normals(points)
    inside = int((normals[:, 0] > np.linalg.norm(normals[:, 1:], axis=1)).sum())
    assert len(delaunay_edges(points)) == n + inside - 1


def test_euler_in_three_dimensions() -> None:
    points = ball(60, 3, 5.0)
    hull, normals = lifted_normals(points)
    axis = np.eye(4)[0]
    counts = []
    for size in (1, 2, 3, 4):
        faces = {
            c for simplex in hull.simplices for c in itertools.combinations(sorted(simplex), size)
        }
        kept = 0
        for face in faces:
            around = normals[np.isin(hull.simplices, face).sum(axis=1) == size]
            around = around / np.linalg.norm(around, axis=1, keepdims=True)
            kept += nnls(around.T, axis)[1] ** 2 < 0.5
        counts.append(kept)
    assert counts[0] == 60
    assert counts[1] == len(delaunay_edges(points))
    assert counts[0] - counts[1] + counts[2] - counts[3] == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [3, 4, 6, 9])
def test_hub_and_rim(n: int, method: Any) -> None:
    angles = 2 * math.pi * np.arange(n) / n
    rim = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    spokes = {(0, k) for k in range(1, n + 1)}
    sides = {(k, k + 1) for k in range(1, n)} | {(1, n)}
    for factor, expected, score in ((1 - 1e-6, spokes | sides, 0.5), (1 + 1e-6, spokes, 0.0)):
        outer = factor * math.cos(math.pi / n) * rim
        points = np.concatenate([np.zeros((1, 2)), outer])
        assert as_set(delaunay_edges(points, method=method)) == expected
        assert hyperdga(points[:1], outer, method=method).score == score


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("angle", [0.3, 1.0, 2.0, 3.0])
def test_two_points_around_a_hub(angle: float, method: Any) -> None:
    v = np.array([[0.0, 0.0], [1.0, 0.0], [math.cos(angle), math.sin(angle)]])
    for factor, joined in ((1 - 1e-9, True), (1 + 1e-9, False)):
        points = factor * math.cos(angle / 2) * v
        edges = as_set(delaunay_edges(points, method="star" if method == "star" else "auto"))
        assert edges == {(0, 1), (0, 2)} | ({(1, 2)} if joined else set())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("d", [2, 3, 4, 5])
def test_cross_polytopes(d: int, method: Any) -> None:
    rim = np.concatenate([np.eye(d), -np.eye(d)])
    for factor, expected in ((1 - 1e-6, 2 * d + 2 * d * (d - 1)), (1 + 1e-6, 2 * d)):
        points = np.concatenate([np.zeros((1, d)), factor * math.sqrt(0.5) * rim])
        edges = delaunay_edges(points, method=method)
        assert len(edges) == expected
        assert (edges[: 2 * d, 0] == 0).all()


def regular_tree(q: int, length: float, count: int) -> tuple[np.ndarray, set[tuple[int, int]]]:
    """A tree with q edges of one length at each node, at equal angles, and its edges.

    Each node has a frame, the product of boosts and turns that leads to it from the root.
    """
    boost = np.eye(3)
    boost[:2, :2] = [[math.cosh(length), math.sinh(length)], [math.sinh(length), math.cosh(length)]]

    def turn(angle: float) -> np.ndarray:
        made = np.eye(3)
        c, s = math.cos(angle), math.sin(angle)
        made[1:, 1:] = [[c, -s], [s, c]]
        return made

    frames, edges = [np.eye(3)], set()
    for node in range(count):
        if len(frames) >= count:
            break
        ways = range(q) if node == 0 else range(1, q)  # the way back is at the angle pi
        for way in ways:
            angle = 2 * math.pi * way / q + (0 if node == 0 else math.pi)
            edges.add((node, len(frames)))
            frames.append(frames[node] @ turn(angle) @ boost)
    lorentz = np.stack([frame[:, 0] for frame in frames])
    return lorentz[:, 1:] / (1 + lorentz[:, :1]), edges


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("q", "length"), [(3, 1.0986123), (4, 1.7627472), (5, 2.2484)])
def test_regular_trees(q: int, length: float, method: Any) -> None:
    critical = 2 * math.atanh(math.cos(math.pi / q))
    assert critical == pytest.approx(length, abs=1e-4)
    points, tree = regular_tree(q, 1.001 * critical, 60)
    assert as_set(delaunay_edges(points, method=method)) == tree
    points, tree = regular_tree(q, 0.999 * critical, 60)
    assert as_set(delaunay_edges(points, method=method)) > tree


@pytest.mark.parametrize("method", ["auto", "star"])
def test_three_points(method: Any) -> None:
    for seed in range(60):
        points = disk(3, 4.0, seed)
        X = convert(points, "poincare", "lorentz")
        products = -X @ np.diag([-1.0, 1, 1]) @ X.T  # cosh d
        s = np.sqrt((products - 1).clip(min=0) / 2)
        expected = {
            (i, j) for i, j, k in ((0, 1, 2), (0, 2, 1), (1, 2, 0)) if s[i, k] + s[j, k] > s[i, j]
        }
        assert as_set(delaunay_edges(points, method=method)) == expected


@pytest.mark.parametrize("method", ["auto", "star"])
@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_points_on_a_geodesic_are_a_path(d: int, method: Any) -> None:
    rng = np.random.default_rng(d)
    t = np.sort(rng.uniform(-4, 4, 12))
    order = rng.permutation(12)
    line = np.zeros((12, d))
    line[order, 0] = np.tanh(t / 2)
    moved = [line]
    if d > 1:
        moved.append(translate(line, 0.3 * np.ones(d) / math.sqrt(d)))
    for points in moved:
        edges = as_set(delaunay_edges(points, method=method))
        path = {tuple(sorted(pair)) for pair in itertools.pairwise(order.tolist())}
        assert edges == path
    assert delaunay_edges(line[:2], method=method).tolist() == [[0, 1]]
    assert delaunay_edges(line[:1], method=method).shape == (0, 2)


@pytest.mark.parametrize("method", METHODS)
def test_small_sets_have_the_flat_graph(method: Any) -> None:
    rng = np.random.default_rng(6)
    n = 200 if method == "hull" else 60
    cloud = rng.standard_normal((n, 2))
    cloud /= np.abs(cloud).max()
    flat = {
        tuple(sorted(pair))
        for simplex in Delaunay(cloud).simplices.tolist()
        for pair in itertools.combinations(simplex, 2)
    }
    for scale in (0.01, 1e-4, 1e-7):
        assert as_set(delaunay_edges(scale * cloud, method=method)) <= flat
    # what differs are hull edges whose circles are nearly half planes
    found = as_set(delaunay_edges(1e-7 * cloud, method=method))
    assert found == flat


def test_the_null_law_is_that_of_all_labellings() -> None:
    points = disk(8, 3.0, seed=2)
    graph = delaunay_graph(points)
    first = graph.sites.first[graph.edges]
    counts = []
    for chosen in itertools.combinations(range(8), 3):
        label = np.isin(np.arange(8), chosen)
        counts.append(int((label[first[:, 0]] != label[first[:, 1]]).sum()))
    share = np.array([1.0] * 3 + [0.0] * 5)
    mean, variance = null_law(share, graph.degrees)
    assert mean == pytest.approx(np.mean(counts), rel=1e-12)
    assert variance == pytest.approx(np.var(counts), rel=1e-12)
    assert mean == pytest.approx(len(graph.edges) * 2 * 3 * 5 / (8 * 7), rel=1e-12)
    found = aligned(graph, share)
    assert found.null_std == pytest.approx(np.std(counts) / len(graph.edges), rel=1e-12)
    assert found.z == pytest.approx((found.score - found.null_mean) / found.null_std)


def test_the_null_variance_is_the_published_one() -> None:
    graph = delaunay_graph(disk(400, 5.0))
    N, a, b, m = 400, 150, 250, len(graph.edges)
    C = int((graph.degrees * (graph.degrees - 1)).sum()) / 2
    p1, p2 = 2 * a * b / (N * (N - 1)), a * b / (N * (N - 1))
    p3 = 4 * a * (a - 1) * b * (b - 1) / (N * (N - 1) * (N - 2) * (N - 3))
    expected = m * p1 + 2 * C * p2 + (m * (m - 1) - 2 * C) * p3 - (m * p1) ** 2
    mean, variance = null_law(np.repeat([1.0, 0.0], [a, b]), graph.degrees)
    assert mean == pytest.approx(m * p1, rel=1e-12)
    assert variance == pytest.approx(expected, rel=1e-6)  # the plain formula cancels


def test_large_samples() -> None:
    same = hyperdga(disk(4000, 3.0, 1), disk(4000, 3.0, 2))
    assert same.score == pytest.approx(0.5, abs=4 * same.null_std)
    assert abs(same.z) < 4
    uneven = hyperdga(disk(2000, 3.0, 1), disk(6000, 3.0, 2))
    assert uneven.score == pytest.approx(1 - 2 * 0.25 * 0.75, abs=4 * uneven.null_std)


def test_a_disk_and_its_half() -> None:
    whole, half = disk(5000, 3.0, 1), disk(5000, 3.0, 2)
    half[:, 0] = np.abs(half[:, 0])
    assert hyperdga(whole, half).score == pytest.approx(2 / 3, abs=0.02)


def test_twins() -> None:
    rng = np.random.default_rng(0)
    points = disk(4000, 3.0)
    jitter = 1e-7 * rng.standard_normal(points.shape) * (1 - (points**2).sum(axis=1))[:, None]
    assert hyperdga(points, points + jitter).score == pytest.approx(5 / 12, abs=0.015)


def test_noise_moves_a_set_away() -> None:
    rng = np.random.default_rng(0)
    points = disk(1000, 1.0)
    steps = rng.standard_normal(points.shape)
    scores = []
    for sigma in (0.1, 0.3, 1.0, 2.0, 4.0):
        moved = convert(sigma * steps, "tangent", "poincare")
        scores.append(hyperdga(points, translate(moved, points)).score)
    assert scores == sorted(scores)
    assert scores[0] == pytest.approx(0.5, abs=0.04)
    assert 0.93 < scores[-1] < 1


@pytest.mark.parametrize("method", METHODS)
def test_a_grid_fixes_the_convention_of_ties(method: Any) -> None:
    line = np.linspace(-0.4, 0.4, 5)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    strict = delaunay_edges(grid, method=method)
    weak = delaunay_edges(grid, method=method, ties="weak")
    assert (len(strict), len(weak)) == (40, 72)
    apart = np.abs(grid[strict[:, 0]] - grid[strict[:, 1]]).sum(axis=1)
    np.testing.assert_allclose(apart, 0.2, atol=1e-12)
    assert as_set(strict) < as_set(weak)
    flat = delaunay_edges(grid, method="hull", model="euclidean")
    assert as_set(flat) == as_set(strict)
