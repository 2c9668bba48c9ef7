"""From a task file to the steps of a study: every name, layer and parameter is checked first."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from repgeo import registry
from repgeo.datasets.dataset import Dataset
from repgeo.errors import CheckpointError, ConfigurationError, RepgeoError, nearest
from repgeo.identity import canonical_json, digest, file_digest
from repgeo.models.cutting import resolve_layer
from repgeo.models.loaded import LoadedModel
from repgeo.models.recipe import parse_recipe
from repgeo.parameters import locate_files
from repgeo.probes.measurement import ALL_LAYERS
from repgeo.probes.probe import Probe
from repgeo.probes.rows import WHERE_KEYS, probe_columns
from repgeo.study.making import build_module, factory_called, load_dataset, make_probe
from repgeo.study.plan import Plan
from repgeo.study.steps import DatasetSpec, ModelSpec, ProbeSpec, Step
from repgeo.study.taskfile import (
    DatasetEntry,
    ModelEntry,
    ProbeEntry,
    TaskFile,
    describe,
)
from repgeo.study.wiring import ordered_pairs, sides, wire_steps

__all__ = ["make_plan"]


def make_plan(file: TaskFile, seeds: Sequence[int] | None = None) -> Plan:
    """Resolve a task file into steps; nothing is computed, but data are loaded and nets built.

    Parameters
    ----------
    file
        The task.
    seeds
        Task seeds in place of the file's.

    Raises
    ------
    ConfigurationError
        For an unknown name, key or layer, a wrong type, a label that is not unique: one line with
        file, key and what is allowed.
    """
    task = file.task
    chosen = tuple(seeds) if seeds else task.task.seeds
    probes: list[tuple[ProbeSpec, ProbeEntry]] = []
    for position, probe_entry in enumerate(task.probes):
        with _at(file, f"probes[{position}]"):
            probes += [(spec, probe_entry) for spec in _probe_specs(probe_entry, file.folder)]
    _check_expected(file)
    repeated = _first_repeated([canonical_json([s.reference, s.parameters]) for s, _ in probes])
    if repeated is not None:
        raise ConfigurationError(f"{file.source}: two probes are the same: {repeated}.")
    variants: list[tuple[str, DatasetEntry] | None] = [None]
    if task.dataset is not None:
        variants = list(_expand(task.dataset, task.dataset.name))
    steps: dict[str, Step] = {}
    checked: set[str] = set()
    contents: dict[tuple[str, int], str] = {}
    for variant, seed in itertools.product(variants, chosen):
        data, dataset = None, None
        if variant is not None:
            with _at(file, "dataset"):
                data, dataset = _dataset_spec(variant, seed, file.folder)
                # What is measured on equal data has one identity: it would be in the table once.
                same = contents.setdefault((dataset.digest, seed), dataset.label)
                if same != dataset.label:
                    raise ConfigurationError(
                        f"{same!r} and {dataset.label!r} have the same contents: leave one out."
                    )
        named: list[tuple[int, ModelSpec]] = []
        for position, entry in enumerate(task.models):
            with _at(file, f"models[{position}]"):
                named += [(position, spec) for spec in _model_specs(entry, seed, file.folder)]
        wanted = _wanted_layers(file, probes, [spec for _, spec in named])
        models: list[ModelSpec] = []
        for position, spec in named:
            with _at(file, f"models[{position}] ({spec.label})"):
                models.append(_checked(spec, data, wanted[spec.label], checked))
        repeated = _first_repeated([model.label for model in models])
        if repeated is not None:
            raise ConfigurationError(
                f"{file.source}: two models have the label {repeated!r}. Give one a `label`."
            )
        for step in wire_steps(file, dataset, seed, models, probes):
            steps.setdefault(step.id, step)
    head = task.task
    return Plan(file.name, head.title, tuple(steps.values()), task.expected, chosen, head.notes)


def _check_expected(file: TaskFile) -> None:
    for position, expected in enumerate(file.task.expected):
        for column in expected.where:
            if column not in WHERE_KEYS:
                raise ConfigurationError(
                    f"{file.source}: expected[{position}].where: there is no column {column!r}. "
                    f"{nearest(column, WHERE_KEYS)}"
                )


@contextmanager
def _at(file: TaskFile, key: str) -> Iterator[None]:
    """Say in which file and under which key a fault was found."""
    try:
        yield
    except ConfigurationError as error:
        raise type(error)(f"{file.source}: {key}: {error}") from error.__cause__
    except RepgeoError as error:
        raise ConfigurationError(f"{file.source}: {key}: {error}") from error


def _first_repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


E = TypeVar("E", DatasetEntry, ModelEntry, ProbeEntry)


def _expand(entry: E, label: str) -> Iterator[tuple[str, E]]:
    """The product of an entry's grid: label[key=value,...] and the entry with those values."""
    # Parameters are checked by what they are parameters of; only what is the entry's own, or lies
    # within a table, is set and checked here.
    schema = type(entry).model_fields
    only_parameters = not any("." in key or key in schema for key in entry.grid)
    for values in itertools.product(*entry.grid.values()):
        point = dict(zip(entry.grid, values, strict=True))
        text = ",".join(f"{key}={_short(value)}" for key, value in point.items())
        valid = (
            entry.model_copy(update={**point, "grid": {}})
            if only_parameters
            else _with_values(entry, point)
        )
        yield (f"{label}[{text}]" if text else label), valid


def _with_values(entry: E, point: Mapping[str, Any]) -> E:
    """An entry with values set at dotted keys, validated anew."""
    table = entry.model_dump(exclude={"grid"})
    for key, value in point.items():
        place, _, last = key.rpartition(".")
        target: Any = table
        for part in place.split(".") if place else []:
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise ConfigurationError(f"grid: {key!r} cannot be set, {part!r} is no table.")
        target[last] = value
    try:
        return type(entry).model_validate_json(json.dumps(table))
    except ValidationError as error:
        raise ConfigurationError(f"grid: {describe(error, type(entry))}") from None


def _short(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _dataset_spec(
    variant: tuple[str, DatasetEntry], seed: int, folder: Path
) -> tuple[Dataset, DatasetSpec]:
    label, entry = variant
    found = registry.load("datasets", entry.name, folder=folder)
    parameters, _ = locate_files(found.object, entry.parameters, folder=folder)
    with factory_called(entry.name):
        data = load_dataset(found.reference, parameters, seed)
    spec = DatasetSpec(
        label.replace(entry.name, _plain(entry.name), 1),
        found.reference,
        parameters,
        seed,
        data.digest,
    )
    return data, spec


def _plain(name: str) -> str:
    """The readable part of a name: the attribute of a reference."""
    return name.rpartition(":")[2]


def _model_specs(entry: ModelEntry, task_seed: int, folder: Path) -> Iterator[ModelSpec]:
    label = entry.label or _plain(entry.name)
    found = registry.load("models", entry.name, folder=folder)
    for grid_label, point in _expand(entry, label):
        recipe, objective, fingerprint = None, None, found.fingerprint()
        if point.train is not None:
            parsed, fitted, found_objective = parse_recipe(point.train, folder=folder)
            recipe = {
                **parsed.model_dump(mode="json"),
                "objective_parameters": fitted.model_dump(mode="json"),
                "objective": found_objective.reference,
            }
            objective = found_objective.identity
            fingerprint = digest([fingerprint, found_objective.fingerprint()], length=16)
        weights = _weights_path(point.weights, folder)
        parameters, files = locate_files(found.object, point.parameters, folder=folder)
        base = ModelSpec(
            label=grid_label,
            entry=label,
            reference=found.reference,
            factory=found.identity,
            parameters=parameters,
            files=files,
            seed=task_seed if point.seed is None else point.seed,
            dtype=point.dtype,
            layers=point.layers,
            recipe=recipe,
            objective=objective,
            trains=recipe is not None,
            weights=str(weights) if weights is not None else None,
            weights_digest=file_digest(weights) if weights is not None else None,
            fingerprint=fingerprint,
        )
        if point.replicas is None:
            yield base
        else:
            for number in range(point.replicas):
                yield replace(base, label=f"{grid_label}#{number}", seed=number)


def _weights_path(weights: str | None, folder: Path) -> Path | None:
    if weights is None:
        return None
    path = Path(weights).expanduser()
    path = path if path.is_absolute() else folder / path
    if not path.is_file():
        raise CheckpointError(f"weights: there is no file {str(path)!r}.")
    return path


#: Names of probes and the layers at which they cut a model.
Layers = tuple[tuple[str, str], ...]


def _wanted_layers(
    file: TaskFile, probes: Sequence[tuple[ProbeSpec, ProbeEntry]], models: Sequence[ModelSpec]
) -> dict[str, Layers]:
    """The layers that a model of each label must have: those of its sides in pairs only."""
    wanted: dict[str, list[tuple[str, str]]] = {model.label: [] for model in models}
    for probe, entry in probes:
        pairs = list(ordered_pairs(file, entry, models)) if probe.arity == 2 else []
        for model in models:
            for side in sides(model, pairs) if probe.arity == 2 else (0,):
                layer = probe.columns["layer_b" if side else "layer"]
                if layer != ALL_LAYERS:
                    wanted[model.label].append((probe.name, layer))
    return {label: tuple(dict.fromkeys(layers)) for label, layers in wanted.items()}


def _checked(spec: ModelSpec, data: Dataset | None, wanted: Layers, checked: set[str]) -> ModelSpec:
    """Build the network once, and see that all layers that will be asked for exist."""
    with factory_called(_plain(spec.reference)):
        module = build_module(spec, data)
    trains = spec.trains or callable(getattr(module, "fit", None))
    if trains and data is None:
        raise ConfigurationError("a model can only be trained in a task with a [dataset].")
    key = digest([spec.reference, dict(spec.parameters), dict(spec.layers), wanted])
    if key not in checked:
        for name, path in spec.layers.items():
            try:
                resolve_layer(module, {}, path)
            except ConfigurationError as error:
                raise type(error)(f"layers.{name}: {error}") from None
        for probe, layer in wanted:
            try:
                resolve_layer(module, spec.layers, layer)
            except ConfigurationError as error:
                raise type(error)(f"for the probe {probe!r}: {error}") from None
        checked.add(key)
    layers = dict(spec.layers) or LoadedModel(module, spec.label).named_layers
    return replace(spec, layers=layers, trains=trains)


def _probe_specs(entry: ProbeEntry, folder: Path) -> list[ProbeSpec]:
    found = registry.load("probes", entry.name, folder=folder)
    if not (isinstance(found.object, type) and issubclass(found.object, Probe)):
        raise ConfigurationError(f"{entry.name!r} is not a Probe class.")
    if found.object.arity == 1 and entry.pairs != "all":
        raise ConfigurationError(f"pairs: {entry.name!r} measures single models, not pairs.")
    specs = []
    fingerprint = found.fingerprint()
    for _, point in _expand(entry, entry.name):
        probe = make_probe(found.object, point.parameters)
        specs.append(
            ProbeSpec(
                probe.name,
                str(probe.version),
                probe.arity,
                found.reference,
                found.identity,
                probe.parameters(),
                probe_columns(probe),
                fingerprint,
            )
        )
    return specs
