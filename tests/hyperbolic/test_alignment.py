"""HyperDGA and what stands beside it."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from repgeo.errors import InputError, MissingExtraError
from repgeo.hyperbolic import (
    ComponentRules,
    aligned,
    assignment_distance,
    chamfer_distance,
    component_analysis,
    convert,
    delaunay_graph,
    distance_matrix,
    hausdorff_distance,
    hyperdga,
    null_law,
    sampled_hyperdga,
    transport_distance,
)


def cloud(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    tangent = np.random.default_rng(seed).standard_normal((n, d))
    tangent[:, 0] += shift
    return convert(tangent, "tangent", "poincare")


def test_counts_by_hand() -> None:
    a, b = cloud(30, 2, 0), cloud(50, 2, 1, shift=1.0)
    found = hyperdga(a, b)
    label = np.arange(80) < 30
    mixed = sum(bool(label[i] != label[j]) for i, j in found.graph.edges)
    assert (found.heterogeneous, found.edges) == (mixed, len(found.graph.edges))
    assert found.score == 1 - mixed / found.edges
    assert found.null_mean == pytest.approx(1 - 2 * 30 * 50 / (80 * 79))
    assert found.normalized == pytest.approx(1 - (1 - found.score) / (1 - found.null_mean))
    assert found.density == found.edges / (80 * 79 / 2)
    assert found.max_degree == np.bincount(found.graph.edges.ravel()).max()
    assert found.certified
    tensors = hyperdga(torch.from_numpy(a), torch.from_numpy(b))
    assert tensors.score == found.score


def test_z_is_that_of_shuffled_labels() -> None:
    graph = delaunay_graph(cloud(200, 2, 0))
    share = (np.arange(200) < 80).astype(float)
    rng = np.random.default_rng(0)
    scores = [aligned(graph, rng.permutation(share)).score for _ in range(2000)]
    found = aligned(graph, share)
    assert np.mean(scores) == pytest.approx(found.null_mean, abs=5 * found.null_std / 2000**0.5)
    assert np.std(scores) == pytest.approx(found.null_std, rel=0.06)
    assert found.p_value == pytest.approx(np.mean(np.array(scores) >= found.score), abs=0.05)


def test_places_of_both_sets_count_by_their_shares() -> None:
    a, b = cloud(12, 2, 0), cloud(12, 2, 1)
    found = hyperdga(np.concatenate([a, b[:2]]), b)
    assert found.merged == 2
    graph, share = found.graph, np.repeat([1.0, 0.5, 0.0], [12, 2, 10])
    # the mean over the labels that the two places may draw
    drawn = []
    for labels in itertools.product((0.0, 1.0), repeat=2):
        share[12:14] = labels
        drawn.append(aligned(graph, share).heterogeneous)
    assert found.heterogeneous == pytest.approx(np.mean(drawn))
    shares = np.array([1.0, 0.5, 0.0, 0.25])
    degrees = np.array([2, 1, 1, 0])
    values = [
        sum(p[0] + p[k] - 2 * p[0] * p[k] for k in (1, 2)) for p in itertools.permutations(shares)
    ]
    mean, variance = null_law(shares, degrees)
    assert mean == pytest.approx(np.mean(values), rel=1e-12)
    assert variance == pytest.approx(np.var(values), rel=1e-12)


def test_a_complete_graph_says_nothing() -> None:
    found = hyperdga(cloud(3, 6, 0), cloud(3, 6, 1) * 0.1)
    if found.density == 1:
        assert (found.z, found.p_value, found.null_std) == (0.0, 1.0, 0.0)
    triangle = np.array([[0.1, 0.0], [-0.05, 0.1], [-0.05, -0.1]])
    found = hyperdga(triangle[:1], triangle[1:])
    assert (found.density, found.z, found.p_value) == (1.0, 0.0, 1.0)


def test_the_interval_of_sampled_stars_holds_the_score() -> None:
    a, b = cloud(300, 2, 0), cloud(300, 2, 1, shift=0.7)
    exact = hyperdga(a, b).score
    inside = 0
    for seed in range(6):
        found = sampled_hyperdga(a, b, generator=np.random.default_rng(seed), half_width=0.1)
        assert found.ci_high - found.ci_low <= 0.2 + 1e-12
        assert 30 <= found.stars < 600
        inside += found.ci_low <= exact <= found.ci_high
    assert inside >= 4
    generator = np.random.default_rng(0)
    everything = sampled_hyperdga(a[:40], b[:40], generator=generator, half_width=0.0)
    assert everything.score == pytest.approx(hyperdga(a[:40], b[:40]).score, rel=1e-12)
    assert everything.null_mean == pytest.approx(1 - 2 * 40 * 40 / (80 * 79))


def test_classical_distances_against_loops() -> None:
    a, b = cloud(15, 3, 0), cloud(10, 3, 1, shift=0.5)
    D = distance_matrix(a, b)
    rows, columns = [min(row) for row in D], [min(column) for column in D.T]
    assert chamfer_distance(a, b) == pytest.approx(np.mean(rows) / 2 + np.mean(columns) / 2)
    squares = np.mean(np.square(rows)) / 2 + np.mean(np.square(columns)) / 2
    assert chamfer_distance(a, b, squared=True) == pytest.approx(squares)
    worst = max(*rows, *columns)
    assert hausdorff_distance(a, b) == pytest.approx(worst)
    assert hausdorff_distance(a, b, squared=True) == pytest.approx(worst**2)
    assert assignment_distance(a, b) == pytest.approx(D[linear_sum_assignment(D)].mean())


def test_transport() -> None:
    pytest.importorskip("ot")
    a, b = cloud(12, 2, 0), cloud(12, 2, 1)
    assert transport_distance(a, b) == pytest.approx(assignment_distance(a, b), rel=1e-9)
    assert transport_distance(a, a) == pytest.approx(0.0, abs=1e-9)
    assert transport_distance(a, a[:1]) == pytest.approx(distance_matrix(a, a[:1]).mean())
    assert transport_distance(a, b, order=2) >= transport_distance(a, b)
    with pytest.raises(InputError, match="1 or 2"):
        transport_distance(a, b, order=3)


def test_transport_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(MissingExtraError, match=r"repgeo\[hyperbolic\]"):
        transport_distance(cloud(3, 2, 0), cloud(3, 2, 1))


def test_components_of_two_mixed_and_two_single_clusters() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[0.6, 0.0], [-0.6, 0.0], [0.0, 0.6]])
    a = np.concatenate([centres[0] + 0.02 * rng.standard_normal((40, 2)),
                        centres[1] + 0.02 * rng.standard_normal((30, 2))])  # fmt: skip
    b = np.concatenate([centres[0] + 0.02 * rng.standard_normal((40, 2)),
                        centres[2] + 0.02 * rng.standard_normal((20, 2))])  # fmt: skip
    for model in ("poincare", "euclidean"):
        found = component_analysis(a, b, model=model)  # type: ignore[arg-type]
        sizes = [(one.first, one.second) for one in found.components]
        assert sizes == [(40, 40), (30, 0), (0, 20)]
        assert [one.fundamental for one in found.components] == [True, False, False]
        assert (found.precision, found.recall) == (40 / 60, 40 / 70)
        assert found.consistency == pytest.approx(80 / 130)
        score = hyperdga(a, b, model=model).score  # type: ignore[arg-type]
        assert found.quality == pytest.approx(1 - score)
        inner = sum(one.edges for one in found.components)
        dca = component_analysis(a, b, rules=ComponentRules.dca(), model=model)  # type: ignore[arg-type]
        assert dca.consistency == pytest.approx(1 - 10 / 130)
        mixed = sum(one.heterogeneous for one in dca.components)
        assert dca.quality == pytest.approx(mixed / sum(one.edges for one in dca.components))
        assert inner < len(found.graph.edges)


def test_noise_is_one_component_or_many() -> None:
    rng = np.random.default_rng(1)
    a = np.concatenate([0.01 * rng.standard_normal((30, 2)), [[0.9, 0.0], [0.0, 0.9]]])
    b = np.concatenate([0.01 * rng.standard_normal((30, 2)), [[-0.9, 0.0], [0.0, -0.9]]])
    one = component_analysis(a, b, rules=ComponentRules(allow_single_cluster=True))
    many = component_analysis(
        a, b, rules=ComponentRules(convention="dca", allow_single_cluster=True)
    )
    cluster, *noise = (part.first + part.second for part in many.components)
    assert noise == [1] * (64 - cluster)
    assert {part.first + part.second for part in one.components} == {cluster, len(noise)}


def test_sets_must_fit() -> None:
    a = cloud(5, 2, 0)
    cases: list[tuple[Any, Any, str]] = [
        (a, a[:0], "the second has"),
        (a, cloud(5, 3, 0), "same space"),
        (a, torch.from_numpy(a), "mixed"),
        (a[:1], a[:1], "at one place"),
    ]
    for one, two, message in cases:
        with pytest.raises(InputError, match=message):
            hyperdga(one, two)
    with pytest.raises(InputError, match="Shares"):
        aligned(delaunay_graph(a), np.array([2.0] * 5))
    with pytest.raises(InputError, match="not negative"):
        sampled_hyperdga(a, a * 0.5, generator=np.random.default_rng(0), half_width=-1.0)
    with pytest.raises(InputError, match="at least 5 points"):
        component_analysis(a[:2], a[2:4])


DATA = Path(os.environ.get("REPGEO_DATA", "")) / "singlecell_hyperbolic"


def cells(name: str, label: str) -> np.ndarray:
    stored = np.load(DATA / f"hyperdga_exp3_{name}.npz")
    chosen: np.ndarray = stored["x"][stored["group_names"][stored["group"]] == label]
    return chosen


@pytest.mark.skipif(not DATA.is_dir(), reason="needs singlecell_hyperbolic under REPGEO_DATA")
@pytest.mark.parametrize(
    ("a", "b", "heterogeneous", "edges", "z"),
    [
        ("14Mo", "13Baso", 571, 1986, 18.7),
        ("7MEP", "13Baso", 12, 1375, 35.7),
        ("7MEP", "14Mo", 9, 1585, 37.7),
    ],
)
def test_scores_of_single_cells(a: str, b: str, heterogeneous: int, edges: int, z: float) -> None:
    found = hyperdga(cells("paul", a), cells("paul", b))
    assert (found.heterogeneous, found.edges) == (heterogeneous, edges)
    assert found.z == pytest.approx(z, abs=0.05)
    assert found.merged == 0


@pytest.mark.skipif(not DATA.is_dir(), reason="needs singlecell_hyperbolic under REPGEO_DATA")
@pytest.mark.parametrize(
    ("a", "b", "chamfer", "hausdorff", "assignment"),
    [
        ("14Mo", "13Baso", 0.0139, 0.516, 0.292),
        ("7MEP", "13Baso", 1.335, 2.099, 1.568),
        ("7MEP", "14Mo", 1.612, 1.917, 1.728),
    ],
)
def test_classical_distances_of_single_cells(
    a: str, b: str, chamfer: float, hausdorff: float, assignment: float
) -> None:
    one, two = cells("paul", a), cells("paul", b)
    assert chamfer_distance(one, two, squared=True) == pytest.approx(chamfer, abs=6e-4)
    assert hausdorff_distance(one, two) == pytest.approx(hausdorff, abs=6e-4)
    assert assignment_distance(one, two) == pytest.approx(assignment, abs=6e-4)
