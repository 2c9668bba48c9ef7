"""Chance levels: what measures of similarity give for representations that are not related.

Two kinds are kept apart. *Under a shuffle*: exactly the mean over all orders of the rows of one
side, whatever the codes. *For Gaussian codes*: the limit for independent isotropic codes of large n
and dimensions at a fixed ratio; trained codes have fewer effective dimensions than features.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching.similarity.codes import centred, check_pair

__all__ = [
    "angular_chance",
    "biased_cka_chance",
    "biased_cka_shuffled",
    "cycle_knn_chance",
    "hypergeometric_jaccard",
    "mean_cca_chance",
    "mutual_knn_chance",
    "neighbour_jaccard_chance",
    "permutation_chance",
    "procrustes_chance",
]

#: Nodes and weights on (0, pi/2): the integrands are smooth there.
_NODES: Final = 96


def biased_cka_chance(n: int, features_a: int, features_b: int) -> float:
    """The biased CKA of independent Gaussian codes: sqrt(d_a d_b / ((n + d_a)(n + d_b))).

    For equal d that is 1 / (1 + n/d). Under a shuffle the mean is exactly
    tr K tr L / ((n-1) |K||L|) (`biased_cka_shuffled`), of which this is the Gaussian value. (The
    unbiased CKA has the mean 0.)

    Raises
    ------
    InputError
        If a number is below 1 (n below 4).

    Examples
    --------
    >>> round(biased_cka_chance(200, 100, 100), 4), round(biased_cka_chance(200, 5000, 5000), 4)
    (0.3333, 0.9615)
    """
    _check(n, 4, features_a, features_b)
    return math.sqrt(features_a / (n + features_a) * features_b / (n + features_b))


def biased_cka_shuffled(a: Tensor, b: Tensor) -> float:
    """The biased CKA under a shuffle of the rows of one side, exactly.

    tr K tr L / ((n-1) |K| |L|) with the centred kernels: the mean over all orders. It is smaller
    than the Gaussian value where a few directions hold most of the variance.

    Parameters
    ----------
    a, b
        Codes `(n, features)`.

    Raises
    ------
    InputError
        If the codes do not fit (see `cka`).

    Notes
    -----
    O(n d min(n, d)).

    Examples
    --------
    >>> line = torch.tensor([[-3.0], [1.0], [2.0]])
    >>> round(biased_cka_shuffled(line, line), 6)
    0.5
    """
    check_pair(a, b, samples=2)
    shares = []
    for codes in (a, b):
        moved = centred(codes)
        wide = moved.shape[1] > len(moved)
        gram = moved @ moved.T if wide else moved.T @ moved  # of the smaller side
        shares.append(float(gram.trace() / gram.square().sum().sqrt()))
    return shares[0] * shares[1] / (len(a) - 1)


def mean_cca_chance(n: int, rank_a: int, rank_b: int) -> float:
    r"""The mean canonical correlation of independent Gaussian codes.

    With c <= C the ranks over n - 1,

        (4 / pi) \int_0^{pi/2} cos^2 t sqrt((C - c sin^2 t) / (1 - c sin^2 t)) dt,

    the mean square root of the free product of two projections (Wachter's law). 1 where the larger
    rank is n - 1, about 0.85 sqrt(C) for small ranks. The relative error is largest for ranks of
    1, where it gives 6 % too much. PWCCA has the same chance level: for a Gaussian side the
    directions are uniform, so that weights and correlations are independent.

    Raises
    ------
    InputError
        If a rank is below 1, or n below 3.

    Notes
    -----
    Source of the law: Wachter 1980, Ann. Stat. 8; of moments by the S-transform: Haagerup, Möller
    2013 (arXiv 1211.4457).

    Examples
    --------
    >>> round(mean_cca_chance(200, 20, 20), 3), round(mean_cca_chance(200, 150, 150), 3)
    (0.272, 0.815)
    >>> round(mean_cca_chance(200, 199, 5), 9)
    1.0
    """
    _check(n, 3, rank_a, rank_b)
    small, large = sorted(min(1.0, rank / (n - 1)) for rank in (rank_a, rank_b))
    angles, weights = _quadrature()
    u = small * np.sin(angles) ** 2
    inside = np.cos(angles) ** 2 * np.sqrt((large - u) / (1 - u))
    return float(4 / math.pi * (weights @ inside))


def procrustes_chance(n: int, features_a: int, features_b: int) -> float:
    r"""The normalised Procrustes distance of independent Gaussian codes: sqrt(2 - 2 N).

    N is the sum of the singular values of A^T B for clouds A, B of unit size: with e <= f <= g the
    three numbers 1, d_a / (n-1) and d_b / (n-1),

        N = (n-1) / sqrt(d_a d_b) (4 e / pi)
            \int_0^{pi/2} cos^2 t sqrt((f - e sin^2 t)(g - e sin^2 t)) dt,

    the mean square root of the free product of two Marchenko-Pastur laws. For n much larger than
    the dimensions N is about 0.85 sqrt(max d / n), and the distance near sqrt(2).

    Raises
    ------
    InputError
        If a number of features is below 1, or n below 3.

    Notes
    -----
    Source: as for `mean_cca_chance`.

    Examples
    --------
    >>> round(procrustes_chance(200, 20, 20), 3), round(procrustes_chance(100, 5000, 5000), 3)
    (1.211, 0.099)
    """
    return math.sqrt(max(0.0, 2 - 2 * _nuclear_chance(n, features_a, features_b)))


def angular_chance(n: int, features_a: int, features_b: int) -> float:
    """The angular distance of independent Gaussian codes, in radian: see `procrustes_chance`.

    Examples
    --------
    >>> round(angular_chance(200, 20, 20), 3)
    1.301
    """
    return math.acos(min(1.0, _nuclear_chance(n, features_a, features_b)))


def hypergeometric_jaccard(others: int, drawn: int) -> float:
    """The mean Jaccard index of two independent draws of k different things out of so many.

    Examples
    --------
    >>> round(hypergeometric_jaccard(2, 1), 6)
    0.5
    """

    def log_choose(total: int, chosen: int) -> float:
        return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)

    everything = log_choose(others, drawn)
    terms = []
    for shared in range(max(0, 2 * drawn - others), drawn + 1):
        rest = log_choose(others - drawn, drawn - shared)
        probability = math.exp(log_choose(drawn, shared) + rest - everything)
        terms.append(shared / (2 * drawn - shared) * probability)
    return math.fsum(terms)


def mutual_knn_chance(n: int, neighbours: int) -> float:
    """The mutual kNN under a shuffle: exactly k / (n - 1).

    Raises
    ------
    InputError
        If there are not more samples than neighbours.

    Examples
    --------
    >>> round(mutual_knn_chance(200, 10), 4)
    0.0503
    """
    _check_neighbours(n, neighbours)
    return neighbours / (n - 1)


def neighbour_jaccard_chance(n: int, neighbours: int) -> float:
    """The Jaccard index of neighbours under a shuffle, exactly.

    sum_s s / (2k - s) P(s), the number s of shared ones being hypergeometric: k draws of n - 1, of
    which k count. About k / (2n) for k much smaller than n.

    Raises
    ------
    InputError
        If there are not more samples than neighbours.

    Examples
    --------
    >>> round(neighbour_jaccard_chance(5, 1), 4), round(neighbour_jaccard_chance(200, 10), 4)
    (0.25, 0.0271)
    """
    _check_neighbours(n, neighbours)
    return hypergeometric_jaccard(n - 1, neighbours)


def cycle_knn_chance(n: int, neighbours: int) -> float:
    """The cycle kNN for unrelated neighbourhoods without hubs: 1 - (1 - k/(n-1))^k.

    Samples that are a neighbour of many take the place of others in high dimensions, and the mean
    under a shuffle is then lower.

    Raises
    ------
    InputError
        If there are not more samples than neighbours.

    Examples
    --------
    >>> round(cycle_knn_chance(200, 10), 4)
    0.4028
    """
    _check_neighbours(n, neighbours)
    return 1 - (1 - neighbours / (n - 1)) ** neighbours


def permutation_chance(
    measure: Callable[[Tensor, Tensor], Tensor],
    a: Tensor,
    b: Tensor,
    *,
    shuffles: int,
    generator: torch.Generator,
) -> float:
    """The mean of a measure over random orders of the rows of the second side.

    Parameters
    ----------
    measure
        From two sets of codes to a number.
    a, b
        Codes `(n, features)`.
    shuffles
        How many orders are drawn.
    generator
        A CPU generator.

    Raises
    ------
    InputError
        If `shuffles` is below 1.

    Examples
    --------
    The product of two centred features, which is 0 on average:

    >>> codes = torch.tensor([[-3.0], [1.0], [2.0]])
    >>> generator = torch.Generator().manual_seed(0)
    >>> mean = permutation_chance(
    ...     lambda a, b: (a * b).sum(), codes, codes, shuffles=2000, generator=generator
    ... )
    >>> abs(mean) < 1
    True
    """
    if shuffles < 1:
        raise InputError(f"At least one shuffle is needed, got {shuffles}.")
    values = [
        float(measure(a, b[torch.randperm(len(b), generator=generator).to(b.device)]))
        for _ in range(shuffles)
    ]
    return math.fsum(values) / shuffles


def _nuclear_chance(n: int, features_a: int, features_b: int) -> float:
    _check(n, 3, features_a, features_b)
    small, middle, large = sorted((1.0, features_a / (n - 1), features_b / (n - 1)))
    angles, weights = _quadrature()
    u = small * np.sin(angles) ** 2
    inside = np.cos(angles) ** 2 * np.sqrt((middle - u) * (large - u))
    mean = 4 * small / math.pi * float(weights @ inside)
    return (n - 1) / math.sqrt(features_a * features_b) * mean


def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return (nodes + 1) * math.pi / 4, weights * math.pi / 4


def _check(n: int, samples: int, *dimensions: int) -> None:
    if n < samples or min(dimensions) < 1:
        raise InputError(
            f"At least {samples} samples and one dimension are needed, got {n} samples and "
            f"dimensions {dimensions}."
        )


def _check_neighbours(n: int, neighbours: int) -> None:
    if not 1 <= neighbours < n:
        raise InputError(f"{neighbours} neighbours of {n} samples: give from 1 to {n - 1}.")
