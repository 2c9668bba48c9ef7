"""From a task file to the steps of a study: every name, layer and parameter is checked first."""

from __future__ import annotations

import itertools
import json
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from torch import nn

from repgeo import registry
from repgeo.datasets.dataset import Dataset
from repgeo.errors import CheckpointError, ConfigurationError, RepgeoError, nearest
from repgeo.identity import canonical_json, derive_seed, digest, file_digest
from repgeo.models.building import build
from repgeo.models.checkpoints import load_into, load_state
from repgeo.models.cutting import resolve_layer
from repgeo.models.loaded import LoadedModel
from repgeo.models.recipe import parse_recipe
from repgeo.parameters import locate_files, validate_parameters
from repgeo.probes.measurement import ALL_LAYERS
from repgeo.probes.probe import Probe
from repgeo.probes.rows import KEY_COLUMNS, probe_columns
from repgeo.study.steps import DatasetSpec, ModelSpec, ProbeSpec, Step, StepKind
from repgeo.study.taskfile import (
    DatasetEntry,
    Expected,
    ModelEntry,
    ProbeEntry,
    TaskFile,
    describe,
)

__all__ = ["Plan", "Selection", "load_dataset", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """All steps of a study, in the order of the table.

    Attributes
    ----------
    task
        The task's name.
    title
        What it calls itself.
    steps
        Train and prepare steps before the cells that need them.
    expected
        The numbers to compare with.
    seeds
        The task seeds.
    """

    task: str
    title: str
    steps: tuple[Step, ...]
    expected: tuple[Expected, ...]
    seeds: tuple[int, ...]

    @property
    def cells(self) -> list[Step]:
        """The measure steps."""
        return [step for step in self.steps if step.kind == "measure"]


@dataclass(frozen=True)
class Selection:
    """Which models, probes and seeds of a task are run (patterns such as `mlp*`; () is all)."""

    models: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    seeds: tuple[int, ...] | None = None

    def keep(self, plan: Plan) -> list[Step]:
        """The chosen cells and the steps they need.

        Raises
        ------
        ConfigurationError
            If a pattern matches nothing.
        """
        cells = plan.cells
        labels = {model.label for cell in cells for model in cell.models}
        entries = {model.entry for cell in cells for model in cell.models}
        probes = {cell.probe.name for cell in cells if cell.probe is not None}
        for pattern in self.models:
            _require_match(pattern, labels | entries, "model")
        for pattern in self.probes:
            _require_match(pattern, probes, "probe")
        chosen = [cell for cell in cells if self._wants(cell)]
        needed = {name for cell in chosen for name in (cell.id, *cell.needs)}
        for step in reversed(plan.steps):  # what is needed stands before what needs it
            if step.id in needed:
                needed.update(step.needs)
        return [step for step in plan.steps if step.id in needed]

    def _wants(self, cell: Step) -> bool:
        def named(model: ModelSpec) -> bool:
            return any(
                fnmatchcase(name, _glob(pattern))
                for pattern in self.models
                for name in (model.label, model.entry)
            )

        if self.models and not all(named(model) for model in cell.models):
            return False
        name = cell.probe.name if cell.probe is not None else ""
        return not self.probes or any(fnmatchcase(name, pattern) for pattern in self.probes)


def _glob(pattern: str) -> str:
    # Labels of grids hold brackets, mlp[activation=relu]: only * and ? are special here.
    return pattern.replace("[", "[[]")


def _require_match(pattern: str, names: Iterable[str], kind: str) -> None:
    names = list(names)
    if not any(fnmatchcase(name, _glob(pattern)) for name in names):
        raise ConfigurationError(f"No {kind} matches {pattern!r}. {nearest(pattern, names)}")


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
        models: list[ModelSpec] = []
        for position, entry in enumerate(task.models):
            with _at(file, f"models[{position}]"):
                specs = list(_model_specs(entry, seed, file.folder))
            for spec in specs:
                with _at(file, f"models[{position}] ({spec.label})"):
                    models.append(_checked(spec, data, [p for p, _ in probes], checked))
        repeated = _first_repeated([model.label for model in models])
        if repeated is not None:
            raise ConfigurationError(
                f"{file.source}: two models have the label {repeated!r}. Give one a `label`."
            )
        for step in _steps(file, dataset, seed, models, probes):
            steps.setdefault(step.id, step)
    return Plan(file.name, task.task.title, tuple(steps.values()), task.expected, chosen)


def _check_expected(file: TaskFile) -> None:
    for position, expected in enumerate(file.task.expected):
        for column in expected.where:
            if column not in KEY_COLUMNS:
                raise ConfigurationError(
                    f"{file.source}: expected[{position}].where: there is no column {column!r}. "
                    f"{nearest(column, KEY_COLUMNS)}"
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


@contextmanager
def _factory_called(name: str) -> Iterator[None]:
    """A fault that a factory raises is one in the task, or in the user's own code."""
    try:
        yield
    except RepgeoError:
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigurationError(
            f"the factory {name!r} raised {type(error).__name__}: {' '.join(str(error).split())} "
            f"({Path(last.filename).name}, line {last.lineno})."
        ) from error


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
    for values in itertools.product(*entry.grid.values()):
        point = dict(zip(entry.grid, values, strict=True))
        table = entry.model_dump(exclude={"grid"})
        for key, value in point.items():
            place, _, last = key.rpartition(".")
            target: Any = table
            for part in place.split(".") if place else []:
                target = target.setdefault(part, {})
                if not isinstance(target, dict):
                    raise ConfigurationError(f"grid: {key!r} cannot be set, {part!r} is no table.")
            target[last] = value
        text = ",".join(f"{key}={_short(value)}" for key, value in point.items())
        try:
            valid = type(entry).model_validate_json(json.dumps(table))
        except ValidationError as error:
            raise ConfigurationError(f"grid: {describe(error, type(entry))}") from None
        yield (f"{label}[{text}]" if text else label), valid


def _short(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def load_dataset(
    reference: str, parameters: Mapping[str, Any], seed: int, folder: Path | None = None
) -> Dataset:
    """Make a dataset by its registered name or reference.

    Raises
    ------
    ConfigurationError
        If the name or a parameter is unknown, or the factory gives something else.
    """
    found = registry.load("datasets", reference, folder=folder)
    valid = validate_parameters(found.object, parameters, skip=("seed",))
    made = found.object(seed=seed, **valid)
    if not isinstance(made, Dataset):
        raise ConfigurationError(
            f"The dataset {reference!r} gives {type(made).__name__}, not a repgeo Dataset."
        )
    return made


def _dataset_spec(
    variant: tuple[str, DatasetEntry], seed: int, folder: Path
) -> tuple[Dataset, DatasetSpec]:
    label, entry = variant
    found = registry.load("datasets", entry.name, folder=folder)
    parameters, _ = locate_files(found.object, entry.parameters, folder=folder)
    with _factory_called(entry.name):
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


def build_module(spec: ModelSpec, data: Dataset | None, attempt: int = 0) -> nn.Module:
    """The network of a spec as its factory makes it, with its checkpoint loaded.

    Restarts of a training differ in `attempt`; the first has the network of an untrained twin.
    """
    factory = registry.load("models", spec.reference).object
    module = build(
        factory,
        spec.parameters,
        seed=derive_seed("init", spec.seed, attempt),
        dtype=spec.dtype,
        input_shape=data.input_shape if data is not None else None,
        classes=data.classes if data is not None else None,
    )
    if spec.weights is not None:
        load_into(module, load_state(Path(spec.weights)), source=spec.weights)
    return module


def _checked(
    spec: ModelSpec, data: Dataset | None, probes: Sequence[ProbeSpec], checked: set[str]
) -> ModelSpec:
    """Build the network once, and see that all layers that will be asked for exist."""
    with _factory_called(_plain(spec.reference)):
        module = build_module(spec, data)
    trains = spec.trains or callable(getattr(module, "fit", None))
    if trains and data is None:
        raise ConfigurationError("a model can only be trained in a task with a [dataset].")
    key = digest([spec.reference, dict(spec.parameters), dict(spec.layers)])
    if key not in checked:
        for name, path in spec.layers.items():
            try:
                resolve_layer(module, {}, path)
            except ConfigurationError as error:
                raise type(error)(f"layers.{name}: {error}") from None
        for probe in probes:
            cuts = [probe.columns["layer"]] + [probe.columns["layer_b"]] * (probe.arity == 2)
            for layer in cuts:
                if layer != ALL_LAYERS:
                    try:
                        resolve_layer(module, spec.layers, layer)
                    except ConfigurationError as error:
                        raise type(error)(f"for the probe {probe.name!r}: {error}") from None
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
                found.fingerprint(),
            )
        )
    return specs


def make_probe(kind: type[Probe], parameters: Mapping[str, Any]) -> Probe:
    """A probe with parameters as of a task file.

    Raises
    ------
    ConfigurationError
        For an unknown or a wrong parameter.
    """
    try:
        return kind.model_validate_json(canonical_json(dict(parameters)))
    except ValidationError as error:
        raise ConfigurationError(describe(error, kind)) from None


@dataclass(frozen=True)
class _Seeded:
    """The models and the dataset of one task seed, and the steps made of them."""

    dataset: DatasetSpec | None
    seed: int
    models: Sequence[ModelSpec]

    def model_identity(self, model: ModelSpec) -> str:
        return model.identity(self.dataset)

    def trainings(self) -> Iterator[Step]:
        for model in self.models:
            if model.trains:
                yield self._step(self.model_identity(model), "train", "training", (model,))

    def singles(self, probe: ProbeSpec) -> Iterator[Step]:
        for model in self.models:
            identity = self._identity("measure", probe, (model,))
            yield self._step(identity, "measure", probe.name, (model,), probe)

    def pairs(
        self, probe: ProbeSpec, pairs: Sequence[tuple[ModelSpec, ModelSpec]]
    ) -> Iterator[Step]:
        halves = {}
        for model in self.models:
            if any(model in pair for pair in pairs):
                halves[model.label] = self._identity("prepare", probe, (model,))
                title = f"{probe.name} (preparation)"
                yield self._step(halves[model.label], "prepare", title, (model,), probe)
        for pair in pairs:
            identity = self._identity("measure", probe, pair)
            prepared = tuple(halves[model.label] for model in pair)
            yield self._step(identity, "measure", probe.name, pair, probe, prepared)

    def _identity(self, kind: StepKind, probe: ProbeSpec, models: Sequence[ModelSpec]) -> str:
        return digest(
            {
                "kind": kind,
                "dataset": self.dataset.digest if self.dataset is not None else None,
                "probe": {**probe.identity, "name": probe.name, "version": probe.version},
                "parameters": probe.parameters,
                "seed": self.seed,
                # The label is part of it, so that two models of one task never share a cell.
                "models": [
                    {
                        "label": model.label,
                        "model": self.model_identity(model),
                        "layers": dict(model.layers),
                    }
                    for model in models
                ],
            }
        )

    def _step(
        self,
        identity: str,
        kind: StepKind,
        what: str,
        models: tuple[ModelSpec, ...],
        probe: ProbeSpec | None = None,
        prepared: tuple[str, ...] = (),
    ) -> Step:
        home = self.model_identity(models[0])
        trained = [self.model_identity(model) for model in models if model.trains]
        needs = (*trained, *prepared) if kind != "train" else ()
        names = " and ".join(model.label for model in models)
        return Step(
            id=identity,
            kind=kind,
            title=f"{what} of {names}, seed {self.seed}",
            home=home,
            seed=self.seed,
            dataset=self.dataset,
            models=models,
            probe=probe,
            prepared=prepared,
            needs=tuple(dict.fromkeys(needs)),
        )


def _steps(
    file: TaskFile,
    dataset: DatasetSpec | None,
    seed: int,
    models: Sequence[ModelSpec],
    probes: Sequence[tuple[ProbeSpec, ProbeEntry]],
) -> Iterator[Step]:
    seeded = _Seeded(dataset, seed, models)
    yield from seeded.trainings()
    for probe, entry in probes:
        if probe.arity == 1:
            yield from seeded.singles(probe)
        else:
            yield from seeded.pairs(probe, list(_pairs(file, entry, models)))


def _pairs(
    file: TaskFile, entry: ProbeEntry, models: Sequence[ModelSpec]
) -> Iterator[tuple[ModelSpec, ModelSpec]]:
    """The ordered pairs of models, the diagonal included."""
    if isinstance(entry.pairs, tuple):
        known = {name for model in models for name in (model.label, model.entry)}
        for name in itertools.chain.from_iterable(entry.pairs):
            if name not in known:
                raise ConfigurationError(
                    f"{file.source}: pairs of {entry.name!r}: no model {name!r}. "
                    f"{nearest(name, known)}"
                )
    for mine, other in itertools.product(models, repeat=2):
        if entry.pairs == "all" or (entry.pairs == "within" and mine.entry == other.entry):
            yield mine, other
        elif isinstance(entry.pairs, tuple):
            names = {(a, b) for a in (mine.label, mine.entry) for b in (other.label, other.entry)}
            if names & set(entry.pairs):
                yield mine, other
