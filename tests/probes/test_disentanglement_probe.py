"""The probe `disentanglement`: circle factors, their planes, and whether they are told apart."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.torus_signals import torus_signals
from repgeo.equivariance import d_lsbd
from repgeo.errors import ConfigurationError, DatasetError, InputError
from repgeo.groups import SO2, named_acting_group
from repgeo.models.loaded import load_model
from repgeo.models.torus_phases import torus_phases
from repgeo.probes.checking import check_probes
from repgeo.probes.disentanglement import DisentanglementOfFactors
from repgeo.probes.group_actions import action_of, group_of
from repgeo.probes.rows import rows, to_frame
from repgeo.probes.standalone import measure_loaded
from repgeo.probes.subject import MemoryCodes


def measured(probe: DisentanglementOfFactors, model: object, data: Dataset) -> pd.DataFrame:
    found = measure_loaded(probe, [load_model(model, "net")], data, 0, MemoryCodes())
    return to_frame(rows({}, found.values))


def value(frame: pd.DataFrame, metric: str, at: str = "") -> float:
    found = frame[(frame["metric"] == metric) & (frame["at"] == at)]
    assert len(found) == 1, frame[["metric", "at"]]
    return float(found["value"].iloc[0])


def grid(angles: int = 12) -> Dataset:
    return torus_signals(seed=0, angles=angles, train_size=20)


def test_oracles_and_invariances_of_disentanglement() -> None:
    (report,) = check_probes(["disentanglement"])
    assert report.passed, report.text()
    assert report.oracles >= 12
    assert report.invariances >= 100


def test_phases_are_disentangled_and_one_to_one() -> None:
    frame = measured(DisentanglementOfFactors(), torus_phases(), grid())
    assert value(frame, "d_lsbd") < 1e-10
    assert value(frame, "plane_entanglement", '{"factor":1}') < 1e-10
    assert value(frame, "collapsed") == 0.0
    assert value(frame, "margin") > 0.2


def test_wrapped_factors_score_perfectly_and_collapse() -> None:
    wrapped = torus_phases(frequencies=((3, 0), (0, 4)))
    frame = measured(DisentanglementOfFactors(), wrapped, grid())
    assert value(frame, "d_lsbd") < 1e-10
    assert value(frame, "frequency", '{"factor":1}') == 3.0
    assert value(frame, "frequency", '{"factor":2}') == 4.0
    assert value(frame, "margin") < 1e-5
    assert value(frame, "collapsed") == pytest.approx(11 / 143)


def test_entangled_factors_are_told_by_both_measures() -> None:
    entangled = torus_phases(frequencies=((1, 0), (1, 1)))
    frame = measured(DisentanglementOfFactors(), entangled, grid())
    assert value(frame, "d_lsbd") > 0.3
    # A step of the first factor turns both planes by 30 degrees, one of the second only one.
    step = (2 * torch.pi / 12) ** 2
    assert value(frame, "plane_entanglement", '{"factor":1}') == pytest.approx(step, rel=1e-4)
    assert value(frame, "plane_entanglement", '{"factor":2}') < 1e-10


def test_one_warped_factor_of_two() -> None:
    data = grid(16)

    def warped(x: Tensor) -> Tensor:
        # What torus_phases gives, with the first angle a replaced by a + sin(a) / 2.
        codes = torus_phases()(x)
        a = torch.atan2(codes[:, 1], codes[:, 0])
        bent = a + a.sin() / 2
        return torch.cat([torch.stack([bent.cos(), bent.sin()], dim=1), codes[:, 2:]], dim=1)

    frame = measured(DisentanglementOfFactors(), warped, data)
    codes = warped(data.test.x).reshape(16, 16, 4)  # type: ignore[arg-type]
    assert value(frame, "d_lsbd") == pytest.approx(d_lsbd(codes).score, rel=1e-6)
    assert value(frame, "d_lsbd") == pytest.approx(0.032, abs=5e-4)
    assert value(frame, "factor_d_lsbd", '{"factor":2}') < 1e-10


def test_order_of_the_grid_does_not_matter() -> None:
    data = grid()
    order = torch.randperm(144, generator=torch.Generator().manual_seed(0))
    shuffled = Dataset("", data.train, data.test.take(order), data.meta)
    model = torus_phases(frequencies=((1, 0), (1, 1)))
    one, other = (measured(DisentanglementOfFactors(), model, each) for each in (data, shuffled))
    assert one["value"].tolist() == pytest.approx(other["value"].tolist(), abs=1e-9)


def test_constant_has_no_plane_and_collapses() -> None:
    frame = measured(DisentanglementOfFactors(), lambda x: x.new_ones(len(x), 3), grid())
    assert set(frame["metric"]) == {"margin", "collapsed"}
    assert value(frame, "margin") == 0.0
    assert value(frame, "collapsed") == 1.0


def test_orbits_of_samples_under_a_group_of_circles() -> None:
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    data = Dataset("", Split(x), Split(x), {"group": "SO2", "action": "frequencies:1,2"})
    frame = measured(DisentanglementOfFactors(angles=12), lambda x: x[:, :2], data)
    assert value(frame, "d_lsbd") < 1e-12
    assert value(frame, "frequency", '{"factor":1}') == 1.0
    assert frame[frame["metric"] == "d_lsbd"].iloc[0]["n"] == 5
    radius = value(frame, "margin") * (2 * 12 / 11) ** 0.5  # over the distance of neighbours
    assert radius == pytest.approx(2 * torch.sin(torch.tensor(torch.pi / 12)).item(), rel=1e-6)


def test_shifted_images_lie_on_the_orbit_of_one_of_them() -> None:
    data = grid(4)
    group = group_of(data)
    probe = DisentanglementOfFactors(group="T2", angles=4, samples=2)
    frame = measured(probe, torus_phases(), data)
    assert value(frame, "d_lsbd") < 1e-10
    assert action_of(data, group).group.period == 12.0  # type: ignore[attr-defined]


def test_products_of_circles() -> None:
    x = torch.tensor([[1.0, 0.0, 1.0, 0.0]], dtype=torch.float64)
    group = named_acting_group("SO2xC3")
    two = SO2().exp(torch.tensor([[1.0]], dtype=torch.float64))
    assert group.join(two, torch.tensor([1])).shape == (1, 5)  # type: ignore[attr-defined]
    data = Dataset("", Split(x), Split(x), {"action": "vector"})
    frame = measured(DisentanglementOfFactors(group="SO2xC3", angles=4), lambda x: x, data)
    assert value(frame, "d_lsbd") < 1e-12


def test_what_is_no_grid_or_no_circle_is_refused() -> None:
    data = grid(4)
    short = Dataset("", data.train, data.test.take(torch.arange(15)), data.meta)
    with pytest.raises(InputError, match=r"full grid .*16 samples for factors of \[4, 4\]"):
        measured(DisentanglementOfFactors(), torus_phases(), short)
    with pytest.raises(InputError, match=r"that of circles.*got SO\(3\)"):
        measured(DisentanglementOfFactors(group="SO3", action="points"), torus_phases(), data)


def test_faults_of_the_grid_of_signals_and_of_frequencies_are_told() -> None:
    with pytest.raises(DatasetError, match="at least 3 pixels and 3 angles"):
        torus_signals(seed=0, angles=2)
    with pytest.raises(ConfigurationError, match="pairs of whole numbers"):
        torus_phases(frequencies=((1,),))  # type: ignore[arg-type]
