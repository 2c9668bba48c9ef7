"""Building a network: a factory, its parameters, a seed and a dtype."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import torch
from torch import nn

from repgeo.errors import ConfigurationError
from repgeo.identity import derive_seed
from repgeo.models.randomness import default_dtype, isolated_randomness
from repgeo.parameters import accepted_names, validate_parameters

__all__ = ["build", "validate_parameters"]

_DTYPES: Final = {"float32": torch.float32, "float64": torch.float64}


def build(
    factory: Callable[..., Any],
    parameters: Mapping[str, Any],
    *,
    seed: int,
    dtype: Literal["float32", "float64"] = "float32",
    input_shape: tuple[int, ...] | None = None,
    classes: int | None = None,
    group: str | None = None,
) -> nn.Module:
    """The network that a factory makes.

    A factory is a function or a class. Where its signature names `input_shape`, `classes`, `group`
    or `seed` and the parameters do not give them, they are filled in. It runs under the wanted
    default dtype and with the global generators of Python, NumPy and torch seeded from `seed`; all
    of these are put back afterwards, so the caller's random numbers are not touched.

    Parameters
    ----------
    factory
        What makes the network.
    parameters
        JSON values by name, as of a task file.
    seed
        Decides the initial weights: the model seed.
    dtype
        Of the weights.
    input_shape
        The shape of one input, where a dataset tells it.
    classes
        The number of classes, where a dataset tells it.
    group
        The name of the dataset's group, where it tells one.

    Raises
    ------
    ConfigurationError
        For unknown, missing or wrong parameters; where the factory needs `input_shape` or `classes`
        and no dataset tells them; if what it gives is not an `nn.Module`.

    Examples
    --------
    >>> from repgeo.models.mlp import mlp
    >>> net = build(mlp, {"hidden": [3]}, seed=0, input_shape=(2,), classes=2)
    >>> tuple(net.head.weight.shape)
    (2, 3)
    """
    if dtype not in _DTYPES:
        raise ConfigurationError(f"dtype must be 'float32' or 'float64', got {dtype!r}.")
    told = {"input_shape": input_shape, "classes": classes, "group": group, "seed": seed}
    filled = _filled(factory, parameters, told)
    valid = validate_parameters(factory, parameters, skip=tuple(filled))
    with isolated_randomness(derive_seed("initialisation", seed)), default_dtype(_DTYPES[dtype]):
        module = factory(**filled, **valid)
    if not isinstance(module, nn.Module):
        raise ConfigurationError(
            f"{_name(factory)} gives {type(module).__name__}; a model's factory gives an nn.Module."
        )
    return module


def _filled(
    factory: Callable[..., Any], parameters: Mapping[str, Any], told: Mapping[str, Any]
) -> dict[str, Any]:
    """What the signature names and the parameters do not give."""
    has_default = accepted_names(factory)
    filled = {}
    for key, value in told.items():
        if key not in has_default or key in parameters:
            continue
        if value is not None:
            filled[key] = value
        elif not has_default[key]:
            raise ConfigurationError(
                f"{_name(factory)} needs {key!r}, which the dataset does not tell (there is none, "
                f"its inputs are not one tensor, or it has no class labels). Write {key} = ... "
                "with the model."
            )
    return filled


def _name(factory: Callable[..., Any]) -> str:
    return str(getattr(factory, "__qualname__", type(factory).__qualname__))
