"""Means of an image over rings: invariant to turns about the centre, by a formula."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from repgeo.models.encoder_head import EncoderHead, require_image_shape, require_positive

__all__ = ["radial_profile"]


class _Rings(nn.Module):
    """Means over rings of equal width, `(batch, channels rings)`."""

    weights: Tensor

    def __init__(self, height: int, width: int, rings: int) -> None:
        super().__init__()
        down = torch.arange(height, dtype=torch.float64) - (height - 1) / 2
        across = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
        radius = (down[:, None].square() + across.square()).sqrt().flatten()
        # A little beyond the corner, so that rounding puts no pixel outside of the last ring.
        place = (rings * radius / (radius.max() * (1 + 1e-9))).long()
        inside = nn.functional.one_hot(place, rings).double()
        weights = inside / inside.sum(dim=0).clamp(min=1)
        self.register_buffer("weights", weights.to(torch.get_default_dtype()))

    def forward(self, x: Tensor) -> Tensor:
        means: Tensor = x.flatten(2) @ self.weights
        return means.flatten(1)


class _RadialProfile(EncoderHead):
    def layer_representations(self) -> dict[str, str]:
        """Codes and outputs are invariant."""
        return {"encoder": "invariant", "outputs": "invariant"}


def radial_profile(
    input_shape: tuple[int, ...], classes: int, *, rings: int = 14, features: int = 64
) -> nn.Module:
    """A network on the means of an image over rings about its centre, the codes.

    Rings are of equal width; turns and reflections that move pixels onto pixels leave the codes as
    they are, up to rounding, and other turns nearly so. What is invariant by a formula, and keeps
    little of the image, to compare others with. The head has one hidden layer.

    Parameters
    ----------
    input_shape
        (channels, height, width) of one image.
    classes
        The number of outputs.
    rings
        How many rings there are.
    features
        Units of the hidden layer of the head.

    Raises
    ------
    ConfigurationError
        If the inputs are not images, or a size is below 1.

    Examples
    --------
    >>> net = radial_profile((1, 8, 8), 10, rings=4)
    >>> x = torch.rand(2, 1, 8, 8)
    >>> bool(torch.allclose(net.encoder(x), net.encoder(x.rot90(1, (2, 3))), atol=1e-6))
    True
    """
    channels, height, width = require_image_shape("radial_profile", input_shape)
    require_positive("radial_profile", rings=rings, features=features, classes=classes)
    head = nn.Sequential(
        nn.Linear(channels * rings, features), nn.ReLU(), nn.Linear(features, classes)
    )
    return _RadialProfile(_Rings(height, width, rings), head)
