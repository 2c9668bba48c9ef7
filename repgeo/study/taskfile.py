"""Task files: strict TOML that names a dataset, models with their training, probes and seeds."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from repgeo.errors import ConfigurationError, nearest
from repgeo.study.locating import find_task

__all__ = [
    "Comparison",
    "DatasetEntry",
    "Expected",
    "Header",
    "ModelEntry",
    "ProbeEntry",
    "Task",
    "parse_task",
    "read_task",
]

_STRICT = ConfigDict(frozen=True, strict=True, extra="forbid")
_OPEN = ConfigDict(frozen=True, strict=True, extra="allow")  # the rest are parameters


class Header(BaseModel):
    """The table `[task]`."""

    model_config = _STRICT

    title: str = ""
    cite: str = ""
    notes: tuple[str, ...] = ()  # printed with the table: what its reader has to know
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds) or min(seeds) < 0 or max(seeds) >= 2**63:
            raise ValueError("seeds must be different non-negative integers below 2^63")
        return seeds


class _Entry(BaseModel):
    """A name, its parameters as further keys, and a grid over them."""

    model_config = _OPEN

    name: str = Field(min_length=1)
    grid: dict[str, list[Any]] = {}

    @field_validator("grid")
    @classmethod
    def _not_empty(cls, grid: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for key, values in grid.items():
            if not values:
                raise ValueError(f"the grid over {key!r} is an empty list")
        return grid

    @property
    def parameters(self) -> dict[str, Any]:
        """The keys that are not part of the entry's own schema."""
        return dict(self.model_extra or {})


class DatasetEntry(_Entry):
    """The table `[dataset]`."""


class ModelEntry(_Entry):
    """A table `[[models]]`."""

    label: str | None = Field(default=None, min_length=1)
    seed: int | None = Field(default=None, ge=0)
    replicas: int | None = Field(default=None, ge=1)
    weights: str | None = None
    dtype: Literal["float32", "float64"] = "float32"
    layers: dict[str, str] = {}
    train: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> ModelEntry:
        if self.replicas is not None and self.seed is not None:
            raise ValueError("replicas have the model seeds 0, 1, ...: leave out either key")
        if self.weights is not None and self.train is not None:
            raise ValueError("a model is either loaded (weights) or trained ([models.train])")
        return self


class ProbeEntry(_Entry):
    """A table `[[probes]]`."""

    pairs: Literal["all", "within"] | tuple[tuple[str, str], ...] = "all"


class Expected(BaseModel):
    """A table `[[expected]]`: a number to compare the mean over seeds with."""

    model_config = _STRICT

    where: dict[str, Any] = Field(min_length=1)
    value: float
    tolerance: float = Field(ge=0)
    kind: Literal["reference", "published"]
    source: str = Field(min_length=1)


class Comparison(BaseModel):
    """A table `[[compare]]`: values of a coordinate of `at` against a baseline, paired.

    The coordinate "model" compares models with one of them.
    """

    model_config = _STRICT

    metric: str = Field(min_length=1)
    coordinate: str = Field(min_length=1)
    baseline: str | bool | int | float
    probe: str | None = None


class Task(BaseModel):
    """A whole task file."""

    model_config = _STRICT

    task: Header = Header()
    dataset: DatasetEntry | None = None
    models: tuple[ModelEntry, ...] = Field(min_length=1)
    probes: tuple[ProbeEntry, ...] = Field(min_length=1)
    expected: tuple[Expected, ...] = ()
    compare: tuple[Comparison, ...] = ()


@dataclass(frozen=True)
class TaskFile:
    """A parsed task: its name, where relative paths start, and its contents."""

    name: str
    folder: Path
    source: str  # what messages call it
    task: Task


def read_task(name: str | Path, overrides: Iterable[str] = ()) -> TaskFile:
    """Read and validate a task file.

    Parameters
    ----------
    name
        A path, or the name of a task that comes with repgeo.
    overrides
        `key=value` as of the option `--set`: `probes.pullback_volume.layer=block1`.

    Raises
    ------
    ConfigurationError
        Naming the file, the key and what is allowed.
    """
    path = find_task(name)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{name}: this is not valid TOML: {error}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name}: a task file must be UTF-8 text.") from None
    return parse_task(
        table, name=path.stem, folder=path.resolve().parent, source=str(name), overrides=overrides
    )


def parse_task(
    table: Mapping[str, Any],
    *,
    name: str,
    folder: Path,
    source: str = "task",
    overrides: Iterable[str] = (),
) -> TaskFile:
    """Validate a task given as a table (see `read_task`)."""
    contents: dict[str, Any] = json.loads(json.dumps(table, default=str))
    for override in overrides:
        _apply(contents, override, source)
    try:
        # JSON mode: TOML arrays become tuples, integers become floats where a float is wanted.
        task = Task.model_validate_json(json.dumps(contents))
    except ValidationError as error:
        raise ConfigurationError(f"{source}: {describe(error, Task)}") from None
    return TaskFile(name, folder, source, task)


def _apply(table: dict[str, Any], override: str, source: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or "." not in key:
        raise ConfigurationError(
            f"--set {override!r}: write section.name.key=value, "
            "for example probes.pullback_volume.layer=block1."
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string
    value = json.loads(json.dumps(value, default=str))  # dates, as in the file
    section, *rest = key.split(".")
    target: Any = table.setdefault("task", {}) if section == "task" else table.get(section)
    if isinstance(target, list) and all(isinstance(entry, dict) for entry in target):
        if len(rest) < 2:
            raise ConfigurationError(f"--set {override!r}: name an entry of {section} and a key.")
        known = [_called(entry) for entry in target]
        labelled = [entry for entry in target if _called(entry) == rest[0]]
        chosen = labelled or [entry for entry in target if entry.get("name") == rest[0]]
        if not chosen:
            raise ConfigurationError(
                f"--set {override!r}: {source} has no {section} {rest[0]!r}. "
                f"{nearest(rest[0], known)}"
            )
        rest = rest[1:]
    elif isinstance(target, dict):
        chosen = [target]
    else:
        raise ConfigurationError(
            f"--set {override!r}: {source} has no section {section!r}. {nearest(section, table)}"
        )
    for entry in chosen:
        place = entry
        for depth, part in enumerate(rest[:-1], 1):
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                where = ".".join([section, *rest[:depth]])
                raise ConfigurationError(
                    f"--set {override!r}: {where} is {place!r} in {source}, not a table."
                )
        place[rest[-1]] = value


def _called(entry: Mapping[str, Any]) -> str:
    """The label of an entry: its own, else its name, of a reference the attribute."""
    return str(entry.get("label") or str(entry.get("name")).rpartition(":")[2])


def describe(error: ValidationError, schema: type[BaseModel]) -> str:
    """One line for the first fault of a validation: key, what was given, what is allowed."""
    first = error.errors(include_url=False)[0]
    location = _location(first["loc"])
    if first["type"] == "extra_forbidden":
        allowed = _fields_at(schema, first["loc"][:-1])
        return f"unknown key {location!r}. {nearest(str(first['loc'][-1]), allowed)}"
    if first["type"] == "missing":
        given_keys = [key for key in first["input"] if key not in _fields_at(schema, first["loc"])]
        close = difflib.get_close_matches(str(first["loc"][-1]), given_keys, n=1)
        hint = f" Is {close[0]!r} meant for it?" if close else ""
        return f"the key {location!r} is missing.{hint}"
    prefix = f"{location}: " if location else ""  # a validator of the whole names keys itself
    if first["type"] == "value_error":
        return f"{prefix}{first['msg'].removeprefix('Value error, ')}."
    given = f", got {first['input']!r}" if not isinstance(first["input"], dict | list) else ""
    message = first["msg"].replace("Input should be", "should be", 1)
    return f"{prefix}{message}{given}."


def _location(parts: Iterable[str | int]) -> str:
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif "[" not in part:  # the branch of a union has a name such as literal['all','within']
            text += f".{part}" if text else part
    return text


def _fields_at(schema: type[BaseModel], parts: Iterable[str | int]) -> list[str]:
    current: Any = schema
    for part in parts:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part)
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
        models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not models:
            return []
        current = models[0]
    return list(current.model_fields)
