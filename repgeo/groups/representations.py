"""Representations: how the elements of a group act on data, codes and outputs."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.acting import Group, block_diagonal
from repgeo.groups.wigner import WignerCache, rotation_generators

__all__ = [
    "CallableAction",
    "Data",
    "DirectSum",
    "FieldsAction",
    "IrrepsRepresentation",
    "MatrixRepresentation",
    "Representation",
    "Trivial",
    "as_representation",
    "frequency_representation",
    "parse_irreps",
    "regular_representation",
    "vector_representation",
]

#: What is acted on: a batch `(n, ...)`, or named ones.
Data: TypeAlias = Tensor | Mapping[str, Tensor]


class Representation(ABC):
    """A left action of a group on batches: ρ(g h) x = ρ(g) ρ(h) x.

    Calling it acts by every element on every sample: elements `(m, *element_shape)` and data
    `(n, ...)` give `(m, n, ...)`, after a check that the elements are in the group. `apply` is the
    same without the check, for data `(m, n, ...)` that are already different for each element, or
    `(1, n, ...)`.

    Attributes
    ----------
    group
        The group that acts.
    exact
        Whether it is an action to rounding: False where data are interpolated.
    """

    group: Group
    exact: bool = True

    @abstractmethod
    def apply(self, elements: Tensor, x: Data) -> Data:
        """Element i on `x[i]`: `(m, *element_shape)` and `(m or 1, n, ...)` to `(m, n, ...)`."""

    def __call__(self, elements: Tensor, x: Data) -> Data:
        """Every element on every sample, `(m, n, ...)`.

        Raises
        ------
        InputError
            Naming an element that is not in the group.
        """
        if elements.ndim != 1 + len(self.group.element_shape):
            raise InputError(
                f"A batch of elements of {self.group.name} has "
                f"{1 + len(self.group.element_shape)} axes, got {tuple(elements.shape)}."
            )
        return self.apply(self.group.require(elements), _mapped(x, lambda each: each[None]))

    def derivative(self, direction: Tensor, x: Data) -> Data:
        """d/dt ρ(exp(t v)) x at t = 0, `(n, ...)`, for a direction v `(dimension,)`.

        By forward-mode differentiation of `apply`, where a subclass has nothing better.
        """
        direction = _require_direction(self.group, direction)

        def moved(t: Tensor) -> Data:
            element = self.group.exp(t * direction)[None]
            acted = self.apply(element, _mapped(x, lambda each: each[None]))
            return _mapped(acted, lambda each: each[0])

        zero = torch.zeros((), dtype=direction.dtype, device=direction.device)
        tangent: Data = torch.func.jvp(moved, (zero,), (torch.ones_like(zero),))[1]
        return tangent


def _mapped(x: Data, change: Callable[[Tensor], Tensor]) -> Data:
    if isinstance(x, Tensor):
        return change(x)
    return {name: change(each) for name, each in x.items()}


def _tensor(x: Data, what: str) -> Tensor:
    if not isinstance(x, Tensor):
        raise InputError(
            f"{what} acts on one tensor, got a mapping of {', '.join(sorted(x))}; say with "
            "FieldsAction what acts on each."
        )
    return x


def _require_direction(group: Group, direction: Tensor) -> Tensor:
    if not group.dimension:
        raise InputError(f"{group.name} is discrete: there is no direction to differentiate in.")
    if tuple(direction.shape) != (group.dimension,):
        raise InputError(
            f"A direction in the Lie algebra of {group.name} has shape ({group.dimension},), got "
            f"{tuple(direction.shape)}."
        )
    return direction


class Trivial(Representation):
    """The trivial action, ρ(g) x = x: an output that has it is invariant.

    Examples
    --------
    >>> from repgeo.groups import Cyclic
    >>> Trivial(Cyclic(4))(torch.arange(4), torch.ones(2, 3)).shape
    torch.Size([4, 2, 3])
    """

    def __init__(self, group: Group) -> None:
        self.group = group

    def apply(self, elements: Tensor, x: Data) -> Data:
        """x, seen once for each element."""
        m = len(elements)
        return _mapped(x, lambda each: each.expand(m, *each.shape[1:]))

    def derivative(self, direction: Tensor, x: Data) -> Data:
        """0."""
        _require_direction(self.group, direction)
        return _mapped(x, torch.zeros_like)


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
        direction = _require_direction(self.group, direction).double().cpu()
        X = torch.einsum("i,ijk->jk", direction, self._generators.double())
        return x @ X.mT.to(dtype=x.dtype, device=x.device)

    def _require(self, x: Data) -> Tensor:
        x = _tensor(x, "A matrix")
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
        acts as minus itself, times the parity.
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
        if group.element_shape != (3, 3) or group.name.startswith("SE("):
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
        direction = _require_direction(self.group, direction).double()
        parts = []
        for part, (_, degree, _) in zip(self._split(x), self.irreps, strict=True):
            basis = rotation_generators(degree).to(direction.device)
            X = torch.einsum("i,ijk->jk", direction, basis).to(dtype=x.dtype, device=x.device)
            parts.append((part.reshape(*part.shape[:-1], -1, 2 * degree + 1) @ X.mT).flatten(-2))
        return torch.cat(parts, dim=-1)

    def _block(self, degree: int, parity: int, elements: Tensor) -> Tensor:
        signs = torch.linalg.det(elements.double()).sign()[:, None, None]
        D = self.cache.matrices(degree, signs * elements.double())
        return D * signs if parity < 0 else D

    def _split(self, x: Tensor) -> tuple[Tensor, ...]:
        return x.split_with_sizes(
            [mul * (2 * degree + 1) for mul, degree, _ in self.irreps], dim=-1
        )

    def _require(self, x: Data) -> Tensor:
        x = _tensor(x, "A representation by irreps")
        if x.shape[-1] != self.dimension or not x.is_floating_point():
            raise InputError(
                f"These irreps have dimension {self.dimension}; they act on the last axis of "
                f"floating point data (..., {self.dimension}), got {tuple(x.shape)}, {x.dtype}."
            )
        return x


class DirectSum(Representation):
    """Representations side by side on consecutive pieces of the last axis.

    Parameters
    ----------
    parts
        `(representation, size)`: what acts on how many coordinates.

    Raises
    ------
    InputError
        If there is no part, or they are of different groups.

    Examples
    --------
    >>> from repgeo.groups import SO2
    >>> rho = DirectSum([(vector_representation(SO2()), 2), (Trivial(SO2()), 1)])
    >>> rho(SO2().exp(torch.tensor([[torch.pi]])), torch.ones(1, 3)).round()
    tensor([[[-1., -1.,  1.]]])
    """

    def __init__(self, parts: Sequence[tuple[Representation, int]]) -> None:
        if not parts:
            raise InputError("A direct sum needs at least one part.")
        self.parts = tuple(parts)
        self.group = parts[0][0].group
        self.exact = all(rep.exact for rep, _ in parts)
        for rep, _ in parts:
            if rep.group != self.group:
                raise InputError(
                    f"Parts of a direct sum represent one group, got {self.group.name} and "
                    f"{rep.group.name}."
                )

    def apply(self, elements: Tensor, x: Data) -> Data:
        """Each part on its piece."""
        return self._each(x, lambda rep, piece: rep.apply(elements, piece))

    def derivative(self, direction: Tensor, x: Data) -> Data:
        """Each part on its piece."""
        return self._each(x, lambda rep, piece: rep.derivative(direction, piece))

    def _each(self, x: Data, act: Callable[[Representation, Tensor], Data]) -> Tensor:
        x = _tensor(x, "A direct sum")
        sizes = [size for _, size in self.parts]
        if x.shape[-1] != sum(sizes):
            raise InputError(f"Parts of sizes {sizes} do not fill an axis of {x.shape[-1]}.")
        pieces = zip(self.parts, x.split_with_sizes(sizes, dim=-1), strict=True)
        return torch.cat([_tensor(act(rep, piece), "A part") for (rep, _), piece in pieces], dim=-1)


class FieldsAction(Representation):
    """Named tensors of one sample, each with an action of its own.

    Parameters
    ----------
    fields
        Name -> representation; tensors that are not named are left as they are.

    Raises
    ------
    InputError
        If there is no field, or they are of different groups.

    Examples
    --------
    >>> from repgeo.groups import SO3, PointCloudAction
    >>> rho = FieldsAction({"positions": PointCloudAction(SO3())})
    >>> molecule = {"positions": torch.ones(5, 4, 3), "charges": torch.ones(5, 4)}
    >>> {name: tuple(each.shape) for name, each in rho(SO3().sample(2), molecule).items()}
    {'positions': (2, 5, 4, 3), 'charges': (2, 5, 4)}
    """

    def __init__(self, fields: Mapping[str, Representation]) -> None:
        if not fields:
            raise InputError("An action on fields needs at least one field.")
        self.fields = dict(fields)
        first = next(iter(self.fields.values()))
        self.group = first.group
        self.exact = all(rep.exact for rep in self.fields.values())
        for name, rep in self.fields.items():
            if rep.group != self.group:
                raise InputError(
                    f"Fields are acted on by one group, got {self.group.name} and, for {name!r}, "
                    f"{rep.group.name}."
                )

    def apply(self, elements: Tensor, x: Data) -> Data:
        """Each field by its own action."""
        trivial = Trivial(self.group)
        return {
            name: _tensor(self.fields.get(name, trivial).apply(elements, each), name)
            for name, each in self._require(x).items()
        }

    def derivative(self, direction: Tensor, x: Data) -> Data:
        """Each field by its own action; 0 for the others."""
        trivial = Trivial(self.group)
        return {
            name: _tensor(self.fields.get(name, trivial).derivative(direction, each), name)
            for name, each in self._require(x).items()
        }

    def _require(self, x: Data) -> Mapping[str, Tensor]:
        if isinstance(x, Tensor) or set(self.fields) - set(x):
            given = "one tensor" if isinstance(x, Tensor) else f"{', '.join(sorted(x))}"
            raise InputError(
                f"The action is on the fields {', '.join(sorted(self.fields))}; got {given}."
            )
        return x


class CallableAction(Representation):
    """A function (element, batch) -> batch as an action; one call for each element.

    Parameters
    ----------
    group
        The group.
    act
        From one element `(*element_shape)` and data `(n, ...)` to `(n, ...)`.
    exact
        Whether it is an action to rounding.

    Examples
    --------
    >>> from repgeo.groups import Cyclic
    >>> roll = CallableAction(Cyclic(3), lambda k, x: x.roll(int(k), dims=-1))
    >>> roll(torch.tensor([1]), torch.tensor([[1, 2, 3]]))
    tensor([[[3, 1, 2]]])
    """

    def __init__(
        self, group: Group, act: Callable[[Tensor, Data], Data], *, exact: bool = True
    ) -> None:
        self.group = group
        self.act = act
        self.exact = exact

    def apply(self, elements: Tensor, x: Data) -> Data:
        """One call for each element."""
        moved = [
            self.act(g, _mapped(x, lambda each, i=i: each[i if len(each) > 1 else 0]))  # type: ignore[misc]
            for i, g in enumerate(elements)
        ]
        if isinstance(moved[0], Tensor):
            return torch.stack([_tensor(each, "The function") for each in moved])
        return {name: torch.stack([each[name] for each in moved]) for name in moved[0]}  # type: ignore[index]


def as_representation(
    given: object, group: Group, cache: WignerCache | None = None
) -> Representation:
    """A representation of whatever is accepted as one.

    Parameters
    ----------
    given
        A `Representation`; "invariant" (or "trivial"), "vector", "regular", "points"; irreps
        ("8x0e+1o", or an e3nn Irreps); matrices of all elements of a finite group that is numbered
        (C_n, D_n), `(order, d, d)`; or a function (element, batch) -> batch.
    group
        What it must represent: the elements of the group must be of the shape that it takes.
    cache
        For irreps.

    Raises
    ------
    InputError
        If it is none of these, or represents a group with other elements.

    Examples
    --------
    >>> from repgeo.groups import SO3
    >>> as_representation("1o", SO3()).dimension
    3
    """
    if isinstance(given, Representation):
        shape, wanted = given.group.element_shape, group.element_shape
        if shape != wanted or given.group.is_integer != group.is_integer:
            raise InputError(
                f"The representation is of {given.group.name}, whose elements are {shape}; those "
                f"of {group.name} are {wanted}."
            )
        return given
    if given in ("invariant", "trivial"):
        return Trivial(group)
    if given == "vector":
        return vector_representation(group)
    if given == "regular":
        return regular_representation(group)
    if given == "points":
        from repgeo.groups.data_actions import PointCloudAction

        return PointCloudAction(group)
    if isinstance(given, Tensor):
        return _listed_matrices(given, group)
    if isinstance(given, str) or type(given).__name__ in ("Irreps", "Irrep"):
        return IrrepsRepresentation(group, given, cache)
    if callable(given):
        return CallableAction(group, given)
    raise InputError(
        "A representation is 'invariant', 'vector', 'regular', 'points', irreps as '8x0e+1o', "
        f"matrices (order, d, d), a function or a Representation; got {type(given).__name__}."
    )


def _listed_matrices(matrices: Tensor, group: Group) -> MatrixRepresentation:
    if not group.is_integer or group.element_shape or matrices.shape[:1] != (group.order,):
        raise InputError(
            f"Matrices are listed for groups with numbered elements (C_n, D_n), one for each; got "
            f"{tuple(matrices.shape)} for {group.name}."
        )
    return MatrixRepresentation(group, matrices.shape[-1], lambda g: matrices[g])
