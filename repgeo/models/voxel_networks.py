"""Networks on voxels: a plain one, its average over the rotations of the cube, and an invariant."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from repgeo.errors import ConfigurationError
from repgeo.groups import Octahedral, VoxelAction
from repgeo.models.encoder_head import EncoderHead, require_positive

__all__ = ["OctahedralAverage", "radial_histogram", "voxel_cnn"]


class OctahedralAverage(nn.Module):
    """The mean of a network's features over the 24 rotations of the cube, z(x) = mean_g f(g x).

    z(h x) = z(x) for every rotation h, up to the order of a sum: the same weights see all 24.

    Parameters
    ----------
    features
        From grids `(n, channels, side, side, side)` to `(n, features)`.

    References
    ----------
    O. Puny et al., "Frame averaging for invariant and equivariant network design" (2021),
    arXiv:2110.03336: the average over the whole group.

    Examples
    --------
    >>> corner = nn.Sequential(nn.Flatten(), nn.Linear(8, 1))
    >>> x = torch.arange(8.0).reshape(1, 1, 2, 2, 2)
    >>> mean = OctahedralAverage(corner)
    >>> bool(torch.allclose(mean(x), mean(x.flip(2, 3)), atol=1e-6))
    True
    """

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features
        group = Octahedral()
        self._action = VoxelAction(group)
        self._elements = group.elements()

    def forward(self, x: Tensor) -> Tensor:
        """The mean features, `(n, features)`."""
        moved = self._action.apply(self._elements, x[None])
        assert isinstance(moved, Tensor)
        codes: Tensor = self.features(moved.flatten(0, 1))  # (24 n, features)
        return codes.reshape(len(moved), len(x), -1).mean(dim=0)


class _VoxelNetwork(EncoderHead):
    """A network whose codes and outputs are invariant."""

    def layer_representations(self) -> dict[str, str]:
        """Codes and outputs are to be invariant."""
        return {"encoder": "invariant", "outputs": "invariant"}


def _grid(model: str, input_shape: tuple[int, ...]) -> tuple[int, int]:
    if len(input_shape) != 4 or len(set(input_shape[1:])) != 1:
        raise ConfigurationError(
            f"{model} needs cubes of voxels (channels, side, side, side), got inputs of shape "
            f"{tuple(input_shape)}."
        )
    return input_shape[0], input_shape[1]


def voxel_cnn(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    channels: tuple[int, ...] = (8, 16, 32),
    features: int = 32,
    average: bool = False,
) -> nn.Module:
    """A convolutional network on voxels; with `average`, the mean of its codes over the cube group.

    Blocks of a convolution over 4^3 voxels with stride 2 and a ReLU, which halve the side, then a
    linear layer and a ReLU, the codes, and a linear head. With `average` the codes are the mean of
    those of the 24 rotated grids: the same weights, exactly invariant, at 24 times the cost.

    Parameters
    ----------
    input_shape
        (channels, side, side, side).
    classes
        The number of outputs.
    channels
        Output channels of the blocks.
    features
        The number of codes.
    average
        Whether codes are averaged over the rotations of the cube.

    Raises
    ------
    ConfigurationError
        If the inputs are no cubes of voxels, the side cannot be halved that often, or a size is
        below 1.

    Examples
    --------
    >>> net = voxel_cnn((1, 8, 8, 8), 2, channels=(2, 4), average=True)
    >>> tuple(net(torch.zeros(3, 1, 8, 8, 8)).shape)
    (3, 2)
    """
    inputs, side = _grid("voxel_cnn", input_shape)
    require_positive("voxel_cnn", channels=channels, features=features, classes=classes)
    if side % 2 ** len(channels):
        raise ConfigurationError(
            f"voxel_cnn: a side of {side} voxels cannot be halved {len(channels)} times. Give "
            "fewer channels."
        )
    layers: list[nn.Module] = []
    for outputs in channels:
        layers += [nn.Conv3d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
        inputs, side = outputs, side // 2
    layers += [nn.Flatten(), nn.Linear(inputs * side**3, features), nn.ReLU()]
    encoder: nn.Module = nn.Sequential(*layers)
    return _VoxelNetwork(
        OctahedralAverage(encoder) if average else encoder, nn.Linear(features, classes)
    )


class _Shells(nn.Module):
    """Sums of voxels over shells about the centre, in shares of the shell: `(n, shells)`."""

    shells: Tensor

    def __init__(self, side: int) -> None:
        super().__init__()
        at = 2 * torch.arange(side) - (side - 1)  # twice the distance from the centre: integers
        squares = at.square()
        distances = squares[:, None, None] + squares[:, None] + squares  # exact
        _, shell = torch.unique((distances.double().sqrt() / 2).floor(), return_inverse=True)
        self.register_buffer("shells", shell.flatten())

    def forward(self, x: Tensor) -> Tensor:
        flat = x.sum(dim=1).flatten(1)
        count = int(self.shells.max()) + 1
        sums = flat.new_zeros(len(flat), count).index_add(1, self.shells, flat)
        return sums / torch.bincount(self.shells, minlength=count).to(flat)


def radial_histogram(input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """A linear classifier of how full the shells about the centre are: invariant by formula.

    Rotations of the cube keep the distance of every voxel from the centre, so that the codes are
    the same but for the order of a sum. Only the linear head is trained: the oracle of a table.

    Parameters
    ----------
    input_shape
        (channels, side, side, side).
    classes
        The number of outputs.

    Raises
    ------
    ConfigurationError
        If the inputs are no cubes of voxels.

    Examples
    --------
    >>> net, x = radial_histogram((1, 4, 4, 4), 2), torch.zeros(1, 1, 4, 4, 4)
    >>> x[0, 0, 0, 1, 2] = 1.0
    >>> bool(torch.equal(net(x), net(x.transpose(2, 4).flip(3))))
    True
    """
    _, side = _grid("radial_histogram", input_shape)
    encoder = _Shells(side)
    count = int(encoder.shells.max()) + 1
    return _VoxelNetwork(encoder, nn.Linear(count, classes))
