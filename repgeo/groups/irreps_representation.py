"""Representations by irreps of rotations and reflections of space, as e3nn writes them."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.acting import Group, block_diagonal
from repgeo.groups.representations import Data, Representation, one_tensor, require_direction
from repgeo.groups.wigner import WignerCache, rotation_generators

__all__ = ["IrrepsRepresentation", "parse_irreps"]


def parse_irreps(irreps: object) -> tuple[tuple[int, int, int], ...]:
    """Multiplicity, degree and parity of each part of "8x0e + 4x1o", or of an e3nn Irreps.

    Raises
    ------
    InputError
        If it cannot be read.

    Examples
    --------
    >>> parse_irreps("8x0e+1o")
    ((8, 0, 1), (1, 1, -1))
    """
    parts = []
    for part in str(irreps).replace(" ", "").split("+"):
        found = re.fullmatch(r"(?:(\d+)x)?(\d+)([eo])", part)
        if found is None:
            raise InputError(
                f"Irreps are written as in '8x0e+4x1o' (multiplicity, degree, parity e or o); "
                f"cannot read {part!r} in {str(irreps)!r}."
            )
        parts.append((int(found[1] or 1), int(found[2]), 1 if found[3] == "e" else -1))
    return tuple(parts)


class IrrepsRepresentation(Representation):
    """A direct sum of irreps of rotations (and reflections), in the layout and basis of e3nn.

    Parameters
    ----------
    group
        SO(3), O(3), T, O or I: elements are 3 x 3 orthogonal matrices. A matrix of determinant -1
        acts as minus itself, times the parity. Or SE(3), whose translations act as the identity.
    irreps
        "8x0e+4x1o", or an `e3nn.o3.Irreps`; e3nn itself is not needed.
    cache
        Shared by representations that see the same elements (the layers of a network), so that
        each Wigner matrix is computed once; by default one of its own.

    Raises
    ------
    InputError
        If the irreps cannot be read, or elements of the group are no 3 x 3 matrices.

    Examples
    --------
    >>> from repgeo.groups import O3
    >>> rho = IrrepsRepresentation(O3(), "0o+1o+1e")
    >>> rho(-torch.eye(3)[None], torch.ones(1, 7))  # the point reflection
    tensor([[[-1., -1., -1., -1.,  1.,  1.,  1.]]])
    """

    def __init__(self, group: Group, irreps: object, cache: WignerCache | None = None) -> None:
        turns = group.element_shape == (3, 3) and not group.name.startswith("SE(")
        if not turns and group.name != "SE(3)":
            raise InputError(f"Irreps represent rotations of space, not {group.name}.")
        self.group = group
        self.irreps = parse_irreps(irreps)
        self.dimension = sum(mul * (2 * degree + 1) for mul, degree, _ in self.irreps)
        self.cache = WignerCache() if cache is None else cache

    def matrices(self, elements: Tensor) -> Tensor:
        """ρ(g), block diagonal, `(m, dimension, dimension)`, float64."""
        blocks = []
        for mul, degree, parity in self.irreps:
            blocks += [self._block(degree, parity, elements)] * mul
        return block_diagonal(blocks)

    def apply(self, elements: Tensor, x: Data) -> Data:
        """Part by part: no large matrix is made."""
        x = self._require(x)
        parts = []
        for part, (mul, degree, parity) in zip(self._split(x), self.irreps, strict=True):
            D = self._block(degree, parity, elements).to(dtype=x.dtype, device=x.device)
            size = 2 * degree + 1
            flat = part.reshape(len(part), -1, size)
            parts.append((flat @ D.mT).reshape(len(D), *x.shape[1:-1], mul * size))
        return torch.cat(parts, dim=-1)

    def derivative(self, direction: Tensor, x: Data) -> Data:
        """By the generators of so(3): no derivative of a Wigner matrix is taken."""
        x = self._require(x)
        direction = require_direction(self.group, direction).double()[:3]  # rotations come first
        parts = []
        for part, (_, degree, _) in zip(self._split(x), self.irreps, strict=True):
            basis = rotation_generators(degree).to(direction.device)
            X = torch.einsum("i,ijk->jk", direction, basis).to(dtype=x.dtype, device=x.device)
            parts.append((part.reshape(*part.shape[:-1], -1, 2 * degree + 1) @ X.mT).flatten(-2))
        return torch.cat(parts, dim=-1)

    def _block(self, degree: int, parity: int, elements: Tensor) -> Tensor:
        turns = elements[:, :3, :3].double()  # of a rigid motion, its rotation
        signs = torch.linalg.det(turns).sign()[:, None, None]
        D = self.cache.matrices(degree, signs * turns)
        return D * signs if parity < 0 else D

    def _split(self, x: Tensor) -> tuple[Tensor, ...]:
        return x.split_with_sizes(
            [mul * (2 * degree + 1) for mul, degree, _ in self.irreps], dim=-1
        )

    def _require(self, x: Data) -> Tensor:
        x = one_tensor(x, "A representation by irreps")
        if x.shape[-1] != self.dimension or not x.is_floating_point():
            raise InputError(
                f"These irreps have dimension {self.dimension}; they act on the last axis of "
                f"floating point data (..., {self.dimension}), got {tuple(x.shape)}, {x.dtype}."
            )
        return x
