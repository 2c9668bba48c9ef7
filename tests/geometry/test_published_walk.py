from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from repgeo.errors import InputError
from repgeo.geometry import WalkSpec, null_walk
from repgeo.geometry.walks.published_walk import PublishedRule, published_walk

REFERENCE = Path(os.environ.get("REPGEO_DATA", "")) / "simec_reference"
needs_reference = pytest.mark.skipif(
    not ("REPGEO_DATA" in os.environ and REFERENCE.is_dir()),
    reason="REPGEO_DATA does not hold simec_reference",
)
EPS = torch.finfo(torch.float64).eps
DIGITS = 0.5e-6  # points are stored with six digits after the point


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def published_network(name: str) -> nn.Module:
    """Weights as published: a row of sizes and kind, one of the matrix, one of the bias."""
    with gzip.open(REFERENCE / f"weights__{name}.csv.gz", "rt") as stream:
        rows = [line.split() for line in stream if line.strip()]
    layers: list[nn.Module] = []
    for number in range(int(rows[0][0])):
        head, weight, bias = rows[1 + 3 * number : 4 + 3 * number]
        outputs, inputs = int(head[0]), int(head[1])
        assert head[4] == "FC_LAYER_SG"
        layer = nn.Linear(inputs, outputs, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(
                torch.tensor([float(v) for v in weight], dtype=torch.float64).view(outputs, inputs)
            )
            layer.bias.copy_(torch.tensor([float(v) for v in bias], dtype=torch.float64))
        layers += [layer, nn.Sigmoid()]
    return nn.Sequential(*layers).requires_grad_(False)


def published_points(name: str, rows: int) -> Tensor:
    with gzip.open(REFERENCE / f"output__{name}.csv.gz", "rt") as stream:
        return torch.from_numpy(np.loadtxt(stream, max_rows=rows))


@needs_reference
@pytest.mark.parametrize(
    ("weights", "path", "step_size", "steps"),
    [
        ("surface_1_good_weights", "surface_1_bad_simec_out", 0.0125, 200),
        ("weights_surface_2", "surface_2_simec_out_left", 1e-5, 300),
        ("weights_surface_2", "surface_2_simec_out_right", 1e-5, 300),
    ],
)
def test_published_trajectories_are_reproduced(
    weights: str, path: str, step_size: float, steps: int
) -> None:
    net, expected = published_network(weights), published_points(path, steps)
    start = torch.tensor([[0.25, 0.25]], dtype=torch.float64)
    # The first sign is the eigensolver's: the direction whose first step fits is the one.
    made = [
        published_walk(net, start, PublishedRule(steps=steps, step_size=step_size, reverse=back))
        for back in (False, True)
    ]
    apart = [(walk.points[1:, 0] - expected).abs().amax(dim=1) for walk in made]
    fitting = min(apart, key=lambda distances: float(distances[0]))
    assert float(fitting.max()) <= DIGITS * 1.01


@needs_reference
@pytest.mark.parametrize(
    ("weights", "start", "step_size", "steps"),
    [
        ("surface_1_good_weights", (0.25, 0.25), 0.0125, 200),
        ("weights_surface_2", (0.25, 0.25), 0.0125, 50),
        ("thermodynamics_weights_addestrata_bene", (0.10, 0.75), 1e-3, 200),
    ],
)
def test_the_corrected_walk_of_the_same_networks_does_not_drift(
    weights: str, start: tuple[float, float], step_size: float, steps: int
) -> None:
    net = published_network(weights)
    x = torch.tensor([start], dtype=torch.float64)
    walk = WalkSpec(steps=steps, step_size=step_size, direction="persistent")
    made = null_walk(net, x, walk)
    theirs = published_walk(net, x, PublishedRule(steps=steps, step_size=step_size))
    assert made.status == ("ok",)
    allowed = 200 * EPS * float(made.outputs.abs().max())
    assert float(made.drift.max()) <= allowed
    assert float(theirs.drift.max()) > 1e4 * allowed
    assert float(made.displacement.max()) > 0.5 * float(theirs.displacement.max())


@needs_reference
def test_published_drift_halves_with_the_step() -> None:
    net = published_network("surface_1_good_weights")
    x = torch.tensor([[0.25, 0.25]], dtype=torch.float64)
    drift = [
        [
            float(published_walk(net, x, PublishedRule(s, 2.2 / s, reverse=back)).drift[-1, 0])
            for s in (110, 220)
        ]
        for back in (False, True)
    ]
    for coarse, fine in drift:
        assert coarse / fine == pytest.approx(2.0, rel=0.05)
    known = min(drift)  # one of the directions, as measured of the published program
    assert known == pytest.approx([0.00640, 0.00316], abs=0.5e-5)


def test_signs_are_tracked() -> None:
    def f(x: Tensor) -> Tensor:
        return x.square().sum(dim=1, keepdim=True)

    x = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    made = published_walk(f, x, PublishedRule(steps=100, step_size=0.2))
    moves = made.points[1:] - made.points[:-1]
    assert float((moves[1:] * moves[:-1]).sum(dim=2).min()) > 0
    torch.testing.assert_close(
        made.outputs[:, 0, 0], 25 + 0.04 * torch.arange(101, dtype=torch.float64)
    )
    back = published_walk(f, x, PublishedRule(steps=100, step_size=0.2, reverse=True))
    torch.testing.assert_close(back.points[1] - x, x - made.points[1])


def test_parities_make_half_steps_to_one_side() -> None:
    A, x = normal(2, 6), normal(3, 6, seed=1)
    rule = PublishedRule(steps=8, step_size=0.2, eigenvector="below", sign="parity")
    made = published_walk(lambda x: x @ A.T, x, rule)
    torch.testing.assert_close(made.length[-1], torch.full((3,), 0.8).double())
    vectors = torch.linalg.eigh(A.T @ A)[1][:, :4]  # the metric is the same everywhere
    moves = (made.points[1:] - made.points[:-1]) @ vectors / 0.1  # one entry of -1 or 1 each
    place = moves.abs().argmax(dim=2)
    sign = moves.gather(2, place[:, :, None]).squeeze(2)
    torch.testing.assert_close(sign, (2 * (place % 2) - 1).double(), rtol=0, atol=1e-9)


def test_ternary_signs_stand_still_a_third_of_the_time() -> None:
    A, x = normal(1, 3), normal(2000, 3, seed=1)
    rule = PublishedRule(steps=3, step_size=0.2, eigenvector="below", sign="ternary")
    made = published_walk(lambda x: x @ A.T, x, rule)
    moved = (made.points[1:] - made.points[:-1]).norm(dim=2) > 0.1
    assert float(moved.double().mean()) == pytest.approx(2 / 3, abs=4 * (2 / 9 / 6000) ** 0.5)


def test_the_largest_eigenvector_is_followed_until_the_output_has_changed() -> None:
    def f(x: Tensor) -> Tensor:
        return x.square().sum(dim=1, keepdim=True)

    x = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    rule = PublishedRule(500, 0.01, eigenvector="largest", sign="solver", output_change=1.0)
    made = published_walk(f, x, rule)
    assert made.status == ("arrived",)
    assert 1.0 <= float(made.drift[-1]) < 1.12
    assert 9 <= int(made.taken) <= 11


def test_boxes_clamp_or_stop() -> None:
    A = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    x = torch.zeros(1, 2, dtype=torch.float64)
    clamp, stop = (
        published_walk(lambda x: x @ A.T, x, PublishedRule(10, 0.3, box=(-1.0, 1.0), at_box=at_box))
        for at_box in ("clamp", "stop")
    )
    for made in (clamp, stop):
        assert float(made.points.abs().max()) == 1.0
    assert clamp.status == ("ok",)
    assert stop.status == ("stuck",)
    assert stop.taken.tolist() == [4]


def test_no_eigenvalue_below_an_absolute_threshold_is_a_point() -> None:
    rule = PublishedRule(steps=3, step_size=0.1, eigenvector="below", sign="parity")
    made = published_walk(lambda x: 2 * x, normal(1, 3), rule)
    assert made.status == ("point",)
    faint = published_walk(lambda x: 1e-4 * x, normal(1, 3), rule)  # the class is a point, too
    assert faint.status == ("ok",)
    assert float(faint.drift[-1]) > 0


def test_wrong_rules_are_named() -> None:
    with pytest.raises(InputError, match="Unknown sign 'parities'"):
        PublishedRule(steps=1, step_size=0.1, sign="parities")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least one step"):
        PublishedRule(steps=1, step_size=0.0)
    with pytest.raises(InputError, match="count must be at least 1"):
        PublishedRule(steps=1, step_size=0.1, count=0)
    rule = PublishedRule(steps=1, step_size=0.1, eigenvector="first", count=4)
    with pytest.raises(InputError, match="count must be 1 to 3"):
        published_walk(lambda x: x[:, :1], normal(1, 3), rule)
