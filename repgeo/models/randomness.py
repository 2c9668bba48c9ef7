"""Global random generators, seeded for a while and put back afterwards."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["default_dtype", "isolated_randomness"]


@contextmanager
def isolated_randomness(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and torch, and put their states back at the end.

    Initialisations and dropout draw from global generators; here they draw from a stream of their
    own, and the caller's is as it was.

    Parameters
    ----------
    seed
        At most 63 bits.
    device
        A CUDA device whose generator is treated likewise.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> with isolated_randomness(0):
    ...     _ = torch.rand(3)
    >>> bool((torch.get_rng_state() == before).all())
    True
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global one
    cuda = device is not None and device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        try:
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002 - it is the global one that others use
            torch.default_generator.manual_seed(seed)
            if cuda:
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Make a dtype the default for new tensors, and put the old one back at the end."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
