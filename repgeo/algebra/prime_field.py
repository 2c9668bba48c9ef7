"""Arithmetic in the field of p = 2^31 - 1 elements on integer arrays: exact, without tolerances.

Elements are int64 arrays with values 0, ..., p - 1. Sums and products of two of them fit into 63
bits; products of matrices go through float64, where BLAS is fast and integers below 2^53 are exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from repgeo.errors import InputError

__all__ = [
    "PRIME",
    "Elements",
    "inverse",
    "matmul",
    "minus_product",
    "power",
    "random_elements",
    "reduced",
]

Elements: TypeAlias = NDArray[np.int64]

#: The Mersenne prime 2^31 - 1.
PRIME: Final = (1 << 31) - 1

_BITS: Final = 31
_HALF: Final = 16  # a factor is split into 15 upper and 16 lower bits, both around zero
_ROUND: Final = 1 << (_HALF - 1)
_LOWER: Final = (1 << _HALF) - 1
_DEPTH: Final = 256  # so many products of absolute value 2^15 times 2^30 are exact in float64


def reduced(x: Elements) -> Elements:
    """The residues 0, ..., p - 1 of integers of absolute value below 2^63.

    Parameters
    ----------
    x
        int64, any shape; not changed.

    Examples
    --------
    >>> reduced(np.array([-1, 0, PRIME, PRIME**2 + 5])).tolist()
    [2147483646, 0, 0, 5]
    """
    found: Elements = np.remainder(x, PRIME)
    return found


def matmul(a: Elements, b: Elements) -> Elements:
    """The product of matrices, `(..., m, k)` times `(..., k, n)`, as `np.matmul` broadcasts them.

    Parameters
    ----------
    a, b
        Residues 0, ..., p - 1.

    Notes
    -----
    Two float64 products: with residues around zero and a = 2^16 a1 + a0, sums of 256 products stay
    below 2^53; longer ones are made in parts. Cost: that, and a few passes over the result.

    Examples
    --------
    >>> a = np.array([[PRIME - 1, 2]])
    >>> matmul(a, a.T).tolist()  # (-1)^2 + 2^2
    [[5]]
    """
    return reduced(_unreduced_product(a, b))


def minus_product(c: Elements, a: Elements, b: Elements) -> Elements:
    """The matrix C - A B, in fewer passes than by its parts.

    Examples
    --------
    >>> one = np.array([[1]])
    >>> minus_product(one, one, 3 * one).tolist() == [[PRIME - 2]]
    True
    """
    return reduced(np.subtract(c, _unreduced_product(a, b)))


def _unreduced_product(a: Elements, b: Elements) -> Elements:
    """Whole numbers far below 2^63 that are the product modulo p."""
    left, right = _around_zero(a), _around_zero(b).astype(np.float64)
    upper, lower = (left + _ROUND) >> _HALF, ((left + _ROUND) & _LOWER) - _ROUND
    left_parts = upper.astype(np.float64), lower.astype(np.float64)
    found: Elements | None = None
    for start in range(0, max(a.shape[-1], 1), _DEPTH):
        here = slice(start, start + _DEPTH)
        high, low = (
            np.matmul(part[..., here], right[..., here, :]).astype(np.int64) for part in left_parts
        )
        # 2^16 h modulo 2^31 - 1 for h = 2^15 h1 + h0: the bits beyond the 31st come in again below.
        low += high >> (_BITS - _HALF)
        high &= (1 << (_BITS - _HALF)) - 1
        high <<= _HALF
        low += high
        found = low if found is None else np.add(found, low, out=found)  # far below 2^63
    assert found is not None  # there is at least one part, of depth 0 if need be
    return found


def _around_zero(x: Elements) -> Elements:
    """The same residues from -(p - 1) / 2 to (p - 1) / 2."""
    return x - PRIME * (x > PRIME // 2)


def power(x: Elements, exponent: int) -> Elements:
    """Element by element x^n for a whole number n >= 0, by repeated squaring.

    Examples
    --------
    >>> power(np.array([3, PRIME - 1]), 5).tolist() == [243, PRIME - 1]
    True
    """
    if exponent < 0:
        raise InputError(f"The exponent must be 0 or more, got {exponent}.")
    found = np.ones_like(x)
    square = x
    while exponent:
        if exponent & 1:
            found = reduced(found * square)
        exponent >>= 1
        if exponent:
            square = reduced(square * square)
    return found


def inverse(x: Elements) -> Elements:
    """Element by element 1 / x = x^(p - 2).

    Raises
    ------
    InputError
        If an element is 0.

    Examples
    --------
    >>> int(reduced(inverse(np.array([7])) * 7)[0])
    1
    """
    if not np.all(x):
        raise InputError("0 has no inverse.")
    return power(x, PRIME - 2)


def random_elements(shape: Iterable[int], generator: np.random.Generator) -> Elements:
    """Uniform elements of the field."""
    return generator.integers(0, PRIME, tuple(shape), dtype=np.int64)
