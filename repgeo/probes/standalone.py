"""A probe on models and arrays at hand: no registry, no files, a tidy frame."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.samples import Samples
from repgeo.datasets.splitting import stratified_split
from repgeo.errors import InputError, LayerError
from repgeo.identity import canonical_json, digest
from repgeo.models.cutting import as_module
from repgeo.models.loaded import LoadedModel, frozen_view
from repgeo.probes.context import Context
from repgeo.probes.measurement import Measured, measure, prepare
from repgeo.probes.probe import Probe
from repgeo.probes.rows import probe_columns, rows, to_frame
from repgeo.probes.subject import MemoryCodes, Subject
from repgeo.version import __version__

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Preparations",
    "dataset_from_arrays",
    "dtype_name",
    "measure_loaded",
    "measure_standalone",
]

TEST_FRACTION = 0.3

#: What was prepared: by the model's id (of living objects) and layer.
Preparations: TypeAlias = dict[tuple[int, str], dict[str, Tensor]]


def dataset_from_arrays(
    x: Any, y: Any = None, *, train: Any = None, fits: bool = False, seed: int = 0
) -> tuple[Dataset, str]:
    """A dataset from arrays: `x` is the test split; and how the train split came about.

    Parameters
    ----------
    x
        A tensor or array `(n, ...)`, or a mapping of them.
    y
        Labels `(n,)`, or None.
    train
        `(x, y)` or `x` to fit on.
    fits
        Whether something will be fitted: without `train`, `x` is then split 70/30 by seed.
    seed
        For that split.
    """
    test = Split(_samples(x), None if y is None else _tensor(y))
    if train is not None:
        train_x, train_y = train if isinstance(train, tuple) else (train, None)
        fitted = Split(_samples(train_x), None if train_y is None else _tensor(train_y))
        return Dataset("", fitted, test), "train given"
    if fits:
        fitted, test = stratified_split(test, TEST_FRACTION, seed)
        return Dataset("", fitted, test), f"x split 70/30 by seed {seed}: fitted on 70 %"
    return Dataset("", test, test), "nothing is fitted: all of x is the test split"


def _tensor(values: Any) -> Tensor:
    if isinstance(values, Tensor):
        return values
    try:
        if hasattr(values, "__array__"):  # torch takes no read-only or reversed arrays
            values = np.require(np.asarray(values), requirements=["C", "W"])
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"Expected a tensor or an array of numbers: {error}") from None


def _samples(values: Any) -> Samples:
    if isinstance(values, Mapping):
        return {name: _tensor(value) for name, value in values.items()}
    return _tensor(values)


def dtype_name(model: LoadedModel) -> str:
    """The dtype of the weights as the table says it ("" for a model without weights)."""
    return str(model.dtype).removeprefix("torch.") if model.dtype is not None else ""


def measure_loaded(
    probe: Probe,
    models: list[LoadedModel],
    data: Dataset,
    seed: int,
    codes: MemoryCodes,
    preparations: Preparations | None = None,
) -> Measured:
    """Run a probe on loaded models in this process; errors are raised.

    Parameters
    ----------
    probe, models, data, seed
        What is measured.
    codes
        Where codes are shared between probes.
    preparations
        Where what a pair probe prepares is shared between its pairs: one for each probe and seed.
    """
    labels = [model.label for model in models]
    cell = digest([probe.name, str(probe.version), probe.parameters(), labels, data.digest, seed])
    context = Context(data.digest, seed, cell)
    layers = [probe.cut, probe.other_cut][: probe.arity]
    # "*" is replaced by each named layer in turn; the subject itself then needs a real one.
    subjects = [
        Subject(
            model,
            next(iter(model.named_layers)) if layer == "*" else layer,
            samples=data.test.x,
            codes=codes,
        )
        for model, layer in zip(models, layers, strict=True)
    ]
    prepared: list[dict[str, Tensor]] = []
    if probe.arity == 2:
        known: Preparations = {} if preparations is None else preparations
        for side, (model, layer) in enumerate(zip(models, layers, strict=True)):
            if (id(model), layer) not in known:
                known[id(model), layer] = prepare(
                    probe, subjects[side], data, context, sides=[side]
                )
            prepared.append(known[id(model), layer])
    return measure(probe, subjects, prepared, data, context)


def measure_standalone(
    probe: Probe,
    *args: Any,
    seed: int = 0,
    train: Any = None,
    layers: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Measure models at hand: `(model, x)`, `(model, x, y)`, `(model_a, model_b, x, y)`.

    Parameters
    ----------
    probe
        The probe.
    *args
        One model (two for a pair probe), the inputs, and the labels where the probe needs them.
        A model is an `nn.Module` or a callable on batches; it is measured in eval mode without
        parameter gradients, and put back as it was.
    seed
        The task seed: anchors, probe points.
    train
        `(x, y)` to fit on.
    layers
        Names for module paths, `{"encoder": "net.3"}`.

    Returns
    -------
    DataFrame
        The columns of a study's table; `attrs["split"]` says what was fitted on.

    Raises
    ------
    RepgeoError
        Whatever goes wrong is raised: no rows with errors here.
    """
    arity = probe.arity
    if not arity + 1 <= len(args) <= arity + 2:
        wanted = "(model, x) or (model, x, y)" if arity == 1 else "(model_a, model_b, x[, y])"
        raise InputError(f"{probe.name} takes {wanted}; got {len(args)} arguments.")
    y = args[arity + 1] if len(args) > arity + 1 else None
    modules = [as_module(model) for model in args[:arity]]
    data, split = dataset_from_arrays(args[arity], y, train=train, fits=probe.fits, seed=seed)
    labels = _labels(modules)
    with ExitStack() as stack:
        for module in dict.fromkeys(modules):
            stack.enter_context(frozen_view(module))
        loaded = {
            module: LoadedModel(module, label, dict(layers or {}))
            for module, label in zip(modules, labels, strict=True)
        }
        models = [loaded[module] for module in modules]
        try:
            measured = measure_loaded(probe, models, data, seed, MemoryCodes())
        except LayerError as error:
            if layers is not None or "layer" not in type(probe).model_fields:
                raise
            raise LayerError(f"{error} Pass {type(probe).__name__}(layer=...).") from None
    shared = {
        "model": labels[0],
        "model_b": labels[1] if arity == 2 else "",
        "seed": seed,
        "dtype": dtype_name(models[0]),
        "version": __version__,
        **probe_columns(probe),
    }
    frame = to_frame(rows(shared, measured.values))
    frame.attrs |= {"split": split, "params": canonical_json(probe.parameters())}
    return frame


def _labels(modules: list[nn.Module]) -> list[str]:
    names = [type(module).__name__ for module in modules]
    if len(names) == 2 and names[0] == names[1] and modules[0] is not modules[1]:
        return [f"{names[0]}#0", f"{names[1]}#1"]
    return names
