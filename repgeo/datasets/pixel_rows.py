"""Rows of pixels of handwritten digits, to be predicted from the row above."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.splitting import stratified_split
from repgeo.errors import DatasetError

__all__ = ["pixel_rows"]

_SIDE: Final = 8


def pixel_rows(
    *,
    seed: int,
    row: int = 3,
    first: int = 1,
    inputs: int = 7,
    outputs: int = 7,
    test_fraction: float = 0.5,
) -> Dataset:
    """A row of pixels of each of scikit-learn's 1,797 digits, and the row below as what to predict.

    `x` is `(n, inputs)`, float64 in [0, 1] (grey values 0 to 16, divided by 16), and `y`
    `(n, outputs)` pixels of the next row, both from one column on; the first columns of the images
    are mostly blank. The array `digit` holds the classes.

    Parameters
    ----------
    seed
        Decides the split, which is stratified by digit.
    row
        Which row is read, from 0 to 6.
    first
        The first column.
    inputs, outputs
        How many pixels are read, and how many are predicted.
    test_fraction
        Share of the samples that are tested on.

    Raises
    ------
    DatasetError
        If a row or column does not exist, or `test_fraction` does not lie between 0 and 1.

    Examples
    --------
    >>> data = pixel_rows(seed=0)
    >>> tuple(data.test.x.shape[1:]), tuple(data.test.y.shape[1:]), len(data.train)
    ((7,), (7,), 899)
    """
    fits = min(inputs, outputs) >= 1 and first + max(inputs, outputs) <= _SIDE
    if not (0 <= row < _SIDE - 1 and first >= 0 and fits):
        raise DatasetError(
            "pixel_rows: images have 8 rows and columns; got "
            f"{row=}, {first=}, {inputs=}, {outputs=}."
        )
    from sklearn.datasets import load_digits

    table = load_digits()
    images = torch.from_numpy(table.images).double() / 16  # (n, 8, 8)
    digits = torch.from_numpy(table.target).to(torch.int64)
    parts = stratified_split(Split(images, digits), test_fraction, seed)
    train, test = (_rows(part, row, first, inputs, outputs) for part in parts)
    return Dataset("pixel_rows", train, test)


def _rows(split: Split, row: int, first: int, inputs: int, outputs: int) -> Split:
    images = split.x
    assert isinstance(images, Tensor)
    assert split.y is not None
    above = images[:, row, first : first + inputs].clone()
    below = images[:, row + 1, first : first + outputs].clone()
    return Split(above, below, split.ids, {"digit": split.y})
