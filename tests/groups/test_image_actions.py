from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups import (
    IMAGE_TRANSFORMATIONS,
    ImageAction,
    actions_on_images,
    circular_shifts,
    flips,
    quarter_turns,
    zero_filled_shifts,
)

IMAGES = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).reshape(2, 3, 4, 4) + 1
ALL = [action for family in IMAGE_TRANSFORMATIONS for action in actions_on_images(family)]


def by_name(actions: tuple[ImageAction, ...]) -> dict[str, ImageAction]:
    return {action.name: action for action in actions}


@pytest.mark.parametrize("action", ALL, ids=lambda action: action.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8])
def test_shape_and_dtype_are_kept_and_inputs_are_not_modified(
    action: ImageAction, dtype: torch.dtype
) -> None:
    images = IMAGES.to(dtype)
    before = images.clone()
    moved = action(images)
    assert moved.shape == images.shape
    assert moved.dtype == dtype
    assert torch.equal(images, before)
    assert not torch.equal(moved, images)


@pytest.mark.parametrize("action", ALL, ids=lambda action: action.name)
def test_invertible_actions_permute_pixels_and_others_do_not(action: ImageAction) -> None:
    moved = action(IMAGES).flatten(1).sort(dim=1).values
    same_pixels = torch.equal(moved, IMAGES.flatten(1).sort(dim=1).values)
    assert same_pixels == action.invertible


def test_names_and_families() -> None:
    assert len({action.name for action in ALL}) == len(ALL) == 13
    for family in IMAGE_TRANSFORMATIONS:
        assert {action.transformation for action in actions_on_images(family)} == {family}


def test_quarter_turns_are_the_cyclic_group() -> None:
    one, two, three = quarter_turns()
    assert torch.equal(one(one(IMAGES)), two(IMAGES))
    assert torch.equal(one(two(IMAGES)), three(IMAGES))
    assert torch.equal(one(three(IMAGES)), IMAGES)


def test_a_turn_is_counter_clockwise() -> None:
    assert np.array_equal(quarter_turns()[0](IMAGES).numpy(), np.rot90(IMAGES.numpy(), axes=(2, 3)))
    image = torch.zeros(1, 1, 3, 3)
    image[0, 0, 0, 2] = 1.0  # upper right corner
    assert float(quarter_turns()[0](image)[0, 0, 0, 0]) == 1.0  # upper left corner


def test_flips_and_turns_make_the_dihedral_group() -> None:
    turn, half, three = quarter_turns()
    horizontal, vertical = flips()
    assert torch.equal(horizontal(IMAGES)[..., 0], IMAGES[..., -1])
    assert torch.equal(vertical(IMAGES)[..., 0, :], IMAGES[..., -1, :])
    assert torch.equal(horizontal(horizontal(IMAGES)), IMAGES)
    assert torch.equal(horizontal(vertical(IMAGES)), half(IMAGES))
    assert torch.equal(horizontal(turn(horizontal(IMAGES))), three(IMAGES))


def slow_shift(image: Tensor, down: int, right: int, *, circular: bool) -> Tensor:
    """Pixel by pixel."""
    height, width = image.shape[-2:]
    moved = torch.zeros_like(image)
    for i in range(height):
        for j in range(width):
            p, q = i - down, j - right
            if circular:
                moved[..., i, j] = image[..., p % height, q % width]
            elif 0 <= p < height and 0 <= q < width:
                moved[..., i, j] = image[..., p, q]
    return moved


@pytest.mark.parametrize("pixels", [1, 2])
@pytest.mark.parametrize("circular", [False, True])
def test_shifts(pixels: int, circular: bool) -> None:
    make, family = (
        (circular_shifts, "circular_shift") if circular else (zero_filled_shifts, "shift")
    )
    found = by_name(make(pixels))
    images = IMAGES[..., :3]  # not square
    steps = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
    for direction, (down, right) in steps.items():
        moved = found[f"{family}_{direction}_{pixels}"](images)
        expected = slow_shift(images, down * pixels, right * pixels, circular=circular)
        assert torch.equal(moved, expected), direction


def test_bad_input() -> None:
    with pytest.raises(InputError, match=r"images \(n, channels, height, width\), got \(4, 4\)"):
        flips()[0](torch.ones(4, 4))
    with pytest.raises(InputError, match="needs square images, got 4x3"):
        quarter_turns()[0](IMAGES[..., :3])
    assert quarter_turns()[1](IMAGES[..., :3]).shape == (2, 3, 4, 3)
    with pytest.raises(InputError, match="cannot be shifted by 4 pixels"):
        circular_shifts(4)[0](IMAGES)
    with pytest.raises(InputError, match="at least one pixel"):
        zero_filled_shifts(0)
    with pytest.raises(InputError, match="Did you mean 'rotation'"):
        actions_on_images("rotations")
