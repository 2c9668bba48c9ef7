"""Ridge functions, and the convolutional network with average pooling."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from repgeo.errors import ConfigurationError
from repgeo.models.building import build
from repgeo.models.cutting import run_from, run_to
from repgeo.models.pooled_cnn import pooled_cnn
from repgeo.models.ridge import ridge


def _images(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("slope", [0.0, 0.01, -0.01])
def test_a_ridge_function_is_its_formula(slope):
    net = build(ridge, {"direction": [1, -1, 1], "negative_slope": slope}, seed=0, dtype="float64")
    x = torch.tensor([[1.85, 1.3, 1.5], [1.85, 1.3, -1.5]], dtype=torch.float64)
    t = torch.tensor([[2.05], [-0.95]], dtype=torch.float64)
    torch.testing.assert_close(net.encoder(x), t, atol=1e-14, rtol=0)
    torch.testing.assert_close(net(x), torch.where(t > 0, t, slope * t), atol=1e-14, rtol=0)
    assert not list(net.parameters())


def test_ridge_functions_are_checked():
    for direction in ((), (0.0, 0.0), (1.0, float("inf"))):
        with pytest.raises(ConfigurationError, match="a vector of finite numbers that is not zero"):
            ridge(direction)


def test_the_pooled_network_is_its_formula():
    torch.manual_seed(0)
    net = pooled_cnn((1, 28, 28), 10, standardise=(0.1307, 0.3081)).eval()
    x = _images(3, 1, 28, 28)
    e = net.encoder
    z = (x - 0.1307) / 0.3081
    for conv in (e.conv1, e.conv2):
        z = torch.relu(functional.avg_pool2d(functional.conv2d(z, conv.weight, conv.bias), 2))
    z = z.flatten(1)
    assert z.shape == (3, 320)
    for linear in (e.linear1, e.linear2):
        z = torch.relu(z @ linear.weight.T + linear.bias)
    torch.testing.assert_close(e(x), z, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(net(x), z @ net.head.weight.T + net.head.bias, rtol=1e-5, atol=1e-6)
    assert torch.equal(run_from(net, "encoder", run_to(net, ["encoder"], x)["encoder"], x), net(x))


def test_log_probabilities_are_those_of_the_logits():
    torch.manual_seed(1)
    plain = pooled_cnn((1, 16, 16), 4).eval()
    torch.manual_seed(1)
    logs = pooled_cnn((1, 16, 16), 4, log_probabilities=True).eval()
    x = _images(2, 1, 16, 16)
    assert torch.equal(logs(x), plain(x).log_softmax(dim=1))


def test_dropout_is_of_training_only():
    torch.manual_seed(0)
    net = pooled_cnn((1, 16, 16), 4, dropout=0.9)
    x = _images(2, 1, 16, 16)
    assert not torch.equal(net.train()(x), net.train()(x))
    assert torch.equal(net.eval()(x), net.eval()(x))


def test_the_pooled_network_is_checked():
    with pytest.raises(ConfigurationError, match="too small for 2 blocks"):
        pooled_cnn((1, 8, 8), 10)
    with pytest.raises(ConfigurationError, match=r"dropout must lie in \[0, 1\)"):
        pooled_cnn((1, 28, 28), 10, dropout=1.0)
    with pytest.raises(ConfigurationError, match="needs images"):
        pooled_cnn((784,), 10)
