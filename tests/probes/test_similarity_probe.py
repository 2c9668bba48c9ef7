from __future__ import annotations

import pytest
import torch
from torch import Tensor

from repgeo.errors import InputError, SampleMismatchError
from repgeo.models.loaded import load_model
from repgeo.probes import Context, Side, Similarity, Subject
from repgeo.probes.checking import check_probe
from repgeo.probes.pairs import require_same_ids
from repgeo.probes.standalone import dataset_from_arrays
from repgeo.stitching import cka


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_oracles_and_invariances_are_executed() -> None:
    report = check_probe(Similarity())
    assert report.passed, report.text()
    assert report.oracles == 2
    assert report.invariances >= 100


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
