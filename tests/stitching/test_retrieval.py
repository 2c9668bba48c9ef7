from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching import RelativeProjection, retrieve
from repgeo.stitching.retrieval import (
    precision_chance,
    reciprocal_rank_chance,
    retrieval_jaccard_chance,
)
from repgeo.stitching.similarity import codes as codes_module


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def nearness(queries: Tensor, gallery: Tensor, metric: str) -> Tensor:
    if metric == "euclidean":
        return -torch.cdist(queries, gallery)
    units = [codes / codes.norm(dim=1, keepdim=True) for codes in (queries, gallery)]
    return units[0] @ units[1].T


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("truncate", [None, 4])
def test_against_sorted_lists(metric: str, truncate: int | None) -> None:
    n, k = 30, 3
    gallery = normal(n, 5, 0)
    queries = gallery + 0.8 * normal(n, 5, 1)
    found = retrieve(queries, gallery, k=k, truncate=truncate, metric=metric)
    near, own = nearness(queries, gallery, metric), nearness(gallery, gallery, metric)
    for i in range(n):
        order = near[i].argsort(descending=True).tolist()
        rank = order.index(i) + 1
        reciprocal = 1 / rank if truncate is None or rank <= truncate else 0.0
        assert found.reciprocal_rank[i].item() == reciprocal
        assert found.hit[i].item() == float(rank <= k)
        wanted = set(own[i].argsort(descending=True)[:k].tolist())
        shared = len(wanted & set(order[:k]))
        assert found.jaccard[i].item() == pytest.approx(shared / (2 * k - shared), abs=1e-15)
        assert found.cosine[i].item() == pytest.approx(
            float(queries[i] @ gallery[i] / (queries[i].norm() * gallery[i].norm())), abs=1e-12
        )
    assert 0 < found.hit.mean() < 1


def test_ties_by_all_orders_of_the_tied() -> None:
    # The partner, two duplicates of it, one nearer and one farther: all orders of the three.
    gallery = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.2], [0.0, 1.0]])
    query = torch.tensor([[1.0, 0.3]])
    queries = torch.cat([query, gallery[1:]])
    for k, truncate in ((1, None), (2, 2), (3, 3), (4, 4)):
        found = retrieve(queries, gallery, k=k, truncate=truncate)
        assert (found.better[0].item(), found.tied[0].item()) == (1.0, 3.0)
        ranks = [2 + order.index(0) for order in itertools.permutations(range(3))]
        limit = truncate or 5
        expected = sum(1 / rank if rank <= limit else 0 for rank in ranks) / len(ranks)
        assert found.reciprocal_rank[0].item() == pytest.approx(expected, abs=1e-15)
        assert found.hit[0].item() == pytest.approx(
            sum(rank <= k for rank in ranks) / len(ranks), abs=1e-15
        )


def test_a_collapsed_gallery_scores_what_chance_does() -> None:
    n, k = 40, 5
    gallery = torch.ones(n, 3, dtype=torch.float64)
    gallery[:, 0] += 1e-14 * normal(n, 1, 0)[:, 0]  # not the same to the last bit
    found = retrieve(normal(n, 3, 1), gallery, k=k)
    assert found.hit.mean().item() == pytest.approx(precision_chance(n, k), abs=1e-12)
    mean = found.reciprocal_rank.mean().item()
    assert mean == pytest.approx(reciprocal_rank_chance(n), abs=1e-12)


def test_duplicates_are_not_counted_twice() -> None:
    codes = normal(20, 4, 0)
    twice = torch.cat([codes, codes])
    found = retrieve(twice, twice, k=1)
    assert found.hit.tolist() == [0.5] * 40
    assert found.reciprocal_rank.tolist() == pytest.approx([0.75] * 40, abs=1e-15)
    assert found.jaccard.tolist() == [1.0] * 40


def test_identical_spaces_score_one() -> None:
    codes = normal(25, 4, 0)
    for metric in ("cosine", "euclidean"):
        found = retrieve(codes, codes, k=3, metric=metric)
        for score in (found.jaccard, found.reciprocal_rank, found.hit):
            assert score.tolist() == [1.0] * 25
        assert found.cosine.tolist() == pytest.approx([1.0] * 25, abs=1e-14)
        assert retrieve(3 * codes, codes, k=3).reciprocal_rank.tolist() == [1.0] * 25


def test_independent_spaces_score_what_chance_does() -> None:
    n, k, seeds = 200, 5, 10
    scores = {"jaccard": 0.0, "reciprocal_rank": 0.0, "hit": 0.0, "cosine": 0.0}
    for seed in range(seeds):
        queries, gallery = normal(n, 8, 2 * seed), normal(n, 8, 2 * seed + 1)
        found = retrieve(queries, gallery, k=k, truncate=k)
        for name in scores:
            scores[name] += float(getattr(found, name).mean()) / seeds
    harmonic = sum(1 / rank for rank in range(1, k + 1))
    assert reciprocal_rank_chance(n, k) == pytest.approx(harmonic / n, abs=1e-15)
    assert reciprocal_rank_chance(n) == pytest.approx(
        (math.log(n) + 0.5772156649 + 1 / (2 * n)) / n, abs=1e-6
    )
    # Of 2,000 queries the standard error of the share of hits is about 0.0035.
    assert scores["hit"] == pytest.approx(precision_chance(n, k), abs=0.011)
    assert scores["reciprocal_rank"] == pytest.approx(harmonic / n, abs=0.005)
    assert scores["jaccard"] == pytest.approx(k / (2 * n), abs=0.004)
    assert retrieval_jaccard_chance(n, k) == pytest.approx(k / (2 * n), rel=0.15)
    assert scores["cosine"] == pytest.approx(0.0, abs=0.03)


def test_relative_coordinates_find_what_a_rotation_hides() -> None:
    gallery = normal(60, 6, 0)
    turned = 4 * gallery @ torch.linalg.qr(normal(6, 6, 1))[0]
    lost = retrieve(turned, gallery, k=1)
    assert lost.hit.mean() < 0.2
    relative = [
        RelativeProjection("cosine").fit(codes[:10]).transform(codes) for codes in (turned, gallery)
    ]
    found = retrieve(*relative, k=1)
    assert found.hit.tolist() == [1.0] * 60
    assert found.cosine.tolist() == pytest.approx([1.0] * 60, abs=1e-12)


def test_blocks_of_queries_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = normal(150, 5, 0)
    queries = gallery + normal(150, 5, 1)
    whole = retrieve(queries, gallery)
    monkeypatch.setattr(codes_module, "_BLOCK_BYTES", 1)
    parts = retrieve(queries, gallery)
    for name in ("jaccard", "reciprocal_rank", "hit", "better", "tied"):
        assert torch.equal(getattr(whole, name), getattr(parts, name))


@pytest.mark.parametrize(
    ("queries", "gallery", "options", "message"),
    [
        (normal(5, 2, 0), normal(5, 3, 1), {"k": 1}, "must lie in one space"),
        (normal(5, 2, 0), normal(4, 2, 1), {"k": 1}, "5 and 4 rows"),
        (normal(5, 2, 0), normal(5, 2, 1), {"k": 6}, "k must be from 1 to 5, got 6"),
        (normal(5, 2, 0), normal(5, 2, 1), {"k": 1, "truncate": 0}, "truncate must be from 1 to 5"),
        (normal(5, 2, 0), torch.ones(5, 2), {"k": 1}, "the same for all samples"),
    ],
)
def test_bad_queries(queries: Tensor, gallery: Tensor, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        retrieve(queries, gallery, **options)
