"""Walks from one linear region to the next, against closed forms and a slow reference."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from repgeo.errors import InputError
from repgeo.geometry import jacobian, relu_walk
from repgeo.geometry.walks.kinks import WithPieces, kink_of

DOUBLE = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def filled(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in float64 with seeded normal parameters of the usual sizes."""
    draws = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            fan_in = max(1, parameter[0].numel() if parameter.ndim > 1 else 1)
            values = torch.randn(parameter.shape, generator=draws, dtype=DOUBLE)
            parameter.copy_(values * (2 / fan_in) ** 0.5 if parameter.ndim > 1 else 0.3 * values)
    return module


def mlp(*widths: int, activation=nn.ReLU, seed: int = 0) -> nn.Module:
    layers: list[nn.Module] = []
    for first, second in itertools.pairwise(widths):
        layers += [nn.Linear(first, second), activation()]
    return filled(nn.Sequential(*layers[:-1]), seed)


def patterns(net: nn.Sequential, points: Tensor) -> list[Tensor]:
    """Which units of each ReLU are active."""
    found = []
    for layer in net:
        if isinstance(layer, nn.ReLU):
            found.append(points > 0)
        points = layer(points)
    return found


def class_dimension(f, point: Tensor) -> int:
    return point.numel() - int(torch.linalg.matrix_rank(jacobian(f, point[None])[0]))


def ends_beyond(f, walk, b: int) -> bool:
    """Whether the class has fewer dimensions just beyond the last point of a walker."""
    beyond = walk.points[-1, b] + 1e-6 * walk.velocity[b]
    return class_dimension(f, beyond) < int(walk.null_dim[-1, b])


# --- many networks ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_no_drift_and_every_kink_is_crossed(seed):
    """Length 30 through nets 6-16-16-4: the output is kept to rounding, kink after kink.

    Tolerance: the outputs are below 10, and sums of 16 products carry an error of a few eps.
    """
    net = mlp(6, 16, 16, 4, seed=seed)
    walk = relu_walk(net, normal(3, 6, seed=seed), length=30.0)
    assert walk.drift.max() <= 1.4e-14
    middles = (walk.points[1:] + walk.points[:-1]) / 2
    for b in range(3):
        taken = int(walk.taken[b])
        if walk.status[b] == "dead end":  # fewer than 4 units of the last layer are active
            assert walk.rank[-1, b] < 4
            assert ends_beyond(net, walk, b)
            continue
        assert walk.status[b] in ("length", "unbounded")
        assert walk.length[-1, b] == pytest.approx(30.0, abs=1e-12)
        assert taken == walk.crossings[b] + 1  # the last segment ends on no kink
        path = patterns(net, middles[:taken, b])
        for k in range(taken - 1):
            changed = [
                (site, unit)
                for site, active in enumerate(path)
                for unit in torch.nonzero(active[k] != active[k + 1])[:, 0].tolist()
            ]
            assert changed == [(int(walk.site[k, b]), int(walk.unit[k, b]))]


def test_projection_alone_would_turn_back_at_some_kinks():
    """Where the class folds; the proportion over nets 6-16-16-4 lies near one in ten."""
    folded = crossings = 0
    for seed in range(4):
        walk = relu_walk(mlp(6, 16, 16, 4, seed=seed), normal(8, 6, seed=seed), length=6.0)
        folded += int(walk.folded.sum())
        crossings += int(walk.crossings.sum())
        turned = walk.folded.nonzero()
        assert bool((walk.site[walk.folded] >= 0).all())
        assert len(turned) == int(walk.folded.sum())
    assert 0.02 < folded / crossings < 0.3


def stepped(f, x: Tensor, v: Tensor, length: float, step: float) -> Tensor:
    """The same path by small steps, for which only values and derivatives of f are needed.

    Where the Jacobian changes the place is bisected; the normal of the kink is the right singular
    vector of the change, which has rank one.
    """

    def slope(point):
        return jacobian(f, point[None])[0]

    def kernel(J):
        _, values, V = torch.linalg.svd(J)
        rank = int((values > 1e-10 * values[0]).sum())
        return V[rank:].T @ V[rank:]

    gone = 0.0
    J = slope(x)
    while gone < length - 1e-12:
        move = min(step, length - gone)
        after = slope(x + move * v)
        if torch.allclose(after, J, atol=1e-10):
            x, gone = x + move * v, gone + move
            continue
        low, high = 0.0, move
        for _ in range(60):
            middle = (low + high) / 2
            if torch.allclose(slope(x + middle * v), J, atol=1e-10):
                low = middle
            else:
                high = middle
        after = slope(x + (high + 1e-9) * v)
        _, values, V = torch.linalg.svd(after - J)
        assert values[1:].max() < 1e-9 * values[0]  # one kink
        normal_ = V[0] * (V[0] @ v).sign()
        a, b = kernel(J) @ normal_, kernel(after) @ normal_
        c = (v @ a) / a.norm()
        rest = kernel(after) @ (v - c * a / a.norm())
        x, gone = x + high * v, gone + high
        v, J = rest + c * b / b.norm(), after
        v = v / v.norm()
    return x


class Residual(nn.Module):
    """Convolutions with a skip connection, ReLUs in place, and pools."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.second = nn.Conv2d(3, 3, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.last = nn.Linear(12, 3)

    def forward(self, x):
        y = self.relu(self.norm(self.first(x)))
        y = y + functional.hardtanh(self.second(y))
        return self.last(self.pool(y).relu_().flatten(1))


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (mlp(5, 12, 12, 3), (5,)),
        (mlp(5, 12, 12, 3, activation=nn.LeakyReLU, seed=1), (5,)),
        (mlp(5, 12, 12, 3, activation=nn.ReLU6, seed=2), (5,)),
        (mlp(5, 12, 12, 3, activation=nn.Hardtanh, seed=3), (5,)),
        (mlp(5, 12, 12, 3, activation=nn.PReLU, seed=4), (5,)),
        (filled(Residual(), seed=5), (1, 4, 4)),
    ],
    ids=["relu", "leaky", "relu6", "hardtanh", "prelu", "residual"],
)
def test_the_path_is_that_of_small_steps(net, shape):
    """Both are exact but for the reference's bisection: 1e-9 per kink, of which there are a few."""
    x = normal(1, *shape, seed=7)
    walk = relu_walk(net, x, events=4)
    assert walk.crossings.tolist() == [4]
    assert walk.drift.max() < 1e-14 * (1 + walk.points.norm(dim=-1).max())
    length = (walk.length[-1] + walk.length[-2]) / 2
    first = (walk.points[1] - walk.points[0]).flatten()
    rows = lambda points: net(points.reshape(len(points), *shape))  # noqa: E731
    expected = stepped(rows, x.flatten(), first / first.norm(), length.item(), length.item() / 100)
    torch.testing.assert_close(walk.at(length).flatten(), expected, rtol=0, atol=1e-6)


# --- laws -------------------------------------------------------------------------------------


def test_the_way_back():
    net = mlp(6, 16, 16, 4, seed=3)
    there = relu_walk(net, normal(4, 6, seed=5), length=8.0)
    back = relu_walk(net, there.points[-1], length=8.0, direction=-there.velocity)
    torch.testing.assert_close(back.points[-1], there.points[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(
        back.at(torch.tensor([2.0], dtype=DOUBLE)),
        there.at(torch.tensor([6.0], dtype=DOUBLE)),
        rtol=0,
        atol=1e-9,
    )
    assert torch.equal(back.crossings, there.crossings)


def test_rotated_inputs_rotate_the_path():
    net, x, v = mlp(6, 12, 12, 3), normal(3, 6, seed=1), normal(3, 6, seed=2)
    Q = torch.linalg.qr(normal(6, 6, seed=3)).Q
    plain = relu_walk(net, x, length=6.0, direction=v)
    turned = relu_walk(lambda y: net(y @ Q), x @ Q.T, length=6.0, direction=v @ Q.T)
    torch.testing.assert_close(turned.points, plain.points @ Q.T, rtol=0, atol=1e-10)
    assert torch.equal(turned.unit, plain.unit)


def test_invertible_maps_of_the_output_change_nothing():
    net, x, v = mlp(6, 12, 12, 3), normal(3, 6, seed=1), normal(3, 6, seed=2)
    mixing = normal(3, 3, seed=4)
    plain = relu_walk(net, x, length=6.0, direction=v)
    mixed = relu_walk(lambda y: net(y) @ mixing + 1, x, length=6.0, direction=v)
    torch.testing.assert_close(mixed.points, plain.points, rtol=0, atol=1e-9)


def test_walkers_do_not_know_of_each_other():
    net, x, v = mlp(6, 12, 12, 3), normal(4, 6, seed=1), normal(4, 6, seed=2)
    together = relu_walk(net, x, length=5.0, direction=v)
    for b in range(4):
        alone = relu_walk(net, x[b : b + 1], length=5.0, direction=v[b])
        torch.testing.assert_close(alone.points[-1, 0], together.points[-1, b], atol=1e-10, rtol=0)
        assert alone.crossings[0] == together.crossings[b]
        assert alone.status[0] == together.status[b]


def test_the_draw_comes_from_the_generator_and_nothing_is_changed():
    net, x = mlp(6, 12, 3), normal(2, 6)
    before = x.clone()
    state = torch.get_rng_state()
    first = relu_walk(net, x, events=5, generator=torch.Generator().manual_seed(1))
    again = relu_walk(net, x, events=5, generator=torch.Generator().manual_seed(1))
    other = relu_walk(net, x, events=5, generator=torch.Generator().manual_seed(2))
    assert torch.equal(first.points, again.points)
    assert not torch.equal(first.points, other.points)
    assert torch.equal(x, before)
    assert torch.equal(state, torch.get_rng_state())
    assert first.taken.tolist() == [5, 5]
    assert first.status == ("events", "events")


def test_modules_of_float32_are_walked_in_float64():
    net = mlp(6, 12, 3).float()
    walk = relu_walk(net, normal(2, 6).float(), length=5.0)
    assert walk.points.dtype == DOUBLE
    assert walk.drift.max() < 1e-13
    assert net[0].weight.dtype == torch.float32


# --- closed forms -----------------------------------------------------------------------------


def test_dimensions_of_classes():
    A = normal(1, 5)
    inactive = -A * 2.0
    dead = relu_walk(lambda x: torch.relu(x @ A.T), inactive, length=0.1, direction=A)
    assert dead.null_dim[0].tolist() == [5]
    assert dead.status == ("length",)
    active = relu_walk(lambda x: torch.relu(x @ A.T), -inactive, length=3.0)
    assert active.null_dim[:, 0].tolist() == [4, 4]
    assert active.status == ("unbounded",)
    pooled = relu_walk(nn.Sequential(nn.MaxPool1d(3), nn.Flatten()), normal(2, 1, 12), events=4)
    assert set(pooled.null_dim.flatten().tolist()) == {12 - 4}
    average = relu_walk(nn.Sequential(nn.AvgPool1d(3), nn.Flatten()), normal(2, 1, 12), length=9.0)
    assert set(average.null_dim.flatten().tolist()) == {12 - 4}
    assert average.status == ("unbounded", "unbounded")


def test_the_identity_plus_a_relu_of_its_negative_is_a_relu():
    """x + relu(-x) is relu(x): null are the coordinates below zero, up to the kink."""
    f = lambda x: x + torch.relu(-x)  # noqa: E731
    x = torch.tensor([[1.0, -2.0, -0.5]], dtype=DOUBLE)
    walk = relu_walk(f, x, length=9.0, direction=torch.tensor([5.0, 0.0, 1.0]).double())
    assert walk.null_dim[0].tolist() == [2]
    assert walk.status == ("dead end",)
    torch.testing.assert_close(walk.points[-1, 0], torch.tensor([1.0, -2.0, 0.0], dtype=DOUBLE))
    free = relu_walk(f, x, length=9.0, direction=torch.tensor([5.0, -1.0, -1.0]).double())
    assert free.status == ("unbounded",)


def test_the_level_set_of_a_norm():
    """|x| + |y| = 2 is a square; length 8 sqrt 2 leads once around it."""
    f = lambda x: x.abs().sum(dim=1, keepdim=True)  # noqa: E731
    x = torch.tensor([[1.5, 0.5]], dtype=DOUBLE)
    walk = relu_walk(f, x, length=8 * math.sqrt(2), direction=torch.tensor([-1.0, 1.0]).double())
    corners = torch.tensor([[0.0, 2.0], [-2.0, 0.0], [0.0, -2.0], [2.0, 0.0]], dtype=DOUBLE)
    torch.testing.assert_close(walk.points[1:-1, 0], corners)
    torch.testing.assert_close(walk.points[-1], x)
    assert walk.unit[:, 0].tolist() == [0, 1, 0, 1, -1]


def test_the_level_set_of_the_largest_coordinate():
    """max(x, y) = 1 has a corner at (1, 1), beyond which the other coordinate is the larger."""
    pool = nn.Sequential(nn.MaxPool1d(2), nn.Flatten())
    x = torch.tensor([[[1.0, -1.0]]], dtype=DOUBLE)
    walk = relu_walk(pool, x, length=5.0, direction=torch.tensor([0.0, 1.0]).double())
    expected = torch.tensor([[1.0, -1.0], [1.0, 1.0], [-2.0, 1.0]], dtype=DOUBLE)
    torch.testing.assert_close(walk.points[:, 0, 0], expected)
    assert walk.status == ("unbounded",)
    assert walk.folded.tolist() == [[False], [False]]


def test_a_sharp_fold():
    """3 |y| - x = 0 at the origin: the class turns by more than a right angle, and is followed."""
    f = lambda x: 3 * x[:, 1:].abs() - x[:, :1]  # noqa: E731
    x = torch.tensor([[3.0, 1.0]], dtype=DOUBLE)
    walk = relu_walk(f, x, length=2 * math.sqrt(10), direction=torch.tensor([-1.0, 0.0]).double())
    torch.testing.assert_close(walk.points[1, 0], torch.zeros(2, dtype=DOUBLE), atol=1e-15, rtol=0)
    torch.testing.assert_close(walk.points[-1, 0], torch.tensor([3.0, -1.0], dtype=DOUBLE))
    assert walk.folded[:, 0].tolist() == [True, False]


# --- starts, ends, ties -----------------------------------------------------------------------


def test_a_dead_start_and_a_dead_end():
    """relu(a.x) is zero on a half space: straight on to its boundary, and there back."""
    f = lambda x: torch.relu(x[:, :1])  # noqa: E731
    x = torch.tensor([[-1.0, 0.0, 0.0]], dtype=DOUBLE)
    v = torch.tensor([1.0, 1.0, 0.0], dtype=DOUBLE)
    stopped = relu_walk(f, x, length=3 * math.sqrt(2), direction=v)
    assert stopped.status == ("dead end",)
    torch.testing.assert_close(stopped.points[-1, 0], torch.tensor([0.0, 1.0, 0.0], dtype=DOUBLE))
    assert (stopped.site[-1].item(), stopped.unit[-1].item()) == (0, 0)
    reflected = relu_walk(f, x, length=3 * math.sqrt(2), direction=v, at_dead_end="reflect")
    assert reflected.status == ("unbounded",)
    end = torch.tensor([-2.0, 3.0, 0.0], dtype=DOUBLE)
    torch.testing.assert_close(reflected.points[-1, 0], end)
    assert reflected.null_dim[:, 0].tolist() == [3, 3, 3]


def test_starts_on_a_kink():
    """At x1 = 0 relu(x1) is taken as inactive: ways into its half space are walked."""
    f = lambda x: torch.relu(x[:, :1])  # noqa: E731
    x = torch.zeros(16, 3, dtype=DOUBLE)
    drawn = relu_walk(f, x, length=2.0)
    assert set(drawn.status) == {"unbounded"}
    assert bool((drawn.points[-1, :, 0] < 0).all())
    assert drawn.drift.max() == 0
    given = relu_walk(f, x[:1], length=2.0, direction=torch.tensor([1.0, 0.0, 0.0]).double())
    assert given.status == ("dead end",)
    assert given.length[-1].tolist() == [0.0]
    net = mlp(6, 16, 16, 4)
    on_kinks = relu_walk(net, normal(4, 6), events=7).points[-1]
    from_there = relu_walk(net, on_kinks, length=5.0)
    assert from_there.drift.max() < 1.4e-14
    torch.testing.assert_close(from_there.length[-1], torch.full((4,), 5.0, dtype=DOUBLE))


def test_units_that_are_copies_are_crossed_together():
    """Between two copies the map would be another one, with dead ends that do not exist."""
    relu = torch.relu
    v = torch.tensor([1.0, 0.5], dtype=DOUBLE)
    x = torch.tensor([[-1.0, 0.0]], dtype=DOUBLE)
    equal = [
        lambda x: relu(x[:, :1]) - relu(x[:, :1]),
        lambda x: relu(3 * x[:, :1]) / 3 - relu(x[:, :1]),
        lambda x: relu(relu(x[:, :1])) - relu(x[:, :1]),
        lambda x: relu(x[:, :1]) - relu(x[:, :1]) + relu(x[:, :1] * 0),
    ]
    for f in equal:  # all of them are zero everywhere
        for start, way in ((x, v), (-x, -v)):
            walk = relu_walk(f, start, length=4.0, direction=way)
            assert walk.status == ("unbounded",)
            assert walk.drift.max() < 1e-15
            torch.testing.assert_close(walk.points[-1], start + 4.0 * way / way.norm())


def test_two_kinks_at_one_point():
    """Through the corner of the level set of max(|x|, |y|) - |z|, in a plane of symmetry."""
    f = lambda x: functional.max_pool1d(x[:, None, :2].abs(), 2)[:, 0] - x[:, 2:].abs()  # noqa: E731
    x = torch.tensor([[2.0, 2.0, -2.0]], dtype=DOUBLE)
    walk = relu_walk(f, x, length=20.0, direction=torch.tensor([-1.0, -1.0, 1.0]).double())
    assert walk.drift.max() < 1e-14
    assert walk.status[0] in ("length", "unbounded", "corner")
    duplicated = mlp(6, 10, 10, 3)
    with torch.no_grad():
        duplicated[0].weight[5:] = duplicated[0].weight[:5]
        duplicated[0].bias[5:] = duplicated[0].bias[:5]
    many = relu_walk(duplicated, normal(6, 6), length=10.0)
    assert many.drift.max() < 1.4e-14
    for b, status in enumerate(many.status):
        assert status in ("length", "unbounded") or ends_beyond(duplicated, many, b)


def test_nets_of_small_integers_where_many_kinks_meet():
    """Weights of -1, 0, 1 and starts on a grid, hence on kinks; copies of units, zero biases."""
    verdicts = set()
    for seed in range(12):
        draws = torch.Generator().manual_seed(seed)
        net = mlp(5, 8, 8, 2)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.copy_(torch.randint(-1, 2, parameter.shape, generator=draws))
        x = torch.randint(-2, 3, (4, 5), generator=draws).double()
        walk = relu_walk(net, x, length=8.0)
        assert (walk.drift <= 1e-14 * (1 + walk.points.norm(dim=-1))).all()
        verdicts |= set(walk.status)
        for b, status in enumerate(walk.status):
            assert (status == "dead end") <= ends_beyond(net, walk, b)
    assert {"length", "unbounded", "dead end"} <= verdicts


def test_classes_that_are_points():
    walk = relu_walk(mlp(2, 8, 3), normal(2, 2), length=1.0)
    assert walk.status == ("point", "point")
    assert walk.points.shape == (1, 2, 2)
    assert walk.taken.tolist() == [0, 0]
    assert walk.at(torch.tensor([0.0, 1.0])).shape == (2, 2, 2)


def test_rays_without_a_length_stay_at_their_last_vertex():
    f = lambda x: torch.relu(x[:, :1]) - torch.relu(x[:, 1:])  # noqa: E731
    start = torch.tensor([[1.0, 3.0]], dtype=DOUBLE)
    walk = relu_walk(f, start, events=10, direction=-torch.ones(2).double())
    assert walk.status == ("unbounded",)
    assert walk.crossings.tolist() == [1]
    torch.testing.assert_close(walk.points[-1, 0], torch.tensor([0.0, 2.0], dtype=DOUBLE))
    torch.testing.assert_close(walk.velocity[0], torch.tensor([-1.0, 0.0], dtype=DOUBLE))


def test_points_at_lengths():
    walk = relu_walk(mlp(6, 16, 16, 4), normal(3, 6), length=4.0)
    lengths = torch.linspace(0, 4, 41, dtype=DOUBLE)
    path = walk.at(lengths)
    torch.testing.assert_close(path[0], walk.points[0])
    torch.testing.assert_close(path[-1], walk.points[-1])
    assert ((path[1:] - path[:-1]).norm(dim=2) <= 0.1 + 1e-12).all()
    outputs = mlp(6, 16, 16, 4)(path.flatten(0, 1)).view(41, 3, 4)
    assert (outputs - outputs[0]).abs().max() < 1.4e-14
    with pytest.raises(InputError, match="not negative"):
        walk.at(-lengths)


# --- kinks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    [
        torch.relu,
        functional.relu,
        lambda z: z.clone().relu_(),
        functional.relu6,
        functional.leaky_relu,
        lambda z: functional.leaky_relu(z, 0.3),
        lambda z: functional.leaky_relu_(z.clone(), negative_slope=-0.2),
        functional.hardtanh,
        lambda z: functional.hardtanh(z, -0.5, max_val=0.25),
        functional.hardsigmoid,
        lambda z: torch.prelu(z, torch.tensor([0.5, -1.0], dtype=DOUBLE)),
        torch.abs,
        lambda z: z.clamp(min=0.1),
        lambda z: z.clamp(-1, 0.5),
        lambda z: torch.clamp_max(z, 0.2),
        lambda z: z.clamp(min=1.0, max=-1.0),
        lambda z: functional.max_pool2d(z, 2),
        lambda z: functional.max_pool2d(z, [3, 2], stride=[2, 1], padding=1),
        lambda z: functional.max_pool2d(z, 3, 3, 1, 1, ceil_mode=True),
        lambda z: functional.max_pool2d(z, 2, stride=2, dilation=2),
        lambda z: functional.max_pool1d(z.flatten(2), 4, 3, ceil_mode=True),
        lambda z: functional.max_pool3d(z[:, :, None], (1, 2, 3)),
        lambda z: functional.adaptive_max_pool2d(z, (3, None)),
        lambda z: functional.adaptive_max_pool1d(z.flatten(2), 4),
    ],
)
def test_pieces_give_the_values_of_the_operation(operation):
    z = 2 * normal(3, 2, 7, 6)
    states = []

    def remember(kink, given):
        states.append(kink.state(given))
        return kink.values(given, states[-1])

    expected = operation(z)
    with WithPieces(remember):
        found = operation(z.clone())
    assert len(states) == 1
    torch.testing.assert_close(found, expected, rtol=1e-15, atol=1e-15)


def test_unknown_calls_are_no_kinks():
    z = normal(2, 3)
    assert kink_of("clamp", (z,), {"min": z}) is None
    assert kink_of("max_pool1d", (z[None], 2), {"return_indices": True}) is None
    assert kink_of("relu", (torch.ones(2, dtype=torch.int64),), {}) is None
    with pytest.raises(InputError, match="samples with channels, 4 axes"):
        kink_of("max_pool2d", (z[None], 2), {})


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "named"),
    [
        (mlp(4, 6, 2, activation=nn.Tanh), "tanh"),
        (mlp(4, 6, 2, activation=nn.GELU), "gelu"),
        (nn.Sequential(mlp(4, 6, 2), nn.Softmax(dim=1)), "softmax"),
        (nn.Sequential(nn.LayerNorm(4).double(), mlp(4, 6, 2)), "layer_norm"),
        (lambda x: torch.maximum(x[:, :1], x[:, 1:2]), "maximum"),
        (lambda x: x[:, :2] ** 2, "pow"),
        (lambda x: torch.relu(x[:, :1]) * x[:, 1:2], "mul"),
    ],
)
def test_other_nonlinearities_are_refused(f, named):
    with pytest.raises(InputError, match=rf"not affine between its kinks.*\b{named}\b"):
        relu_walk(f, normal(2, 4), length=1.0)


def test_bad_input_is_refused():
    net, x = mlp(4, 6, 2), normal(2, 4)
    with pytest.raises(InputError, match="give a length, or a number of events"):
        relu_walk(net, x)
    with pytest.raises(InputError, match=r"length must be a positive, finite number, got -1\.0"):
        relu_walk(net, x, length=-1.0)
    with pytest.raises(InputError, match="events must be at least 1, got 0"):
        relu_walk(net, x, events=0)
    with pytest.raises(InputError, match="'stop' or 'reflect', got 'go'"):
        relu_walk(net, x, events=1, at_dead_end="go")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="one sample of 4 numbers or one for each of 2 walkers"):
        relu_walk(net, x, events=1, direction=normal(3))
    with pytest.raises(InputError, match=r"no part in the kernel.*for 2 of the walkers"):
        relu_walk(lambda x: x[:, :1], x, events=1, direction=torch.eye(4)[0])
    with pytest.raises(InputError, match="sample axis first"):
        relu_walk(lambda x: torch.relu(x.T).T[:, :2], x, events=1)
