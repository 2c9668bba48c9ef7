"""Rank and null spaces of matrices over the field of p = 2^31 - 1 elements."""

from __future__ import annotations

import importlib.util
from typing import Final, Literal, TypeAlias

import numpy as np

from repgeo.algebra.prime_field import (
    PRIME,
    Elements,
    matmul,
    minus_product,
    random_elements,
    reduced,
)
from repgeo.errors import InputError, MissingExtraError

__all__ = ["RankMethod", "compressed", "exact_rank", "left_null_space"]

#: What computes a rank: python-flint, elimination in blocks with numpy, or plain elimination, the
#: slow reference of both.
RankMethod: TypeAlias = Literal["auto", "flint", "numpy", "plain"]

_LEAF: Final = 16  # columns that are eliminated one by one
_SMALL: Final = 32  # rows of a triangle that is inverted
_FLINT: Final = (
    1 << 17
)  # entries up to which python-flint is faster, numbers handed over one by one


def exact_rank(matrix: Elements, *, method: RankMethod = "auto") -> int:
    """The rank of a matrix of residues `(n, m)`.

    Parameters
    ----------
    matrix
        Residues 0, ..., p - 1; not changed.
    method
        "flint": `nmod_mat.rank` of python-flint. "numpy": elimination in blocks, whose work is in
        matrix products. "plain": row by row. "auto": the fastest at hand. All give the same number.

    Raises
    ------
    InputError
        If it is not a matrix of residues.
    MissingExtraError
        If "flint" is asked for and not installed.

    Notes
    -----
    The rank modulo p of an integer matrix is at most its rank over the rational numbers, so it
    proves a lower bound. Cost: O(n m rank) operations; 2000 x 2050 takes one to two seconds.

    Examples
    --------
    >>> exact_rank(np.array([[1, 2], [PRIME - 1, PRIME - 2]]))
    1
    """
    if matrix.ndim != 2 or matrix.dtype != np.int64:
        raise InputError(
            f"exact_rank takes an int64 matrix, got {matrix.dtype} of shape {matrix.shape}."
        )
    if matrix.size and (matrix.min() < 0 or matrix.max() >= PRIME):
        raise InputError(f"exact_rank takes residues from 0 to {PRIME - 1}.")
    if not matrix.size:
        return 0
    if method == "auto" and matrix.size <= _FLINT and importlib.util.find_spec("flint") is not None:
        method = "flint"
    if method == "flint":
        return _rank_by_flint(matrix)
    if method == "plain":
        return _plain_rank(matrix)
    if method not in ("auto", "numpy"):
        raise InputError(f"Unknown method {method!r}. Known: auto, flint, numpy, plain.")
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    return int(_lower_factor(np.ascontiguousarray(tall))[1].shape[1])


def _rank_by_flint(matrix: Elements) -> int:
    if importlib.util.find_spec("flint") is None:
        raise MissingExtraError("python-flint", "algebra", "The exact rank by flint")
    import flint

    n, m = matrix.shape
    return int(flint.nmod_mat(n, m, matrix.ravel().tolist(), PRIME).rank())


def _lower_factor(matrix: Elements) -> tuple[Elements, Elements]:
    """An order of the rows, and the factor L of (rows in that order) = L E, `(n, rank)`.

    L is unit lower trapezoidal. The columns are halved until few are left: what the left half
    leaves of the right one is a matrix product.
    """
    n, m = matrix.shape
    if m <= _LEAF or n <= 1:
        return _leaf_factor(matrix)
    half = m // 2
    order, left = _lower_factor(matrix[:, :half])
    r = left.shape[1]
    if r == n:
        return order, left
    right = matrix[order, half:]
    if r:
        top = _solve_unit_lower(left[:r], right[:r])
        right = minus_product(right[r:], left[r:], top)
    rest_order, rest = _lower_factor(right)
    found = np.zeros((n, r + rest.shape[1]), dtype=np.int64)
    found[:r, :r] = left[:r]
    found[r:, :r] = left[r:][rest_order]
    found[r:, r:] = rest
    return np.concatenate([order[:r], order[r:][rest_order]]), found


def _leaf_factor(matrix: Elements) -> tuple[Elements, Elements]:
    """`_lower_factor` column by column; columns lie in rows here, where they are contiguous."""
    columns = np.ascontiguousarray(matrix.T)
    m, n = columns.shape
    order = np.arange(n)
    factor, done = np.zeros((m, n), dtype=np.int64), 0
    for place in range(m):
        found = np.flatnonzero(columns[place, done:])
        if not len(found):
            continue
        pivot = done + int(found[0])
        if pivot != done:
            for array in (columns, factor, order):
                array[..., [done, pivot]] = array[..., [pivot, done]]
        scale = pow(int(columns[place, done]), -1, PRIME)
        multiples = reduced(columns[place, done + 1 :] * scale)
        factor[done, done] = 1
        factor[done, done + 1 :] = multiples
        rest = columns[place + 1 :, done + 1 :]
        rest -= columns[place + 1 :, done, None] * multiples  # below 2^62
        np.remainder(rest, PRIME, out=rest)
        done += 1
        if done == n:
            break
    return order, np.ascontiguousarray(factor[:done].T)


def _solve_unit_lower(lower: Elements, right: Elements) -> Elements:
    """X with L X = B, L unit lower triangular `(r, r)`, B `(r, m)`."""
    r = len(lower)
    if r <= _SMALL:
        return matmul(_inverse_unit_lower(lower), right)
    half = r // 2
    top = _solve_unit_lower(lower[:half, :half], right[:half])
    rest = minus_product(right[half:], lower[half:, :half], top)
    return np.concatenate([top, _solve_unit_lower(lower[half:, half:], rest)])


def _inverse_unit_lower(lower: Elements) -> Elements:
    """The inverse of a small unit lower triangular matrix, row by row."""
    found = np.eye(len(lower), dtype=np.int64)
    for row in range(len(lower) - 1):
        product = lower[row + 1 :, row, None] * found[row]  # below 2^62
        found[row + 1 :] = reduced(found[row + 1 :] - product)
    return found


def _plain_rank(matrix: Elements) -> int:
    rows, done = matrix.copy(), 0
    for column in range(rows.shape[1]):
        found = np.flatnonzero(rows[done:, column])
        if not len(found):
            continue
        pivot = done + int(found[0])
        rows[[done, pivot]] = rows[[pivot, done]]
        scale = pow(int(rows[done, column]), -1, PRIME)
        multiples = rows[done + 1 :, column] * scale % PRIME
        rows[done + 1 :, column:] -= multiples[:, None] * rows[done, column:]  # below 2^62
        rows[done + 1 :, column:] %= PRIME
        done += 1
        if done == len(rows):
            break
    return done


def _echelon(matrix: Elements) -> tuple[Elements, list[int]]:
    """The reduced row echelon form and the columns of its pivots, row by row."""
    rows = matrix.copy()
    pivots: list[int] = []
    for column in range(rows.shape[1]):
        done = len(pivots)
        found = np.flatnonzero(rows[done:, column])
        if not len(found):
            continue
        pivot = done + int(found[0])
        rows[[done, pivot]] = rows[[pivot, done]]
        rows[done] = rows[done] * pow(int(rows[done, column]), -1, PRIME) % PRIME
        multiples = rows[:, column].copy()
        multiples[done] = 0
        touched = np.flatnonzero(multiples)
        rows[touched] = (rows[touched] - multiples[touched, None] * rows[done] % PRIME) % PRIME
        pivots.append(column)
        if done + 1 == len(rows):
            break
    return rows, pivots


def left_null_space(matrix: Elements) -> Elements:
    """A basis of the row vectors u with u M = 0, `(n - rank, n)`.

    Parameters
    ----------
    matrix
        Residues `(n, m)`.

    Examples
    --------
    >>> left_null_space(np.array([[1, 1], [1, 1]])).tolist() == [[PRIME - 1, 1]]
    True
    """
    n = len(matrix)
    rows, pivots = _echelon(matrix.T)
    free = [column for column in range(n) if column not in pivots]
    basis = np.zeros((len(free), n), dtype=np.int64)
    for place, column in enumerate(free):
        basis[place, column] = 1
        basis[place, pivots] = reduced(-rows[: len(pivots), column])
    return basis


def compressed(matrix: Elements, size: int, generator: np.random.Generator) -> Elements:
    """Random combinations of the rows and columns of a matrix: at most `size` of each.

    Their rank is at most that of the matrix, so that lower bounds stay proved; it is the smaller of
    that and `size`, but for a chance of about size / p.
    """
    n, m = matrix.shape
    if m > size:
        matrix = matmul(matrix, random_elements((m, size), generator))
    if n > size:
        matrix = matmul(random_elements((size, n), generator), matrix)
    return matrix
