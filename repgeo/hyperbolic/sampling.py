"""HyperDGA of large sets from the exact stars of a sample of sites, with an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from repgeo.errors import InputError
from repgeo.hyperbolic.alignment import both, share_of_first
from repgeo.hyperbolic.sites import Float, Sites, Space, sites_of
from repgeo.hyperbolic.star import StarBuilder

__all__ = ["SampledHyperDGA", "sampled_hyperdga"]

#: Of a normal law: 95 % lie within so many standard deviations.
_QUANTILE = 1.959963984540054

#: Stars before the first look at the interval, and between looks.
_FIRST, _STEP = 30, 10


@dataclass(frozen=True)
class SampledHyperDGA:
    """An estimate of the HyperDGA score from some stars.

    Attributes
    ----------
    score
        1 - heterogeneous / all edges of the sampled stars.
    ci_low, ci_high
        A 95 % interval of the score of the whole graph, from the spread of the stars.
    stars
        How many were computed.
    mean_degree
        Of the sampled sites.
    null_mean
        The mean score when labels are shuffled: 1 - 2 n_a n_b / (N(N-1)) for disjoint sets.
    margin
        The smallest distance of a decision in floating point from being another one.
    exact
        Pairs decided in rational arithmetic.
    """

    score: float
    ci_low: float
    ci_high: float
    stars: int
    mean_degree: float
    null_mean: float
    margin: float
    exact: int


def sampled_hyperdga(
    a: Tensor | np.ndarray,
    b: Tensor | np.ndarray,
    *,
    generator: np.random.Generator,
    half_width: float = 0.05,
    model: Space = "poincare",
    curvature: float = -1.0,
) -> SampledHyperDGA:
    r"""HyperDGA of two sets from exact stars of sites drawn without replacement.

    With D the degree and H the number of heterogeneous edges of a site, the score of the graph is
    1 - sum H / sum D over all sites. Over m of N sites drawn it is a ratio estimator with

        s.e. = sd(H - (sum H / sum D) D) / (mean(D) sqrt(m)) sqrt(1 - m/N).

    Stars are drawn until 1.96 s.e. is at most the half width asked for.

    Parameters
    ----------
    a, b
        As for `hyperdga`.
    generator
        Which sites are drawn.
    half_width
        Of the 95 % interval; 0 computes all stars.
    model, curvature
        As for `hyperdga`.

    Raises
    ------
    InputError
        If the sets do not fit or are at one place, or the half width is negative.

    Notes
    -----
    O(n d) for each pair of a star that near sites leave open: independent of the number of facets,
    and of how many edges the graph has. Stars are exact, and each edge is as likely to be seen as
    any other of its site: nothing favours large cells, as rays do. The interval is that of a
    normal law, looked at again and again; it is a little too narrow where few stars suffice.

    Examples
    --------
    Few sites: all stars are computed, and the score is exact.

    >>> rim = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    >>> found = sampled_hyperdga(np.zeros((1, 2)), 0.6 * rim, generator=np.random.default_rng(0))
    >>> found.score, found.stars, found.ci_high - found.ci_low
    (0.5, 5, 0.0)
    """
    if not half_width >= 0:
        raise InputError(f"The half width of an interval is not negative, got {half_width}.")
    sites = sites_of(both(a, b), model, curvature)
    n = len(sites)
    if n < 2:
        raise InputError("All points are at one place: there is no edge, and no score.")
    share = share_of_first(sites, len(a))
    builder = StarBuilder(sites)
    order = generator.permutation(n)
    found = np.empty((n, 2))  # heterogeneous edges, degree
    for count, site in enumerate(order, start=1):
        found[count - 1] = _counts(builder, int(site), share)
        looks = count >= _FIRST and (count - _FIRST) % _STEP == 0
        if count == n or (looks and _half_width(found[:count], n) <= half_width):
            break
    width = _half_width(found[:count], n)
    score = 1 - float(found[:count, 0].sum() / found[:count, 1].sum())
    return SampledHyperDGA(
        score=score,
        ci_low=max(score - width, 0.0),
        ci_high=min(score + width, 1.0),
        stars=count,
        mean_degree=float(found[:count, 1].mean()),
        null_mean=_null_mean(sites, share),
        margin=builder.decisions.margin,
        exact=builder.decisions.exact,
    )


def _counts(builder: StarBuilder, site: int, share: Float) -> tuple[float, int]:
    others = share[builder.star(site) == 1]
    mine = share[site]
    return float((mine + others - 2 * mine * others).sum()), len(others)


def _half_width(found: Float, n: int) -> float:
    m = len(found)
    if m == n:
        return 0.0
    ratio = found[:, 0].sum() / found[:, 1].sum()
    spread = float((found[:, 0] - ratio * found[:, 1]).std(ddof=1))
    return _QUANTILE * spread / float(found[:, 1].mean()) * math.sqrt((1 - m / n) / m)


def _null_mean(sites: Sites, share: Float) -> float:
    q = 2 * share - 1
    n = len(sites)
    return 0.5 + 0.5 * float((q.sum() ** 2 - (q**2).sum()) / (n * (n - 1)))
