from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from repgeo.equivariance import invariance_error, relative_change, typical_distance
from repgeo.errors import InputError
from repgeo.groups import circular_shifts, flips, quarter_turns


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_typical_distance(codes: Tensor) -> float:
    squares = [
        float((codes[i] - codes[j]).square().sum())
        for i, j in itertools.permutations(range(len(codes)), 2)
    ]
    return float((sum(squares) / len(squares)) ** 0.5)


def test_typical_distance_agrees_with_all_pairs() -> None:
    codes = normal(15, 4) + 7
    assert typical_distance(codes).item() == pytest.approx(slow_typical_distance(codes), abs=1e-12)
    offset = codes.float() + 1e4
    assert typical_distance(offset).item() == pytest.approx(
        slow_typical_distance(offset.double()), rel=1e-9
    )


def test_error_agrees_with_the_definition() -> None:
    x = normal(6, 2, 4, 4)
    weight = normal(32, 3, seed=1)

    def f(x: Tensor) -> Tensor:
        return torch.tanh(x.flatten(1) @ weight)

    actions = (*quarter_turns(), *flips())
    found = invariance_error(f, x, actions)
    scale = slow_typical_distance(f(x))
    for i, (g, action) in itertools.product(range(6), enumerate(actions)):
        change = float((f(action(x))[i] - f(x)[i]).norm())
        assert found[i, g].item() == pytest.approx(change / scale, abs=1e-12)
    assert found.shape == (6, 5)
    assert found.dtype == torch.float64


def test_inputs_are_not_modified_and_float32_is_accumulated_in_float64() -> None:
    x = normal(5, 1, 4, 4).float()
    before = x.clone()
    found = invariance_error(lambda x: x, x, flips())
    assert torch.equal(x, before)
    exact = invariance_error(lambda x: x, x.double(), flips())
    assert torch.equal(found, exact)


def test_a_constant_is_invariant_up_to_rounding_of_its_dtype() -> None:
    x = normal(5, 1, 2, 2)

    def noisy(x: Tensor) -> Tensor:
        return 1000 + 1e-4 * x.flatten(1).float()  # one unit of rounding of 1000 is 6e-5

    assert invariance_error(lambda x: torch.ones(len(x), 3), x, flips()).max() == 0.0
    assert invariance_error(noisy, x, flips()).max() == 0.0


def test_equal_codes_that_move_are_refused() -> None:
    x = torch.zeros(3, 1, 2, 2)
    x[:, 0, 0, 0] = 1.0
    with pytest.raises(InputError, match="a change relative to the distance"):
        invariance_error(lambda x: x.flatten(1), x, flips())


def test_bad_input() -> None:
    x = normal(3, 1, 2, 2)
    with pytest.raises(InputError, match="At least one action"):
        invariance_error(lambda x: x, x, [])
    with pytest.raises(InputError, match="at least two"):
        invariance_error(lambda x: x, x[:1], flips())
    with pytest.raises(InputError, match="Codes hold NaN"):
        invariance_error(lambda x: x * torch.nan, x, flips())
    with pytest.raises(InputError, match=r"shape of the codes, \(3, 4\), got \(2, 4\)"):
        relative_change(normal(2, 4), normal(3, 4))


def test_image_actions_of_both_shapes_are_accepted() -> None:
    x = normal(4, 1, 3, 5)
    found = invariance_error(lambda x: x.mean(dim=(2, 3)), x, circular_shifts())
    assert found.shape == (4, 4)
    assert float(found.max()) < 1e-14
