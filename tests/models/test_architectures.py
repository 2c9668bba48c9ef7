"""The networks that come with repgeo, and the baselines."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from repgeo.errors import CheckpointError, ConfigurationError
from repgeo.models.activations import ACTIVATIONS, make_activation
from repgeo.models.baselines import constant, identity, weights
from repgeo.models.cnn import cnn
from repgeo.models.cutting import run_from, run_to
from repgeo.models.mlp import mlp
from repgeo.models.randomness import default_dtype
from repgeo.models.resnet import resnet

NETS = {"mlp": mlp, "cnn": cnn, "resnet": resnet}
FEATURES = {"mlp": 32, "cnn": 64, "resnet": 64}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 9, 11)])
@pytest.mark.parametrize("name", NETS)
def test_shapes_of_codes_and_outputs(name, shape):
    net = NETS[name](shape, 7).eval()
    x = torch.randn(5, *shape, generator=generator())
    codes = net.encoder(x)
    assert codes.shape == (5, FEATURES[name])
    assert torch.equal(net(x), net.head(codes))
    assert net(x).shape == (5, 7)


@pytest.mark.parametrize("name", NETS)
def test_the_encoder_cuts_the_network(name):
    net = NETS[name]((1, 8, 8), 3).eval()
    x = torch.randn(4, 1, 8, 8, generator=generator())
    codes = run_to(net, ["encoder"], x)["encoder"]
    assert torch.equal(run_from(net, "encoder", codes, x[:1]), net(x))


def test_the_mlp_is_its_formula():
    net = mlp((2, 3), 4, hidden=(5, 6), activation="tanh")
    x = torch.randn(7, 2, 3, generator=generator())
    z = x.flatten(1)
    for layer in (net.encoder.linear1, net.encoder.linear2):
        z = torch.tanh(z @ layer.weight.T + layer.bias)
    expected = z @ net.head.weight.T + net.head.bias
    torch.testing.assert_close(net(x), expected, rtol=1e-6, atol=1e-6)


def test_the_mlp_without_hidden_layers_is_linear():
    net = mlp((4,), 2, hidden=())
    x = torch.randn(3, 4, generator=generator())
    assert torch.equal(net.encoder(x), x)
    assert torch.equal(net(x), net.head(x))


def test_stages_of_the_resnet_halve_the_image():
    net = resnet((3, 32, 32), 10, width=4, blocks=(2, 1, 1, 1)).eval()
    seen = run_to(net, [f"encoder.stage{s}" for s in (1, 2, 3, 4)], torch.zeros(1, 3, 32, 32))
    shapes = [tuple(codes.shape[1:]) for codes in seen.values()]
    assert shapes == [(4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 4, 4)]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_by_name(name, activation):
    net = NETS[name]((1, 8, 8), 3, activation=activation).eval()
    assert bool(torch.isfinite(net(torch.ones(2, 1, 8, 8))).all())


def test_activations_have_their_values():
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    expected = {
        "erf": torch.special.erf(x),
        "gelu": x * 0.5 * (1 + torch.special.erf(x / 2**0.5)),
        "identity": x,
        "leaky_relu": torch.where(x > 0, x, 0.01 * x),
        "relu": x.clamp(min=0),
        "sigmoid": 1 / (1 + (-x).exp()),
        "silu": x / (1 + (-x).exp()),
        "softplus": (1 + x.exp()).log(),
        "tanh": (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()),
    }
    assert set(expected) == set(ACTIVATIONS)
    for name, values in expected.items():
        torch.testing.assert_close(make_activation(name)(x), values, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mlp((4,), 2, activation="rellu"), "Unknown activation 'rellu'.*'relu'"),
        (lambda: mlp((4,), 2, hidden=(), activation="rellu"), "Unknown activation"),
        (lambda: cnn((4,), 2), r"cnn needs images.*got inputs of shape \(4,\).*Use mlp"),
        (lambda: resnet((2, 4), 2), r"resnet needs images"),
        (lambda: mlp((4,), 2, hidden=(3, 0)), "mlp: hidden must be at least 1, got 0"),
        (lambda: cnn((1, 8, 8), 2, channels=()), r"cnn: channels must be at least 1, got \(\)"),
        (lambda: cnn((1, 8, 8), 2, features=0), "cnn: features must be at least 1"),
        (lambda: resnet((1, 8, 8), 2, blocks=(1, 0)), r"resnet: blocks must be at least 1"),
        (lambda: constant(3, value=(1.0,)), "value has 1 numbers, and there are 3 classes"),
    ],
)
def test_impossible_parameters_are_refused(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("name", NETS)
def test_jacobians_agree_with_finite_differences(name, mode):
    with default_dtype(torch.float64):
        net = NETS[name]((1, 8, 8), 3, activation="tanh").eval()
    x = torch.randn(2, 1, 8, 8, generator=generator(), dtype=torch.float64)
    jacobian = torch.func.jacfwd if mode == "forward" else torch.func.jacrev

    def single(sample: torch.Tensor) -> torch.Tensor:
        return net.encoder(sample.unsqueeze(0)).squeeze(0)

    found = torch.func.vmap(jacobian(single))(x).flatten(2)  # (2, features, 64)
    direction = torch.randn(1, 1, 8, 8, generator=generator(1), dtype=torch.float64)
    step = 1e-6
    slope = (net.encoder(x + step * direction) - net.encoder(x - step * direction)) / (2 * step)
    product = found @ direction.flatten()
    torch.testing.assert_close(product, slope, rtol=1e-6, atol=1e-7)


def test_identity_flattens():
    net = identity()
    x = torch.randn(3, 1, 2, 2, generator=generator())
    assert torch.equal(net(x), x.flatten(1))
    assert torch.equal(net.encoder(x), x.flatten(1))
    assert net(torch.ones(4)).shape == (4, 1)
    assert not list(net.parameters())


def test_constant_does_not_look_at_its_input():
    net = constant(3, value=(0.5, -1.0, 2.0))
    x = torch.randn(4, 1, 8, 8, generator=generator())
    assert net(x).tolist() == [[0.5, -1.0, 2.0]] * 4
    assert net.encoder(x).tolist() == [[1.0]] * 4
    assert torch.equal(net.head(net.encoder(x)), net(x))
    with default_dtype(torch.float64):
        assert constant(3)(x).dtype == torch.float64


def test_weights_from_a_safetensors_file(tmp_path):
    matrix = torch.randn(2, 4, generator=generator())
    path = tmp_path / "matrix.safetensors"
    save_file({"basis": matrix, "other": matrix * 2}, path)
    net = weights(path, "basis")
    x = torch.randn(5, 2, 2, generator=generator(1))
    torch.testing.assert_close(net(x), x.flatten(1) @ matrix.T)
    assert torch.equal(net.encoder(x), net(x))
    assert list(net.state_dict()) == ["weight"]
    with pytest.raises(CheckpointError, match="holds 2 tensors: choose one with `name`"):
        weights(path)
    with pytest.raises(CheckpointError, match=r"no tensor 'bases'. Did you mean 'basis'"):
        weights(path, "bases")


def test_weights_follow_copies_and_new_dtypes(tmp_path):
    np.save(tmp_path / "m.npy", np.array([[1.0, 2.0]]))
    net = weights(str(tmp_path / "m.npy"))
    assert net.weight.dtype == torch.float32
    twin = copy.deepcopy(net).double()
    twin.weight.mul_(10)
    x = torch.tensor([[1.0, 1.0]])
    assert float(net(x)) == 3.0
    assert float(twin(x.double())) == 30.0
    assert float(torch.func.functional_call(net, {"weight": torch.ones(1, 2)}, x)) == 2.0


def test_complex_and_integer_matrices(tmp_path):
    np.save(tmp_path / "c.npy", np.array([[1j, 2.0]]))
    assert weights(tmp_path / "c.npy")(torch.ones(1, 2)).tolist() == [[2 + 1j]]
    np.save(tmp_path / "i.npy", np.array([[3, 4]]))
    assert weights(tmp_path / "i.npy").weight.dtype == torch.float32


def test_files_that_hold_no_matrix_are_refused(tmp_path):
    path = tmp_path / "m.npy"
    for array, message in [
        (np.zeros(3), r"a matrix is needed, got \(3,\)"),
        (np.full((2, 2), np.nan), "holds NaN or infinite values"),
        (np.array([[None]], dtype=object), "not a .npy file of numbers: Object arrays"),
        (np.array([["text"]]), "not a .npy file of numbers"),
    ]:
        np.save(path, array)
        with pytest.raises(CheckpointError, match=message):
            weights(path)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"not a .npy file"):
        weights(path)
    with pytest.raises(CheckpointError, match="There is no file"):
        weights(tmp_path / "absent.npy")
    np.save(path, np.eye(2))
    with pytest.raises(CheckpointError, match="which has no name: 'basis'"):
        weights(path, "basis")


def test_every_factory_is_in_the_catalogue():
    from repgeo import registry

    for record in registry.records("models"):
        if record.origin == "repgeo":
            assert callable(registry.load("models", record.name).object)
    assert isinstance(registry.load("models", "identity").object(), nn.Module)
