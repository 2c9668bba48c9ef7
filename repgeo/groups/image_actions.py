"""Exact transformations of image batches: no interpolation, every pixel is moved or dropped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import torch
from torch import Tensor

from repgeo.errors import InputError, nearest

__all__ = [
    "IMAGE_TRANSFORMATIONS",
    "ImageAction",
    "actions_on_images",
    "circular_shifts",
    "flips",
    "quarter_turns",
    "zero_filled_shifts",
]


@dataclass(frozen=True)
class ImageAction:
    """One transformation of image batches `(n, channels, height, width)`.

    Calling it gives a new batch of the same shape, dtype and device.

    Attributes
    ----------
    name
        Which element, "rotation_90".
    transformation
        Which family, "rotation".
    invertible
        Whether it permutes pixels (an element of a group), or drops some.

    Raises
    ------
    InputError
        When called on what is not a batch of images, or on images it cannot be applied to.

    Examples
    --------
    >>> image = torch.tensor([[[[1, 2], [3, 4]]]])
    >>> quarter_turns()[0](image)[0, 0]  # counter-clockwise
    tensor([[2, 4],
            [1, 3]])
    """

    name: str
    transformation: str
    invertible: bool
    move: Callable[[Tensor], Tensor] = field(repr=False, compare=False)

    def __call__(self, images: Tensor) -> Tensor:
        """The transformed batch."""
        if not isinstance(images, Tensor) or images.ndim != 4 or 0 in images.shape[1:]:
            given = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
            raise InputError(
                f"The {self.transformation} acts on images (n, channels, height, width), got "
                f"{given}. Give the data as images, or leave this transformation out."
            )
        return self.move(images)


def quarter_turns() -> tuple[ImageAction, ...]:
    """Counter-clockwise rotations by 90, 180 and 270 degrees; with the identity, the group C4.

    Images must be square, the half turn alone takes any.
    """
    return tuple(
        ImageAction(f"rotation_{90 * k}", "rotation", True, partial(_turn, quarters=k))
        for k in (1, 2, 3)
    )


def flips() -> tuple[ImageAction, ...]:
    """The horizontal flip (left and right change places) and the vertical one."""
    return (
        ImageAction("flip_horizontal", "flip", True, partial(torch.flip, dims=(-1,))),
        ImageAction("flip_vertical", "flip", True, partial(torch.flip, dims=(-2,))),
    )


def circular_shifts(pixels: int = 1) -> tuple[ImageAction, ...]:
    """Shifts up, down, left and right; what leaves on one side enters on the other.

    Raises
    ------
    InputError
        If `pixels` is not positive.
    """
    return _shifts(pixels, "circular_shift", circular=True)


def zero_filled_shifts(pixels: int = 1) -> tuple[ImageAction, ...]:
    """Shifts up, down, left and right; what leaves is lost, zeros enter. Not a group.

    Raises
    ------
    InputError
        If `pixels` is not positive.
    """
    return _shifts(pixels, "shift", circular=False)


def _turn(images: Tensor, quarters: int) -> Tensor:
    height, width = images.shape[-2:]
    if quarters % 2 and height != width:
        raise InputError(
            f"A rotation by {90 * quarters} degrees needs square images, got {height}x{width}. "
            "Crop or pad them, or leave the rotation out."
        )
    return torch.rot90(images, quarters, dims=(-2, -1))


def _shifts(pixels: int, transformation: str, *, circular: bool) -> tuple[ImageAction, ...]:
    if pixels < 1:
        raise InputError(f"A shift moves by at least one pixel, got {pixels}.")
    directions = {"up": (-pixels, -2), "down": (pixels, -2), "left": (-pixels, -1)}
    directions["right"] = (pixels, -1)
    return tuple(
        ImageAction(
            f"{transformation}_{direction}_{pixels}",
            transformation,
            circular,
            partial(_shift, steps=steps, axis=axis, circular=circular),
        )
        for direction, (steps, axis) in directions.items()
    )


def _shift(images: Tensor, steps: int, axis: int, *, circular: bool) -> Tensor:
    size = images.shape[axis]
    if abs(steps) >= size:
        raise InputError(f"Images of {size} pixels cannot be shifted by {abs(steps)} pixels.")
    moved = images.roll(steps, dims=axis)
    if not circular:
        entered = slice(0, steps) if steps > 0 else slice(size + steps, size)
        moved.narrow(axis, entered.start, entered.stop - entered.start).zero_()
    return moved


#: Family -> what makes its elements (the identity is never among them).
IMAGE_TRANSFORMATIONS: Final[dict[str, Callable[[], tuple[ImageAction, ...]]]] = {
    "rotation": quarter_turns,
    "flip": flips,
    "shift": zero_filled_shifts,
    "circular_shift": circular_shifts,
}


def actions_on_images(transformation: str) -> tuple[ImageAction, ...]:
    """The elements of a family: "rotation", "flip", "shift" (zeros enter) or "circular_shift".

    Raises
    ------
    InputError
        If there is no such family.

    Examples
    --------
    >>> [action.name for action in actions_on_images("flip")]
    ['flip_horizontal', 'flip_vertical']
    """
    if transformation not in IMAGE_TRANSFORMATIONS:
        raise InputError(
            f"Unknown transformation {transformation!r}. "
            f"{nearest(transformation, IMAGE_TRANSFORMATIONS)}"
        )
    return IMAGE_TRANSFORMATIONS[transformation]()
