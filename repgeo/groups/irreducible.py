"""Irreducible unitary representations of finite groups."""

from __future__ import annotations

import cmath
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError, NonFiniteError
from repgeo.groups.finite_group import FiniteGroup

__all__ = ["Irrep", "character_table", "compute_irreps", "irreps", "numerical_irreps"]

_COMPLEX: Final = torch.complex128
Kind = Literal["real", "complex", "quaternionic"]


@dataclass(frozen=True, eq=False)
class Irrep:
    """An irreducible unitary representation.

    Attributes
    ----------
    matrices
        ρ(g) for each element, `(n, d, d)`, complex128.
    name
        What tables call it.
    """

    matrices: Tensor
    name: str

    @property
    def dimension(self) -> int:
        """The dimension d."""
        return int(self.matrices.shape[-1])

    @cached_property
    def character(self) -> Tensor:
        """χ(g) = tr ρ(g), `(n,)`, complex128."""
        return torch.einsum("gii->g", self.matrices)

    @cached_property
    def kind(self) -> Kind:
        """Its Frobenius-Schur type, by the indicator mean_g χ(g^2) = 1, 0 or -1.

        "real" (equivalent to real matrices), "complex" (not equivalent to its conjugate), or
        "quaternionic" (equivalent to its conjugate, but not to real matrices).

        Examples
        --------
        >>> from repgeo.groups import cyclic, irreps, quaternion
        >>> [rho.kind for rho in irreps(cyclic(3))], irreps(quaternion())[-1].kind
        (['real', 'complex', 'complex'], 'quaternionic')
        """
        squares = torch.einsum("gij,gji->g", self.matrices, self.matrices)
        indicator = round(float(squares.mean().real))
        kinds: dict[int, Kind] = {1: "real", 0: "complex", -1: "quaternionic"}
        return kinds[indicator]


def irreps(group: FiniteGroup) -> tuple[Irrep, ...]:
    """All irreducible unitary representations of a group, one of each class, by dimension.

    The trivial one comes first. Cyclic, dihedral, dicyclic and symmetric groups and products of any
    have closed forms; all others go by `numerical_irreps`. Computed once for each group object.

    Parameters
    ----------
    group
        The group.

    Returns
    -------
    tuple of Irrep
        As many as there are conjugacy classes; the squares of the dimensions sum to the order.

    Examples
    --------
    >>> from repgeo.groups import named_group
    >>> [rho.dimension for rho in irreps(named_group("S4"))]
    [1, 1, 2, 3, 3]
    """
    return group.irreps


def character_table(group: FiniteGroup) -> Tensor:
    """χ of each irreducible representation on each conjugacy class, `(classes, classes)`.

    Examples
    --------
    >>> from repgeo.groups import symmetric
    >>> character_table(symmetric(3)).real.round().int().tolist()
    [[1, 1, 1], [1, -1, 1], [2, 0, -1]]
    """
    first = [members[0] for members in group.conjugacy_classes]
    return torch.stack([rho.character[first] for rho in group.irreps])


def compute_irreps(group: FiniteGroup) -> tuple[Irrep, ...]:
    """The representations of `irreps`, computed now."""
    made = group.structure
    if made is None:
        return numerical_irreps(group)
    if made.family == "product":
        first, second = (factor.irreps for factor in made.factors)
        found = [
            Irrep(_kron(a.matrices, b.matrices), f"{a.name},{b.name}")
            for a in first
            for b in second
        ]
    elif made.family == "symmetric":
        found = [Irrep(m, name) for name, m in _young(group, made.size)]
    elif made.family == "cyclic":
        found = [Irrep(m, name) for name, m in _cyclic(made.size)]
    else:
        family = {"dihedral": _dihedral, "dicyclic": _dicyclic}[made.family]
        found = [Irrep(_by_words(group, images), name) for name, images in family(made.size)]
    return tuple(sorted(found, key=lambda rho: rho.dimension))


def numerical_irreps(group: FiniteGroup, *, seed: int = 0) -> tuple[Irrep, ...]:
    """The irreducible representations of any table, by the commutant of the regular one.

    A random Hermitian matrix that commutes with all left translations L_g, H[x, y] = c(x^-1 y) with
    c(u^-1) the conjugate of c(u), has eigenspaces on which L_g acts irreducibly, d_i of them for
    each representation of dimension d_i; one of each character is kept.

    Parameters
    ----------
    group
        The group; how it was made is not used.
    seed
        Of the random matrix.

    Returns
    -------
    tuple of Irrep
        By dimension, the trivial one first.

    Raises
    ------
    NonFiniteError
        If five random matrices in turn have eigenvalues that cannot be told apart.

    Notes
    -----
    Cost: one eigendecomposition of an n x n matrix, and O(n^2) for each of its sum_i d_i
    eigenspaces.

    Examples
    --------
    >>> from repgeo.groups import alternating
    >>> [rho.dimension for rho in numerical_irreps(alternating(4))]
    [1, 1, 1, 3]
    """
    for attempt in range(5):
        found = _split_regular(group, seed + attempt)
        if sum(m.shape[-1] ** 2 for m in found) == group.order:
            found.sort(key=lambda m: (m.shape[-1], _character_key(m)))
            letters: dict[int, int] = {}
            named = []
            for matrices in found:
                d = int(matrices.shape[-1])
                letters[d] = letters.get(d, -1) + 1
                named.append(Irrep(matrices, f"{d}{_letters(letters[d])}"))
            return tuple(named)
    raise NonFiniteError(
        f"The regular representation of {group!r} could not be split: eigenvalues coincide. "
        "Give another seed."
    )


def _letters(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else f"[{number}]"


def _character_key(matrices: Tensor) -> tuple[float, ...]:
    character = torch.einsum("gii->g", matrices)
    rounded = torch.view_as_real(character).reshape(-1).mul(1e6).round()
    # Descending, so that the trivial representation, all ones, comes first of its dimension.
    return tuple((-rounded).tolist())


def _split_regular(group: FiniteGroup, seed: int) -> list[Tensor]:
    """Inequivalent representations on eigenspaces of a random element of the commutant."""
    n = group.order
    draws = np.random.default_rng(seed)
    c = draws.standard_normal(n) + 1j * draws.standard_normal(n)
    c = c + np.conj(c[group.inverses])
    quotients = torch.tensor(group.quotients)  # (x, y) -> x^-1 y
    values, vectors = torch.linalg.eigh(torch.from_numpy(c)[quotients])
    spread = float(values[-1] - values[0]) + 1.0
    edges = [0, *(1 + torch.nonzero(values.diff() > 1e-9 * spread)[:, 0]).tolist(), n]
    found: list[Tensor] = []
    characters: list[Tensor] = []
    for low, high in itertools.pairwise(edges):
        V = vectors[:, low:high]  # (n, d)
        moved = V[quotients]  # (g, x, d): the translate of each basis function by g
        matrices = torch.einsum("xd,gxe->gde", V.conj(), moved)
        character = torch.einsum("gii->g", matrices)
        irreducible = abs(float(character.abs().square().mean()) - 1) < 1e-6
        new = all(abs(complex((character.conj() * k).mean())) < 0.5 for k in characters)
        if irreducible and new:
            found.append(matrices)
            characters.append(character)
    return found


def _kron(a: Tensor, b: Tensor) -> Tensor:
    """ρ(g) ⊗ σ(h) for all pairs, `(n m, d e, d e)`."""
    (n, d, _), (m, e, _) = a.shape, b.shape
    return torch.einsum("gij,hkl->ghikjl", a, b).reshape(n * m, d * e, d * e)


Images = Mapping[int, Tensor]


def _matrix(rows: Sequence[Sequence[complex]]) -> Tensor:
    return torch.tensor(rows, dtype=_COMPLEX)


def _by_words(group: FiniteGroup, images: Images) -> Tensor:
    """A representation from the matrices of generators, `(n, d, d)`."""
    (d, _) = next(iter(images.values())).shape
    matrices = torch.zeros(group.order, d, d, dtype=_COMPLEX)
    matrices[group.identity] = torch.eye(d, dtype=_COMPLEX)
    reached = np.zeros(group.order, dtype=bool)
    reached[group.identity] = True
    frontier = np.array([group.identity])
    while len(frontier):
        fresh = []
        for generator, image in images.items():
            products = group.table[frontier, generator]
            new, at = np.unique(products[~reached[products]], return_index=True)
            parents = frontier[~reached[products]][at]
            matrices[new] = matrices[parents] @ image
            reached[new] = True
            fresh.append(new)
        frontier = np.concatenate(fresh)
    return matrices


def _cyclic(n: int) -> list[tuple[str, Tensor]]:
    roots = torch.tensor([_root(k, n) for k in range(n)], dtype=_COMPLEX)
    k = torch.arange(n)
    return [(f"{frequency}", roots[frequency * k % n, None, None]) for frequency in range(n)]


def _root(k: int, n: int) -> complex:
    """exp(2 pi i k / n), exact at multiples of a quarter."""
    k %= n
    if 4 * k % n == 0:
        return (1, 1j, -1, -1j)[4 * k // n]
    return cmath.exp(2j * math.pi * k / n)


def _dihedral(n: int) -> Iterator[tuple[str, Images]]:
    r, s = 1 % n, n
    for turn in (1, -1) if n % 2 == 0 else (1,):
        for flip in (1, -1):
            images = {s: _matrix([[flip]])} | ({r: _matrix([[turn]])} if n > 1 else {})
            yield f"A{'+' if turn > 0 else '-'}{'+' if flip > 0 else '-'}", images
    for k in range(1, (n + 1) // 2):
        w = _root(k, n)
        turned = _matrix([[w.real, -w.imag], [w.imag, w.real]])
        yield f"E{k}", {r: turned, s: _matrix([[1, 0], [0, -1]])}


def _dicyclic(n: int) -> Iterator[tuple[str, Images]]:
    a, x = 1, 2 * n
    for sign in (1, -1):
        root = 1 if sign > 0 or n % 2 == 0 else 1j  # a square root of sign^n
        for flip in (root, -root):
            word = "+" if flip == root else "-"
            yield f"A{'+' if sign > 0 else '-'}{word}", {a: _matrix([[sign]]), x: _matrix([[flip]])}
    for k in range(1, n):
        w = _root(k, 2 * n)
        images = {a: _matrix([[w, 0], [0, w.conjugate()]]), x: _matrix([[0, (-1) ** k], [1, 0]])}
        yield f"E{k}", images


def _young(group: FiniteGroup, n: int) -> Iterator[tuple[str, Tensor]]:
    """Young's orthogonal form: adjacent transpositions act on standard tableaux."""
    labels = {label: index for index, label in enumerate(group.labels)}
    swaps = {}
    for i in range(n - 1):
        p = list(range(n))
        p[i], p[i + 1] = p[i + 1], p[i]
        swaps[i] = labels[tuple(p)]
    for shape in _partitions(n):
        tableaux = list(_standard_tableaux(shape))
        numbers = {t: k for k, t in enumerate(tableaux)}
        images = {}
        for i, swap in swaps.items():
            matrix = torch.zeros(len(tableaux), len(tableaux), dtype=_COMPLEX)
            for k, tableau in enumerate(tableaux):
                (row, column), (below, beside) = tableau[i], tableau[i + 1]
                inverse = 1 / ((beside - below) - (column - row))  # of the axial distance
                matrix[k, k] = inverse
                other = list(tableau)
                other[i], other[i + 1] = other[i + 1], other[i]
                if tuple(other) in numbers:
                    matrix[numbers[tuple(other)], k] = math.sqrt(1 - inverse**2)
            images[swap] = matrix
        name = "+".join(map(str, shape))
        yield name, _by_words(group, images or {group.identity: torch.ones(1, 1, dtype=_COMPLEX)})


def _partitions(n: int, largest: int | None = None) -> Iterator[tuple[int, ...]]:
    if n == 0:
        yield ()
        return
    for first in range(min(n, largest or n), 0, -1):
        for rest in _partitions(n - first, first):
            yield (first, *rest)


#: The cell (row, column) of each number.
Tableau = tuple[tuple[int, int], ...]


def _standard_tableaux(shape: tuple[int, ...]) -> Iterator[Tableau]:
    if not sum(shape):
        yield ()
        return
    for row, length in enumerate(shape):
        below = shape[row + 1] if row + 1 < len(shape) else 0
        if length > below:  # the largest number is in a corner
            smaller = (*shape[:row], length - 1, *shape[row + 1 :])
            for tableau in _standard_tableaux(smaller):
                yield (*tableau, (row, length - 1))


def require_signal(signal: Tensor, group: FiniteGroup) -> Tensor:
    """A signal `(..., n)` on a group, complex in its own precision.

    Raises
    ------
    InputError
        If the last axis is not the group's, or the numbers are not floating or complex.
    """
    if not isinstance(signal, Tensor) or signal.ndim < 1 or signal.shape[-1] != group.order:
        given = tuple(signal.shape) if isinstance(signal, Tensor) else type(signal).__name__
        raise InputError(
            f"A signal on a group of order {group.order} has shape (..., {group.order}), got "
            f"{given}."
        )
    if signal.is_complex():
        return signal
    if not signal.is_floating_point():
        raise InputError(f"A signal holds real or complex numbers, got {signal.dtype}.")
    return signal.to(signal.dtype.to_complex())
