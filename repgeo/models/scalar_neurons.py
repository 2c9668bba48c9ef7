"""Networks of single neurons with complex weights: energies and bispectra."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from repgeo.errors import CheckpointError
from repgeo.models.encoder_head import require_positive

__all__ = ["Bispectral", "Energies", "bispectral", "energies", "published_bispectral"]

_FOLDER_VARIABLE = "REPGEO_DATA"


class _ComplexRows(nn.Module):
    """Complex weights `(features, inputs)`, kept as real and imaginary parts."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.parts = nn.Parameter(torch.view_as_real(weight.resolve_conj()).clone())

    @property
    def weight(self) -> Tensor:
        """The weights, `(features, inputs)`, complex."""
        return torch.view_as_complex(self.parts)

    def filters(self) -> Tensor:
        """The rows of the weights."""
        return self.weight

    def responses(self, x: Tensor) -> Tensor:
        """W x, `(batch, features)`, complex."""
        flat = x.reshape(len(x), -1)
        return flat.to(self.weight.dtype) @ self.weight.T


class Energies(_ComplexRows):
    """Outputs |<w_i, x>|^2: a power-spectral network of one-dimensional blocks, on any inputs."""

    def forward(self, x: Tensor) -> Tensor:
        """The energies, `(batch, features)`."""
        z = self.responses(x)
        return z.real.square() + z.imag.square()


class Bispectral(_ComplexRows):
    """Outputs l_i l_j conj((w_i * w_j) . x), l = W x, for i <= j: centred, and of unit norm."""

    def forward(self, x: Tensor) -> Tensor:
        """The bispectra, real parts before imaginary ones, `(batch, m (m + 1))`."""
        W = self.weight
        flat = x.reshape(len(x), -1).to(W.dtype)
        z = flat @ W.T
        # sum_a W_ia W_ja x_a for all pairs is one product of matrices for each sample.
        third = (W * flat[:, None]) @ W.T  # (batch, m, m)
        i, j = torch.triu_indices(len(W), len(W), device=W.device)
        beta = z[:, i] * z[:, j] * third[:, i, j].conj()
        beta = beta - beta.mean(dim=1, keepdim=True)
        beta = beta / beta.abs().square().sum(dim=1, keepdim=True).sqrt().clamp(min=1e-12)
        return torch.cat([beta.real, beta.imag], dim=1)


def energies(input_shape: tuple[int, ...], *, features: int | None = None) -> nn.Module:
    """Neurons |<w, x>|^2 with complex Gaussian weights, rows of unit norm on average.

    Parameters
    ----------
    input_shape
        The shape of one input.
    features
        Neurons; as many as inputs by default.

    Raises
    ------
    ConfigurationError
        If there are none.

    Examples
    --------
    >>> energies((6,), features=4)(torch.zeros(2, 6)).shape
    torch.Size([2, 4])
    """
    return Energies(_gaussian(input_shape, features, "energies"))


def bispectral(input_shape: tuple[int, ...], *, features: int | None = None) -> nn.Module:
    """A bispectral network with complex Gaussian weights of unit rows.

    Its outputs are the classical bispectrum where W is the Fourier transform of an abelian group.

    Parameters
    ----------
    input_shape
        The shape of one (real) input.
    features
        Rows m; as many as inputs by default.

    Raises
    ------
    ConfigurationError
        If there are none.

    References
    ----------
    S. Sanborn, C. Shewmake, B. Olshausen, C. Hillar, "Bispectral neural networks" (2022),
    arXiv:2209.03416.

    Examples
    --------
    >>> bispectral((5,), features=4)(torch.randn(2, 5)).shape
    torch.Size([2, 20])
    """
    W = _gaussian(input_shape, features, "bispectral")
    return Bispectral(W / W.abs().square().sum(dim=1, keepdim=True).sqrt())


def published_bispectral(
    which: Literal["translation", "rotation"], *, shuffled: bool = False
) -> nn.Module:
    """A trained bispectral network of the paper: 256 rows of weights on patches of 16 x 16 pixels.

    Parameters
    ----------
    which
        "translation" (all circular shifts) or "rotation" (108 angles).
    shuffled
        Whether the pixels are in a random order: a control.

    Raises
    ------
    CheckpointError
        If REPGEO_DATA names no folder with `bispectral_reference/<which>_W.npz`.

    References
    ----------
    S. Sanborn, C. Shewmake, B. Olshausen, C. Hillar, "Bispectral neural networks" (2022),
    arXiv:2209.03416; weights of github.com/sophiaas/bispectral-networks (MIT).
    """
    folder = os.environ.get(_FOLDER_VARIABLE)
    path = Path(folder or "") / "bispectral_reference" / f"{which}_W.npz"
    if not folder or not path.is_file():
        raise CheckpointError(
            f"published_bispectral reads bispectral_reference/{which}_W.npz under the folder that "
            f"{_FOLDER_VARIABLE} names; there is none."
        )
    with np.load(path, allow_pickle=False) as archive:
        W = torch.from_numpy(np.array(archive[archive.files[0]]))
    if shuffled:
        W = W[:, torch.randperm(W.shape[1])]
    return Bispectral(W.to(torch.get_default_dtype().to_complex()))


def _gaussian(input_shape: tuple[int, ...], features: int | None, name: str) -> Tensor:
    inputs = math.prod(input_shape)
    rows = inputs if features is None else features
    require_positive(name, input_shape=inputs, features=rows)
    made = torch.randn(rows, inputs, dtype=torch.get_default_dtype().to_complex())
    return made.div_(inputs**0.5)
