from __future__ import annotations

import pytest
import torch

from repgeo.errors import InputError
from repgeo.stitching import choose_anchors


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("method", ["uniform", "stratified"])
def test_the_choice_does_not_depend_on_the_order_of_the_samples(method: str) -> None:
    ids = torch.arange(50) * 3
    labels = torch.arange(50) % 4
    order = torch.randperm(50, generator=generator(9))
    first = choose_anchors(ids, labels, count=12, generator=generator(), method=method)
    second = choose_anchors(
        ids[order], labels[order], count=12, generator=generator(), method=method
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


def test_bad_input() -> None:
    ids = torch.arange(4)
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
