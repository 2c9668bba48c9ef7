"""Periodic signals of known frequencies, whose aliases can be told beforehand."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import DatasetError
from repgeo.identity import derive_generator

__all__ = ["band_limited"]


def band_limited(
    *,
    seed: int,
    length: int = 32,
    low: int = 1,
    high: int = 15,
    train_size: int = 64,
    test_size: int = 255,
) -> Dataset:
    """Sums of cosines with random phases, one of each frequency in a band.

    x(s) = sum over k from `low` to `high` of cos(2π k s / length + φ_k). `x` is
    `(n, 1, length)`, float64. The phases of one frequency are evenly spaced over the samples, from
    a random start and in random order: means over samples of products of different waves are 0, as
    over all phases. The group "T1" shifts the signals, periodically; `meta["truth"]` has the band.

    Parameters
    ----------
    seed
        Decides the phases.
    length
        How many places a period has.
    low, high
        The lowest and the highest frequency, in cycles per period.
    train_size, test_size
        Numbers of signals. Of an odd number of test samples, harmonics that a nonlinearity adds
        are told apart better than of one with factors in common with the length.

    Raises
    ------
    DatasetError
        If the band is empty or not below half the length, or a size is not positive.

    Examples
    --------
    >>> data = band_limited(seed=0, length=16, low=2, high=3)
    >>> power = torch.fft.rfft(data.test.x).abs().square().mean(dim=(0, 1)) / 64
    >>> power.round(decimals=12).tolist()
    [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    if not 0 < low <= high < length / 2:
        raise DatasetError(
            f"band_limited: frequencies {low} to {high} must lie above 0 and below half the "
            f"length, {length}/2."
        )
    splits, first = [], 0
    for name, size in (("train", train_size), ("test", test_size)):
        if size < 1:
            raise DatasetError(f"band_limited: {name}_size must be at least 1, got {size}.")
        generator = derive_generator("band_limited", name, seed)
        x = _signals(size, length, range(low, high + 1), generator)
        splits.append(Split(x, None, torch.arange(first, first + size)))
        first += size
    meta = {
        "group": "T1",
        "action": "shift",
        "period": length,
        "truth": {"low": low, "high": high},
    }
    train, test = splits
    return Dataset("band_limited", train, test, meta)


def _signals(size: int, length: int, band: range, generator: torch.Generator) -> Tensor:
    """Signals `(size, 1, length)`."""
    s = torch.arange(length, dtype=torch.float64)
    x = torch.zeros(size, 1, length, dtype=torch.float64)
    for k in band:
        start = torch.rand(1, generator=generator, dtype=torch.float64)
        phase = 2 * torch.pi * (torch.randperm(size, generator=generator) + start) / size
        x += torch.cos(2 * torch.pi * k * s / length + phase[:, None, None])
    return x
