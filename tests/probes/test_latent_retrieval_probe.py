from __future__ import annotations

import pytest
import torch
from torch import Tensor

from repgeo.errors import InputError, SampleMismatchError
from repgeo.models.loaded import load_model
from repgeo.probes import Context, LatentRetrieval, Side, Subject
from repgeo.probes.checking import check_probe
from repgeo.probes.standalone import dataset_from_arrays
from repgeo.stitching import RelativeProjection, choose_anchors, retrieve


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def same(x: Tensor) -> Tensor:
    return x


def test_oracles_hold_for_all_methods() -> None:
    report = check_probe(
        LatentRetrieval(methods=("cosine", "centered", "robust", "whitened", "absolute")),
        invariances=False,
    )
    assert report.passed, report.text()
    assert report.oracles == 39


@pytest.mark.slow
@pytest.mark.parametrize(
    ("methods", "group"),
    [(("cosine",), "orthogonal"), (("robust",), "diagonal"), (("whitened",), "affine")],
)
def test_relative_coordinates_do_not_see_their_groups(methods: tuple, group: str) -> None:
    probe = LatentRetrieval(methods=methods, k=(3,))
    assert f"codes:{group}" in probe.invariances("precision")
    report = check_probe(probe)
    assert report.passed, report.text()


def test_absolute_coordinates_see_every_group() -> None:
    assert LatentRetrieval().invariances("precision") == {"samples:permutation"}


def test_rows_by_method_and_k() -> None:
    x = normal(80, 5)
    train = (normal(70, 5, seed=1), torch.arange(70) % 3)
    turn = torch.linalg.qr(normal(5, 5, seed=2))[0]
    probe = LatentRetrieval(methods=("cosine", "absolute"), k=(1, 7), anchors=12)

    def turned(x: Tensor) -> Tensor:
        return 3 * torch.tanh(x) @ turn

    frame = probe(same, turned, x, torch.arange(80) % 3, train=train)
    assert len(frame) == 2 * (2 * 2 + 2)
    assert sorted(frame[frame["metric"] == "cosine"]["at"]) == [
        '{"method":"absolute"}',
        '{"method":"cosine"}',
    ]
    data, _ = dataset_from_arrays(x, torch.arange(80) % 3, train=train)
    chosen = choose_anchors(
        data.train.ids, count=12, generator=Context(data.digest, 0).shared("anchors")
    )
    relative = [
        RelativeProjection("cosine").fit(model(data.train.x[chosen])).transform(model(x))
        for model in (same, turned)
    ]
    expected = retrieve(*relative, k=7)
    found = frame.set_index(["metric", "at"])["value"]
    at = '{"k":7,"method":"cosine"}'
    assert found["precision", at] == pytest.approx(expected.hit.mean().item(), abs=1e-9)
    assert found["jaccard", at] == pytest.approx(expected.jaccard.mean().item(), abs=1e-9)
    ranks = found["reciprocal_rank", '{"method":"cosine"}']
    assert ranks == pytest.approx(expected.reciprocal_rank.mean().item(), abs=1e-9)
    assert set(frame["ci_kind"]) == {"t:samples"}
    chances = frame.set_index(["metric", "at"])["chance"]
    assert chances["precision", at] == 7 / 80


def test_chance_levels_of_unrelated_models() -> None:
    x = normal(400, 6)
    probe = LatentRetrieval(methods=("cosine", "absolute"), k=(10,), truncate=True, anchors=20)
    weight = normal(6, 6, seed=5)

    def unrelated(x: Tensor) -> Tensor:
        return torch.sin(1e4 * x @ weight) + 0.3

    frame = probe(same, unrelated, x, torch.arange(400) % 2)
    rank = frame[frame["metric"] == "reciprocal_rank"]
    assert set(rank["at"]) == {'{"k":10,"method":"cosine"}', '{"k":10,"method":"absolute"}'}
    for row in frame.itertuples():
        assert row.value == pytest.approx(row.chance, abs=0.06)


def test_codes_of_other_sizes() -> None:
    x = normal(40, 4)

    def narrow(x: Tensor) -> Tensor:
        return x[:, :3]

    frame = LatentRetrieval(methods=("cosine", "absolute"), k=(1,), anchors=8)(same, narrow, x)
    assert frame["at"].str.contains("absolute").sum() == 0
    with pytest.raises(InputError, match="no coordinates in common"):
        LatentRetrieval(methods=("absolute",), k=(1,), anchors=8)(same, narrow, x)


def test_other_samples_or_anchors_are_refused() -> None:
    data, _ = dataset_from_arrays(normal(20, 3))
    subject = Subject(load_model(same, "same"), samples=data.test.x)
    context = Context(data.digest, 0)
    probe = LatentRetrieval(methods=("absolute",), k=(1,), anchors=4)
    prepared = probe.prepare(subject, data, context)
    for name, message in (("ids", "different samples"), ("anchor_ids", "different anchors")):
        changed = {**prepared, name: prepared[name].flip(0)}
        with pytest.raises(SampleMismatchError, match=message):
            list(probe.measure(Side(subject, prepared), Side(subject, changed), data, context))


def test_more_neighbours_than_samples_are_refused() -> None:
    with pytest.raises(InputError, match="k must be from 1 to"):
        LatentRetrieval(methods=("absolute",), k=(50,), anchors=4)(same, same, normal(20, 3))
