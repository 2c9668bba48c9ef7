"""A small convolutional network with average pooling."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from repgeo.errors import ConfigurationError
from repgeo.models.encoder_head import EncoderHead, require_image_shape, require_positive

__all__ = ["pooled_cnn"]

_KERNEL = 5


class _Standardise(nn.Module):
    """(x - mean) / deviation, with fixed numbers."""

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self.mean, self.deviation = mean, deviation

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.deviation


def pooled_cnn(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    channels: tuple[int, ...] = (10, 20),
    features: int = 50,
    dropout: float = 0.5,
    standardise: tuple[float, float] = (0.0, 1.0),
    log_probabilities: bool = False,
) -> nn.Module:
    """Blocks of a 5x5 convolution, average pooling and ReLU, and three linear layers.

    A convolution has no padding; pooling is over 2x2 and comes before the ReLU. The last block,
    flattened, goes through a linear layer, ReLU, dropout, and a linear layer and ReLU, which gives
    the codes `(batch, features)`; the head is linear. Layers are `encoder.conv1`, `encoder.pool1`,
    `encoder.activation1`, ..., `encoder.linear1`, `encoder.linear2`, `head`.

    Parameters
    ----------
    input_shape
        (channels, height, width) of one image.
    classes
        The number of outputs.
    channels
        Output channels of the blocks.
    features
        Widths of both hidden linear layers.
    dropout
        Share of units left out in training.
    standardise
        Mean and standard deviation of the pixels: the network subtracts the one and divides by the
        other, so that its inputs are the pixels.
    log_probabilities
        Whether the outputs are log-softmax of the logits. The rank of their Jacobian is at most
        classes - 1.

    Raises
    ------
    ConfigurationError
        If the inputs are not images or too small, or a size or share is out of range.

    References
    ----------
    A. Benfenati, A. Marta, "A singular Riemannian geometry approach to deep neural networks III.
    Piecewise differentiable layers and random walks on n-dimensional classes" (2024), arXiv
    2404.06104: the network of their MNIST experiment, by the code published along.

    Examples
    --------
    >>> import torch
    >>> net = pooled_cnn((1, 28, 28), 10)
    >>> tuple(net.encoder.linear1.weight.shape), tuple(net(torch.zeros(2, 1, 28, 28)).shape)
    ((50, 320), (2, 10))
    """
    inputs, height, width = require_image_shape("pooled_cnn", input_shape)
    require_positive("pooled_cnn", channels=channels, features=features, classes=classes)
    mean, deviation = standardise
    if not (0 <= dropout < 1 and deviation > 0):
        raise ConfigurationError(
            "pooled_cnn: dropout must lie in [0, 1) and the deviation above 0, got "
            f"{dropout} and {deviation}."
        )
    layers: OrderedDict[str, nn.Module] = OrderedDict(standardise=_Standardise(mean, deviation))
    for position, outputs in enumerate(channels, start=1):
        layers[f"conv{position}"] = nn.Conv2d(inputs, outputs, _KERNEL)
        layers[f"pool{position}"] = nn.AvgPool2d(2)
        layers[f"activation{position}"] = nn.ReLU()
        inputs, height, width = outputs, (height - 4) // 2, (width - 4) // 2
        if min(height, width) < 1:
            raise ConfigurationError(
                f"pooled_cnn: images {tuple(input_shape)} are too small for {len(channels)} blocks "
                "of 5x5 convolutions without padding. Give fewer channels, or use cnn."
            )
    layers["flatten"] = nn.Flatten()
    layers["linear1"] = nn.Linear(inputs * height * width, features)
    layers["activation_linear1"] = nn.ReLU()
    layers["dropout"] = nn.Dropout(dropout)
    layers["linear2"] = nn.Linear(features, features)
    layers["activation_linear2"] = nn.ReLU()
    head: nn.Module = nn.Linear(features, classes)
    if log_probabilities:
        head = nn.Sequential(OrderedDict(linear=head, log_softmax=nn.LogSoftmax(dim=1)))
    return EncoderHead(nn.Sequential(layers), head)
