from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset
from repgeo.errors import DatasetError, InputError, LayerError, NonFiniteError, RepgeoError
from repgeo.probes import Accuracy, Context, Metric, RelativeStitching, Similarity, Subject
from repgeo.probes.probe import Probe
from repgeo.probes.reading import Reading
from repgeo.probes.rows import COLUMNS
from repgeo.probes.standalone import dataset_from_arrays


class NormSpread(Probe):
    """Coefficient of variation of the norms of the codes."""

    name: ClassVar[str] = "norm_spread"
    metrics: ClassVar[Mapping[str, Metric]] = {"cv": Metric(direction="lower")}
    layer: str = "encoder"

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        norms = subject.encode(data.test.x).norm(dim=-1)
        yield Reading("cv", norms.std() / norms.mean())


class Splits(Probe):
    """Says what was given to it, and draws from the shared generator."""

    name: ClassVar[str] = "splits"
    fits: ClassVar[bool] = True
    metrics: ClassVar[Mapping[str, Metric]] = {
        name: Metric() for name in ("train", "test", "both", "drawn", "first")
    }

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        yield Reading("train", len(data.train))
        yield Reading("test", len(data.test))
        yield Reading("both", len(set(data.train.ids.tolist()) & set(data.test.ids.tolist())))
        yield Reading("drawn", torch.rand((), generator=context.shared("points")))
        yield Reading("first", data.test.x.flatten()[0])


class Net(nn.Module):
    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5))
            self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.encoder(x))
        return out


def values(frame: Any) -> dict[str, float]:
    return dict(zip(frame["metric"], frame["value"], strict=True))


X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(40) % 3


def test_one_model_and_inputs() -> None:
    net = Net().train()
    frame = NormSpread()(net, X)
    assert list(frame.columns) == list(COLUMNS)
    row = frame.iloc[0]
    norms = net.eval().encoder(X).norm(dim=1).detach()
    assert row["value"] == pytest.approx(float(norms.std() / norms.mean()), rel=1e-5)
    wanted = {
        "model": "Net",
        "model_b": "",
        "layer": "encoder",
        "layer_b": "",
        "probe": "norm_spread",
        "metric": "cv",
        "direction": "lower",
        "status": "ok",
        "seed": 0,
        "dtype": "float32",
        "params": "",
    }
    assert {name: row[name] for name in wanted} == wanted
    assert frame.attrs["split"] == "nothing is fitted: all of x is the test split"
    assert frame.attrs["params"] == '{"layer":"encoder"}'


def test_dtypes_of_models() -> None:
    assert NormSpread()(Net().double(), X)["dtype"].tolist() == ["float64"]
    assert NormSpread()(torch.tanh, X)["dtype"].tolist() == [""]


def test_labels_are_the_third_argument() -> None:
    right = float((Net().eval()(X).argmax(1) == Y).double().mean())
    assert values(Accuracy()(Net(), X, Y)) == {"accuracy": right}
    with pytest.raises(InputError, match=r"accuracy needs integer class labels y of shape \(n,\)"):
        Accuracy()(Net(), X)
    with pytest.raises(InputError, match="integer class labels"):
        Accuracy()(Net(), X, Y.double())


def test_numpy_arrays_lists_and_mappings_are_inputs() -> None:
    tensor = values(Accuracy()(Net(), X, Y))
    assert values(Accuracy()(Net(), X.numpy(), Y.numpy())) == tensor
    assert values(Accuracy()(Net(), X.tolist(), Y.tolist())) == tensor
    table = pd.DataFrame(X.numpy(), index=range(40, 0, -1))
    assert values(Accuracy()(Net(), table, pd.Series(Y.numpy(), index=table.index))) == tensor
    mapped = Accuracy()(
        lambda x: Net().eval()(x["a"]) + 0 * x["b"], {"a": X, "b": X.numpy()[:, :1]}, Y
    )
    assert values(mapped) == tensor


def test_arrays_that_are_read_only_or_reversed_are_inputs() -> None:
    x = X.numpy().copy()
    x.flags.writeable = False
    wanted = values(NormSpread()(Net(), X))
    assert values(NormSpread()(Net(), x)) == wanted
    assert values(NormSpread()(Net(), x[::-1])) == pytest.approx(wanted, rel=1e-5)
    assert not x.flags.writeable


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        ("text", None, InputError, "Expected a tensor or an array of numbers"),
        (np.array(["a", "b"]), None, InputError, "Expected a tensor or an array of numbers"),
        (None, None, InputError, "Expected a tensor or an array of numbers"),
        ([[1.0], [1.0, 2.0]], None, InputError, "Expected a tensor or an array of numbers"),
        (torch.zeros(0, 4), None, DatasetError, "The dataset is empty"),
        (torch.tensor(1.0), None, DatasetError, "no sample axis"),
        (X, Y[:-1], DatasetError, "'y' has 39 samples, 'x' has 40"),
        (X.index_fill(0, torch.tensor([2]), np.nan), None, DatasetError, "in 1 of 40 samples"),
        ({"a": X, "b": X[:3]}, None, DatasetError, "must have one length"),
        ({}, None, DatasetError, r"must have one length, got \{\}"),
    ],
)
def test_bad_inputs_are_named(x: Any, y: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        NormSpread()(torch.nn.Identity(), x, y)


@pytest.mark.parametrize("arguments", [(), (Net(),), (Net(), X, Y, X)])
def test_a_wrong_number_of_arguments_is_an_error(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(InputError, match=r"norm_spread takes \(model, x\) or \(model, x, y\); got"):
        NormSpread()(*arguments)


@pytest.mark.parametrize("arguments", [(Net(), X), (Net(), Net(), X, Y, X)])
def test_a_pair_probe_takes_two_models(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(InputError, match=r"similarity takes \(model_a, model_b, x\[, y\]\); got"):
        Similarity()(*arguments)


def test_models_in_the_wrong_place_are_named() -> None:
    with pytest.raises(InputError, match=r"A model is an nn\.Module or a callable.* got Tensor"):
        NormSpread()(X, Net())
    with pytest.raises(InputError, match="callable on batches, got Tensor"):
        Similarity()(Net(), X, Y)


# ----------------------------------------------------------------------------------------- pairs


def test_pairs_have_labels_that_tell_them_apart() -> None:
    frame = Similarity()(Net(), Net(1), X)
    assert frame[["model", "model_b"]].iloc[0].tolist() == ["Net#0", "Net#1"]
    one = Net()
    same = Similarity()(one, one, X)
    assert same[["model", "model_b"]].iloc[0].tolist() == ["Net", "Net"]
    assert same["value"].iloc[0] == pytest.approx(1.0)
    mixed = Similarity()(Net(), torch.tanh, X)
    assert mixed[["model", "model_b"]].iloc[0].tolist() == ["Net", "FunctionModel"]


def test_a_model_paired_with_itself_is_encoded_once() -> None:
    passes = []

    def count(x: Tensor) -> Tensor:
        passes.append(1)
        return x

    module = nn.Sequential()
    module.encoder = nn.Identity()
    module.encoder.forward = count  # type: ignore[method-assign]
    Similarity()(module, module, X)
    assert len(passes) == 1


def test_the_models_of_a_pair_may_have_different_layers() -> None:
    class Backbone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = Net().encoder
            self.top = nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.top(self.body(x))
            return out

    frame = Similarity(layer="encoder", layer_b="body")(Net(), Backbone(), X)
    assert frame["value"].iloc[0] == pytest.approx(1.0)
    assert frame[["layer", "layer_b"]].iloc[0].tolist() == ["encoder", "body"]
    with pytest.raises(LayerError, match="Backbone has no layer 'encoder'"):
        Similarity()(Net(), Backbone(), X)


def test_all_named_layers() -> None:
    frame = NormSpread(layer="*")(Net(), X, layers={"wide": "encoder.0", "codes": "encoder"})
    assert frame["layer"].tolist() == ["wide", "codes"]
    assert NormSpread(layer="*")(Net(), X)["layer"].tolist() == ["encoder"]
    pair = Similarity(layer="*")(Net(), Net(1), X, layers={"wide": "encoder.0", "codes": "encoder"})
    assert pair["layer_b"].tolist() == ["wide", "codes"]


def test_a_missing_layer_says_what_to_pass() -> None:
    with pytest.raises(LayerError, match=r"no layer 'encoder'.*Pass NormSpread\(layer=\.\.\.\)"):
        NormSpread()(nn.Linear(4, 2), X)
    with pytest.raises(LayerError, match=r"no layer 'encoder'\. Known: output\.$"):
        NormSpread()(nn.Linear(4, 2), X, layers={})


# ---------------------------------------------------------------------------------------- splits


def test_without_a_train_split_a_probe_that_fits_gets_seventy_per_cent() -> None:
    frame = Splits()(Net(), X, Y, seed=3)
    found = values(frame)
    assert (found["train"], found["test"], found["both"]) == (28, 12, 0)
    assert frame.attrs["split"] == "x split 70/30 by seed 3: fitted on 70 %"
    assert frame["seed"].tolist() == [3] * 5


def test_the_split_is_stratified_and_follows_the_seed() -> None:
    y = torch.tensor([0] * 30 + [1] * 10)
    data, _ = dataset_from_arrays(X, y, fits=True, seed=1)
    assert torch.bincount(data.test.y).tolist() == [9, 3]
    assert torch.bincount(data.train.y).tolist() == [21, 7]
    again, _ = dataset_from_arrays(X, y, fits=True, seed=1)
    other, _ = dataset_from_arrays(X, y, fits=True, seed=2)
    assert torch.equal(data.test.ids, again.test.ids)
    assert not torch.equal(data.test.ids, other.test.ids)
    assert torch.equal(X[data.test.ids], data.test.x)


def test_a_given_train_split_is_fitted_on() -> None:
    for train in ((X[:10], Y[:10]), X[:10], X[:10].numpy()):
        frame = Splits()(Net(), X[10:], Y[10:], train=train)
        assert values(frame)["train"] == 10
        assert values(frame)["test"] == 30
        assert values(frame)["first"] == float(X[10, 0])
        assert frame.attrs["split"] == "train given"


def test_one_sample_cannot_be_split() -> None:
    with pytest.raises(DatasetError, match="At least two samples"):
        Splits()(Net(), X[:1], Y[:1])


def test_what_a_pair_probe_fits_is_fitted_on_train() -> None:
    probe = RelativeStitching(anchors=4, methods=("cosine",))
    far = torch.cat([X, X + 100])
    frame = probe(torch.tanh, torch.tanh, far[40:], Y, train=(far[:40], Y))
    assert frame["n"].tolist() == [40]
    assert probe(torch.tanh, torch.tanh, X, Y)["n"].tolist() == [12]


# ---------------------------------------------------------------------------------- what is kept


def state(net: nn.Module) -> tuple[Any, ...]:
    return (
        {name: part.training for name, part in net.named_modules()},
        {name: p.requires_grad for name, p in net.named_parameters()},
        {name: tensor.clone() for name, tensor in net.state_dict().items()},
        [len(part._forward_hooks) for part in net.modules()],
    )


def assert_same_state(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    assert one[0] == other[0]
    assert one[1] == other[1]
    assert one[3] == other[3]
    assert all(torch.equal(one[2][name], other[2][name]) for name in one[2])


class Failing(NormSpread):
    name: ClassVar[str] = "failing"

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        yield Reading("cv", subject.encode(data.test.x).mean())
        raise RuntimeError("in the middle")


def test_models_are_put_back_as_they_were_also_after_an_error() -> None:
    net = Net().train()
    net.encoder[0].weight.requires_grad_(False)
    net.head.eval()
    before = state(net)
    NormSpread()(net, X)
    assert_same_state(state(net), before)
    Similarity()(net, net, X)
    assert_same_state(state(net), before)
    with pytest.raises(RuntimeError, match="in the middle"):
        Failing()(net, X)
    assert_same_state(state(net), before)
    with pytest.raises(LayerError):
        NormSpread(layer="gone")(net, X)
    assert_same_state(state(net), before)
    with pytest.raises(RepgeoError):
        Similarity()(net, lambda x: x * np.nan, X)
    assert_same_state(state(net), before)


def test_global_generators_and_inputs_are_left_alone() -> None:
    x, y = X.clone(), Y.clone()
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    python_state = random.getstate()
    dtype = torch.get_default_dtype()
    RelativeStitching(anchors=8)(Net(), Net(1), x, y)
    Splits()(Net(), x, y)
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert np.random.get_state()[1].tolist() == numpy_state  # noqa: NPY002
    assert random.getstate() == python_state
    assert torch.get_default_dtype() == dtype
    assert torch.equal(x, X)
    assert torch.equal(y, Y)


def test_the_same_seed_gives_the_same_frame() -> None:
    one, same, other = (values(Splits()(Net(), X, Y, seed=seed)) for seed in (0, 0, 1))
    assert one == same
    assert one["drawn"] != other["drawn"]


def test_errors_are_raised_and_make_no_rows() -> None:
    with pytest.raises(NonFiniteError, match="gives NaN or infinite values"):
        NormSpread()(lambda x: x / 0, X)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        NormSpread()(Net(), X[:, :3])
