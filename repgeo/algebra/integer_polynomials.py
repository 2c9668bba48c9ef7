"""Polynomials in one variable with whole coefficients: exact roots, counted and isolated."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import TypeAlias

from repgeo.algebra.prime_field import PRIME
from repgeo.errors import InputError

__all__ = [
    "Polynomial",
    "add",
    "derivative",
    "determinant",
    "distinct_roots",
    "evaluate",
    "multiply",
    "real_roots",
]

#: Coefficients from the lowest power on; the last is not zero, and zero is ().
Polynomial: TypeAlias = tuple[int, ...]

#: An interval that contains one real root, with dyadic ends.
Interval: TypeAlias = tuple[Fraction, Fraction]


def trimmed(coefficients: Sequence[int]) -> Polynomial:
    """Without zeros at the end."""
    size = len(coefficients)
    while size and coefficients[size - 1] == 0:
        size -= 1
    return tuple(coefficients[:size])


def add(a: Polynomial, b: Polynomial, factor: int = 1) -> Polynomial:
    """The polynomial a + factor b.

    Examples
    --------
    >>> add((1, 2), (1, 2), -1), add((1,), (0, 3))
    ((), (1, 3))
    """
    size = max(len(a), len(b))
    left, right = (p + (0,) * (size - len(p)) for p in (a, b))
    return trimmed([x + factor * y for x, y in zip(left, right, strict=True)])


def multiply(a: Polynomial, b: Polynomial) -> Polynomial:
    """The product.

    Examples
    --------
    >>> multiply((1, 1), (-1, 1))
    (-1, 0, 1)
    """
    if not a or not b:
        return ()
    found = [0] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            found[i + j] += x * y
    return trimmed(found)


def derivative(a: Polynomial) -> Polynomial:
    """The derivative."""
    return tuple(power * x for power, x in enumerate(a))[1:]


def evaluate(a: Polynomial, at: Fraction) -> Fraction:
    """The value."""
    found = Fraction(0)
    for x in reversed(a):
        found = found * at + x
    return found


def _sign(a: Polynomial, at: Fraction) -> int:
    """The sign of the value, without fractions."""
    found, power = 0, 1
    for x in reversed(a):
        found = found * at.numerator + x * power
        power *= at.denominator
    return (found > 0) - (found < 0)


def determinant(matrix: Sequence[Sequence[Polynomial]]) -> Polynomial:
    """The determinant of a small matrix of polynomials, by minors.

    Examples
    --------
    >>> determinant([[(0, 1), (1,)], [(1,), (0, 1)]])
    (-1, 0, 1)
    """
    size = len(matrix)

    @cache
    def minor(row: int, columns: tuple[int, ...]) -> Polynomial:
        if row == size:
            return (1,)
        total: Polynomial = ()
        for place, column in enumerate(columns):
            rest = columns[:place] + columns[place + 1 :]
            term = multiply(matrix[row][column], minor(row + 1, rest))
            total = add(total, term, -1 if place % 2 else 1)
        return total

    return minor(0, tuple(range(size)))


def _modulo(a: Polynomial) -> Polynomial:
    return trimmed([x % PRIME for x in a])


def _divided(a: Polynomial, b: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Quotient and remainder modulo p."""
    rest, scale = list(a), pow(b[-1], -1, PRIME)
    quotient = [0] * max(0, len(a) - len(b) + 1)
    for place in range(len(quotient) - 1, -1, -1):
        factor = rest[place + len(b) - 1] * scale % PRIME
        quotient[place] = factor
        for j, y in enumerate(b):
            rest[place + j] = (rest[place + j] - factor * y) % PRIME
    return trimmed(quotient), trimmed(rest[: len(b) - 1])


def _common(a: Polynomial, b: Polynomial) -> Polynomial:
    """The greatest common divisor modulo p."""
    while b:
        a, b = b, _divided(a, b)[1]
    return a


def distinct_roots(a: Polynomial, without: Sequence[Polynomial] = ()) -> int:
    """How many distinct complex roots a polynomial has, those of others left out.

    Counted modulo p = 2^31 - 1: the number over the integers, but for a chance of about
    degree^2 / p.

    Parameters
    ----------
    a
        Not zero modulo p.
    without
        Polynomials whose roots do not count.

    Raises
    ------
    InputError
        If the polynomial is zero modulo p.

    Examples
    --------
    >>> cube = multiply(multiply((1, 1), (1, 1)), (2, 0, 1))  # (1 + x)^2 (2 + x^2)
    >>> distinct_roots(cube), distinct_roots(cube, without=[(1, 1)])
    (3, 2)
    """
    rest = _modulo(a)
    if not rest:
        raise InputError("Zero has no finite number of roots.")
    for other in map(_modulo, without):
        shared = _common(rest, other)
        while len(shared) > 1:
            rest = _divided(rest, shared)[0]
            shared = _common(rest, shared)
    return len(rest) - len(_common(rest, _modulo(derivative(rest)))) if len(rest) > 1 else 0


def _primitive(a: Sequence[int]) -> Polynomial:
    content = math.gcd(*a) if a else 1
    return tuple(x // content for x in a)


def _sturm_chain(a: Polynomial) -> list[Polynomial]:
    """Sturm's sequence, each member up to a positive factor."""
    chain = [_primitive(a), _primitive(derivative(a))]
    while len(chain[-1]) > 1:
        rest, by = list(chain[-2]), chain[-1]
        for place in range(len(rest) - len(by), -1, -1):
            factor = rest[place + len(by) - 1]
            # Multiplied by |lead|, which is positive, so that signs stay.
            lead = by[-1]
            rest = [abs(lead) * x for x in rest]
            factor *= 1 if lead > 0 else -1
            for j, y in enumerate(by):
                rest[place + j] -= factor * y
        remainder = trimmed(rest[: len(by) - 1])
        if not remainder:
            break
        chain.append(_primitive([-x for x in remainder]))
    return chain


def _variations(chain: Sequence[Polynomial], at: Fraction) -> int:
    signs = [s for s in (_sign(member, at) for member in chain) if s]
    return sum(1 for s, t in itertools.pairwise(signs) if s != t)


def real_roots(a: Polynomial, *, bits: int = 60) -> list[Interval]:
    """The distinct real roots, each in an interval of its own; proved by Descartes or Sturm.

    Parameters
    ----------
    a
        Not zero.
    bits
        Intervals are narrowed to 2^-bits times the size of the root (or of 1).

    Returns
    -------
    list
        (low, high) with low < root <= high, from the lowest root on.

    Raises
    ------
    InputError
        If the polynomial is zero.

    Examples
    --------
    >>> [float(round(high, 9)) for _, high in real_roots((-2, 0, 1))]
    [-1.414213562, 1.414213562]
    """
    if not a:
        raise InputError("Zero has no finite number of roots.")
    if len(a) == 1:
        return []
    bound = 1 << (max(abs(x) for x in a) // abs(a[-1]) + 1).bit_length()  # Cauchy's, rounded up
    alone = _isolated_by_signs(a, bound) if _is_square_free(a) else None
    if alone is None:
        alone = _isolated_by_sturm(_sturm_chain(a), bound)
    return sorted(_narrowed(a, interval, bits) for interval in alone)


def _is_square_free(a: Polynomial) -> bool:
    """Whether there are no multiple roots; no is also said where the prime divides too much."""
    reduced = _modulo(a)
    return len(reduced) == len(a) and len(_common(reduced, _modulo(derivative(reduced)))) == 1


def _isolated_by_sturm(chain: Sequence[Polynomial], bound: int) -> list[Interval]:
    """Intervals (low, high] with one root each, by Sturm's theorem; slow for long coefficients."""
    open_ones, alone = [(Fraction(-bound), Fraction(bound))], []
    while open_ones:
        low, high = open_ones.pop()
        count = _variations(chain, low) - _variations(chain, high)
        if count == 1:
            alone.append((low, high))
        elif count > 1:
            middle = (low + high) / 2
            open_ones += [(low, middle), (middle, high)]
    return alone


def _isolated_by_signs(a: Polynomial, bound: int) -> list[Interval] | None:
    """The same for simple roots, by Descartes' rule of signs; None if an end is a root itself.

    An interval is moved to (0, 1): the variations of signs of (1 + t)^n a(1 / (1 + t)) bound the
    number of roots there, and are that number where they are 0 or 1. Halved long enough, they are
    (Vincent, Collins and Akritas).
    """
    scaled = [x * bound**power for power, x in enumerate(a)]  # roots in (-1, 1)
    moved = [x << power for power, x in enumerate(_shifted(scaled, -1))]  # roots in (0, 1)
    open_ones = [(moved, Fraction(-bound), Fraction(bound))]
    alone: list[Interval] = []
    while open_ones:
        polynomial, low, high = open_ones.pop()
        if not polynomial[0]:
            return None
        signs = [x > 0 for x in _shifted(polynomial[::-1], 1) if x]
        changes = sum(s != t for s, t in itertools.pairwise(signs))
        if changes == 1:
            alone.append((low, high))
        elif changes > 1:
            middle, n = (low + high) / 2, len(polynomial) - 1
            left = [x << (n - power) for power, x in enumerate(polynomial)]
            open_ones += [(left, low, middle), (_shifted(left, 1), middle, high)]
    return alone


def _shifted(a: Sequence[int], by: int) -> list[int]:
    """The coefficients of a(t + by), for by = 1 or -1."""
    found = list(a)
    for start in range(len(found) - 1):
        for place in range(len(found) - 2, start - 1, -1):
            found[place] += found[place + 1] if by == 1 else -found[place + 1]
    return found


def _narrowed(polynomial: Polynomial, interval: Interval, bits: int) -> Interval:
    """The interval around the same root, made smaller: by signs, where the sign changes there."""
    low, high = interval
    before, after = _sign(polynomial, low), _sign(polynomial, high)
    chain = [] if before * after == -1 else _sturm_chain(polynomial)
    at_low = _variations(chain, low)
    while high - low > max(Fraction(1), abs(low)) / (1 << bits):
        middle = (low + high) / 2
        if chain:
            left = at_low != _variations(chain, middle)
        else:
            left = _sign(polynomial, middle) != before
        if left:
            high = middle
        else:
            low = middle
    return low, high
