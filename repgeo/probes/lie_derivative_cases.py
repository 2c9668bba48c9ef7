"""Cases with known Lie derivatives: waves, filtered, halved and squared."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import torch
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.identity import derive_generator
from repgeo.probes.probe import Case

__all__ = ["PlantedPart", "wave_cases"]

_SHIFTED: Final = {"group": "T1", "action": "shift"}


class PlantedPart(nn.Module):
    """A function of signals as a network that says how its codes change.

    Parameters
    ----------
    part
        The encoder; there is nothing behind it.
    rep
        How its codes change, as of `repgeo.probes.group_actions.representation_of`.

    Examples
    --------
    >>> PlantedPart(torch.relu, "shift").layer_representations()
    {'encoder': 'shift', 'outputs': 'shift'}
    """

    def __init__(self, part: Callable[[Tensor], Tensor], rep: str) -> None:
        super().__init__()
        self.encoder = _Called(part)
        self.rep = rep

    def forward(self, x: Tensor) -> Tensor:
        """The codes."""
        codes: Tensor = self.encoder(x)
        return codes

    def layer_representations(self) -> dict[str, str]:
        """As it was told."""
        return {"encoder": self.rep, "outputs": self.rep}


class _Called(nn.Module):
    def __init__(self, part: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.part = part

    def forward(self, x: Tensor) -> Tensor:
        return self.part(x)


def _waves(frequency: int, length: int = 16) -> Dataset:
    """Eight cosines of one frequency, phases evenly spaced: variances 1/2 at each place."""
    s = torch.arange(length, dtype=torch.float64)
    phase = 2 * torch.pi * torch.arange(8, dtype=torch.float64)[:, None] / 8
    x = torch.cos(2 * torch.pi * frequency * s / length + phase)
    return _dataset(x[:, None], _SHIFTED)


def _dataset(x: Tensor, meta: Mapping[str, str]) -> Dataset:
    split = Split(x)
    return Dataset("", split, split, meta)


def _filtered(x: Tensor) -> Tensor:
    kernel = x.new_tensor([0.25, 0.5, 0.25]).view(1, 1, 3)
    return nn.functional.conv1d(nn.functional.pad(x, (1, 1), mode="circular"), kernel)


def _halved(x: Tensor) -> Tensor:
    return x[..., ::2]


def wave_cases(*, alone: bool, invariant: bool) -> Iterator[Case]:
    """Cases of waves cos(k w s + φ), w = 2π/16, and one of noise, for the invariances.

    A wave above a quarter, seen at every second place, moves the other way: its error is π sin,
    whose mean square is π^2/2. So is that of a square whose frequency 2k passes the half: the wave
    cos(2 k w s) / 2 changes at the rate k w in place of (k - 8) w. Taken for invariant, a wave that
    was filtered changes as fast as the wave itself.

    Parameters
    ----------
    alone
        Whether the probe measures at one layer; else only the data have one row.
    invariant
        Whether it takes the layer for invariant.

    Examples
    --------
    >>> [sorted(case.expected) for case in wave_cases(alone=False, invariant=False)]
    [['input_change'], []]
    """
    w = 2 * math.pi / 16
    at = {"generator": "shift"}
    noise = torch.randn(24, 1, 16, dtype=torch.float64, generator=derive_generator("noise"))
    if not alone:
        known = {"input_change": (2 * w) ** 2}
        yield Case(PlantedPart(_filtered, "shift"), _waves(2), known, 1e-12, at)
    yield Case(PlantedPart(torch.tanh, "shift"), _dataset(noise, _SHIFTED), {})
    for k in (2, 6) if alone else ():
        rate, data = (k * w) ** 2, _waves(k)
        gain = math.cos(k * w / 2) ** 2
        if invariant:
            found = {"local_error": rate * gain**2 / 2, "relative_error": 1.0, "contribution": 1.0}
            yield Case(PlantedPart(_filtered, "shift"), data, found, 1e-12, at)
            yield Case(PlantedPart(_filtered, "shift"), data, {"mean_error": 1.0}, 1e-12)
            continue
        exact = {"local_error": 0.0, "relative_error": 0.0, "contribution": 0.0}
        alias = {"local_error": math.pi**2 / 2, "input_change": rate}
        yield Case(PlantedPart(_filtered, "shift"), data, exact, 1e-12, at)
        for part, rep, variance in ((_halved, "shift:0.5", 1 / 2), (torch.square, "shift", 1 / 8)):
            relative = {"relative_error": math.pi**2 / 2 / variance / rate}
            yield Case(
                PlantedPart(part, rep), data, exact if k == 2 else alias | relative, 1e-11, at
            )
