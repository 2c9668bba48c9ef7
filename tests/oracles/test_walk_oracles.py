"""Closed forms of walks within classes of inputs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from repgeo.geometry import WalkSpec, jacobian, null_space, null_walk
from repgeo.geometry.walks.published_walk import PublishedRule, published_walk

DIRECTIONS = ("gaussian", "persistent", "eigenvector")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def squared_norm(x: Tensor) -> Tensor:
    return x.square().sum(dim=1, keepdim=True)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("corrector", ["newton", None])
def test_linear_maps_do_not_drift(direction: str, corrector: str | None) -> None:
    A = normal(3, 9)
    walk = WalkSpec(steps=40, step_size=0.7, direction=direction, corrector=corrector)
    made = null_walk(lambda x: x @ A.T, normal(2, 9, seed=1), walk)
    assert made.status == ("ok", "ok")
    assert float(made.drift.max()) <= 1e-13 * float(made.outputs.abs().max())
    assert bool((made.null_dim == 6).all())
    torch.testing.assert_close(made.length[-1], torch.full((2,), 28.0).double(), rtol=1e-12, atol=0)
    assert int(made.newton.sum()) == 0


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_sphere_drifts_by_the_square_of_each_step(direction: str) -> None:
    walk = WalkSpec(steps=30, step_size=0.1, direction=direction, corrector=None)
    made = null_walk(squared_norm, normal(4, 6), walk)
    expected = 0.1**2 * torch.arange(31.0, dtype=torch.float64)[:, None].expand(31, 4)
    torch.testing.assert_close(made.drift, expected, rtol=1e-11, atol=1e-13)


def test_a_quadratic_form_drifts_by_half_its_second_derivative() -> None:
    S = normal(5, 5)
    S = S + S.T

    def f(x: Tensor) -> Tensor:
        return 0.5 * ((x @ S) * x).sum(dim=1, keepdim=True)

    made = null_walk(f, normal(3, 5, seed=1), WalkSpec(steps=10, step_size=0.2, corrector=None))
    moved = made.points[1:] - made.points[:-1]  # (10, 3, 5)
    expected = 0.5 * ((moved @ S) * moved).sum(dim=2, keepdim=True)
    found = made.outputs[1:] - made.outputs[:-1]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_a_product_shrinks_by_a_known_factor() -> None:
    x = torch.tensor([[1.5, -0.5], [1.0, 2.0]], dtype=torch.float64)
    walk = WalkSpec(steps=15, step_size=0.1, corrector=None)
    made = null_walk(lambda x: x[:, :1] * x[:, 1:], x, walk)
    factor = 1 - 0.1**2 / made.points[:-1].square().sum(dim=2, keepdim=True)
    torch.testing.assert_close(made.outputs[1:], factor * made.outputs[:-1], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("corrector", "cosine"),
    [("newton", math.sqrt(1 - 0.3**2)), ("gauss_newton", 1 / math.sqrt(1 + 0.3**2))],
)
def test_correctors_are_told_apart_by_diffusion_on_a_sphere(corrector: str, cosine: float) -> None:
    """Steps of length s turn by an angle of cosine c, so that E[x_k x_0] = c^k.

    Along the normal of the starting point c = sqrt(1 - s^2), to the nearest point 1/sqrt(1 + s^2).
    """
    start = torch.zeros(20_000, 4, dtype=torch.float64)
    start[:, 0] = 1.0
    walk = WalkSpec(steps=10, step_size=0.3, corrector=corrector)
    made = null_walk(squared_norm, start, walk, generator=draws(3))
    found = made.points[10, :, 0]
    error = float(found.std()) / math.sqrt(len(found))
    assert abs(float(found.mean()) - cosine**10) < 4 * error
    assert abs(1 / (1 + 0.09) ** 5 - (1 - 0.09) ** 5) > 8 * error  # they differ by enough


@pytest.mark.parametrize(
    ("corrector", "turn"), [("newton", math.asin), ("gauss_newton", math.atan)]
)
def test_a_persistent_walk_goes_round_a_great_circle(corrector: str, turn: object) -> None:
    size = 2 * math.pi / 1000
    start = normal(2, 20)
    start /= start.norm(dim=1, keepdim=True)
    walk = WalkSpec(steps=1000, step_size=size, direction="persistent", corrector=corrector)
    made = null_walk(squared_norm, start, walk)
    first = made.points[1] - start
    first -= (first * start).sum(dim=1, keepdim=True) * start
    first /= first.norm(dim=1, keepdim=True)
    last = made.points[-1]
    beyond = torch.atan2((last * first).sum(dim=1), (last * start).sum(dim=1))
    expected = torch.full((2,), 1000 * turn(size) - 2 * math.pi).double()  # type: ignore[operator]
    torch.testing.assert_close(beyond, expected, rtol=0, atol=1e-10)
    in_plane = (last * start).sum(dim=1) ** 2 + (last * first).sum(dim=1) ** 2
    torch.testing.assert_close(in_plane, torch.ones(2).double(), rtol=0, atol=1e-11)


def classifier(*last: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(784, 32), nn.Tanh(), nn.Linear(32, 10), *last).double()


@pytest.mark.parametrize(
    ("last", "rank"), [((), 10), ((nn.LogSoftmax(dim=1),), 9), ((nn.Softmax(dim=1),), 9)]
)
def test_normalised_outputs_have_one_rank_less(last: tuple[nn.Module, ...], rank: int) -> None:
    net, x = classifier(*last), normal(2, 784)
    space = null_space(net, x)
    assert space.rank.tolist() == [rank, rank]
    assert space.null_dim.tolist() == [784 - rank] * 2
    made = null_walk(net, x, WalkSpec(steps=5, step_size=1.0))
    assert made.status == ("ok", "ok")
    assert float(made.drift.max()) <= 200 * 2.3e-16 * float(made.outputs.abs().max())
    # Place 774 of the ascending spectrum of the metric, which "d - m null vectors" leaves out:
    J = jacobian(net, x)[0].detach()
    values = torch.linalg.eigvalsh(J.T @ J)
    assert (float(values[774]) < 1e-12 * float(values[-1])) == bool(last)


def test_parities_walk_to_one_side_and_draws_do_not() -> None:
    n, size, walkers = 10, 0.2, 20_000
    A, x = normal(2, n + 2), normal(1, n + 2, seed=1).expand(walkers, n + 2)
    rule = PublishedRule(steps=1, step_size=size, eigenvector="first", sign="parity")
    made = published_walk(lambda x: x @ A.T, x, rule)
    mean = (made.points[1] - x).mean(dim=0)
    error = 0.5 * size / math.sqrt(walkers)  # of the norm of a mean of vectors of this length
    assert abs(float(mean.norm()) - 0.5 * size / math.sqrt(n)) < 4 * error
    honest = null_walk(lambda x: x @ A.T, x, WalkSpec(steps=1, step_size=size))
    mean = (honest.points[1] - x).mean(dim=0)
    assert float(mean.norm()) < 2 * size / math.sqrt(walkers)  # its root mean square is half that


def test_the_pseudolength_of_an_eigenvector_is_the_root_of_the_eigenvalue() -> None:
    A, x = normal(2, 5), normal(1, 5, seed=1)
    rule = PublishedRule(steps=1, step_size=0.1, eigenvector="largest", sign="solver")
    made = published_walk(lambda x: x @ A.T, x, rule)
    value = float(torch.linalg.eigvalsh(A.T @ A)[-1])
    moved = float((A @ (made.points[1] - x)[0]).norm())
    assert float(made.pseudolength[-1]) == pytest.approx(math.sqrt(value) * 0.1, rel=1e-12)
    assert float(made.pseudolength[-1]) == pytest.approx(moved, rel=1e-12)
    assert float(made.output_length[-1]) == pytest.approx(moved, rel=1e-12)
    assert float(made.energy[-1]) == pytest.approx(value * 0.1, rel=1e-12)


def circular_average(x: Tensor) -> Tensor:
    return sum(torch.roll(x, shift, dims=1) for shift in range(3)) / 3


def average_pool(x: Tensor) -> Tensor:
    return nn.functional.avg_pool1d(x[:, None], 4).flatten(1)


def maximum_pool(x: Tensor) -> Tensor:
    return nn.functional.max_pool1d(x[:, None], 4).flatten(1)


def residual_relu(x: Tensor) -> Tensor:
    return x + torch.relu(-x)


def linear_recurrence(x: Tensor) -> Tensor:
    shift = torch.diag(torch.ones(2, dtype=x.dtype), -1)  # nilpotent: three inputs are remembered
    enter = torch.tensor([1.0, 0.0, 0.0], dtype=x.dtype)
    h = x.new_zeros(len(x), 3)
    for t in range(x.shape[1]):
        h = h @ shift.T + x[:, t : t + 1] * enter
    return h


def distances(x: Tensor) -> Tensor:
    points = x.view(len(x), 5, 3)
    i, j = torch.triu_indices(5, 5, 1)
    return (points[:, i] - points[:, j]).norm(dim=2)


@pytest.mark.parametrize(
    ("f", "d", "null_dim"),
    [
        (circular_average, 12, 2),
        (average_pool, 12, 9),
        (maximum_pool, 12, 9),
        (linear_recurrence, 6, 3),
        (nn.LayerNorm(7, eps=0.0), 7, 2),
        (nn.LayerNorm(7), 7, 1),
        (distances, 15, 6),
    ],
)
def test_layers_have_kernels_of_known_dimension(f: object, d: int, null_dim: int) -> None:
    x = normal(3, d, seed=2)
    space = null_space(f, x)  # type: ignore[arg-type]
    assert space.null_dim.tolist() == [null_dim] * 3
    made = null_walk(f, x, WalkSpec(steps=5, step_size=0.01))  # type: ignore[arg-type]
    assert made.status == ("ok",) * 3
    assert float(made.drift.max()) < 1e-13


def test_kernels_of_relus_are_known() -> None:
    x = torch.tensor([[1.0, -2.0, 3.0, -4.0]], dtype=torch.float64)
    assert null_space(residual_relu, x).null_dim.tolist() == [2]
    moved = null_space(residual_relu, x).project(torch.ones_like(x))
    torch.testing.assert_close(moved, torch.tensor([[0.0, 1.0, 0.0, 1.0]]).double())
    line = nn.Sequential(nn.Linear(2, 1, bias=False), nn.ReLU()).double()
    with torch.no_grad():
        line[0].weight.copy_(torch.tensor([[1.0, -1.0]]))
    starts = torch.tensor([[-1.85, 1.3], [1.85, 1.3]], dtype=torch.float64)  # dead, active
    assert null_space(line, starts).null_dim.tolist() == [2, 1]


def test_layer_norm_is_blind_to_shift_and_scale() -> None:
    x = normal(1, 7)
    space = null_space(nn.LayerNorm(7, eps=0.0), x)
    for blind in (torch.ones_like(x), x - x.mean()):
        torch.testing.assert_close(space.project(blind), blind, rtol=0, atol=1e-12)


def test_distances_are_blind_to_rigid_motions() -> None:
    x = normal(1, 15)
    space = null_space(distances, x)
    points = x.view(5, 3)
    for axis in range(3):
        unit = torch.eye(3, dtype=torch.float64)[axis]
        for blind in (unit.expand(5, 3), torch.linalg.cross(unit.expand(5, 3), points)):
            row = blind.reshape(1, 15)
            torch.testing.assert_close(space.project(row), row, rtol=0, atol=1e-12)


def participation_ratio(points: Tensor) -> tuple[float, float]:
    """Participation ratio of the covariance, and the share of the first principal component."""
    values = torch.linalg.svdvals(points - points.mean(dim=0)).square()
    return float(values.sum() ** 2 / values.square().sum()), float(values[0] / values.sum())


def test_dimensions_are_read_from_endpoints_and_not_from_a_path() -> None:
    n, walkers = 54, 400
    A, x = normal(6, n + 6), normal(1, n + 6, seed=1).expand(walkers, n + 6)
    made = null_walk(lambda x: x @ A.T, x, WalkSpec(steps=120, step_size=0.1), generator=draws(1))
    ratio, _ = participation_ratio(made.points[-1])
    assert ratio == pytest.approx(n / (1 + n / walkers), rel=0.02)
    paths = [participation_ratio(made.points[:, walker]) for walker in range(50)]
    # Of a random walk in many dimensions the spectrum is that of Brownian motion, 1 / k^2: the
    # share of the first is 6 / pi^2 and the ratio 5/2, whatever the class.
    first = sum(share for _, share in paths) / 50
    assert first == pytest.approx(6 / math.pi**2, abs=0.03)
    assert sum(ratio for ratio, _ in paths) / 50 == pytest.approx(2.5, abs=0.2)
