"""Parameters of factories: checked against the signature, as they come from a task file."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from repgeo.errors import ConfigurationError, nearest
from repgeo.identity import file_digest

__all__ = ["accepted_names", "describe_fault", "locate_files", "validate_parameters"]


def validate_parameters(
    factory: Callable[..., Any], parameters: Mapping[str, Any], *, skip: Collection[str] = ()
) -> dict[str, Any]:
    """The given parameters with the types of a factory's signature.

    They are validated strictly and as JSON: a list becomes a tuple and an integer a float where
    the signature says so, a string never becomes a number. A parameter without an annotation (or
    with one that cannot be resolved) takes any value. Defaults are not filled in.

    Parameters
    ----------
    factory
        A function or a class.
    parameters
        JSON values by name.
    skip
        Parameters that the framework fills in: they need not be given, and may not be.

    Raises
    ------
    ConfigurationError
        For an unknown key (the nearest ones are named), a wrong type, a missing key.

    Examples
    --------
    >>> def make(*, hidden: tuple[int, ...], rate: float = 0.1): ...
    >>> validate_parameters(make, {"hidden": [8, 4], "rate": 1})
    {'hidden': (8, 4), 'rate': 1.0}
    """
    name = _name(factory)
    for key in parameters:
        if key in skip:
            raise ConfigurationError(f"{name}: {key!r} is filled in and cannot be given.")
    schema = _schema(factory, frozenset(skip))
    try:
        text = json.dumps(dict(parameters))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{name}: parameters must be numbers, strings, booleans, lists or tables: {error}."
        ) from None
    try:
        valid = schema.model_validate_json(text)
    except ValidationError as error:
        fields = schema.model_fields.values()
        allowed = [field.alias for field in fields if field.alias is not None]
        raise ConfigurationError(f"{name}: {describe_fault(error, allowed)}") from None
    names = {field: info.alias or field for field, info in schema.model_fields.items()}
    given = {alias: getattr(valid, field) for field, alias in names.items() if alias in parameters}
    given |= valid.model_extra or {}
    return {key: given[key] for key in parameters}


def accepted_names(factory: Callable[..., Any]) -> dict[str, bool]:
    """The parameters that a factory's signature names: name -> whether it has a default.

    Raises
    ------
    ConfigurationError
        If it is not callable, or has no signature.
    """
    return {
        name: parameter.default is not inspect.Parameter.empty
        for name, parameter in _parameters(factory)
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }


def locate_files(
    factory: Callable[..., Any], parameters: Mapping[str, Any], *, folder: Path
) -> tuple[dict[str, Any], dict[str, str]]:
    """Make the paths among the parameters absolute, and name the files by their contents.

    A parameter that the signature annotates as `pathlib.Path` is a file: it counts for the
    identity of what is made by its digest, not by where it lies.

    Parameters
    ----------
    factory, parameters
        As for `validate_parameters`.
    folder
        Where relative paths start.

    Returns
    -------
    tuple
        The parameters with absolute paths, as strings; and name -> SHA-256 of the file.

    Raises
    ------
    ConfigurationError
        If there is no such file.
    """
    located, digests = dict(parameters), {}
    for name, parameter in _parameters(factory):
        if name not in parameters or _annotation(factory, parameter) is not Path:
            continue
        path = folder / Path(str(parameters[name])).expanduser()
        if not path.is_file():
            raise ConfigurationError(
                f"{_name(factory)}: {name}: there is no file {str(path)!r}. Relative paths start "
                f"at {str(folder)!r}."
            )
        located[name] = str(path.resolve())
        digests[name] = file_digest(path)
    return located, digests


def describe_fault(error: ValidationError, allowed: Collection[str]) -> str:
    """One line for the first fault of a validation: key, what was given, what is allowed."""
    faults = error.errors(include_url=False)
    first = faults[0]
    location = ""
    for part in first["loc"]:
        location += f"[{part}]" if isinstance(part, int) else f".{part}" if location else str(part)
    more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"unknown key {location!r}. {nearest(location, allowed)}{more}"
    if first["type"] == "missing":
        return f"the key {location!r} is missing.{more}"
    message = first["msg"].removeprefix("Value error, ")
    if not location:  # said by a validator of the whole, which names the keys itself
        return f"{message}.{more}"
    message = message.replace("Input should be", "should be", 1)
    given = "" if isinstance(first["input"], dict) else f", got {first['input']!r}"
    return f"{location}: {message}{given}.{more}"


def _name(factory: Callable[..., Any]) -> str:
    return str(getattr(factory, "__qualname__", type(factory).__qualname__))


def _parameters(factory: Callable[..., Any]) -> Iterator[tuple[str, inspect.Parameter]]:
    if not callable(factory):
        raise ConfigurationError(
            f"A factory is a function or a class, got {type(factory).__name__}."
        )
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{_name(factory)} has no signature: {error}.") from None
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            if parameter.default is inspect.Parameter.empty:
                raise ConfigurationError(
                    f"{_name(factory)}: the parameter {name!r} is positional-only; parameters are "
                    "given by name."
                )
        elif parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
            yield name, parameter


def _annotation(factory: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """The resolved annotation; Any where there is none, or where a name in it is not at hand."""
    if parameter.annotation is inspect.Parameter.empty:
        return Any
    function: Any = factory.__init__ if inspect.isclass(factory) else factory
    function = inspect.unwrap(function)
    names = getattr(function, "__globals__", None)
    if names is None:
        names = getattr(getattr(type(factory), "__call__", None), "__globals__", {})  # noqa: B004

    def carrier() -> None:
        """Carries one annotation, so that one which cannot be resolved spoils no other."""

    carrier.__annotations__ = {parameter.name: parameter.annotation}
    try:
        return typing.get_type_hints(carrier, names, include_extras=True)[parameter.name]
    except (NameError, AttributeError, TypeError, SyntaxError):
        return Any


def _schema(factory: Callable[..., Any], skip: frozenset[str]) -> type[BaseModel]:
    open_ended = False
    fields: dict[str, Any] = {}
    for position, (name, parameter) in enumerate(_parameters(factory)):
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            open_ended = True
        elif name not in skip:
            required = parameter.default is inspect.Parameter.empty
            # Fields go by number and are known by their alias: a parameter may have a name that
            # a pydantic model keeps for itself (`copy`, `_x`).
            info: Any = Field(... if required else None, alias=name)
            fields[f"field{position}"] = (_checkable(_annotation(factory, parameter)), info)
    config = ConfigDict(
        strict=True, extra="allow" if open_ended else "forbid", arbitrary_types_allowed=True
    )
    made: type[BaseModel] = create_model("Parameters", __config__=config, **fields)
    return made


def _checkable(annotation: Any) -> Any:
    try:
        create_model(
            "Checkable",
            __config__=ConfigDict(arbitrary_types_allowed=True),
            field=(annotation, ...),
        )
    except (PydanticSchemaGenerationError, PydanticUserError):
        return Any
    return annotation
