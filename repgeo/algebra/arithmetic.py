"""The numbers in which networks are evaluated: elements of a prime field, or reals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from repgeo.algebra import prime_field
from repgeo.algebra.rank import exact_rank, left_null_space

__all__ = ["EXACT", "REAL", "Arithmetic", "Numbers"]

#: int64 residues, or float64 reals.
Numbers: TypeAlias = NDArray[Any]


class Arithmetic(Protocol):
    """What a network needs of its numbers."""

    dtype: type[Any]

    def normal_form(self, x: Numbers) -> Numbers:
        """The sum or difference of two numbers as a number again."""

    def multiply(self, a: Numbers, b: Numbers) -> Numbers:
        """The product, element by element."""

    def matmul(self, a: Numbers, b: Numbers) -> Numbers:
        """The product of matrices, with batches in front."""

    def power(self, x: Numbers, exponent: int) -> Numbers:
        """The power with a whole exponent, element by element."""

    def inverse(self, x: Numbers) -> Numbers:
        """1 / x, element by element."""

    def normaliser(self, scores: Numbers) -> tuple[Numbers, Numbers]:
        """The function of the scores that attention is normalised with, and its derivative."""

    def draw(self, shape: Iterable[int], generator: np.random.Generator) -> Numbers:
        """Numbers at random: uniform residues, or standard normal reals."""

    def rank(self, matrix: Numbers) -> int:
        """The rank of a matrix."""

    def left_null_space(self, matrix: Numbers) -> Numbers:
        """A basis of the rows u with u M = 0."""


class _Exact:
    """The field of 2^31 - 1 elements: see `repgeo.algebra.prime_field`."""

    dtype = np.int64

    def normal_form(self, x: Numbers) -> Numbers:
        return prime_field.reduced(x)

    def multiply(self, a: Numbers, b: Numbers) -> Numbers:
        product: Numbers = np.multiply(a, b)
        np.remainder(product, prime_field.PRIME, out=product)
        return product

    def matmul(self, a: Numbers, b: Numbers) -> Numbers:
        return prime_field.matmul(a, b)

    def power(self, x: Numbers, exponent: int) -> Numbers:
        return prime_field.power(x, exponent)

    def inverse(self, x: Numbers) -> Numbers:
        return prime_field.inverse(x)

    def normaliser(self, scores: Numbers) -> tuple[Numbers, Numbers]:
        """1 + s + s^2 + 3 s^3: exp has no values in the field, and any function will do.

        What attention with a normaliser can express has one dimension for all that are not even.
        """
        square = self.multiply(scores, scores)
        value = prime_field.reduced(1 + scores + square + 3 * self.multiply(square, scores))
        return value, prime_field.reduced(1 + 2 * scores + 9 * square)

    def draw(self, shape: Iterable[int], generator: np.random.Generator) -> Numbers:
        return prime_field.random_elements(shape, generator)

    def rank(self, matrix: Numbers) -> int:
        return exact_rank(matrix)

    def left_null_space(self, matrix: Numbers) -> Numbers:
        return left_null_space(matrix)


class _Real:
    """float64."""

    dtype = np.float64

    def normal_form(self, x: Numbers) -> Numbers:
        return x

    def multiply(self, a: Numbers, b: Numbers) -> Numbers:
        return np.multiply(a, b)

    def matmul(self, a: Numbers, b: Numbers) -> Numbers:
        product: Numbers = np.matmul(a, b)
        return product

    def power(self, x: Numbers, exponent: int) -> Numbers:
        found: Numbers = np.power(x, exponent)
        return found

    def inverse(self, x: Numbers) -> Numbers:
        return np.asarray(1 / x)

    def normaliser(self, scores: Numbers) -> tuple[Numbers, Numbers]:
        """exp(s), divided by that of the largest score along the last axis: softmax is the same."""
        value: Numbers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return value, value

    def draw(self, shape: Iterable[int], generator: np.random.Generator) -> Numbers:
        return generator.standard_normal(tuple(shape))

    def rank(self, matrix: Numbers) -> int:
        return int(np.linalg.matrix_rank(matrix)) if matrix.size else 0

    def left_null_space(self, matrix: Numbers) -> Numbers:
        left, values, _ = np.linalg.svd(matrix)
        largest = values.max(initial=0.0)
        rank = int((values > largest * max(matrix.shape) * np.finfo(np.float64).eps).sum())
        return np.ascontiguousarray(left[:, rank:].T)


#: Residues modulo 2^31 - 1.
EXACT: Final[Arithmetic] = _Exact()

#: Real numbers in float64.
REAL: Final[Arithmetic] = _Real()
