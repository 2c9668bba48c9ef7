from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from repgeo.errors import InputError, NonFiniteError
from repgeo.geometry import WalkSpec, jacobian, null_walk

EPS = torch.finfo(torch.float64).eps


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 9))
        self.head = nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(x + self.inner(x)))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(3, 6)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(len(x), 6)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return self.head(h)


class Unrolled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(3, 5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.recurrent(x)[0][:, -1]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x)[0].mean(dim=1)


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.5),
        nn.Conv2d(4, 4, 2), nn.GroupNorm(2, 4), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(16, 5), nn.LogSoftmax(dim=1),
    )  # fmt: skip


MODULES = {
    "dense": (lambda: nn.Sequential(nn.Linear(9, 20), nn.GELU(), nn.Linear(20, 4)), (9,), 4),
    "convolution": (convolutional, (1, 12, 12), 4),
    "residual": (Residual, (9,), 3),
    "recurrent": (Recurrent, (4, 3), 2),
    "unrolled": (Unrolled, (4, 3), 5),
    "attention": (Attention, (3, 4), 4),
    "layer norm": (lambda: nn.Sequential(nn.LayerNorm(9), nn.Linear(9, 3)), (9,), 3),
    "softmax": (lambda: nn.Sequential(nn.Linear(9, 4), nn.Softmax(dim=1)), (9,), 3),
}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("direction", ["gaussian", "persistent"])
def test_modules_of_all_kinds_keep_their_output(name: str, direction: str) -> None:
    torch.manual_seed(1)
    make, shape, rank = MODULES[name]
    module = make().eval()  # float32, with gradients
    kept = copy.deepcopy(module.state_dict())
    x = normal(3, *shape, seed=2).float()
    before = x.clone()
    made = null_walk(module, x, WalkSpec(steps=12, step_size=0.2, direction=direction))
    assert set(made.status) <= {"ok", "rank change"}
    double = copy.deepcopy(module).double()
    assert torch.equal(made.rank[0], torch.linalg.matrix_rank(jacobian(double, x.double())))
    assert int(made.rank.max()) == rank
    assert made.points.shape == (13, 3, *shape)
    assert made.points.dtype == made.outputs.dtype == torch.float64
    assert float(made.drift.max()) <= 200 * EPS * float(made.outputs.abs().max())
    assert float(made.displacement[-1].min()) > 0.2
    outputs = double(made.points[-1]).detach()
    torch.testing.assert_close(outputs, made.outputs[-1], rtol=0, atol=1e-13)
    assert torch.equal(x, before)
    assert all(torch.equal(kept[key], value) for key, value in module.state_dict().items())
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_callables_are_computed_in_the_dtype_of_their_inputs() -> None:
    x = normal(2, 5).float()
    made = null_walk(
        lambda x: x.square().sum(dim=1, keepdim=True), x, WalkSpec(steps=5, step_size=0.1)
    )
    assert made.points.dtype == torch.float32
    assert made.status == ("ok", "ok")
    assert float(made.drift.max()) <= 100 * 1.2e-7 * float(made.outputs.max())


def test_a_class_that_is_a_point_is_not_walked() -> None:
    A = normal(4, 3)
    made = null_walk(lambda x: torch.tanh(x @ A.T), normal(2, 3), WalkSpec(steps=3, step_size=0.1))
    assert made.status == ("point", "point")
    assert torch.equal(made.points[-1], made.points[0])
    assert made.taken.tolist() == [0, 0]
    assert made.null_dim.tolist() == [[0, 0]] * 4
    assert float(made.length.max()) == 0


def test_an_inactive_region_is_flat() -> None:
    def f(x: Tensor) -> Tensor:
        return torch.relu(x[:, :1] - x[:, 1:2] + x[:, 2:])

    x = torch.tensor([[-1.85, 1.3, 0.0], [1.85, 1.3, 1.5]], dtype=torch.float64)
    made = null_walk(f, x, WalkSpec(steps=20, step_size=0.1))
    assert made.status == ("flat", "ok")
    assert torch.equal(made.points[-1, 0], x[0])
    plane = made.points[:, 1] @ torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(
        plane, torch.full((21,), 2.05, dtype=torch.float64), rtol=0, atol=1e-13
    )


def test_a_saturated_softmax_is_not_walked_along_noise() -> None:
    A = normal(3, 6)
    bias = torch.tensor([0.0, 60.0, 0.0], dtype=torch.float64)  # the others below 1e-24

    def f(x: Tensor) -> Tensor:
        return torch.softmax(x @ A.T + bias, dim=1)

    made = null_walk(f, normal(1, 6, seed=1), WalkSpec(steps=10, step_size=0.1))
    assert made.status == ("saturated",)
    assert made.taken.tolist() == [0]
    logits = null_walk(
        lambda x: x @ A.T + bias, normal(1, 6, seed=1), WalkSpec(steps=10, step_size=0.1)
    )
    assert logits.status == ("ok",)


def test_a_start_without_any_direction_is_dead() -> None:
    x = torch.zeros(1, 3, dtype=torch.float64)  # a corner: every null direction of a sum leaves
    box = (0.0, 1.0)
    made = null_walk(
        lambda x: x.sum(dim=1, keepdim=True), x, WalkSpec(steps=5, step_size=0.1, box=box)
    )
    assert made.status == ("dead start",)
    assert torch.equal(made.points[-1], x)

    def fussy(x: Tensor) -> Tensor:  # -1 of no elements has no answer
        return x.view(len(x), -1).sum(dim=1, keepdim=True)

    assert null_walk(fussy, x, WalkSpec(5, 0.1, box=box)).status == ("dead start",)


def test_what_cannot_be_corrected_is_stuck() -> None:
    def f(x: Tensor) -> Tensor:  # its floor is stepwise: no derivative leads back
        return x[:, :1] + 0.01 * (50 * x[:, 1:]).floor().sum(dim=1, keepdim=True)

    def bad(x: Tensor) -> Tensor:
        away = x[:, 1:].abs().sum(dim=1, keepdim=True)
        return torch.where(away > 0.3, torch.full_like(away, torch.nan), x[:, :1])

    x = torch.zeros(2, 4, dtype=torch.float64)
    assert null_walk(f, x, WalkSpec(steps=3, step_size=0.1)).status == ("ok", "ok")
    made = null_walk(bad, x, WalkSpec(steps=50, step_size=0.1, direction="persistent", halvings=3))
    assert made.status == ("stuck", "stuck")
    assert bool((made.taken >= 2).all())
    assert bool((made.points[-1, :, 1:].abs().sum(dim=1) <= 0.3).all())
    assert int(made.halvings.max()) == 3


def test_rank_changes_on_the_way_are_told() -> None:
    def f(x: Tensor) -> Tensor:  # beyond x_2 = 1 the second output takes part
        return torch.stack([x[:, 0], torch.relu(x[:, 1] - 1) * 0.0 + x[:, 1].clamp(max=1.0)], dim=1)

    x = torch.tensor([[0.0, 2.0, 0.0]], dtype=torch.float64)
    velocity = torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64)
    walk = WalkSpec(steps=20, step_size=0.1, direction="persistent", velocity=velocity)
    made = null_walk(f, x, walk)
    assert float(made.drift.max()) < 1e-13
    assert float(made.points[..., 1].min()) >= 1.0 - 1e-12
    assert made.rank[0].tolist() == [1]


def test_targets_are_approached_to_the_nearest_point_of_the_class() -> None:
    def f(x: Tensor) -> Tensor:
        return x.square().sum(dim=1, keepdim=True)

    x = normal(3, 4)
    target = torch.tensor([3.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    walk = WalkSpec(steps=80, step_size=0.2, direction="target", target=target)
    made = null_walk(f, x, walk)
    radius = x.norm(dim=1)
    nearest = torch.zeros_like(x)
    nearest[:, 0] = radius
    torch.testing.assert_close(made.points[-1], nearest, rtol=0, atol=1e-5)
    assert made.status == ("arrived",) * 3
    away = (made.points - target).norm(dim=2)
    assert bool((away[1:] <= away[:-1]).all())


def test_without_a_corrector_the_output_drifts() -> None:
    def f(x: Tensor) -> Tensor:
        return torch.tanh(x).sum(dim=1, keepdim=True)

    made = null_walk(f, normal(2, 6), WalkSpec(steps=20, step_size=0.2, corrector=None))
    assert float(made.drift[-1].min()) > 1e-4
    assert int(made.newton.sum()) == 0


def test_a_small_convolutional_classifier_is_walked_far_within_its_box() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.AvgPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(100, 20),
        nn.ReLU(), nn.Linear(20, 10),
    ).eval()  # fmt: skip
    x = torch.full((2, 1, 12, 12), -0.4242)  # most of it on the bound
    x[:, :, 3:9, 4:8] = torch.rand(2, 1, 6, 4) * 3 - 0.4
    low, high = x.amin().item(), 2.8215
    made = null_walk(net, x, WalkSpec(steps=80, step_size=2.0, box=(low, high)))
    assert set(made.status) <= {"ok", "rank change"}
    assert float(made.drift.max()) < 1e-13
    assert bool((made.displacement.amax(dim=0) >= x.flatten(1).norm(dim=1).double()).all())
    assert torch.equal(made.outputs.argmax(dim=2), made.outputs[:1].argmax(dim=2).expand(81, 2))
    assert float(made.points.amin()) >= low
    assert float(made.points.amax()) <= high


def test_the_first_step_is_the_projected_draw() -> None:
    A, x = normal(2, 5), normal(3, 5, seed=1)
    made = null_walk(
        lambda x: x @ A.T,
        x,
        WalkSpec(steps=1, step_size=0.5),
        generator=torch.Generator().manual_seed(7),
    )
    z = normal(3, 5, seed=7)
    J = jacobian(lambda x: x @ A.T, x)
    z = z - (torch.linalg.pinv(J) @ J @ z[:, :, None]).squeeze(2)
    expected = x + 0.5 * z / z.norm(dim=1, keepdim=True)
    torch.testing.assert_close(made.points[1], expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be an integer of at least 1"),
        ({"step_size": -1.0}, "step_size must be a finite length"),
        ({"direction": "gausian"}, "Did you mean 'gaussian'"),
        ({"corrector": "newtn"}, "Did you mean 'newton'"),
        ({"tolerance": 0.0}, "tolerance must be a positive number"),
        ({"direction": "target"}, "needs a target"),
        ({"target": torch.zeros(3)}, "A target is for direction='target'"),
        ({"velocity": torch.zeros(3)}, "A velocity is for direction='persistent'"),
        ({"box": (1.0,)}, "A box is a pair"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, object], message: str) -> None:
    settings: dict[str, object] = {"steps": 3, "step_size": 0.1, **changes}
    with pytest.raises(InputError, match=message):
        WalkSpec(**settings)  # type: ignore[arg-type]


def test_wrong_arguments_are_named() -> None:
    def f(x: Tensor) -> Tensor:
        return x.sum(dim=1, keepdim=True)

    x = normal(2, 3)
    with pytest.raises(InputError, match="needs a step_size above 0"):
        null_walk(f, x, WalkSpec(steps=1, step_size=0.0))
    with pytest.raises(InputError, match="start outside the box"):
        null_walk(f, x, WalkSpec(steps=1, step_size=0.1, box=(-0.1, 0.1)))
    with pytest.raises(InputError, match="must not exceed"):
        null_walk(f, x, WalkSpec(steps=1, step_size=0.1, box=(1.0, -1.0)))
    with pytest.raises(InputError, match="must broadcast"):
        null_walk(f, x, WalkSpec(steps=1, step_size=0.1, box=(torch.zeros(4), 1.0)))
    with pytest.raises(InputError, match="A target has the shape of a sample"):
        null_walk(f, x, WalkSpec(1, 0.1, direction="target", target=torch.zeros(4)))
    with pytest.raises(NonFiniteError, match="where the walk starts"):
        null_walk(lambda x: f(x).log(), -x.abs(), WalkSpec(steps=1, step_size=0.1))
    module = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    with pytest.raises(InputError, match="training mode"):
        null_walk(module, x, WalkSpec(steps=1, step_size=0.1))
