"""Modules evaluate what their formulas say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from repgeo.algebra import neuromanifold_dimension, pointwise_dimension
from repgeo.algebra.fibres import module_parameters
from repgeo.errors import ConfigurationError, InputError
from repgeo.models.attention_network import attention
from repgeo.models.building import build
from repgeo.models.filter_networks import group_cnn, polynomial_cnn
from repgeo.models.monomial_mlp import monomial_mlp

NETWORKS = [
    (polynomial_cnn, {"filters": [3, 2, 2], "degree": 3, "strides": [2, 1, 1], "outputs": 2}),
    (polynomial_cnn, {"filters": [4], "degree": 2, "strides": 3, "outputs": 3}),
    (group_cnn, {"group": "S3", "depth": 3, "degree": 2}),
    (monomial_mlp, {"widths": [3, 4, 2], "degree": 2}),
    (attention, {"widths": [3, 2, 4], "ranks": [2, 1]}),
    (attention, {"widths": [3, 3, 3], "ranks": 2, "softmax": True, "residual": True}),
    (attention, {"widths": [3, 2], "ranks": 1, "heads": 2, "causal": True, "value_rank": 2}),
    (attention, {"widths": [3, 2], "ranks": 1, "heads": 2, "causal": True, "softmax": True}),
]


@pytest.mark.parametrize(("factory", "parameters"), NETWORKS)
def test_a_module_is_its_formula(factory, parameters):
    net = build(factory, parameters, seed=0, dtype="float64")
    spec = net.spec()
    x = np.random.default_rng(0).standard_normal((5, *spec.input_shape))
    with torch.no_grad():
        out = net(torch.from_numpy(x)).numpy()
    wanted = spec.apply(module_parameters(spec, net), x)
    assert out.shape == wanted.shape
    assert np.abs(out - wanted).max() <= 1e-13 * np.abs(wanted).max()
    assert net.encoder(torch.from_numpy(x)).ndim == 2
    assert sum(p.numel() for p in net.parameters()) == spec.parameter_count


@pytest.mark.parametrize(("factory", "parameters"), NETWORKS)
def test_rank_at_drawn_weights_and_by_autograd(factory, parameters):
    net = build(factory, parameters, seed=1, dtype="float64")
    exact = neuromanifold_dimension(net)
    assert exact.certified
    assert pointwise_dimension(net).rank == exact.rank
    draws = np.random.default_rng(0)
    shape = net.spec().input_shape
    other = pointwise_dimension(
        WithoutFormula(net), inputs=lambda n: draws.standard_normal((n, *shape))
    )
    assert other.formula is None
    assert other.rank == exact.rank


class WithoutFormula(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: polynomial_cnn((2, 2), 2, strides=(1,)), "2 filters need as many strides"),
        (lambda: group_cnn("X9", 2, 2), "group_cnn: "),
        (lambda: group_cnn("C3", 0, 2), "layers and degree must be at least 1"),
        (lambda: attention((3,), 2), "attention: 1 widths make 0 layers"),
        (lambda: monomial_mlp((3,), 2), "monomial_mlp: widths must be two or more"),
    ],
)
def test_parameters_are_checked(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_inputs_are_checked():
    with pytest.raises(InputError, match="reads 3 numbers, got 4"):
        polynomial_cnn((2, 2), 2)(torch.zeros(1, 4))
    with pytest.raises(InputError, match=r"reads tokens \(3, 2\), got \(2, 2\)"):
        attention((2, 2), 1)(torch.zeros(1, 2, 2))
