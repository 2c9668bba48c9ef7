"""Layers that halve the resolution of signals and images, with and without aliasing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from repgeo.errors import ConfigurationError, nearest

__all__ = ["POOLING", "BlurPool", "Subsample", "make_pooling"]

_BINOMIAL: Final = {3: (1.0, 2.0, 1.0), 5: (1.0, 4.0, 6.0, 4.0, 1.0)}


class Subsample(nn.Module):
    """Every second place of the last axes.

    A strided convolution is a convolution followed by this; an activation between the two makes no
    difference.

    Parameters
    ----------
    dimensions
        1 for signals `(n, channels, length)`, 2 for images.

    Examples
    --------
    >>> Subsample(1)(torch.arange(5.0).view(1, 1, 5)).tolist()
    [[[0.0, 2.0, 4.0]]]
    """

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions

    def forward(self, x: Tensor) -> Tensor:
        """Odd lengths are rounded up."""
        for axis in range(-self.dimensions, 0):
            x = x.index_select(axis, torch.arange(0, x.shape[axis], 2, device=x.device))
        return x


class BlurPool(nn.Module):
    """A binomial low-pass filter, periodic at the border, and then every second place.

    In each axis the filter (1, 2, 1) / 4 multiplies frequency k by cos^2(π k / length), five taps
    by its square.

    Parameters
    ----------
    dimensions
        1 for signals `(n, channels, length)`, 2 for images.
    taps
        3 or 5.

    Raises
    ------
    ConfigurationError
        For another number of taps.

    References
    ----------
    R. Zhang, "Making convolutional networks shift-invariant again" (2019), arXiv:1904.11486.

    Examples
    --------
    >>> BlurPool(1)(torch.tensor([[[1.0, -1.0, 1.0, -1.0]]])).tolist()
    [[[0.0, 0.0]]]
    """

    kernel: Tensor

    def __init__(self, dimensions: int, taps: int = 3) -> None:
        super().__init__()
        if taps not in _BINOMIAL:
            raise ConfigurationError(f"A blur has 3 or 5 taps, got {taps}.")
        self.dimensions = dimensions
        line = torch.tensor(_BINOMIAL[taps])
        line = line / line.sum()
        kernel = line if dimensions == 1 else line[:, None] * line
        self.register_buffer("kernel", kernel[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Channel by channel."""
        channels, reach = x.shape[1], self.kernel.shape[-1] // 2
        convolve: Callable[..., Tensor] = torch.conv1d if self.dimensions == 1 else torch.conv2d
        padded = nn.functional.pad(x, (reach, reach) * self.dimensions, mode="circular")
        kernel = self.kernel.expand(channels, *self.kernel.shape[1:])
        return convolve(padded, kernel.to(x), stride=2, groups=channels)


def _max_blur(dimensions: int) -> nn.Module:
    dense = nn.MaxPool1d(2, 1) if dimensions == 1 else nn.MaxPool2d(2, 1)
    return nn.Sequential(_WrappedEnd(dimensions), dense, BlurPool(dimensions))


class _WrappedEnd(nn.Module):
    """The first place of each of the last axes repeated behind the last, for windows of two."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x, (0, 1) * self.dimensions, mode="circular")


#: Name -> what makes the layer for signals (1) or images (2).
POOLING: Final[dict[str, Callable[[int], nn.Module]]] = {
    "stride": Subsample,
    "average": lambda d: (nn.AvgPool1d if d == 1 else nn.AvgPool2d)(2, ceil_mode=True),
    "max": lambda d: (nn.MaxPool1d if d == 1 else nn.MaxPool2d)(2, ceil_mode=True),
    "blur": BlurPool,
    "max_blur": _max_blur,
}


def make_pooling(name: str, dimensions: int) -> nn.Module:
    """A new layer that halves the resolution.

    "stride": every second place; "average" and "max" of pairs (of 2x2 pixels); "blur": a low-pass
    filter first; "max_blur": the largest of each pair, at every place, blurred.

    Parameters
    ----------
    name
        One of these.
    dimensions
        1 for signals, 2 for images.

    Raises
    ------
    ConfigurationError
        If there is none of that name.

    Examples
    --------
    >>> make_pooling("max", 1)(torch.tensor([[[1.0, 3.0, 2.0, 0.0]]])).tolist()
    [[[3.0, 2.0]]]
    """
    if name not in POOLING:
        raise ConfigurationError(
            f"Unknown pooling {name!r}. {nearest(name, POOLING)} Allowed: {', '.join(POOLING)}."
        )
    return POOLING[name](dimensions)
