from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from repgeo.algebra.prime_field import (
    PRIME,
    inverse,
    matmul,
    power,
    random_elements,
    reduced,
)
from repgeo.algebra.rank import compressed, exact_rank, left_null_space
from repgeo.errors import InputError, MissingExtraError

METHODS = ["flint", "numpy", "plain", "auto"]


def draws(seed=0):
    return np.random.default_rng(seed)


def of_rank(n, m, rank, seed=0):
    generator = draws(seed)
    return matmul(random_elements((n, rank), generator), random_elements((rank, m), generator))


def needs(method):
    if method == "flint" and importlib.util.find_spec("flint") is None:
        pytest.skip("python-flint is not installed")


def test_reduction_is_that_of_whole_numbers():
    x = draws().integers(-(1 << 62), 1 << 62, 1000)
    extremes = [0, -1, PRIME, -PRIME, 2 * PRIME, (1 << 63) - 1, -(1 << 63), 1 << 62]
    x = np.concatenate([x, np.array(extremes)])
    assert reduced(x).tolist() == [int(value) % PRIME for value in x]


@pytest.mark.parametrize(("m", "k", "n"), [(3, 1, 2), (5, 256, 4), (4, 257, 3), (2, 1000, 2)])
def test_products_of_matrices_are_those_of_whole_numbers(m, k, n):
    a, b = random_elements((m, k), draws()), random_elements((k, n), draws(1))
    assert np.array_equal(matmul(a, b), (a.astype(object) @ b.astype(object)) % PRIME)


@pytest.mark.parametrize("value", [0, 1, PRIME // 2, PRIME // 2 + 1, PRIME - 1])
def test_products_of_extreme_matrices(value):
    """The largest sums there can be stay exact in float64."""
    a, b = np.full((2, 512), value), np.full((512, 2), PRIME // 2)
    assert np.array_equal(matmul(a, b), np.full((2, 2), 512 * value * (PRIME // 2) % PRIME))


def test_products_are_broadcast():
    a, b = random_elements((4, 1, 2, 3), draws()), random_elements((5, 3, 2), draws(1))
    whole = matmul(a, b)
    assert whole.shape == (4, 5, 2, 2)
    assert np.array_equal(whole[2, 3], matmul(a[2, 0], b[3]))


def test_powers_and_inverses():
    x = random_elements((50,), draws()) | 1
    assert power(x, 13).tolist() == [pow(int(value), 13, PRIME) for value in x]
    assert np.array_equal(reduced(inverse(x) * x), np.ones_like(x))
    assert power(x, 0).tolist() == [1] * 50
    with pytest.raises(InputError, match="0 has no inverse"):
        inverse(np.array([1, 0]))
    with pytest.raises(InputError, match="exponent must be 0 or more, got -1"):
        power(x, -1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("n", "m", "rank"),
    [(1, 1, 1), (3, 7, 3), (7, 3, 2), (40, 40, 17), (90, 33, 33), (33, 90, 20), (120, 130, 119)],
)
def test_ranks_of_products(method, n, m, rank):
    needs(method)
    assert exact_rank(of_rank(n, m, rank), method=method) == rank


@pytest.mark.parametrize("seed", range(20))
def test_all_methods_agree_on_sparse_matrices(seed):
    generator = draws(seed)
    n, m = generator.integers(1, 60, 2)
    matrix = random_elements((n, m), generator) * (generator.random((n, m)) < 0.05)
    matrix[:, generator.random(m) < 0.3] = 0
    plain = exact_rank(matrix, method="plain")
    assert exact_rank(matrix, method="numpy") == plain
    needs("flint")
    assert exact_rank(matrix, method="flint") == plain


def test_a_rank_modulo_p_is_a_lower_bound():
    """The determinant of this matrix is p: it is regular over the rationals only."""
    matrix = np.array([[1, 2], [1, 2 + PRIME]])
    assert np.linalg.matrix_rank(matrix.astype(float)) == 2
    assert exact_rank(reduced(matrix)) == 1


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 2)])
def test_nothing_has_rank_zero(shape):
    assert exact_rank(np.zeros(shape, dtype=np.int64)) == 0


def test_what_is_no_matrix_of_residues_is_refused():
    with pytest.raises(InputError, match="int64 matrix, got float64"):
        exact_rank(np.eye(2))
    with pytest.raises(InputError, match="residues from 0 to 2147483646"):
        exact_rank(np.array([[-1]]))
    with pytest.raises(InputError, match="Unknown method 'lu'"):
        exact_rank(np.array([[1]]), method="lu")


def test_without_flint_numpy_serves_and_flint_says_what_is_missing(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "flint" else find(name)
    )
    matrix = of_rank(12, 9, 5)
    assert exact_rank(matrix) == 5
    with pytest.raises(MissingExtraError, match=r"pip install 'repgeo\[algebra\]'"):
        exact_rank(matrix, method="flint")


def test_null_space():
    matrix = of_rank(8, 11, 5)
    kernel = left_null_space(matrix)
    assert kernel.shape == (3, 8)
    assert not matmul(kernel, matrix).any()
    assert exact_rank(kernel) == 3
    assert left_null_space(np.eye(3, dtype=np.int64)).shape == (0, 3)


def test_random_combinations_keep_the_rank():
    matrix = of_rank(60, 300, 21)
    assert compressed(matrix, 25, draws()).shape == (25, 25)
    assert exact_rank(compressed(matrix, 25, draws())) == 21
    assert exact_rank(compressed(matrix, 10, draws())) == 10
    assert compressed(matrix, 300, draws()) is matrix
