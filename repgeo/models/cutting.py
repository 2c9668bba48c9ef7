"""Cutting a network at a layer: what comes out there, and the rest of the network from there on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from repgeo.errors import InputError, LayerError, nearest

__all__ = [
    "OUTPUT",
    "FunctionModel",
    "as_module",
    "module_device",
    "module_dtype",
    "resolve_layer",
    "run_from",
    "run_to",
]

#: The layer name that means the whole network.
OUTPUT = "output"


class FunctionModel(nn.Module):
    """A plain function as a model whose encoder is that function."""

    class _Call(nn.Module):
        def __init__(self, function: Callable[..., Any]) -> None:
            super().__init__()
            self.function = function

        def forward(self, x: Any) -> Any:
            return self.function(x)

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.encoder = FunctionModel._Call(function)

    def forward(self, x: Any) -> Any:
        """The function's value."""
        return self.encoder(x)


def as_module(model: Any) -> nn.Module:
    """The module itself, or a callable wrapped into one.

    Raises
    ------
    InputError
        If it is neither.
    """
    if isinstance(model, nn.Module):
        return model
    if callable(model) and not isinstance(model, type):
        return FunctionModel(model)
    raise InputError(
        f"A model is an nn.Module or a callable on batches, got {type(model).__name__}."
    )


def resolve_layer(module: nn.Module, layers: Mapping[str, str], name: str) -> str:
    """The dotted module path of a layer name ("" for the whole network).

    Raises
    ------
    LayerError
        If there is none; the nearest names are given.
    """
    path = layers.get(name, name)
    paths = [known for known, _ in module.named_modules() if known]
    if path in paths:
        return path
    if name == OUTPUT:
        return ""
    named = f" (named {path!r})" if path != name else ""
    hint = nearest(path, [*layers, *paths, OUTPUT])
    raise LayerError(f"{type(module).__name__} has no layer {name!r}{named}. {hint}")


class _Reached(BaseException):
    """Leaves the forward pass once everything wanted has been seen."""


def run_to(module: nn.Module, paths: Sequence[str], x: Any) -> dict[str, Tensor]:
    """The outputs of layers, from one forward pass that stops when all have been seen.

    Parameters
    ----------
    module
        The network.
    paths
        Dotted module paths; "" is the whole network.
    x
        A batch.

    Returns
    -------
    dict
        path -> what the layer returned on its first call, `(batch, ...)`.

    Raises
    ------
    LayerError
        If a layer never ran, or returned something that is not a tensor.
    """
    found: dict[str, Any] = {}
    wanted = set(paths)

    def watch(path: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            found.setdefault(path, output)
            if wanted <= found.keys():
                raise _Reached

        return hook

    handles = [
        module.get_submodule(path).register_forward_hook(watch(path)) for path in wanted if path
    ]
    try:
        output = module(x)
    except _Reached:
        pass
    else:
        found.setdefault("", output)
    finally:
        for handle in handles:
            handle.remove()
    for path in paths:
        if path not in found:
            raise LayerError(f"The layer {path!r} does not run in the forward pass.")
        if not isinstance(found[path], Tensor):
            raise LayerError(
                f"The layer {path or OUTPUT!r} returns {type(found[path]).__name__}, not a tensor. "
                "Choose a layer inside it, or one after it."
            )
    return {path: found[path] for path in paths}


def run_from(module: nn.Module, path: str, z: Tensor, template: Any) -> Tensor:
    """The rest of the network, from the output of the layer at `path` on.

    The part before the layer runs on one sample, `template`, whose result is replaced.

    Raises
    ------
    LayerError
        If the layer never ran, or the network's output is not a tensor.
    """
    if not path:
        return z
    replaced = False

    def hook(_module: nn.Module, _args: Any, _output: Any) -> Tensor:
        nonlocal replaced
        replaced = True
        return z

    handle = module.get_submodule(path).register_forward_hook(hook)
    try:
        output = module(template)
    finally:
        handle.remove()
    if not replaced:
        raise LayerError(f"The layer {path!r} does not run in the forward pass.")
    if not isinstance(output, Tensor):
        raise LayerError(f"The network returns {type(output).__name__}, not a tensor.")
    return output


def module_dtype(module: nn.Module) -> torch.dtype | None:
    """The dtype of the first floating parameter or buffer, None where there is none."""
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point() or tensor.is_complex():
            return tensor.dtype
    return None


def module_device(module: nn.Module) -> torch.device:
    """The device of the first parameter or buffer, the CPU where there is none."""
    for tensor in [*module.parameters(), *module.buffers()]:
        return tensor.device
    return torch.device("cpu")
