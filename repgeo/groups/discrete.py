"""Discrete groups that act: cyclic, dihedral, permutations, rotations of polyhedra."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.acting import Group, default_generator
from repgeo.groups.families import cyclic, dihedral, rotation_group, symmetric
from repgeo.groups.finite_group import FiniteGroup

__all__ = [
    "Cyclic",
    "Dihedral",
    "Icosahedral",
    "Octahedral",
    "Permutations",
    "Polyhedral",
    "Tetrahedral",
]

_MOST_LISTED = 7  # S_8 has 40,320 elements


class _Indexed(Group):
    """A finite group whose elements are numbers, those of a `FiniteGroup`."""

    n: int
    element_shape: tuple[int, ...] = ()
    law: str = "uniform"
    is_integer: bool = True

    @cached_property
    def finite_group(self) -> FiniteGroup:
        """The Cayley table; elements have the same numbers."""
        raise NotImplementedError

    def identity(
        self, *, dtype: torch.dtype = torch.int64, device: torch.device | None = None
    ) -> Tensor:
        """0."""
        return torch.zeros((), dtype=torch.int64, device=device)

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.int64,
        device: torch.device | None = None,
    ) -> Tensor:
        """Uniform numbers, int64 whatever the dtype."""
        order = self.finite_group.order
        return torch.randint(order, (n,), generator=default_generator(generator)).to(device)

    def elements(
        self, *, dtype: torch.dtype = torch.int64, device: torch.device | None = None
    ) -> Tensor:
        """0 to order - 1."""
        return torch.arange(self.finite_group.order, device=device)

    def defect(self, g: Tensor) -> Tensor:
        """How far numbers are outside of 0 to order - 1."""
        return torch.maximum(-g, g - self.finite_group.order + 1).clamp(min=0)


@dataclass(frozen=True)
class Cyclic(_Indexed):
    """The cyclic group C_n: element k is the rotation of the plane by 2πk/n, counter-clockwise.

    Attributes
    ----------
    n
        The order.

    Examples
    --------
    >>> Cyclic(4).compose(torch.tensor(3), torch.tensor(2)).item()
    1
    >>> Cyclic(4).matrix(torch.tensor(1))
    tensor([[ 0., -1.],
            [ 1.,  0.]], dtype=torch.float64)
    """

    n: int

    def __post_init__(self) -> None:
        _require_positive("Cyclic", self.n)

    @property
    def name(self) -> str:  # type: ignore[override]
        """C_n."""
        return f"C{self.n}"

    @property
    def order(self) -> int:  # type: ignore[override]
        """N."""
        return self.n

    @property
    def is_abelian(self) -> bool:  # type: ignore[override]
        """Rotations of the plane commute."""
        return True

    @cached_property
    def finite_group(self) -> FiniteGroup:
        """`repgeo.groups.cyclic(n)`."""
        return cyclic(self.n)

    def compose(self, g: Tensor, h: Tensor) -> Tensor:
        """G + h modulo n."""
        return (g + h) % self.n

    def inverse(self, g: Tensor) -> Tensor:
        """-g modulo n."""
        return -g % self.n

    def matrix(self, g: Tensor) -> Tensor:
        """The rotation by 2πk/n, `(..., 2, 2)`, float64; quarter turns without rounding."""
        return _turn_matrix(g, self.n)


@dataclass(frozen=True)
class Dihedral(_Indexed):
    """The dihedral group D_n of order 2n: element k is r^k, element n + k is r^k s.

    r turns the plane by 2π/n counter-clockwise and s is the reflection (x, y) -> (x, -y): r^k s
    reflects first.

    Attributes
    ----------
    n
        Half the order.

    Examples
    --------
    >>> group = Dihedral(4)
    >>> group.compose(torch.tensor(4), torch.tensor(1)).item()  # s r = r^-1 s
    7
    >>> group.matrix(torch.tensor(5))
    tensor([[0., 1.],
            [1., 0.]], dtype=torch.float64)
    """

    n: int

    def __post_init__(self) -> None:
        _require_positive("Dihedral", self.n)

    @property
    def name(self) -> str:  # type: ignore[override]
        """D_n."""
        return f"D{self.n}"

    @property
    def order(self) -> int:  # type: ignore[override]
        """2n."""
        return 2 * self.n

    @property
    def is_abelian(self) -> bool:  # type: ignore[override]
        """Only for n <= 2."""
        return self.n <= 2

    @cached_property
    def finite_group(self) -> FiniteGroup:
        """`repgeo.groups.dihedral(n)`."""
        return dihedral(self.n)

    def compose(self, g: Tensor, h: Tensor) -> Tensor:
        """(a, s)(b, t) = (a ± b, s t), with - where s is a reflection."""
        turned, other = g % self.n, h % self.n
        flip, also = g >= self.n, h >= self.n
        return (turned + torch.where(flip, -other, other)) % self.n + self.n * (flip ^ also)

    def inverse(self, g: Tensor) -> Tensor:
        """Reflections are their own inverses."""
        return torch.where(g >= self.n, g, -g % self.n)

    def matrix(self, g: Tensor) -> Tensor:
        """R(2πk/n) diag(1, ±1), `(..., 2, 2)`, float64."""
        signs = torch.ones(*g.shape, 1, 2, dtype=torch.float64, device=g.device)
        signs[..., 0, 1] = 1.0 - 2.0 * (g >= self.n)
        return _turn_matrix(g % self.n, self.n) * signs + 0.0  # no -0


@dataclass(frozen=True)
class Permutations(Group):
    """The symmetric group S_n: an element p is the tensor of the images p(0), ..., p(n - 1).

    The product is composition, (p q)(i) = p(q(i)). Acting on a list of items, p moves item i to
    place p(i).

    Attributes
    ----------
    n
        The number of items.

    Examples
    --------
    >>> p, q = torch.tensor([1, 2, 0]), torch.tensor([1, 0, 2])
    >>> Permutations(3).compose(p, q).tolist(), Permutations(3).inverse(p).tolist()
    ([2, 1, 0], [2, 0, 1])
    """

    n: int

    law = "uniform"
    is_integer = True

    def __post_init__(self) -> None:
        _require_positive("Permutations", self.n)

    @property
    def name(self) -> str:  # type: ignore[override]
        """S_n."""
        return f"S{self.n}"

    @property
    def element_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """The n images."""
        return (self.n,)

    @property
    def order(self) -> int:  # type: ignore[override]
        """N!."""
        return math.factorial(self.n)

    @property
    def is_abelian(self) -> bool:  # type: ignore[override]
        """Only for n <= 2."""
        return self.n <= 2

    @cached_property
    def finite_group(self) -> FiniteGroup:
        """`repgeo.groups.symmetric(n)`, for n <= 7."""
        return symmetric(self.n)

    def identity(
        self, *, dtype: torch.dtype = torch.int64, device: torch.device | None = None
    ) -> Tensor:
        """0 to n - 1."""
        return torch.arange(self.n, device=device)

    def compose(self, g: Tensor, h: Tensor) -> Tensor:
        """p(q(i))."""
        whole = np.broadcast_shapes(g.shape, h.shape)
        return g.expand(whole).gather(-1, h.expand(whole))

    def inverse(self, g: Tensor) -> Tensor:
        """The permutation that undoes it."""
        return g.argsort(dim=-1)

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.int64,
        device: torch.device | None = None,
    ) -> Tensor:
        """Uniform permutations."""
        generator = default_generator(generator)
        drawn = torch.rand(n, self.n, generator=generator, dtype=torch.float64)
        return drawn.argsort(dim=1).to(device)

    def elements(
        self, *, dtype: torch.dtype = torch.int64, device: torch.device | None = None
    ) -> Tensor:
        """All permutations in lexicographic order, for n <= 7."""
        if self.n > _MOST_LISTED:
            raise InputError(f"{self.name} has {self.order} elements, too many to list; sample.")
        return torch.tensor([list(p) for p in self.finite_group.labels], device=device)  # type: ignore[call-overload]

    def defect(self, g: Tensor) -> Tensor:
        """The number of places at which the sorted images differ from 0 to n - 1."""
        expected = torch.arange(self.n, device=g.device)
        return (g.sort(dim=-1).values != expected).sum(dim=-1)

    def matrix(self, g: Tensor) -> Tensor:
        """P e_i = e_p(i), `(..., n, n)`, float64."""
        return torch.nn.functional.one_hot(g, self.n).mT.double()


@dataclass(frozen=True)
class Polyhedral(Group):
    """The rotations of a regular polyhedron, 3 x 3 matrices: T (12), O (24) or I (60).

    Attributes
    ----------
    kind
        "T", "O" or "I".

    Raises
    ------
    InputError
        For another kind.

    Examples
    --------
    >>> group = Polyhedral("O")
    >>> group.order, bool(group.contains(group.elements()).all())
    (24, True)
    """

    kind: Literal["T", "O", "I"]

    element_shape = (3, 3)
    law = "uniform"

    def __post_init__(self) -> None:
        if self.kind not in ("T", "O", "I"):
            raise InputError(f"There are rotation groups T, O and I, got {self.kind!r}.")

    @cached_property
    def _table_and_matrices(self) -> tuple[FiniteGroup, Tensor]:
        return rotation_group(self.kind)

    @property
    def name(self) -> str:  # type: ignore[override]
        """Its letter."""
        return self.kind

    @property
    def order(self) -> int:  # type: ignore[override]
        """12, 24 or 60."""
        return {"T": 12, "O": 24, "I": 60}[self.kind]

    @property
    def finite_group(self) -> FiniteGroup:
        """The Cayley table, numbered as `elements`."""
        return self._table_and_matrices[0]

    def identity(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | None = None
    ) -> Tensor:
        """The unit matrix."""
        return torch.eye(3, dtype=dtype, device=device)

    def compose(self, g: Tensor, h: Tensor) -> Tensor:
        """The matrix product."""
        return g @ h

    def inverse(self, g: Tensor) -> Tensor:
        """The transpose."""
        return g.mT

    def elements(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | None = None
    ) -> Tensor:
        """All rotations, `(order, 3, 3)`."""
        return self._table_and_matrices[1].to(dtype=dtype, device=device, copy=True)

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | None = None,
    ) -> Tensor:
        """Uniform elements."""
        drawn = torch.randint(self.order, (n,), generator=default_generator(generator))
        return self.elements(dtype=dtype)[drawn].to(device)

    def defect(self, g: Tensor) -> Tensor:
        """The largest entry of the difference from the nearest element."""
        listed = self.elements(dtype=g.dtype, device=g.device)
        gaps = (g[..., None, :, :] - listed).abs().amax(dim=(-2, -1)).amin(dim=-1)
        return gaps.nan_to_num(nan=math.inf)

    def matrix(self, g: Tensor) -> Tensor:
        """The element itself."""
        return g


def Tetrahedral() -> Polyhedral:  # noqa: N802 - a group, named like the classes beside it
    """T, the 12 rotations of the tetrahedron.

    Examples
    --------
    >>> Tetrahedral().order
    12
    """
    return Polyhedral("T")


def Octahedral() -> Polyhedral:  # noqa: N802
    """O, the 24 rotations of the cube and the octahedron.

    Examples
    --------
    >>> Octahedral().order
    24
    """
    return Polyhedral("O")


def Icosahedral() -> Polyhedral:  # noqa: N802
    """I, the 60 rotations of the icosahedron and the dodecahedron.

    Examples
    --------
    >>> Icosahedral().order
    60
    """
    return Polyhedral("I")


def _turn_matrix(k: Tensor, n: int) -> Tensor:
    """Rotations by 2πk/n, `(..., 2, 2)`, float64, with cos and sin of quarter turns exact."""
    # With the angle reduced to the nearest quarter turn, sin(0) and cos(0) are exact.
    quarters = torch.div(4 * k + n // 2, n, rounding_mode="floor")
    rest = (4 * k - quarters * n).double() * (torch.pi / (2 * n))
    c, s = rest.cos(), rest.sin()
    after = torch.stack([c, -s, -c, s]), torch.stack([s, c, -s, -c])  # after 0 to 3 quarter turns
    c, s = (each.gather(0, (quarters % 4)[None])[0] for each in after)
    return torch.stack([c, -s, s, c], dim=-1).reshape(*c.shape, 2, 2) + 0.0


def _require_positive(kind: str, n: int) -> None:
    if n < 1:
        raise InputError(f"{kind}: n must be positive, got {n}.")
