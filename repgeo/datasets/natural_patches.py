"""Patches of natural images, each with a rotated or shifted copy."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from repgeo.datasets.archives import FOLDER_VARIABLE
from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import DatasetError
from repgeo.identity import derive_generator

__all__ = ["natural_patches"]

_FILE = "bsds500_train_gray_160x240.npz"


def natural_patches(
    *,
    seed: int,
    action: Literal["rotation", "translation"],
    side: int = 16,
    components: int | None = None,
    train_size: int = 4000,
    test_size: int = 500,
) -> Dataset:
    """Patches of natural images, and the same patches rotated or circularly shifted.

    "rotation": patches cut by a circle, sampled bilinearly from the image at a random angle; the
    copy is sampled at another one, so that nothing enters from outside the image. "translation":
    square patches and copies shifted around by random numbers of pixels; `meta["group"]` is then
    C_side x C_side. Every patch is centred and has unit standard deviation. With `components`,
    patches are given by their leading principal components, whitened; `meta["pixels"]` maps rows of
    weights on those back to pixels.

    `x` and `moved` are `(n, features)`, float32; ids are the patches'.

    Parameters
    ----------
    seed
        Decides places and angles.
    action
        "rotation" or "translation".
    side
        Pixels of a side.
    components
        Number of principal components, None for the pixels themselves.
    train_size, test_size
        Numbers of pairs. Test patches are from the last fifth of the images.

    Raises
    ------
    DatasetError
        If REPGEO_DATA names no folder with `natural_images/bsds500_train_gray_160x240.npz`, or a
        size does not fit.

    Notes
    -----
    The images are the 200 training images of BSDS500 (grey, at half resolution), for
    non-commercial research and education.

    References
    ----------
    D. Martin, C. Fowlkes, D. Tal, J. Malik, "A database of human segmented natural images" (2001).
    """
    images = _images()
    if not 4 <= side <= 64 or min(train_size, test_size) < 1:
        raise DatasetError(
            f"natural_patches: side must be from 4 to 64 and sizes positive, got side {side}, "
            f"train_size {train_size}, test_size {test_size}."
        )
    mask = _disk(side) if action == "rotation" else torch.ones(side * side, dtype=torch.bool)
    most = int(mask.sum()) - 1
    if components is not None and not 1 <= components <= most:
        raise DatasetError(
            f"natural_patches: components must be from 1 to {most}, got {components}."
        )
    held_out = len(images) // 5
    parts = {"train": images[:-held_out], "test": images[-held_out:]}
    sizes = {"train": train_size, "test": test_size}
    pairs = {}
    for name, part in parts.items():
        draws = derive_generator("natural_patches", action, side, name, seed)
        cut = _rotated if action == "rotation" else _shifted
        pairs[name] = tuple(_normalised(p, mask) for p in cut(part, side, sizes[name], draws))
    pixels = (
        torch.diag(mask.float()) if components is None else _whitening(pairs["train"], components)
    )
    splits, first = [], 0
    for both in pairs.values():
        x, y = both if components is None else (patches @ pixels.T for patches in both)
        splits.append(Split(x, None, torch.arange(first, first + len(x)), {"moved": y}))
        first += len(x)
    meta = {"pixels": pixels, "truth": {"action": action, "side": side}}
    if action == "translation":
        meta["group"] = f"C{side}xC{side}"
    train, test = splits
    return Dataset(f"natural_patches_{action}", train, test, meta)


def _images() -> Tensor:
    folder = os.environ.get(FOLDER_VARIABLE)
    path = Path(folder or "") / "natural_images" / _FILE
    if not folder or not path.is_file():
        raise DatasetError(
            f"natural_patches reads natural_images/{_FILE} under the folder that "
            f"{FOLDER_VARIABLE} names; there is none."
        )
    with np.load(path, allow_pickle=False) as archive:
        array = archive[archive.files[0]]  # (200, 160, 240), uint8
    return torch.from_numpy(array.astype(np.float32)) / 255


def _disk(side: int) -> Tensor:
    """The pixels whose centres lie within the inscribed circle, `(side^2,)`."""
    at = torch.arange(side) - (side - 1) / 2
    inside: Tensor = (at[:, None].square() + at.square()).sqrt() <= side / 2
    return inside.flatten()


def _places(images: Tensor, side: int, size: int, draws: torch.Generator) -> tuple[Tensor, ...]:
    """Images and centres `(size,)`, far enough from the border for any rotation."""
    margin = math.ceil(side / 2**0.5) + 1
    _, height, width = images.shape
    which = torch.randint(len(images), (size,), generator=draws)
    row = torch.randint(margin, height - margin, (size,), generator=draws)
    column = torch.randint(margin, width - margin, (size,), generator=draws)
    return which, row, column


def _sampled(images: Tensor, places: tuple[Tensor, ...], angles: Tensor, side: int) -> Tensor:
    """Patches `(size, side^2)` about places, turned by angles (radians), bilinearly."""
    which, row, column = places
    _, height, width = images.shape
    at = torch.arange(side) - (side - 1) / 2
    y, x = (grid.flatten() for grid in torch.meshgrid(at, at, indexing="ij"))
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    rows = row[:, None] + sin * x + cos * y
    columns = column[:, None] + cos * x - sin * y
    grid = torch.stack([2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1], dim=-1)
    patches = torch.zeros(len(which), side * side)
    for image in torch.unique(which).tolist():
        here = which == image
        found = functional.grid_sample(
            images[image][None, None], grid[here][None], align_corners=True
        )
        patches[here] = found[0, 0]
    return patches


def _rotated(images: Tensor, side: int, size: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    places = _places(images, side, size, draws)
    angles = 2 * math.pi * torch.rand(2, size, generator=draws)
    return _sampled(images, places, angles[0], side), _sampled(images, places, angles[1], side)


def _shifted(images: Tensor, side: int, size: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    patches = _sampled(images, _places(images, side, size, draws), torch.zeros(size), side)
    shifts = torch.randint(side, (2, size, 1), generator=draws)
    at = torch.arange(side)
    rows = (at + shifts[0]) % side  # (size, side)
    columns = (at + shifts[1]) % side
    source = (rows[:, :, None] * side + columns[:, None, :]).flatten(1)
    return patches, patches.gather(1, source)


def _normalised(patches: Tensor, mask: Tensor) -> Tensor:
    """Centred within the mask and of unit standard deviation there, 0 outside."""
    inside = patches[:, mask]
    inside = inside - inside.mean(dim=1, keepdim=True)
    # Patches of sky are nearly constant: below a contrast of 0.02 they stay faint.
    inside = inside / inside.std(dim=1, keepdim=True).clamp(min=0.02)
    found = torch.zeros_like(patches)
    found[:, mask] = inside
    return found


def _whitening(pairs: tuple[Tensor, ...], components: int) -> Tensor:
    """Rows that take patches to their leading principal components of unit variance."""
    both = torch.cat(pairs).double()
    values, vectors = torch.linalg.eigh(both.T @ both / len(both))
    leading = vectors[:, -components:].flip(1)  # (pixels, components)
    # An eigenvector and its negative are one: the largest entry is made positive.
    signs = leading.gather(0, leading.abs().argmax(dim=0, keepdim=True)).sign()
    scales = values[-components:].flip(0).rsqrt()
    whitening: Tensor = torch.mul(leading * signs, scales).T.float()
    return whitening
