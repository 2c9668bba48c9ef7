"""Estimates from samples: a value, its standard error, and an interval that says its kind.

`ci_kind` names the method and what was resampled or averaged: `t:samples`, `wilson:samples`,
`order:samples`, `bootstrap:samples`, and with repeated ids `t:clusters`, `bootstrap:clusters`.
All intervals are at 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from repgeo.errors import InputError
from repgeo.probes.reading import Statistic

__all__ = ["Estimate", "estimate", "over_seeds"]

LEVEL = 0.95
RESAMPLES = 2000

# scipy is imported where it is used: not every run computes an interval, and it takes half a second
# (scipy.stats would take a second more).


@dataclass(frozen=True)
class Estimate:
    """A value with its uncertainty (`ci_kind` is "" where there is none)."""

    value: float
    stderr: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    ci_kind: str = ""
    n: int | None = None


def estimate(
    samples: np.ndarray, statistic: Statistic, *, ids: np.ndarray | None, rng: np.random.Generator
) -> Estimate:
    """Value and interval of a statistic of samples.

    Parameters
    ----------
    samples
        One value per sample `(n,)`, or one row per sample `(n, k)` for a callable statistic.
    statistic
        "mean" (Student-t), "proportion" (Wilson), "median" (order statistics), or a callable
        (percentile bootstrap of 2,000 resamples). With clusters: a cluster-robust Student-t for
        mean and proportion, a bootstrap of clusters for the others.
    ids
        The samples' ids; equal ids are one cluster. None: all differ.
    rng
        For the bootstrap.

    Raises
    ------
    InputError
        If there is no sample, or samples of a proportion are not zeros and ones.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> e = estimate(np.array([0.0, 1.0, 1.0, 1.0]), "proportion", ids=None, rng=rng)
    >>> e.value, e.ci_kind, round(e.ci_low, 3), round(e.ci_high, 3)
    (0.75, 'wilson:samples', 0.301, 0.954)
    """
    samples = np.asarray(samples, dtype=np.float64)
    if len(samples) == 0:
        raise InputError("A reading with samples needs at least one.")
    if statistic == "proportion" and not np.isin(samples, (0.0, 1.0)).all():
        raise InputError("The samples of a proportion must be zeros and ones.")
    clusters = None
    if ids is not None:
        units, inverse = np.unique(ids, return_inverse=True)
        clusters = inverse if len(units) < len(ids) else None
    if callable(statistic):
        return _bootstrap(samples, statistic, clusters, rng)
    if samples.ndim != 1:
        raise InputError(f"The {statistic} needs samples of shape (n,), got {samples.shape}.")
    if statistic == "median":
        if clusters is not None:
            return _bootstrap(samples, _median, clusters, rng)
        return _median_by_order(samples)
    if statistic == "proportion" and clusters is None:
        return _wilson(samples)
    return _student(samples, clusters)


def over_seeds(values: np.ndarray) -> Estimate:
    """The mean over task seeds, with a Student-t interval from three seeds on and none below.

    Examples
    --------
    >>> over_seeds(np.array([1.0, 2.0])).ci_kind
    ''
    >>> e = over_seeds(np.array([1.0, 2.0, 3.0]))
    >>> e.value, e.ci_kind, round(e.ci_high - e.value, 3)  # 4.303 / sqrt(3)
    (2.0, 't:seeds', 2.484)
    """
    values = np.asarray(values, dtype=np.float64)
    mean, n = _mean(values), len(values)
    if n < 3 or not np.isfinite(values).all():
        return Estimate(mean, n=n)
    stderr = math.sqrt(float(((values - mean) ** 2).sum()) / (n - 1) / n)
    half = _student_quantile(n - 1) * stderr
    return Estimate(mean, stderr, mean - half, mean + half, "t:seeds", n)


def _mean(values: np.ndarray) -> float:
    # Of equal values it is that value, to the last bit: no spread out of rounding.
    first = float(values[0])
    return first if bool((values == first).all()) else float(values.mean())


def _student_quantile(degrees: int) -> float:
    from scipy import special

    return float(special.stdtrit(degrees, (1 + LEVEL) / 2))


def _median(samples: np.ndarray) -> float:
    return float(np.median(samples))


def _student(samples: np.ndarray, clusters: np.ndarray | None) -> Estimate:
    n = len(samples)
    value = _mean(samples)
    if not math.isfinite(value):  # minus infinity is a legal value, its spread is not defined
        return Estimate(value, n=n)
    residuals = samples - value
    if clusters is None:
        groups, kind = n, "t:samples"
        sums: np.ndarray = residuals
    else:
        sums = np.bincount(clusters, weights=residuals)
        groups, kind = len(sums), "t:clusters"
    if groups < 2:
        return Estimate(value, n=n)
    stderr = math.sqrt(groups / (groups - 1) * float((sums**2).sum())) / n
    half = _student_quantile(groups - 1) * stderr
    return Estimate(value, stderr, value - half, value + half, kind, n)


def _wilson(samples: np.ndarray) -> Estimate:
    from scipy import special

    n, share = len(samples), float(samples.mean())
    z = float(special.ndtri((1 + LEVEL) / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    stderr = math.sqrt(share * (1 - share) / n)
    # At the ends of the range rounding would leave a hair.
    low = max(0.0, centre - half) if share > 0 else 0.0
    high = min(1.0, centre + half) if share < 1 else 1.0
    return Estimate(share, stderr, low, high, "wilson:samples", n)


def _median_by_order(samples: np.ndarray) -> Estimate:
    from scipy import special

    n, value = len(samples), _median(samples)
    # The number of samples below the true median is binomial(n, 1/2): exact and distribution-free.
    below = int(np.searchsorted(special.bdtr(np.arange(n + 1), n, 0.5), (1 - LEVEL) / 2))
    if below < 1:  # fewer than six samples: no pair of order statistics reaches the level
        return Estimate(value, n=n)
    ordered = np.sort(samples)
    low, high = float(ordered[below - 1]), float(ordered[n - below])
    return Estimate(value, None, low, high, "order:samples", n)


def _bootstrap(
    samples: np.ndarray,
    statistic: Callable[[np.ndarray], float],
    clusters: np.ndarray | None,
    rng: np.random.Generator,
) -> Estimate:
    n, value = len(samples), float(statistic(samples))
    units = n if clusters is None else int(clusters.max()) + 1
    if units < 2 or not math.isfinite(value):
        return Estimate(value, n=n)
    drawn = np.array(
        [statistic(samples[rows]) for rows in _resampled_rows(units, clusters, rng)],
        dtype=np.float64,
    )
    drawn = drawn[~np.isnan(drawn)]  # the statistic is not defined on every resample
    if len(drawn) < RESAMPLES // 2:
        return Estimate(value, n=n)
    # Order statistics: between minus infinity and a number nothing can be interpolated.
    levels = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(drawn, levels, method="inverted_cdf")
    stderr = float(drawn.std(ddof=1)) if np.isfinite(drawn).all() else None
    kind = "bootstrap:samples" if clusters is None else "bootstrap:clusters"
    return Estimate(value, stderr, float(low), float(high), kind, n)


def _resampled_rows(
    units: int, clusters: np.ndarray | None, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """The rows of each resample: as many units as there are, drawn with repetition."""
    if clusters is None:
        for _ in range(RESAMPLES):
            yield rng.integers(units, size=units)
        return
    members = np.split(np.argsort(clusters, kind="stable"), np.cumsum(np.bincount(clusters))[:-1])
    for _ in range(RESAMPLES):
        yield np.concatenate([members[unit] for unit in rng.integers(units, size=units)])
