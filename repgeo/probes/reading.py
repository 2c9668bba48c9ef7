"""A reading: one value of one metric, as a probe yields it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from torch import Tensor

__all__ = ["Arrays", "Reading", "Scalar", "Statistic"]

Scalar: TypeAlias = str | int | float | bool
Arrays: TypeAlias = Mapping[str, "np.ndarray | Tensor"]
Statistic: TypeAlias = (
    Literal["mean", "median", "proportion"] | Callable[[np.ndarray], float]  # on resampled rows
)


@dataclass(frozen=True, eq=False)
class Reading:
    """One value of one metric.

    Attributes
    ----------
    metric
        A name of the probe's `metrics`.
    value
        The number; left out where `samples` are given.
    samples
        One value per sample `(n,)` (or row `(n, k)` for a callable statistic), from which the
        framework computes value and interval.
    ids
        The samples' ids `(n,)`; equal ids are one cluster. The test split's ids by default, where
        the length agrees.
    statistic
        "mean", "median", "proportion" (of zeros and ones), or a callable on resampled rows.
    at
        Coordinates within the cell, `{"rollout": 10}`: curves are rows.
    layer
        The layer, where it differs from the probe's.
    chance
        Overrides the metric's chance level.
    artifact
        Arrays stored beside the cell, for figures.

    Examples
    --------
    >>> Reading("accuracy", 0.5).value
    0.5
    """

    metric: str
    value: float | Tensor | None = None
    _: KW_ONLY
    samples: Tensor | np.ndarray | None = None
    ids: Tensor | np.ndarray | None = None
    statistic: Statistic = "mean"
    at: Mapping[str, Scalar] = field(default_factory=dict)
    layer: str | None = None
    chance: float | None = None
    artifact: Arrays | None = None
