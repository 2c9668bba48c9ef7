"""Paired differences over seeds, and which entries of a comparison they set apart."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np

from repgeo.errors import InputError
from repgeo.probes.intervals import Estimate, over_seeds
from repgeo.report.records import mean_of

__all__ = ["paired_differences", "standings"]

Name = TypeVar("Name", bound=Hashable)


def paired_differences(
    values_by_seed: Mapping[int, float], baseline_by_seed: Mapping[int, float]
) -> Estimate:
    """The mean difference to a baseline over the seeds that both have.

    mean over s of (value(s) - baseline(s)), with the Student-t interval of these differences from
    three common seeds on. What a seed does to both (its split, its anchors) cancels; the interval
    is that of the differences, not of either side.

    Parameters
    ----------
    values_by_seed, baseline_by_seed
        Task seed -> value. Two equal infinities differ by 0.

    Raises
    ------
    InputError
        If no seed is common.

    Examples
    --------
    The noise of the seeds is shared and drops out; the difference is 1 at every seed:

    >>> e = paired_differences({0: 11.0, 1: 21.0, 2: 31.0}, {0: 10.0, 1: 20.0, 2: 30.0, 3: 5.0})
    >>> e.value, e.ci_low, e.ci_high, e.n
    (1.0, 1.0, 1.0, 3)
    """
    differences = _differences(values_by_seed, baseline_by_seed)
    if not differences:
        raise InputError(
            f"No seed is common: one side has {sorted(values_by_seed)}, "
            f"the other {sorted(baseline_by_seed)}."
        )
    if all(math.isfinite(difference) for difference in differences):
        return over_seeds(np.array(differences))
    return Estimate(mean_of(differences), n=len(differences))


def standings(by_seed: Mapping[Name, Mapping[int, float]], direction: str) -> dict[Name, str]:
    """Which entry has the best mean, and which cannot be told from it.

    The rule: the entry with the best mean over seeds is "best"; an entry is "tied" if the 95 %
    Student-t interval of its paired differences to the best contains 0. The level is not adjusted
    for the number of entries. Nothing is marked where all are tied, where the metric has no
    direction, and below three seeds, which give no such interval. Where a difference is infinite,
    the entry is tied unless the best is better at every seed.

    Parameters
    ----------
    by_seed
        Entry -> task seed -> value, all with the same seeds.
    direction
        "higher", "lower" or "none".

    Returns
    -------
    dict
        "best" or "tied" for the entries that are; the others are left out.

    Examples
    --------
    >>> runs = {"a": {0: 0.9, 1: 0.8, 2: 0.7}, "b": {0: 0.8, 1: 0.9, 2: 0.6}, "c": {0: 0.1, 1: 0,
    ...         2: 0.1}}
    >>> standings(runs, "higher")
    {'a': 'best', 'b': 'tied'}
    """
    means = {name: mean_of(list(values.values())) for name, values in by_seed.items()}
    means = {name: mean for name, mean in means.items() if not math.isnan(mean)}
    if direction not in ("higher", "lower") or len(means) < 2:
        return {}
    sign = 1.0 if direction == "higher" else -1.0
    best = max(means, key=lambda name: sign * means[name])
    if len(by_seed[best]) < 3:
        return {}
    found = {name: "tied" for name in means if _tied(by_seed[name], by_seed[best])}
    return found | {best: "best"} if len(found) < len(means) else {}


def _differences(values: Mapping[int, float], baseline: Mapping[int, float]) -> list[float]:
    common = sorted(set(values) & set(baseline))
    # Equal infinities: their difference is not a number, yet nothing sets them apart.
    return [0.0 if values[s] == baseline[s] else values[s] - baseline[s] for s in common]


def _tied(values: Mapping[int, float], best: Mapping[int, float]) -> bool:
    differences = _differences(values, best)
    if all(math.isfinite(difference) for difference in differences):
        found = over_seeds(np.array(differences))
        if found.ci_low is None or found.ci_high is None:
            return True
        return found.ci_low <= 0.0 <= found.ci_high
    return not (all(d > 0 for d in differences) or all(d < 0 for d in differences))
