from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from torch import nn

from repgeo.algebra import (
    EXACT,
    REAL,
    attention,
    fibre_check,
    group_cnn,
    monomial_mlp,
    network_jacobian,
    polynomial_cnn,
)
from repgeo.algebra.fibres import module_parameters
from repgeo.errors import InputError, UnsupportedError

CYCLIC = [[(g + h) % 4 for h in range(4)] for g in range(4)]

NETWORKS = [
    polynomial_cnn([3, 2, 2], 2, strides=[2, 1, 1], outputs=2),
    polynomial_cnn([3, 2], 3),
    group_cnn(CYCLIC, 3, 2),
    group_cnn(CYCLIC, 2, 3),
    monomial_mlp([3, 2, 2], 2),
    attention([3, 3, 3], [2, 2]),
    attention([4, 2, 4], [2, 2]),
    attention([2, 4, 2], [2, 2]),
    attention([5, 4, 1], [1, 1]),
    attention([2, 3, 3, 2], [1, 2, 2]),
    attention([3, 3], [4]),
    attention([3, 3], [1], value_rank=1),
    attention([3, 1], [1]),
    attention([3, 3], [2], tokens=1),
    attention([3, 3], [2], heads=2, value_rank=2, causal=True),
    attention([3, 3, 3], [2, 2], residual=True),
]
NETWORKS += [
    dataclasses.replace(network, normalized=True)
    for network in NETWORKS
    if hasattr(network, "tokens") and network.tokens > 1
]


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_symmetries_leave_outputs_unchanged_and_explain_the_fibre(network):
    for report in (
        fibre_check(network),  # exact dimensions
        fibre_check(network, parameters=network.draw(REAL, np.random.default_rng(3))),
    ):
        for check in report.symmetries:
            if check.holds:
                assert check.relative_error < 1e-12, check
            else:
                assert check.relative_error > 1e-3, check
        assert report.unexplained_dimension == 0
        assert report.fibre_dimension == network.fibre_dimension


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_directions_of_symmetries_are_in_the_kernel(network):
    generator = np.random.default_rng(0)
    parameters = network.draw(EXACT, generator)
    x = EXACT.draw((3, *network.input_shape), generator)
    gauge = network.gauge(parameters, EXACT)
    assert not EXACT.matmul(gauge, network_jacobian(network, parameters, x, EXACT)).any()
    assert len(gauge) == sum(s.dimension for s in network.symmetries if s.holds)


def test_softmax_breaks_the_rescaling_and_nothing_else():
    plain, softmax = (
        {check.name: check.relative_error for check in fibre_check(network).symmetries}
        for network in (
            attention([3, 3, 3], [2, 2]),
            attention([3, 3, 3], [2, 2], normalized=True),
        )
    )
    assert plain.keys() == softmax.keys() == {"key-query basis", "token basis", "rescaling"}
    assert max(plain.values()) < 1e-12
    assert softmax["rescaling"] > 0.1
    assert max(softmax["key-query basis"], softmax["token basis"]) < 1e-12


def test_key_value_exchange_is_broken_by_softmax():
    network = attention([3, 3], [1], value_rank=1)
    errors = [
        next(c for c in fibre_check(n).symmetries if c.name == "key-value exchange")
        for n in (network, dataclasses.replace(network, normalized=True))
    ]
    assert errors[0].relative_error < 1e-14
    assert errors[1].relative_error > 0.1


def test_odd_powers_break_the_sign():
    flips = {
        r: next(
            c for c in fibre_check(polynomial_cnn([2, 2], r)).symmetries if c.name == "sign flip"
        )
        for r in (2, 3)
    }
    assert flips[2].relative_error == 0
    assert flips[3].relative_error == pytest.approx(2)


def test_singular_parameters_have_an_unexplained_fibre():
    """With the last filter zero, any first filter gives the same function."""
    network = polynomial_cnn([3, 3], 2)
    parameters = {"w0": np.array([1.0, 2.0, 3.0]), "w1": np.zeros(3)}
    report = fibre_check(network, parameters=parameters)
    assert (report.fibre_dimension, report.unexplained_dimension) == (3, 2)


def test_what_has_no_formula_is_refused():
    with pytest.raises(UnsupportedError, match=r"Linear has no spec\(\)"):
        fibre_check(nn.Linear(2, 1))
    with pytest.raises(InputError, match=r"its spec\(\) names"):
        module_parameters(polynomial_cnn([2], 2), nn.Linear(2, 1))
