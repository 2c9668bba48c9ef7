"""Probes of dimensions, fibres and critical points: what oracles in the probes do not cover."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from repgeo.datasets.pixel_rows import pixel_rows
from repgeo.errors import ConfigurationError, DatasetError, InputError, UnsupportedError
from repgeo.models.attention_network import attention
from repgeo.models.building import build
from repgeo.models.filter_networks import polynomial_cnn
from repgeo.probes import CriticalPointsOfError, Fibre, Neuromanifold
from repgeo.probes.checking import check_probe
from repgeo.study.evaluation import evaluate
from repgeo.study.making import make_probe


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def values(frame):
    return {(row.metric, row.at): row.value for row in frame.itertuples()}


@pytest.mark.parametrize(
    "probe",
    [
        Neuromanifold(),
        Neuromanifold(backend="exact"),
        Neuromanifold(pointwise=False),
        Fibre(elements=1),
        CriticalPointsOfError(draws=3, labels="normal"),
        CriticalPointsOfError(draws=3, labels="planted"),
        CriticalPointsOfError(draws=3, samples=10),
    ],
    ids=repr,
)
def test_oracles_hold_under_other_parameters(probe):
    report = check_probe(probe)
    assert report.passed, report.text()
    assert report.oracles > 0


def test_a_network_without_formula_has_a_rank_at_its_weights_only():
    net = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)).double()
    found = values(Neuromanifold()(net, normal(60, 3)))
    assert {metric for metric, _ in found} == {"parameters", "pointwise_rank", "pointwise_gap"}
    assert found["pointwise_rank", ""] == found["parameters", ""] == 11
    with pytest.raises(UnsupportedError, match=r"has no spec\(\)"):
        Neuromanifold(backend="exact")(net, normal(60, 3))
    with pytest.raises(InputError, match="networks with a formula only"):
        Neuromanifold(precisions=("float32",))(net, normal(60, 3))


def test_floating_point_beside_the_exact_dimension():
    net = build(attention, {"widths": [3, 3, 3], "ranks": 2}, seed=0, dtype="float64")
    probe = Neuromanifold(backend="float64", precisions=("float32", "float64"))
    found = values(probe(net, torch.zeros(1, 3, 3).double()))
    assert found["dimension", ""] == found["formula_dimension", ""] == 23
    assert found["certified", ""] == 0
    assert found["gap", ""] > 6
    by_precision = {json.loads(at)["precision"]: v for (m, at), v in found.items() if "prec" in at}
    assert by_precision["float64"] == 23
    assert by_precision["float32"] <= 23


def test_fibres_need_a_formula():
    with pytest.raises(UnsupportedError, match="requires spec"):
        Fibre()(nn.Linear(2, 1), normal(3, 2))


def test_critical_points_of_trained_data():
    data = pixel_rows(seed=0, first=2, inputs=4, outputs=2)
    nets = {
        "two outputs": build(
            polynomial_cnn, {"filters": [2, 2], "degree": 2, "outputs": 2}, seed=0, dtype="float64"
        ),
        "formula only": build(polynomial_cnn, {"filters": [3, 2], "degree": 2}, seed=0),
        "another": nn.Flatten(),
    }
    frame = evaluate(nets, [CriticalPointsOfError(draws=4)], data)
    status = frame.groupby("model")["status"].unique().map(list).to_dict()
    assert status == {"two outputs": ["ok"], "formula only": ["ok"], "another": ["unsupported"]}
    rows = frame[frame["model"] == "two outputs"].set_index("metric")["value"]
    assert rows["expected_points"] == rows["complex_points"] == 14
    assert rows["minima"] == rows["saddles"] == rows["real_points"] / 2
    only = frame[frame["model"] == "formula only"].set_index("metric")["value"]
    assert only.to_dict() == {"expected_points": 79.0}


def test_targets_are_needed():
    net = polynomial_cnn((2, 2), 2)
    with pytest.raises(InputError, match=r"needs real targets y \(n, 1\)"):
        CriticalPointsOfError()(net, normal(40, 3))
    with pytest.raises(InputError, match="reads 3 numbers, the data have 2"):
        CriticalPointsOfError(labels="normal")(net, normal(40, 2))


def test_rows_of_pixels_are_those_of_the_images():
    from sklearn.datasets import load_digits

    images = load_digits().images / 16
    data = pixel_rows(seed=3, row=2, first=1, inputs=4, outputs=3)
    assert len(data.train) + len(data.test) == len(images)
    ids = data.test.ids.numpy()
    assert np.array_equal(data.test.x.numpy(), images[ids, 2, 1:5])
    assert np.array_equal(data.test.y.numpy(), images[ids, 3, 1:4])
    for wrong in ({"row": 7}, {"first": 5, "inputs": 4}, {"outputs": 0}):
        with pytest.raises(DatasetError, match="8 rows and columns"):
            pixel_rows(seed=0, **wrong)


def test_parameters_are_checked():
    with pytest.raises(ConfigurationError, match="labels"):
        make_probe(CriticalPointsOfError, {"labels": "none"})
