from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from repgeo.equivariance import lie_derivative
from repgeo.equivariance.forward_mode import push_forward
from repgeo.groups import ImageShifts, PeriodicShift, Representation, Translations


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def with_statistics(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(torch.arange(1.0, 4.0))
    norm.running_var.copy_(torch.arange(2.0, 5.0))
    return norm


class InputAsKernel(nn.Module):
    """A convolution whose kernel depends on the input: its tangent must not be left out."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.conv2d(x, x[:3, :, :2, :2] * 2.0)


class InputAsBias(nn.Module):
    """A convolution whose bias depends on the input."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.conv2d(x, torch.ones(2, 3, 2, 2, dtype=x.dtype), bias=x[0, :2, 0, 0])


class KernelByName(nn.Module):
    """Arguments given by name, input included."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, bias = normal(4, 3, 3, 3, seed=2), normal(4, seed=3)
        by_name = torch.conv2d(input=x, weight=kernel, bias=bias, padding=1)
        return by_name + torch.conv2d(x, weight=kernel, bias=bias, padding=1)


class Residual(nn.Module):
    """A residual block and its skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 3, 3, 1, 1), with_statistics(nn.BatchNorm2d(3)), nn.GELU(),
            nn.Conv2d(3, 3, 3, 1, 1, bias=False),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + x)


class Attention(nn.Module):
    """Patches as tokens that attend to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 2, 2)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).mT  # (n, tokens, features)
        return self.attend(tokens, tokens, tokens)[0]


class Lines(nn.Module):
    """Rows as signals, forth and back."""

    def __init__(self) -> None:
        super().__init__()
        self.forth, self.back = nn.Conv1d(6, 4, 3, 2), nn.ConvTranspose1d(4, 6, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.back(torch.tanh(self.forth(x[:, 0])))


NETWORKS: dict[str, nn.Module] = {
    "convolution": nn.Conv2d(3, 4, 3, padding=1),
    "strided, in groups, without bias": nn.Conv2d(3, 6, 3, 2, 1, groups=3, bias=False),
    "circular": nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"),
    "same": nn.Conv2d(3, 4, 3, padding="same"),
    "transposed": nn.ConvTranspose2d(3, 2, 3, 2, 1, 1),
    "lines": Lines(),
    "normalised": with_statistics(nn.BatchNorm2d(3)),
    "normalised by groups": nn.GroupNorm(1, 3),
    "input as kernel": InputAsKernel(),
    "input as bias": InputAsBias(),
    "arguments by name": KernelByName(),
    "residual": nn.Sequential(Residual(), nn.MaxPool2d(2), Residual(), nn.Flatten()),
    "attention": Attention(),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_pushed_directions_agree_with_plain_forward_mode(name: str) -> None:
    net = NETWORKS[name].double().eval().requires_grad_(False)
    x, v = normal(4, 3, 6, 6), normal(4, 3, 6, 6, seed=1)
    outputs, change = push_forward(net, x, v)
    # Plain forward mode cannot take the fused attention of frozen weights; push_forward can.
    expected, slow = torch.func.jvp(net.requires_grad_(True), (x,), (v,))
    net.requires_grad_(False)
    assert torch.allclose(outputs, expected, rtol=0, atol=1e-12)
    assert torch.allclose(change, slow, rtol=0, atol=1e-12)
    ahead, behind = net(x + 1e-6 * v), net(x - 1e-6 * v)
    assert torch.allclose(change, (ahead - behind) / 2e-6, atol=1e-6)


def test_inputs_without_a_batch_and_second_derivatives() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 2, 2)).double()
    net.requires_grad_(False)
    x, v, u = (normal(3, 6, 6, seed=seed) for seed in range(3))
    assert torch.allclose(push_forward(net, x, v)[1], torch.func.jvp(net, (x,), (v,))[1])

    def slope(x: Tensor) -> Tensor:
        return push_forward(net, x, v)[1]

    def plain(x: Tensor) -> Tensor:
        change: Tensor = torch.func.jvp(net, (x,), (v,))[1]
        return change

    assert torch.allclose(push_forward(slope, x, u)[1], torch.func.jvp(plain, (x,), (u,))[1])


def test_derivatives_in_weights_are_kept() -> None:
    """A kernel that moves for an outer derivative is a constant of the inner one."""
    x, v, kernel = normal(2, 3, 6, 6), normal(2, 3, 6, 6, seed=1), normal(4, 3, 3, 3, seed=2)

    def slope(kernel: Tensor) -> Tensor:
        return push_forward(lambda x: torch.conv2d(x, kernel), x, v)[1]

    found = torch.func.jvp(slope, (kernel,), (torch.ones_like(kernel),))[1]
    assert torch.allclose(found, torch.conv2d(v, torch.ones_like(kernel)))


def test_normalisation_by_the_batch_is_differentiated_too() -> None:
    x, v = normal(4, 3, 6, 6), normal(4, 3, 6, 6, seed=1)

    def by_batch(x: Tensor) -> Tensor:
        return nn.functional.batch_norm(x, None, None, training=True)

    assert torch.allclose(push_forward(by_batch, x, v)[1], torch.func.jvp(by_batch, (x,), (v,))[1])


def test_only_floating_point_fields_of_a_mapping_move() -> None:
    x = {"p": normal(4, 5, 3), "kind": torch.arange(20).reshape(4, 5)}
    v = {"p": normal(4, 5, 3, seed=1), "kind": torch.zeros(4, 5)}
    outputs, change = push_forward(lambda x: x["p"].square().sum(dim=2) * x["kind"], x, v)
    assert torch.allclose(outputs, x["p"].square().sum(dim=2) * x["kind"])
    assert torch.allclose(change, 2 * (x["p"] * v["p"]).sum(dim=2) * x["kind"])


def test_expanded_samples() -> None:
    x, v = torch.ones(1, 2).expand(3, 2), torch.ones(1, 2).expand(3, 2)
    assert push_forward(lambda x: 3 * x, x, v)[1].tolist() == [[3.0, 3.0]] * 3


def test_networks_of_convolutions_commute_with_shifts() -> None:
    """Circular convolutions are equivariant; zeros at the border are not."""
    shift = ImageShifts(Translations(2))
    x, right = normal(2, 3, 9, 9), torch.tensor([0.0, 1.0], dtype=torch.float64)
    found = {}
    for mode in ("circular", "zeros"):
        net = nn.Conv2d(3, 2, 3, padding=1, padding_mode=mode).double().requires_grad_(False)
        change = lie_derivative(net, x, right, rep_in=shift, rep_out=shift)
        found[mode] = float(change.abs().max())
    assert found["circular"] < 1e-12
    assert found["zeros"] > 1e-2


@pytest.mark.parametrize("length", [9, 12])
def test_slopes_of_shifts_are_those_of_forward_mode(length: int) -> None:
    """The closed form against a derivative of the shift itself, the highest frequency included."""
    x = normal(3, 2, length, 8)
    shift = ImageShifts(Translations(2), scale=0.5)
    for direction in ([1.0, 0.0], [0.0, -2.0], [0.7, 1.3]):
        v = torch.tensor(direction, dtype=torch.float64)
        slow = Representation.derivative(shift, v, x)
        assert isinstance(slow, Tensor)
        assert torch.allclose(shift.derivative(v, x), slow, rtol=0, atol=1e-12)  # type: ignore[arg-type]
    s = torch.arange(length, dtype=torch.float64) * (2 * torch.pi / length)
    wave = torch.cos(3 * s)[None]
    slope = PeriodicShift(Translations(1)).derivative(torch.ones(1, dtype=torch.float64), wave)
    assert torch.allclose(slope, 6 * torch.pi / length * torch.sin(3 * s)[None], rtol=0, atol=1e-12)  # type: ignore[arg-type]
    highest = torch.tensor([[1.0, -1.0, 1.0, -1.0]])  # a cosine at its top
    still = PeriodicShift(Translations(1)).derivative(torch.ones(1), highest)
    assert still.tolist() == [[0.0] * 4]  # type: ignore[union-attr]
