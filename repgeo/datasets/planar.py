"""Two-class problems in the plane whose true boundary is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import DatasetError
from repgeo.identity import derive_generator

__all__ = ["sinusoid", "xor"]

_Points: TypeAlias = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]

#: Test points drawn like those to train on, or an even grid that maps are drawn of.
_Test: TypeAlias = Literal["drawn", "grid"]


def sinusoid(
    *,
    seed: int,
    train_size: int = 400,
    test_size: int = 1000,
    test: _Test = "drawn",
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
    test
        "drawn": test points are uniform too. "grid": they are an even square grid that covers the
        square up to its edges; their number must be a square.
    amplitude, frequency, phase
        The boundary.

    Raises
    ------
    DatasetError
        If a size is not positive, or a grid's is no square.

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

    def labels(x: Tensor) -> Tensor:
        # They belong to the points as they are stored, rounded to float32.
        height = amplitude * torch.sin(frequency * x[:, 0].double() + phase)
        return (x[:, 1].double() > height).long()

    def points(size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        uniform = torch.rand(size, 2, generator=generator, dtype=torch.float64)
        x = (2 * uniform - 1).float()
        return x, labels(x)

    def grid(size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x = _square_grid("sinusoid", size, 1.0)
        return x, labels(x)

    sizes = (train_size, test_size)
    splits = _two_splits("sinusoid", seed, sizes, points, grid if test == "grid" else points)
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
    return Dataset("sinusoid", *splits, meta)


def xor(
    *,
    seed: int,
    train_size: int = 400,
    test_size: int = 1000,
    test: _Test = "drawn",
    variance: float = 0.15,
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
    test
        "drawn": test points are of the blobs too. "grid": they are an even square grid on
        [-1.5, 1.5]^2, up to its edges, labelled by the best boundary (0 on it); their number must
        be a square.
    variance
        Of each coordinate within a blob.

    Raises
    ------
    DatasetError
        If a size is not positive, a grid's is no square, or the variance is negative.

    References
    ----------
    J. A. Zavatone-Veth, S. Yang, J. A. Rubinfien, C. Pehlevan, "Neural networks learn to magnify
    areas near decision boundaries" (2023), arXiv:2301.11375: the four corners, and 400 points of
    variance 0.15; maps on [-1.5, 1.5]^2.

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

    def grid(size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x = _square_grid("xor", size, 1.5)
        return x, (x[:, 0] * x[:, 1] < 0).long()

    sizes = (train_size, test_size)
    splits = _two_splits("xor", seed, sizes, points, grid if test == "grid" else points)
    meta = {
        "classes": ("same sign", "different sign"),
        "truth": {"boundary": "x1 * x2 = 0", "variance": variance},
    }
    return Dataset("xor", *splits, meta)


def _two_splits(
    name: str, seed: int, sizes: tuple[int, int], train_points: _Points, test_points: _Points
) -> tuple[Split, Split]:
    train_size, test_size = sizes
    for key, size in (("train_size", train_size), ("test_size", test_size)):
        if size < 1:
            raise DatasetError(f"{name}: {key} must be at least 1, got {size}.")
    # Each split has its own stream: a larger train split leaves the test points as they are.
    train = Split(*train_points(train_size, derive_generator(name, "train", seed)))
    x, y = test_points(test_size, derive_generator(name, "test", seed))
    return train, Split(x, y, torch.arange(train_size, train_size + test_size))


def _square_grid(name: str, size: int, extent: float) -> Tensor:
    """An even grid on [-extent, extent]^2, `(size, 2)`, float32."""
    steps = math.isqrt(size)
    if steps**2 != size or steps < 2:
        raise DatasetError(
            f'{name}: with test = "grid", test_size must be the square of a number from 2 on, got '
            f"{size}. The nearest is {max(2, round(size**0.5)) ** 2}."
        )
    ticks = torch.linspace(-extent, extent, steps, dtype=torch.float64)
    return torch.cartesian_prod(ticks, ticks).float()
