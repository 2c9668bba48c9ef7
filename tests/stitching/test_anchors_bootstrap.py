from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching import AnchorBootstrap
from repgeo.stitching.anchors.sinkhorn import sinkhorn


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def two_spaces(n: int, d: int, *, noise: float = 0.0, seed: int = 0) -> tuple[Tensor, ...]:
    """Codes, the same ones turned, moved and shuffled, and where each one went."""
    source = normal(n, d, seed=seed) * torch.linspace(0.3, 2.0, d, dtype=torch.float64)
    q = torch.linalg.qr(normal(d, d, seed=seed + 100))[0]
    order = torch.randperm(n, generator=generator(seed + 200))
    target = 3 * source @ q + 5 + 3 * noise * normal(n, d, seed=seed + 300)
    return source, target[order], torch.argsort(order)


def seeds_of(partner: Tensor, count: int) -> Tensor:
    chosen = torch.randperm(len(partner), generator=generator(7))[:count]
    return torch.stack([chosen, partner[chosen]], dim=1)


@pytest.mark.parametrize("seeds", [3, 6])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_anchors_of_a_rotated_space_are_all_found(seeds: int, noise: float) -> None:
    source, target, partner = two_spaces(120, 8, noise=noise)
    given = seeds_of(partner, seeds)
    grown = AnchorBootstrap().grow(source, target, given, count=60, generator=generator(0))
    assert len(grown.source) == 60
    assert torch.equal(grown.target, partner[grown.source])
    assert torch.equal(torch.stack([grown.source, grown.target], dim=1)[:seeds], given)
    assert len(torch.unique(grown.source)) == len(torch.unique(grown.target)) == 60
    assert grown.settled
    if noise == 0.0:
        assert grown.seed_recall == 1.0
        assert float(grown.confidence.min()) == 1.0


def test_independent_spaces_are_reported_as_such() -> None:
    # The same distribution on both sides, and nothing in common between the samples.
    recalls, confidences = [], []
    for seed in range(3):
        source, _, partner = two_spaces(100, 8, seed=seed)
        _, target, _ = two_spaces(100, 8, seed=seed + 50)
        grown = AnchorBootstrap(rounds=8).grow(
            source, target, seeds_of(partner, 6), count=40, generator=generator(seed)
        )
        recalls.append(grown.seed_recall)
        confidences.append(float(grown.confidence[6:].mean()))
        assert grown.chance == 0.01
    # 18 seeds at the chance .01 each: three right or more have a probability below .001.
    assert sum(recalls) * 6 < 3
    assert max(confidences) < 0.5


def test_the_same_generator_gives_the_same_anchors() -> None:
    source, target, partner = two_spaces(60, 5, noise=0.2)
    grown = [
        AnchorBootstrap().grow(
            source, target, seeds_of(partner, 4), count=20, generator=generator(3)
        )
        for _ in range(2)
    ]
    assert torch.equal(grown[0].source, grown[1].source)
    assert torch.equal(grown[0].target, grown[1].target)
    assert torch.equal(grown[0].confidence, grown[1].confidence)


def test_spaces_of_different_sizes_and_numbers_of_samples() -> None:
    source, target, partner = two_spaces(100, 6)
    wider = torch.cat([target, torch.zeros(100, 3).double()], dim=1)[:70]  # thirty are not there
    there = partner < 70
    given = seeds_of(partner, 100)
    given = given[there[given[:, 0]]][:6]
    grown = AnchorBootstrap().grow(
        source.float().numpy(), wider.float().numpy(), given, count=25, generator=generator(0)
    )
    # The sides' means differ now, and so do their centred codes: most, not all, are right.
    right = (grown.target == partner[grown.source]).double().mean()
    assert float(right) > 0.8


def test_one_seed_has_no_recall_and_only_seeds_is_no_growth() -> None:
    source, target, partner = two_spaces(30, 4)
    one = AnchorBootstrap().grow(
        source, target, seeds_of(partner, 1), count=10, generator=generator(0)
    )
    assert one.seed_recall is None
    only = AnchorBootstrap().grow(
        source, target, seeds_of(partner, 4), count=4, generator=generator(0)
    )
    assert torch.equal(only.target, partner[only.source])
    assert only.rounds == 1


def test_bootstrap_refuses_what_does_not_fit() -> None:
    source, target, partner = two_spaces(20, 3)
    seeds = seeds_of(partner, 3)

    def grow(seeds: Tensor, count: int = 10) -> None:
        AnchorBootstrap().grow(source, target, seeds, count=count, generator=generator(0))

    with pytest.raises(InputError, match="pairs of indices"):
        grow(seeds[0])
    with pytest.raises(InputError, match="there are 20"):
        grow(seeds + 20)
    with pytest.raises(InputError, match="source code twice"):
        grow(torch.tensor([[1, 2], [1, 3]]))
    with pytest.raises(InputError, match=r"from 3 \(the seeds\) to 20"):
        grow(seeds, count=21)
    with pytest.raises(InputError, match="temperature must be positive"):
        AnchorBootstrap(temperature=0.0)
    with pytest.raises(InputError, match="two folds"):
        AnchorBootstrap(folds=1)


def test_sinkhorn_has_the_marginals_and_the_form_of_a_plan() -> None:
    cost = normal(7, 5, seed=0).abs()
    plan = sinkhorn(cost, temperature=0.3, tolerance=1e-13, iterations=5000)
    assert torch.allclose(plan.sum(dim=1), torch.full((7,), 1 / 7).double(), atol=1e-12)
    assert torch.allclose(plan.sum(dim=0), torch.full((5,), 1 / 5).double(), atol=1e-12)
    # log P + cost / temperature = u_i + v_j: its mixed differences vanish.
    log = plan.log() + cost / 0.3
    mixed = log - log[:1] - log[:, :1] + log[:1, :1]
    assert float(mixed.abs().max()) < 1e-10


@pytest.mark.parametrize("temperature", [1e-2, 1e-6])
def test_cold_sinkhorn_is_the_best_assignment(temperature: float) -> None:
    assignment = torch.randperm(30, generator=generator(1))
    cost = normal(30, 30, seed=0).abs() + 1.0
    cost[torch.arange(30), assignment] = 0.0
    plan = sinkhorn(cost, temperature=temperature)
    _, best = scipy.optimize.linear_sum_assignment(cost.numpy())
    assert np.array_equal(plan.argmax(dim=1).numpy(), best)
    assert torch.allclose(plan.max(dim=1).values, torch.tensor(1 / 30).double(), atol=1e-6)


def test_sinkhorn_does_not_overflow() -> None:
    cost = 1e4 * normal(20, 15, seed=0).abs()  # exp(-1e4) is zero
    plan = sinkhorn(cost, temperature=1.0)
    assert bool(torch.isfinite(plan).all())
    assert torch.allclose(plan.sum(dim=0), torch.full((15,), 1 / 15).double(), atol=1e-12)
    with pytest.raises(InputError, match="must be finite"):
        sinkhorn(cost * torch.inf, temperature=1.0)
    with pytest.raises(InputError, match="temperature must be positive"):
        sinkhorn(cost, temperature=0.0)
