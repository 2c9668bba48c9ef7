"""Actions on data: point clouds, tokens, graphs, periodic signals and voxels."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.acting import Group, describe
from repgeo.groups.representations import Data, Representation, one_tensor, require_direction
from repgeo.groups.resampling import Interpolation, resample

__all__ = ["GraphAction", "PeriodicShift", "PointCloudAction", "TokenAction", "VoxelAction"]


class _TensorAction(Representation):
    """An action on one tensor."""

    def apply(self, elements: Tensor, x: Data) -> Data:
        """`(m, *element_shape)` and `(m or 1, n, ...)` to `(m, n, ...)`."""
        if not isinstance(x, Tensor):
            raise InputError(
                f"{type(self).__name__} acts on one tensor, got a mapping of "
                f"{', '.join(sorted(x))}; say with FieldsAction what acts on each."
            )
        return self._apply(elements, x)

    def _apply(self, elements: Tensor, x: Tensor) -> Tensor:
        raise NotImplementedError


class PointCloudAction(_TensorAction):
    """Points in the last axis, p -> R p + t.

    Parameters
    ----------
    group
        SO(2), SO(3), O(3), SE(2), SE(3), T, O, I, C_n, D_n, or translations: data have shape
        `(n, points, k)` or `(n, k)`, with k the dimension of the space.

    Raises
    ------
    InputError
        When called on points of another dimension.

    Examples
    --------
    >>> from repgeo.groups import SE2
    >>> action = PointCloudAction(SE2())
    >>> action(SE2().exp(torch.tensor([[0.0, 1.0, 2.0]])), torch.zeros(1, 1, 2))
    tensor([[[[1., 2.]]]])
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        size = group.matrix(group.identity()).shape[-1]
        self.affine = group.name.startswith("SE(") or len(group.element_shape) == 1
        self.space = size - 1 if self.affine else size

    def _apply(self, elements: Tensor, x: Tensor) -> Tensor:
        if x.shape[-1] != self.space or not x.is_floating_point():
            raise InputError(
                f"{self.group.name} acts on points (..., {self.space}), got {tuple(x.shape)}, "
                f"{x.dtype}."
            )
        g = self.group.matrix(elements).to(dtype=x.dtype, device=x.device)
        flat = x.reshape(len(x), -1, self.space)
        moved = flat @ g[:, : self.space, : self.space].mT
        if self.affine:
            moved = moved + g[:, None, : self.space, -1]
        return moved.reshape(len(g), *x.shape[1:])


class TokenAction(_TensorAction):
    """Permutations of tokens, points or nodes: item i goes to place p(i).

    Parameters
    ----------
    group
        `Permutations(n)`.
    axis
        The axis of the items in the data `(n, ...)`, 1 by default: `(batch, items, features)`.

    Examples
    --------
    >>> from repgeo.groups import Permutations
    >>> TokenAction(Permutations(3))(torch.tensor([[1, 2, 0]]), torch.tensor([[5, 6, 7]]))
    tensor([[[7, 5, 6]]])
    """

    def __init__(self, group: Group, axis: int = 1) -> None:
        if axis < 1:
            raise InputError(f"The axis of the items comes after the batch, got {axis}.")
        self.group = group
        self.axis = axis

    def _apply(self, elements: Tensor, x: Tensor) -> Tensor:
        return _permuted(x, self.group.inverse(elements).to(x.device), self.axis + 1)


class GraphAction(_TensorAction):
    """Permutations of the nodes of adjacency matrices, A -> P A P^T.

    Parameters
    ----------
    group
        `Permutations(n)`; data have shape `(batch, nodes, nodes)` or with features after it.

    Examples
    --------
    >>> from repgeo.groups import Permutations
    >>> edge = torch.zeros(1, 3, 3)
    >>> edge[0, 0, 1] = 1.0
    >>> GraphAction(Permutations(3))(torch.tensor([[1, 2, 0]]), edge)[0, 0].nonzero().tolist()
    [[1, 2]]
    """

    def __init__(self, group: Group) -> None:
        self.group = group

    def _apply(self, elements: Tensor, x: Tensor) -> Tensor:
        if x.ndim < 4 or x.shape[2] != x.shape[3]:
            raise InputError(f"Graphs have shape (batch, nodes, nodes), got {tuple(x.shape[1:])}.")
        places = self.group.inverse(elements).to(x.device)
        return _permuted(_permuted(x, places, 2), places, 3)


def _permuted(x: Tensor, places: Tensor, axis: int) -> Tensor:
    """X `(m or 1, n, ...)` with `x[i]` taken at `places[i]` along an axis."""
    if x.ndim <= axis or x.shape[axis] != places.shape[1]:
        raise InputError(
            f"Permutations of {places.shape[1]} items do not fit data {tuple(x.shape[1:])} along "
            f"axis {axis - 1}."
        )
    shape = [1] * x.ndim
    shape[0], shape[axis] = places.shape
    whole = (len(places), *x.shape[1:])
    return x.expand(whole).gather(axis, places.view(shape).expand(whole))


class PeriodicShift(_TensorAction):
    """Shifts of periodic signals in the last axes, by the Fourier transform.

    (ρ(t) x)(s) = x(s - t), for the trigonometric interpolation of the samples: any real shift is
    exact for a signal without the highest frequency of an even length (whose shift by t is
    multiplied by cos(π t); that breaks the composition of shifts that are no whole samples).

    Parameters
    ----------
    group
        `Translations(d)`: shifts in samples along the last d axes; or SO(2), C_n: a whole turn is
        the length of the last axis.
    scale
        What shifts are multiplied by: 1/2 after a layer that keeps every second sample.

    Examples
    --------
    >>> from repgeo.groups import Translations
    >>> x = torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    >>> PeriodicShift(Translations(1))(torch.tensor([[1.0]]), x).round().abs()
    tensor([[[0., 0., 1., 0.]]])
    """

    def __init__(self, group: Group, scale: float = 1.0) -> None:
        self.group = group
        self.scale = scale
        self.turns = len(group.element_shape) != 1
        self.axes = 1 if self.turns else group.element_shape[0]
        if self.turns and group.matrix(group.identity()).shape[-1] != 2:
            raise InputError(f"Shifts are by translations or by planar rotations: {group.name}.")

    def _apply(self, elements: Tensor, x: Tensor) -> Tensor:
        x = self._require(x)
        if self.turns:
            planar = self.group.matrix(elements)
            angle = torch.atan2(planar[:, 1, 0], planar[:, 0, 0])
            shifts = (angle * (x.shape[-1] / (2 * torch.pi)))[:, None]
        else:
            shifts = elements
        for place in range(self.axes):
            x = _shifted(x, self.scale * shifts[:, place].to(x), place - self.axes)
        return x

    def derivative(self, direction: Tensor, x: Data) -> Data:
        """-Σ_a v_a ∂_a x, by the Fourier transform along the axes that move."""
        direction = require_direction(self.group, direction)
        x = self._require(one_tensor(x, "A shift")[None])[0]
        rate = self.scale * (x.shape[-1] / (2 * torch.pi) if self.turns else 1.0)
        slope = torch.zeros_like(x)
        for place, speed in enumerate(direction.tolist()):
            if speed:
                slope = slope - rate * speed * _differentiated(x, place - self.axes)
        return slope

    def _require(self, x: Tensor) -> Tensor:
        if x.ndim < 2 + self.axes or not x.is_floating_point():
            raise InputError(
                f"Periodic signals are floating point, with {self.axes} axes after the batch; got "
                f"{tuple(x.shape[1:])}, {x.dtype}."
            )
        return x


def _shifted(x: Tensor, shifts: Tensor, axis: int) -> Tensor:
    """X `(m or 1, ...)`, `x[i]` moved by `shifts[i]` samples along an axis."""
    length = x.shape[axis]
    k = torch.fft.rfftfreq(length, dtype=x.dtype, device=x.device)
    angle = -2 * torch.pi * shifts[:, None] * k
    phases = torch.complex(angle.cos(), angle.sin())
    if length % 2 == 0:  # the highest frequency has no sine: the real part of its phase
        real = torch.complex(phases[:, -1:].real, torch.zeros_like(phases[:, -1:].real))
        phases = torch.cat([phases[:, :-1], real], dim=1)
    shape = [1] * x.ndim
    shape[0], shape[axis] = phases.shape
    spectrum = torch.fft.rfft(x, dim=axis) * phases.view(shape)
    moved: Tensor = torch.fft.irfft(spectrum, n=length, dim=axis)
    return moved


def _differentiated(x: Tensor, axis: int) -> Tensor:
    """The derivative of the trigonometric interpolation along an axis, per sample."""
    length = x.shape[axis]
    k = torch.fft.rfftfreq(length, dtype=x.dtype, device=x.device)
    if length % 2 == 0:
        k[-1] = 0  # the slope of a cosine at its top
    shape = [1] * x.ndim
    shape[axis] = len(k)
    slopes = torch.complex(torch.zeros_like(k), 2 * torch.pi * k).view(shape)
    slope: Tensor = torch.fft.irfft(torch.fft.rfft(x, dim=axis) * slopes, n=length, dim=axis)
    return slope


class VoxelAction(_TensorAction):
    """Rotations of voxel grids about their centre; the last three axes are x, y and z.

    (ρ(R) v)(p) = v(R^-1 p).

    Parameters
    ----------
    group
        SO(3), O(3), T, O or I.
    method
        "exact": voxels change places, for the 24 rotations of the cube (and reflections) only;
        "linear" or "cubic": interpolation, with zeros outside.

    Raises
    ------
    InputError
        When the method is exact and an element does not permute the axes, naming it; or when
        an exact rotation would change the shape of the grid.

    Examples
    --------
    >>> from repgeo.groups import SO3
    >>> quarter = SO3().exp(torch.tensor([[0.0, 0.0, torch.pi / 2]]))  # x goes to y
    >>> grid = torch.zeros(1, 3, 3, 3)
    >>> grid[0, 2, 1, 1] = 1.0
    >>> VoxelAction(SO3())(quarter, grid)[0, 0].nonzero().tolist()
    [[1, 2, 1]]
    """

    def __init__(self, group: Group, method: Interpolation | str = "exact") -> None:
        if method not in ("exact", "linear", "cubic"):
            raise InputError(f"Voxels are moved by exact, linear or cubic, got {method!r}.")
        if group.element_shape != (3, 3) or group.name.startswith("SE("):
            raise InputError(f"Voxels are turned by rotations of space, not by {group.name}.")
        self.group = group
        self.method = method
        self.exact = method == "exact"

    def _apply(self, elements: Tensor, x: Tensor) -> Tensor:
        if x.ndim < 5 or not x.is_floating_point():
            raise InputError(
                f"Voxels are floating point (batch, ..., x, y, z), got {tuple(x.shape[1:])}."
            )
        if self.method != "exact":
            sides = torch.tensor(x.shape[-3:], dtype=x.dtype, device=x.device)
            axes = [torch.arange(side, dtype=x.dtype, device=x.device) for side in x.shape[-3:]]
            grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)
            centre = (sides - 1) / 2
            R = elements.to(dtype=x.dtype, device=x.device)
            source = (grid - centre) @ R + centre  # R^-1 p, as rows: p^T R
            method: Interpolation = "linear" if self.method == "linear" else "cubic"
            return resample(x, source, dimensions=3, method=method)
        return torch.stack(
            [
                _axes_permuted(g, x[i if len(x) > 1 else 0], place=i)
                for i, g in enumerate(elements.detach().cpu())
            ]
        )


def _axes_permuted(R: Tensor, x: Tensor, place: int) -> Tensor:
    signs = R.double().round()
    if bool((R.double() - signs).abs().max() > 1e-6):
        raise InputError(
            f"Element {place}, {describe(R)}, does not permute the axes of a voxel grid: use "
            "method='linear' or 'cubic', or the group O."
        )
    # Column a of R has its one entry in the row that axis a goes to.
    rows = signs.abs().argmax(dim=0).tolist()
    lead = x.ndim - 3
    order = [lead + rows.index(axis) for axis in range(3)]
    if [x.shape[a] for a in order] != list(x.shape[-3:]):
        raise InputError(
            f"Element {place} exchanges axes of different lengths, {tuple(x.shape[-3:])}: pad the "
            "grid to a cube."
        )
    moved = x.permute(*range(lead), *order)
    flipped = [lead + row for column, row in enumerate(rows) if signs[row, column] < 0]
    return moved.flip(flipped) if flipped else moved
