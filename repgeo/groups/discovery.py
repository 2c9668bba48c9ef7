"""Finding a group of which only the order is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.finite_group import FiniteGroup
from repgeo.groups.isomorphism import identify_group
from repgeo.groups.recovery import associativity_rate, homomorphism_error, latin_rate, recover_table

__all__ = [
    "Discovery",
    "candidate_dimensions",
    "discover_group",
    "pair_moments",
    "table_of_commutant",
]

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Discovery:
    """A group that was found, or the table that is none's.

    Attributes
    ----------
    table
        `(n, n)`.
    group
        None if the table fails an axiom.
    name
        By `identify_group`; "" without a group.
    dimensions
        Of the irreducible representations: those that were found, or those of the group.
    latin, associativity
        Shares of rows and columns, and of triples, that are as in a group.
    margin
        The smallest margin by which a cell was decided, relative to exact evidence.
    gap
        How clearly the evidence singles it out: from pairs, the ratio of the smallest eigenvalue
        outside the commutant to the largest inside; from weights, that of the second best
        homomorphism error over all dimensions tried to the best (infinite with one candidate).
    """

    table: Indices
    group: FiniteGroup | None
    name: str
    dimensions: tuple[int, ...]
    latin: float
    associativity: float
    margin: float
    gap: float


def discover_group(
    evidence: tuple[Tensor, Tensor] | Sequence[Tensor] | Tensor, order: int
) -> Discovery:
    """A group of which only the order is known, from observed orbit pairs or from weights.

    From pairs (x, y = g x) of complex signals, g unknown and different for each: Hermitian matrices
    H with <x, H x> = <y, H y> for all pairs are the commutant of the action, which the pairs
    determine by linear equations. On signals over the group they are constant on the pairs
    (h, h u), so that their common pattern is the Cayley table. No network is trained.

    From blocks `(n, d, d)`: the table by nearest neighbours. From a matrix `(n, n)` whose rows are
    the entries of blocks of unknown dimensions, ascending: all dimensions with sum d_i^2 = n that a
    group could have are tried, and the smallest homomorphism error wins.

    Parameters
    ----------
    evidence
        A pair of tensors `(pairs, n)`; blocks; or a matrix `(n, n)`. Coordinate 0 is the identity.
    order
        The order n.

    Returns
    -------
    Discovery
        The table, the axioms it fulfils, and the group's name.

    Raises
    ------
    InputError
        If the evidence has another shape, pairs are real, or fewer than the unknowns, n^2 - n.

    Notes
    -----
    Cost: from pairs, O(pairs n^4 + n^6); up to an order of about 40.

    Examples
    --------
    >>> from repgeo.groups import quaternion
    >>> group, generator = quaternion(), torch.Generator().manual_seed(0)
    >>> x = torch.randn(100, 8, dtype=torch.complex128, generator=generator)
    >>> g = torch.randint(8, (100,), generator=generator)
    >>> y = torch.gather(x, 1, torch.tensor(group.table)[g])
    >>> discover_group((x, y), 8).name
    'Q8'
    """
    if isinstance(evidence, Tensor):
        return _from_matrix(evidence, order)
    if isinstance(evidence, tuple) and len(evidence) == 2 and evidence[0].ndim == 2:
        if not evidence[0].is_complex():
            raise InputError(
                "Pairs must be complex: real signals do not tell a matrix of the commutant from "
                "its transpose, so that u and u^-1 stay alike."
            )
        moments, count = pair_moments(*evidence)
        if len(moments) != order**2:
            raise InputError(f"Pairs of {evidence[0].shape[1]} coordinates; the order is {order}.")
        if count < order**2 - order:
            raise InputError(
                f"{count} pairs cannot determine a group of order {order}: at least "
                f"{order**2 - order} are needed."
            )
        table, margin, gap = table_of_commutant(moments, order)
        return _discovery(table, (), margin, gap)
    if any(len(R) != order for R in evidence):
        raise InputError(f"Blocks of {len(evidence[0])} elements; the order is {order}.")
    found = recover_table(evidence)
    sizes = tuple(sorted(int(R.shape[-1]) for R in evidence))
    return _discovery(found.table, sizes, float(found.margin.min()), float("inf"))


def pair_moments(x: Tensor, y: Tensor) -> tuple[Tensor, int]:
    """Second moments of the differences of outer products, vec(x x^† - y y^†), about their mean.

    Their mean is 0 without noise, and a multiple of the identity with noise of one variance on y:
    taken about it, noise does not hide the identity from the commutant.

    Parameters
    ----------
    x, y
        `(pairs, n)`, real or complex.

    Returns
    -------
    tuple
        S `(n^2, n^2)`, Hermitian, in complex128: <H, S H> is the variance over pairs of
        <x, H x> - <y, H y>, H as vec in rows; and the number of pairs.

    Raises
    ------
    InputError
        If the shapes differ.

    Examples
    --------
    >>> x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    >>> S, _ = pair_moments(x, x.flip(1))
    >>> H = torch.tensor([[1.0, 2.0], [2.0, 1.0]]).flatten().to(S)  # the same after a flip
    >>> bool((H @ S @ H).abs() < 1e-12)
    True
    """
    if x.shape != y.shape or x.ndim != 2:
        raise InputError(
            f"Pairs have one shape (pairs, n), got {tuple(x.shape)}, {tuple(y.shape)}."
        )
    n = x.shape[1]
    total = torch.zeros(n * n, n * n, dtype=torch.complex128)
    mean = torch.zeros(n * n, dtype=torch.complex128)
    for a, b in zip(torch.split(x, 512), torch.split(y, 512), strict=True):
        outer = (_outer(part.detach().to("cpu", torch.complex128)) for part in (a, b))
        flat = next(outer) - next(outer)  # <x, H x> - <y, H y> as a linear form of vec H
        total += flat.mH @ flat
        mean += flat.sum(dim=0)
    mean /= len(x)
    return total / len(x) - torch.outer(mean.conj(), mean), len(x)


def _outer(x: Tensor) -> Tensor:
    """conj(x_h) x_k, `(pairs, n^2)`."""
    return torch.einsum("ph,pk->phk", x.conj(), x).flatten(1)


def table_of_commutant(moments: Tensor, order: int) -> tuple[Indices, float, float]:
    """The Cayley table of the group whose commutant is the null space of moments of pairs.

    Parameters
    ----------
    moments
        S of `pair_moments`, `(n^2, n^2)`.
    order
        n.

    Returns
    -------
    tuple
        The table; the smallest margin of a cell, the difference between its largest and its second
        largest entry times n (1 for exact evidence); and the ratio of the smallest eigenvalue
        outside the null space to the largest inside.

    Examples
    --------
    >>> draws = torch.Generator().manual_seed(0)
    >>> x = torch.randn(8, 2, dtype=torch.complex128, generator=draws)
    >>> table_of_commutant(pair_moments(x, x.flip(1))[0], 2)[0].tolist()
    [[0, 1], [1, 0]]
    """
    n = order
    values, vectors = torch.linalg.eigh(moments)
    inside = vectors[:, :n]  # (n^2, n): the commutant
    first = inside.reshape(n, n, n)[0]  # (u, null): entries (e, u)
    # The projector to matrices that are constant on the pairs (h, h u): 1 / n there, 0 elsewhere.
    projector = torch.einsum("uc,xc->ux", first, inside.conj()).real.reshape(n, n, n)  # (u, h, k)
    best = projector.topk(min(2, n), dim=2)
    table = best.indices[..., 0].T.contiguous().numpy()  # (h, u) -> k
    margin = n * float((best.values[..., 0] - best.values[..., -1]).min()) if n > 1 else 1.0
    floor = torch.finfo(torch.float64).eps * float(values[-1].abs())
    outside = float(values[n]) if n > 1 else float("inf")
    return table, margin, outside / max(float(values[n - 1]), floor)


def candidate_dimensions(order: int) -> tuple[tuple[int, ...], ...]:
    """The dimensions that the irreducible representations of a group of an order could have.

    Ascending, with sum d_i^2 = n; each divides n, and so does the number of ones (the order of the
    largest abelian quotient).

    Raises
    ------
    InputError
        If the order is not positive.

    Examples
    --------
    >>> candidate_dimensions(8)
    ((1, 1, 1, 1, 1, 1, 1, 1), (1, 1, 1, 1, 2))
    >>> candidate_dimensions(12)[1:]
    ((1, 1, 1, 1, 2, 2), (1, 1, 1, 3))
    """
    if order < 1:
        raise InputError(f"The order of a group is positive, got {order}.")
    divisors = [d for d in range(2, order) if order % d == 0 and d * d < order]
    found = []
    for ones in range(order, 0, -1):
        if order % ones == 0:
            found += [(1,) * ones + rest for rest in _squares(order - ones, divisors)]
    return tuple(found)


def _squares(total: int, divisors: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Ascending sequences of divisors whose squares sum to a total."""
    if total == 0:
        yield ()
        return
    for place, d in enumerate(divisors):
        if d * d <= total:
            for rest in _squares(total - d * d, divisors[place:]):
                yield (d, *rest)


def _from_matrix(weights: Tensor, order: int) -> Discovery:
    if weights.shape != (order, order):
        raise InputError(
            f"Weights of a group of order {order} are a square of {order}, got "
            f"{tuple(weights.shape)}."
        )
    W = weights.detach().to("cpu", torch.complex128)
    tried = []
    for sizes in candidate_dimensions(order):
        blocks = _blocks(W, sizes)
        if blocks is not None:
            found = recover_table(blocks)
            # Relative to the size of the matrices, so that many small blocks are not favoured.
            error = homomorphism_error(blocks, found.table) / max(sizes) ** 0.5
            tried.append((error, sizes, found))
    if not tried:
        raise InputError("No block of these weights is invertible at the identity.")
    tried.sort(key=lambda one: one[0])
    error, sizes, found = tried[0]
    second = tried[1][0] if len(tried) > 1 else float("inf")
    gap = second / max(error, torch.finfo(torch.float64).eps)
    return _discovery(found.table, sizes, float(found.margin.min()), gap)


def _blocks(W: Tensor, sizes: Sequence[int]) -> list[Tensor] | None:
    """R_i(g) = (W_i(e)^-1 W_i(g))^†, or None where some W_i(e) has no inverse."""
    blocks, start = [], 0
    for d in sizes:
        raw = W[start : start + d * d].T.reshape(-1, d, d)  # (n, d, d)
        start += d * d
        if not float(torch.linalg.cond(raw[0])) <= 1e8:  # NaN for a block of zeros
            return None
        blocks.append(torch.linalg.solve(raw[0], raw).mH)
    return blocks


def _discovery(table: Indices, sizes: tuple[int, ...], margin: float, gap: float) -> Discovery:
    try:
        group = FiniteGroup(table)
    except InputError:
        return Discovery(
            table, None, "", sizes, latin_rate(table), associativity_rate(table), margin, gap
        )
    name = identify_group(group)
    named = FiniteGroup(table, name)
    if not sizes:
        sizes = tuple(rho.dimension for rho in named.irreps)
    return Discovery(table, named, name, sizes, 1.0, 1.0, margin, gap)
