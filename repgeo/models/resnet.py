"""A small residual network with batch normalisation."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from repgeo.models.activations import make_activation
from repgeo.models.encoder_head import EncoderHead, require_image_shape, require_positive

__all__ = ["resnet"]


def resnet(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    width: int = 16,
    blocks: tuple[int, ...] = (1, 1, 1),
    activation: str = "relu",
) -> nn.Module:
    """A residual network for small images: a stem, stages of residual blocks, global pooling.

    The stem is a 3x3 convolution to `width` channels with batch normalisation. Stage s has
    `blocks[s - 1]` residual blocks of width * 2^(s-1) channels; from the second on, the first block
    of a stage halves height and width. The codes are the means over all pixels of the last stage,
    `(batch, width * 2^(stages-1))`. Layers are `encoder.stem`, `encoder.stage1`, ..., `head`.

    Parameters
    ----------
    input_shape
        (channels, height, width) of one image.
    classes
        The number of outputs.
    width
        Channels of the first stage.
    blocks
        The number of residual blocks of each stage.
    activation
        Name of the activation function, see `repgeo.models.activations`.

    Raises
    ------
    ConfigurationError
        If the inputs are not images, for an unknown activation, or a size below 1.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition" (2015),
    arXiv:1512.03385 (section 4.2: the form for small images).

    Examples
    --------
    >>> import torch
    >>> net = resnet((3, 32, 32), 10)
    >>> tuple(net.encoder(torch.zeros(2, 3, 32, 32)).shape)
    (2, 64)
    """
    inputs, _, _ = require_image_shape("resnet", input_shape)
    require_positive("resnet", width=width, blocks=blocks, classes=classes)
    stem = nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        make_activation(activation),
    )
    layers: OrderedDict[str, nn.Module] = OrderedDict(stem=stem)
    channels = width
    for stage, count in enumerate(blocks, start=1):
        outputs = width * 2 ** (stage - 1)
        members = []
        for position in range(count):
            stride = 2 if stage > 1 and position == 0 else 1
            members.append(ResidualBlock(channels, outputs, stride, activation))
            channels = outputs
        layers[f"stage{stage}"] = nn.Sequential(*members)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    return EncoderHead(nn.Sequential(layers), nn.Linear(channels, classes))


class ResidualBlock(nn.Module):
    """phi(shortcut(x) + B_2(C_2(phi(B_1(C_1(x)))))), with 3x3 convolutions C and batch norms B.

    The shortcut is the identity where the shapes allow it, else a 1x1 convolution with its own
    batch normalisation.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, activation: str) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            make_activation(activation),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False),
                nn.BatchNorm2d(outputs),
            )
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """From `(batch, inputs, h, w)` to `(batch, outputs, h / stride, w / stride)`."""
        outputs: Tensor = self.activation(self.shortcut(x) + self.residual(x))
        return outputs
