from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from repgeo.errors import InputError
from repgeo.geometry import WalkSpec, cross_walk, jacobian


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(*last: nn.Module, outputs: int = 4) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(12, 30), nn.Tanh(), nn.Linear(30, outputs), *last)
    return net.double().requires_grad_(False)


def test_linear_maps_are_crossed_by_the_pseudo_inverse() -> None:
    A, x, change = normal(3, 7), normal(2, 7, seed=1), normal(2, 3, seed=2)
    made = cross_walk(
        lambda x: x @ A.T, x, WalkSpec(steps=4, step_size=0.0), target_output=x @ A.T + change
    )
    expected = x + change @ torch.linalg.pinv(A).T
    torch.testing.assert_close(made.points[-1], expected, rtol=0, atol=1e-12)
    assert made.status == ("ok", "ok")
    shortest = (expected - x).norm(dim=1)
    torch.testing.assert_close(made.length[-1], shortest, rtol=1e-12, atol=0)


@pytest.mark.parametrize("step_size", [0.0, 0.3])
def test_outputs_lie_on_the_line(step_size: float) -> None:
    net, x = network(), normal(3, 12, seed=1)
    start, target = net(x), net(x) + 0.3 * normal(3, 4, seed=2)
    made = cross_walk(net, x, WalkSpec(steps=10, step_size=step_size), target_output=target)
    share = torch.linspace(0, 1, 11, dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(made.outputs, start + share * (target - start), rtol=0, atol=1e-13)
    assert float(made.drift.max()) < 1e-14
    assert made.status == ("ok",) * 3


def test_null_and_horizontal_parts_are_orthogonal() -> None:
    A, x = normal(3, 9), normal(2, 9, seed=1)
    target = x @ A.T + normal(2, 3, seed=2)
    walk = WalkSpec(steps=1, step_size=0.5)
    across, mixed = (
        cross_walk(lambda x: x @ A.T, x, w, target_output=target).length[-1]
        for w in (WalkSpec(steps=1, step_size=0.0), walk)
    )
    torch.testing.assert_close(mixed**2, across**2 + 0.25, rtol=1e-12, atol=0)


@pytest.mark.parametrize("last", [(), (nn.Softmax(dim=1),), (nn.LogSoftmax(dim=1),)])
def test_classes_are_reached(last: tuple[nn.Module, ...]) -> None:
    net, x = network(*last), normal(5, 12, seed=1)
    start = net(x)
    wanted = (start.argmax(dim=1) + 1) % 4
    made = cross_walk(net, x, WalkSpec(steps=20, step_size=0.1), target_class=wanted)
    now = start.argmax(dim=1)
    rows = torch.arange(5)
    torch.testing.assert_close(made.outputs[-1, rows, wanted], start[rows, now], rtol=0, atol=1e-12)
    torch.testing.assert_close(made.outputs[-1, rows, now], start[rows, wanted], rtol=0, atol=1e-12)
    assert made.status == ("ok",) * 5
    assert float(made.drift.max()) < 1e-13
    if isinstance(net[-1], nn.LogSoftmax):
        torch.testing.assert_close(
            made.outputs.logsumexp(dim=2), torch.zeros(21, 5).double(), rtol=0, atol=1e-14
        )


def test_the_first_step_is_the_lift_of_the_line() -> None:
    net, x = network(), normal(3, 12, seed=1)
    change = 1e-6 * normal(3, 4, seed=2)
    walk = WalkSpec(steps=1, step_size=0.0)
    made = cross_walk(net, x, walk, target_output=net(x) + change)
    lift = (torch.linalg.pinv(jacobian(net, x)) @ change[:, :, None]).squeeze(2)
    torch.testing.assert_close(made.points[1] - x, lift, rtol=1e-4, atol=1e-11)


def test_boxes_hold() -> None:
    net, x = network(), normal(3, 12, seed=1).clamp(-0.8, 0.8)
    target = net(x) + 0.1 * normal(3, 4, seed=2)
    made = cross_walk(
        net, x, WalkSpec(steps=20, step_size=0.2, box=(-0.8, 0.8)), target_output=target
    )
    assert float(made.points.abs().max()) <= 0.8
    torch.testing.assert_close(made.outputs[-1], target, rtol=0, atol=1e-13)


def test_what_cannot_be_reached_is_told() -> None:
    def f(x: Tensor) -> Tensor:
        return torch.tanh(x.sum(dim=1, keepdim=True))

    x = torch.tensor([[0.1, 0.2], [40.0, 40.0]], dtype=torch.float64)
    made = cross_walk(f, x, WalkSpec(steps=10, step_size=0.1), target_output=torch.tensor([2.0]))
    assert made.status == ("stuck", "flat")
    assert float(made.outputs[-1, 0]) <= 1.0


def test_wrong_targets_are_named() -> None:
    net, x, walk = network(), normal(2, 12), WalkSpec(steps=2, step_size=0.1)
    with pytest.raises(InputError, match="either target_output or target_class"):
        cross_walk(net, x, walk)
    with pytest.raises(InputError, match="either target_output or target_class"):
        cross_walk(net, x, walk, target_output=torch.zeros(4), target_class=1)
    with pytest.raises(InputError, match=r"target_output is \(4,\) or \(2, 4\)"):
        cross_walk(net, x, walk, target_output=torch.zeros(3))
    with pytest.raises(InputError, match="has the classes 0 to 3"):
        cross_walk(net, x, walk, target_class=4)
    with pytest.raises(InputError, match="target_class is an integer"):
        cross_walk(net, x, walk, target_class=torch.tensor([1.0, 2.0]))
