from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching import choose_anchors
from repgeo.stitching.anchors.farthest import farthest_points
from repgeo.stitching.anchors.medoids import medoids
from repgeo.stitching.anchors.volume import greedy_volume
from repgeo.stitching.codes import directions


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


METHODS = ["uniform", "stratified", "farthest", "medoids", "conditioning"]
BY_CODES = METHODS[2:]


@pytest.mark.parametrize("method", METHODS)
def test_the_choice_does_not_depend_on_the_order_of_the_samples(method: str) -> None:
    ids = torch.arange(50) * 3
    labels, codes = torch.arange(50) % 4, normal(50, 5)
    order = torch.randperm(50, generator=generator(9))
    first, second = (
        choose_anchors(
            ids[by], labels[by], codes=codes[by], count=12, generator=generator(), method=method
        )
        for by in (torch.arange(50), order)
    )
    assert torch.equal(ids[first], ids[order][second])
    assert len(torch.unique(first)) == 12


def test_names_of_classes_play_no_part() -> None:
    ids, labels = torch.arange(40), torch.arange(40) % 3
    renamed = torch.tensor([7, 0, 5])[labels]
    first, second = (
        choose_anchors(ids, y, count=10, generator=generator(), method="stratified")
        for y in (labels, renamed)
    )
    assert torch.equal(first, second)


def test_strata_get_their_share() -> None:
    labels = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    chosen = choose_anchors(
        torch.arange(100), labels, count=11, generator=generator(), method="stratified"
    )
    # Shares 6.6, 3.3, 1.1: the left-over anchor goes to the largest remainder.
    assert torch.bincount(labels[chosen]).tolist() == [7, 3, 1]


def test_uniform_draws_are_nested() -> None:
    ids = torch.arange(30)
    few = choose_anchors(ids, count=5, generator=generator(3))
    many = choose_anchors(ids, count=20, generator=generator(3))
    assert torch.equal(few, many[:5])


def test_all_samples_may_be_anchors_and_every_sample_is_as_likely() -> None:
    everything = choose_anchors(torch.arange(6), count=6, generator=generator())
    assert sorted(everything.tolist()) == [0, 1, 2, 3, 4, 5]
    source, counts = generator(1), torch.zeros(6)
    for _ in range(3000):
        counts[choose_anchors(torch.arange(6), count=2, generator=source)] += 1
    assert torch.allclose(counts / 3000, torch.full((6,), 1 / 3), atol=0.04)  # 4.6 sigma


def test_repeated_ids_give_one_anchor_each() -> None:
    ids = torch.tensor([4, 4, 4, 2, 2, 9])
    chosen = choose_anchors(ids, count=3, generator=generator())
    assert sorted(chosen.tolist()) == [0, 3, 5]
    with pytest.raises(InputError, match="only 3 samples with different ids"):
        choose_anchors(ids, count=4, generator=generator())


@pytest.mark.parametrize("method", BY_CODES)
def test_anchors_by_codes_see_directions_only(method: str) -> None:
    ids, codes = torch.arange(60), normal(60, 5)
    sizes = normal(60, seed=1).exp()[:, None]
    q = torch.linalg.qr(normal(5, 5, seed=2))[0]
    first, second = (
        choose_anchors(ids, codes=z, count=9, generator=generator(), method=method)
        for z in (codes, codes * sizes @ q)
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize("method", BY_CODES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_repeated_codes_and_ids_give_different_samples(method: str, dtype: torch.dtype) -> None:
    codes = normal(4, 3).to(dtype)[torch.arange(20) % 4]  # four different directions
    codes[3] = 0.0
    ids = torch.arange(20).clamp(max=15)
    for count in (1, 3, 5, 16):
        chosen = choose_anchors(ids, codes=codes, count=count, generator=generator(), method=method)
        assert len(torch.unique(ids[chosen])) == count
        assert int(chosen.max()) <= 15  # the first sample of a repeated id
    everything = torch.zeros(6, 2, dtype=dtype)
    chosen = choose_anchors(
        torch.arange(6), codes=everything, count=6, generator=generator(), method=method
    )
    assert sorted(chosen.tolist()) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("method", ["farthest", "conditioning"])
def test_choices_by_codes_are_nested(method: str) -> None:
    ids, codes = torch.arange(40), normal(40, 4)
    few, many = (
        choose_anchors(ids, codes=codes, count=k, generator=generator(3), method=method)
        for k in (3, 20)
    )
    assert torch.equal(few, many[:3])


def test_farthest_points_agree_with_the_definition() -> None:
    points = normal(30, 3)
    chosen = [4]
    for _ in range(9):
        gaps = [min(float((p - points[c]).norm()) for c in chosen) for p in points]
        chosen.append(max(range(30), key=lambda i: (gaps[i], -i)))
    assert farthest_points(points, count=10, start=4).tolist() == chosen


def test_farthest_points_cover_within_twice_the_best_radius() -> None:
    points = normal(12, 2)
    distances = torch.cdist(points, points)

    def radius(chosen: list[int]) -> float:
        return float(distances[:, chosen].min(dim=1).values.max())

    best = min(radius(list(some)) for some in itertools.combinations(range(12), 3))
    for start in range(12):
        assert radius(farthest_points(points, count=3, start=start).tolist()) <= 2 * best


def test_medoids_of_separate_clusters_are_their_middles() -> None:
    centres = 20 * torch.eye(5, dtype=torch.float64)
    points = centres.repeat_interleave(9, dim=0) + normal(45, 5)
    chosen = medoids(points, count=5, generator=generator())
    assert sorted((chosen // 9).tolist()) == [0, 1, 2, 3, 4]
    for index in chosen.tolist():
        members = points[9 * (index // 9) : 9 * (index // 9) + 9]
        gaps = (members - members.mean(dim=0)).norm(dim=1)
        assert int(gaps.argmin()) == index % 9


def test_medoids_are_a_fixed_point_of_k_means() -> None:
    points = normal(200, 3)
    chosen = medoids(points, count=8, generator=generator(1))
    # From the medoids, Lloyd's iterations must not find clusters that are much tighter.
    centroids, before = points[chosen], float("inf")
    for _ in range(100):
        gap, members = torch.cdist(points, centroids).min(dim=1)
        before, spread = float(gap.square().sum()), before
        if before >= spread:
            break
        centroids = torch.stack([points[members == k].mean(dim=0) for k in range(8)])
    start = float(torch.cdist(points, points[chosen]).min(dim=1).values.square().sum())
    uniform = float(torch.cdist(points, points[:8]).min(dim=1).values.square().sum())
    assert before <= start < 1.25 * before < uniform


def slow_greedy_volume(points: Tensor, count: int) -> list[int]:
    chosen: list[int] = []
    for step in range(count):
        volumes = []
        for i in range(len(points)):
            rows = points[[*chosen, i]]
            gram = rows @ rows.T if step < points.shape[1] else rows.T @ rows
            volumes.append(-1.0 if i in chosen else float(torch.linalg.det(gram)))
        chosen.append(max(range(len(points)), key=lambda i: (volumes[i], -i)))
    return chosen


def test_greedy_volume_agrees_with_determinants() -> None:
    points = normal(25, 4)
    assert greedy_volume(points, count=12).tolist() == slow_greedy_volume(points, 12)
    # In a subspace the volume is that within the span.
    flat = points @ torch.linalg.qr(normal(9, 4, seed=5))[0].T
    assert greedy_volume(flat, count=12).tolist() == slow_greedy_volume(points, 12)
    assert greedy_volume(flat.float(), count=12).tolist() == slow_greedy_volume(points, 12)


@pytest.mark.parametrize("count", [8, 12, 24])
def test_anchors_by_conditioning_are_well_conditioned(count: int) -> None:
    ids, codes = torch.arange(400), normal(400, 12) * torch.logspace(0, -2, 12).double()

    def condition(method: str, seed: int) -> float:
        chosen = choose_anchors(
            ids, codes=codes, count=count, generator=generator(seed), method=method
        )
        return float(torch.linalg.cond(directions(codes[chosen])))

    drawn = sorted(condition("uniform", seed) for seed in range(15))
    assert condition("conditioning", 0) < drawn[0]


def test_bad_input() -> None:
    ids = torch.arange(4)
    with pytest.raises(InputError, match=r"need the codes \(n, features\)"):
        choose_anchors(ids, count=2, generator=generator(), method="medoids")
    with pytest.raises(InputError, match="4 ids and 5 codes"):
        choose_anchors(ids, codes=normal(5, 2), count=2, generator=generator(), method="farthest")
    with pytest.raises(InputError, match="must be an index of 4 points"):
        farthest_points(normal(4, 2), count=2, start=4)
    with pytest.raises(InputError, match="From 1 to 4 of the points"):
        greedy_volume(normal(4, 2), count=5)
    with pytest.raises(InputError, match="Points must be floating point"):
        medoids(ids, count=1, generator=generator())
    with pytest.raises(InputError, match="Ask for fewer anchors"):
        choose_anchors(ids, count=5, generator=generator())
    with pytest.raises(InputError, match="At least one anchor"):
        choose_anchors(ids, count=0, generator=generator())
    with pytest.raises(InputError, match="need labels"):
        choose_anchors(ids, count=2, generator=generator(), method="stratified")
    with pytest.raises(InputError, match="one per id"):
        choose_anchors(
            ids, torch.zeros(3).long(), count=2, generator=generator(), method="stratified"
        )
    with pytest.raises(InputError, match="Did you mean 'uniform'"):
        choose_anchors(ids, count=2, generator=generator(), method="unifrom")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Ids must be integers"):
        choose_anchors(ids.float(), count=2, generator=generator())
