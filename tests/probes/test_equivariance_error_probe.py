from __future__ import annotations

import json

import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from repgeo.equivariance import invariance_error
from repgeo.errors import InputError
from repgeo.groups import actions_on_images
from repgeo.models.loaded import LoadedModel, load_model
from repgeo.probes import EquivarianceError
from repgeo.probes.checking import check_probe
from repgeo.probes.standalone import dataset_from_arrays, measure_loaded
from repgeo.probes.subject import MemoryCodes


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.Tanh()).double()
        self.head = nn.Linear(5, 3).double()
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.head(self.encoder(x))


def images(n: int = 12) -> Tensor:
    return torch.randn(n, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def row(frame: pd.DataFrame, metric: str, transformation: str) -> pd.Series:
    at = json.dumps({"transformation": transformation}, separators=(",", ":"))
    found = frame[(frame["metric"] == metric) & (frame["at"] == at)]
    assert len(found) == 1
    return found.iloc[0]


def test_all_oracles_hold() -> None:
    every = ("rotation", "flip", "shift", "circular_shift")
    report = check_probe(EquivarianceError(transformations=every), invariances=False)
    assert report.passed, report.text()
    # Codes and outputs of four cases (three for "shift"), and a flip rate.
    assert report.oracles == 3 * 9 + 7


def test_invariances_are_executed() -> None:
    report = check_probe(EquivarianceError(transformations=("shift",)))
    assert report.passed, report.text()
    assert report.invariances >= 50


def test_agrees_with_the_mathematics() -> None:
    net, x = Net(), images()
    y = torch.arange(12) % 3
    frame = EquivarianceError()(net, x, y)
    assert len(frame) == 9
    for family in ("rotation", "flip", "shift"):
        actions = actions_on_images(family)
        for metric, f in (("codes", net.encoder), ("outputs", net)):
            expected = invariance_error(f, x, actions).square().mean().item()
            found = row(frame, metric, family)
            assert found["value"] == pytest.approx(expected, abs=1e-12)
            assert found["chance"] == 1.0
            assert found["n"] == 12
            assert found["ci_kind"] == "t:samples"
        answers = net(x).argmax(dim=1)
        changed = [(net(g(x)).argmax(dim=1) != answers).double().mean().item() for g in actions]
        found = row(frame, "flip_rate", family)
        assert found["value"] == pytest.approx(sum(changed) / len(changed), abs=1e-12)
        differ = [answers[i] != answers[j] for i in range(12) for j in range(12) if i != j]
        assert found["chance"] == pytest.approx(float(sum(differ)) / 132, abs=1e-12)


def test_no_flip_rate_without_labels() -> None:
    frame = EquivarianceError()(Net(), images())
    assert set(frame["metric"]) == {"codes", "outputs"}


def test_one_forward_pass_per_element_and_nothing_kept_of_moved_images() -> None:
    net = Net()
    data, _ = dataset_from_arrays(images())
    codes = MemoryCodes()
    measure_loaded(EquivarianceError(), [load_model(net, "net")], data, 0, codes)
    # encode, output, 3 turns, 2 flips, 4 shifts.
    assert net.calls == 2 + 9
    kept = [entry[1] for entry in codes._kept.values()]
    assert len(kept) == 1
    assert kept[0] is data.test.x


def test_samples_carry_the_ids_of_the_test_split() -> None:
    data, _ = dataset_from_arrays(images())
    model = LoadedModel(Net().eval(), "net")
    measured = measure_loaded(EquivarianceError(), [model], data, 0, MemoryCodes())
    assert measured.arrays["0/samples"].shape == (12,)
    assert measured.arrays["0/ids"].tolist() == list(range(12))


def test_lists_from_task_files_are_taken_and_unknown_names_are_not() -> None:
    assert EquivarianceError(transformations=["flip"]).transformations == ("flip",)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="rotation"):
        EquivarianceError(transformations=("flop",))  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="at least 1"):
        EquivarianceError(transformations=())


def test_inputs_that_are_not_images_are_refused() -> None:
    with pytest.raises(InputError, match=r"moves images .* the inputs are \(12, 16\)"):
        EquivarianceError()(lambda x: x, images().flatten(1))
    with pytest.raises(InputError, match="square images, got 4x3"):
        EquivarianceError()(lambda x: x.flatten(1), images()[..., :3])
    with pytest.raises(InputError, match="at least two"):
        EquivarianceError()(lambda x: x.flatten(1), images(1))
