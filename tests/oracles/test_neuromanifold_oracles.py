"""Dimensions and degrees with known values, each by the exact rank and by the formula."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

from repgeo.algebra import (
    attention,
    group_cnn,
    monomial_mlp,
    neuromanifold_dimension,
    pointwise_dimension,
    polynomial_cnn,
)
from repgeo.algebra.polynomial_convolution import PolynomialCNN

#: Filters, dimension, (degree, Euclidean distance degree) for r = 2 and r = 3.
FILTERS = [
    ((2,), 2, (1, 1), (1, 1)),
    ((3,), 3, (1, 1), (1, 1)),
    ((2, 2), 3, (4, 14), (6, 22)),
    ((2, 3), 4, (6, 22), (9, 34)),
    ((3, 2), 4, (12, 79), (27, 210)),
    ((3, 3), 5, (24, 219), (54, 543)),
    ((2, 2, 2), 4, (48, 404), (162, 1486)),
    ((3, 2, 2), 5, (384, 6778), (2916, 58980)),
    ((3, 3, 3), 7, (5760, 287505), (65610, 3775419)),
    ((2, 2, 2, 2), 5, (1536, 29592), (17496, 368872)),
]

#: Widths, ranks, parameters, dimension of lightning and of normalised attention.
ATTENTION = [
    ([2, 2], [1], 8, 6, 7),
    ([3, 3], [2], 21, 16, 17),
    ([4, 4], [2], 32, 27, 28),
    ([3, 3, 3], [2, 2], 42, 23, 25),
    ([4, 4, 4], [2, 2], 64, 38, 40),
    ([3, 3, 3, 3], [2, 2, 2], 63, 30, 33),
    ([4, 2, 4], [2, 2], 40, 26, 28),
    ([2, 4, 2], [2, 2], 40, 10, 12),
    ([5, 4, 1], [1, 1], 42, 21, 23),
    ([2, 2, 2, 2], [1, 2, 1], 28, 10, 14),
]


def assert_proved(network):
    """Rank over the field, formula, and the bound by symmetries are one number."""
    found = neuromanifold_dimension(network)
    assert found.rank == found.formula == found.upper, (network, found)


@pytest.mark.parametrize(("filters", "dimension", "squares", "cubes"), FILTERS)
def test_table_of_convolutions(filters, dimension, squares, cubes):
    for r, numbers in ((2, squares), (3, cubes)):
        network = polynomial_cnn(filters, r)
        assert network.dimension == dimension
        assert (network.variety_degree, network.euclidean_distance_degree) == numbers
        assert_proved(network)


def test_closed_forms_of_the_euclidean_distance_degree():
    for r, m in itertools.product(range(2, 6), range(2, 6)):
        assert polynomial_cnn([2, m], r).euclidean_distance_degree == 4 * r * m - 2
        assert polynomial_cnn([2, 1], r).euclidean_distance_degree == 3 * r - 2


def random_convolutions(count):
    generator = np.random.default_rng(0)
    for _ in range(count):
        layers = int(generator.integers(1, 5))
        yield polynomial_cnn(
            generator.integers(1, 5, layers).tolist(),
            int(generator.integers(2, 5)),
            strides=generator.integers(1, 4, layers).tolist(),
            outputs=int(generator.integers(1, 4)),
        )


def test_150_random_convolutions():
    for network in random_convolutions(150):
        assert_proved(network)


def test_degrees_do_not_depend_on_strides_or_outputs():
    for network in random_convolutions(20):
        plain = PolynomialCNN(network.filters, network.degree, (1,) * len(network.filters))
        assert plain.variety_degree == network.variety_degree
        assert plain.euclidean_distance_degree == network.euclidean_distance_degree


@pytest.mark.parametrize("filters", [(2, 2), (3, 2), (2, 2, 2), (3, 3), (4, 2)])
def test_linear_convolutions_have_the_same_dimension(filters):
    assert_proved(polynomial_cnn(filters, 1))


def unit(k, place):
    return np.eye(k, dtype=np.int64)[place]


@pytest.mark.parametrize("r", [1, 2, 3])
def test_ranks_at_special_filters(r):
    """For r > 1 an immersion away from zero; for r = 1 not where filters have a common root."""
    network = polynomial_cnn([3, 3], r)

    def rank(w0, w1):
        return pointwise_dimension(network, {"w0": np.array(w0), "w1": np.array(w1)}).rank

    assert rank([1, 2, 5], [3, 1, 7]) == 5
    assert rank([0, 1, 2], [3, 1, 0]) == 5
    common = rank([2, 3, 1], [4, 5, 1])  # (x + 1)(x + 2) and (x + 1)(x + 4)
    assert common == (4 if r == 1 else 5)
    for places, linear in (((0, 0), 3), ((1, 1), 3), ((2, 0), 5)):
        assert rank(unit(3, places[0]), unit(3, places[1])) == (linear if r == 1 else 5)
    assert rank([1, 2, 5], [0, 0, 0]) == 3
    assert rank([0, 0, 0], [1, 2, 5]) == (3 if r == 1 else 0)


def cyclic(n):
    return [[(g + h) % n for h in range(n)] for g in range(n)]


def symmetric_group():
    elements = list(itertools.permutations(range(3)))
    place = {g: n for n, g in enumerate(elements)}
    return [[place[tuple(g[i] for i in h)] for h in elements] for g in elements]


def quaternions():
    """1, i, j, k and their negatives: place 2 a + s for (-1)^s times the unit a."""
    products = {(1, 2): (3, 0), (2, 3): (1, 0), (3, 1): (2, 0)}
    products |= {(b, a): (c, 1) for (a, b), (c, _) in products.items()}

    def times(g, h):
        a, b, sign = g // 2, h // 2, (g + h) % 2
        if 0 in (a, b):
            return 2 * (a + b) + sign
        c, s = (0, 1) if a == b else products[a, b]
        return 2 * c + (sign + s) % 2

    return [[times(g, h) for h in range(8)] for g in range(8)]


@pytest.mark.parametrize("table", [cyclic(5), cyclic(6), symmetric_group(), quaternions()])
@pytest.mark.parametrize("r", [2, 3])
def test_group_convolutions(table, r):
    for layers in (1, 2, 3):
        network = group_cnn(table, layers, r)
        assert network.dimension == layers * (len(table) - 1) + 1
        assert_proved(network)


@pytest.mark.parametrize(("widths", "ranks", "parameters", "lightning", "normalised"), ATTENTION)
def test_table_of_attention(widths, ranks, parameters, lightning, normalised):
    for normalized, dimension in ((False, lightning), (True, normalised)):
        network = attention(widths, ranks, normalized=normalized)
        assert (network.parameter_count, network.dimension) == (parameters, dimension)
        assert network.fibre_dimension == parameters - dimension
        assert_proved(network)


def test_118_random_chains_of_attention():
    generator = np.random.default_rng(1)
    for _ in range(59):
        layers = int(generator.integers(1, 4))
        widths = generator.integers(1, 5, layers + 1).tolist()
        ranks = generator.integers(1, 5, layers).tolist()
        for normalized in (False, True):
            assert_proved(attention(widths, ranks, normalized=normalized))


def test_the_published_setting_by_formula():
    expected = [25, 40, 57, 76, 97, 120, 145, 172]
    found = [attention([d] * 3, [2, 2], normalized=True).dimension for d in range(3, 11)]
    assert found == expected
    assert_proved(attention([5] * 3, [2, 2], normalized=True))


def test_one_token_sees_the_symmetric_part_only():
    for d, a in itertools.product(range(1, 5), range(1, 5)):
        network = attention([d, d], [a], tokens=1)
        rho = min(2 * a, d)
        assert network.dimension == rho * (2 * d - rho + 1) // 2 + d * d - 1
        assert_proved(network)
        assert attention([d, d], [a], tokens=1, normalized=True).dimension == d * d


@pytest.mark.parametrize(
    ("heads", "d", "out", "a", "v", "causal"),
    [
        (2, 2, 2, 1, 1, False),
        (2, 2, 2, 1, None, False),
        (2, 3, 3, 1, 1, False),
        (2, 3, 3, 2, 1, True),
        (2, 4, 4, 2, 2, False),
        (3, 3, 3, 1, 1, False),
        (2, 3, 3, 2, 2, True),
        (3, 4, 4, 2, 1, False),
        (2, 4, 2, 2, 2, False),
        (4, 2, 2, 1, 1, False),
        (2, 3, 3, 2, None, False),
    ],
)
def test_several_heads(heads, d, out, a, v, causal):
    for normalized in (False, True):
        network = attention(
            [d, out], [a], heads=heads, value_rank=v, causal=causal, normalized=normalized
        )
        assert_proved(network)


def test_heads_of_full_rank_mix_without_a_normaliser():
    """sum_h A_h (x) V_h is a matrix of rank H: GL(H) acts, of which no gauge is listed."""
    network = attention([3, 3], [3], heads=3, value_rank=3)
    found = neuromanifold_dimension(network)
    assert (found.rank, found.formula, found.upper) == (45, 45, 51)
    assert_proved(dataclasses.replace(network, normalized=True))


@pytest.mark.parametrize(
    ("widths", "ranks"),
    [
        ([2, 2, 2], [1, 1]),
        ([3, 3, 3], [2, 1]),
        ([2, 2, 2, 2], [1, 1, 1]),
        ([4, 4], [2]),
        ([3, 3, 3], [4, 4]),
    ],
)
@pytest.mark.parametrize("causal", [False, True])
def test_residuals(widths, ranks, causal):
    d, layers = widths[0], len(ranks)
    kept = sum(min(a, d) * (2 * d - min(a, d)) for a in ranks) + layers * d * d
    for normalized in (False, True):
        network = attention(widths, ranks, residual=True, causal=causal, normalized=normalized)
        assert network.dimension == kept - (0 if normalized else layers)
        assert_proved(network)


def test_exceptions_among_monomial_perceptrons():
    """(3, 2, 1, 2) counts as 7: but squares of two forms can be rotated, and the rest is scalar."""
    network = monomial_mlp([3, 2, 1, 2], 2)
    assert network.counted_dimension == 7
    assert neuromanifold_dimension(network).rank == network.dimension == 6


def test_small_monomial_perceptrons():
    wrong = []
    for layers, r in itertools.product((2, 3), (2, 3)):
        for widths in itertools.product(range(1, 4), repeat=layers + 1):
            network = monomial_mlp(widths, r)
            if neuromanifold_dimension(network).rank != network.dimension:
                wrong.append((widths, r))
    assert wrong == []


@pytest.mark.parametrize(("r", "variables", "terms"), [(3, 5, 7), (4, 3, 5), (4, 4, 9)])
def test_sums_of_powers_with_a_defect(r, variables, terms):
    network = monomial_mlp([variables, terms, 1], r)
    assert neuromanifold_dimension(network).rank == network.dimension
    assert network.dimension == math.comb(variables + r - 1, r) - 1


@pytest.mark.parametrize(("widths", "rank"), [((3, 5, 6), 35), ((4, 6, 5), 47)])
def test_defects_that_the_formula_does_not_know(widths, rank):
    """Quadrics in common squares: one dimension less than the formula's upper bound."""
    network = monomial_mlp(widths, 2)
    assert neuromanifold_dimension(network).rank == rank == network.dimension - 1
