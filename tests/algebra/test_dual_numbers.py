"""Derivatives of networks by dual numbers against differences, autograd, and each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from repgeo.algebra import attention, group_cnn, monomial_mlp, network_jacobian, polynomial_cnn
from repgeo.algebra.arithmetic import EXACT, REAL
from repgeo.algebra.dual import Dual
from repgeo.algebra.module_jacobian import module_jacobian
from repgeo.algebra.prime_field import PRIME
from repgeo.errors import InputError, NonFiniteError

CYCLIC = [[(g + h) % 4 for h in range(4)] for g in range(4)]

NETWORKS = [
    polynomial_cnn([3, 2, 2], 3, strides=[2, 1, 1], outputs=2),
    group_cnn(CYCLIC, 3, 2),
    monomial_mlp([3, 4, 2], 3),
    attention([3, 2, 4], [2, 1]),
    attention([3, 2, 4], [2, 1], normalized=True),
    attention([3, 3], [2], normalized=True, heads=2, causal=True, value_rank=2),
    attention([3, 3, 3], [2, 2], residual=True, heads=2, normalized=True),
]


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_derivatives_over_the_reals_are_differences(network):
    generator = np.random.default_rng(0)
    parameters = network.draw(REAL, generator)
    x = REAL.draw((4, *network.input_shape), generator)
    jacobian = network_jacobian(network, parameters, x, REAL)
    vector, h = network.vector(parameters), 1e-6
    for place in range(0, network.parameter_count, 5):
        both = []
        for sign in (1, -1):
            moved = vector.copy()
            moved[place] += sign * h
            arrays = {
                name: moved[at].reshape(network.shapes[name])
                for name, at in network.places().items()
            }
            both.append(network.apply(arrays, x).reshape(-1))
        difference = (both[0] - both[1]) / (2 * h)
        scale = max(1.0, np.abs(difference).max())
        assert np.abs(difference - jacobian[place]).max() < 1e-7 * scale


@pytest.mark.parametrize("network", [n for n in NETWORKS if "normalized=True" not in str(n)])
def test_both_arithmetics_agree_at_small_whole_numbers(network):
    """Values of the formulas without a normaliser are whole numbers, exact in float64 if small."""
    generator = np.random.default_rng(0)
    parameters = {n: generator.integers(-2, 3, s) for n, s in network.shapes.items()}
    x = generator.integers(-2, 3, (3, *network.input_shape))
    real = network_jacobian(
        network, {n: p.astype(float) for n, p in parameters.items()}, x.astype(float), REAL
    )
    exact = network_jacobian(
        network, {n: p % PRIME for n, p in parameters.items()}, x % PRIME, EXACT
    )
    assert np.abs(real).max() < 2**53
    assert np.array_equal(exact, real.astype(np.int64) % PRIME)


def test_a_quotient_over_the_field():
    """d(1/x) = -1/x^2."""
    x = Dual.parameter(np.array([7]), EXACT, 0)
    found = x.inverse()
    assert int(found.value[0]) * 7 % PRIME == 1
    assert found.slope is not None
    assert int(found.slope[0, 0]) * 49 % PRIME == PRIME - 1


def test_parameters_that_are_not_used_have_no_derivative():
    x = Dual.parameter(np.array([2.0]), REAL, 1)
    assert (x * x).jacobian(3).tolist() == [[0.0], [4.0], [0.0]]
    assert Dual(np.ones(2), REAL).jacobian(2).tolist() == [[0, 0], [0, 0]]


def test_derivatives_of_modules_forward_and_backward():
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh(), torch.nn.Linear(2, 2))
    x = torch.randn(9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    own = {name: value.detach().double() for name, value in net.named_parameters()}
    whole = module_jacobian(net, own, x)  # 18 outputs, 14 parameters: forward
    few = module_jacobian(net, own, x[:2])  # 4 outputs: backward
    assert whole.shape == (14, 18)
    assert np.abs(whole[:, :4] - few).max() < 1e-14
    assert net[0].weight.dtype == torch.float32  # the module is not changed
    with pytest.raises(InputError, match="The module has the parameters"):
        module_jacobian(net, {}, x)
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        module_jacobian(net, own, x * float("inf"))


def test_shapes_are_checked():
    net = polynomial_cnn([2, 2], 2)
    parameters = net.draw(REAL, np.random.default_rng(0))
    with pytest.raises(InputError, match=r"Inputs must be \(n, 3\), got \(4, 2\)"):
        net.apply(parameters, np.ones((4, 2)))
    with pytest.raises(InputError, match="The parameters have shapes"):
        net.apply({"w0": np.ones(2)}, np.ones((4, 3)))
    with pytest.raises(InputError, match="at least 1, got 0"):
        Dual(np.ones(1), REAL) ** 0
