"""MNIST with the group of rotations of the plane told: trained upright, turned by probes."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from repgeo.datasets.archives import mnist
from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import DatasetError

__all__ = ["turned_mnist"]


def turned_mnist(
    *,
    seed: int,
    train_size: int | None = 1000,
    test_size: int | None = 500,
    side: Literal[28, 16] = 28,
    source: Literal["local", "openml"] = "local",
) -> Dataset:
    """MNIST, upright, with `meta["group"]` and `meta["action"]` of turns about the centre.

    Arrays, ids and errors are those of `repgeo.datasets.archives.mnist`; it is the group that makes
    the difference: objectives may turn train images, and probes turn test images, exactly by
    quarter turns and by the Fourier transform by other angles.

    Parameters
    ----------
    seed
        Decides which samples are in the subset.
    train_size, test_size
        How many samples to take, each class in its proportion; None: all.
    side
        28, or 16: images padded to 32 by 32 and averaged over 2 by 2 pixels, which turns commute
        with.
    source
        As for `mnist`.

    Raises
    ------
    DatasetError
        As `mnist`, or for another side.

    References
    ----------
    H. Larochelle et al., "An empirical evaluation of deep architectures on problems with many
    factors of variation" (2007): rotated MNIST.
    """
    if side not in (28, 16):
        raise DatasetError(f"turned_mnist: images have a side of 28 or 16 pixels, got {side}.")
    upright = mnist(seed=seed, train_size=train_size, test_size=test_size, source=source)
    meta = {**upright.meta, "group": "SO2", "action": "image", "rep_out": "invariant"}
    if side == 28:
        return Dataset("turned_mnist", upright.train, upright.test, meta)
    return Dataset("turned_mnist", _halved(upright.train), _halved(upright.test), meta)


def _halved(split: Split) -> Split:
    """Images `(n, 1, 28, 28)` as `(n, 1, 16, 16)`."""
    assert isinstance(split.x, Tensor)
    x = nn.functional.avg_pool2d(nn.functional.pad(split.x, (2, 2, 2, 2)), 2)
    return Split(x, split.y, split.ids, split.arrays)
