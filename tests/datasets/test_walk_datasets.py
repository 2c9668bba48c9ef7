"""The ideal gas, and points written in a task."""

from __future__ import annotations

import pytest
import torch

from repgeo.datasets.gas import ideal_gas, ideal_gas_law
from repgeo.datasets.points import points
from repgeo.errors import DatasetError
from repgeo.study.making import load_dataset


def test_temperatures_are_those_of_the_law_in_physical_units():
    data = ideal_gas(seed=2, train_size=300, test_size=40)
    assert (len(data.train), len(data.test)) == (300, 40)
    bounds = data.meta["truth"]
    for split in (data.train, data.test):
        x = split.x.double()
        low, high = zip(bounds["volume"], bounds["pressure"], strict=True)
        volume, pressure = (torch.tensor(low) + x * (torch.tensor(high) - torch.tensor(low))).T
        coldest, hottest = bounds["temperature"]
        expected = (volume * pressure / 8.314 - coldest) / (hottest - coldest)
        torch.testing.assert_close(split.y.double(), expected, atol=2e-7, rtol=0)
        assert 0 <= float(split.y.min()) <= float(split.y.max()) <= 1
    assert bounds["temperature"] == pytest.approx((300.69762, 1804.18571), abs=1e-4)
    assert set(data.train.ids.tolist()).isdisjoint(data.test.ids.tolist())


def test_an_isotherm_is_one_class():
    volume = torch.linspace(0.03, 0.06, 7, dtype=torch.float64)
    pressure = 4500 / volume  # P V is the same for all
    x = torch.stack([(volume - 0.025) / 0.05, (pressure - 1e5) / 1e5], dim=1)
    values = ideal_gas_law(x)
    torch.testing.assert_close(values, values[:1].expand(7), atol=1e-14, rtol=0)


def test_the_gas_is_seeded_and_checked():
    assert ideal_gas(seed=0).digest == ideal_gas(seed=0).digest
    assert ideal_gas(seed=0).digest != ideal_gas(seed=1).digest
    more = ideal_gas(seed=0, train_size=10, test_size=30)
    assert torch.equal(more.test.x, ideal_gas(seed=0, train_size=20, test_size=30).test.x)
    with pytest.raises(DatasetError, match="test_size must be at least 1, got 0"):
        ideal_gas(seed=0, test_size=0)


def test_points_of_a_task():
    data = load_dataset("points", {"x": [[1, 2.5], [0.1, -3]]}, 0)
    expected = torch.tensor([[1.0, 2.5], [0.1, -3.0]], dtype=torch.float64)
    assert torch.equal(data.test.x, expected)
    assert data.train is data.test
    for wrong in ((), ((1.0,), (1.0, 2.0)), ((float("nan"),),), ((),)):
        with pytest.raises(DatasetError, match="points with the same number of finite coordinates"):
            points(x=wrong)
