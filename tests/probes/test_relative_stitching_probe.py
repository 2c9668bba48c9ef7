from __future__ import annotations

import json
from typing import Any, get_args

import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError, SampleMismatchError
from repgeo.identity import canonical_json
from repgeo.models.loaded import load_model
from repgeo.probes import Context, RelativeStitching, Side, Subject
from repgeo.probes.checking import check_probe
from repgeo.probes.standalone import measure_loaded
from repgeo.probes.stitching_methods import CONTROLS, TRANSLATED, StitchMethod
from repgeo.probes.subject import MemoryCodes
from repgeo.stitching import TRANSLATORS, RelativeProjection, choose_anchors, fit_linear_head

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
    assert report.oracles == 2 * (len(METHODS) - len(CONTROLS) - 1)
    factorial = check_probe(
        RelativeStitching(methods=("cosine",), factorial=True), invariances=False
    )
    assert factorial.passed, factorial.text()
    assert factorial.oracles == 2 * 25
    own = check_probe(
        RelativeStitching(methods=("absolute", "affine"), head="own"), invariances=False
    )
    assert own.passed, own.text()
    assert own.oracles == 4


def test_variants_are_all_methods_once() -> None:
    methods = [
        method
        for probe in RelativeStitching.variants()
        if probe.head == "linear"
        for method in probe.methods
    ]
    assert sorted(methods) == sorted(set(METHODS) - {*CONTROLS, "trained"})
    assert len(list(RelativeStitching.variants())) >= 10


@pytest.mark.parametrize("method", ["robust", "whitened", "orthogonal"])
def test_a_wrong_declaration_is_found(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"robust": "orthogonal", "whitened": "orthogonal", "orthogonal": "diagonal"}[method]
    ridge = 1.0 if method == "whitened" else 0.0
    probe = RelativeStitching(
        methods=(method,), anchors=12, penalty=1.0, head="layer_norm", whitening_ridge=ridge
    )
    if method == "whitened":  # with a ridge only similarities are left
        wrong = "diagonal"
    assert f"codes:{wrong}" not in probe.invariances("accuracy")
    monkeypatch.setattr(
        RelativeStitching, "invariances", lambda self, metric: frozenset({f"codes:{wrong}"})
    )
    assert not check_probe(probe).passed


def test_the_declaration_is_what_all_methods_share() -> None:
    always = {"samples:permutation", "labels:relabelling"}
    cosine = {"codes:permutation", "codes:orthogonal", "codes:scaling"}
    robust = {"codes:permutation", "codes:diagonal", "codes:scaling", "codes:translation"}

    def declared(*methods: str) -> set[str]:
        return set(RelativeStitching(methods=methods).invariances("accuracy"))  # type: ignore[arg-type]

    assert declared("cosine") == always | cosine
    assert declared("robust") == always | robust
    assert declared("cosine", "robust") == always | (cosine & robust)
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
    for method in ("cosine", "centered", "affine"):  # float32: at most one sample of 75 may tip
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
    assert list(frame["at"]) == [at(m) for m in ("cosine", "robust", "absolute", "orthogonal")]
    assert set(frame["ci_kind"]) == {"wilson:samples"}
    assert set(frame["n"]) == {75}
    assert frame["chance"].tolist() == pytest.approx([0.2] * 4)


def test_absolute_is_left_out_between_codes_of_different_sizes() -> None:
    data, small, large = blobs(), Net(6, 3, 1), Net(6, 5, 2)
    found = measured(RelativeStitching(anchors=16), data, small, large)
    assert set(found) == {at("cosine"), at("robust"), at("orthogonal")}
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

    methods = tuple(method for method in METHODS if method != "product_learned")
    probe = RelativeStitching(anchors=16, methods=methods)
    # A head that was fitted on constant codes answers the commonest class to everything.
    for encoder in (constant, lambda x: x):
        found = measured(probe, data, encoder, constant)
        assert found == {at(method): 0.6 for method in methods}
    # Nothing can be learned of them.
    with pytest.raises(InputError, match="all codes the same relative coordinates"):
        measured(
            RelativeStitching(methods=("product_learned",), anchors=16), data, constant, constant
        )


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


# ------------------------------------------------------------------------------ heads and controls


class WholeNet(nn.Module):
    """An encoder and a head that answers rightly on the blobs: fitted, then frozen."""

    def __init__(self, data: Dataset, d: int, seed: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(linear(6, d, seed), nn.Tanh())
        with torch.no_grad():
            fitted = fit_linear_head(self.encoder(data.train.x), data.train.y)
        self.head = linear(d, 5, 0)
        with torch.no_grad():
            self.head.weight.copy_(fitted.weight)
            self.head.bias.copy_(fitted.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x))


def accuracy(logits: Tensor, data: Dataset) -> float:
    return (logits.argmax(dim=1) == data.test.y).double().mean().item()


def test_own_heads_read_carried_codes() -> None:
    data = blobs()
    nets = [WholeNet(data, 6, seed) for seed in (1, 2)]
    probe = RelativeStitching(anchors=40, head="own", methods=("absolute", "affine"))
    found = measured(probe, data, *nets)
    generator = Context(data.digest, 0).shared("anchors")
    chosen = choose_anchors(data.train.ids, count=40, generator=generator)
    with torch.no_grad():
        z = nets[0].encoder(data.test.x)
        translator = TRANSLATORS["affine"]().fit(
            *(net.encoder(data.train.x[chosen]) for net in nets)
        )
        expected = {
            at("absolute"): accuracy(nets[1].head(z), data),
            at("affine"): accuracy(nets[1].head(translator.transform(z)), data),
        }
        assert found == pytest.approx(expected, abs=1e-12)
        own = measured(probe, data, nets[0], nets[0])
        assert own[at("absolute")] == pytest.approx(accuracy(nets[0](data.test.x), data))


def test_a_trained_layer_beats_direct_matching_and_repairs_what_no_translator_sees() -> None:
    data = blobs()
    nets = [WholeNet(data, 6, seed) for seed in (1, 2)]
    for head in ("own", "linear", "layer_norm"):
        probe = RelativeStitching(
            anchors=16, head=head, methods=("absolute", "affine", "trained", "random_map")
        )
        found = measured(probe, data, *nets)
        assert found[at("trained")] > 0.85
        assert found[at("trained")] >= found[at("affine")] - 0.05
        assert found[at("trained")] > found[at("random_map")] + 0.2
        # The identity control: nothing to be gained from a layer between a model and itself.
        own = measured(probe, data, nets[0], nets[0])
        assert own[at("trained")] >= own[at("absolute")] - 0.05


def test_controls_fail_where_methods_work() -> None:
    data = blobs()
    net = Net(6, 6, 1)
    probe = RelativeStitching(
        anchors=30, methods=("cosine", "shuffled_anchors", "orthogonal", "random_map")
    )
    found = measured(probe, data, net, net)  # on the diagonal too
    assert found[at("cosine")] > found[at("shuffled_anchors")] + 0.3
    assert found[at("orthogonal")] > found[at("random_map")] + 0.3


def test_layer_norm_heads_do_not_see_the_size_of_a_code() -> None:
    data = blobs()

    def sizes(x: Tensor) -> Tensor:
        return 10.0 ** torch.linspace(-2, 2, len(x))[:, None]

    net = Net(6, 6, 1)
    probe = RelativeStitching(anchors=30, head="layer_norm", methods=("absolute", "cosine"))
    plain = measured(probe, data, net, net)
    scaled = measured(probe, data, lambda x: sizes(x) * net.encoder(x), net)
    assert scaled == plain


def test_standardised_output_undoes_the_scale_that_a_short_descent_sees() -> None:
    data = blobs()
    nets = [Net(6, 16, seed) for seed in (1, 2)]
    probe = RelativeStitching(
        anchors=30, methods=("cosine",), head="adam", head_lr=1e-4, head_epochs=2, factorial=True
    )
    found = measured(probe, data, *nets)
    rows = [json.loads(text) for text in found]
    assert len(rows) == 25
    assert sum(row["method"] == "factorial" for row in rows) == 24
    # The convex head does not see the scale: all outputs of one projection agree but for the
    # penalty, which standardisation moves.
    convex = measured(
        RelativeStitching(anchors=30, methods=("cosine",), factorial=True), data, *nets
    )
    for text, value in convex.items():
        row = json.loads(text)
        if row.get("output_scale") == "root_dimension":
            same = canonical_json({**row, "output_scale": "none"})
            assert value == pytest.approx(convex[same], abs=1 / 75 + 1e-12)
    assert found.keys() == convex.keys()


def test_statistics_of_the_train_split_are_the_encoder_sides_own() -> None:
    data = blobs()
    nets = [Net(6, 5, seed) for seed in (1, 2)]
    found = measured(
        RelativeStitching(anchors=20, methods=("robust",), stats="reference"), data, *nets
    )
    generator = Context(data.digest, 0).shared("anchors")
    chosen = choose_anchors(data.train.ids, count=20, generator=generator)
    relative = []
    for net in nets:
        with torch.no_grad():
            train = net.encoder(data.train.x)
        projection = RelativeProjection.preset("robust", stats="reference")
        relative.append(projection.fit(train[chosen], reference=train))
    with torch.no_grad():
        head = fit_linear_head(relative[1].transform(nets[1].encoder(data.train.x)), data.train.y)
        answers = head.predict(relative[0].transform(nets[0].encoder(data.test.x)))
    expected = (answers == data.test.y).double().mean().item()
    assert found[at("robust")] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("choice", ["farthest", "medoids", "conditioning"])
def test_anchors_chosen_by_position_are_those_of_the_inputs(choice: str) -> None:
    data = blobs()
    made = [
        RelativeStitching(anchors=8, methods=("cosine",), anchor_choice=choice).prepare(
            Subject(load_model(Net(6, d, 1), "net"), samples=data.test.x),
            data,
            Context(data.digest, 0, "cell"),
        )
        for d in (3, 5)
    ]
    assert torch.equal(made[0]["anchor_ids"], made[1]["anchor_ids"])


def test_codes_are_stored_as_the_head_side_sees_them() -> None:
    data = blobs()
    nets = [load_model(Net(6, 4, seed), f"m{seed}") for seed in (1, 2)]
    probe = RelativeStitching(anchors=16, methods=("cosine", "absolute"))
    found = measure_loaded(probe, nets, data, 0, MemoryCodes())
    plane, labels = found.arrays["0/artifact/plane"], found.arrays["0/artifact/labels"]
    assert plane.shape == (75, 2)
    assert labels.tolist() == data.test.y.tolist()
    own = measure_loaded(probe, [nets[1], nets[1]], data, 0, MemoryCodes())
    coordinates = own.arrays["1/artifact/plane"]
    with torch.no_grad():
        codes = nets[1].module.encoder(data.test.x)
    centred = (codes - codes.mean(0)).double()
    spread = torch.linalg.svdvals(centred)[:2]
    assert (coordinates**2).sum(axis=0) == pytest.approx((spread**2).tolist(), rel=1e-4)
    assert abs(coordinates.mean(axis=0)).max() < 1e-5


def test_heads_that_methods_cannot_use_are_refused() -> None:
    with pytest.raises(ValidationError, match="head 'own' reads a model's own codes"):
        RelativeStitching(head="own")
    with pytest.raises(ValidationError, match="name one twice"):
        RelativeStitching(methods=("cosine", "cosine"))
    data = blobs()
    probe = RelativeStitching(anchors=8, head="own", methods=("absolute",), layer="output")
    few = nn.Linear(6, 3)
    with pytest.raises(InputError, match="one number per class"):
        measured(probe, data, few, few)
    for method in TRANSLATED:
        assert RelativeStitching(head="own", methods=(method,)).head == "own"
