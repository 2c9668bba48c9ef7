"""Subsets and splits of samples."""

from __future__ import annotations

import pytest
import torch

from repgeo.datasets import Split, stratified_choice, stratified_split
from repgeo.errors import DatasetError


def test_each_class_has_its_share():
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)
    chosen = stratified_choice(labels, torch.arange(100), 10, 0)
    assert labels[chosen].bincount().tolist() == [5, 3, 2]
    assert torch.equal(chosen, chosen.sort().values)
    assert len(chosen.unique()) == 10


def test_what_is_left_goes_to_the_largest_fractions():
    labels = torch.tensor([0] * 7 + [1] * 2 + [2] * 1)  # shares of 4: 2.8, 0.8, 0.4
    chosen = stratified_choice(labels, torch.arange(10), 4, 0)
    assert labels[chosen].bincount(minlength=3).tolist() == [3, 1, 0]


@pytest.mark.parametrize("size", [1, 7, 99, 100])
def test_the_size_is_exact(size):
    labels = torch.randint(6, (100,), generator=torch.Generator().manual_seed(0))
    assert len(stratified_choice(labels, torch.arange(100), size, 0)) == size


def test_the_choice_does_not_depend_on_the_order():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (60,), generator=generator)
    ids = torch.randperm(1000, generator=generator)[:60]
    order = torch.randperm(60, generator=generator)
    here = ids[stratified_choice(labels, ids, 20, 3)]
    there = ids[order][stratified_choice(labels[order], ids[order], 20, 3)]
    assert set(here.tolist()) == set(there.tolist())
    other = ids[stratified_choice(labels, ids, 20, 4)]
    assert set(here.tolist()) != set(other.tolist())


@pytest.mark.parametrize("size", [0, 4])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(DatasetError, match=f"{size} samples were asked for; allowed: 1 to 3"):
        stratified_choice(torch.zeros(3, dtype=torch.int64), torch.arange(3), size, 0)


def test_a_split_keeps_samples_of_one_id_together_in_any_order():
    generator = torch.Generator().manual_seed(1)
    ids = torch.arange(30).repeat_interleave(2)
    split = Split(torch.randn(60, 2, generator=generator), ids % 3, ids)
    train, test = stratified_split(split, 0.3, 7)
    assert not set(train.ids.tolist()) & set(test.ids.tolist())
    assert len(train) + len(test) == 60
    order = torch.randperm(60, generator=generator)
    _, again = stratified_split(split.take(order), 0.3, 7)
    assert set(again.ids.tolist()) == set(test.ids.tolist())


def test_moving_a_split_casts_floating_arrays_only():
    split = Split(torch.ones(2, 3), torch.tensor([0, 1]), arrays={"pose": torch.zeros(2)})
    moved = split.to(torch.device("cpu"), torch.float64)
    assert moved.x.dtype == moved.pose.dtype == torch.float64
    assert moved.y.dtype == moved.ids.dtype == torch.int64
    assert split.x.dtype == torch.float32
