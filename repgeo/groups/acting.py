"""Groups that act: the contract of their elements, whatever they are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from repgeo.errors import InputError

__all__ = ["Group", "MatrixLieGroup", "block_diagonal", "default_generator", "describe"]


def default_generator(generator: torch.Generator | None) -> torch.Generator:
    """The generator that was given, or a new one with seed 0: never the global one.

    Examples
    --------
    >>> default_generator(None).initial_seed()
    0
    """
    return torch.Generator().manual_seed(0) if generator is None else generator


def describe(element: Tensor) -> str:
    """An element as messages show it, in four digits.

    Examples
    --------
    >>> describe(torch.tensor([[1.0, 0.0], [0.0, 0.5]]))
    '[[1, 0], [0, 0.5]]'
    """
    return _listed(element.detach().cpu().tolist())


def _listed(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_listed(each) for each in value) + "]"
    return f"{value:.4g}"


def block_diagonal(blocks: Sequence[Tensor]) -> Tensor:
    """Square matrices `(..., d_i, d_i)` along the diagonal of a larger one, `(..., Σ d_i, Σ d_i)`.

    Examples
    --------
    >>> block_diagonal([torch.ones(1, 1, 1), 2 * torch.ones(1, 1, 1)])
    tensor([[[1., 0.],
             [0., 2.]]])
    """
    size = sum(block.shape[-1] for block in blocks)
    rows, corner = [], 0
    for block in blocks:
        after = size - corner - block.shape[-1]
        rows.append(torch.nn.functional.pad(block, (corner, after)))
        corner += block.shape[-1]
    return torch.cat(rows, dim=-2)


class Group(ABC):
    """A group whose elements are tensors.

    Conventions. A batch of elements has shape `(..., *element_shape)`. `compose(g, h)` is g h:
    acting by it is acting by h first, then by g. All actions are left actions, g (h x) = (g h) x,
    and all representations homomorphisms, ρ(g h) = ρ(g) ρ(h), on column vectors; data keep their
    vectors in the last axis, so that ρ(g) x is computed as `x @ ρ(g).T`.
    """

    #: What messages and tables call it, "SO(3)".
    name: str
    #: The shape of one element.
    element_shape: tuple[int, ...]
    #: The dimension of the Lie algebra; 0 for a discrete group.
    dimension: int = 0
    #: The number of elements; None where there are infinitely many, or too many to list.
    order: int | None = None
    #: Whether g h = h g for all elements.
    is_abelian: bool = False
    #: The law that `sample` draws from.
    law: str = "Haar"
    #: Whether elements are integers (int64) rather than floating point numbers.
    is_integer: bool = False

    @abstractmethod
    def identity(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | None = None
    ) -> Tensor:
        """The neutral element, `(*element_shape)`."""

    @abstractmethod
    def compose(self, g: Tensor, h: Tensor) -> Tensor:
        """G h, first h then g, broadcast over leading axes."""

    @abstractmethod
    def inverse(self, g: Tensor) -> Tensor:
        """g^-1."""

    @abstractmethod
    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | None = None,
    ) -> Tensor:
        """N independent elements of the law `law`, `(n, *element_shape)`.

        Without a generator: one with seed 0, the same elements at each call.
        """

    @abstractmethod
    def defect(self, g: Tensor) -> Tensor:
        """How far tensors `(..., *element_shape)` are from being elements, `(...)`; 0: they are."""

    @abstractmethod
    def matrix(self, g: Tensor) -> Tensor:
        """The defining representation, `(..., N, N)`, a homomorphism."""

    def elements(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | None = None
    ) -> Tensor:
        """All elements of a finite group, `(order, *element_shape)`, the identity first.

        Raises
        ------
        InputError
            If the group is not finite.
        """
        raise InputError(f"{self.name} is not finite: its elements cannot be listed; use sample.")

    def exp(self, direction: Tensor) -> Tensor:
        """exp(Σ_i v_i X_i) for v `(..., dimension)`, X_i the `generators`.

        Raises
        ------
        InputError
            If the group is discrete.
        """
        raise InputError(f"{self.name} is discrete: it has no one-parameter subgroups.")

    def generators(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | None = None
    ) -> Tensor:
        """The basis X_i of the Lie algebra in the defining representation, `(dimension, N, N)`.

        Raises
        ------
        InputError
            If the group is discrete.
        """
        raise InputError(f"{self.name} is discrete: its Lie algebra is zero.")

    def contains(self, g: Tensor, *, tolerance: float | None = None) -> Tensor:
        """Which tensors are elements, `(...)`, bool.

        Parameters
        ----------
        g
            `(..., *element_shape)`.
        tolerance
            The largest `defect`; by default the square root of the dtype's unit of rounding.
        """
        if tolerance is None:
            tolerance = torch.finfo(g.dtype).eps ** 0.5 if g.is_floating_point() else 0.0
        return self.defect(g) <= tolerance

    def require(self, g: Tensor, *, tolerance: float | None = None) -> Tensor:
        """The same elements, after a check that they are in the group.

        Raises
        ------
        InputError
            Naming the first element that is not in the group, and how far it is from it.

        Examples
        --------
        >>> from repgeo.groups import SO2
        >>> SO2().require(torch.tensor([[[0.0, -1.0], [1.0, 0.0]], [[2.0, 0.0], [0.0, 0.5]]]))
        Traceback (most recent call last):
            ...
        repgeo.errors.InputError: Element 1, [[2, 0], [0, 0.5]], is not in SO(2) (defect 3).
        """
        shape = self.element_shape
        if g.ndim < len(shape) or (shape and tuple(g.shape[-len(shape) :]) != shape):
            raise InputError(
                f"Elements of {self.name} have shape (..., {', '.join(map(str, shape))}), got "
                f"{tuple(g.shape)}."
            )
        if g.is_floating_point() == self.is_integer or g.is_complex():
            kind = "integers" if self.is_integer else "real floating point numbers"
            raise InputError(f"Elements of {self.name} are {kind}, got {g.dtype}.")
        inside = self.contains(g, tolerance=tolerance).reshape(-1)
        if not bool(inside.all()):
            place = int(torch.nonzero(~inside)[0])
            wrong = g.reshape(-1, *shape)[place]
            raise InputError(
                f"Element {place}, {describe(wrong)}, is not in {self.name} "
                f"(defect {float(self.defect(wrong)):.3g})."
            )
        return g

    def quotient(self, g: Tensor, h: Tensor) -> Tensor:
        """g^-1 h."""
        return self.compose(self.inverse(g), h)

    def at_distance(
        self,
        n: int,
        distance: float,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | None = None,
    ) -> Tensor:
        """exp(distance u) for n directions u, uniform on the unit sphere of the Lie algebra.

        For SO(2) and SO(3) these are the rotations by the angle `distance` (radians), about axes
        drawn uniformly: what a curve of an error against the angle needs.

        Examples
        --------
        >>> from repgeo.groups import SO3
        >>> turns = SO3().at_distance(2, 1.0)
        >>> turns.diagonal(dim1=1, dim2=2).sum(dim=1)  # the trace is 1 + 2 cos(angle)
        tensor([2.0806, 2.0806], dtype=torch.float64)
        """
        if not self.dimension:
            raise InputError(f"{self.name} is discrete: no element is near the identity.")
        drawn = torch.randn(
            n, self.dimension, generator=default_generator(generator), dtype=torch.float64
        )
        unit = distance * drawn / drawn.norm(dim=1, keepdim=True)
        return self.exp(unit).to(dtype=dtype, device=device)


@dataclass(frozen=True)
class MatrixLieGroup(Group):
    """A Lie group of N x N matrices; its elements are the matrices."""

    @property
    def size(self) -> int:
        """N."""
        return self.element_shape[-1]

    def identity(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | None = None
    ) -> Tensor:
        """The unit matrix."""
        return torch.eye(self.size, dtype=dtype, device=device)

    def compose(self, g: Tensor, h: Tensor) -> Tensor:
        """The matrix product g h."""
        return g @ h

    def inverse(self, g: Tensor) -> Tensor:
        """The transpose: elements are orthogonal unless a subclass says otherwise."""
        return g.mT

    def matrix(self, g: Tensor) -> Tensor:
        """The element itself."""
        return g

    def exp(self, direction: Tensor) -> Tensor:
        """The matrix exponential of Σ_i v_i X_i for v `(..., dimension)`."""
        if direction.shape[-1:] != (self.dimension,):
            raise InputError(
                f"A direction in the Lie algebra of {self.name} is (..., {self.dimension}), got "
                f"{tuple(direction.shape)}."
            )
        # In float32 the exponential loses four digits more than it must.
        basis = self.generators(device=direction.device)
        X = torch.einsum("...i,ijk->...jk", direction.double(), basis)
        exponential: Tensor = torch.linalg.matrix_exp(X).to(direction.dtype)
        return exponential
