"""Retrieval: how well a sample's code in one space finds the same sample in another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching.similarity.chance import hypergeometric_jaccard
from repgeo.stitching.similarity.codes import blocks, check_pair
from repgeo.stitching.similarity.neighbours import (
    NeighbourMetric,
    first_columns,
    nearness_steps,
    ready_for_products,
)

__all__ = [
    "Retrieval",
    "cosine_chance",
    "precision_chance",
    "reciprocal_rank_chance",
    "retrieval_jaccard_chance",
    "retrieve",
]

_METRIC_OF_PAIRS: Final = "cosine"


@dataclass(frozen=True, eq=False)
class Retrieval:
    """What each query found; the means over queries are the scores.

    Attributes
    ----------
    jaccard
        Of the k nearest of the gallery to the query and to the query's partner, `(n,)`.
    reciprocal_rank
        1 / rank of the partner, 0 beyond the truncation, `(n,)`.
    hit
        Whether the partner is among the k nearest, `(n,)`.
    cosine
        Of the query with its partner, `(n,)`.
    better, tied
        How many of the gallery are nearer than the partner, and how many just as near, the
        partner included, `(n,)`.
    """

    jaccard: Tensor
    reciprocal_rank: Tensor
    hit: Tensor
    cosine: Tensor
    better: Tensor
    tied: Tensor


def retrieve(
    queries: Tensor,
    gallery: Tensor,
    *,
    k: int = 10,
    truncate: int | None = None,
    metric: NeighbourMetric = "cosine",
) -> Retrieval:
    """Look every sample's code of one space up among the codes of another.

    Row i of both is one sample: the gallery's row i is the query's partner. Both spaces need the
    same coordinates, for instance relative ones. Scores are means over queries:

    ================ ========================== =================================================
    score            chance                     of query q_i with partner g_i
    ================ ========================== =================================================
    jaccard          about k / (2n)             Jaccard index of the k nearest to q_i and to g_i
    reciprocal_rank  H_n / n, truncated H_k / n 1 / rank of g_i (MRR)
    hit              k / n                      whether g_i is among the k nearest (P@k)
    cosine           `cosine_chance`, 0 centred cos(q_i, g_i)
    ================ ========================== =================================================

    with H_k = 1 + 1/2 + ... + 1/k. **Ties are broken at random, and the expectation is taken**: of
    t candidates as near as the partner, behind s nearer ones, the partner has the ranks s + 1 to
    s + t with equal probability. So a duplicate of the partner takes its place half of the time
    and is never counted as a second hit, and a gallery that has collapsed to a point scores what
    chance does. Sets of neighbours (jaccard) take the smaller index of equally near ones. Equally
    near is what rounds to the same multiple of 2^-40 (of the cosine, or of the squared distance
    over the largest squared norm).

    Parameters
    ----------
    queries, gallery
        Codes `(n, features)`, of the same features.
    k
        Of `jaccard` and `hit`, from 1 to n.
    truncate
        The rank beyond which the reciprocal rank counts as 0; None truncates nothing.
    metric
        "cosine", or "euclidean". Distances are those of the coordinates as they are.

    Returns
    -------
    Retrieval
        One value per query, float64.

    Raises
    ------
    InputError
        If the shapes do not fit, a value is NaN or infinite, the codes of a side are the same for
        all samples, or k or `truncate` is out of range.

    Notes
    -----
    O(n^2 d) time, twice; blocks of 32 MiB of the n x n matrices. Source: the scores of Moschella
    et al. 2023 (arXiv 2209.15430), there truncated at k.

    Examples
    --------
    >>> gallery = torch.eye(3)
    >>> found = retrieve(torch.eye(3)[[0, 2, 2]], gallery, k=1)
    >>> found.hit.tolist(), found.cosine.tolist()
    ([1.0, 0.0, 1.0], [1.0, 0.0, 1.0])
    >>> [round(one, 6) for one in found.reciprocal_rank.tolist()]  # the second: rank 2 or 3
    [1.0, 0.416667, 1.0]
    """
    _check(queries, gallery, k, truncate)
    n = len(queries)
    both = torch.cat([queries.double(), gallery.double()])
    ready, offsets = ready_for_products(both, metric)  # together: one origin, one scale
    asked, kept = ready[:n], ready[n:]
    offsets = None if offsets is None else offsets[n:]
    better, tied = (torch.zeros(n, dtype=torch.float64, device=both.device) for _ in range(2))
    jaccard = torch.zeros_like(better)
    for rows in blocks(n, n):
        near = nearness_steps(asked[rows], kept, offsets)  # (rows, n)
        partner = near[torch.arange(len(near)), torch.arange(rows.start, rows.stop)]
        better[rows] = (near > partner[:, None]).sum(dim=1).double()
        tied[rows] = (near == partner[:, None]).sum(dim=1).double()
        found = first_columns(near, k)
        del near
        wanted = first_columns(nearness_steps(kept[rows], kept, offsets), k)
        together = torch.cat([found, wanted], dim=1).sort(dim=1).values
        shared = (together[:, 1:] == together[:, :-1]).sum(dim=1).double()
        jaccard[rows] = shared / (2 * k - shared)
    units = ready_for_products(both, _METRIC_OF_PAIRS)[0]
    cosine = (units[:n] * units[n:]).sum(dim=1).clamp(-1.0, 1.0)
    limit = n if truncate is None else truncate
    hit = (k - better).clamp(min=0.0).minimum(tied) / tied
    return Retrieval(jaccard, _reciprocal_ranks(better, tied, limit), hit, cosine, better, tied)


def reciprocal_rank_chance(n: int, truncate: int | None = None) -> float:
    """The mean reciprocal rank of unrelated spaces: H_k / n for a truncation at k, else H_n / n.

    Examples
    --------
    >>> round(reciprocal_rank_chance(200, 5), 4)
    0.0114
    """
    return math.fsum(1 / rank for rank in range(1, (n if truncate is None else truncate) + 1)) / n


def precision_chance(n: int, k: int) -> float:
    """The share of hits of unrelated spaces, k / n.

    Examples
    --------
    >>> precision_chance(200, 10)
    0.05
    """
    return k / n


def cosine_chance(queries: Tensor, gallery: Tensor) -> float:
    """The mean cosine of a query with any of the gallery: exactly that of shuffled partners.

    About 0 for codes around the origin, and not for others: relative coordinates often share
    their signs.

    Examples
    --------
    >>> cosine_chance(torch.eye(2), torch.tensor([[3.0, 0.0], [-1.0, 0.0]]))
    0.0
    """
    means = [
        ready_for_products(codes, _METRIC_OF_PAIRS)[0].mean(dim=0) for codes in (queries, gallery)
    ]
    return float(means[0] @ means[1])


def retrieval_jaccard_chance(n: int, k: int) -> float:
    """The Jaccard index of two unrelated sets of k out of n: about k / (2n).

    Examples
    --------
    >>> round(retrieval_jaccard_chance(2000, 5), 5), 5 / 4000
    (0.00139, 0.00125)
    """
    return hypergeometric_jaccard(n, k)


def _check(queries: Tensor, gallery: Tensor, k: int, truncate: int | None) -> None:
    check_pair(queries, gallery, samples=2)
    if queries.shape[1] != gallery.shape[1]:
        raise InputError(
            f"Queries have {queries.shape[1]} features and the gallery {gallery.shape[1]}: they "
            "must lie in one space. Compare relative coordinates, or translate one into the other."
        )
    for name, value in (("k", k), ("truncate", truncate)):
        if value is not None and not 1 <= value <= len(gallery):
            raise InputError(f"{name} must be from 1 to {len(gallery)}, got {value}.")


def _reciprocal_ranks(better: Tensor, tied: Tensor, limit: int) -> Tensor:
    """The mean of 1 / rank over the ranks from better + 1 to better + tied, 0 beyond the limit."""
    ranks = torch.arange(1, len(better) + 1, dtype=torch.float64, device=better.device)
    terms = torch.where(ranks <= limit, 1 / ranks, 0.0)
    harmonic = torch.cat([terms.new_zeros(1), terms.cumsum(0)])
    found = harmonic[(better + tied).long()] - harmonic[better.long()]
    # Of a rank without ties, exactly its reciprocal: a difference of sums would round.
    alone = terms[better.long()]
    return torch.where(tied == 1, alone, found / tied)
