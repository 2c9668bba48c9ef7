"""The probe of magnification near the decision boundary."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError, UnsupportedError
from repgeo.geometry import boundary_distance, log_volume, rank_correlation, rank_correlation_terms
from repgeo.models.loaded import LoadedModel
from repgeo.probes import Magnification
from repgeo.probes.checking import check_probe
from repgeo.probes.standalone import measure_loaded
from repgeo.probes.subject import MemoryCodes


def _random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class _Network(nn.Module):
    def __init__(self, seed):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(2, 8), nn.Tanh()).double()
        self.head = nn.Linear(8, 2).double()
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters()):
                parameter.copy_(_random(*parameter.shape, seed=seed + number))

    def forward(self, x):
        return self.head(self.encoder(x))


def _loaded(module, checkpoints):
    states = {epoch: network.state_dict() for epoch, network in checkpoints.items()}
    return LoadedModel(
        module.eval().requires_grad_(False),
        "net",
        load_checkpoint=lambda epoch: dict(states[epoch]),
        checkpoints=tuple(states),
    )


def _data(network, n=80):
    x = _random(n, 2, seed=9)
    split = Split(x, network(x).argmax(dim=1))
    return Dataset("", split, split)


def _measured(probe, model, data):
    values = measure_loaded(probe, [model], data, 0, MemoryCodes()).values
    return {(value.metric, value.at): value.estimate for value in values}


def test_oracles_and_invariances():
    report = check_probe(Magnification())
    assert report.passed, report.text()
    assert report.oracles == 5
    assert report.invariances >= 100


def test_what_is_read_at_the_reference_and_after():
    first, last = _Network(0), _Network(50)
    data = _data(last)
    found = _measured(Magnification(), _loaded(last, {"init": first}), data)
    start, end = '{"epoch":"init","kind":"volume"}', '{"kind":"volume"}'
    change = found["contrast", end].value - found["contrast", start].value
    assert found["contrast_change", end].value == pytest.approx(change, abs=1e-12)
    assert found["train_accuracy", ""].value == 1.0
    assert found["excluded", ""].value == 0.0
    assert {at for metric, at in found if metric == "rank_correlation"} == {
        '{"epoch":"init","kind":"volume","of":"volume"}',
        '{"kind":"volume","of":"volume"}',
        '{"kind":"volume","of":"change"}',
    }
    # The norm and log-volume of the untrained network, through a slow reference of the distance.
    grid = torch.cartesian_prod(*[torch.linspace(-4, 4, 400).double()] * 2)
    answers, others = last(data.test.x).argmax(dim=1), last(grid).argmax(dim=1)
    distances = torch.cdist(data.test.x, grid).masked_fill(answers[:, None] == others, math.inf)
    expected = rank_correlation(log_volume(last.encoder, data.test.x), distances.amin(dim=1))
    value = found["rank_correlation", '{"kind":"volume","of":"volume"}'].value
    assert value == pytest.approx(expected, abs=0.1)


def test_near_and_far_as_distances():
    first, last = _Network(0), _Network(50)
    data, model = _data(last), _loaded(last, {"init": first})
    x = data.test.x
    change = log_volume(last.encoder, x) - log_volume(first.encoder, x)
    sides = {"near_distance": 0.3, "far_distance": 0.6}
    found = _measured(Magnification(**sides), model, data)
    value = found["contrast_change", '{"kind":"volume"}'].value
    bound = boundary_distance(lambda x: last(x).argmax(dim=1), x, x)
    assert value == pytest.approx(
        float(change[bound < 0.3].mean() - change[bound > 0.6].mean()), abs=1e-12
    )
    mixed = _measured(Magnification(near_distance=0.3), model, data)
    farthest = bound >= bound.sort().values[-32]  # two fifths of 80
    assert mixed["contrast_change", '{"kind":"volume"}'].value == pytest.approx(
        float(change[bound < 0.3].mean() - change[farthest].mean()), abs=1e-12
    )


def test_distances_in_the_oracles():
    report = check_probe(Magnification(near_distance=0.35, far_distance=1.05))
    assert report.passed, report.text()
    assert report.oracles == 5


def test_distances_without_points_are_refused():
    first, last = _Network(0), _Network(50)
    model = _loaded(last, {"init": first})
    with pytest.raises(InputError, match=r"none farther than 900\.0: distances lie between"):
        _measured(Magnification(near_distance=0.3, far_distance=900.0), model, _data(last))
    with pytest.raises(ValueError, match=r"near_distance \(0.5\) must not exceed far_distance"):
        Magnification(near_distance=0.5, far_distance=0.2)


def test_checkpoints_in_between():
    first, middle, last = _Network(0), _Network(20), _Network(50)
    model = _loaded(last, {"init": first, 5: middle})
    found = _measured(Magnification(epochs=("init", 5)), model, _data(last))
    changes = [at for metric, at in found if metric == "contrast_change"]
    assert changes == ['{"epoch":5,"kind":"volume"}']
    contrasts = [at for metric, at in found if metric == "contrast"]
    assert contrasts == ['{"epoch":"init","kind":"volume"}', '{"epoch":5,"kind":"volume"}']


def test_the_gate():
    first, last = _Network(0), _Network(50)
    data = _data(last)
    wrong = Split(data.train.x, 1 - data.train.y)
    found = _measured(
        Magnification(), _loaded(last, {"init": first}), Dataset("", wrong, data.test)
    )
    assert {metric for metric, _ in found} == {"train_accuracy"}
    assert found["train_accuracy", ""].value == 0.0


def test_points_of_deficient_rank_are_left_out():
    first, last = _Network(0), _Network(50)
    for network in (first, last):
        network.encoder[1] = nn.ReLU()
        with torch.no_grad():
            network.encoder[0].bias.sub_(1.0)
    data = _data(last, n=300)
    found = _measured(Magnification(gate=0.0, points=300), _loaded(last, {"init": first}), data)
    infinite = ~torch.stack(
        [log_volume(net.encoder, data.test.x).isfinite() for net in (first, last)]
    ).all(dim=0)
    assert found["excluded", ""].value == pytest.approx(float(infinite.double().mean()))
    assert found["excluded", ""].value > 0
    assert math.isfinite(found["contrast_change", '{"kind":"volume"}'].value)


def test_intervals_of_correlations_cover_as_they_should():
    """The linearised standard error against that of independent draws."""
    rng = np.random.default_rng(0)
    values, errors = [], []
    for _ in range(300):
        a, b = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=100).T
        terms = rank_correlation_terms(a, b)
        assert terms.mean() == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
        values.append(terms.mean())
        errors.append(terms.std(ddof=1) / 10)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.15)


def test_what_cannot_be_measured_is_refused():
    network, x = _Network(0), _random(30, 2)
    y = network(x).argmax(dim=1)
    with pytest.raises(UnsupportedError, match=r"did not keep\. Ask for it with keep"):
        Magnification()(network, x, y)
    model = _loaded(network, {"init": network})
    with pytest.raises(InputError, match="integer class labels y of the train split"):
        _measured(Magnification(), model, Dataset("", Split(x), Split(x)))
    with torch.no_grad():
        network.head.bias.copy_(torch.tensor([1e6, 0.0]))
    split = Split(x, torch.zeros(30).long())
    with pytest.raises(InputError, match="one class to all"):
        _measured(Magnification(), model, Dataset("", split, split))
