"""What a split refuses: no samples, lengths that disagree, values that are not finite."""

from __future__ import annotations

import math

import pytest
import torch

from repgeo.datasets import Split
from repgeo.errors import DatasetError


@pytest.mark.parametrize("bad", [[math.nan], [math.inf], [-math.inf], [math.inf, -math.inf]])
def test_values_that_are_not_finite_are_counted(bad):
    x = torch.ones(5, 3)
    for row, value in enumerate(bad, start=2):
        x[row, 1] = value
    with pytest.raises(DatasetError, match=rf"in {len(bad)} of 5 samples.*first is number 2"):
        Split(x)
    with pytest.raises(DatasetError, match="'pose' holds NaN or infinite"):
        Split(torch.ones(5, 3), arrays={"pose": x})


def test_finite_values_whose_sum_overflows_are_fine():
    assert len(Split(torch.full((4, 2), 3e38))) == 4


def test_empty_and_uneven_splits_are_refused():
    with pytest.raises(DatasetError, match="The dataset is empty"):
        Split(torch.zeros(0, 3))
    with pytest.raises(DatasetError, match="'y' has 3 samples, 'x' has 2"):
        Split(torch.zeros(2, 3), torch.zeros(3, dtype=torch.int64))
