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


def pixel_rows(*, seed: int, row: int = 3, first: int = 1, test_fraction: float = 0.5) -> Dataset:
    """A row of pixels of each of scikit-learn's 1,797 digits, and the row below as what to predict.

    `x` is `(n, 8 - first)`, float64 in [0, 1] (grey values 0 to 16, divided by 16), and `y` the
    same pixels of the next row. Networks that read fewer take the first; the first columns
    of the images are mostly blank. The array `digit` holds the classes.

    Parameters
    ----------
    seed
        Decides the split, which is stratified by digit.
    row
        Which row is read, from 0 to 6.
    first
        The first column.
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
    if not 0 <= row < _SIDE - 1 or not 0 <= first < _SIDE:
        raise DatasetError(
            f"pixel_rows: row must be 0 to 6 and first 0 to 7, got {row} and {first}."
        )
    from sklearn.datasets import load_digits

    table = load_digits()
    images = torch.from_numpy(table.images).double() / 16  # (n, 8, 8)
    digits = torch.from_numpy(table.target).to(torch.int64)
    parts = stratified_split(Split(images, digits), test_fraction, seed)
    return Dataset("pixel_rows", *(_rows(part, row, first) for part in parts))


def _rows(split: Split, row: int, first: int) -> Split:
    images = split.x
    assert isinstance(images, Tensor)
    assert split.y is not None
    above, below = (images[:, place, first:].clone() for place in (row, row + 1))
    return Split(above, below, split.ids, {"digit": split.y})
