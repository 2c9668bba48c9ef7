from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import ConfigurationError, InputError, NonFiniteError
from repgeo.models.loaded import load_model
from repgeo.probes import Context, Metric, Subject
from repgeo.probes.measurement import EmptyMeasurementError, Measured, measure
from repgeo.probes.probe import Probe
from repgeo.probes.reading import Reading

READINGS: list[Callable[[], Iterable[Reading]]] = []


class Scripted(Probe):
    """Yields the readings that a test wants."""

    name: ClassVar[str] = "scripted"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "free": Metric(unit="nats", direction="lower"),
        "share": Metric(direction="higher", range=(0.0, 1.0), chance=0.5),
    }

    def measure(self, *args: Any, **kwargs: Any) -> Iterable[Reading]:
        return READINGS[-1]()


IDS = torch.tensor([3, 3, 5, 5, 8, 9])


def measured(*readings: Reading, cell: str = "cell") -> Measured:
    split = Split(torch.zeros(6, 2), ids=IDS)
    data = Dataset("", split, split)
    subject = Subject(load_model(torch.nn.Identity(), "same"), "output", samples=split.x)
    READINGS.append(lambda: iter(readings))
    try:
        return measure(Scripted(), [subject], [], data, Context(data.digest, 0, cell))
    finally:
        READINGS.pop()


def test_a_value_has_no_interval() -> None:
    for value in (0.25, torch.tensor(0.25), np.float32(0.25), 0):
        (found,) = measured(Reading("share", value)).values
        assert found.estimate.value == float(value)
        assert (found.estimate.ci_kind, found.estimate.n, found.at) == ("", None, "")
        assert (found.direction, found.chance) == ("higher", 0.5)


def test_a_reading_has_either_a_value_or_samples() -> None:
    for reading in (Reading("free"), Reading("free", 1.0, samples=torch.ones(6))):
        with pytest.raises(InputError, match=r"scripted\.free must have either a value or samples"):
            measured(reading)


def test_nan_is_a_failure_and_minus_infinity_is_a_value() -> None:
    with pytest.raises(NonFiniteError, match=r"The reading scripted\.free is NaN"):
        measured(Reading("free", math.nan))
    samples = torch.tensor([1.0, math.nan, 2.0, math.nan])
    with pytest.raises(NonFiniteError, match=r"at \{\"k\":1\} has NaN in 2 of 4 samples"):
        measured(Reading("free", samples=samples, at={"k": 1}))
    (found,) = measured(Reading("free", -math.inf)).values
    assert found.estimate.value == -math.inf


@pytest.mark.parametrize("value", [-0.01, 1.01, math.inf])
def test_a_value_outside_the_range_is_a_failure(value: float) -> None:
    with pytest.raises(InputError, match=r"scripted\.share is .*, outside \(0\.0, 1\.0\)"):
        measured(Reading("share", value))


def test_an_undeclared_metric_is_a_failure() -> None:
    with pytest.raises(ConfigurationError, match=r"yields 'shar', .*Did you mean 'share'"):
        measured(Reading("shar", 0.5))


def test_two_readings_of_one_metric_differ_in_at_or_layer() -> None:
    found = measured(
        Reading("free", 1.0),
        Reading("free", 2.0, at={"epoch": 1}),
        Reading("free", 3.0, at={"epoch": 2}),
        Reading("free", 4.0, layer="block1"),
    )
    assert [value.at for value in found.values] == ["", '{"epoch":1}', '{"epoch":2}', ""]
    assert [value.layer for value in found.values] == ["output", "output", "output", "block1"]
    with pytest.raises(InputError, match=r"yields 'free' twice with at=\{\"a\":1,\"b\":2\}"):
        measured(
            Reading("free", 1.0, at={"a": 1, "b": 2}), Reading("free", 1.0, at={"b": 2, "a": 1})
        )


@pytest.mark.parametrize("value", [torch.tensor(1), np.int64(3), [1], None, math.nan])
def test_coordinates_are_plain_values(value: Any) -> None:
    with pytest.raises(InputError, match=r"scripted\.free has at\['epoch'\] = .*allowed: strings"):
        measured(Reading("free", 1.0, at={"epoch": value}))


def test_no_reading_is_a_failure() -> None:
    with pytest.raises(EmptyMeasurementError, match="'scripted' yielded no reading"):
        measured()


def test_samples_use_the_ids_of_the_test_split_where_the_lengths_agree() -> None:
    six = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    (found,) = measured(Reading("free", samples=six)).values
    assert (found.estimate.ci_kind, found.estimate.n) == ("t:clusters", 6)
    (found,) = measured(Reading("free", samples=six, ids=torch.arange(6))).values
    assert found.estimate.ci_kind == "t:samples"
    (found,) = measured(Reading("free", samples=six[:5])).values
    assert (found.estimate.ci_kind, found.estimate.n) == ("t:samples", 5)


def test_ids_of_another_length_are_refused() -> None:
    with pytest.raises(InputError, match="6 samples of 'free' have 5 ids"):
        measured(Reading("free", samples=torch.ones(6), ids=torch.arange(5)))


@pytest.mark.parametrize(
    ("statistic", "samples", "value", "kind"),
    [
        ("mean", [1.0, 2.0, 6.0], 3.0, "t:samples"),
        ("median", [1.0, 2.0, 6.0, 7.0, 8.0, 9.0, 9.0], 7.0, "order:samples"),
        ("proportion", [True, False, True, True], 0.75, "wilson:samples"),
        (lambda rows: float(rows[:, 0].sum() / rows[:, 1].sum()), [[1, 2], [3, 6]], 0.5, "boot"),
    ],
)
def test_statistics(statistic: Any, samples: Any, value: float, kind: str) -> None:
    for given in (torch.tensor(samples), np.array(samples)):
        reading = Reading("free", samples=given, statistic=statistic, ids=torch.arange(len(given)))
        (found,) = measured(reading).values
        assert found.estimate.value == value
        assert found.estimate.ci_kind.startswith(kind)


def test_a_bootstrap_depends_on_the_cell_the_metric_and_the_coordinates() -> None:
    samples = np.random.default_rng(0).normal(size=30)

    def low(cell: str = "cell", **at: int) -> float | None:
        reading = Reading("free", samples=samples, statistic=lambda s: float(s.mean()), at=at)
        return measured(reading, cell=cell).values[0].estimate.ci_low

    assert low() == low()
    assert len({low(), low("other cell"), low(k=1), low(k=2)}) == 4


def test_a_reading_may_have_its_own_chance_level() -> None:
    given = torch.tensor(0.1, dtype=torch.float64)
    found = measured(Reading("share", 0.5, chance=given), Reading("free", 0.5)).values  # type: ignore[arg-type]
    assert [value.chance for value in found] == [0.1, None]


def test_samples_ids_and_artifacts_are_stored_by_the_number_of_the_reading() -> None:
    samples = torch.arange(6.0, requires_grad=True)
    arrays = measured(
        Reading("share", 0.5, artifact={"matrix": torch.eye(2), "names": np.array(["a", "b"])}),
        Reading("free", samples=samples),
        Reading("free", samples=np.ones(4), at={"k": 1}),
    ).arrays
    assert sorted(arrays) == [
        "0/artifact/matrix",
        "0/artifact/names",
        "1/ids",
        "1/samples",
        "2/samples",
    ]
    assert arrays["1/ids"].tolist() == IDS.tolist()
    assert arrays["1/samples"].tolist() == [0, 1, 2, 3, 4, 5]
    assert arrays["0/artifact/matrix"].tolist() == [[1, 0], [0, 1]]
    assert all(isinstance(array, np.ndarray) for array in arrays.values())


def test_stored_arrays_are_copies() -> None:
    matrix = torch.zeros(2)
    arrays = measured(Reading("free", 1.0, artifact={"m": matrix})).arrays
    matrix += 1
    assert arrays["0/artifact/m"].tolist() == [0.0, 0.0]


def test_a_reading_is_frozen() -> None:
    with pytest.raises(AttributeError, match="cannot assign"):
        Reading("free", 1.0).value = 2.0  # type: ignore[misc]
    with pytest.raises(TypeError, match="positional"):
        Reading("free", 1.0, torch.ones(2))  # type: ignore[misc]
