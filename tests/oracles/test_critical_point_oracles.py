"""Critical points of convolutional networks against known counts, and their types by autograd."""

from __future__ import annotations

import collections
import itertools

import numpy as np
import pytest
import torch

from repgeo.algebra import critical_points, polynomial_cnn
from repgeo.errors import InputError


def data(network, n, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((n, *network.input_shape))
    return x, generator.standard_normal((n, network.outputs))


@pytest.mark.parametrize(
    ("m", "r", "expected"),
    [(2, 2, 14), (2, 3, 22), (3, 2, 22), (3, 3, 34), (1, 2, 4), (1, 3, 7)],
)
def test_counts_are_the_generic_number_for_data(m, r, expected):
    for s0, s1, outputs in ((1, 1, 1), (2, 1, 2), (1, 2, 2)):
        network = polynomial_cnn([2, m], r, strides=[s0, s1], outputs=outputs)
        for n in (4, 7, 20):
            found = critical_points(network, *data(network, n))
            assert (found.count, found.expected, found.status) == (expected, expected, "counted")
            assert found.of_kind("minimum") > 0
            assert (len(found.real) - expected) % 2 == 0  # the others come in pairs
            if m > 1:  # on a circle of first filters: as many minima as saddles
                assert found.of_kind("minimum") == found.of_kind("saddle") == len(found.real) / 2


def test_three_points_decide_two_numbers_but_not_three():
    two = polynomial_cnn([2, 2], 2)
    assert critical_points(two, *data(two, 3)).count == 14
    three = polynomial_cnn([2, 3], 2)
    found = critical_points(three, *data(three, 3))
    assert (found.status, found.count, found.real) == ("interpolating", None, ())
    few = critical_points(three, *data(three, 2))
    assert few.status == "interpolating"


def mean_squared_error(network, x, y):
    x, y = torch.from_numpy(x), torch.from_numpy(y)

    def loss(vector):
        first, second = (torch.from_numpy(index) for index in network.windows)
        hidden = (x[:, first] @ vector[:2]) ** network.degree
        out = hidden[:, second] @ vector[2:]
        return (out - y).square().mean()

    return loss


@pytest.mark.parametrize(("m", "r", "seed"), [(2, 2, 0), (2, 3, 1), (3, 2, 2), (1, 2, 3)])
def test_points_are_critical_and_of_the_kind_that_the_hessian_says(m, r, seed):
    network = polynomial_cnn([2, m], r, outputs=2)
    x, y = data(network, 20, seed)
    loss = mean_squared_error(network, x, y)
    found = critical_points(network, x, y)
    assert found.real
    for point in found.real:
        vector = torch.tensor([*point.first, *point.last], dtype=torch.float64)
        assert float(loss(vector)) == pytest.approx(point.loss, rel=1e-10)
        gradient = torch.func.grad(loss)(vector)
        assert gradient.norm() < 1e-9 * (1 + vector.norm())
        # Up to the direction of scaling, which is flat.
        hessian = torch.func.hessian(loss)(vector)
        scaling = torch.cat([vector[:2], -r * vector[2:]])
        assert (hessian @ scaling).norm() < 1e-7 * hessian.norm() * scaling.norm()
        values = torch.linalg.eigvalsh(hessian)
        down = int((values < -1e-7 * values.abs().max()).sum())
        assert down == {"minimum": 0, "saddle": 1}[point.kind]


def test_a_planted_network_is_found():
    network = polynomial_cnn([2, 2], 2)
    x, _ = data(network, 10)
    first, last = np.array([0.6, 0.8]), np.array([1.0, -2.0])
    found = critical_points(network, x, network.apply({"w0": first, "w1": last}, x))
    best = min(found.real, key=lambda point: point.loss)
    assert best.loss < 1e-28
    assert best.kind == "minimum"
    assert np.allclose(np.abs(best.first), first, atol=1e-9)
    assert np.allclose(best.last, last, atol=1e-8)


@pytest.mark.parametrize(
    ("r", "shares"),
    [
        # Of 400 draws by an independent computation in floating point.
        (2, {2: 92 / 400, 4: 295 / 400, 6: 13 / 400}),
        (3, {2: 54 / 400, 4: 280 / 400, 6: 65 / 400, 8: 1 / 400}),
    ],
)
def test_numbers_of_real_critical_points_for_normal_data(r, shares):
    network = polynomial_cnn([2, 2], r)
    draws = 60
    counts = collections.Counter(
        len(critical_points(network, *data(network, 30, seed)).real) for seed in range(draws)
    )
    assert set(counts) <= set(range(2, 4 * r * 2, 2))
    for number, share in shares.items():
        # Five standard errors of the difference of two shares.
        error = 5 * np.sqrt(share * (1 - share) * (1 / draws + 1 / 400))
        assert abs(counts[number] / draws - share) < error, counts


def test_scaling_the_data_moves_nothing_but_the_loss():
    network = polynomial_cnn([2, 2], 3)
    x, y = data(network, 12)
    plain, scaled = (critical_points(network, *pair).real for pair in ((x, y), (4 * x, 0.5 * y)))
    for a, b in itertools.zip_longest(plain, scaled):
        assert a.kind == b.kind
        assert b.loss == pytest.approx(a.loss / 4, rel=1e-12)
        assert np.allclose(a.first, b.first, rtol=1e-9)


def test_what_is_not_counted():
    found = critical_points(polynomial_cnn([3, 2], 2), np.ones((4, 4)), np.ones((4, 1)))
    assert (found.expected, found.count, found.status) == (79, None, "formula only")
    network = polynomial_cnn([2, 2], 2)
    zero = critical_points(network, np.zeros((5, 3)), np.ones((5, 1)))
    assert zero.status == "degenerate"
    with pytest.raises(InputError, match=r"x must be \(n, 3\) and y \(n, 1\)"):
        critical_points(network, np.ones((4, 2)), np.ones((4, 1)))
    with pytest.raises(InputError, match="must be finite"):
        critical_points(network, np.full((4, 3), np.nan), np.ones((4, 1)))
    with pytest.raises(InputError, match="powers r > 1"):
        critical_points(polynomial_cnn([2, 2], 1), np.ones((4, 3)), np.ones((4, 1)))
