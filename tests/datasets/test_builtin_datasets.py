"""The datasets that need no files: digits, sinusoid, xor."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.datasets import load_digits

from repgeo.datasets.digits import digits
from repgeo.datasets.planar import sinusoid, xor
from repgeo.errors import DatasetError


def test_digits_are_scikit_learns_rows():
    data = digits(seed=3)
    table = load_digits()
    for split in (data.train, data.test):
        assert split.x.dtype == torch.float32
        assert split.x.shape[1:] == (1, 8, 8)
        rows = split.ids.numpy()
        expected = torch.from_numpy(table.images[rows] / 16).float()
        assert torch.equal(split.x[:, 0], expected)
        assert torch.equal(split.y, torch.from_numpy(table.target[rows]))
    both = torch.cat([data.train.ids, data.test.ids])
    assert torch.equal(both.sort().values, torch.arange(1797))
    assert data.classes == 10


def test_digits_split_is_stratified_and_seeded():
    data = digits(seed=0, test_fraction=0.25)
    share = data.test.y.bincount() / torch.cat([data.train.y, data.test.y]).bincount()
    assert float((share - 0.25).abs().max()) < 0.01
    assert digits(seed=0).digest == digits(seed=0).digest
    assert digits(seed=0).digest != digits(seed=1).digest
    with pytest.raises(DatasetError, match=r"test_fraction must lie between 0 and 1, got 1.5"):
        digits(seed=0, test_fraction=1.5)


@pytest.mark.parametrize("boundary", [{}, {"frequency": 3.0, "phase": 1.2, "amplitude": 0.3}])
def test_sinusoid_labels_are_the_sides_of_the_sine(boundary):
    data = sinusoid(seed=1, **boundary)
    truth = data.meta["truth"]
    assert (len(data.train), len(data.test)) == (400, 1000)
    for split in (data.train, data.test):
        for (x1, x2), label in zip(split.x.tolist(), split.y.tolist(), strict=True):
            height = truth["amplitude"] * math.sin(truth["frequency"] * x1 + truth["phase"])
            assert label == int(x2 > height)
            assert -1 <= x1 <= 1
            assert -1 <= x2 <= 1


def test_sinusoid_points_are_uniform():
    x = sinusoid(seed=0, train_size=20000).train.x.double()
    # Standard errors of the mean and of the mean square of a uniform variable on [-1, 1].
    assert float(x.mean(0).abs().max()) < 5 * math.sqrt(1 / 3 / 20000)
    assert float((x.square().mean(0) - 1 / 3).abs().max()) < 5 * math.sqrt(4 / 45 / 20000)


def test_xor_blobs_have_their_labels_means_and_variance():
    split = xor(seed=0, train_size=20000).train
    x, y = split.x.double(), split.y
    corner = torch.tensor([[-1, -1], [-1, 1], [1, -1], [1, 1]])[torch.arange(20000) % 4]
    assert torch.equal(y, (corner[:, 0] != corner[:, 1]).long())
    assert float((x - corner).mean(0).abs().max()) < 5 * math.sqrt(0.15 / 20000)
    assert float((x - corner).var(0).sub(0.15).abs().max()) < 5 * 0.15 * math.sqrt(2 / 20000)


def test_the_best_boundary_of_xor_has_the_stated_accuracy():
    data = xor(seed=0, train_size=1, test_size=200000, variance=1.0)
    right = ((data.test.x.prod(1) < 0).long() == data.test.y).double().mean()
    p = 0.5 * (1 + math.erf(1 / math.sqrt(2)))
    assert float(right) == pytest.approx(p**2 + (1 - p) ** 2, abs=5 * 0.5 / math.sqrt(200000))


def test_xor_without_variance_is_the_four_corners():
    data = xor(seed=5, train_size=4, test_size=8, variance=0.0)
    assert data.train.x.tolist() == [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    assert data.train.y.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("make", [sinusoid, xor])
def test_planar_data_are_seeded_split_by_split(make):
    assert make(seed=0).digest == make(seed=0).digest
    assert make(seed=0).digest != make(seed=1).digest
    small, large = make(seed=0), make(seed=0, train_size=500)
    assert torch.equal(small.test.x, large.test.x)
    assert not torch.equal(small.train.x[:400], small.test.x[:400])
    ids = torch.cat([small.train.ids, small.test.ids])
    assert len(ids.unique()) == len(ids)
    with pytest.raises(DatasetError, match="train_size must be at least 1, got 0"):
        make(seed=0, train_size=0)


@pytest.mark.parametrize(("make", "extent"), [(sinusoid, 1.0), (xor, 1.5)])
def test_a_grid_to_test_on(make, extent):
    drawn, data = make(seed=2), make(seed=2, test="grid", test_size=81)
    assert torch.equal(data.train.x, drawn.train.x)
    steps = [extent * (i - 4) / 4 for i in range(9)]
    expected = torch.tensor([[a, b] for a in steps for b in steps])
    torch.testing.assert_close(data.test.x, expected, rtol=0, atol=1e-7)
    assert torch.equal(data.test.x, make(seed=3, test="grid", test_size=81).test.x)
    for (x1, x2), label in zip(data.test.x.tolist(), data.test.y.tolist(), strict=True):
        assert label == int(x2 > 0.6 * math.sin(7 * x1 - 1) if make is sinusoid else x1 * x2 < 0)
    with pytest.raises(DatasetError, match=r"got 80\. The nearest is 81"):
        make(seed=0, test="grid", test_size=80)
    with pytest.raises(DatasetError, match=r"got 1\. The nearest is 4"):
        make(seed=0, test="grid", test_size=1)


def test_xor_refuses_a_negative_variance():
    with pytest.raises(DatasetError, match="variance must not be negative, got -1"):
        xor(seed=0, variance=-1.0)


@pytest.mark.parametrize("make", [digits, sinusoid, xor])
def test_global_generators_are_not_touched(make):
    before = torch.get_rng_state()
    make(seed=0)
    assert torch.equal(torch.get_rng_state(), before)
