from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from repgeo import evaluate
from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import LayerError, UnsupportedError
from repgeo.models.loaded import LoadedModel, load_model
from repgeo.probes import Context, Metric, Subject
from repgeo.probes.measurement import measure, prepare
from repgeo.probes.probe import Probe, Side
from repgeo.probes.reading import Reading


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = (nn.Linear(3, 3) for _ in range(3))
        self.passes = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        out: Tensor = self.last(self.second(self.first(x)))
        return out


class Norm(Probe):
    name: ClassVar[str] = "norm"
    metrics: ClassVar[Mapping[str, Metric]] = {"norm": Metric()}
    layer: str = "first"

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        yield Reading("norm", subject.encode(data.test.x).norm())


CALLS: Counter[tuple[str, str]] = Counter()


class Gap(Probe):
    """Difference of the norms of the codes of a pair."""

    name: ClassVar[str] = "gap"
    arity: ClassVar[int] = 2
    metrics: ClassVar[Mapping[str, Metric]] = {"gap": Metric()}
    layer: str = "first"
    layer_b: str | None = None

    def prepare(self, subject: Subject, data: Dataset, context: Context) -> dict[str, Tensor]:
        CALLS[subject.label, subject.layer] += 1
        return {"norm": subject.encode(data.test.x).norm(), "of/part": torch.zeros(1)}

    def measure(
        self, mine: Side, other: Side, data: Dataset, context: Context
    ) -> Iterable[Reading]:
        assert set(mine.prepared) == {"norm", "of/part"}
        yield Reading("gap", mine.prepared["norm"] - other.prepared["norm"])


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


X = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
DATA = Dataset("", Split(X), Split(X))
CONTEXT = Context(DATA.digest, 0)


def net(seed: int = 0) -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Net()


def model(label: str, seed: int = 0, layers: Mapping[str, str] | None = None) -> LoadedModel:
    return load_model(net(seed), label, layers)


def subject(loaded: LoadedModel, layer: str = "first") -> Subject:
    return Subject(loaded, layer, samples=X)


def codes_norm(loaded: LoadedModel, layer: str) -> float:
    return float(subject(loaded, layer).encode(X).norm())


NAMED = {"early": "first", "late": "second"}


def test_all_named_layers_take_one_pass() -> None:
    loaded = model("a", layers=NAMED)
    one = subject(loaded, "early")
    found = measure(Norm(layer="*"), [one], [], DATA, CONTEXT).values
    assert loaded.module.passes == 1
    assert [(value.layer, value.layer_b) for value in found] == [("early", ""), ("late", "")]
    wanted = [codes_norm(loaded, layer) for layer in ("first", "second")]
    assert [value.estimate.value for value in found] == pytest.approx(wanted)


def test_a_reading_may_name_its_own_layer() -> None:
    class Everywhere(Norm):
        name: ClassVar[str] = "everywhere"

        def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
            for layer in ("first", "second"):
                yield Reading("norm", subject.cut(layer).encode(data.test.x).norm(), layer=layer)

    found = measure(Everywhere(), [subject(model("a"))], [], DATA, CONTEXT).values
    assert [value.layer for value in found] == ["first", "second"]


def both(probe: Probe, *models: LoadedModel) -> Any:
    subjects = [subject(loaded) for loaded in models]
    prepared = [prepare(probe, one, DATA, CONTEXT) for one in subjects]
    return measure(probe, subjects, prepared, DATA, CONTEXT)


def test_the_second_model_may_be_cut_elsewhere() -> None:
    a, b = model("a"), model("b", seed=1)
    (found,) = both(Gap(layer="first", layer_b="second"), a, b).values
    assert (found.layer, found.layer_b) == ("first", "second")
    wanted = codes_norm(a, "first") - codes_norm(b, "second")
    assert found.estimate.value == pytest.approx(wanted, abs=1e-6)
    assert set(CALLS) == {("a", "first"), ("a", "second"), ("b", "first"), ("b", "second")}


def test_the_layer_of_the_second_model_is_that_of_the_first_by_default() -> None:
    a, b = model("a"), model("b", seed=1)
    (found,) = both(Gap(), a, b).values
    assert (found.layer, found.layer_b) == ("first", "first")
    assert set(CALLS.values()) == {1}


def test_pairs_at_all_layers_compare_each_with_the_one_of_the_same_name() -> None:
    a = model("a", layers=NAMED)
    b = model("b", seed=1, layers={"late": "last", "own": "first", "early": "second"})
    found = both(Gap(layer="*"), a, b).values
    assert [(v.layer, v.layer_b) for v in found] == [("early", "early"), ("late", "late")]
    wanted = [
        codes_norm(a, "first") - codes_norm(b, "second"),
        codes_norm(a, "second") - codes_norm(b, "last"),
    ]
    assert [value.estimate.value for value in found] == pytest.approx(wanted, abs=1e-6)
    assert CALLS["a", "early"] == CALLS["a", "late"] == 1


def test_models_without_a_common_layer_cannot_be_compared_at_all_layers() -> None:
    with pytest.raises(LayerError, match="no named layer in common"):
        both(Gap(layer="*"), model("a", layers={"u": "first"}), model("b", layers={"v": "first"}))


def test_a_side_is_prepared_only_where_the_pair_needs_it() -> None:
    prepare(Gap(layer="first", layer_b="second"), subject(model("a")), DATA, CONTEXT, sides=[1])
    assert CALLS == {("a", "second"): 1}


def test_a_missing_capability_is_named() -> None:
    class Decoded(Norm):
        name: ClassVar[str] = "decoded"
        requires: ClassVar[frozenset[str]] = frozenset({"decode", "encode", "act"})

    with pytest.raises(
        UnsupportedError, match="'decoded' requires act, decode, which the model 'a'"
    ):
        measure(Decoded(), [subject(model("a"))], [], DATA, CONTEXT)


def test_the_second_model_needs_the_capability_too() -> None:
    class Decoding(Gap):
        name: ClassVar[str] = "decoding"
        requires: ClassVar[frozenset[str]] = frozenset({"decode"})

    offers = model("a")
    offers.module.decode = lambda z: z
    with pytest.raises(UnsupportedError, match="the model 'b' does not offer"):
        measure(Decoding(), [subject(offers), subject(model("b"))], [{}, {}], DATA, CONTEXT)


def test_evaluating_pairs_prepares_each_model_once() -> None:
    models = {name: net(seed) for seed, name in enumerate("abc")}
    frame = evaluate(models, Gap(), X, seeds=(0, 1))
    assert len(frame) == 2 * 9
    assert dict(CALLS) == {(name, "first"): 2 for name in "abc"}  # once for each seed
    # The codes of all pairs of a seed come from one pass.
    assert [module.passes for module in models.values()] == [2, 2, 2]
    diagonal = frame[frame["model"] == frame["model_b"]]["value"]
    assert (diagonal == 0).all()


def test_evaluating_several_probes_encodes_once() -> None:
    module = net()
    evaluate({"a": module}, [Norm(), Gap()], X)
    assert module.passes == 1


def test_all_layers_stand_for_both_sides_or_for_neither():
    from repgeo.errors import LayerError
    from repgeo.probes import Similarity

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    x = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    with pytest.raises(LayerError, match="for both or for neither"):
        Similarity(layer="*", layer_b="0")(model, model, x, layers={"first": "0"})
