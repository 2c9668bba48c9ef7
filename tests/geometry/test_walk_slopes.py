from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from repgeo.errors import NonFiniteError
from repgeo.geometry import jacobian
from repgeo.geometry.feature_map import FeatureMap
from repgeo.geometry.walks.slopes import Slopes


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Doubling(torch.autograd.Function):
    """A function whose backward pass leaves torch, so that it has no batched form."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return torch.from_numpy(2.0 * x.detach().numpy())

    @staticmethod
    def backward(ctx: object, slope: Tensor) -> Tensor:
        return torch.from_numpy(2.0 * slope.numpy())


def convolutional() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.GELU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(12, 4), nn.LogSoftmax(dim=1),
    )  # fmt: skip
    return net.double().eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("f", "shape"),
    [
        (convolutional(), (1, 6, 6)),
        (nn.Sequential(nn.Linear(5, 3), nn.Tanh()).double(), (5,)),
        (lambda x: Doubling.apply(x.tanh())[:, :2], (4,)),
        (lambda x: torch.stack([x[:, 0] * x[:, 1], x[:, 2].sin()], dim=1), (4,)),
        (lambda x: torch.ones_like(x[:, :2]), (4,)),
        (lambda x: torch.cat([x, x.square()], dim=1), (3,)),
    ],
)
def test_slopes_are_jacobians(f: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> None:
    x = normal(3, *shape, seed=1)
    found = Slopes(FeatureMap(f, x))(x.flatten(1))
    expected = jacobian(f, x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    assert not found.requires_grad


def test_derivatives_that_do_not_exist_are_told() -> None:
    slopes = Slopes(FeatureMap(lambda x: x.abs().sqrt()[:, :1], normal(2, 3).abs() + 1))
    with pytest.raises(NonFiniteError, match="not differentiable"):
        slopes(torch.zeros(1, 3, dtype=torch.float64))
