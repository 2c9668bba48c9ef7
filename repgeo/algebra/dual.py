"""Dual numbers: values together with their derivatives by the parameters of a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from repgeo.algebra.arithmetic import Arithmetic, Numbers
from repgeo.errors import InputError

__all__ = ["Dual"]


@dataclass(frozen=True, eq=False)
class Dual:
    """An array of numbers with first derivatives (forward-mode differentiation).

    Parameters stand in an order; only those from `start` on, as many as `slope` has, can have
    derivatives that are not zero. In a network of layers that saves what the later layers have not
    entered yet.

    Attributes
    ----------
    value
        `(...)`.
    arithmetic
        Of the numbers.
    slope
        `(parameters, ...)`, or None where all derivatives are zero.
    start
        The place of the first of these parameters.

    Examples
    --------
    >>> from repgeo.algebra.arithmetic import REAL
    >>> x = Dual(np.array([3.0]), REAL, slope=np.array([[1.0]]))
    >>> y = x**2 + x
    >>> y.value.tolist(), y.slope.tolist()
    ([12.0], [[7.0]])
    """

    value: Numbers
    arithmetic: Arithmetic
    slope: Numbers | None = None
    start: int = 0

    @classmethod
    def parameter(cls, value: Numbers, arithmetic: Arithmetic, start: int) -> Dual:
        """An array of parameters, each its own derivative.

        Parameters
        ----------
        value
            `(...)`.
        arithmetic
            Of the numbers.
        start
            The place of its first entry among all parameters.
        """
        slope = np.eye(value.size, dtype=arithmetic.dtype).reshape(value.size, *value.shape)
        return cls(value, arithmetic, slope, start)

    def __add__(self, other: Dual) -> Dual:
        value = self.arithmetic.normal_form(self.value + other.value)
        return self._made(value, [(self, self.slope), (other, other.slope)])

    def __mul__(self, other: Dual) -> Dual:
        """The product, element by element; shapes are broadcast."""
        multiply = self.arithmetic.multiply
        value = multiply(self.value, other.value)
        parts = [
            (one, None if one.slope is None else multiply(_wide(one.slope, value), two.value))
            for one, two in ((self, other), (other, self))
        ]
        return self._made(value, parts)

    def __matmul__(self, other: Dual) -> Dual:
        """The product of matrices `(..., m, k)` and `(..., k, n)` or `(k, n)`."""
        value = self._matmul(self.value, other.value)
        left = None
        if self.slope is not None:
            left = self._matmul(self.slope, other.value)
        right = None
        if other.slope is not None and other.value.ndim == 2:
            right = self._times_slopes(self.value, other.slope)
        elif other.slope is not None:
            right = self._matmul(self.value, other.slope)
        return self._made(value, [(self, left), (other, right)])

    def _matmul(self, a: Numbers, b: Numbers) -> Numbers:
        if b.ndim > 2:
            return self.arithmetic.matmul(a, b)
        rows = a.reshape(-1, a.shape[-1])  # one product of matrices for the whole batch
        return self.arithmetic.matmul(rows, b).reshape(*a.shape[:-1], b.shape[-1])

    def _times_slopes(self, a: Numbers, slopes: Numbers) -> Numbers:
        """The products of `(..., m, k)` with each of `(parameters, k, n)`, as one."""
        count, k, n = slopes.shape
        side_by_side = np.moveaxis(slopes, 0, 1).reshape(k, count * n)
        products = self._matmul(a, side_by_side).reshape(*a.shape[:-1], count, n)
        return np.moveaxis(products, -2, 0)

    def __pow__(self, exponent: int) -> Dual:
        """The power with a whole exponent of at least 1, element by element."""
        if exponent < 1:
            raise InputError(f"The exponent must be at least 1, got {exponent}.")
        lower = self.arithmetic.power(self.value, exponent - 1)
        value = self.arithmetic.multiply(lower, self.value)
        return self._function(value, self.arithmetic.multiply(lower, np.asarray(exponent)))

    def inverse(self) -> Dual:
        """1 / x, element by element."""
        value = self.arithmetic.inverse(self.value)
        square = self.arithmetic.multiply(value, value)
        return self._function(value, self.arithmetic.normal_form(-square))

    def normalised(self) -> Dual:
        """The normaliser of attention, element by element (keys along the last axis)."""
        return self._function(*self.arithmetic.normaliser(self.value))

    def _function(self, value: Numbers, derivative: Numbers) -> Dual:
        slope = self.slope
        if slope is not None:
            slope = self.arithmetic.multiply(slope, derivative)
        return Dual(value, self.arithmetic, slope, self.start)

    def transposed(self) -> Dual:
        """The last two axes exchanged."""
        slope = None if self.slope is None else self.slope.swapaxes(-1, -2)
        return Dual(self.value.swapaxes(-1, -2), self.arithmetic, slope, self.start)

    def gathered(self, index: Numbers) -> Dual:
        """The entries at `index` of the last axis: `(..., d)` becomes `(..., *index.shape)`."""
        slope = None if self.slope is None else self.slope[..., index]
        return Dual(self.value[..., index], self.arithmetic, slope, self.start)

    def sum_last(self) -> Dual:
        """The sum over the last axis, which stays with length 1."""
        total = self.arithmetic.normal_form(self.value.sum(axis=-1, keepdims=True))
        slope = self.slope
        if slope is not None:
            slope = self.arithmetic.normal_form(slope.sum(axis=-1, keepdims=True))
        return Dual(total, self.arithmetic, slope, self.start)

    def reshaped(self, *shape: int) -> Dual:
        """The same numbers in another shape."""
        value = self.value.reshape(shape)
        slope = self.slope
        if slope is not None:
            slope = slope.reshape(len(slope), *value.shape)
        return Dual(value, self.arithmetic, slope, self.start)

    def jacobian(self, parameters: int) -> Numbers:
        """All derivatives, `(parameters, size)`."""
        found = np.zeros((parameters, self.value.size), dtype=self.arithmetic.dtype)
        if self.slope is not None:
            found[self.start : self.start + len(self.slope)] = self.slope.reshape(
                len(self.slope), -1
            )
        return found

    def _made(self, value: Numbers, parts: list[tuple[Dual, Numbers | None]]) -> Dual:
        """A value whose derivatives are the sum of parts, each where its number has them."""
        present = [(one.start, slope) for one, slope in parts if slope is not None]
        if not present:
            return Dual(value, self.arithmetic)
        start = min(place for place, _ in present)
        stop = max(place + len(slope) for place, slope in present)
        (place, slope), *more = present
        if not more and slope.shape[1:] == value.shape:
            return Dual(value, self.arithmetic, slope, place)
        total = np.zeros((stop - start, *value.shape), dtype=self.arithmetic.dtype)
        total[place - start : place - start + len(slope)] = _wide(slope, value)
        for place, slope in more:
            here = slice(place - start, place - start + len(slope))
            total[here] = self.arithmetic.normal_form(total[here] + _wide(slope, value))
        return Dual(value, self.arithmetic, total, start)


def _wide(slope: Numbers, value: Numbers) -> Numbers:
    """Derivatives whose axes behind the first are as many as those of a value."""
    missing = value.ndim - (slope.ndim - 1)
    return slope.reshape(len(slope), *(1,) * missing, *slope.shape[1:])
