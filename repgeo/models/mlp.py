"""A multi-layer perceptron."""

from __future__ import annotations

import math
from collections import OrderedDict

from torch import nn

from repgeo.models.activations import make_activation
from repgeo.models.encoder_head import EncoderHead, require_positive

__all__ = ["mlp"]


def mlp(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    hidden: tuple[int, ...] = (128, 32),
    activation: str = "relu",
) -> nn.Module:
    """A multi-layer perceptron: an encoder of fully connected layers, and a linear head.

    z_0 = x flattened, z_l = phi(W_l z_{l-1} + b_l), f(x) = V z_L + c. The codes are z_L, after the
    last activation. Layers are `encoder.linear1`, `encoder.activation1`, ..., `head`; the initial
    weights are those of `torch.nn.Linear`.

    Parameters
    ----------
    input_shape
        The shape of one input.
    classes
        The number of outputs.
    hidden
        Widths of the hidden layers; without any, the codes are the flattened inputs.
    activation
        Name of phi, see `repgeo.models.activations`.

    Raises
    ------
    ConfigurationError
        For an unknown activation, or a width below 1.

    Examples
    --------
    >>> import torch
    >>> net = mlp((1, 8, 8), 10)
    >>> tuple(net.encoder(torch.zeros(5, 1, 8, 8)).shape), sum(p.numel() for p in net.parameters())
    ((5, 32), 12778)
    """
    inputs = math.prod(input_shape)
    require_positive("mlp", input_shape=inputs, classes=classes)
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for position, width in enumerate(hidden, start=1):
        require_positive("mlp", hidden=width)
        layers[f"linear{position}"] = nn.Linear(inputs, width)
        layers[f"activation{position}"] = make_activation(activation)
        inputs = width
    make_activation(activation)  # an unknown name is an error also where no layer would use it
    return EncoderHead(nn.Sequential(layers), nn.Linear(inputs, classes))
