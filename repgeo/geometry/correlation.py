"""Rank correlation, and what is left of it given a third quantity."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from repgeo.errors import InputError

__all__ = ["partial_rank_correlation", "rank_correlation", "rank_correlation_terms"]


def rank_correlation(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's correlation: Pearson's of the ranks, ties having their mean rank.

    Parameters
    ----------
    a, b
        `(n,)` each, n >= 2.

    Returns
    -------
    float
        In [-1, 1]; 0 where a or b is constant, which orders nothing.

    Raises
    ------
    InputError
        If the shapes do not fit.

    Examples
    --------
    >>> round(rank_correlation([1.0, 2.0, 3.0], [1.0, 8.0, 27.0]), 12)
    1.0
    """
    left, right = _ranks(a), _ranks(b)
    if left.shape != right.shape:
        raise InputError(f"Both must have one length, got {left.shape} and {right.shape}.")
    return _cosine(left, right)


def partial_rank_correlation(a: ArrayLike, b: ArrayLike, given: ArrayLike) -> float:
    """Spearman's correlation of a and b given a third quantity: that of what its ranks leave.

    With r the rank correlations, (r_ab - r_ac r_bc) / sqrt((1 - r_ac^2)(1 - r_bc^2)).

    Parameters
    ----------
    a, b, given
        `(n,)` each, n >= 2.

    Returns
    -------
    float
        In [-1, 1]; 0 where the third quantity orders a or b by itself, so that nothing is left.

    Raises
    ------
    InputError
        If the shapes do not fit.

    Examples
    --------
    Two quantities that agree only through the third:

    >>> c = [0, 0, 0, 0, 1, 1, 1, 1]
    >>> a, b = [0, 0, 1, 1, 2, 2, 3, 3], [0, 1, 0, 1, 2, 3, 2, 3]
    >>> round(rank_correlation(a, b), 6), round(partial_rank_correlation(a, b, c), 6)
    (0.8, 0.0)
    """
    first, second, third = _ranks(a), _ranks(b), _ranks(given)
    if not first.shape == second.shape == third.shape:
        raise InputError(
            f"All three must have one length, got {first.shape}, {second.shape}, {third.shape}."
        )
    return _cosine(_without(first, third), _without(second, third))


def rank_correlation_terms(
    a: ArrayLike, b: ArrayLike, *, given: ArrayLike | None = None
) -> np.ndarray:
    """One value per sample, whose mean is the rank correlation and whose spread is its error.

    With u and v the ranks (what the ranks of `given` leave of them) at mean 0 and variance 1, and r
    their correlation, the terms are r + u v - r (u^2 + v^2) / 2: the linearisation of r, so that
    their standard deviation over sqrt(n) is its standard error (ranks not formed anew).

    Parameters
    ----------
    a, b, given
        `(n,)` each, n >= 2; without `given` the plain rank correlation.

    Returns
    -------
    ndarray
        `(n,)`; zeros where nothing is left to correlate.

    Raises
    ------
    InputError
        If the shapes do not fit.

    Examples
    --------
    >>> terms = rank_correlation_terms([1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0])
    >>> round(float(terms.mean()), 12)
    0.8
    """
    first, second = _ranks(a), _ranks(b)
    third = np.zeros_like(first) if given is None else _ranks(given)
    if not first.shape == second.shape == third.shape:
        raise InputError(
            f"All must have one length, got {first.shape}, {second.shape}, {third.shape}."
        )
    u, v = (_standardised(_without(ranks, third)) for ranks in (first, second))
    r = float(np.mean(u * v))
    terms: np.ndarray = r + u * v - r * (u**2 + v**2) / 2
    return terms if u.any() and v.any() else np.zeros_like(u)


def _standardised(ranks: np.ndarray) -> np.ndarray:
    """At variance 1, or zeros where only rounding is left."""
    size = float(np.sqrt(ranks @ ranks))
    scaled: np.ndarray = ranks * (np.sqrt(len(ranks)) / size if size > _rounding(ranks) else 0.0)
    return scaled


def _rounding(ranks: np.ndarray) -> float:
    """Ranks are multiples of 1/2 of size n: norms far below that are rounding."""
    return float(1e-10 * len(ranks) ** 1.5)


def _ranks(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2:
        raise InputError(f"Rank correlation needs values (n,), n >= 2; got {array.shape}.")
    ranks: np.ndarray = rankdata(array)
    ranks -= ranks.mean()
    return ranks


def _without(ranks: np.ndarray, third: np.ndarray) -> np.ndarray:
    """The ranks less their projection on the third ones."""
    size = float(third @ third)
    left: np.ndarray = ranks - third * (float(ranks @ third) / size) if size > 0 else ranks
    return left


def _cosine(left: np.ndarray, right: np.ndarray) -> float:
    sizes = [float(np.sqrt(side @ side)) for side in (left, right)]
    if min(sizes) <= _rounding(left):
        return 0.0
    return float(np.clip(left @ right / (sizes[0] * sizes[1]), -1.0, 1.0))
