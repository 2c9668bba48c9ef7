"""The probe of scalar curvature."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from repgeo.errors import CheckpointError, InputError
from repgeo.probes import PullbackVolume, ScalarCurvature
from repgeo.probes.checking import check_probe


def _values(frame):
    return dict(zip(frame["metric"], frame["value"], strict=True))


def _sphere(x):
    r = x.square().sum(dim=1, keepdim=True)
    return torch.cat([2 * x, r - 1], dim=1) / (1 + r)


@pytest.mark.parametrize("plane", ["principal", "random", "none"])
def test_oracles_and_invariances(plane):
    report = check_probe(ScalarCurvature(plane=plane), invariances=plane == "principal")
    assert report.passed, report.text()
    assert report.oracles >= 9


def test_all_directions_and_planes():
    """S^3 in stereographic coordinates: R = 6; planes through the origin are great 2-spheres."""
    x = torch.randn(30, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = _values(ScalarCurvature(plane="none")(_sphere, x))
    assert found["scalar_curvature"] == pytest.approx(6.0, abs=1e-9)
    at_origin = torch.cat([torch.zeros(1, 3).double(), x[:2] * 1e-9])
    probe = ScalarCurvature(plane="random")
    assert _values(probe(_sphere, at_origin))["scalar_curvature"] == pytest.approx(2.0, abs=1e-6)


def test_degenerate_points_are_counted_and_left_out():
    x = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [2.0, 1.0], [-1.0, -1.0]])
    found = _values(ScalarCurvature()(torch.relu, x))
    assert found == {"scalar_curvature": 0.0, "degenerate": 0.5, "piecewise_linear": 1.0}
    constant = _values(ScalarCurvature()(lambda x: x.new_ones(len(x), 3), x))
    assert constant == {"degenerate": 1.0, "piecewise_linear": 1.0}


def test_images_on_the_principal_plane():
    x = torch.randn(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.1).add_(torch.arange(parameter.numel()).reshape(parameter.shape) / 50)
    frame = ScalarCurvature(layer="output", points=5)(model, x)
    assert set(frame["n"]) == {5}
    assert _values(frame)["degenerate"] == 0.0


def test_what_cannot_be_measured_is_refused():
    model = nn.Identity()
    with pytest.raises(InputError, match="at least 2 coordinates, got 1"):
        ScalarCurvature(layer="output")(model, torch.zeros(3, 1))
    with pytest.raises(InputError, match=r"must be floating point; these are torch\.int64"):
        ScalarCurvature(layer="output")(model, torch.zeros(3, 2).long())
    for probe in (ScalarCurvature, PullbackVolume):
        with pytest.raises(CheckpointError, match="no checkpoint 'init'"):
            probe(layer="output", epochs=("init",))(model, torch.rand(3, 2))
