"""The probe of lines and planes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.geometry import log_volume, plane_slice, volume_spectrum
from repgeo.models.loaded import LoadedModel
from repgeo.probes import VolumeSlice
from repgeo.probes.checking import check_probe
from repgeo.probes.standalone import measure_loaded
from repgeo.probes.subject import MemoryCodes


def _random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class _Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(4, 9), nn.Tanh()).double()
        self.head = nn.Linear(9, 3).double()
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters()):
                parameter.copy_(_random(*parameter.shape, seed=number))
        self.eval().requires_grad_(False)

    def forward(self, x):
        return self.head(self.encoder(x))


def _measured(probe, network, x, y):
    split = Split(x, y)
    model = LoadedModel(network, "net")
    return measure_loaded(probe, [model], Dataset("", split, split), 0, MemoryCodes())


@pytest.mark.parametrize("along", ["inputs", "slice"])
def test_oracles_and_invariances(along):
    report = check_probe(VolumeSlice(steps=9, along=along), invariances=along == "inputs")
    assert report.passed, report.text()
    assert report.oracles == 5


def test_planes_store_what_figures_need():
    network, x, y = _Network(), _random(3, 1, 2, 2), torch.tensor([0, 1, 2])
    probe = VolumeSlice(classes=(0, 1, 2), steps=6, along="slice")
    found = _measured(probe, network, x, y)
    made = plane_slice(*x, steps=6)
    values = log_volume(network.encoder, made.points, subspace=made.subspace)
    arrays = {name.removeprefix("0/artifact/"): array for name, array in found.arrays.items()}
    torch.testing.assert_close(torch.from_numpy(arrays["values"]), values)
    torch.testing.assert_close(torch.from_numpy(arrays["grid"]), made.coordinates)
    answers = network(made.points).argmax(dim=1)
    assert torch.equal(torch.from_numpy(arrays["prediction"]), answers)
    assert arrays["entropy"].shape == (36,)
    assert bool(((arrays["entropy"] >= 0) & (arrays["entropy"] <= 1)).all())
    expected = volume_spectrum(network.encoder, x)
    torch.testing.assert_close(torch.from_numpy(arrays["spectra"]), expected)
    assert arrays["anchors"].shape == (3, 2)
    assert float(arrays["log_area"]) == pytest.approx(made.log_area)
    estimates = {value.metric: value.estimate for value in found.values}
    assert estimates["log_volume"].value == pytest.approx(float(values.quantile(0.5)), abs=1e-12)
    # By hand: neighbours on the 6 x 6 grid with another answer.
    grid, near = answers.reshape(6, 6).tolist(), []
    for i in range(6):
        for j in range(6):
            around = [(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)]
            inside = [(a, b) for a, b in around if 0 <= a < 6 and 0 <= b < 6]
            near.append(any(grid[a][b] != grid[i][j] for a, b in inside))
    mask = torch.tensor(near)
    assert estimates["boundary"].value == pytest.approx(sum(near) / 36)
    contrast = float(values[mask].mean() - values[~mask].mean())
    assert estimates["boundary_contrast"].value == pytest.approx(contrast, abs=1e-12)


def test_dead_points_do_not_hide():
    x = torch.tensor([[-1.0, -1.0], [1.0, -1.0]], dtype=torch.float64)
    found = VolumeSlice(steps=5)(torch.relu, x, torch.tensor([0, 1]))
    assert dict(zip(found["metric"], found["value"], strict=True))["log_volume"] == -math.inf


def test_what_cannot_be_measured_is_refused():
    network, x = _Network(), _random(3, 4)
    with pytest.raises(InputError, match="no test sample of class 7"):
        VolumeSlice(classes=(0, 7))(network, x, torch.tensor([0, 1, 2]))
    with pytest.raises(InputError, match="needs integer class labels"):
        VolumeSlice()(network, x)
    with pytest.raises(InputError, match="classes >= 2"):
        VolumeSlice()(lambda x: x[:, :1], x, torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="at least 2 items"):
        VolumeSlice(classes=(0,))
