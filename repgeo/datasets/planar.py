"""Two-class problems in the plane whose true boundary is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import DatasetError
from repgeo.identity import derive_generator

__all__ = ["sinusoid", "xor"]

_Points: TypeAlias = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]


def sinusoid(
    *,
    seed: int,
    train_size: int = 400,
    test_size: int = 1000,
    amplitude: float = 0.6,
    frequency: float = 7.0,
    phase: float = -1.0,
) -> Dataset:
    """Points of the square [-1, 1]^2, labelled by which side of a sine they lie on, without noise.

    y = [x_2 > amplitude * sin(frequency * x_1 + phase)], with x uniform. `x` is `(n, 2)`, float32;
    `y` is `(n,)`, int64. `meta["truth"]` holds the three numbers, `meta["domain"]` the square.

    Parameters
    ----------
    seed
        Decides the points.
    train_size, test_size
        Numbers of points.
    amplitude, frequency, phase
        The boundary.

    Raises
    ------
    DatasetError
        If a size is not positive.

    References
    ----------
    J. A. Zavatone-Veth, S. Yang, J. A. Rubinfien, C. Pehlevan, "Neural networks learn to magnify
    areas near decision boundaries" (2023), arXiv:2301.11375: 400 points, boundary
    x_2 = (3/5) sin(7 x_1 - 1).

    Examples
    --------
    >>> data = sinusoid(seed=0)
    >>> x, y = data.train.x.double(), data.train.y
    >>> bool((y == (x[:, 1] > 0.6 * torch.sin(7 * x[:, 0] - 1))).all())
    True
    """

    def points(size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        uniform = torch.rand(size, 2, generator=generator, dtype=torch.float64)
        x = (2 * uniform - 1).float()
        # Labels belong to the points as they are stored, rounded to float32.
        height = amplitude * torch.sin(frequency * x[:, 0].double() + phase)
        return x, (x[:, 1].double() > height).long()

    train, test = _two_splits("sinusoid", seed, train_size, test_size, points)
    meta = {
        "classes": ("below", "above"),
        "domain": ((-1.0, 1.0), (-1.0, 1.0)),
        "truth": {
            "boundary": "x2 = amplitude * sin(frequency * x1 + phase)",
            "amplitude": amplitude,
            "frequency": frequency,
            "phase": phase,
        },
    }
    return Dataset("sinusoid", train, test, meta)


def xor(
    *, seed: int, train_size: int = 400, test_size: int = 1000, variance: float = 0.15
) -> Dataset:
    """Four Gaussian blobs at (+-1, +-1), labelled 0 where the signs agree and 1 where they differ.

    Each blob has a quarter of the points (the first ones get what is left over) and the covariance
    variance * I; labels are those of the blob, so points that crossed an axis keep theirs. The
    best boundary is x_1 x_2 = 0, with the accuracy p^2 + (1 - p)^2, p = Phi(1 / sqrt(variance)).
    With `variance = 0` the points are the four corners. `x` is `(n, 2)`, float32; `y` is `(n,)`.

    Parameters
    ----------
    seed
        Decides the points.
    train_size, test_size
        Numbers of points.
    variance
        Of each coordinate within a blob.

    Raises
    ------
    DatasetError
        If a size is not positive, or the variance is negative.

    References
    ----------
    J. A. Zavatone-Veth, S. Yang, J. A. Rubinfien, C. Pehlevan, "Neural networks learn to magnify
    areas near decision boundaries" (2023), arXiv:2301.11375: the four corners, and 400 points of
    variance 0.15.

    Examples
    --------
    >>> data = xor(seed=0, train_size=4, test_size=4, variance=0.0)
    >>> data.train.x.tolist(), data.train.y.tolist()
    ([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]], [0, 1, 1, 0])
    """
    if variance < 0:
        raise DatasetError(f"xor: variance must not be negative, got {variance}.")
    corners = torch.tensor([[-1, -1], [-1, 1], [1, -1], [1, 1]], dtype=torch.float64)

    def points(size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        blob = torch.arange(size) % 4
        noise = torch.randn(size, 2, generator=generator, dtype=torch.float64)
        x = corners[blob] + variance**0.5 * noise
        return x.float(), ((blob == 1) | (blob == 2)).long()

    train, test = _two_splits("xor", seed, train_size, test_size, points)
    meta = {
        "classes": ("same sign", "different sign"),
        "truth": {"boundary": "x1 * x2 = 0", "variance": variance},
    }
    return Dataset("xor", train, test, meta)


def _two_splits(
    name: str, seed: int, train_size: int, test_size: int, points: _Points
) -> tuple[Split, Split]:
    for key, size in (("train_size", train_size), ("test_size", test_size)):
        if size < 1:
            raise DatasetError(f"{name}: {key} must be at least 1, got {size}.")
    # Each split has its own stream: a larger train split leaves the test points as they are.
    train = Split(*points(train_size, derive_generator(name, "train", seed)))
    x, y = points(test_size, derive_generator(name, "test", seed))
    return train, Split(x, y, torch.arange(train_size, train_size + test_size))
