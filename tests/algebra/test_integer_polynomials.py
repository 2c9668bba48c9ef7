from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from repgeo.algebra.integer_polynomials import (
    add,
    derivative,
    determinant,
    distinct_roots,
    evaluate,
    multiply,
    real_roots,
)
from repgeo.errors import InputError


def with_roots(*roots):
    found = (1,)
    for root in roots:
        found = multiply(found, (-root, 1))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_real_roots_are_those_of_the_companion_matrix(seed):
    coefficients = np.random.default_rng(seed).integers(-50, 50, 12).tolist()
    polynomial = add(tuple(coefficients), ())
    wanted = np.roots(coefficients[::-1])
    wanted = np.sort(wanted[np.abs(wanted.imag) < 1e-9].real)
    found = [float(high) for _, high in real_roots(polynomial)]
    assert np.allclose(found, wanted, rtol=1e-8)


def test_roots_of_both_methods():
    """Roots that ends of intervals meet, and multiple roots, leave Descartes for Sturm."""
    for roots in ((-3, 0, 1, 4), (5, 5, -7), (1,), (0, 0, 0)):
        found = real_roots(with_roots(*roots))
        assert [round(float(high), 9) for _, high in found] == sorted(set(roots))
        for (low, high), root in zip(found, sorted(set(roots)), strict=True):
            assert low < root <= high
    assert real_roots((1, 0, 1)) == []
    assert real_roots((7,)) == []


def test_close_roots_are_told_apart():
    n = 10**12
    found = real_roots(multiply((-1, n), (-2, n)))  # 1e-12 and 2e-12
    assert len(found) == 2
    assert found[0][1] <= found[1][0]


def test_counts_of_complex_roots():
    polynomial = multiply(with_roots(1, 1, 2), (1, 0, 1))
    assert distinct_roots(polynomial) == 4
    assert distinct_roots(polynomial, without=[(1, 0, 1), (-2, 1)]) == 1
    assert distinct_roots((3,)) == 0
    with pytest.raises(InputError, match="Zero has no finite number"):
        distinct_roots(())
    with pytest.raises(InputError, match="Zero has no finite number"):
        real_roots(())


def test_determinants_and_values():
    matrix = [[(1, 1), (2,), (0, 1)], [(3,), (0, 0, 1), (1,)], [(1,), (1, 1), (2,)]]
    found = determinant(matrix)
    for at in (Fraction(0), Fraction(1), Fraction(-7, 3)):
        values = np.array([[float(evaluate(p, at)) for p in row] for row in matrix])
        assert float(evaluate(found, at)) == pytest.approx(np.linalg.det(values), abs=1e-9)
    assert derivative((5, 4, 3)) == (4, 6)
