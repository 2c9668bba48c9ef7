from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import pytest
import torch
from pydantic import Field, ValidationError

from repgeo.errors import ConfigurationError
from repgeo.probes import Metric, PullbackVolume, RelativeStitching, Similarity
from repgeo.probes.probe import Probe
from repgeo.probes.reading import Reading


class Spread(Probe):
    """A probe with parameters of many kinds."""

    name: ClassVar[str] = "spread"
    metrics: ClassVar[Mapping[str, Metric]] = {"cv": Metric(invariant_to={"codes:scaling"})}

    layer: str = "encoder"
    count: int = Field(default=8, ge=1)
    scale: float = 1.0
    kind: Literal["plain", "robust"] = "plain"
    powers: Annotated[tuple[int, ...], Field(strict=False)] = (1, 2)
    centre: bool = False

    def measure(self, *args: Any, **kwargs: Any) -> Iterable[Reading]:
        yield Reading("cv", 1.0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"size": 3}, "Extra inputs are not permitted"),
        ({"count": "8"}, "valid integer"),
        ({"count": 8.0}, "valid integer"),
        ({"count": 0}, "greater than or equal to 1"),
        ({"scale": "1"}, "valid number"),
        ({"kind": "other"}, "'plain' or 'robust'"),
        ({"layer": 3}, "valid string"),
        ({"centre": 1}, "valid boolean"),
        ({"powers": [1, "x"]}, "valid integer"),
        ({"name": "mine"}, "Extra inputs are not permitted"),
        ({"metrics": {}}, "Extra inputs are not permitted"),
    ],
)
def test_parameters_are_strict(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Spread(**parameters)


def test_a_probe_is_frozen_and_hashable_by_its_parameters() -> None:
    probe = Spread(count=3)
    with pytest.raises(ValidationError, match="frozen"):
        probe.count = 4  # type: ignore[misc]
    assert probe == Spread(count=3)
    assert probe != Spread()
    assert len({probe, Spread(count=3), Spread()}) == 2


def test_parameters_are_json_and_lead_back_to_the_same_probe() -> None:
    probe = Spread(count=3, powers=[4, 5], scale=2)
    assert probe.parameters() == {
        "layer": "encoder",
        "count": 3,
        "scale": 2.0,
        "kind": "plain",
        "powers": [4, 5],
        "centre": False,
    }
    assert Spread(**json.loads(json.dumps(probe.parameters()))) == probe


def test_class_variables_are_not_parameters() -> None:
    assert not {"name", "version", "arity", "requires", "fits", "metrics"} & set(
        Spread().parameters()
    )


def test_the_layers_of_a_probe() -> None:
    class Outputs(Spread):
        name: ClassVar[str] = "outputs"

    class NoLayer(Probe):
        name: ClassVar[str] = "no_layer"
        metrics: ClassVar[Mapping[str, Metric]] = {"m": Metric()}

    assert Spread(layer="net.3").cut == "net.3"
    assert NoLayer().cut == "output"
    assert (Similarity().cut, Similarity().other_cut) == ("encoder", "encoder")
    pair = Similarity(layer="a", layer_b="b")
    assert (pair.cut, pair.other_cut) == ("a", "b")


def test_a_probe_without_a_name_is_refused_when_its_class_is_made() -> None:
    with pytest.raises(ConfigurationError, match="Nameless needs a name"):

        class Nameless(Probe):
            metrics: ClassVar[Mapping[str, Metric]] = {"m": Metric()}

    with pytest.raises(ConfigurationError, match="Blank needs a name"):

        class Blank(Probe):
            name: ClassVar[str] = ""
            metrics: ClassVar[Mapping[str, Metric]] = {"m": Metric()}


@pytest.mark.parametrize("given", [{}, ["m"], None])
def test_a_probe_without_metrics_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="needs `metrics`, a dict name -> Metric"):

        class Bare(Probe):
            name: ClassVar[str] = "bare"
            metrics: ClassVar[Any] = given


def test_a_metric_of_another_type_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"metrics\['m'\] must be a Metric, got 'nats'"):

        class Wrong(Probe):
            name: ClassVar[str] = "wrong"
            metrics: ClassVar[Any] = {"m": "nats"}


@pytest.mark.parametrize("given", [0, 3])
def test_arities_are_one_and_two(given: int) -> None:
    with pytest.raises(ConfigurationError, match=f"has arity {given}; allowed: 1, 2"):

        class Many(Probe):
            name: ClassVar[str] = "many"
            arity: ClassVar[int] = given
            metrics: ClassVar[Mapping[str, Metric]] = {"m": Metric()}


def test_an_undeclared_metric_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"'spread' yields 'cw', which .*Known: cv\."):
        Spread().metric("cw")
    assert Spread().metric("cv") is Spread.metrics["cv"]


def test_invariances_follow_the_parameters() -> None:
    assert Spread().invariances("cv") == {"codes:scaling"}
    cosine = RelativeStitching(methods=("cosine",)).invariances("accuracy")
    mixed = RelativeStitching(methods=("cosine", "absolute")).invariances("accuracy")
    assert "codes:orthogonal" in cosine
    assert "codes:orthogonal" not in mixed


def test_a_probe_without_measure_says_so() -> None:
    class Silent(Probe):
        name: ClassVar[str] = "silent"
        metrics: ClassVar[Mapping[str, Metric]] = {"m": Metric()}

    with pytest.raises(NotImplementedError, match=r"Silent does not define measure\(\)"):
        Silent()(torch.nn.Identity(), torch.zeros(2, 3))


def test_subclasses_take_over_what_they_do_not_change() -> None:
    class Deeper(PullbackVolume):
        version: ClassVar[int] = 7

    assert Deeper.name == "pullback_volume"
    assert Deeper(points=3).parameters()["points"] == 3
