"""Finite groups as Cayley tables."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from repgeo.errors import InputError

if TYPE_CHECKING:
    from repgeo.groups.irreducible import Irrep

__all__ = ["FiniteGroup", "Structure", "from_table", "generated_by"]

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Structure:
    """How a group was made, by which its representations have a closed form.

    Attributes
    ----------
    family
        "cyclic", "dihedral", "dicyclic", "symmetric" or "product".
    size
        The parameter n of the family (0 for products).
    factors
        The two factors of a product.
    """

    family: str
    size: int = 0
    factors: tuple[FiniteGroup, ...] = ()


@dataclass(frozen=True, eq=False)
class FiniteGroup:
    """A finite group: elements 0 to n - 1 and the table of their products.

    Two groups are equal if their tables are (see `isomorphic_to` for the same up to names). The
    axioms are checked when it is made: closure, identity, associativity (Light's test, on a
    generating set), inverses.

    Attributes
    ----------
    table
        `table[g, h]` is the product g h, `(n, n)`, int64, read-only.
    name
        What messages call it, "S3".
    labels
        What each element is called (permutations, pairs); their numbers by default.
    structure
        How it was made, if it is one of the families.

    Raises
    ------
    InputError
        Naming the axiom that fails, and elements for which it does.

    Notes
    -----
    Cost: O(n^2) for each of at most log2(n) generators.

    Examples
    --------
    >>> klein = FiniteGroup([[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]])
    >>> klein.order, klein.identity, klein.element_orders.tolist(), klein.is_abelian
    (4, 0, [1, 2, 2, 2], True)
    """

    table: Indices
    name: str = ""
    labels: Sequence[Hashable] = field(default=(), repr=False)
    structure: Structure | None = field(default=None, repr=False)

    def __init__(
        self,
        table: ArrayLike,
        name: str = "",
        labels: Sequence[Hashable] = (),
        structure: Structure | None = None,
    ) -> None:
        square = _closed(table)
        square.setflags(write=False)
        if labels and len(labels) != len(square):
            raise InputError(f"{len(labels)} labels for a group of order {len(square)}.")
        for key, value in (("table", square), ("name", name), ("structure", structure)):
            object.__setattr__(self, key, value)
        object.__setattr__(self, "labels", tuple(labels) or tuple(range(len(square))))
        identity = _identity(square)
        _require_associative(square)
        _require_inverses(square, identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FiniteGroup) and np.array_equal(self.table, other.table)

    def __hash__(self) -> int:
        return hash(self.table.tobytes())

    def __repr__(self) -> str:
        return f"<FiniteGroup {self.name or 'without a name'} of order {self.order}>"

    @property
    def order(self) -> int:
        """The number n of elements."""
        return len(self.table)

    @cached_property
    def identity(self) -> int:
        """The neutral element."""
        return _identity(self.table)

    @cached_property
    def inverses(self) -> Indices:
        """g^-1 for each g, `(n,)`."""
        inverses: Indices = np.argmax(self.table == self.identity, axis=1)
        return inverses

    @cached_property
    def element_orders(self) -> Indices:
        """The smallest k > 0 with g^k = e for each g, `(n,)`."""
        orders = np.zeros(self.order, dtype=np.int64)
        power = elements = np.arange(self.order)
        for k in range(1, self.order + 1):
            orders[(power == self.identity) & (orders == 0)] = k
            if orders.all():
                break
            power = self.table[power, elements]
        return orders

    @cached_property
    def class_numbers(self) -> Indices:
        """Which of `conjugacy_classes` each element is in, `(n,)`."""
        elements = np.arange(self.order)
        # conjugates[x, g] = g x g^-1; the smallest of them stands for the class.
        conjugates = self.table[self.table[elements[None, :], elements[:, None]], self.inverses]
        smallest = conjugates.min(axis=1)
        smallest[smallest == smallest[self.identity]] = -1  # the class of the identity comes first
        numbers: Indices = np.unique(smallest, return_inverse=True)[1]
        return numbers

    @cached_property
    def conjugacy_classes(self) -> tuple[tuple[int, ...], ...]:
        """The classes {g x g^-1}, that of the identity first."""
        numbers = self.class_numbers
        return tuple(
            tuple(np.flatnonzero(numbers == c).tolist()) for c in range(int(numbers.max()) + 1)
        )

    @cached_property
    def is_abelian(self) -> bool:
        """Whether g h = h g for all pairs."""
        return bool((self.table == self.table.T).all())

    @cached_property
    def generators(self) -> tuple[int, ...]:
        """At most log2(n) elements that generate the group; of large order first."""
        by_order = np.argsort(-self.element_orders, kind="stable")
        found: list[int] = []
        inside = np.zeros(self.order, dtype=bool)
        inside[self.identity] = True
        while not inside.all():
            found.append(int(by_order[~inside[by_order]][0]))
            inside[generated_by(self.table, [*found, self.identity])] = True
        return tuple(found)

    @cached_property
    def quotients(self) -> Indices:
        """`quotients[g, h]` = g^-1 h, `(n, n)`."""
        quotients: Indices = self.table[self.inverses]
        return quotients

    @cached_property
    def irreps(self) -> tuple[Irrep, ...]:
        """The irreducible representations, computed once; see `repgeo.groups.irreps`."""
        from repgeo.groups.irreducible import compute_irreps

        return compute_irreps(self)

    def isomorphic_to(self, other: FiniteGroup) -> Mapping[int, int] | None:
        """An isomorphism to another group, element -> element, or None if there is none.

        See `repgeo.groups.isomorphism.find_isomorphism`.

        Examples
        --------
        >>> from repgeo.groups import cyclic, dihedral, direct_product, symmetric
        >>> symmetric(3).isomorphic_to(dihedral(3)) is None
        False
        >>> cyclic(4).isomorphic_to(direct_product(cyclic(2), cyclic(2))) is None
        True
        """
        from repgeo.groups.isomorphism import find_isomorphism

        return find_isomorphism(self, other)

    def relabelled(self, order: ArrayLike) -> FiniteGroup:
        """The same group with other numbers: the new element i is the old `order[i]`.

        Raises
        ------
        InputError
            If `order` is not a permutation of the elements.

        Examples
        --------
        >>> from repgeo.groups import cyclic
        >>> cyclic(3).relabelled([1, 0, 2]).identity
        1
        """
        old = np.asarray(order, dtype=np.int64)
        if old.shape != (self.order,) or (np.sort(old) != np.arange(self.order)).any():
            raise InputError(f"A permutation of {self.order} elements is needed, got {order!r}.")
        new = np.argsort(old)
        return FiniteGroup(new[self.table[np.ix_(old, old)]], name=self.name)


def from_table(table: ArrayLike, name: str = "") -> FiniteGroup:
    """The group of a Cayley table.

    Parameters
    ----------
    table
        `table[g][h]` is the product g h, `(n, n)`, integers from 0 to n - 1.
    name
        What messages call it.

    Raises
    ------
    InputError
        Naming the axiom that fails: closure, identity, associativity or inverses.

    Examples
    --------
    >>> from_table([[0, 1], [1, 0]]).order
    2
    >>> from_table([[0, 1], [1, 1]])
    Traceback (most recent call last):
        ...
    repgeo.errors.InputError: Not a group: inverses fail, element 1 has none.
    """
    return FiniteGroup(table, name)


def generated_by(table: Indices, members: Sequence[int]) -> Indices:
    """The closure of elements under a table of products, sorted; nothing of the table is assumed.

    Examples
    --------
    >>> from repgeo.groups import cyclic
    >>> generated_by(cyclic(6).table, [2]).tolist()
    [0, 2, 4]
    """
    found = np.unique(np.asarray(members, dtype=np.int64))
    while True:
        more = np.union1d(found, table[np.ix_(found, found)])
        if len(more) == len(found):
            return found
        found = more


def _closed(table: ArrayLike) -> Indices:
    try:
        given: NDArray[Any] = np.array(table)
    except ValueError:
        raise InputError("A Cayley table is a square, got rows of different lengths.") from None
    if given.ndim != 2 or given.shape[0] != given.shape[1] or not given.size:
        raise InputError(f"A Cayley table is a square (n, n), got {given.shape}.")
    if not np.issubdtype(given.dtype, np.integer):
        raise InputError(f"A Cayley table holds integers, got {given.dtype}.")
    square = given.astype(np.int64)
    outside = np.argwhere((square < 0) | (square >= len(square)))
    if len(outside):
        g, h = outside[0]
        raise InputError(
            f"Not a group: closure fails, {g} * {h} = {square[g, h]} is not among the elements 0 "
            f"to {len(square) - 1}."
        )
    return square


def _identity(table: Indices) -> int:
    elements = np.arange(len(table))
    neutral = (table == elements).all(axis=1) & (elements == table.T).all(axis=1)
    if not neutral.any():
        raise InputError("Not a group: identity fails, no element leaves all others as they are.")
    return int(neutral.argmax())


def _require_associative(table: Indices) -> None:
    generators: list[int] = []
    inside = np.zeros(len(table), dtype=bool)
    while not inside.all():
        generators.append(int((~inside).argmax()))
        inside[generated_by(table, generators)] = True
    # The elements a with (x a) y = x (a y) for all x, y are closed under products (Light's test).
    for a in generators:
        wrong = np.argwhere(table[table[:, a]] != table[:, table[a]])
        if len(wrong):
            x, y = wrong[0]
            raise InputError(
                f"Not a group: associativity fails, ({x} * {a}) * {y} = {table[table[x, a], y]} "
                f"and {x} * ({a} * {y}) = {table[x, table[a, y]]}."
            )


def _require_inverses(table: Indices, identity: int) -> None:
    without = ~(table == identity).any(axis=1)
    if without.any():
        raise InputError(f"Not a group: inverses fail, element {int(without.argmax())} has none.")
