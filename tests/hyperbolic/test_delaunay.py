"""The Delaunay graph: methods against each other and against rational arithmetic; policies."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from scipy.spatial import ConvexHull, Delaunay, cKDTree

from repgeo.errors import InputError
from repgeo.hyperbolic import (
    chord_edges,
    convert,
    delaunay_edges,
    delaunay_graph,
    distance_matrix,
    gabriel_edges,
    ray_edges,
)
from repgeo.hyperbolic.referee import referee
from repgeo.hyperbolic.sites import sites_of
from repgeo.hyperbolic.triangulation import _put_in, _repaired, triangulate


def wrapped(n: int, d: int, scale: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return convert(scale * rng.standard_normal((n, d)), "tangent", "poincare")


def ball(n: int, d: int, radius: float, seed: int = 0) -> np.ndarray:
    """Uniform directions, radii with the density sinh^(d-1)."""
    rng = np.random.default_rng(seed)
    v = rng.standard_normal((n, d))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    grid = np.linspace(0, radius, 2000)
    weight = np.cumsum(np.sinh(grid) ** (d - 1))
    r = np.interp(rng.random(n), weight / weight[-1], grid)
    return np.tanh(r / 2)[:, None] * v


def as_set(edges: np.ndarray) -> set[tuple[int, int]]:
    return {(int(i), int(j)) for i, j in edges}


def plain_edges(points: np.ndarray) -> set[tuple[int, int]]:
    """Every pair by one problem of least squares with all others, as the definition says."""
    found = set()
    room = 1 - (points**2).sum(axis=1)
    for i in range(len(points)):
        apart = np.delete(points, i, axis=0) - points[i]
        w = room[i] * apart / (apart**2).sum(axis=1, keepdims=True) - points[i]
        rows = np.column_stack([-np.ones(len(w)), w])
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        for j in range(i + 1, len(points)):
            own, others = rows[j - 1], np.delete(rows, j - 1, axis=0)
            others = others - np.outer(others @ own, own)
            target = np.eye(len(own))[0] - own * own[0]
            if nnls(others.T, target)[1] ** 2 > 0.5:
                found.add((i, j))
    return found


CASES = [
    (2, 200, 1.0), (2, 120, 4.0), (3, 100, 1.0), (3, 80, 3.0),
    (4, 60, 1.0), (4, 50, 0.3), (5, 40, 1.0), (6, 30, 1.0), (6, 25, 2.0),
]  # fmt: skip


@pytest.mark.parametrize(("d", "n", "scale"), CASES)
def test_hull_and_star_agree_on_every_pair(d: int, n: int, scale: float) -> None:
    for seed in range(2):
        points = wrapped(n, d, scale, seed)
        hull = delaunay_graph(points, method="hull")
        star = delaunay_graph(points, method="star")
        assert (hull.method, star.method) == ("hull", "star")
        assert as_set(hull.edges) == as_set(star.edges)
        assert hull.edges.dtype == np.int64
        assert (hull.edges[:, 0] < hull.edges[:, 1]).all()
        assert (np.diff(hull.edges[:, 0] * n + hull.edges[:, 1]) > 0).all()


@pytest.mark.parametrize(
    ("d", "n", "scale"), [(2, 60, 2.0), (4, 50, 1.0), (10, 40, 1.0), (30, 30, 0.5)]
)
def test_both_agree_with_the_definition(d: int, n: int, scale: float) -> None:
    points = wrapped(n, d, scale)
    assert as_set(delaunay_edges(points)) == plain_edges(points)


@pytest.mark.parametrize(
    ("d", "n", "radius"), [(2, 20, 3.0), (2, 20, 6.0), (3, 16, 4.0), (4, 14, 4.0), (6, 11, 4.0)]
)
def test_rational_arithmetic_never_contradicts(d: int, n: int, radius: float) -> None:
    points = ball(n, d, radius)
    sites = sites_of(points, "poincare")
    exact = {
        (i, j)
        for i, j in itertools.combinations(range(n), 2)
        if referee(sites, i, j, [], weak=False)
    }
    for method in ("hull", "star"):
        assert as_set(delaunay_edges(points, method=method)) == exact  # type: ignore[arg-type]
    swapped = {(i, j) for i, j in exact if referee(sites, j, i, [], weak=True)}
    assert swapped == exact


@pytest.mark.parametrize("radius", [18.0, 30.0])
def test_far_points_are_decided_exactly(radius: float) -> None:
    points = ball(30, 2, radius)
    star = delaunay_graph(points, method="star")
    assert as_set(delaunay_edges(points, method="hull")) == as_set(star.edges)
    assert star.exact > 0


@pytest.mark.parametrize("d", [2, 3, 4])
@pytest.mark.parametrize("model", ["poincare", "euclidean"])
def test_the_sandwich(d: int, model: Any) -> None:
    points = wrapped(120, d, 1.5)
    edges = as_set(delaunay_edges(points, model=model))
    gabriel = as_set(gabriel_edges(points, model=model))
    assert gabriel <= edges <= as_set(chord_edges(points, model=model))
    if model == "euclidean":
        return
    D = distance_matrix(points, points)
    np.fill_diagonal(D, np.inf)
    nearest = {tuple(sorted((i, int(D[i].argmin())))) for i in range(len(D))}
    neighbourhood = {
        (i, j)
        for i, j in itertools.combinations(range(len(D)), 2)
        if (np.maximum(D[i], D[j]) >= D[i, j]).all()
    }
    tree = minimum_spanning_tree(D)
    assert nearest <= tree <= neighbourhood <= gabriel


def minimum_spanning_tree(D: np.ndarray) -> set[tuple[int, int]]:
    found, reached = set(), {0}
    while len(reached) < len(D):
        inside = sorted(reached)
        rest = [k for k in range(len(D)) if k not in reached]
        block = D[np.ix_(inside, rest)]
        i, j = np.unravel_index(block.argmin(), block.shape)
        found.add((min(inside[i], rest[j]), max(inside[i], rest[j])))
        reached.add(rest[j])
    return found


@pytest.mark.parametrize("d", [2, 3, 5])
def test_the_flat_graph_is_that_of_scipy(d: int) -> None:
    points = np.random.default_rng(0).standard_normal((50, d)) + 100
    flat = {
        tuple(sorted(pair))
        for simplex in Delaunay(points - 100).simplices.tolist()
        for pair in itertools.combinations(simplex, 2)
    }
    for method in ("hull", "star"):
        assert as_set(delaunay_edges(points, model="euclidean", method=method)) == flat  # type: ignore[arg-type]


def test_rounding_that_misleads_qhull_is_repaired() -> None:
    line = np.linspace(-0.6, 0.6, 9)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    c, s = math.cos(0.3), math.sin(0.3)
    turned = grid @ np.array([[c, -s], [s, c]])  # neither squares nor sides are exact any more
    hull = delaunay_graph(turned, method="hull")
    star = delaunay_graph(turned, method="star")
    assert as_set(hull.edges) == as_set(star.edges)
    sides = np.linalg.norm(turned[hull.edges[:, 0]] - turned[hull.edges[:, 1]], axis=1)
    assert (sides < 0.16).sum() == 2 * 9 * 8
    made = triangulate(turned)
    assert made is not None
    assert not made.tied.all()


@pytest.mark.parametrize("ties", ["strict", "weak"])
@pytest.mark.parametrize("d", [3, 4])
def test_cubes_have_ties(d: int, ties: Any) -> None:
    cube = 0.3 * np.array(list(itertools.product((-1.0, 1.0), repeat=d))) / math.sqrt(d)
    edges = as_set(delaunay_edges(cube, ties=ties))
    sides = {
        (i, j)
        for i, j in itertools.combinations(range(2**d), 2)
        if np.count_nonzero(cube[i] != cube[j]) == 1
    }
    everything = set(itertools.combinations(range(2**d), 2))
    assert edges == (sides if ties == "strict" else everything)
    inner = np.concatenate([cube, np.full((1, d), 0.01)])
    for method in ("hull", "star"):
        found = as_set(delaunay_edges(inner, ties=ties, method=method))  # type: ignore[arg-type]
        assert found == as_set(delaunay_edges(inner, ties=ties, method="star"))


def test_equal_points_are_one_site() -> None:
    points = wrapped(30, 2, 1.0)
    doubled = np.concatenate([points[:3], points, points[10:12]])
    graph = delaunay_graph(doubled)
    plain = delaunay_edges(points)
    rank = np.concatenate([np.arange(3), np.arange(6, 33)])  # where each point stands first
    expected = {tuple(sorted((int(rank[i]), int(rank[j])))) for i, j in plain}
    assert as_set(graph.edges) == expected
    assert len(graph.sites) == 30
    assert graph.degrees.sum() == 2 * len(plain)
    assert delaunay_edges(np.zeros((3, 2))).shape == (0, 2)
    assert delaunay_edges(np.array([[0.0, 0.1], [-0.0, 0.1]])).shape == (0, 2)
    assert delaunay_edges(np.zeros((0, 2))).shape == (0, 2)


def test_rays_find_true_edges() -> None:
    generator = torch.Generator().manual_seed(0)
    for model in ("poincare", "euclidean"):
        points = wrapped(60, 2, 1.0)
        exact = as_set(delaunay_edges(points, model=model))  # type: ignore[arg-type]
        found = ray_edges(points, rays=400, generator=generator, model=model)  # type: ignore[arg-type]
        assert as_set(found.edges) <= exact
        assert len(found.edges) > 0.9 * len(exact)
        assert found.hits.sum() + round(found.escaped * 2 * 400 * 60) == 2 * 400 * 60
    high = wrapped(60, 6, 1.5)
    found = ray_edges(high, rays=400, generator=generator)
    assert as_set(found.edges) < as_set(delaunay_edges(high))


def test_nearest_neighbours_are_joined() -> None:
    points = wrapped(3000, 2, 2.0)
    edges = as_set(delaunay_edges(points))
    D = cKDTree(points).query(points, 9)[1]
    distances = np.stack([distance_matrix(points[k : k + 1], points[D[k]])[0] for k in range(300)])
    nearest = distances[:, 1:].argmin(axis=1) + 1
    for k in range(300):
        j = int(D[k, nearest[k]])
        if distances[k, nearest[k]] < distances[k, 1:].max():
            assert (min(k, j), max(k, j)) in edges


def test_inputs_are_checked_and_kept() -> None:
    points = wrapped(20, 2, 1.0)
    before = points.copy()
    edges = delaunay_edges(points)
    assert (points == before).all()
    assert as_set(delaunay_edges(torch.from_numpy(points))) == as_set(edges)
    points.setflags(write=False)
    delaunay_edges(points)
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (np.ones((3, 2)), {}, "open ball"),
        (np.zeros(3), {}, r"shape \(n, coordinates\)"),
        (points, {"method": "hul"}, "Did you mean 'hull'"),
        (points, {"model": "poincaré"}, "Did you mean 'poincare'"),
        (points, {"ties": "none"}, "Known: strict, weak"),
        (points, {"curvature": 0.0}, "negative"),
        (np.array([[40.0, 0.0]]), {"model": "tangent"}, "rounds onto the boundary"),
        (np.array([[-0.5, 0.1], [0.0, 0.1], [0.5, 0.1]]), {"method": "hull"}, "no hull with a"),
    ]
    for given, options, message in cases:
        with pytest.raises(InputError, match=message):
            delaunay_edges(given, **options)


@pytest.mark.parametrize("flat", [True, False])
def test_points_that_qhull_leaves_out_are_put_in(flat: bool) -> None:
    # a cloud, and a cluster so tight that Qhull takes some of its points for others
    rng = np.random.default_rng(3)
    tight = 0.3 + 1e-9 * rng.standard_normal((40, 2)).astype(np.float32)
    points = np.concatenate([0.2 * rng.standard_normal((60, 2)).clip(-3, 3), tight])
    used = np.unique(Delaunay(points - points.mean(axis=0)).simplices)
    assert len(used) < len(points)
    model = "euclidean" if flat else "poincare"
    found = delaunay_graph(points, model=model)
    assert found.method == "hull"
    star = delaunay_edges(points, model=model, method="star")
    assert np.array_equal(found.edges, star)


def test_points_left_out_on_edges_and_outside_the_hull() -> None:
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    corners = np.array([[0, 1, 2], [0, 2, 3]])
    cases = {
        "inside": [[0.6, 0.2]],
        "on an inner edge": [[0.5, 0.5]],
        "on the hull": [[0.5, 0.0]],
        "outside": [[2.0, 0.3]],
        "beyond a corner": [[1.5, 1.7], [3.0, -2.0]],
    }
    for name, extra in cases.items():
        points = np.concatenate([square, extra])
        left_out = list(range(4, len(points)))
        made, _ = _repaired(points, corners, [], left_out)
        area = sum(
            np.linalg.det(np.stack([points[b] - points[a], points[c] - points[a]])) / 2
            for a, b, c in made
        )
        hull = ConvexHull(points).volume
        assert area == pytest.approx(hull, abs=1e-12), name
        assert set(made.ravel().tolist()) == set(range(len(points))), name
    apex = {(0, 1): 2, (1, 2): 0, (2, 0): 1}
    assert _put_in(np.concatenate([square, [[0.6, 0.2]]]), apex, 4) == [(0, 1), (1, 2), (2, 0)]
