"""Families of finite groups, and products of groups."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.finite_group import FiniteGroup, Structure

__all__ = [
    "alternating",
    "cyclic",
    "dicyclic",
    "dihedral",
    "direct_product",
    "from_permutations",
    "named_group",
    "quaternion",
    "rotation_group",
    "semidirect_product",
    "symmetric",
]


def cyclic(n: int) -> FiniteGroup:
    """The cyclic group C_n: element k is the k-th power of a generator.

    Raises
    ------
    InputError
        If n is not positive.

    Examples
    --------
    >>> cyclic(5).table[3].tolist()
    [3, 4, 0, 1, 2]
    """
    _require_size("cyclic", n, 1)
    k = np.arange(n)
    return FiniteGroup((k[:, None] + k) % n, f"C{n}", (), Structure("cyclic", n))


def dihedral(n: int) -> FiniteGroup:
    """The dihedral group D_n of order 2n, the symmetries of a regular n-gon.

    Element k is the rotation r^k, element n + k the reflection r^k s, with s r = r^-1 s.

    Raises
    ------
    InputError
        If n is not positive.

    Examples
    --------
    >>> dihedral(4).element_orders.tolist()
    [1, 4, 2, 4, 2, 2, 2, 2]
    """
    _require_size("dihedral", n, 1)
    turn, flip = np.tile(np.arange(n), 2), np.repeat([0, 1], n)
    turns = (turn[:, None] + np.where(flip, -1, 1)[:, None] * turn) % n
    table = (flip[:, None] ^ flip) * n + turns
    return FiniteGroup(table, f"D{n}", (), Structure("dihedral", n))


def dicyclic(n: int) -> FiniteGroup:
    """The dicyclic (generalised quaternion) group Q_4n: a^2n = e, x^2 = a^n, x a = a^-1 x.

    Element k is a^k, element 2n + k is a^k x.

    Raises
    ------
    InputError
        If n is not positive.

    Examples
    --------
    >>> dicyclic(3).order, dicyclic(3).name
    (12, 'Q12')
    """
    _require_size("dicyclic", n, 1)
    power, x = np.tile(np.arange(2 * n), 2), np.repeat([0, 1], 2 * n)
    both = x[:, None] & x
    powers = (power[:, None] + np.where(x, -1, 1)[:, None] * power + n * both) % (2 * n)
    table = (x[:, None] ^ x) * 2 * n + powers
    return FiniteGroup(table, f"Q{4 * n}", (), Structure("dicyclic", n))


def quaternion() -> FiniteGroup:
    """The quaternion group Q8 = {±1, ±i, ±j, ±k}: 1, i, -1, -i, j, k, -j, -k in this order.

    Examples
    --------
    >>> group = quaternion()
    >>> group.labels[group.table[1, 4]], int(sum(group.element_orders == 2))
    ('k', 1)
    """
    made = dicyclic(2)
    labels = ("1", "i", "-1", "-i", "j", "k", "-j", "-k")
    return FiniteGroup(made.table, "Q8", labels, made.structure)


def symmetric(n: int) -> FiniteGroup:
    """The symmetric group S_n: permutations of 0 to n - 1 in lexicographic order.

    The product is composition, (p q)(i) = p(q(i)); labels are the permutations.

    Raises
    ------
    InputError
        If n is not positive, or above 7 (a table of 40,320 squared entries).

    Examples
    --------
    >>> group = symmetric(3)
    >>> group.labels[group.table[1, 2]]
    (2, 0, 1)
    """
    _require_size("symmetric", n, 1, 7)
    group = _of_permutations(list(itertools.permutations(range(n))))
    return FiniteGroup(group, f"S{n}", _permutations(n), Structure("symmetric", n))


def alternating(n: int) -> FiniteGroup:
    """The alternating group A_n: even permutations of 0 to n - 1 in lexicographic order.

    Raises
    ------
    InputError
        If n is not positive, or above 7.

    Examples
    --------
    >>> [len(c) for c in alternating(4).conjugacy_classes]
    [1, 4, 4, 3]
    """
    _require_size("alternating", n, 1, 7)
    even = [p for p in itertools.permutations(range(n)) if _inversions(p) % 2 == 0]
    return FiniteGroup(_of_permutations(even), f"A{n}", even)


def from_permutations(generators: Iterable[Sequence[int]], name: str = "") -> FiniteGroup:
    """The group that permutations of 0 to k - 1 generate; the identity is element 0.

    Raises
    ------
    InputError
        If there is none, or one is not a permutation of as many points.

    Examples
    --------
    >>> from_permutations([(1, 2, 0, 3), (1, 0, 3, 2)]).order
    12
    """
    given = [tuple(int(i) for i in p) for p in generators]
    if not given:
        raise InputError("A group of permutations needs at least one generator.")
    for p in given:
        if sorted(p) != list(range(len(given[0]))):
            raise InputError(f"{p} is not a permutation of 0 to {len(given[0]) - 1}.")
    found = {tuple(range(len(given[0]))): 0}
    for p in (queue := list(found)):
        for g in given:
            product = tuple(p[i] for i in g)
            if product not in found:
                found[product] = len(found)
                queue.append(product)
    return FiniteGroup(_of_permutations(list(found)), name, tuple(found))


def direct_product(g: FiniteGroup, h: FiniteGroup) -> FiniteGroup:
    """G x H: the pair (a, b) is element a |H| + b.

    Examples
    --------
    >>> direct_product(cyclic(2), cyclic(3)).isomorphic_to(cyclic(6)) is None
    False
    """
    m = h.order
    table = (g.table[:, None, :, None] * m + h.table[None, :, None, :]).reshape(g.order * m, -1)
    labels = tuple(itertools.product(g.labels, h.labels))
    name = f"{_bracketed(g.name)}x{_bracketed(h.name)}" if g.name and h.name else ""
    return FiniteGroup(table, name, labels, Structure("product", 0, (g, h)))


def semidirect_product(
    normal: FiniteGroup, acting: FiniteGroup, action: ArrayLike, name: str = ""
) -> FiniteGroup:
    """N ⋊ H: (a, b)(c, d) = (a φ_b(c), b d); the pair (a, b) is element a |H| + b.

    Parameters
    ----------
    normal, acting
        N and H.
    action
        `action[b][c]` = φ_b(c): for each element of H an automorphism of N, `(|H|, |N|)`.
    name
        What messages call it.

    Raises
    ------
    InputError
        If a φ_b is no automorphism, or φ no homomorphism.

    Examples
    --------
    >>> flip = [[k, -k % 4] for k in range(4)]
    >>> dihedral(4).isomorphic_to(
    ...     semidirect_product(cyclic(4), cyclic(2), list(zip(*flip)))) is None
    False
    """
    phi: NDArray[np.int64] = np.asarray(action, dtype=np.int64)
    n, m = normal.order, acting.order
    if phi.shape != (m, n) or (np.sort(phi, axis=1) != np.arange(n)).any():
        raise InputError(f"An action is a permutation of {n} elements for each of {m}.")
    for b in range(m):
        if (phi[b][normal.table] != normal.table[np.ix_(phi[b], phi[b])]).any():
            raise InputError(f"The action of element {b} is not an automorphism.")
        if (phi[acting.table[b]] != phi[b][phi]).any():
            raise InputError(f"The action is not a homomorphism: look at element {b}.")
    # a φ_b(c) for all a, b, c.
    products = normal.table[np.arange(n)[:, None, None], phi[None]]  # (a, b, c)
    table = products[:, :, :, None] * m + acting.table[None, :, None, :]
    return FiniteGroup(table.reshape(n * m, n * m), name)


_POLYHEDRA: Final = {
    # Generators: a rotation about a vertex or face, and a half turn.
    "T": ("A4", 12),
    "O": ("S4", 24),
    "I": ("A5", 60),
}


def rotation_group(kind: Literal["T", "O", "I"]) -> tuple[FiniteGroup, Tensor]:
    """The rotations of the tetrahedron, octahedron or icosahedron, orders 12, 24 and 60.

    Parameters
    ----------
    kind
        "T", "O" or "I".

    Returns
    -------
    tuple
        The group, its identity being element 0, and the rotation matrices `(n, 3, 3)`, float64.

    Raises
    ------
    InputError
        For another kind.

    Examples
    --------
    >>> group, matrices = rotation_group("I")
    >>> group.order, bool(torch.allclose(torch.linalg.det(matrices), torch.ones(60).double()))
    (60, True)
    """
    if kind not in _POLYHEDRA:
        raise InputError(f"There are rotation groups T, O and I, got {kind!r}.")
    third = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])  # about (1, 1, 1)
    half = np.diag([-1.0, -1.0, 1.0])
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    golden = (1 + 5**0.5) / 2
    # A fifth of a turn about the vertex (0, 1, golden) of the icosahedron.
    fifth = _turn(np.array([0.0, 1.0, golden]), 2 * np.pi / 5)
    second = {"T": half, "O": quarter, "I": fifth}[kind]
    found = [np.eye(3)]
    for matrix in found:
        for generator in (third, second):
            product = matrix @ generator
            if not any(np.abs(product - other).max() < 1e-6 for other in found):
                found.append(product)
    matrices = np.stack(found)  # (n, 3, 3)
    products = np.einsum("gij,hjk->ghik", matrices, matrices).reshape(-1, 9)
    table = np.argmax(products @ matrices.reshape(-1, 9).T, axis=1).reshape(len(found), -1)
    return FiniteGroup(table, kind), torch.from_numpy(matrices)


def named_group(name: str) -> FiniteGroup:
    """The group of a name: "C5", "D4" (order 8), "S3", "A4", "Q8", and products such as "C2xC2".

    T, O and I are the rotation groups of polyhedra.

    Raises
    ------
    InputError
        If the name is none of these.

    Examples
    --------
    >>> named_group("C2xC2").order, named_group("S4").order, named_group("Q8").is_abelian
    (4, 24, False)
    """
    return reduce(direct_product, [_single(part, name) for part in name.split("x")])


_FAMILIES: Final[dict[str, Callable[[int], FiniteGroup]]] = {
    "C": cyclic,
    "D": dihedral,
    "S": symmetric,
    "A": alternating,
}


def _single(part: str, name: str) -> FiniteGroup:
    if part in _POLYHEDRA:
        return rotation_group(part)[0]  # type: ignore[arg-type]
    found = re.fullmatch(r"([CDSAQ])([1-9]\d*)", part)
    if found is None or (found[1] == "Q" and int(found[2]) % 4):
        raise InputError(
            f"There is no group {name!r}. Names are C<n>, D<n> (order 2n), S<n>, A<n>, Q<4n>, T, "
            "O, I and products joined by x, 'C2xS3'."
        )
    if part == "Q8":
        return quaternion()
    return dicyclic(int(found[2]) // 4) if found[1] == "Q" else _FAMILIES[found[1]](int(found[2]))


def _bracketed(name: str) -> str:
    return f"({name})" if "⋊" in name else name


def _require_size(family: str, n: int, least: int, most: int = 1 << 15) -> None:
    if not least <= n <= most:
        raise InputError(f"{family}: n must be from {least} to {most}, got {n}.")


def _permutations(n: int) -> tuple[tuple[int, ...], ...]:
    return tuple(itertools.permutations(range(n)))


def _inversions(p: Sequence[int]) -> int:
    return sum(a > b for a, b in itertools.combinations(p, 2))


def _of_permutations(permutations: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """The table of a closed set of permutations."""
    listed = np.array(permutations, dtype=np.int64)  # (n, points)
    places = np.int64(listed.shape[1]) ** np.arange(listed.shape[1])
    codes = listed @ places
    order = np.argsort(codes)
    products = listed[:, listed]  # (g, h, points): g(h(i))
    return order[np.searchsorted(codes[order], products @ places)]


def _turn(axis: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """The rotation about an axis (Rodrigues)."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: NDArray[np.float64] = (
        np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    )
    return turned
