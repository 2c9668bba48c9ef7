"""MNIST with the group of rotations of the plane told: trained upright, turned by probes."""

from __future__ import annotations

from typing import Literal

from repgeo.datasets.archives import mnist
from repgeo.datasets.dataset import Dataset

__all__ = ["turned_mnist"]


def turned_mnist(
    *,
    seed: int,
    train_size: int | None = 1000,
    test_size: int | None = 500,
    group: str = "SO2",
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
    group
        "SO2", or a group that turns images exactly: "C4", "D4".
    source
        As for `mnist`.

    Raises
    ------
    DatasetError
        As `mnist`.

    References
    ----------
    H. Larochelle et al., "An empirical evaluation of deep architectures on problems with many
    factors of variation" (2007): rotated MNIST.
    """
    upright = mnist(seed=seed, train_size=train_size, test_size=test_size, source=source)
    meta = {**upright.meta, "group": group, "action": "image", "rep_out": "invariant"}
    return Dataset("turned_mnist", upright.train, upright.test, meta)
