"""Representations by matrices: vectors, regular ones, and planes turned at several speeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.acting import Group, block_diagonal
from repgeo.groups.representations import Data, Representation, one_tensor, require_direction

__all__ = [
    "MatrixRepresentation",
    "frequency_representation",
    "regular_representation",
    "vector_representation",
]


class MatrixRepresentation(Representation):
    """Matrices ρ(g) on the last axis, v -> ρ(g) v.

    Parameters
    ----------
    group
        The group.
    dimension
        d, the length of the last axis.
    matrices
        From elements `(m, *element_shape)` to `(m, d, d)`.
    generators
        dρ of the generators of the group, `(group.dimension, d, d)`; by differentiation if left
        out.

    Examples
    --------
    >>> from repgeo.groups import SO2
    >>> double = MatrixRepresentation(SO2(), 2, lambda g: g @ g)
    >>> quarter = SO2().exp(torch.tensor([[torch.pi / 2]]))
    >>> double(quarter, torch.tensor([[1.0, 0.0]])).round() + 0.0
    tensor([[[-1.,  0.]]])
    """

    def __init__(
        self,
        group: Group,
        dimension: int,
        matrices: Callable[[Tensor], Tensor],
        generators: Tensor | None = None,
    ) -> None:
        self.group = group
        self.dimension = dimension
        self.matrices = matrices
        self._generators = generators

    def apply(self, elements: Tensor, x: Data) -> Data:
        """One product of matrices for each element."""
        x = self._require(x)
        rho = self.matrices(elements).to(dtype=x.dtype, device=x.device)
        flat = x.reshape(len(x), -1, self.dimension)
        return (flat @ rho.mT).reshape(len(rho), *x.shape[1:])

    def derivative(self, direction: Tensor, x: Data) -> Data:
        """(Σ v_i dρ(X_i)) x, where the generators are known."""
        if self._generators is None:
            return super().derivative(direction, x)
        x = self._require(x)
        direction = require_direction(self.group, direction).double().cpu()
        X = torch.einsum("i,ijk->jk", direction, self._generators.double())
        return x @ X.mT.to(dtype=x.dtype, device=x.device)

    def _require(self, x: Data) -> Tensor:
        x = one_tensor(x, "A matrix")
        if x.shape[-1] != self.dimension or not x.is_floating_point():
            raise InputError(
                f"A representation of dimension {self.dimension} acts on the last axis of floating "
                f"point data (..., {self.dimension}), got {tuple(x.shape)}, {x.dtype}."
            )
        return x


def vector_representation(group: Group) -> MatrixRepresentation:
    """Vectors in the last axis: turned by a rotation, left alone by a translation.

    For SE(2) and SE(3) the rotation of the rigid motion; for other groups their `matrix`.

    Examples
    --------
    >>> from repgeo.groups import SE2
    >>> vector_representation(SE2()).dimension
    2
    """
    size = group.matrix(group.identity()).shape[-1]
    if not group.name.startswith("SE("):
        basis = group.generators() if group.dimension else None
        return MatrixRepresentation(group, size, group.matrix, basis)
    basis = group.generators()[:, :-1, :-1]
    return MatrixRepresentation(group, size - 1, lambda g: group.matrix(g)[:, :-1, :-1], basis)


def regular_representation(group: Group) -> MatrixRepresentation:
    """The regular representation of a finite group, (ρ(g) x)(h) = x(g^-1 h), over `elements`.

    What the channels of a group convolution carry.

    Raises
    ------
    InputError
        If the group is not finite.

    Notes
    -----
    Elements are found by their defining matrices: O(m order^2) once per call.

    Examples
    --------
    >>> from repgeo.groups import Cyclic
    >>> regular_representation(Cyclic(3))(torch.tensor([1]), torch.tensor([[5.0, 6.0, 7.0]]))
    tensor([[[7., 5., 6.]]])
    """
    shape = tuple(group.matrix(group.identity()).shape)
    listed = group.matrix(group.elements()).flatten(1)  # (order, N N)
    order = len(listed)

    def matrices(g: Tensor) -> Tensor:
        moved = group.matrix(g).to(listed)[:, None] @ listed.reshape(order, *shape)
        gaps = torch.cdist(moved.flatten(2), listed)  # (m, order, order): of g h from each element
        return torch.nn.functional.one_hot(gaps.argmin(dim=-1), order).mT.double()

    return MatrixRepresentation(group, order, matrices)


def frequency_representation(group: Group, frequencies: Sequence[int]) -> MatrixRepresentation:
    """Rotations of the plane at multiples of the angle: the direct sum of R(k θ).

    Parameters
    ----------
    group
        One with planar rotations as matrices: SO(2), C_n.
    frequencies
        The k; each has two coordinates, also k = 0.

    Raises
    ------
    InputError
        If the group's matrices are no rotations of the plane.

    Examples
    --------
    >>> from repgeo.groups import SO2
    >>> rho = frequency_representation(SO2(), (1, 2))
    >>> rho(SO2().exp(torch.tensor([[torch.pi]])), torch.ones(1, 4)).round()
    tensor([[[-1., -1.,  1.,  1.]]])
    """
    if group.matrix(group.identity()).shape[-1] != 2 or not group.is_abelian:
        raise InputError(f"{group.name} does not consist of rotations of the plane.")
    orders = torch.tensor(list(frequencies), dtype=torch.float64)

    def matrices(g: Tensor) -> Tensor:
        planar = group.matrix(g)
        angles = torch.atan2(planar[:, 1, 0], planar[:, 0, 0])[:, None] * orders.to(planar)
        c, s = angles.cos(), angles.sin()
        blocks = torch.stack([c, -s, s, c], dim=-1).reshape(*c.shape, 2, 2)  # (m, k, 2, 2)
        return block_diagonal(blocks.unbind(dim=1))

    generators = None
    if group.dimension == 1:
        quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
        generators = block_diagonal([k * quarter for k in orders])[None]
    return MatrixRepresentation(group, 2 * len(orders), matrices, generators)
