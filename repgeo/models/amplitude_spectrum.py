"""Moduli of the Fourier transform of an image: invariant to periodic shifts, by a formula."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from repgeo.models.encoder_head import EncoderHead, require_image_shape, require_positive

__all__ = ["amplitude_spectrum"]


class _LogPower(nn.Module):
    """log(1 + |x̂_k|^2) of the two-dimensional transform, `(batch, channels height (width/2+1))`."""

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(x)
        # The squares of both parts: smooth also where a coefficient is 0.
        return torch.log1p(spectrum.real.square() + spectrum.imag.square()).flatten(1)


class _AmplitudeSpectrum(EncoderHead):
    def layer_representations(self) -> dict[str, str]:
        """Codes and outputs are invariant."""
        return {"encoder": "invariant", "outputs": "invariant"}


def amplitude_spectrum(
    input_shape: tuple[int, ...], classes: int, *, features: int = 64
) -> nn.Module:
    """A network on the power of each frequency of an image, the codes.

    The codes are log(1 + |x̂_k|^2): a shift multiplies x̂_k by a phase and leaves them as they are,
    by whole pixels and in between. What is invariant by a formula, and has lost where everything
    is, to compare others with. The head has one hidden layer.

    Parameters
    ----------
    input_shape
        (channels, height, width) of one image.
    classes
        The number of outputs.
    features
        Units of the hidden layer of the head.

    Raises
    ------
    ConfigurationError
        If the inputs are not images, or a size is below 1.

    Examples
    --------
    >>> net, x = amplitude_spectrum((1, 4, 4), 10), torch.rand(2, 1, 4, 4)
    >>> bool(torch.allclose(net.encoder(x), net.encoder(x.roll((1, 2), (2, 3))), atol=1e-5))
    True
    """
    channels, height, width = require_image_shape("amplitude_spectrum", input_shape)
    require_positive("amplitude_spectrum", features=features, classes=classes)
    codes = channels * height * (width // 2 + 1)
    head = nn.Sequential(nn.Linear(codes, features), nn.ReLU(), nn.Linear(features, classes))
    return _AmplitudeSpectrum(_LogPower(), head)
