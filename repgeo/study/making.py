"""Making what specifications name: datasets, networks, probes."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from repgeo import registry
from repgeo.datasets.dataset import Dataset
from repgeo.errors import ConfigurationError, RepgeoError
from repgeo.identity import canonical_json, derive_seed
from repgeo.models.building import build
from repgeo.models.checkpoints import load_into, load_state
from repgeo.parameters import validate_parameters
from repgeo.probes.probe import Probe
from repgeo.study.steps import ModelSpec
from repgeo.study.taskfile import describe

__all__ = ["build_module", "factory_called", "load_dataset", "make_probe"]


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
        group=_group_name(data),
    )
    if spec.weights is not None:
        load_into(module, load_state(Path(spec.weights)), source=spec.weights)
    return module


def _group_name(data: Dataset | None) -> str | None:
    name = None if data is None else data.meta.get("group")
    return name if isinstance(name, str) else None


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


@contextmanager
def factory_called(name: str) -> Iterator[None]:
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
