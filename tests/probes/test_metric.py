from __future__ import annotations

import dataclasses
import math

import pytest

from repgeo.errors import ConfigurationError
from repgeo.probes import Metric
from repgeo.probes.metric import GROUPS


def test_defaults_promise_nothing() -> None:
    metric = Metric()
    assert (metric.unit, metric.direction, metric.chance) == ("", "none", None)
    assert metric.invariant_to == frozenset()
    assert metric.contains(-math.inf)
    assert metric.contains(math.inf)


@pytest.mark.parametrize("where", GROUPS)
def test_every_group_can_be_declared(where: str) -> None:
    declared = {f"{where}:{group}" for group in GROUPS[where]}
    assert Metric(invariant_to=declared).invariant_to == declared


@pytest.mark.parametrize(
    "declaration", ["codes:rotation", "codes", "code:permutation", "labels:permutation", ":", ""]
)
def test_unknown_invariances_are_refused(declaration: str) -> None:
    with pytest.raises(ConfigurationError, match="Unknown invariance"):
        Metric(invariant_to={declaration})


def test_the_nearest_invariance_is_named() -> None:
    with pytest.raises(ConfigurationError, match="'samples:permutation'"):
        Metric(invariant_to={"sample:permutation"})


@pytest.mark.parametrize("interval", [(1.0, 0.0), (1.0, 1.0), (math.nan, 1.0), (0.0, math.nan)])
def test_a_range_is_an_interval(interval: tuple[float, float]) -> None:
    with pytest.raises(ConfigurationError, match="range must be an interval"):
        Metric(range=interval)


@pytest.mark.parametrize("unit", ["nats per unit", "a,b", "m\n"])
def test_a_unit_is_one_word(unit: str) -> None:
    with pytest.raises(ConfigurationError, match="A unit is one word"):
        Metric(unit=unit)


def test_values_outside_the_range_are_told_from_rounding() -> None:
    metric = Metric(range=(0.0, 1.0))
    assert all(metric.contains(value) for value in (0.0, 1.0, 1.0 + 1e-12, -1e-12))
    assert not any(metric.contains(value) for value in (1.001, -1e-3, math.inf, -math.inf))
    assert not metric.contains(math.nan)
    assert Metric(range=(0.0, math.inf)).contains(math.inf)
    large = Metric(range=(0.0, 1e12))
    assert large.contains(1e12 * (1 + 1e-12))
    assert not large.contains(1e12 * (1 + 1e-6))


def test_it_is_frozen() -> None:
    groups = {"codes:scaling"}
    metric = Metric(invariant_to=groups)
    groups.add("codes:affine")
    assert metric.invariant_to == {"codes:scaling"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        metric.unit = "nats"  # type: ignore[misc]
