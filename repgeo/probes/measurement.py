"""Running one probe on one subject or pair, and making table values of its readings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from torch import Tensor

from repgeo.datasets.dataset import Dataset
from repgeo.errors import InputError, LayerError, NonFiniteError, RepgeoError, UnsupportedError
from repgeo.identity import canonical_json, derive_seed
from repgeo.probes.context import Context
from repgeo.probes.intervals import Estimate, estimate
from repgeo.probes.probe import Probe, Side
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject

__all__ = ["ALL_LAYERS", "EmptyMeasurementError", "Measured", "Value", "measure", "prepare"]

#: The layer that means: all named layers, in one pass.
ALL_LAYERS = "*"


class EmptyMeasurementError(RepgeoError):
    """A probe that yielded no reading."""


@dataclass(frozen=True)
class Value:
    """One finished number of a cell: a row of the table, without what all its rows share."""

    metric: str
    at: str  # canonical JSON
    estimate: Estimate
    unit: str
    direction: str
    chance: float | None
    layer: str
    layer_b: str


@dataclass(frozen=True)
class Measured:
    """The finished numbers of a cell, and the arrays stored beside it."""

    values: list[Value]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def require(probe: Probe, subject: Subject) -> None:
    """Refuse a model that lacks what the probe requires.

    Raises
    ------
    UnsupportedError
        Naming the capabilities that are missing.
    """
    missing = sorted(name for name in probe.requires if not subject.offers(name))
    if missing:
        raise UnsupportedError(
            f"The probe {probe.name!r} requires {', '.join(missing)}, which the model "
            f"{subject.label!r} does not offer."
        )


def _layer_names(layer: str, subjects: Iterable[Subject]) -> list[str]:
    if layer != ALL_LAYERS:
        return [layer]
    named = [subject.named_layers for subject in subjects]
    shared = [name for name in named[0] if all(name in others for others in named[1:])]
    if not shared:
        raise LayerError("The two models have no named layer in common.")
    return shared


def prepare(
    probe: Probe,
    subject: Subject,
    data: Dataset | None,
    context: Context,
    *,
    sides: Iterable[int] = (0, 1),
) -> dict[str, Tensor]:
    """What a pair probe prepares of one model, at each layer that a pair may ask for.

    The tensors of a layer have the prefix "layer/".

    Parameters
    ----------
    probe, subject, data, context
        As for `measure`.
    sides
        Where the model may stand in a pair: 0 for the first model, 1 for the second.
    """
    require(probe, subject)
    cuts = (probe.cut, probe.other_cut)
    if ALL_LAYERS in cuts:
        names = _layer_names(ALL_LAYERS, [subject])
        if data is not None:
            subject.encode_layers(names, data.test.x)
    else:
        names = list(dict.fromkeys(cuts[side] for side in sides))
    prepared: dict[str, Tensor] = {}
    for name in names:
        made = probe.prepare(subject.cut(name), cast("Dataset", data), context)
        prepared |= {f"{name}/{key}": tensor for key, tensor in made.items()}
    return prepared


def measure(
    probe: Probe,
    subjects: Sequence[Subject],
    prepared: Sequence[Mapping[str, Tensor]],
    data: Dataset | None,
    context: Context,
) -> Measured:
    """Run a probe, and compute values and intervals from its readings.

    Parameters
    ----------
    probe
        The probe.
    subjects
        One subject, or the two of an ordered pair.
    prepared
        For pairs, what `prepare` made of each.
    data
        The dataset, None in a task without one (its probes look at weights only).
    context
        Randomness, progress, memory.

    Raises
    ------
    UnsupportedError
        If a model lacks a capability.
    NonFiniteError
        If a reading is NaN.
    EmptyMeasurementError
        If there is no reading at all.
    """
    for subject in subjects:
        require(probe, subject)
    values: list[Value] = []
    arrays: dict[str, np.ndarray] = {}
    for reading, layers in _readings(probe, subjects, prepared, data, context):
        value = _finish(probe, reading, layers, data, context)
        key = (value.metric, value.at, value.layer, value.layer_b)
        if any(key == (v.metric, v.at, v.layer, v.layer_b) for v in values):
            raise InputError(
                f"The probe {probe.name!r} yields {value.metric!r} twice with at={value.at}."
            )
        arrays |= _arrays(reading, len(values), data)
        values.append(value)
    if not values:
        raise EmptyMeasurementError(f"The probe {probe.name!r} yielded no reading.")
    return Measured(values, arrays)


def _readings(
    probe: Probe,
    subjects: Sequence[Subject],
    prepared: Sequence[Mapping[str, Tensor]],
    data: Dataset | None,
    context: Context,
) -> Iterator[tuple[Reading, tuple[str, str]]]:
    layer, layer_b = probe.cut, probe.other_cut
    if probe.arity == 1:
        names = _layer_names(layer, subjects)
        if layer == ALL_LAYERS and data is not None:
            subjects[0].encode_layers(names, data.test.x)
        for name in names:
            for reading in probe.measure(subjects[0].cut(name), data, context):
                yield reading, (name, "")
        return
    pairs = [(layer, layer_b)]
    if (layer == ALL_LAYERS) != (layer_b == ALL_LAYERS):
        raise LayerError(
            f'layer = {layer!r} and layer_b = {layer_b!r}: "*" pairs layers of one name, so it '
            "stands for both or for neither."
        )
    if layer == ALL_LAYERS:
        pairs = [(name, name) for name in _layer_names(ALL_LAYERS, subjects)]
    for names_of_pair in pairs:
        sides = []
        for subject, tensors, name in zip(subjects, prepared, names_of_pair, strict=True):
            prefix = f"{name}/"
            own = {k[len(prefix) :]: t for k, t in tensors.items() if k.startswith(prefix)}
            sides.append(Side(subject.cut(name), own))
        for reading in probe.measure(*sides, data, context):
            yield reading, names_of_pair


def _finish(
    probe: Probe, reading: Reading, layers: tuple[str, str], data: Dataset | None, context: Context
) -> Value:
    metric = probe.metric(reading.metric)
    at = _coordinates(probe, reading)
    where = f"{probe.name}.{reading.metric}" + (f" at {at}" if at else "")
    found = _estimate(reading, where, data, context, at)
    if math.isnan(found.value):
        raise NonFiniteError(f"The reading {where} is NaN.")
    if not metric.contains(found.value):
        raise InputError(f"The reading {where} is {found.value!r}, outside {metric.range}.")
    chance = metric.chance if reading.chance is None else float(reading.chance)
    layer = reading.layer if reading.layer is not None else layers[0]
    return Value(reading.metric, at, found, metric.unit, metric.direction, chance, layer, layers[1])


def _coordinates(probe: Probe, reading: Reading) -> str:
    if not reading.at:
        return ""
    for key, value in reading.at.items():
        if not isinstance(value, str | int | float) or value != value:
            raise InputError(
                f"The reading {probe.name}.{reading.metric} has at[{key!r}] = {value!r}; allowed: "
                "strings, Python numbers, booleans."
            )
    return canonical_json(dict(reading.at))


def _estimate(
    reading: Reading, where: str, data: Dataset | None, context: Context, at: str
) -> Estimate:
    if (reading.value is None) == (reading.samples is None):
        raise InputError(f"The reading {where} must have either a value or samples.")
    if reading.samples is None:
        return Estimate(float(reading.value))  # type: ignore[arg-type]  # checked above
    samples = as_array(reading.samples).astype(np.float64)
    if np.isnan(samples).any():
        bad = int(np.isnan(samples.reshape(len(samples), -1)).any(axis=1).sum())
        raise NonFiniteError(f"The reading {where} has NaN in {bad} of {len(samples)} samples.")
    ids = _ids(reading, len(samples), data)
    rng = np.random.default_rng(derive_seed("interval", context.cell, reading.metric, at))
    return estimate(samples, reading.statistic, ids=ids, rng=rng)


def _ids(reading: Reading, n: int, data: Dataset | None) -> np.ndarray | None:
    if reading.ids is not None:
        ids = as_array(reading.ids)
        if len(ids) != n:
            raise InputError(f"{n} samples of {reading.metric!r} have {len(ids)} ids.")
        return ids
    # A task without a dataset has no ids.
    return as_array(data.test.ids) if data is not None and n == len(data.test) else None


def _arrays(reading: Reading, position: int, data: Dataset | None) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    if reading.samples is not None:
        samples = as_array(reading.samples)
        found[f"{position}/samples"] = samples
        ids = _ids(reading, len(samples), data)
        if ids is not None:
            found[f"{position}/ids"] = ids
    for name, array in (reading.artifact or {}).items():
        found[f"{position}/artifact/{name}"] = as_array(array)
    return found


def as_array(values: Any) -> np.ndarray:
    """A numpy copy of a tensor or an array."""
    if isinstance(values, Tensor):
        return values.detach().cpu().numpy().copy()
    return np.array(values)
