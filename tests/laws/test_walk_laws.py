"""What walks within classes must do when maps, inputs and settings are changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import repgeo.geometry.walks.stepping as stepping
from repgeo.geometry import Walk, WalkSpec, cross_walk, null_space, null_walk

Map = Callable[[Tensor], Tensor]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(inputs: int = 8, outputs: int = 3) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(inputs, 16), nn.Tanh(), nn.Linear(16, 16), nn.GELU(), nn.Linear(16, outputs)
    )
    return net.double().requires_grad_(False)


def walked(f: Map, x: Tensor, **changes: object) -> Walk:
    settings: dict[str, object] = {"steps": 15, "step_size": 0.1, **changes}
    return null_walk(f, x, WalkSpec(**settings))  # type: ignore[arg-type]


def test_paths_turn_with_the_inputs_and_their_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = network(), normal(3, 8, seed=1)
    turn = torch.linalg.qr(normal(8, 8, seed=2))[0]
    plain = {name: walked(net, x, direction=name) for name in ("gaussian", "persistent")}
    by_basis = walked(net, x, direction="eigenvector")
    draw = stepping.drawn
    monkeypatch.setattr(stepping, "drawn", lambda *given: draw(*given) @ turn.T)

    def turned(y: Tensor) -> Tensor:
        return net(y @ turn)

    for name, expected in plain.items():
        found = walked(turned, x @ turn.T, direction=name)
        torch.testing.assert_close(found.points, expected.points @ turn.T, rtol=0, atol=1e-9)
    # One vector of the solver's basis is not the same after a rotation: its law is the basis'.
    found = walked(turned, x @ turn.T, direction="eigenvector")
    assert float((found.points[-1] - by_basis.points[-1] @ turn.T).abs().max()) > 0.01


@pytest.mark.parametrize(
    "after",
    [lambda y: 2 * y + 5, torch.tanh, torch.exp, lambda y: y[:, [2, 0, 1]], lambda y: y**3 + y],
)
def test_what_comes_after_the_map_leaves_its_classes(after: Map) -> None:
    net, x = network(), normal(3, 8, seed=1)
    plain, composed = walked(net, x), walked(lambda x: after(net(x)), x)
    torch.testing.assert_close(composed.points, plain.points, rtol=0, atol=1e-9)
    assert torch.equal(composed.null_dim, plain.null_dim)
    found = walked(lambda x: after(net(x)), x, direction="persistent")
    expected = walked(net, x, direction="persistent")
    torch.testing.assert_close(found.points, expected.points, rtol=0, atol=1e-9)


def test_metrics_on_outputs_and_repeated_outputs_leave_the_projection() -> None:
    net, x, v = network(), normal(3, 8, seed=1), normal(3, 8, seed=3)
    plain = null_space(net, x)
    root = normal(3, 3, seed=4)  # of the metric root root^T

    def twice(x: Tensor) -> Tensor:
        return torch.cat([net(x), net(x)], dim=1)

    for other in (lambda x: net(x) @ root, twice):
        found = null_space(other, x)
        assert torch.equal(found.rank, plain.rank)
        torch.testing.assert_close(found.project(v), plain.project(v), rtol=0, atol=1e-12)
    torch.testing.assert_close(walked(twice, x).points, walked(net, x).points, rtol=0, atol=1e-9)


def test_an_input_that_does_nothing_is_one_more_null_direction() -> None:
    net, x = network(), normal(3, 8, seed=1)
    plain = null_space(net, x)
    more = null_space(lambda x: net(x[:, :8]), torch.cat([x, normal(3, 1)], dim=1))
    assert torch.equal(more.null_dim, plain.null_dim + 1)
    torch.testing.assert_close(more.singular_values, plain.singular_values, rtol=0, atol=1e-13)


@pytest.mark.parametrize("direction", ["gaussian", "persistent", "eigenvector", "target"])
@pytest.mark.parametrize("corrector", ["newton", "gauss_newton", None])
def test_no_point_leaves_the_box(direction: str, corrector: str | None) -> None:
    net, x = network(), (0.4 * normal(4, 8, seed=1)).clamp(-0.5, 0.5)
    target = normal(8, seed=9) if direction == "target" else None
    made = walked(
        net,
        x,
        steps=40,
        step_size=0.3,
        box=(-0.5, 0.5),
        direction=direction,
        corrector=corrector,
        target=target,
    )
    assert bool((made.points >= -0.5).all())
    assert bool((made.points <= 0.5).all())
    assert bool((made.displacement.amax(dim=0) > 0.05).all())  # one is near a corner of its class
    if corrector is not None:
        assert float(made.drift.max()) <= 200 * 2.3e-16 * float(made.outputs.abs().max())


def test_uncorrected_drift_falls_with_the_step_and_corrected_drift_has_none() -> None:
    net, x = network(), normal(6, 8, seed=1)
    velocity = null_space(net, x).project(normal(6, 8, seed=5))
    velocity /= velocity.norm(dim=1, keepdim=True)

    def drift(steps: int, corrector: str | None) -> float:
        made = walked(
            net,
            x,
            steps=steps,
            step_size=2.0 / steps,
            direction="persistent",
            velocity=velocity,
            corrector=corrector,
        )
        return float(made.drift[-1].mean())

    coarse, fine = drift(40, None), drift(80, None)
    assert coarse / fine == pytest.approx(2.0, rel=0.1)
    assert max(drift(40, "newton"), drift(80, "newton")) < 1e-14


def ellipsoid(x: Tensor) -> Tensor:
    axes = torch.tensor([1.0, 2.0, 3.0, 0.5], dtype=x.dtype)
    return (axes * x.square()).sum(dim=1, keepdim=True)


@pytest.mark.parametrize(("f", "d"), [(ellipsoid, 4), (network(), 8)])
def test_persistent_walks_are_reversible(f: Map, d: int) -> None:
    x = normal(3, d, seed=1)
    there = walked(f, x, steps=100, step_size=0.05, direction="persistent")
    back = walked(
        f,
        there.points[-1],
        steps=100,
        step_size=0.05,
        direction="persistent",
        velocity=-there.velocity,
    )
    assert float(there.displacement[-1].min()) > 0.5
    torch.testing.assert_close(back.points.flip(0), there.points, rtol=0, atol=1e-11)
    start = there.points[1] - there.points[0]
    end = back.velocity * 0.05
    assert float((start + end).norm(dim=1).max()) < 0.02  # the first chord, up to its curvature


def test_carrying_along_the_nearest_point_is_not_reversible() -> None:
    x = normal(3, 4, seed=1)

    def gap(step: float) -> float:
        settings = {"direction": "persistent", "corrector": "gauss_newton"}
        steps = round(5 / step)
        there = walked(ellipsoid, x, steps=steps, step_size=step, **settings)
        last = there.points[-1]
        velocity = -there.velocity / there.velocity.norm(dim=1, keepdim=True)
        back = walked(ellipsoid, last, steps=steps, step_size=step, velocity=velocity, **settings)
        return float((back.points[-1] - x).norm(dim=1).max())

    assert gap(0.05) > 1e-6


def test_lengths_of_null_paths() -> None:
    """Realised output changes are of the order of the tolerance, norms of chords of the step."""
    x = normal(3, 4, seed=1)
    coarse, fine = (
        walked(ellipsoid, x, steps=steps, step_size=10 / steps, direction="persistent")
        for steps in (100, 200)
    )
    tolerance = 50 * 2.3e-16 * float(coarse.outputs.abs().max())
    for made in (coarse, fine):
        assert bool((made.output_length[-1] <= 2 * tolerance * len(made.newton)).all())
        torch.testing.assert_close(
            made.length[-1], torch.full((3,), 10.0).double(), rtol=0.01, atol=0
        )
    ratio = coarse.pseudolength[-1] / fine.pseudolength[-1]
    torch.testing.assert_close(ratio, torch.full((3,), 2.0).double(), rtol=0.01, atol=0)


def test_the_pseudolength_of_a_horizontal_path_is_the_length_of_its_outputs() -> None:
    net, x = network(), normal(3, 8, seed=1)
    target = net(x) + 0.05 * normal(3, 3, seed=6)
    made = cross_walk(net, x, WalkSpec(steps=50, step_size=0.0), target_output=target)
    length = (target - net(x)).norm(dim=1)
    torch.testing.assert_close(made.output_length[-1], length, rtol=1e-10, atol=0)
    torch.testing.assert_close(made.pseudolength[-1], length, rtol=1e-3, atol=0)


def test_walkers_do_not_depend_on_their_company() -> None:
    net, x = network(), normal(5, 8, seed=1)
    x[2] = 1e9  # saturates the first layer: the Jacobian is zero there
    made = walked(net, x)
    assert made.status == ("ok", "ok", "flat", "ok", "ok")
    alone = walked(net, x[:2])
    draws = torch.Generator().manual_seed(3)
    again = torch.Generator().manual_seed(3)
    first = null_walk(net, x, WalkSpec(steps=5, step_size=0.1), generator=draws)
    second = null_walk(net, x, WalkSpec(steps=5, step_size=0.1), generator=again)
    assert torch.equal(first.points, second.points)
    assert alone.points.shape == (16, 2, 8)
