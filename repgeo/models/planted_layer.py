"""One layer on band-limited signals, whose loss of equivariance has a closed form."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from repgeo.errors import ConfigurationError, nearest
from repgeo.models.encoder_head import EncoderHead
from repgeo.models.pooling import POOLING, make_pooling

__all__ = ["PlantedLayer", "planted_layer"]


class _Band(nn.Module):
    """The frequencies from `low` to `high` of signals, and nothing else: a filter."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(x)
        k = torch.arange(spectrum.shape[-1], device=x.device)
        kept = (k >= self.low) & (k <= self.high)
        filtered: Tensor = torch.fft.irfft(spectrum * kept, n=x.shape[-1])
        return filtered


class _Pointwise(nn.Module):
    """A function of each value."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class _IdealPool(nn.Module):
    """Frequencies below a quarter of the length, at every second place: the oracle of pooling."""

    def forward(self, x: Tensor) -> Tensor:
        quarter = -(-x.shape[-1] // 4)
        below: Tensor = _Band(0, quarter - 1)(x)
        return below[..., ::2]


class _IdealSquare(nn.Module):
    """Squares at twice the resolution, without the frequencies that the signal cannot hold."""

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[-1]
        fine = torch.fft.irfft(2 * torch.fft.rfft(x), n=2 * n)
        spectrum = torch.fft.rfft(fine.square())[..., : n // 2 + 1] / 2
        below = torch.arange(n // 2 + 1, device=x.device) < n / 2
        square: Tensor = torch.fft.irfft(spectrum * below, n=n)
        return square


def _convolution() -> nn.Module:
    return nn.Conv1d(1, 1, 5, padding=2, padding_mode="circular")


#: Kind -> what makes the layer; it keeps the resolution.
_KEEPING: Final[dict[str, Callable[[], nn.Module]]] = {
    "identity": nn.Identity,
    "convolution": _convolution,
    "relu": nn.ReLU,
    "square": lambda: _Pointwise(torch.square),
    "sine": lambda: _Pointwise(torch.sin),
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "ideal_square": _IdealSquare,
}


class PlantedLayer(EncoderHead):
    """A filter for a band of frequencies and one layer behind it; the outputs are the codes.

    Parameters
    ----------
    band
        The filter.
    planted
        The layer.
    rep
        How its outputs change under shifts of the signal.

    Examples
    --------
    >>> PlantedLayer(nn.Identity(), nn.Identity(), "shift").layer_representations()["encoder"]
    'shift'
    """

    def __init__(self, band: nn.Module, planted: nn.Module, rep: str) -> None:
        layers = OrderedDict([("band", band), ("planted", planted)])
        super().__init__(nn.Sequential(layers), nn.Identity())
        self.rep = rep

    def layer_representations(self) -> dict[str, str]:
        """Signals are shifted; at half the resolution by half as many places."""
        return {"encoder.band": "shift", "encoder": self.rep, "outputs": self.rep} | {
            "encoder.planted": self.rep
        }


def planted_layer(kind: str, *, low: int = 1, high: int = 15) -> nn.Module:
    """One layer on the frequencies `low` to `high` of periodic signals `(batch, 1, length)`.

    Layers that keep the resolution: "identity"; "convolution" (5 taps at random, periodic); the
    functions of single values "relu", "square", "sine", "tanh", "gelu"; "ideal_square", without
    aliases. Layers that halve it: "stride", "average", "max", "blur", "max_blur" (see
    `repgeo.models.pooling`), and "ideal_pool", without aliases. Codes and outputs are what the
    layer gives, `(batch, 1, length)` or half as long. Named parts are `encoder.band` and
    `encoder.planted`; the model says how they change under shifts.

    Parameters
    ----------
    kind
        Which layer.
    low, high
        The band, in cycles per period.

    Raises
    ------
    ConfigurationError
        For an unknown kind, or an empty band.

    Examples
    --------
    >>> tuple(planted_layer("blur")(torch.zeros(2, 1, 32)).shape)
    (2, 1, 16)
    """
    if not 0 <= low <= high:
        raise ConfigurationError(f"planted_layer: the band from {low} to {high} is empty.")
    if kind in _KEEPING:
        return PlantedLayer(_Band(low, high), _KEEPING[kind](), "shift")
    if kind not in (*POOLING, "ideal_pool"):
        known = [*_KEEPING, *POOLING, "ideal_pool"]
        raise ConfigurationError(f"Unknown layer {kind!r}. {nearest(kind, known)}")
    pool = _IdealPool() if kind == "ideal_pool" else make_pooling(kind, 1)
    return PlantedLayer(_Band(low, high), pool, "shift:0.5")
