"""A convolutional network that loses the equivariance to shifts only where it aliases."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from torch import Tensor, nn

from repgeo.models.activations import make_activation
from repgeo.models.encoder_head import EncoderHead, require_image_shape, require_positive
from repgeo.models.pooling import make_pooling

__all__ = ["PoolingCNN", "pooling_cnn"]


class _Mean(nn.Module):
    """Means over all pixels, `(batch, channels)`."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class PoolingCNN(EncoderHead):
    """Blocks of convolution, activation and pooling, and the means over all pixels.

    Parameters
    ----------
    encoder
        Named layers, from images to codes.
    head
        From codes to outputs.
    resolutions
        Name of a layer -> its resolution over that of the images.

    Examples
    --------
    >>> net = pooling_cnn((1, 8, 8), 10, channels=(2, 2))
    >>> net.layer_representations()["encoder.conv2"]
    'image:0.5'
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, resolutions: dict[str, float]) -> None:
        super().__init__(encoder, head)
        self.resolutions = resolutions

    def layer_representations(self) -> dict[str, str]:
        """Feature maps are images of a lower resolution; codes and outputs are invariant."""
        return {
            f"encoder.{name}": "image" if scale == 1 else f"image:{scale:g}"
            for name, scale in self.resolutions.items()
        }


def pooling_cnn(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    pooling: str = "max",
    channels: tuple[int, ...] = (16, 32, 32),
    activation: str = "relu",
    padding: Literal["circular", "zeros"] = "circular",
) -> nn.Module:
    """Blocks of 3x3 convolution and activation, pooling between them, then means over all pixels.

    The codes are the means over pixels of the last block, `(batch, channels[-1])`; the head is
    linear. With periodic borders all but pooling and activations commutes with shifts, and codes
    would be invariant without aliases. Layers are `encoder.conv1`, `encoder.activation1`,
    `encoder.pool1`, ..., `encoder.mean`, `head`; the model says how they change under shifts.

    Parameters
    ----------
    input_shape
        (channels, height, width) of one image.
    classes
        The number of outputs.
    pooling
        How blocks but the last halve the resolution, see `repgeo.models.pooling`.
    channels
        Output channels of the blocks.
    activation
        Name of the activation function, see `repgeo.models.activations`.
    padding
        "circular": periodic borders; "zeros" break the equivariance at the border.

    Raises
    ------
    ConfigurationError
        If the inputs are not images, for an unknown pooling or activation, or a size below 1.

    Examples
    --------
    >>> import torch
    >>> tuple(pooling_cnn((1, 8, 8), 10).encoder(torch.zeros(5, 1, 8, 8)).shape)
    (5, 32)
    """
    inputs, _, _ = require_image_shape("pooling_cnn", input_shape)
    require_positive("pooling_cnn", channels=channels, classes=classes)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    resolutions: dict[str, float] = {}
    scale = 1.0
    for position, outputs in enumerate(channels, start=1):
        layers[f"conv{position}"] = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode=padding)
        layers[f"activation{position}"] = make_activation(activation)
        resolutions |= {f"conv{position}": scale, f"activation{position}": scale}
        if position < len(channels):
            layers[f"pool{position}"] = make_pooling(pooling, 2)
            scale /= 2
            resolutions[f"pool{position}"] = scale
        inputs = outputs
    layers["mean"] = _Mean()
    return PoolingCNN(nn.Sequential(layers), nn.Linear(inputs, classes), resolutions)
