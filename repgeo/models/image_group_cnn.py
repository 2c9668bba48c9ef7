"""Convolutional networks that are equivariant to quarter turns and reflections of images."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from repgeo.errors import ConfigurationError
from repgeo.groups import Cyclic, Dihedral, Group, ImageRotations, RegularImages
from repgeo.models.activations import make_activation
from repgeo.models.encoder_head import EncoderHead, require_image_shape, require_positive

__all__ = ["GroupConvolution", "LiftingConvolution", "image_group_cnn"]

_GROUPS: dict[str, Group] = {
    "C1": Cyclic(1),
    "C2": Cyclic(2),
    "C4": Cyclic(4),
    "D1": Dihedral(1),
    "D2": Dihedral(2),
    "D4": Dihedral(4),
}


class LiftingConvolution(nn.Module):
    """From images to images for each element of a group, with turned copies of the same filters.

    y(g, p) = b + Σ_q w(g^-1 q) x(p + q): turning x by h gives y(h^-1 g, h^-1 p), the regular
    representation on images.

    Parameters
    ----------
    group
        A subgroup of D4, whose elements move pixels onto pixels.
    inputs, outputs
        Channels.
    kernel
        The side of the filters.
    padding
        Zeros around the image; with kernel // 2 of an odd kernel the image keeps its size.

    References
    ----------
    T. Cohen, M. Welling, "Group equivariant convolutional networks" (2016), arXiv:1602.07576.

    Examples
    --------
    >>> layer = LiftingConvolution(Cyclic(4), 1, 2, 3, padding=1)
    >>> tuple(layer(torch.zeros(5, 1, 8, 8)).shape)
    (5, 2, 4, 8, 8)
    """

    places: Tensor

    def __init__(
        self, group: Group, inputs: int, outputs: int, kernel: int, *, padding: int = 0
    ) -> None:
        super().__init__()
        like = nn.Conv2d(inputs, outputs, kernel)  # its initialisation
        assert like.bias is not None
        self.weight, self.bias = like.weight, like.bias
        self.padding = padding
        numbered = torch.arange(kernel**2, dtype=torch.float64).reshape(1, 1, kernel, kernel)
        moved = ImageRotations(group)(group.elements(), numbered)
        assert isinstance(moved, Tensor)
        # Which place of the filter each place of its turned copy is, (order, kernel^2).
        self.register_buffer("places", moved.flatten(1).long(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(n, inputs, height, width)` to `(n, outputs, order, height, width)`."""
        outputs, inputs, kernel, _ = self.weight.shape
        filters = self.weight.flatten(2)[:, :, self.places]  # (outputs, inputs, order, k^2)
        filters = filters.transpose(1, 2).reshape(-1, inputs, kernel, kernel)
        bias = self.bias.repeat_interleave(len(self.places))
        y = nn.functional.conv2d(x, filters, bias, padding=self.padding)
        return y.reshape(len(y), outputs, -1, *y.shape[2:])


class GroupConvolution(nn.Module):
    """From images for each element of a group to such images, with moved copies of the filters.

    y(g, p) = b + Σ_h Σ_q w(g^-1 h, g^-1 q) x(h, p + q), which commutes with the regular
    representation on images.

    Parameters
    ----------
    group, inputs, outputs, kernel, padding
        As for `LiftingConvolution`.

    References
    ----------
    T. Cohen, M. Welling, "Group equivariant convolutional networks" (2016), arXiv:1602.07576.

    Examples
    --------
    >>> layer = GroupConvolution(Dihedral(4), 2, 3, 3, padding=1)
    >>> tuple(layer(torch.zeros(5, 2, 8, 6, 6)).shape)
    (5, 3, 8, 6, 6)
    """

    places: Tensor

    def __init__(
        self, group: Group, inputs: int, outputs: int, kernel: int, *, padding: int = 0
    ) -> None:
        super().__init__()
        order = len(group.elements())
        like = nn.Conv2d(inputs * order, outputs, kernel)
        assert like.bias is not None
        self.weight = nn.Parameter(
            like.weight.detach().reshape(outputs, inputs, order, kernel, kernel)
        )
        self.bias = like.bias
        self.padding = padding
        size = order * kernel**2
        numbered = torch.arange(size, dtype=torch.float64).reshape(1, 1, order, kernel, kernel)
        moved = RegularImages(group)(group.elements(), numbered)
        assert isinstance(moved, Tensor)
        self.register_buffer("places", moved.flatten(1).long(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(n, inputs, order, height, width)` to `(n, outputs, order, height, width)`."""
        outputs, inputs, order, kernel, _ = self.weight.shape
        filters = self.weight.flatten(2)[:, :, self.places]  # (outputs, inputs, order, order k^2)
        filters = filters.transpose(1, 2).reshape(outputs * order, inputs * order, kernel, kernel)
        bias = self.bias.repeat_interleave(order)
        y = nn.functional.conv2d(x.flatten(1, 2), filters, bias, padding=self.padding)
        return y.reshape(len(y), outputs, order, *y.shape[2:])


class _PixelPooling(nn.Module):
    """The largest of 2 x 2 pixels, for each channel and element; the side must be even."""

    def forward(self, x: Tensor) -> Tensor:
        pooled = nn.functional.max_pool2d(x.flatten(1, 2), 2)
        return pooled.reshape(*x.shape[:3], *pooled.shape[2:])


class _GroupPooling(nn.Module):
    """The largest of all elements and pixels, `(n, channels)`: invariant."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax(dim=(2, 3, 4))


class _GroupNetwork(EncoderHead):
    """A network that says how its layers change."""

    def __init__(self, encoder: nn.Module, head: nn.Module, group: str) -> None:
        super().__init__(encoder, head)
        self.group = group

    def layer_representations(self) -> dict[str, str]:
        """Regular representations on images up to the pooling over the group; then invariants."""
        assert isinstance(self.encoder, nn.Sequential)
        names = [name for name, _ in self.encoder.named_children()]
        found = {f"encoder.{name}": f"regular_image:{self.group}" for name in names[:-1]}
        return (
            found
            | {f"encoder.{names[-1]}": "invariant", "encoder": "invariant"}
            | {"outputs": "invariant"}
        )


def image_group_cnn(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    group: str = "C4",
    channels: tuple[int, ...] = (8, 16),
    features: int = 32,
    activation: str = "relu",
) -> nn.Module:
    """A convolutional network whose codes and outputs are invariant to quarter turns, by design.

    Blocks of a 3x3 group convolution with zero padding (the first one lifts), the activation, and
    2x2 max pooling, then a group convolution over the whole image, the activation, and the largest
    over the group: the codes, `(batch, features)`. Layers are `encoder.conv1`,
    `encoder.activation1`, `encoder.pool1`, ..., `encoder.whole`, `encoder.activation`,
    `encoder.pool`, `head`; all but the last two carry the regular representation on images.

    Parameters
    ----------
    input_shape
        (channels, height, width) of one image, which must be square.
    classes
        The number of outputs.
    group
        "C4" (quarter turns) or "D4" (with reflections); or C1, C2, D1, D2.
    channels
        Output channels of the blocks, each an image for every element.
    features
        The number of codes.
    activation
        Name of phi, see `repgeo.models.activations`.

    Raises
    ------
    ConfigurationError
        If there is no such group, the images are not square or cannot be halved that often, for an
        unknown activation, or a size below 1.

    References
    ----------
    T. Cohen, M. Welling, "Group equivariant convolutional networks" (2016), arXiv:1602.07576.

    Examples
    --------
    >>> net = image_group_cnn((1, 8, 8), 10, channels=(2, 3), features=5)
    >>> x = torch.rand(2, 1, 8, 8)
    >>> bool(torch.allclose(net(x), net(x.rot90(1, (2, 3))), atol=1e-6))
    True
    """
    inputs, height, width = require_image_shape("image_group_cnn", input_shape)
    require_positive("image_group_cnn", channels=channels, features=features, classes=classes)
    if group not in _GROUPS:
        raise ConfigurationError(
            f"image_group_cnn: group is one of {', '.join(_GROUPS)}; got {group!r}."
        )
    if height != width or height % 2 ** len(channels):
        raise ConfigurationError(
            "image_group_cnn: images must be square, with a side that can be halved "
            f"{len(channels)} times; got {height}x{width}. Crop or pad them, or use fewer channels."
        )
    acting, side = _GROUPS[group], height
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for position, outputs in enumerate(channels, start=1):
        kind = LiftingConvolution if position == 1 else GroupConvolution
        layers[f"conv{position}"] = kind(acting, inputs, outputs, 3, padding=1)
        layers[f"activation{position}"] = make_activation(activation)
        layers[f"pool{position}"] = _PixelPooling()
        inputs, side = outputs, side // 2
    layers["whole"] = GroupConvolution(acting, inputs, features, side)
    layers["activation"] = make_activation(activation)
    layers["pool"] = _GroupPooling()
    return _GroupNetwork(nn.Sequential(layers), nn.Linear(features, classes), group)
