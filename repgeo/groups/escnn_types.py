"""Field types of escnn as representations, and its modules as functions of tensors."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from scipy.linalg import logm
from torch import Tensor, nn

from repgeo.errors import InputError
from repgeo.groups.acting import Group, block_diagonal, describe
from repgeo.groups.continuous import SO2, SO3
from repgeo.groups.data_actions import VoxelAction
from repgeo.groups.discrete import Cyclic, Dihedral, Icosahedral, Octahedral, Tetrahedral
from repgeo.groups.image_rotations import ImageRotations
from repgeo.groups.representations import Data, Representation, one_tensor, require_direction

__all__ = ["EscnnFunction", "EscnnMap", "FieldType", "FieldTypeAction", "from_escnn"]

_STEP = 0.05  # radians; irreps of frequencies up to 60 have a principal logarithm there
_ROUNDING = 1e-6
_SOLID: dict[int, Callable[[], Group]] = {12: Tetrahedral, 24: Octahedral, 60: Icosahedral}


class FieldType(Protocol):
    """What is used of a field type of escnn.

    Attributes
    ----------
    gspace
        With `dimensionality` (0, 2 or 3), `fibergroup` and `basespace_action`, from a group element
        to a matrix. The fiber group has a `name`, the list `elements` (None where there are
        infinitely many), and `element(value, param)`.
    representations
        Of each field: from a group element to a matrix `(size, size)`.
    """

    gspace: Any
    representations: Any


class FieldTypeAction(Representation):
    """The action of a field type on feature fields, (ρ(g) x)(p) = ρ(g) x(g^-1 p).

    Elements are those of the groups of this package: C_n, D_n, SO(2), SO(3), and the rotations of
    polyhedra. They are told apart by how they move the base space, so that element numbers mean the
    same for escnn's fields and for `ImageRotations`; without a base space r^k s is element n + k.

    Parameters
    ----------
    field_type
        Of escnn: `module.in_type`, `module.out_type`. Data are `(n, channels, *grid)`, with the
        grid (height, width), (-z, -y, x), or none.
    method
        How a grid is moved: as of `ImageRotations` and `VoxelAction`. By default exact for groups
        that move pixels onto pixels, else "fourier" for images and "cubic" for voxels.

    Raises
    ------
    InputError
        If it is no field type, its group is none of these, or its reflections are about another
        axis: `flipRot2dOnR2(n, axis=0)` is always good, other axes where n is even.

    Notes
    -----
    Written after the documentation and source of escnn 1.0.13 and tested with stand-ins of that
    interface: escnn is no dependency. Unstructured points (`coords`) are not served. Source:
    Cesa, Lang and Weiler 2022 (a program to build E(N)-equivariant steerable CNNs, ICLR).

    Examples
    --------
    >>> from types import SimpleNamespace as Named
    >>> half_turns = Named(name="C2", elements=[0, 1], element=lambda k, param: k)
    >>> space = Named(dimensionality=0, fibergroup=half_turns)
    >>> sign = Named(gspace=space, representations=[lambda k: [[(-1.0) ** k]]])
    >>> FieldTypeAction(sign)(torch.tensor([0, 1]), torch.ones(1, 1)).tolist()
    [[[1.0]], [[-1.0]]]
    """

    def __init__(self, field_type: FieldType, method: str | None = None) -> None:
        for name in ("gspace", "representations"):
            if not hasattr(field_type, name):
                raise InputError(
                    f"A field type of escnn has a gspace and representations; got "
                    f"{type(field_type).__name__} without {name!r}."
                )
        self.fields = list(field_type.representations)
        self.group, self._element = _matched(field_type.gspace)
        self.grid = _grid_action(self.group, int(field_type.gspace.dimensionality), method)
        self.exact = self.grid is None or self.grid.exact

    def matrices(self, elements: Tensor) -> Tensor:
        """ρ(g) of all channels, `(m, channels, channels)`, float64."""
        return torch.stack([self._matrix(g) for g in elements])

    def apply(self, elements: Tensor, x: Data) -> Data:
        """Channels first, then the grid."""
        x = self._require(one_tensor(x, "A field type"))
        rho = self.matrices(elements).to(dtype=x.dtype, device=x.device)
        mixed = torch.einsum("moi,mni...->mno...", rho, x.expand(len(rho), *x.shape[1:]))
        return mixed if self.grid is None else self.grid.apply(elements, mixed)

    def derivative(self, direction: Tensor, x: Data) -> Data:
        """dρ(X) x, and how the grid moves."""
        direction = require_direction(self.group, direction)
        x = self._require(one_tensor(x, "A field type")[None])[0]
        step = _STEP * direction.double() / direction.double().norm().clamp(min=1e-300)
        rho = self._matrix(self.group.exp(step)).numpy()
        X = torch.from_numpy(np.real(logm(rho))) * (float(direction.double().norm()) / _STEP)
        slope = torch.einsum("oi,ni...->no...", X.to(x), x)
        if self.grid is None:
            return slope
        return slope + one_tensor(self.grid.derivative(direction, x), "A grid")

    def _matrix(self, g: Tensor) -> Tensor:
        element = self._element(g)
        blocks = [
            torch.as_tensor(np.asarray(rho(element)), dtype=torch.float64) for rho in self.fields
        ]
        return block_diagonal(blocks)

    def _require(self, x: Tensor) -> Tensor:
        sizes = self._matrix(self.group.identity()).shape[-1]
        axes = 3 + (0 if self.grid is None else 2 if isinstance(self.grid, ImageRotations) else 3)
        if x.ndim != axes or x.shape[2] != sizes or not x.is_floating_point():
            raise InputError(
                f"Fields of this type are floating point (n, {sizes}{', *grid' * (axes > 3)}) with "
                f"{axes - 3} axes of a grid; got {tuple(x.shape[1:])}, {x.dtype}."
            )
        return x


class EscnnFunction(nn.Module):
    """A module of escnn as a function from tensors to tensors.

    Parameters
    ----------
    module
        With `in_type`, whose call makes what the module takes, and results that have `tensor`.

    Examples
    --------
    >>> from types import SimpleNamespace as Named
    >>> class Doubled(nn.Module):
    ...     in_type = staticmethod(lambda x: Named(tensor=x))
    ...     def forward(self, x):
    ...         return Named(tensor=2 * x.tensor)
    >>> EscnnFunction(Doubled())(torch.ones(1, 2)).tolist()
    [[2.0, 2.0]]
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """The tensor of the result."""
        in_type: Callable[[Tensor], Any] = self.module.in_type  # type: ignore[assignment]
        outputs: Tensor = self.module(in_type(x)).tensor
        return outputs


@dataclass(frozen=True)
class EscnnMap:
    """A module of escnn with its group and representations, as measures take them.

    Attributes
    ----------
    function
        From tensors to tensors.
    group, rep_in, rep_out
        What acts, and how.
    """

    function: EscnnFunction
    group: Group
    rep_in: FieldTypeAction
    rep_out: FieldTypeAction


def from_escnn(module: nn.Module, method: str | None = None) -> EscnnMap:
    """What measures of equivariance need of an `EquivariantModule` of escnn.

    `equivariance_error(f.function, x, f.group, rep_in=f.rep_in, rep_out=f.rep_out)`.

    Parameters
    ----------
    module
        With the attributes `in_type` and `out_type`.
    method
        As for `FieldTypeAction`.

    Raises
    ------
    InputError
        If it has none, or they are of different groups.

    Notes
    -----
    See `FieldTypeAction` for the version of escnn and for what is not served.

    Examples
    --------
    >>> from_escnn(nn.Linear(2, 2))
    Traceback (most recent call last):
        ...
    repgeo.errors.InputError: A module of escnn has in_type and out_type; Linear has no 'in_type'.
    """
    for name in ("in_type", "out_type"):
        if getattr(module, name, None) is None:
            raise InputError(
                f"A module of escnn has in_type and out_type; {type(module).__name__} has no "
                f"{name!r}."
            )
    rep_in: FieldTypeAction
    rep_in, rep_out = (
        FieldTypeAction(kind, method)  # type: ignore[arg-type]
        for kind in (module.in_type, module.out_type)
    )
    if rep_in.group != rep_out.group:
        raise InputError(
            f"in_type is of {rep_in.group.name} and out_type of {rep_out.group.name}: restrict one "
            "of them to the group of the other."
        )
    return EscnnMap(EscnnFunction(module), rep_in.group, rep_in, rep_out)


def _matched(gspace: Any) -> tuple[Group, Callable[[Tensor], Any]]:
    """The group of this package, and from its elements to those of escnn."""
    fiber, space = gspace.fibergroup, int(gspace.dimensionality)
    name = str(fiber.name)
    if name == "SO(2)" and space in (0, 2):
        return SO2(), lambda g: fiber.element(
            float(torch.atan2(g[1, 0], g[0, 0])) % (2 * np.pi), "radians"
        )
    if name == "SO(3)" and space in (0, 3):
        return SO3(), lambda g: fiber.element(g.detach().double().cpu().numpy(), "MAT")
    planar = re.fullmatch(r"([CD])(\d+)", name)
    if fiber.elements is None or (space == 3) == (planar is not None):
        raise InputError(
            f"The group {name} on a space of {space} dimensions is not served: C_n, D_n and SO(2) "
            "are on the plane, SO(3), T, O and I in space, all but the last three also on a point."
        )
    if planar is None:
        group = _solid(len(fiber.elements), name)
    else:
        group = Cyclic(int(planar[2])) if planar[1] == "C" else Dihedral(int(planar[2]))
    if space == 0:
        return group, lambda g: _numbered(group, fiber, int(g))
    return group, _by_base_space(group, fiber, gspace.basespace_action)


def _solid(order: int, name: str) -> Group:
    if order not in _SOLID:
        raise InputError(f"The group {name} of order {order} is not served: of solids, T, O and I.")
    return _SOLID[order]()


def _numbered(group: Group, fiber: Any, number: int) -> Any:
    if isinstance(group, Cyclic):
        return fiber.element(number, "int")
    assert isinstance(group, Dihedral)
    return fiber.element((number // group.n, number % group.n), "int")


def _by_base_space(
    group: Group, fiber: Any, action: Callable[[Any], Any]
) -> Callable[[Tensor], Any]:
    """Elements of finite groups are the same if they move the base space alike."""
    listed = list(fiber.elements)
    moves = torch.stack(
        [torch.as_tensor(np.asarray(action(e)), dtype=torch.float64) for e in listed]
    )

    def element(g: Tensor) -> Any:
        gaps = (moves - group.matrix(g).double().cpu()).abs().amax(dim=(1, 2))
        nearest = int(gaps.argmin())
        if float(gaps[nearest]) > _ROUNDING:
            raise InputError(
                f"{fiber.name} of escnn has no element that moves the base space by "
                f"{describe(group.matrix(g))}: its axes are others. Build it with axis=0."
            )
        return listed[nearest]

    for g in group.elements():
        element(g)
    return element


class _VoxelGrid(Representation):
    """Voxels in the order (-z, -y, x) of escnn."""

    def __init__(self, group: Group, method: str) -> None:
        self.group = group
        self.voxels = VoxelAction(group, method)
        self.exact = self.voxels.exact

    def apply(self, elements: Tensor, x: Data) -> Data:
        """As voxels in the order x, y, z, and back."""
        turned = self.voxels.apply(elements, _to_xyz(one_tensor(x, "A grid")))
        return _from_xyz(one_tensor(turned, "A grid"))


def _to_xyz(x: Tensor) -> Tensor:
    """Grids in the order (-z, -y, x) as (x, y, z)."""
    return x.flip((-3, -2)).transpose(-1, -3)


def _from_xyz(x: Tensor) -> Tensor:
    return x.transpose(-1, -3).flip((-3, -2))


def _grid_action(group: Group, space: int, method: str | None) -> Representation | None:
    if space == 0:
        return None
    if space == 2:
        whole = group.name in ("C1", "C2", "C4", "D1", "D2", "D4")
        return ImageRotations(group, method or ("exact" if whole else "fourier"))  # type: ignore[arg-type]
    exact = group.order in (12, 24)
    return _VoxelGrid(group, method or ("exact" if exact else "cubic"))
