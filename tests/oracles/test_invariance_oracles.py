from __future__ import annotations

import pytest
import torch
from torch import Tensor

from repgeo.equivariance import invariance_error, relative_change
from repgeo.groups import circular_shifts, flips, quarter_turns, zero_filled_shifts


def test_global_sums_of_whole_numbers_are_exactly_invariant() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 17, (9, 2, 8, 8), generator=generator).float()
    actions = (*quarter_turns(), *flips(), *circular_shifts())
    assert float(invariance_error(lambda x: x.sum(dim=(2, 3)), x, actions).max()) == 0.0
    # The border is lost when zeros enter.
    lost = invariance_error(lambda x: x.sum(dim=(2, 3)), x, zero_filled_shifts())
    assert float(lost.min(dim=0).values.max()) > 0.0


def test_pixels_in_closed_form() -> None:
    # One lit pixel and a black image, at a distance of 1. A moved pixel is sqrt 2 away.
    x = torch.zeros(2, 1, 2, 2)
    x[0, 0, 0, 0] = 1.0
    found = invariance_error(lambda x: x.flatten(1), x, (*quarter_turns(), *zero_filled_shifts()))
    root = 2**0.5
    expected = torch.tensor([[root, root, root, 1, root, 1, root], [0.0] * 7]).double()
    assert torch.allclose(found, expected, atol=1e-7)  # root is rounded to float32 above


def test_moved_codes_drawn_from_other_samples_give_a_mean_square_of_one() -> None:
    generator = torch.Generator().manual_seed(1)
    codes = torch.randn(12, 3, dtype=torch.float64, generator=generator)
    # Each sample takes the place of each other one once: the mean is exact, not an estimate.
    squares = [relative_change(codes.roll(k, dims=0), codes).square().mean() for k in range(1, 12)]
    assert float(torch.stack(squares).mean()) == pytest.approx(1.0, abs=1e-12)


def test_mean_square_over_a_group_is_the_share_that_averaging_over_orbits_removes() -> None:
    generator = torch.Generator().manual_seed(2)
    base = torch.randn(6, 1, 4, 4, dtype=torch.float64, generator=generator)
    turns = quarter_turns()
    x = torch.cat([base, *(turn(base) for turn in turns)])  # inputs as likely as moved inputs
    weight = torch.randn(16, 5, dtype=torch.float64, generator=generator)

    def f(x: Tensor) -> Tensor:
        return torch.tanh(x.flatten(1) @ weight)

    squares = invariance_error(f, x, turns).square().mean()
    centred = f(x) - f(x).mean(dim=0)
    averaged = torch.stack([centred, *(f(turn(x)) - f(x).mean(dim=0) for turn in turns)]).mean(0)
    share = averaged.square().sum() / centred.square().sum()
    n, m = len(x), 4
    # The typical distance uses the unbiased covariance: a factor (n - 1) / n.
    expected = m / (m - 1) * (1 - share) * (n - 1) / n
    assert float(squares) == pytest.approx(float(expected), abs=1e-12)
