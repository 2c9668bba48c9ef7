"""Samples: a tensor whose first axis is the sample, or a mapping of such tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from repgeo.errors import DatasetError

__all__ = ["Samples", "count", "map_samples", "sample_bytes", "samples_digest", "take"]

Samples: TypeAlias = Tensor | Mapping[str, Tensor]


def map_samples(function: Callable[[Tensor], Tensor], samples: Samples) -> Samples:
    """Apply a function to the tensor, or to each tensor of the mapping."""
    if isinstance(samples, Tensor):
        return function(samples)
    return {name: function(tensor) for name, tensor in samples.items()}


def _leaves(samples: Samples) -> list[tuple[str, Tensor]]:
    if isinstance(samples, Tensor):
        return [("", samples)]
    return sorted(samples.items())


def count(samples: Samples) -> int:
    """The number of samples.

    Raises
    ------
    DatasetError
        If the tensors of a mapping disagree, or a tensor has no sample axis.
    """
    lengths = {}
    for name, tensor in _leaves(samples):
        if tensor.ndim == 0:
            raise DatasetError(f"The array {name or 'x'!r} is a single number: no sample axis.")
        lengths[name or "x"] = tensor.shape[0]
    if len(set(lengths.values())) != 1:
        raise DatasetError(f"Arrays of one sample set must have one length, got {lengths}.")
    return next(iter(lengths.values()))


def take(samples: Samples, index: Tensor | slice) -> Samples:
    """The samples at `index`, in that order."""
    return map_samples(lambda tensor: tensor[index], samples)


def sample_bytes(samples: Samples) -> int:
    """Memory of one sample, in bytes."""
    total = sum(tensor.numel() * tensor.element_size() for _, tensor in _leaves(samples))
    return max(1, total // max(1, count(samples)))


def samples_digest(samples: Samples) -> str:
    """SHA-256 of names, dtypes, shapes and bytes."""
    running = hashlib.sha256()
    for name, tensor in _leaves(samples):
        running.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        data = tensor.detach().cpu().contiguous()
        running.update(data.reshape(-1).view(torch.uint8).numpy().data if data.numel() else b"")
    return running.hexdigest()
