from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from repgeo.algebra import (
    attention,
    monomial_mlp,
    neuromanifold_dimension,
    numerical_rank,
    pointwise_dimension,
    polynomial_cnn,
)
from repgeo.errors import InputError, NonFiniteError, UnsupportedError


class WithFormula(nn.Module):
    """A convolution of one filter, which says so."""

    def __init__(self, weights):
        super().__init__()
        self.w0 = nn.Parameter(torch.tensor(weights))

    def forward(self, x):
        return x @ self.w0[:, None]

    def spec(self):
        return polynomial_cnn([len(self.w0)], 2)


def normal(shape):
    generator = np.random.default_rng(5)
    return lambda n: generator.standard_normal((n, *shape))


def test_exact_and_float_agree():
    for network in (polynomial_cnn([3, 2], 2), attention([3, 3], [2], normalized=True)):
        exact = neuromanifold_dimension(network)
        real = neuromanifold_dimension(network, backend="float64")
        assert exact.rank == real.rank == network.dimension == exact.upper
        assert exact.certified
        assert not real.certified
        assert exact.stable
        assert real.stable
        assert exact.agrees
        assert real.gap > 8
        assert exact.gap == math.inf
        assert real.numerical is not None
        assert real.numerical.unanimous


def test_an_answer_that_no_symmetry_bounds_is_stable_but_not_certified():
    found = neuromanifold_dimension(monomial_mlp([4, 2, 1], 2))  # quadrics of rank 2
    assert (found.rank, found.upper, found.certified, found.stable) == (7, 8, False, True)


def test_modules_with_and_without_formula():
    net = WithFormula([1.0, 2.0, 3.0])
    found = neuromanifold_dimension(net)
    assert (found.rank, found.backend, found.formula) == (3, "exact", 3)
    plain = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    found = neuromanifold_dimension(plain, inputs=normal((2,)))
    assert (found.rank, found.parameters, found.formula, found.agrees) == (13, 13, None, None)
    # Without an activation it is an affine map of rank one: three numbers.
    linear = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    assert neuromanifold_dimension(linear, inputs=normal((2,))).rank == 3
    assert neuromanifold_dimension(linear.float(), inputs=normal((2,))).rank == 3


def test_inputs_that_are_given_do_not_double():
    net = polynomial_cnn([2, 2], 2)
    few = neuromanifold_dimension(net, inputs=np.array([[1, 2, 3], [4, 5, 7]]))
    assert (few.rank, few.stable, few.outputs) == (2, False, 2)
    generator = np.random.default_rng(0)
    many = neuromanifold_dimension(net, inputs=generator.integers(0, 100, (12, 3)))
    assert (many.rank, many.stable, many.outputs) == (3, True, 12)
    real = neuromanifold_dimension(net, backend="float64", inputs=generator.normal(size=(12, 3)))
    assert (real.rank, real.stable) == (3, True)


def test_as_many_rows_as_parameters_are_not_enough():
    """Rows of one sample depend on each other: the bank has to grow."""
    network = attention([4, 2, 4], [1, 1])
    found = neuromanifold_dimension(network)
    assert found.rank == network.dimension == 20
    x = np.random.default_rng(0).integers(0, 1000, (3, 3, 4))
    assert neuromanifold_dimension(network, inputs=x).rank < 20  # 36 rows, 24 parameters


def test_rank_at_trained_weights_is_apart_from_the_generic_one():
    net = WithFormula([1.0, 2.0])
    assert pointwise_dimension(net).rank == 2
    cnn = polynomial_cnn([3, 3], 2)
    zero_first = {"w0": np.zeros(3, dtype=np.int64), "w1": np.arange(1, 4)}
    found = pointwise_dimension(cnn, zero_first)
    assert (found.rank, found.backend, found.formula) == (0, "exact", 5)
    real = {"w0": np.ones(3), "w1": np.zeros(3)}
    assert pointwise_dimension(cnn, real).rank == 3
    # A dead unit takes its three parameters' worth of functions away.
    plain = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    with torch.no_grad():
        plain[2].weight[0, 0] = 0
    assert pointwise_dimension(plain, inputs=normal((2,))).rank == 13 - 3


def test_the_draw_decides_nothing():
    network = attention([3, 2], [2])
    found = {
        neuromanifold_dimension(network, generator=np.random.default_rng(seed)).rank
        for seed in range(5)
    }
    assert found == {network.dimension}


def test_what_cannot_be_answered():
    plain = nn.Linear(2, 1)
    with pytest.raises(UnsupportedError, match=r"Linear has no spec\(\)"):
        neuromanifold_dimension(plain, backend="exact")
    with pytest.raises(InputError, match="give `inputs`"):
        neuromanifold_dimension(plain)
    with pytest.raises(InputError, match="Unknown backend 'float32'"):
        neuromanifold_dimension(polynomial_cnn([2], 2), backend="float32")
    with pytest.raises(InputError, match="needs its parameters"):
        pointwise_dimension(polynomial_cnn([2], 2))


def test_ranks_by_singular_values():
    found = numerical_rank(np.diag([1.0, 1e-2, 1e-9, 1e-20]))
    assert (found.rank, found.at_1e_6, found.at_1e_12, found.at_gap) == (3, 2, 3, 3)
    assert found.gap == pytest.approx(math.log10(1e-9 / (np.finfo(float).eps * 1e-3)))
    whole = numerical_rank(np.eye(3))
    assert (whole.rank, whole.gap, whole.at_gap, whole.unanimous) == (3, math.inf, 3, True)
    assert numerical_rank(np.zeros((2, 3))).rank == 0
    with pytest.raises(InputError, match="float64 matrix, got float32"):
        numerical_rank(np.eye(2, dtype=np.float32))
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        numerical_rank(np.full((1, 1), np.nan))
