"""Weights in safetensors files: written whole, read without ever unpickling."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from repgeo.errors import CheckpointError, StorageError

__all__ = ["load_into", "load_state", "save_state"]

_SHOWN = 3  # keys of each kind that a message names


def save_state(module_or_state: nn.Module | Mapping[str, Tensor], path: Path) -> None:
    """Write a network's state, or tensors by name, to a safetensors file.

    The file is written under a temporary name in the same folder, flushed and put in place, so it
    is there whole or not at all. Tied tensors are stored once per name; tensors of any layout and
    device are stored contiguously.

    Raises
    ------
    CheckpointError
        If an entry of the state is not a tensor.
    StorageError
        If the folder cannot be written.
    """
    path = Path(path)
    state = (
        module_or_state.state_dict() if isinstance(module_or_state, nn.Module) else module_or_state
    )
    tensors = {}
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            raise CheckpointError(
                f"The state holds {name!r}, {type(tensor).__name__}: only tensors can be stored. "
                "Register numbers as buffers."
            )
        # A clone, as safetensors refuses names that share memory.
        tensors[name] = tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format)
    contents = save(tensors)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")
    try:
        try:
            with temporary.open("wb") as stream:
                stream.write(contents)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageError(
            f"Cannot write {str(path)!r}: {error.strerror or error}. Free space or make the folder "
            "writable."
        ) from error


def load_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name, on the CPU.

    Raises
    ------
    CheckpointError
        If the file is missing, cut short, or not safetensors. A pickle, which is what `torch.save`
        writes, is refused without being opened, as unpickling runs what the file says.
    """
    path = Path(path)
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"There is no file {str(path)!r}.") from None
    except IsADirectoryError:
        raise CheckpointError(f"{str(path)!r} is a folder, not a safetensors file.") from None
    except (SafetensorError, OSError, ValueError) as error:
        if path.is_dir():
            raise CheckpointError(f"{str(path)!r} is a folder, not a safetensors file.") from None
        if _is_pickle(path):
            raise CheckpointError(
                f"{str(path)!r} is a pickle, as torch.save writes it, and is not opened: a pickle "
                "can run any code. Convert it where you trust it: safetensors.torch.save_file("
                "torch.load('in.pt', weights_only=True), 'out.safetensors')."
            ) from None
        raise CheckpointError(
            f"{str(path)!r} is damaged, cut short, or not a safetensors file ({error})."
        ) from None
    return tensors


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as stream:
        start = stream.read(4)
    # A zip archive is torch's present format; \x80 and a protocol number begin a pickle.
    return start == b"PK\x03\x04" or (start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05")


def load_into(module: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Put weights into a network, in place; every name and shape must agree.

    Values are taken over in the network's own dtype and on its device.

    Parameters
    ----------
    module
        The network.
    state
        Tensors by name.
    source
        What messages call the weights: their path.

    Raises
    ------
    CheckpointError
        If the weights are those of another architecture: missing, unexpected and mis-shaped names
        (the first few) are given, and the network is left as it was.
    """
    own = {name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)}
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    different = [
        f"{name} {_form(state[name])} instead of {_form(own[name])}"
        for name in own
        if name in state and _form(state[name]) != _form(own[name])
    ]
    faults = {"missing": missing, "unexpected": unexpected, "of another shape": different}
    told = [
        f"{len(names)} {kind} ({', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''})"
        for kind, names in faults.items()
        if names
    ]
    if told:
        raise CheckpointError(
            f"The weights in {source!r} are not those of this {type(module).__name__}: "
            f"{'; '.join(told)}. Give the factory the parameters the weights were made with."
        )
    module.load_state_dict(dict(state))


def _form(tensor: Tensor) -> str:
    kind = "complex " if tensor.is_complex() else "" if tensor.is_floating_point() else "integer "
    return f"{kind}{tuple(tensor.shape)}"
