"""The shallow network: its scaling, its initial weights, and training in it."""

from __future__ import annotations

import math

import pytest
import torch

from repgeo.errors import ConfigurationError
from repgeo.geometry import jacobian
from repgeo.models.building import build
from repgeo.models.shallow import shallow


def make(**parameters):
    return build(shallow, parameters, seed=3, dtype="float64", input_shape=(1, 2, 2), classes=3)


def test_codes_are_the_formula():
    net = make(width=7, activation="tanh")
    x = torch.randn(5, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    hidden = net.encoder.linear
    expected = torch.tanh(x.flatten(1) @ hidden.weight.T + hidden.bias) / math.sqrt(7)
    assert torch.allclose(net.encoder(x), expected, atol=1e-15)
    logits = (math.sqrt(7) * expected @ net.head.weight.T + net.head.bias) / math.sqrt(7)
    assert torch.allclose(net(x), logits, atol=1e-14)


def test_initial_weights_are_standard_normal():
    net = make(width=4000)
    weight = net.encoder.linear.weight.detach()
    n = weight.numel()
    assert abs(float(weight.mean())) < 4 / math.sqrt(n)
    assert abs(float(weight.var()) - 1) < 4 * math.sqrt(2 / n)
    # The outputs then have a variance of order one, whatever the width.
    x = torch.randn(50, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert 0.1 < float(net(x).detach().std()) < 2


def test_jacobians_are_taken_layer_by_layer():
    net = make(width=7).eval().requires_grad_(False)
    x = torch.randn(5, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = jacobian(net.encoder, x, mode="layerwise")
    assert torch.allclose(found, jacobian(net.encoder, x, mode="reverse"), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [({"width": 0}, "width"), ({"activation": "sigmoidd"}, "sigmoid")],
)
def test_faults_are_named(parameters, words):
    with pytest.raises(ConfigurationError, match=words):
        make(**parameters)
