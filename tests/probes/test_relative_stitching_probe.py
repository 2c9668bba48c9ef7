from __future__ import annotations

from typing import Any, get_args

import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError, SampleMismatchError
from repgeo.models.loaded import load_model
from repgeo.probes import Context, RelativeStitching, Side, Subject
from repgeo.probes.checking import check_probe
from repgeo.probes.relative_stitching import StitchMethod
from repgeo.probes.standalone import measure_loaded
from repgeo.probes.subject import MemoryCodes
from repgeo.stitching import RelativeProjection, choose_anchors, fit_linear_head

METHODS = get_args(StitchMethod)


def blobs(n: int = 150, d: int = 6, classes: int = 5, seed: int = 0) -> Dataset:
    generator = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(classes, d, generator=generator)

    def split(n: int, first: int) -> Split:
        y = torch.arange(n) % classes
        return Split(
            centres[y] + torch.randn(n, d, generator=generator), y, torch.arange(n) + first
        )

    return Dataset("blobs", split(n, 0), split(n // 2, 1000))


def linear(d1: int, d2: int, seed: int) -> nn.Linear:
    layer = nn.Linear(d1, d2)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        layer.weight.copy_(torch.randn(d2, d1, generator=generator) / d1**0.5)
        layer.bias.copy_(torch.randn(d2, generator=generator))
    return layer


class Net(nn.Module):
    def __init__(self, d1: int, d2: int, seed: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(linear(d1, d2, seed), nn.Tanh())
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.encoder(x)


def measured(probe: RelativeStitching, data: Dataset, *models: Any) -> dict[str, float]:
    loaded = [load_model(model, f"m{i}") for i, model in enumerate(models)]
    found = measure_loaded(probe, loaded, data, 0, MemoryCodes())
    return {value.at: value.estimate.value for value in found.values}


def at(method: str) -> str:
    return f'{{"method":"{method}"}}'


def test_all_oracles_hold() -> None:
    report = check_probe(RelativeStitching(methods=METHODS), invariances=False)
    assert report.passed, report.text()
    assert report.oracles == 2 * len(METHODS)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_declared_invariances_of_each_method(method: str) -> None:
    report = check_probe(RelativeStitching(methods=(method,), anchors=12, penalty=0.1))
    assert report.passed, report.text()
    assert report.invariances >= 10


def test_the_declaration_is_what_all_methods_share() -> None:
    always = {"samples:permutation", "labels:relabelling"}
    cosine = {"codes:permutation", "codes:orthogonal", "codes:scaling"}
    normalised = {"codes:permutation", "codes:diagonal", "codes:scaling", "codes:translation"}

    def declared(*methods: str) -> set[str]:
        return set(RelativeStitching(methods=methods).invariances("accuracy"))  # type: ignore[arg-type]

    assert declared("cosine") == always | cosine
    assert declared("normalised") == always | normalised
    assert declared("cosine", "normalised") == always | (cosine & normalised)
    assert declared("cosine", "absolute") == always


def test_agrees_with_the_steps_done_by_hand() -> None:
    data = blobs()
    nets = [Net(6, 4, seed) for seed in (1, 2)]
    found = measured(RelativeStitching(anchors=20), data, *nets)
    generator = Context(data.digest, 0).shared("anchors")
    chosen = choose_anchors(data.train.ids, count=20, generator=generator)
    with torch.no_grad():
        relative = [RelativeProjection("cosine").fit(net(data.train.x[chosen])) for net in nets]
        head = fit_linear_head(relative[1].transform(nets[1](data.train.x)), data.train.y)
        answers = head.predict(relative[0].transform(nets[0](data.test.x)))
    expected = (answers == data.test.y).double().mean().item()
    assert found[at("cosine")] == pytest.approx(expected, abs=1e-12)


def test_a_rotated_twin_is_stitched_without_loss_relatively_and_not_absolutely() -> None:
    data = blobs()
    plain = Net(6, 6, 1)
    turned = Net(6, 6, 1)
    q = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(5)))[0]
    turned.encoder.append(nn.Linear(6, 6, bias=False))
    with torch.no_grad():
        turned.encoder[2].weight.copy_(2 * q)
    probe = RelativeStitching(anchors=30, methods=METHODS)
    own, crossed = measured(probe, data, plain, plain), measured(probe, data, plain, turned)
    for method in ("cosine", "centred", "affine"):  # float32: at most one sample of 75 may tip
        assert abs(crossed[at(method)] - own[at(method)]) <= 1 / 75 + 1e-12
    assert own[at("cosine")] > 0.85
    assert crossed[at("absolute")] < own[at("absolute")] - 0.3


def test_rows_have_wilson_intervals_and_the_majority_as_chance() -> None:
    data = blobs()
    frame: pd.DataFrame = RelativeStitching(anchors=16)(
        Net(6, 4, 1),
        Net(6, 4, 2),
        data.test.x,
        data.test.y,
        train=(data.train.x, data.train.y),
    )
    assert list(frame["at"]) == [at(m) for m in ("cosine", "normalised", "absolute", "orthogonal")]
    assert set(frame["ci_kind"]) == {"wilson:samples"}
    assert set(frame["n"]) == {75}
    assert frame["chance"].tolist() == pytest.approx([0.2] * 4)


def test_absolute_is_left_out_between_codes_of_different_sizes() -> None:
    data, small, large = blobs(), Net(6, 3, 1), Net(6, 5, 2)
    found = measured(RelativeStitching(anchors=16), data, small, large)
    assert set(found) == {at("cosine"), at("normalised"), at("orthogonal")}
    with pytest.raises(InputError, match="Codes of different sizes"):
        measured(RelativeStitching(anchors=16, methods=("absolute",)), data, small, large)


def test_one_preparation_encodes_each_split_once() -> None:
    data, net = blobs(), Net(6, 4, 1)
    subject = Subject(load_model(net, "net"), samples=data.test.x)
    made = RelativeStitching(anchors=16).prepare(subject, data, Context(data.digest, 0))
    assert net.calls == 2
    assert made["cosine.codes"].shape == (75, 16)
    assert made["cosine.weight"].shape == (5, 16)
    assert made["absolute.weight"].shape == (5, 4)
    assert all(isinstance(tensor, Tensor) for tensor in made.values())


def test_anchors_are_the_same_for_all_models_and_methods() -> None:
    data = blobs()
    made = [
        RelativeStitching(anchors=16, methods=methods).prepare(
            Subject(load_model(Net(6, d, 1), "net"), samples=data.test.x),
            data,
            Context(data.digest, 0, cell),
        )
        for d, methods, cell in ((3, ("cosine",), "one"), (5, ("absolute",), "two"))
    ]
    assert torch.equal(made[0]["anchor_ids"], made[1]["anchor_ids"])


def test_sides_with_other_anchors_are_refused() -> None:
    data, probe = blobs(), RelativeStitching(anchors=16)
    subject = Subject(load_model(Net(6, 4, 1), "net"), samples=data.test.x)
    sides = [
        Side(subject, probe.prepare(subject, data, Context(data.digest, seed))) for seed in (0, 1)
    ]
    with pytest.raises(SampleMismatchError, match="different anchors"):
        list(probe.measure(*sides, data, Context(data.digest, 0)))


def test_classes_that_training_never_saw_are_wrong_answers() -> None:
    data = blobs()
    known = data.train.take((data.train.y != 4).nonzero()[:, 0])
    found = measured(
        RelativeStitching(anchors=16),
        Dataset("blobs", known, data.test),
        Net(6, 4, 1),
        Net(6, 4, 1),
    )
    assert 0.0 < found[at("cosine")] <= 0.8


def test_constant_codes_are_stitched_at_chance() -> None:
    y = torch.tensor([0] * 30 + [1] * 20)
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    data = Dataset("", Split(x, y), Split(x, y))

    def constant(x: Tensor) -> Tensor:
        return torch.full((len(x), 4), 0.1)

    probe = RelativeStitching(anchors=16, methods=METHODS)
    # A head that was fitted on constant codes answers the commonest class to everything.
    for encoder in (constant, lambda x: x):
        found = measured(probe, data, encoder, constant)
        assert found == {at(method): 0.6 for method in METHODS}


def test_bad_input() -> None:
    data, net = blobs(), Net(6, 4, 1)
    with pytest.raises(InputError, match="Ask for fewer anchors"):
        measured(RelativeStitching(anchors=200), data, net, net)
    with pytest.raises(InputError, match="needs integer class labels"):
        RelativeStitching(anchors=8)(net, net, data.test.x)
    unlabelled = Dataset("", Split(data.train.x), data.test)
    with pytest.raises(InputError, match="fits heads on the train split"):
        measured(RelativeStitching(anchors=8), unlabelled, net, net)
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        RelativeStitching(anchors=1)
    with pytest.raises(ValidationError, match="greater than 0"):
        RelativeStitching(penalty=0.0)
    with pytest.raises(ValidationError, match="at least 1"):
        RelativeStitching(methods=())
    assert RelativeStitching(methods=["cosine"]).methods == ("cosine",)  # type: ignore[arg-type]
