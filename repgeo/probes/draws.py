"""Generators of NumPy from those that a probe is given."""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["numpy_generator"]


def numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """A generator of NumPy, seeded by the next number of one of torch.

    Examples
    --------
    >>> first, second = (
    ...     numpy_generator(torch.Generator().manual_seed(0)).integers(1000) for _ in range(2)
    ... )
    >>> first == second
    np.True_
    """
    seed = int(torch.randint(1 << 62, (1,), generator=generator))
    return np.random.default_rng(seed)
