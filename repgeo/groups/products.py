"""Direct products of groups that act."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.acting import Group, block_diagonal, default_generator

__all__ = ["Product"]


@dataclass(frozen=True)
class Product(Group):
    """The direct product of groups; an element is the vector of its parts, one after another.

    Parts are flattened; integers are kept in the floating point numbers of the vector, which are
    exact for them. `split` gives the parts back, `join` makes elements.

    Attributes
    ----------
    factors
        The groups.

    Raises
    ------
    InputError
        If there is no factor.

    Examples
    --------
    >>> from repgeo.groups import SO2, Cyclic
    >>> group = Product((SO2(), Cyclic(3)))
    >>> group.name, group.element_shape, group.dimension
    ('SO(2) x C3', (5,), 1)
    """

    factors: tuple[Group, ...]

    def __post_init__(self) -> None:
        if not self.factors:
            raise InputError("A product needs at least one group.")

    @property
    def name(self) -> str:  # type: ignore[override]
        """The names of the factors."""
        return " x ".join(factor.name for factor in self.factors)

    @property
    def element_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """One vector."""
        return (sum(self._sizes),)

    @property
    def _sizes(self) -> list[int]:
        return [math.prod(factor.element_shape) for factor in self.factors]

    @property
    def dimension(self) -> int:  # type: ignore[override]
        """The sum of the dimensions."""
        return sum(factor.dimension for factor in self.factors)

    @property
    def order(self) -> int | None:  # type: ignore[override]
        """The product of the orders, None where a factor is not finite."""
        orders = [factor.order for factor in self.factors]
        return None if None in orders else math.prod(orders)  # type: ignore[arg-type]

    @property
    def is_abelian(self) -> bool:  # type: ignore[override]
        """Whether all factors are."""
        return all(factor.is_abelian for factor in self.factors)

    @property
    def law(self) -> str:  # type: ignore[override]
        """The laws of the factors, independent."""
        return " x ".join(factor.law for factor in self.factors)

    def split(self, g: Tensor) -> tuple[Tensor, ...]:
        """The parts, `(..., *element_shape)` of each factor."""
        parts = g.split_with_sizes(self._sizes, dim=-1)
        return tuple(
            (part.round().long() if factor.is_integer else part).reshape(
                g.shape[:-1] + torch.Size(factor.element_shape)
            )
            for factor, part in zip(self.factors, parts, strict=True)
        )

    def join(self, *parts: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
        """Elements of parts with the same leading axes."""
        flat = [
            part.reshape(*part.shape[: part.ndim - len(factor.element_shape)], -1).to(dtype)
            for factor, part in zip(self.factors, parts, strict=True)
        ]
        lead = np.broadcast_shapes(*(part.shape[:-1] for part in flat))
        return torch.cat([part.expand(*lead, -1) for part in flat], dim=-1)

    def identity(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | None = None
    ) -> Tensor:
        """The identities."""
        parts = [factor.identity(dtype=dtype, device=device) for factor in self.factors]
        return self.join(*parts, dtype=dtype)

    def compose(self, g: Tensor, h: Tensor) -> Tensor:
        """Factor by factor."""
        pairs = zip(self.factors, self.split(g), self.split(h), strict=True)
        return self.join(*(factor.compose(a, b) for factor, a, b in pairs), dtype=g.dtype)

    def inverse(self, g: Tensor) -> Tensor:
        """Factor by factor."""
        parts = zip(self.factors, self.split(g), strict=True)
        return self.join(*(factor.inverse(part) for factor, part in parts), dtype=g.dtype)

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | None = None,
    ) -> Tensor:
        """Independent elements of the factors."""
        generator = default_generator(generator)
        parts = [factor.sample(n, generator=generator) for factor in self.factors]
        return self.join(*parts, dtype=dtype).to(device)

    def elements(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | None = None
    ) -> Tensor:
        """All elements where all factors are finite; the last factor runs fastest."""
        listed = [factor.elements() for factor in self.factors]
        places = torch.cartesian_prod(*(torch.arange(len(each)) for each in listed))
        places = places.reshape(-1, len(listed))
        parts = [each[places[:, k]] for k, each in enumerate(listed)]
        return self.join(*parts, dtype=dtype).to(device)

    def exp(self, direction: Tensor) -> Tensor:
        """Factor by factor; a discrete factor stays at its identity."""
        if direction.shape[-1:] != (self.dimension,):
            raise InputError(
                f"A direction in the Lie algebra of {self.name} is (..., {self.dimension}), got "
                f"{tuple(direction.shape)}."
            )
        parts, start = [], 0
        for factor in self.factors:
            piece = direction[..., start : start + factor.dimension]
            start += factor.dimension
            identity = factor.identity(dtype=direction.dtype, device=direction.device)
            parts.append(factor.exp(piece) if factor.dimension else identity)
        return self.join(*parts, dtype=direction.dtype)

    def generators(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | None = None
    ) -> Tensor:
        """Block by block, in the representation by `matrix`."""
        sizes = [factor.matrix(factor.identity()).shape[-1] for factor in self.factors]
        found = torch.zeros(self.dimension, sum(sizes), sum(sizes), dtype=dtype, device=device)
        row = corner = 0
        for factor, size in zip(self.factors, sizes, strict=True):
            block = slice(corner, corner + size)
            if factor.dimension:
                found[row : row + factor.dimension, block, block] = factor.generators(dtype=dtype)
            row, corner = row + factor.dimension, corner + size
        return found

    def defect(self, g: Tensor) -> Tensor:
        """The largest defect of a part; integers that are rounded count as far as they are off."""
        start, found = 0, torch.zeros(g.shape[:-1], dtype=g.dtype, device=g.device)
        for factor, size, part in zip(self.factors, self._sizes, self.split(g), strict=True):
            raw = g[..., start : start + size]
            start += size
            found = torch.maximum(found, factor.defect(part).to(g.dtype))
            if factor.is_integer:
                found = torch.maximum(found, (raw - raw.round()).abs().amax(dim=-1))
        return found

    def matrix(self, g: Tensor) -> Tensor:
        """Block diagonal, the matrices of the parts one after another."""
        blocks = [
            factor.matrix(part).to(g.dtype)
            for factor, part in zip(self.factors, self.split(g), strict=True)
        ]
        return block_diagonal(blocks)
