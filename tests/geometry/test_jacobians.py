"""Jacobians against the slow obvious reference, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from repgeo.errors import InputError, NonFiniteError
from repgeo.geometry import jacobian, pullback_metric, volume_spectrum
from repgeo.geometry.jacobians import jacobian_chunks


def _random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _reference(f, x):
    """One sample at a time by torch.autograd.functional.jacobian."""
    rows = [torch.autograd.functional.jacobian(lambda t: f(t[None])[0], sample) for sample in x]
    return torch.stack([row.reshape(row.shape[0], -1) for row in rows])


def _seeded(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(0.1 + torch.rand(tensor.shape, generator=generator))
    return module.double().eval()


def _networks():
    mlp = nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 5), nn.Sigmoid())
    convolution = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.GELU(), nn.MaxPool2d(2), nn.Flatten()
    )
    attention = nn.Sequential(
        nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, dropout=0.1), nn.Flatten()
    )
    return {
        "mlp": (_seeded(mlp), _random(5, 6)),
        "convolution": (_seeded(convolution), _random(3, 2, 4, 4)),
        "attention": (_seeded(attention), _random(3, 3, 4)),
        "function": (
            lambda x: torch.stack([x[:, 0] * x[:, 1], x[:, 1].sin()], dim=1),
            _random(9, 2),
        ),
    }


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("name", ["mlp", "convolution", "attention", "function"])
def test_agrees_with_the_reference(name, mode):
    f, x = _networks()[name]
    found = jacobian(f, x, mode=mode)
    expected = _reference(f, x)
    assert found.shape == expected.shape
    assert found.dtype == torch.float64
    assert not found.requires_grad
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("chunk", [1, 2, 5, 100])
def test_does_not_depend_on_the_chunk(mode, chunk):
    f, x = _networks()["mlp"]
    torch.testing.assert_close(
        jacobian(f, x, mode=mode, chunk=chunk), jacobian(f, x, mode=mode), rtol=1e-14, atol=1e-15
    )


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_small_memory_budgets_change_nothing(mode):
    f, x = _networks()["convolution"]
    parts = jacobian_chunks(f, x, mode=mode, memory_budget=1)
    found = torch.cat([part for _, part in parts])
    torch.testing.assert_close(found, jacobian(f, x), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_a_subspace_gives_the_product(mode):
    f, x = _networks()["mlp"]
    planes = torch.linalg.qr(_random(5, 6, 2, seed=1)).Q
    full = jacobian(f, x)
    for columns in (planes[0], planes):
        parts = jacobian_chunks(f, x, subspace=columns, mode=mode)
        found = torch.cat([part for _, part in parts])
        torch.testing.assert_close(found, full @ columns, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_constant_maps_have_jacobian_zero(mode):
    found = jacobian(lambda x: x.new_ones(len(x), 3), _random(4, 2), mode=mode)
    assert torch.equal(found, torch.zeros(4, 3, 2, dtype=torch.float64))


def test_a_module_is_left_as_it_is():
    f, x = _networks()["convolution"]
    before = {name: tensor.clone() for name, tensor in f.state_dict().items()}
    inputs = x.clone()
    jacobian(f, x)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in f.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in f.state_dict().items())
    assert torch.equal(inputs, x)
    assert not x.requires_grad


def test_fused_attention_is_put_back():
    assert torch.backends.mha.get_fastpath_enabled()
    f, x = _networks()["attention"]
    jacobian(f, x)
    assert torch.backends.mha.get_fastpath_enabled()


def test_float32_stays_and_mixed_inputs_take_the_wider_dtype():
    f, x = _networks()["mlp"]
    single = nn.Sequential(nn.Linear(6, 3)).float()
    assert jacobian(single, x.float()).dtype == torch.float32
    found = jacobian(lambda rows: f(rows.double()), x.float())
    torch.testing.assert_close(found, jacobian(f, x.float().double()), rtol=1e-12, atol=1e-14)


def test_works_without_gradients_around():
    f, x = _networks()["mlp"]
    with torch.no_grad():
        found = jacobian(f, x, mode="reverse")
    torch.testing.assert_close(found, _reference(f, x))


def test_training_mode_is_refused():
    f = _networks()["convolution"][0].train()
    with pytest.raises(InputError, match=r"'1' is in training mode.*module\.eval\(\)"):
        jacobian(f, _random(3, 2, 4, 4))


def test_samples_that_act_on_each_other_are_refused():
    with pytest.raises(InputError, match="depend on another sample"):
        jacobian(lambda x: x - x.mean(dim=0), _random(4, 2))
    norm = nn.BatchNorm1d(2).double().train()
    with pytest.raises(InputError, match="depend on another sample"):
        jacobian(lambda x: norm(x) * 1.5, _random(4, 2))


def test_wrong_shapes_are_refused():
    with pytest.raises(InputError, match=r"floating-point features \(B, n\).*flatten"):
        jacobian(lambda x: x[:, :, None], _random(2, 3))
    with pytest.raises(InputError, match="floating point with a sample axis"):
        jacobian(lambda x: x, torch.arange(4).reshape(2, 2))
    with pytest.raises(InputError, match="floating point with a sample axis"):
        jacobian(lambda x: x, torch.zeros(0, 3))
    with pytest.raises(InputError, match=r"Unknown mode 'forwards'\. Did you mean 'forward'"):
        jacobian(lambda x: x, _random(2, 3), mode="forwards")
    with pytest.raises(InputError, match="chunk must be at least 1, got 0"):
        jacobian(lambda x: x, _random(2, 3), chunk=0)
    with pytest.raises(InputError, match=r"A subspace is \(d, k\).*got \(2, 1\)"):
        list(jacobian_chunks(lambda x: x, _random(2, 3), subspace=_random(2, 1)))


def test_infinite_derivatives_are_refused():
    with pytest.raises(NonFiniteError, match="Jacobians of 1 of the samples 0 to 1"):
        jacobian(torch.sqrt, torch.tensor([[0.0, 1.0], [1.0, 1.0]]))


def test_metric_and_spectrum():
    f, x = _networks()["convolution"]
    full = jacobian(f, x)
    metric = pullback_metric(f, x)
    torch.testing.assert_close(metric, full.mT @ full)
    assert torch.equal(metric, metric.mT)
    expected = torch.linalg.svdvals(full)
    torch.testing.assert_close(volume_spectrum(f, x), expected, rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(volume_spectrum(f, x, k=2), expected[:, :2])
    with pytest.raises(InputError, match="k must be between 1 and 12, got 13"):
        volume_spectrum(f, x, k=13)
