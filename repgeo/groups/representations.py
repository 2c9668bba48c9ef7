"""Representations: how the elements of a group act on data, codes and outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.acting import Group

__all__ = [
    "CallableAction",
    "Data",
    "DirectSum",
    "FieldsAction",
    "Representation",
    "Trivial",
    "map_fields",
    "one_tensor",
    "require_direction",
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
        return self.apply(self.group.require(elements), map_fields(x, lambda each: each[None]))

    def derivative(self, direction: Tensor, x: Data) -> Data:
        """d/dt ρ(exp(t v)) x at t = 0, `(n, ...)`, for a direction v `(dimension,)`.

        By forward-mode differentiation of `apply`, where a subclass has nothing better.
        """
        direction = require_direction(self.group, direction)

        def moved(t: Tensor) -> Data:
            element = self.group.exp(t * direction)[None]
            acted = self.apply(element, map_fields(x, lambda each: each[None]))
            return map_fields(acted, lambda each: each[0])

        zero = torch.zeros((), dtype=direction.dtype, device=direction.device)
        tangent: Data = torch.func.jvp(moved, (zero,), (torch.ones_like(zero),))[1]
        return tangent


def map_fields(x: Data, change: Callable[[Tensor], Tensor]) -> Data:
    """The same change of a tensor, or of each tensor of a mapping.

    Examples
    --------
    >>> map_fields({"a": torch.ones(2)}, lambda each: 2 * each)
    {'a': tensor([2., 2.])}
    """
    if isinstance(x, Tensor):
        return change(x)
    return {name: change(each) for name, each in x.items()}


def one_tensor(x: Data, what: str) -> Tensor:
    """The data, after a check that they are one tensor.

    Raises
    ------
    InputError
        If they are a mapping.
    """
    if not isinstance(x, Tensor):
        raise InputError(
            f"{what} acts on one tensor, got a mapping of {', '.join(sorted(x))}; say with "
            "FieldsAction what acts on each."
        )
    return x


def require_direction(group: Group, direction: Tensor) -> Tensor:
    """A direction in the Lie algebra, after a check of its shape.

    Raises
    ------
    InputError
        If the group is discrete, or the shape is not `(group.dimension,)`.
    """
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
        return map_fields(x, lambda each: each.expand(m, *each.shape[1:]))

    def derivative(self, direction: Tensor, x: Data) -> Data:
        """0."""
        require_direction(self.group, direction)
        return map_fields(x, torch.zeros_like)


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
    >>> from repgeo.groups import vector_representation
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
        x = one_tensor(x, "A direct sum")
        sizes = [size for _, size in self.parts]
        if x.shape[-1] != sum(sizes):
            raise InputError(f"Parts of sizes {sizes} do not fill an axis of {x.shape[-1]}.")
        pieces = zip(self.parts, x.split_with_sizes(sizes, dim=-1), strict=True)
        return torch.cat(
            [one_tensor(act(rep, piece), "A part") for (rep, _), piece in pieces], dim=-1
        )


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
            name: one_tensor(self.fields.get(name, trivial).apply(elements, each), name)
            for name, each in self._require(x).items()
        }

    def derivative(self, direction: Tensor, x: Data) -> Data:
        """Each field by its own action; 0 for the others."""
        trivial = Trivial(self.group)
        return {
            name: one_tensor(self.fields.get(name, trivial).derivative(direction, each), name)
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
            self.act(g, map_fields(x, lambda each, i=i: each[i if len(each) > 1 else 0]))  # type: ignore[misc]
            for i, g in enumerate(elements)
        ]
        if isinstance(moved[0], Tensor):
            return torch.stack([one_tensor(each, "The function") for each in moved])
        return {name: torch.stack([each[name] for each in moved]) for name in moved[0]}  # type: ignore[index]
