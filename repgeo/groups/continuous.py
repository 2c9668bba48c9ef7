"""Continuous groups that act: rotations, rigid motions and translations."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.acting import Group, MatrixLieGroup, default_generator

__all__ = ["O3", "SE2", "SE3", "SO2", "SO3", "Translations", "nearest_rotation"]


def nearest_rotation(matrices: Tensor) -> Tensor:
    """The rotations nearest to matrices in the Frobenius norm, by their singular values.

    With M = U S V^T it is U diag(1, ..., 1, det(U V^T)) V^T: what makes an element of SO(d) of a
    matrix that a network predicted, or that was rounded.

    Parameters
    ----------
    matrices
        `(..., d, d)`.

    Returns
    -------
    Tensor
        `(..., d, d)`, of determinant 1; computed in float64, in the dtype of the matrices.

    Notes
    -----
    Source: Kabsch 1976; Umeyama 1991.

    Examples
    --------
    >>> nearest_rotation(torch.tensor([[2.0, 0.0], [0.0, -0.5]]))
    tensor([[1., 0.],
            [0., 1.]])
    """
    U, _, Vh = torch.linalg.svd(matrices.double())
    sign = torch.linalg.det(U @ Vh).sign()
    U = torch.cat([U[..., :-1], U[..., -1:] * sign[..., None, None]], dim=-1)
    rotations: Tensor = (U @ Vh).to(matrices.dtype)
    return rotations


def _plane_generators(size: int, width: int) -> Tensor:
    """The generators of rotations of the first `width` coordinates, `(w (w-1) / 2, size, size)`.

    For width 3: about the axes x, y and z, in this order; for width 2: counter-clockwise.
    """
    planes = [(1, 2), (2, 0), (0, 1)] if width == 3 else [(0, 1)]
    found = torch.zeros(len(planes), size, size, dtype=torch.float64)
    for X, (i, j) in zip(found, planes, strict=True):
        X[j, i], X[i, j] = 1.0, -1.0
    return found


def _orthogonality_defect(matrices: Tensor) -> Tensor:
    """Largest entry of |R^T R - 1|, `(...)`."""
    eye = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    return (matrices.mT @ matrices - eye).abs().amax(dim=(-2, -1)).nan_to_num(nan=math.inf)


def _rotation_defect(matrices: Tensor) -> Tensor:
    """Distance from SO(d): orthogonality, and the determinant."""
    return torch.maximum(
        _orthogonality_defect(matrices),
        (torch.linalg.det(matrices) - 1).abs().nan_to_num(nan=math.inf),
    )


@dataclass(frozen=True)
class SO2(MatrixLieGroup):
    """Rotations of the plane, 2 x 2 matrices; the generator turns counter-clockwise, in radians.

    Examples
    --------
    >>> SO2().exp(torch.tensor([torch.pi / 2])).round().abs()
    tensor([[0., 1.],
            [1., 0.]])
    """

    name: str = field(default="SO(2)", init=False)
    element_shape: tuple[int, ...] = field(default=(2, 2), init=False)
    dimension: int = field(default=1, init=False)
    is_abelian: bool = field(default=True, init=False)

    def exp(self, direction: Tensor) -> Tensor:
        """The rotation by the angle v `(..., 1)`."""
        if direction.shape[-1:] != (1,):
            raise InputError(f"An angle is (..., 1), got {tuple(direction.shape)}.")
        c, s = direction.cos(), direction.sin()
        return torch.cat([c, -s, s, c], dim=-1).reshape(*direction.shape[:-1], 2, 2)

    def generators(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | None = None
    ) -> Tensor:
        """The quarter turn, `(1, 2, 2)`."""
        return _plane_generators(2, 2).to(dtype=dtype, device=device)

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | None = None,
    ) -> Tensor:
        """Rotations by angles uniform on the circle (Haar)."""
        turns = torch.rand(n, 1, generator=default_generator(generator), dtype=torch.float64)
        return self.exp(2 * torch.pi * turns).to(dtype=dtype, device=device)

    def defect(self, g: Tensor) -> Tensor:
        """The larger of |R^T R - 1| (entrywise) and |det R - 1|."""
        return _rotation_defect(g)


@dataclass(frozen=True)
class SO3(MatrixLieGroup):
    """Rotations of space, 3 x 3 matrices; the generators turn about the axes x, y and z.

    Examples
    --------
    >>> SO3().exp(torch.tensor([0.0, 0.0, torch.pi])).round() + 0.0
    tensor([[-1.,  0.,  0.],
            [ 0., -1.,  0.],
            [ 0.,  0.,  1.]])
    """

    name: str = field(default="SO(3)", init=False)
    element_shape: tuple[int, ...] = field(default=(3, 3), init=False)
    dimension: int = field(default=3, init=False)

    def generators(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | None = None
    ) -> Tensor:
        """(X_i)_jk = -ε_ijk, `(3, 3, 3)`."""
        return _plane_generators(3, 3).to(dtype=dtype, device=device)

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | None = None,
    ) -> Tensor:
        """Haar: the rotations of unit quaternions uniform on the sphere."""
        return _haar_rotations(n, default_generator(generator)).to(dtype=dtype, device=device)

    def defect(self, g: Tensor) -> Tensor:
        """The larger of |R^T R - 1| (entrywise) and |det R - 1|."""
        return _rotation_defect(g)


@dataclass(frozen=True)
class O3(SO3):
    """Rotations and reflections of space, orthogonal 3 x 3 matrices.

    Examples
    --------
    >>> bool(O3().contains(-torch.eye(3))), bool(SO3().contains(-torch.eye(3)))
    (True, False)
    """

    name: str = field(default="O(3)", init=False)

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | None = None,
    ) -> Tensor:
        """Haar: rotations, times -1 for a fair coin."""
        generator = default_generator(generator)
        rotations = _haar_rotations(n, generator)
        signs = 1 - 2 * torch.randint(2, (n, 1, 1), generator=generator)
        return (signs * rotations).to(dtype=dtype, device=device)

    def defect(self, g: Tensor) -> Tensor:
        """The largest entry of |R^T R - 1|."""
        return _orthogonality_defect(g)


@dataclass(frozen=True)
class _RigidMotions(MatrixLieGroup):
    """Rotations R and translations t, [[R, t], [0, 1]]: p goes to R p + t."""

    translation_scale: float = 1.0

    @property
    def law(self) -> str:  # type: ignore[override]
        """Rigid motions have no Haar law of total mass 1."""
        return f"Haar rotations, normal translations of deviation {self.translation_scale:g}"

    def generators(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | None = None
    ) -> Tensor:
        """Rotations first, then the translations along the axes."""
        width = self.size - 1
        turns = _plane_generators(self.size, width)
        shifts = torch.zeros(width, self.size, self.size, dtype=torch.float64)
        for axis in range(width):
            shifts[axis, axis, width] = 1.0
        return torch.cat([turns, shifts]).to(dtype=dtype, device=device)

    def inverse(self, g: Tensor) -> Tensor:
        """[[R^T, -R^T t], [0, 1]]."""
        R, t = g[..., :-1, :-1], g[..., :-1, -1:]
        return torch.cat([torch.cat([R.mT, -R.mT @ t], dim=-1), g[..., -1:, :]], dim=-2)

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | None = None,
    ) -> Tensor:
        """Haar rotations and independent normal translations of deviation `translation_scale`."""
        generator = default_generator(generator)
        width = self.size - 1
        found = torch.eye(self.size, dtype=torch.float64).repeat(n, 1, 1)
        rotations: Group = SO3() if width == 3 else SO2()
        found[:, :width, :width] = rotations.sample(n, generator=generator)
        found[:, :width, width] = self.translation_scale * torch.randn(
            n, width, generator=generator, dtype=torch.float64
        )
        return found.to(dtype=dtype, device=device)

    def defect(self, g: Tensor) -> Tensor:
        """The defect of the rotation, or the distance of the last row from (0, ..., 0, 1)."""
        last = torch.zeros(self.size, dtype=g.dtype, device=g.device)
        last[-1] = 1.0
        row = (g[..., -1, :] - last).abs().amax(dim=-1)
        infinite = ~torch.isfinite(g).all(dim=-1).all(dim=-1)
        found = torch.maximum(_rotation_defect(g[..., :-1, :-1]), row)
        return torch.where(infinite, math.inf, found)


@dataclass(frozen=True)
class SE2(_RigidMotions):
    """Rotations and translations of the plane, 3 x 3 homogeneous matrices.

    Generators: the rotation about the origin, then the translations along x and y.

    Examples
    --------
    >>> shift = SE2().exp(torch.tensor([0.0, 2.0, 3.0]))
    >>> shift @ torch.tensor([1.0, 1.0, 1.0])
    tensor([3., 4., 1.])
    """

    name: str = field(default="SE(2)", init=False)
    element_shape: tuple[int, ...] = field(default=(3, 3), init=False)
    dimension: int = field(default=3, init=False)


@dataclass(frozen=True)
class SE3(_RigidMotions):
    """Rotations and translations of space, 4 x 4 homogeneous matrices.

    Generators: the rotations about the axes x, y and z, then the translations along them.

    Examples
    --------
    >>> g = SE3().sample(2)
    >>> bool(torch.allclose(SE3().compose(g, SE3().inverse(g)), torch.eye(4).double()))
    True
    """

    name: str = field(default="SE(3)", init=False)
    element_shape: tuple[int, ...] = field(default=(4, 4), init=False)
    dimension: int = field(default=6, init=False)


@dataclass(frozen=True)
class Translations(Group):
    """Translations of d dimensions; an element is the vector t `(d,)`.

    Attributes
    ----------
    d
        The number of dimensions.
    scale
        Standard deviation of the normal law that elements are drawn from, where there is no period.
    period
        Of all dimensions: the group is then the torus (elements are not reduced), and the law is
        Haar, uniform on [0, period).

    Raises
    ------
    InputError
        If a parameter is not positive.

    Examples
    --------
    >>> shifts = Translations(2)
    >>> shifts.compose(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    tensor([4., 6.])
    """

    d: int
    scale: float = 1.0
    period: float | None = None

    def __post_init__(self) -> None:
        if self.d < 1 or self.scale <= 0 or (self.period is not None and self.period <= 0):
            raise InputError(
                f"Translations need d >= 1 and a positive scale and period, got d={self.d}, "
                f"scale={self.scale}, period={self.period}."
            )

    @property
    def name(self) -> str:  # type: ignore[override]
        """R^d, or the torus T^d."""
        return f"{'R' if self.period is None else 'T'}^{self.d}"

    @property
    def element_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """One vector."""
        return (self.d,)

    @property
    def dimension(self) -> int:  # type: ignore[override]
        """One generator for each axis."""
        return self.d

    @property
    def is_abelian(self) -> bool:  # type: ignore[override]
        """Translations commute."""
        return True

    @property
    def law(self) -> str:  # type: ignore[override]
        """Haar on a torus; R^d has no Haar law of total mass 1."""
        return f"normal of deviation {self.scale:g}" if self.period is None else "Haar"

    def identity(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | None = None
    ) -> Tensor:
        """The zero vector."""
        return torch.zeros(self.d, dtype=dtype, device=device)

    def compose(self, g: Tensor, h: Tensor) -> Tensor:
        """The sum."""
        return g + h

    def inverse(self, g: Tensor) -> Tensor:
        """The opposite vector."""
        return -g

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | None = None,
    ) -> Tensor:
        """Normal vectors, or uniform ones on the torus."""
        generator = default_generator(generator)
        if self.period is None:
            drawn = self.scale * torch.randn(n, self.d, generator=generator, dtype=torch.float64)
        else:
            drawn = self.period * torch.rand(n, self.d, generator=generator, dtype=torch.float64)
        return drawn.to(dtype=dtype, device=device)

    def defect(self, g: Tensor) -> Tensor:
        """0 for finite vectors, infinite for others."""
        finite = torch.isfinite(g).all(dim=-1)
        return torch.where(finite, 0.0, math.inf).to(g.dtype)

    def matrix(self, g: Tensor) -> Tensor:
        """The homogeneous matrix [[1, t], [0, 1]], `(..., d + 1, d + 1)`."""
        eye = torch.eye(self.d + 1, dtype=g.dtype, device=g.device)
        column = torch.nn.functional.pad(g, (0, 1))[..., None]
        return eye + torch.nn.functional.pad(column, (self.d, 0))

    def exp(self, direction: Tensor) -> Tensor:
        """The vector v itself."""
        return direction

    def generators(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | None = None
    ) -> Tensor:
        """The translations along the axes, `(d, d + 1, d + 1)`."""
        found = torch.zeros(self.d, self.d + 1, self.d + 1, dtype=dtype, device=device)
        for axis in range(self.d):
            found[axis, axis, self.d] = 1.0
        return found


def _haar_rotations(n: int, generator: torch.Generator) -> Tensor:
    """`(n, 3, 3)`, float64, from unit quaternions (w, x, y, z)."""
    drawn = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    w, x, y, z = (drawn / drawn.norm(dim=1, keepdim=True)).unbind(dim=1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=1).reshape(n, 3, 3)
