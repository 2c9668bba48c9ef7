from __future__ import annotations

import pytest
import torch
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError, SampleMismatchError
from repgeo.models.loaded import load_model
from repgeo.probes import Context, Side, Similarity, Subject
from repgeo.probes.checking import check_probe
from repgeo.probes.pairs import require_same_ids
from repgeo.probes.standalone import dataset_from_arrays
from repgeo.stitching import cka
from repgeo.stitching.similarity import MEASURES, mean_cca_chance


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_oracles_and_invariances_are_executed() -> None:
    report = check_probe(Similarity())
    assert report.passed, report.text()
    assert report.oracles == 2
    assert report.invariances >= 100


FAST = ("procrustes", "svcca", "pwcca", "distance_correlation")


def test_settings_reach_the_declarations() -> None:
    probe = Similarity(measures=("mutual_knn", "rsa"))
    assert "codes:translation" not in probe.invariances("mutual_knn")
    assert "codes:translation" in probe.invariances("rsa")
    assert probe.invariances("cka") == frozenset()  # not asked for
    probe = Similarity(
        measures=("mutual_knn", "rsa"), neighbour_metric="euclidean", dissimilarity="cosine"
    )
    assert "codes:translation" in probe.invariances("mutual_knn")
    assert "codes:translation" not in probe.invariances("rsa")
    assert check_probe(Similarity(measures=FAST), invariances=False).passed


@pytest.mark.slow
@pytest.mark.parametrize(
    "probe",
    [
        Similarity(measures=tuple(MEASURES), topology_samples=8, shuffles=1),
        Similarity(
            measures=("mutual_knn", "rsa", "svcca"),
            neighbour_metric="euclidean",
            dissimilarity="cosine",
        ),
    ],
    ids=["all measures", "other settings"],
)
def test_every_measure_keeps_what_it_declares(probe: Similarity) -> None:
    report = check_probe(probe)
    assert report.passed, report.text()
    assert report.oracles >= 1
    assert report.invariances >= 300


def test_every_measure_has_its_own_row_and_chance() -> None:
    x, weight = normal(60, 4), normal(4, 6, seed=1)
    probe = Similarity(measures=tuple(MEASURES), topology_samples=20, shuffles=2)
    frame = probe(lambda x: x, lambda x: torch.tanh(x @ weight), x)
    assert frame["metric"].tolist() == list(MEASURES)
    assert frame["chance"].notna().all()
    assert set(frame["ci_kind"]) == {""}
    found = frame.set_index("metric")
    assert found.loc["mutual_knn", "chance"] == pytest.approx(10 / 59)
    # Of codes with 4 and 6 dimensions, whatever the precision of the network.
    assert found.loc["mean_cca", "chance"] == pytest.approx(mean_cca_chance(60, 4, 6))
    assert found.loc["angular", "unit"] == "radian"


def test_the_order_of_the_data_decides_nothing() -> None:
    # Full of ties, and more samples than the topology divergence takes.
    side = torch.arange(5.0)
    x = torch.cartesian_prod(side, side).repeat(2, 1)
    ids = torch.arange(50)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    probe = Similarity(
        measures=("mutual_knn", "topology_divergence"), topology_samples=12, shuffles=1
    )
    values = []
    for rows in (ids, order):
        split = Split(x[rows], None, ids[rows])
        data = Dataset("lattice", split, split)
        context = Context("lattice", 0)
        sides = []
        for model in (lambda x: x, torch.sin):
            subject = Subject(load_model(model, "model"), samples=data.test.x)
            sides.append(Side(subject, probe.prepare(subject, data, context)))
        values.append([r.value for r in probe.measure(*sides, data, context)])
    assert values[0] == values[1]


def test_too_few_samples_for_the_dimensions_are_refused() -> None:
    with pytest.raises(InputError, match="n must exceed the dimensions"):
        Similarity(measures=("mean_cca",))(lambda x: x, lambda x: 2 * x, normal(10, 20))
    with pytest.raises(InputError, match="10 neighbours of 10 samples"):
        Similarity(measures=("mutual_knn",))(lambda x: x, lambda x: 2 * x, normal(10, 3))


def test_agrees_with_the_mathematics_and_has_no_interval() -> None:
    x, weight = normal(30, 4), normal(4, 6, seed=1)
    frame = Similarity()(lambda x: x, lambda x: torch.tanh(x @ weight), x)
    row = frame.iloc[0]
    expected = cka(x.double(), torch.tanh(x @ weight).double()).item()
    assert row["value"] == pytest.approx(expected, abs=1e-6)  # float32 models
    assert row["chance"] == 0.0
    assert row["ci_kind"] == ""


def test_constant_codes_are_refused() -> None:
    with pytest.raises(InputError, match="second side are the same for all samples"):
        Similarity()(lambda x: x, torch.zeros_like, normal(10, 3))


def test_sides_of_different_samples_are_refused() -> None:
    data, _ = dataset_from_arrays(normal(8, 3))
    subject = Subject(load_model(lambda x: x, "same"), samples=data.test.x)
    context = Context(data.digest, 0)
    probe = Similarity()
    mine = Side(subject, probe.prepare(subject, data, context))
    shuffled = data.test.take(torch.randperm(8, generator=torch.Generator().manual_seed(0)))
    assert not torch.equal(shuffled.ids, data.test.ids)
    other = Side(subject, {"codes": subject.encode(shuffled.x), "ids": shuffled.ids})
    with pytest.raises(SampleMismatchError, match="same dataset and task seed"):
        list(probe.measure(mine, other, data, context))


def test_ids_of_another_number_are_refused() -> None:
    require_same_ids(torch.tensor([5, 2]), torch.tensor([5, 2]))
    with pytest.raises(SampleMismatchError, match="different anchors"):
        require_same_ids(torch.arange(3), torch.arange(2), "anchors")
