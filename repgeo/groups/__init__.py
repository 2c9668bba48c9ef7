"""Groups, their representations, and their actions on data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.groups.image_actions import (
        IMAGE_TRANSFORMATIONS,
        ImageAction,
        actions_on_images,
        circular_shifts,
        flips,
        quarter_turns,
        zero_filled_shifts,
    )

__all__ = [
    "IMAGE_TRANSFORMATIONS",
    "ImageAction",
    "actions_on_images",
    "circular_shifts",
    "flips",
    "quarter_turns",
    "zero_filled_shifts",
]

__getattr__, __dir__ = lazy_exports(__name__, dict.fromkeys(__all__, "repgeo.groups.image_actions"))
