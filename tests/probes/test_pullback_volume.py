"""The probe of the volume element."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from repgeo.errors import InputError
from repgeo.geometry import log_volume, principal_plane
from repgeo.probes import PullbackVolume
from repgeo.probes.checking import check_probe


def _random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _value(frame, metric):
    (value,) = frame.loc[frame["metric"] == metric, "value"]
    return float(value)


@pytest.mark.parametrize(
    "fields", [{}, {"plane": "principal"}, {"plane": "random"}, {"top": 1}, {"top": 2}]
)
def test_oracles_and_invariances(fields):
    report = check_probe(PullbackVolume(**fields), invariances=fields.get("top") != 2)
    assert report.passed, report.text()
    assert report.oracles >= 4


def test_planes_and_the_largest_singular_values():
    W, x = _random(6, 4), _random(9, 4, seed=1) * torch.tensor([1.0, 3.0, 2.0, 0.5]).double()
    f = lambda x: torch.tanh(x @ W.T)  # noqa: E731
    found = PullbackVolume(plane="principal")(f, x)
    expected = log_volume(f, x, subspace=principal_plane(x)).median()
    assert _value(found, "log_volume") == pytest.approx(float(expected), abs=1e-12)
    assert _value(found, "rank") == 2.0
    found = PullbackVolume(top=3)(f, x)
    expected = log_volume(f, x, rank=3).median()
    assert _value(found, "log_volume") == pytest.approx(float(expected), abs=1e-9)
    assert set(found["at"]) == {'{"kind":"truncated"}'}
    with pytest.raises(InputError, match="between 1 and 4, got 5"):
        PullbackVolume(top=5)(f, x)


def test_the_median_over_the_chosen_points():
    W, x = _random(6, 4), _random(9, 4, seed=1)
    encoder = nn.Sequential(nn.Linear(4, 6, bias=False), nn.Tanh())
    with torch.no_grad():
        encoder[0].weight.copy_(W)
    encoder = encoder.double()
    frame = PullbackVolume(layer="output")(encoder, x)
    expected = log_volume(encoder, x).median()  # nine points: the middle one
    assert _value(frame, "log_volume") == pytest.approx(float(expected), abs=1e-12)
    assert set(frame["at"]) == {'{"kind":"volume"}'}
    assert set(frame["unit"]) == {"nats", ""}
    assert int(frame["n"].iloc[0]) == 9
    fewer = PullbackVolume(layer="output", points=3)(encoder, x)
    assert int(fewer["n"].iloc[0]) == 3


def test_dead_units_are_reported():
    x = torch.tensor([[1.0, 1.0], [1.0, -1.0], [2.0, 1.0], [3.0, 1.0], [-1.0, -1.0]])
    frame = PullbackVolume()(torch.relu, x)
    assert _value(frame, "log_volume") == 0.0
    assert _value(frame, "rank") == pytest.approx(7 / 5)
    assert _value(frame, "deficient") == pytest.approx(2 / 5)
    constant = PullbackVolume()(lambda x: x.new_ones(len(x), 2), x)
    assert _value(constant, "log_volume") == -math.inf
    assert _value(constant, "deficient") == 1.0


def test_maps_to_fewer_features_say_coarea():
    frame = PullbackVolume()(lambda x: 2 * x[:, :1], torch.zeros(6, 3))
    assert set(frame["at"]) == {'{"kind":"coarea"}'}
    assert _value(frame, "log_volume") == pytest.approx(math.log(2), abs=1e-6)


def test_inputs_that_are_no_tensor_are_refused():
    model = nn.Identity()
    with pytest.raises(InputError, match="inputs that are one tensor; these are a mapping of a"):
        PullbackVolume(layer="output")(model, {"a": torch.zeros(3, 2)})
