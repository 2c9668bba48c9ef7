"""What moves, orders or rescales points changes neither their Delaunay graph nor HyperDGA."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from repgeo.hyperbolic import convert, delaunay_edges, hyperdga, translate


def cloud(n: int, d: int, seed: int = 0) -> np.ndarray:
    return 1.5 * np.random.default_rng(seed).standard_normal((n, d))


def orthogonal(d: int, seed: int) -> np.ndarray:
    made: np.ndarray = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]
    return made


@pytest.mark.parametrize(("d", "method"), [(2, "hull"), (2, "star"), (3, "hull"), (5, "star")])
def test_isometries_keep_the_edges(d: int, method: Any) -> None:
    points = convert(cloud(50, d), "tangent", "poincare")
    edges = delaunay_edges(points, method=method)
    for seed in range(5):
        by = convert(cloud(1, d, seed + 10)[0], "tangent", "poincare")
        moved = translate(points @ orthogonal(d, seed), by)
        assert (delaunay_edges(moved, method=method) == edges).all()
    # what is no isometry changes them
    assert len(delaunay_edges(0.9 * points, method=method)) != len(edges)


@pytest.mark.parametrize("curvature", [-1.0, -0.2, -9.0])
@pytest.mark.parametrize("model", ["poincare", "klein", "lorentz", "tangent"])
def test_models_and_curvatures_have_the_same_edges(model: Any, curvature: float) -> None:
    tangent = cloud(60, 3)
    edges = delaunay_edges(tangent, model="tangent")
    points = convert(tangent / math.sqrt(-curvature), "tangent", model, curvature=curvature)
    assert (delaunay_edges(points, model=model, curvature=curvature) == edges).all()


def test_flat_graphs_move_with_similarities() -> None:
    points = cloud(60, 3)
    edges = delaunay_edges(points, model="euclidean")
    moved = 7 * points @ orthogonal(3, 1) + 5
    assert (delaunay_edges(moved, model="euclidean") == edges).all()


def test_order_does_not_matter() -> None:
    points = convert(cloud(80, 2), "tangent", "poincare")
    order = np.random.default_rng(1).permutation(80)
    there = np.sort(order[delaunay_edges(points[order])], axis=1)
    assert {tuple(pair) for pair in there} == {tuple(pair) for pair in delaunay_edges(points)}


def test_hyperdga_is_symmetric_and_invariant() -> None:
    a, b = (convert(cloud(60, 2, seed), "tangent", "poincare") for seed in (1, 2))
    found, swapped = hyperdga(a, b), hyperdga(b, a)
    by = np.array([0.4, -0.7])
    moved = hyperdga(translate(a, by), translate(b, by))
    for other in (swapped, moved):
        assert other.score == found.score
        assert other.z == pytest.approx(found.z, rel=1e-12)
        assert other.normalized == pytest.approx(found.normalized, rel=1e-12)


def test_repeated_points_do_not_count_twice() -> None:
    a, b = (convert(cloud(40, 2, seed), "tangent", "poincare") for seed in (1, 2))
    found = hyperdga(a, b)
    again = hyperdga(np.concatenate([a, a]), b)
    assert (again.score, again.edges, again.merged) == (found.score, found.edges, 40)
    assert again.z == pytest.approx(found.z)
