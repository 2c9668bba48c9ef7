"""A small convolutional network."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from repgeo.models.activations import make_activation
from repgeo.models.encoder_head import EncoderHead, require_image_shape, require_positive

__all__ = ["cnn"]


def cnn(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    channels: tuple[int, ...] = (16, 32),
    features: int = 64,
    activation: str = "relu",
) -> nn.Module:
    """A convolutional network: blocks of convolution, activation and pooling, then linear layers.

    Each block is a 3x3 convolution with zero padding, the activation, and 2x2 max pooling, which
    halves height and width (odd ones are rounded up). The codes are phi(W z + b) of the flattened
    last block, `(batch, features)`. Layers are `encoder.conv1`, `encoder.activation1`,
    `encoder.pool1`, ..., `encoder.linear`, `encoder.activation`, `head`.

    Parameters
    ----------
    input_shape
        (channels, height, width) of one image.
    classes
        The number of outputs.
    channels
        Output channels of the blocks.
    features
        The number of codes.
    activation
        Name of phi, see `repgeo.models.activations`.

    Raises
    ------
    ConfigurationError
        If the inputs are not images, for an unknown activation, or a size below 1.

    Examples
    --------
    >>> import torch
    >>> net = cnn((1, 8, 8), 10)
    >>> tuple(net.encoder(torch.zeros(5, 1, 8, 8)).shape)
    (5, 64)
    """
    inputs, height, width = require_image_shape("cnn", input_shape)
    require_positive("cnn", channels=channels, features=features, classes=classes)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for position, outputs in enumerate(channels, start=1):
        layers[f"conv{position}"] = nn.Conv2d(inputs, outputs, 3, padding=1)
        layers[f"activation{position}"] = make_activation(activation)
        layers[f"pool{position}"] = nn.MaxPool2d(2, ceil_mode=True)
        inputs, height, width = outputs, -(-height // 2), -(-width // 2)
    layers["flatten"] = nn.Flatten()
    layers["linear"] = nn.Linear(inputs * height * width, features)
    layers["activation"] = make_activation(activation)
    return EncoderHead(nn.Sequential(layers), nn.Linear(features, classes))
