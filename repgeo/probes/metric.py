"""What a probe's numbers are: their unit, direction, range, chance level and invariances."""

from __future__ import annotations

import math
import re
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Final, Literal

from repgeo.errors import ConfigurationError, nearest

__all__ = ["GROUPS", "Direction", "Metric"]

Direction = Literal["higher", "lower", "none"]

#: The groups that a declaration `where:group` may name, by where they act.
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "codes": (
        "permutation",
        "scaling",
        "diagonal",
        "orthogonal",
        "translation",
        "affine",
        "invertible",
    ),
    "inputs": ("permutation", "scaling", "orthogonal", "translation", "affine", "invertible"),
    "samples": ("permutation",),
    "labels": ("relabelling",),
    "weights": ("row_permutation", "row_scale", "unitary_mixing"),
}


@dataclass(frozen=True)
class Metric:
    """One number a probe yields.

    Attributes
    ----------
    unit
        "nats", "1", "radian", ... ; "" for a plain number.
    direction
        Whether "higher" or "lower" is better, or "none".
    range
        The closed interval of possible values; a reading outside it is a failure.
    chance
        The expected value under no relation; a reading may override it.
    invariant_to
        Declarations `where:group` (see `GROUPS`) that `repgeo check` executes.
    summary
        One line for tables and tooltips.
    tolerance
        Largest relative difference (absolute below 1) that a check of an invariance allows; for
        metrics that come out of an optimiser.

    Examples
    --------
    >>> Metric(direction="higher", range=(0.0, 1.0)).contains(1.5)
    False
    >>> Metric(invariant_to={"labels:relabeling"})
    Traceback (most recent call last):
        ...
    repgeo.errors.ConfigurationError: Unknown invariance 'labels:relabeling'. Did you mean \
'labels:relabelling'?
    """

    unit: str = ""
    direction: Direction = "none"
    range: tuple[float, float] = (-math.inf, math.inf)
    chance: float | None = None
    invariant_to: Set[str] = field(default_factory=frozenset)
    summary: str = ""
    tolerance: float = 1e-8

    def __post_init__(self) -> None:
        known = [f"{where}:{group}" for where, groups in GROUPS.items() for group in groups]
        for declaration in sorted(self.invariant_to):
            if declaration not in known:
                raise ConfigurationError(
                    f"Unknown invariance {declaration!r}. {nearest(declaration, known)}"
                )
        object.__setattr__(self, "invariant_to", frozenset(self.invariant_to))
        if not self.range[0] < self.range[1]:
            raise ConfigurationError(f"A metric's range must be an interval, got {self.range}.")
        if re.search(r"[\s,]", self.unit):
            raise ConfigurationError(f"A unit is one word, got {self.unit!r}.")

    def contains(self, value: float) -> bool:
        """Whether a value lies in the metric's range, up to rounding."""
        low, high = self.range
        slack = 1e-9 * max(1.0, abs(value)) if math.isfinite(value) else 0.0
        return low - slack <= value <= high + slack
