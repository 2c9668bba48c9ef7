from __future__ import annotations

import math

import numpy as np
import pytest

from repgeo.algebra import (
    attention,
    attention_point,
    contact_spectrum,
    nodal_partner,
    pointwise_dimension,
    polynomial_cnn,
    predicted_contact,
)
from repgeo.errors import InputError


@pytest.mark.parametrize("r", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_nodes_have_two_sets_of_filters(r, stride):
    """Filters (a, b, 0), (0, c, d) and (0, a, b), (c, d, 0), each of full rank."""
    first = np.array([2, 5, 0]) if stride == 1 else np.array([7, 0, 0])
    network = polynomial_cnn([3, 3], r, strides=[stride, 1], outputs=2)
    one = {"w0": first, "w1": np.array([0, 3, -4])}
    other = nodal_partner(network, one)
    assert other is not None
    assert other["w0"].tolist() == np.roll(first, stride).tolist()
    assert other["w1"].tolist() == [3, -4, 0]
    x = np.random.default_rng(0).integers(-5, 6, (10, *network.input_shape))
    assert np.array_equal(network.apply(one, x), network.apply(other, x))
    back = nodal_partner(network, other)
    assert back is not None
    assert all(np.array_equal(back[name], one[name]) for name in one)
    if r > 1:
        for point in (one, other):
            assert pointwise_dimension(network, point).rank == network.dimension


def test_generic_filters_are_no_node():
    network = polynomial_cnn([3, 3], 2)
    for w0, w1 in (([1, 2, 3], [0, 1, 2]), ([1, 2, 0], [3, 1, 2]), ([0, 0, 0], [0, 0, 1])):
        assert nodal_partner(network, {"w0": np.array(w0), "w1": np.array(w1)}) is None


def test_points_of_one_attention_layer():
    """Kernels of the coefficients: 1, 1, 1, and d where keys and values are parallel."""
    generator, d = np.random.default_rng(0), 4

    def draw(*shape):
        return generator.integers(1, 100, shape)

    key, value, out = draw(1, d), draw(1, d), draw(d, 1)
    thin = np.concatenate([key, key, np.zeros((1, d), dtype=np.int64)])

    def point(a, k, v):
        return attention_point(attention([d, d], [a]), {"Q1": draw(a, d), "K1": k, "V1": v})

    found = [
        point(3, draw(3, d), draw(d, d)),
        point(1, key, draw(d, d)),
        point(3, thin, draw(d, d)),
        point(3, np.concatenate([draw(2, d), thin[2:]]), draw(d, d)),
        point(3, draw(3, d), out @ value),
        point(1, key, out @ value),
        point(1, key, out @ (3 * key)),
        point(1, key, 0 * draw(d, d)),
    ]
    kinds = ["regular", "regular", "rank one", "low rank", "rank one", "crossing", "ramification"]
    assert [p.kind for p in found] == [*kinds, "zero"]
    assert [p.kernel_dimension for p in found[:7]] == [1, 1, 1, 1, 1, 1, d]
    with pytest.raises(InputError, match="Only one layer of lightning attention"):
        attention_point(attention([d, d], [1], normalized=True), {})


@pytest.mark.parametrize("seed", range(2))
def test_contact_orders(seed):
    network = attention([2, 2, 2], [1, 1], normalized=True)
    found = contact_spectrum(network, generator=np.random.default_rng(seed))
    assert [(group.predicted, group.multiplicity) for group in found] == predicted_contact(network)
    assert [group.multiplicity for group in found] == [4, 3, 3, 6]
    for group in found[:-1]:
        assert group.order == pytest.approx(group.predicted, abs=0.1)
        assert group.spread < 0.15
    assert found[-1].order == math.inf


def test_contact_orders_need_what_is_predicted():
    with pytest.raises(InputError, match="predicted for softmax attention"):
        contact_spectrum(attention([2, 2], [1]))
    softmax = attention([2, 2], [1], normalized=True)
    with pytest.raises(InputError, match="two positive numbers that decrease"):
        contact_spectrum(softmax, scales=(0.1, 0.2))
