"""Phases of a periodic image: codes that turn with its shifts, by a formula."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from repgeo.errors import ConfigurationError

__all__ = ["torus_phases"]


class _Phases(nn.Module):
    """(cos, sin) of the phases of Fourier coefficients `(batch, 2 k)` of images."""

    frequencies: Tensor

    def __init__(self, frequencies: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.tensor(frequencies))

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.fft2(x.sum(dim=1))  # (batch, height, width)
        height, width = spectrum.shape[1:]
        rows, columns = self.frequencies[:, 0] % height, self.frequencies[:, 1] % width
        found = spectrum[:, rows, columns].conj()
        unit = found / found.abs().clamp(min=torch.finfo(x.dtype).tiny)
        return torch.view_as_real(unit).flatten(1)


class _TorusPhases(nn.Module):
    def __init__(self, frequencies: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        self.encoder = _Phases(frequencies)

    def forward(self, x: Tensor) -> Tensor:
        codes: Tensor = self.encoder(x)
        return codes


def torus_phases(*, frequencies: tuple[tuple[int, int], ...] = ((1, 0), (0, 1))) -> nn.Module:
    """(cos φ, sin φ) of the phases φ = m_1 a + m_2 b of an image shifted by the angles (a, b).

    The phase of the Fourier coefficient at (m_1, m_2) turns by m_1 a + m_2 b when the image is
    shifted. With one factor for each phase codes are linearly disentangled; frequencies (3, 0) and
    (0, 4) wrap the factors three and four times, and (1, 0) and (1, 1) entangle them.

    Parameters
    ----------
    frequencies
        The pairs (m_1, m_2), whole numbers of cycles down and across.

    Raises
    ------
    ConfigurationError
        If there is none, or one is not a pair of whole numbers.

    Examples
    --------
    >>> x = torch.zeros(1, 1, 4, 4)
    >>> x[0, 0, 1, 0] = 1.0  # a quarter of the way down
    >>> (torus_phases()(x).round() + 0.0).tolist()
    [[0.0, 1.0, 1.0, 0.0]]
    """
    pairs = tuple(tuple(pair) for pair in frequencies)
    whole = all(len(pair) == 2 and all(isinstance(m, int) for m in pair) for pair in pairs)
    if not pairs or not whole:
        raise ConfigurationError(
            f"torus_phases: frequencies are pairs of whole numbers, got {list(frequencies)!r}."
        )
    return _TorusPhases(pairs)  # type: ignore[arg-type]  # checked above
