"""Networks on point clouds: on coordinates, of irreps, and on distances by a formula."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn

from repgeo.errors import ConfigurationError
from repgeo.models.activations import make_activation
from repgeo.models.encoder_head import EncoderHead, require_positive
from repgeo.models.equivariant_layers import gate, harmonics, irreps_module, radial_basis

__all__ = ["density_network", "point_mlp", "point_net", "sorted_radii"]


class _Centre(nn.Module):
    """Points less their mean."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(dim=1, keepdim=True)


class _Pool(nn.Module):
    """The largest or the mean value of each channel over the points."""

    def __init__(self, kind: Literal["max", "mean"]) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, h: Tensor) -> Tensor:
        return h.amax(dim=1) if self.kind == "max" else h.mean(dim=1)


def _require_points(model: str, input_shape: tuple[int, ...]) -> tuple[int, int]:
    if len(input_shape) != 2 or input_shape[1] != 3:
        raise ConfigurationError(
            f"{model} needs clouds of shape (points, 3), got inputs of shape {tuple(input_shape)}."
        )
    return input_shape[0], input_shape[1]


def point_mlp(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    hidden: tuple[int, ...] = (64, 32),
    centred: bool = True,
    activation: str = "silu",
) -> nn.Module:
    """A multi-layer perceptron on the coordinates of all points, in their order.

    Parameters
    ----------
    input_shape
        (points, 3).
    classes
        The number of outputs.
    hidden
        Widths of the hidden layers; the last one are the codes.
    centred
        Whether the mean of the points is subtracted first: translations then change nothing.
    activation
        Its name, see `repgeo.models.activations`.

    Raises
    ------
    ConfigurationError
        If the inputs are no clouds, for an unknown activation, or a size below 1.

    Examples
    --------
    >>> tuple(point_mlp((4, 3), 8)(torch.zeros(5, 4, 3)).shape)
    (5, 8)
    """
    points, space = _require_points("point_mlp", input_shape)
    require_positive("point_mlp", hidden=hidden, classes=classes)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if centred:
        layers["centre"] = _Centre()
    layers["flatten"] = nn.Flatten()
    width = points * space
    for position, wider in enumerate(hidden, start=1):
        layers[f"linear{position}"] = nn.Linear(width, wider)
        layers[f"activation{position}"] = make_activation(activation)
        width = wider
    return EncoderHead(nn.Sequential(layers), nn.Linear(width, classes))


def point_net(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    channels: tuple[int, ...] = (32, 64),
    features: int = 32,
    centred: bool = True,
    pooling: Literal["max", "mean"] = "max",
    activation: str = "silu",
) -> nn.Module:
    """A network that does not see the order of points: one perceptron on each, pooled.

    Parameters
    ----------
    input_shape
        (points, 3).
    classes
        The number of outputs.
    channels
        Widths of the layers on single points.
    features
        The number of codes, of a layer after the pooling.
    centred
        Whether the mean of the points is subtracted first.
    pooling, activation
        Over the points; and its name, see `repgeo.models.activations`.

    Raises
    ------
    ConfigurationError
        If the inputs are no clouds, for an unknown activation, or a size below 1.

    References
    ----------
    C. R. Qi, H. Su, K. Mo, L. J. Guibas, "PointNet: deep learning on point sets for 3D
    classification and segmentation" (2016), arXiv:1612.00593, without its learned alignment.

    Examples
    --------
    >>> net, x = point_net((4, 3), 8), torch.randn(1, 4, 3, generator=torch.Generator())
    >>> bool(torch.equal(net(x), net(x.flip(1))))
    True
    """
    _require_points("point_net", input_shape)
    require_positive("point_net", channels=channels, features=features, classes=classes)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if centred:
        layers["centre"] = _Centre()
    width = 3
    for position, wider in enumerate(channels, start=1):
        layers[f"linear{position}"] = nn.Linear(width, wider)
        layers[f"activation{position}"] = make_activation(activation)
        width = wider
    layers["pool"] = _Pool(pooling)
    layers["linear"] = nn.Linear(width, features)
    layers["activation"] = make_activation(activation)
    return EncoderHead(nn.Sequential(layers), nn.Linear(features, classes))


class _Density(nn.Module):
    """Means over points of R_n(r) r^l Y_l, about the mean: `(batch, shells (degree + 1)^2)`."""

    def __init__(self, degree: int, shells: int, cutoff: float) -> None:
        super().__init__()
        self.degree, self.shells, self.cutoff = degree, shells, cutoff

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(dim=1, keepdim=True)
        r = x.square().sum(dim=-1).clamp(min=torch.finfo(x.dtype).tiny).sqrt()
        radial = radial_basis(r, self.cutoff, self.shells)
        # r^l Y_l by polynomials: smooth where a point is at the centre.
        moments = torch.einsum("bpn,bpm->bnm", radial, harmonics(self.degree, x, normalise=False))
        moments = moments / x.shape[1]
        parts = [moments[:, :, l * l : (l + 1) ** 2].flatten(1) for l in range(self.degree + 1)]  # noqa: E741
        return torch.cat(parts, dim=1)


class _DensityEncoder(nn.Module):
    def __init__(self, degree: int, shells: int, cutoff: float, hidden: str, features: int) -> None:
        super().__init__()
        o3 = irreps_module()
        moments = o3.Irreps([(shells, (l, (-1) ** l)) for l in range(degree + 1)])  # noqa: E741
        self.density = _Density(degree, shells, cutoff)
        self.gate = gate(hidden)
        self.first = o3.FullyConnectedTensorProduct(moments, moments, self.gate.irreps_in)
        self.second = o3.FullyConnectedTensorProduct(
            self.gate.irreps_out, moments, f"{features}x0e"
        )
        self.activation = nn.SiLU()
        # Means over points in the unit ball are small; e3nn's weights expect numbers of size 1.
        self.scale = 4 * math.sqrt(shells)

    def forward(self, x: Tensor) -> Tensor:
        moments = self.scale * self.density(x)
        codes: Tensor = self.activation(
            self.second(self.gate(self.first(moments, moments)), moments)
        )
        return codes


class _DensityNetwork(EncoderHead):
    def __init__(self, encoder: _DensityEncoder, head: nn.Module) -> None:
        super().__init__(encoder, head)
        density = encoder.density
        parts = [f"{density.shells}x{l}{'eo'[l % 2]}" for l in range(density.degree + 1)]  # noqa: E741
        self._layers = {
            "encoder.density": "+".join(parts),
            "encoder.gate": str(encoder.gate.irreps_out),
        }

    def layer_representations(self) -> dict[str, str]:
        """How each layer changes when the points are turned; codes and outputs do not."""
        return {**self._layers, "encoder": "invariant", "outputs": "invariant"}


def density_network(
    classes: int,
    *,
    degree: int = 3,
    shells: int = 6,
    cutoff: float = 1.5,
    hidden: str = "16x0e+8x1o+8x2e",
    features: int = 32,
) -> nn.Module:
    """A classifier of point clouds that rotations, reflections and translations leave alone.

    The density of points about their mean is expanded in radial functions and spherical harmonics,
    multiplied by itself (a fully connected tensor product of e3nn), gated, and multiplied by the
    expansion again into even scalars, the codes: polynomials of third degree in the density but for
    the gates. The cost grows with the points as they are, not as their pairs.

    Parameters
    ----------
    classes
        The number of outputs.
    degree, shells, cutoff
        The highest degree of harmonics, the number of radial functions, and where they vanish.
    hidden
        Irreps of the gated features.
    features
        The number of codes.

    Raises
    ------
    ConfigurationError
        If a size is below 1.

    References
    ----------
    A. P. Bartók, R. Kondor, G. Csányi, "On representing chemical environments" (2012),
    arXiv:1209.3140, for invariants of a density; M. Geiger, T. Smidt, "e3nn: Euclidean neural
    networks" (2022), arXiv:2207.09453.
    """
    require_positive(
        "density_network", degree=degree, shells=shells, features=features, classes=classes
    )
    encoder = _DensityEncoder(degree, shells, cutoff, hidden, features)
    return _DensityNetwork(encoder, nn.Linear(features, classes))


class _SortedRadii(nn.Module):
    """Distances of the points from their mean, in order of size."""

    def forward(self, x: Tensor) -> Tensor:
        radii: Tensor = (x - x.mean(dim=1, keepdim=True)).norm(dim=-1)
        return radii.sort(dim=1).values


def sorted_radii(input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """A linear classifier of the sorted distances of points from their mean.

    Rotations, reflections, translations and permutations keep the codes, `(batch, points)`, by
    formula, and so do many maps that bend the cloud. Only the linear head is trained: the oracle of
    a table.

    Parameters
    ----------
    input_shape
        (points, 3).
    classes
        The number of outputs.

    Raises
    ------
    ConfigurationError
        If the inputs are no points of space.

    Examples
    --------
    >>> net, x = sorted_radii((2, 3), 5), torch.tensor([[[1.0, 2, 2], [-1, -2, -2]]])
    >>> net.encoder(x)
    tensor([[3., 3.]])
    """
    points, _ = _require_points("sorted_radii", input_shape)
    return EncoderHead(_SortedRadii(), nn.Linear(points, classes))
