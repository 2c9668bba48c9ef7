"""Derivatives computed once in the forward pass: the same as those of the plain functions."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from repgeo.geometry import jacobian
from repgeo.geometry.feature_map import FeatureMap
from repgeo.geometry.fixed_slopes import FixedSlopes


def _random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


FUNCTIONS = {
    "gelu": functional.gelu,
    "gelu tanh": lambda z: functional.gelu(z, approximate="tanh"),
    "silu": functional.silu,
    "silu inplace": lambda z: functional.silu(z * 1, inplace=True),
    "elu": lambda z: functional.elu(z, alpha=0.7),
    "elu by position": lambda z: functional.elu(z, 0.7),
    "softplus": nn.Softplus(beta=2.0),
    "mish": nn.Mish(),
    "selu": nn.SELU(),
    "celu": nn.CELU(),
    "relu": nn.ReLU(),
    "batch norm": nn.BatchNorm1d(6).double().eval(),
    "batch norm without factors": nn.BatchNorm1d(6, affine=False).double().eval(),
    "batch norm by name": lambda z: functional.batch_norm(
        input=z, running_mean=z.new_ones(6), running_var=2 * z.new_ones(6), eps=0.1
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_slopes_are_those_of_the_plain_function(name):
    f, z = FUNCTIONS[name], _random(5, 6)
    cotangent = _random(5, 6, seed=1)

    def both():
        leaf = z.clone().requires_grad_()
        values = f(leaf)
        return values, torch.autograd.grad(values, leaf, cotangent)[0]

    expected = both()
    with FixedSlopes():
        found = both()
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_batch_norm_in_training_mode_is_left_alone():
    norm = nn.BatchNorm1d(6).double()
    with FixedSlopes():
        norm(_random(5, 6))
    assert float(norm.running_mean.abs().max()) > 0


def test_results_may_be_changed_in_place():
    z = _random(3, 4).requires_grad_()
    with FixedSlopes():
        values = functional.gelu(z)
        values += z
    (slope,) = torch.autograd.grad(values.sum(), z)
    reference = z.detach().clone().requires_grad_()
    (expected,) = torch.autograd.grad((functional.gelu(reference) + reference).sum(), reference)
    torch.testing.assert_close(slope, expected)


class _Net(nn.Module):
    """Convolutions whose output is flattened in a way that needs, or takes, any layout."""

    def __init__(self, flatten):
        super().__init__()
        self.convolution = nn.Conv2d(2, 3, 3, stride=2).double()
        self.norm = nn.BatchNorm2d(3).double()
        self.flatten = flatten
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters()):
                parameter.copy_(_random(*parameter.shape, seed=number))
        self.eval()

    def forward(self, x):
        return self.flatten(functional.gelu(self.norm(self.convolution(x))))


@pytest.mark.parametrize(
    ("flatten", "layout"),
    [
        (lambda z: z.flatten(1), torch.channels_last),
        (lambda z: z.mean(dim=(2, 3)), torch.channels_last),
        (lambda z: z.view(len(z), -1), torch.contiguous_format),
    ],
)
def test_the_layout_is_one_that_the_map_takes(flatten, layout):
    f, x = _Net(flatten), _random(3, 2, 7, 7)
    made = FeatureMap(f, x)
    assert made._layout == layout
    torch.testing.assert_close(made(made.x), f(x), rtol=1e-12, atol=1e-14)
    rows = [torch.func.jacrev(lambda t: f(t[None])[0])(point).flatten(1) for point in x]
    found = jacobian(f, x, mode="reverse")
    torch.testing.assert_close(found, torch.stack(rows), rtol=1e-11, atol=1e-13)


def test_chains_are_found_on_images():
    f = nn.Sequential(nn.Flatten(), nn.Linear(18, 4)).double().eval()
    assert FeatureMap(f, _random(3, 2, 3, 3)).chain is not None
