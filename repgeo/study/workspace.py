"""Running steps in one process, with datasets, models and codes kept between them."""

from __future__ import annotations

import traceback
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from repgeo import registry
from repgeo.datasets.dataset import Dataset
from repgeo.datasets.samples import Samples
from repgeo.errors import DatasetError, RepgeoError, StorageError, UnsupportedError
from repgeo.identity import derive_generator, digest
from repgeo.models.loaded import LoadedModel, freeze
from repgeo.models.recipe import parse_recipe
from repgeo.models.training import train_with_restarts
from repgeo.probes.context import Context
from repgeo.probes.measurement import ALL_LAYERS, measure, prepare
from repgeo.probes.probe import Probe
from repgeo.probes.subject import MemoryCodes, Subject
from repgeo.study.ledger import Ledger
from repgeo.study.making import build_module, load_dataset, make_probe
from repgeo.study.outcome import Outcome, measured_cost
from repgeo.study.steps import DatasetSpec, ModelSpec, ProbeSpec, Step

__all__ = ["Abandoned", "Workspace", "failure"]

Progress = Callable[[float], None]

OUT_OF_MEMORY = "OutOfMemory"


class Abandoned(BaseException):
    """The user asked twice to stop: leave the step that runs in this process."""


class _FileCodes:
    """Codes of the splits of a dataset, in memory and as files for the other processes."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._memory = MemoryCodes()
        self._names: dict[int, tuple[Samples, str]] = {}

    def know(self, samples: Samples, name: str) -> None:
        """Say what the name of these samples is (other samples are not stored as files)."""
        self._names[id(samples)] = (samples, name)

    def _file(self, model: LoadedModel, path: str, x: Samples) -> str | None:
        known = self._names.get(id(x))
        if known is None or not model.identity:
            return None
        return f"codes-{digest([model.identity, path, known[1]])}"

    def get(self, model: LoadedModel, path: str, x: Samples) -> Tensor | None:
        """The stored codes, or None."""
        found = self._memory.get(model, path, x)
        name = self._file(model, path, x)
        if found is None and name is not None:
            stored = self._ledger.tensors(name)
            if stored is not None:
                found = stored["codes"]
                self._memory.put(model, path, x, found)
        return found

    def put(self, model: LoadedModel, path: str, x: Samples, codes: Tensor) -> None:
        """Store codes."""
        self._memory.put(model, path, x, codes)
        name = self._file(model, path, x)
        if name is not None:
            self._ledger.write_tensors(name, {"codes": codes})


class _Codes(Protocol):
    def know(self, samples: Samples, name: str) -> None: ...
    def get(self, model: LoadedModel, path: str, x: Samples) -> Tensor | None: ...
    def put(self, model: LoadedModel, path: str, x: Samples, codes: Tensor) -> None: ...


class _MemoryCodes(MemoryCodes):
    def know(self, samples: Samples, name: str) -> None:
        """Nothing to know: codes stay in this process."""


class Workspace:
    """Runs steps one after another, and keeps what the next ones may need.

    Parameters
    ----------
    ledger
        Where results, weights and prepared tensors are.
    share_codes
        Whether codes are stored as files, for other processes of the same study.
    model_bytes
        Models beyond this many bytes are dropped, the least recently used first.
    progress
        Called with the finished fraction of a long step.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        share_codes: bool = False,
        model_bytes: int = 1 << 31,
        progress: Progress | None = None,
    ) -> None:
        self._ledger = ledger
        self._codes: _Codes = _FileCodes(ledger) if share_codes else _MemoryCodes()
        self._model_bytes = model_bytes
        self._progress: Progress = progress or (lambda fraction: None)
        self._datasets: OrderedDict[str, Dataset] = OrderedDict()
        self._models: OrderedDict[str, LoadedModel] = OrderedDict()

    def run(self, step: Step) -> Outcome:
        """Run a step; whatever it raises becomes an outcome.

        Files of tensors and arrays are written here; the outcome itself is the driver's to record.
        """
        with measured_cost("cpu") as cost, warnings.catch_warnings(record=True) as warned:
            try:
                values = self._run(step)
            except UnsupportedError as error:
                outcome = failure(step, "unsupported", error)
            except (StorageError, Abandoned):
                raise  # not the step's doing
            except BaseException as error:  # noqa: BLE001 - whatever a step raises is a row
                outcome = failure(step, "failed", error)
            else:
                outcome = Outcome(step.id, "ok", values)
        told = dict.fromkeys(f"{each.category.__name__}: {each.message}" for each in warned)
        return replace(outcome, cost=cost, warnings=tuple(told), fingerprint=step.fingerprint)

    def _run(self, step: Step) -> list[Any]:
        data = self._dataset(step.dataset) if step.dataset is not None else None
        if step.kind == "train":
            self._train(step, data)
            return []
        if step.probe is None:
            raise TypeError(f"The step {step.title} has no probe.")
        probe = self._probe(step.probe)
        context = Context(
            step.dataset.digest if step.dataset is not None else "",
            step.seed,
            step.id,
            progress=self._progress,
        )
        layers = [probe.cut, probe.other_cut]
        if step.sides == (1,):
            layers.reverse()
        subjects = [
            self._subject(model, step.dataset, data, layer)
            for model, layer in zip(step.models, layers, strict=False)
        ]
        if step.kind == "prepare":
            tensors = prepare(probe, subjects[0], data, context, sides=step.sides)
            self._ledger.write_tensors(step.id, tensors)
            return []
        prepared = [self._prepared(name) for name in step.prepared]
        measured = measure(probe, subjects, prepared, data, context)
        if measured.arrays:
            self._ledger.write_arrays(step.id, measured.arrays)
        return measured.values

    def _dataset(self, spec: DatasetSpec) -> Dataset:
        key = digest([spec.reference, dict(spec.parameters), spec.seed, spec.digest])
        if key not in self._datasets:
            data = load_dataset(spec.reference, spec.parameters, spec.seed)
            if data.digest != spec.digest:
                raise DatasetError(
                    f"The contents of the dataset {spec.label!r} changed while the study ran: "
                    "run it again."
                )
            while len(self._datasets) >= 4:
                self._datasets.popitem(last=False)
            self._datasets[key] = data
            self._codes.know(data.train.x, f"{spec.digest}/train")
            self._codes.know(data.test.x, f"{spec.digest}/test")
        self._datasets.move_to_end(key)
        return self._datasets[key]

    def _probe(self, spec: ProbeSpec) -> Probe:
        return make_probe(registry.load("probes", spec.reference).object, spec.parameters)

    def _prepared(self, name: str) -> dict[str, Tensor]:
        tensors = self._ledger.tensors(name)
        if tensors is None:
            raise RepgeoError(f"The prepared tensors {name!r} are missing: run the study again.")
        return tensors

    def _subject(
        self, spec: ModelSpec, dataset: DatasetSpec | None, data: Dataset | None, layer: str
    ) -> Subject:
        if layer == ALL_LAYERS:  # each named layer is cut in turn; the start is any of them
            layer = next(iter(spec.layers), "output")
        return Subject(
            lambda: self._model(spec, dataset, data),
            layer,
            label=spec.label,
            samples=data.test.x if data is not None else None,
            codes=self._codes,
        )

    def _model(
        self, spec: ModelSpec, dataset: DatasetSpec | None, data: Dataset | None
    ) -> LoadedModel:
        identity = spec.identity(dataset)
        # Two labels may name one network; each gets its own entry, for its label and layers.
        key = digest([identity, spec.label, dict(spec.layers)])
        if key not in self._models:
            module = build_module(spec, data)
            checkpoints: tuple[int | str, ...] = ()
            if spec.trains:
                module.load_state_dict(self._ledger.checkpoint(identity, "final"))
                checkpoints = self._ledger.checkpoints(identity)
            self._models[key] = LoadedModel(
                freeze(module),
                spec.label,
                spec.layers,
                identity,
                lambda epoch: self._ledger.checkpoint(identity, epoch),
                checkpoints,
            )
            self._bound(key)
        self._models.move_to_end(key)
        return self._models[key]

    def _bound(self, newest: str) -> None:
        while (
            len(self._models) > 1
            and sum(model.bytes() for model in self._models.values()) > self._model_bytes
        ):
            oldest = next(key for key in self._models if key != newest)
            del self._models[oldest]

    def _train(self, step: Step, data: Dataset | None) -> None:
        spec = step.models[0]
        if data is None:
            raise DatasetError("A model can only be trained in a task with a [dataset].")
        kept: set[str] = set()

        def keep(epoch: int | str, state: dict[str, Tensor]) -> None:
            self._ledger.write_checkpoint(step.id, epoch, state)
            kept.add(str(epoch))

        generator = derive_generator("train", step.id)
        if spec.recipe is None:
            module = build_module(spec, data)
            fit: Any = module.fit  # planned as a model that trains itself
            fit(data, generator)
            keep("final", module.state_dict())
            return
        table = dict(spec.recipe)
        parameters = table.pop("objective_parameters")
        recipe, objective, _ = parse_recipe({**table, **parameters})
        train_with_restarts(
            lambda attempt: build_module(spec, data, attempt),
            recipe,
            objective,
            data,
            generator=generator,
            progress=self._progress,
            on_checkpoint=keep,
        )


def failure(step: Step, status: str, error: BaseException) -> Outcome:
    """The outcome of a step that raised something."""
    log = "".join(traceback.format_exception(error))
    try:
        text = " ".join(str(error).split()) or "no message"
    except Exception:  # noqa: BLE001 - a user's exception may not even be able to say what it is
        text = "no message"
    text, log = (part.encode(errors="backslashreplace").decode() for part in (text, log))
    kind = type(error).__name__
    if _is_out_of_memory(error):
        status, kind = "crashed", OUT_OF_MEMORY
    return Outcome(step.id, status, error_type=kind, error=f"{step.title}: {text}", log=log)


def _is_out_of_memory(error: BaseException) -> bool:
    # torch has no exception type of its own for the CPU.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )
