"""Plain chains of layers: recognised only where they are all there is, and then exact."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from repgeo.errors import InputError
from repgeo.geometry import jacobian, log_volume, scalar_curvature
from repgeo.geometry.feature_map import FeatureMap
from repgeo.geometry.jacobians import jacobian_chunks
from repgeo.geometry.layerwise import Chain, Step


def _random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _seeded(*layers, seed=0):
    module = nn.Sequential(*layers).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
    return module


class _Cube(nn.Module):
    elementwise = True

    def forward(self, x):
        return x**3 / 2


class _CubeOfAll(_Cube):
    """A subclass that does not say of itself that it is elementwise."""

    def forward(self, x):
        return x**3 + x.sum(dim=1, keepdim=True)


CHAINS = {
    "shallow": lambda: _seeded(nn.Linear(6, 20), nn.Sigmoid()),
    "bottleneck": lambda: _seeded(
        nn.Flatten(), nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 2), nn.GELU(), nn.Linear(2, 15)
    ),
    "wide end": lambda: _seeded(
        nn.Linear(6, 8, bias=False), nn.Softplus(), nn.Dropout(0.5), nn.Linear(8, 30), nn.ELU()
    ),
    "narrow end": lambda: _seeded(nn.Linear(6, 30), nn.SiLU(), nn.Linear(30, 2), nn.Tanh()),
    "only activations": lambda: _seeded(nn.Tanh(), nn.Sigmoid()),
    "activation first": lambda: _seeded(nn.Tanh(), nn.Linear(6, 5), nn.Identity(), nn.Tanh()),
    "two functions in a row": lambda: _seeded(nn.Linear(6, 9), nn.Tanh(), nn.Sigmoid(), nn.Tanh()),
    "functions of one's own": lambda: _seeded(_Cube(), nn.Linear(6, 9), nn.Tanh(), _Cube()),
    "only linear": lambda: _seeded(nn.Linear(6, 4), nn.Linear(4, 7)),
}


@pytest.mark.parametrize("name", CHAINS)
def test_jacobians_agree_with_reverse_mode(name):
    f, x = CHAINS[name](), _random(4, 6)
    assert FeatureMap(f, x).chain is not None
    found = jacobian(f, x, mode="layerwise")
    expected = jacobian(f, x, mode="reverse")
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", CHAINS)
def test_products_with_subspaces(name):
    f, x = CHAINS[name](), _random(4, 6)
    planes = torch.linalg.qr(_random(4, 6, 2, seed=1)).Q
    full = jacobian(f, x, mode="reverse")
    for columns in (planes[0], planes):
        parts = jacobian_chunks(f, x, subspace=columns, mode="layerwise")
        found = torch.cat([part for _, part in parts])
        torch.testing.assert_close(found, full @ columns, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["shallow", "wide end", "only activations", "activation first"])
def test_second_derivatives(name):
    f, x = CHAINS[name](), _random(4, 6)
    chain = FeatureMap(f, x).chain
    slopes, bends = chain.derivatives(x)
    torch.testing.assert_close(slopes, jacobian(f, x, mode="reverse"), rtol=1e-12, atol=1e-14)
    rows = [torch.func.jacfwd(torch.func.jacrev(f))(point) for point in x]  # (n, d, d)
    left, right = torch.triu_indices(6, 6)
    expected = torch.stack(rows)[:, :, left, right]
    torch.testing.assert_close(bends, expected, rtol=1e-11, atol=1e-13)


def test_the_module_within_another_is_found():
    inner = CHAINS["shallow"]()
    x = _random(4, 2, 3)
    assert FeatureMap(lambda x: inner(x.flatten(1)), x).chain is not None
    assert FeatureMap(lambda x: inner[0](x.reshape(len(x), 6)), x).chain is not None


class _Functional(nn.Module):
    """Between the layers something that is no module happens."""

    def __init__(self, between):
        super().__init__()
        self.first, self.second = _seeded(nn.Linear(6, 6))[0], _seeded(nn.Linear(6, 6))[0]
        self.between = between

    def forward(self, x):
        return self.second(self.between(self.first(x)))


LINEAR = _seeded(nn.Linear(6, 4))


@pytest.mark.parametrize(
    "f",
    [
        _Functional(torch.tanh),
        _Functional(lambda z: z.clone().mul_(2)),
        _Functional(lambda z: z.mul_(2)),
        _Functional(lambda z: z.detach()),
        _Functional(lambda z: z.flip(1)),
        lambda x: LINEAR(x) + 1,
        lambda x: LINEAR(x).detach() + LINEAR(x),
        lambda x: LINEAR(x.sin()),
        lambda x: LINEAR(x) + x[:, :4],
        _seeded(nn.Linear(6, 4), nn.Softmax(dim=1)),
        _seeded(nn.Linear(6, 4), nn.LayerNorm(4)),
        _seeded(nn.Linear(6, 4), _CubeOfAll()),
        _seeded(nn.Linear(6, 4), nn.ReLU(inplace=True)),
        torch.tanh,
        lambda x: x,
    ],
)
def test_anything_else_is_left_to_automatic_differentiation(f):
    x = _random(3, 6)
    assert FeatureMap(f, x).chain is None
    expected = torch.stack([torch.func.jacrev(lambda t: f(t[None])[0])(point) for point in x])
    torch.testing.assert_close(jacobian(f, x), expected, rtol=1e-12, atol=1e-14)
    with pytest.raises(InputError, match="mode='layerwise' needs a map that is nothing but"):
        jacobian(f, x, mode="layerwise")


def test_a_square_permutation_is_not_taken_for_a_flattening():
    """The same numbers in another order, at the same address."""
    inner = _seeded(nn.Linear(9, 4))
    x = _random(2, 3, 3)
    f = lambda x: inner(x.mT.flatten(1))  # noqa: E731
    expected = jacobian(f, x, mode="reverse")
    torch.testing.assert_close(jacobian(f, x), expected, rtol=1e-12, atol=1e-14)


def test_forward_hooks_are_respected():
    f, x = CHAINS["shallow"](), _random(3, 6)
    plain = jacobian(f, x)
    handle = f[0].register_forward_hook(lambda module, args, output: 3 * output)
    scaled = jacobian(f, x)
    handle.remove()
    torch.testing.assert_close(scaled, jacobian(lambda x: f[1](3 * f[0](x)), x))
    assert not torch.allclose(scaled, plain)


def test_no_hook_is_left_behind():
    f, x = CHAINS["shallow"](), _random(3, 6)
    before = len(nn.modules.module._global_forward_hooks)
    jacobian(f, x)
    assert len(nn.modules.module._global_forward_hooks) == before


def test_volume_and_curvature_agree_with_automatic_differentiation():
    f, x = CHAINS["wide end"](), _random(5, 6)
    slow = lambda x: 1.0 * f(x)  # noqa: E731 - the same map, not recognised as a chain
    assert FeatureMap(slow, x).chain is None
    torch.testing.assert_close(log_volume(f, x), log_volume(slow, x), rtol=0, atol=1e-11)
    torch.testing.assert_close(
        scalar_curvature(f, x), scalar_curvature(slow, x), rtol=1e-9, atol=1e-9
    )


def test_a_chain_of_steps():
    weight = _random(3, 2)
    chain = Chain((Step(weight=weight), Step(function=torch.sin)))
    x = _random(4, 2, seed=1)
    torch.testing.assert_close(chain(x), torch.sin(x @ weight.T))
    expected = torch.cos(x @ weight.T)[:, :, None] * weight
    torch.testing.assert_close(chain.jacobian(x), expected)
    assert chain.width == 3
