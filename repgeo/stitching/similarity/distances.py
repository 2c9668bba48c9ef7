"""Two representations compared by the distances between their samples."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from repgeo.errors import InputError, nearest
from repgeo.stitching.similarity.codes import blocks, centred, check_pair, shared_dtype

__all__ = ["Dissimilarity", "RankOrLinear", "distance_correlation", "rsa"]

Dissimilarity: TypeAlias = Literal["euclidean", "cosine", "correlation"]
RankOrLinear: TypeAlias = Literal["spearman", "pearson"]

_DISSIMILARITIES: Final[tuple[str, ...]] = get_args(Dissimilarity)
_CORRELATIONS: Final[tuple[str, ...]] = get_args(RankOrLinear)

#: Of ranks: distances that differ by less, in parts of the largest, are equal.
_STEPS: Final = 2.0**40


def rsa(
    a: Tensor,
    b: Tensor,
    *,
    dissimilarity: Dissimilarity = "euclidean",
    correlation: RankOrLinear = "spearman",
) -> Tensor:
    """Representational similarity analysis: the correlation of the two matrices of distances.

    The correlation over the n(n-1)/2 pairs of samples between their distances on the first side
    and on the second. Under a shuffle of the rows of one side its mean is exactly 0.

    Invariant to

    =========== ==================================================================
    euclidean   orthogonal maps, isotropic scaling, translation of either side
    cosine      orthogonal maps, isotropic scaling
    correlation permutations of the features, isotropic scaling; and to what no group
                of maps of the space is: adding a number to all features of a sample
    =========== ==================================================================

    Parameters
    ----------
    a, b
        Codes `(n, features)`, the number of features may differ. Row i of both is one sample.
    dissimilarity
        "euclidean" distances, "cosine" 1 - cos, or "correlation" 1 - the Pearson correlation
        of two samples over the features (of a zero, or constant, code it is 1).
    correlation
        "spearman": of ranks, with mean ranks for ties (distances that round to the same multiple
        of 2^-40 of the largest); or "pearson".

    Returns
    -------
    Tensor
        A scalar in [-1, 1] of the codes' (common) dtype, on their device.

    Raises
    ------
    InputError
        If the shapes do not fit, there are fewer than three samples, a value is NaN or infinite,
        the codes of a side are the same for all samples, all distances of a side are equal, or a
        name is unknown.

    Notes
    -----
    O(n^2 d) time. "pearson" takes blocks of 32 MiB, whatever n; "spearman" has to sort all pairs:
    O(n^2 log n), and about 40 n^2 bytes. Source: Kriegeskorte et al. 2008, Front. Syst. Neurosci.
    2:4.

    Examples
    --------
    >>> a = torch.tensor([[0.0], [1.0], [3.0]])
    >>> round(rsa(a, -7 * a).item(), 6)
    1.0
    >>> round(rsa(a, torch.tensor([[0.0], [2.0], [1.0]])).item(), 6)
    -0.866025
    """
    check_pair(a, b, samples=3)
    if correlation not in _CORRELATIONS:
        raise InputError(
            f"Unknown correlation {correlation!r}. {nearest(correlation, _CORRELATIONS)}"
        )
    sides = [_Distances(codes, dissimilarity) for codes in (a, b)]
    pairs: Iterator[tuple[Tensor, Tensor]] = zip(*(side.pairs() for side in sides), strict=True)
    if correlation == "spearman":
        whole = [torch.cat(parts) for parts in zip(*pairs, strict=True)]
        pairs = iter([(_ranks(whole[0]), _ranks(whole[1]))])
    return _pearson(pairs).to(shared_dtype(a, b))


def distance_correlation(a: Tensor, b: Tensor, *, unbiased: bool = True) -> Tensor:
    """Distance correlation of two sets of codes: 0 in the limit only if they are independent.

    With the Euclidean distances a_ij, b_ij, their row sums a_i., b_i. and totals a.., b..,

        V(a, b) = sum_ij a_ij b_ij + a.. b.. / ((n-1)(n-2)) - 2 / (n-2) sum_i a_i. b_i.
        unbiased: V(a, b) / sqrt(V(a, a) V(b, b)), in [-1, 1], 0 on average for independent codes;

        W(a, b) = sum_ij a_ij b_ij + a.. b.. / n^2 - 2/n sum_i a_i. b_i.
        biased: sqrt(W(a, b) / sqrt(W(a, a) W(b, b))), in [0, 1].

    The unbiased one estimates the *square* of the other's limit. The biased one grows with the
    number of features for independent codes, and is near 1 where d > n.

    Invariant to orthogonal maps, isotropic scaling and translation of either side.

    Parameters
    ----------
    a, b
        Codes `(n, features)`, the number of features may differ. Row i of both is one sample.
    unbiased
        Which estimator.

    Returns
    -------
    Tensor
        A scalar of the codes' (common) dtype, on their device.

    Raises
    ------
    InputError
        If the shapes do not fit, there are fewer than four samples, a value is NaN or infinite,
        or the codes of a side are the same for all samples (or, unbiased, for all but one, or
        equally far from one another: 0/0).

    Notes
    -----
    O(n^2 d) time, blocks of 32 MiB. Sources: Székely, Rizzo, Bakirov 2007 (arXiv 0803.4101);
    unbiased: Székely, Rizzo 2013, J. Multivar. Anal. 117, and 2014 (arXiv 1310.2926).

    Examples
    --------
    Four samples that two features part in two independent ways:

    >>> a = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    >>> b = torch.tensor([[0.0], [1.0], [0.0], [1.0]])
    >>> round(distance_correlation(a, b).item(), 6)
    -0.5
    >>> distance_correlation(a, b, unbiased=False).item()
    0.0
    """
    check_pair(a, b, samples=4)
    n = len(a)
    sides = [_Distances(codes, "euclidean") for codes in (a, b)]
    products = torch.zeros(3, dtype=torch.float64, device=a.device)
    sums = torch.zeros(2, n, dtype=torch.float64, device=a.device)
    for rows in blocks(n, n):
        x, y = (side.block(rows) for side in sides)
        products += torch.stack([(x * y).sum(), (x * x).sum(), (y * y).sum()])
        sums[0, rows], sums[1, rows] = x.sum(dim=1), y.sum(dim=1)
    crossed = torch.stack([sums[0] @ sums[1], sums[0] @ sums[0], sums[1] @ sums[1]])
    total = sums.sum(dim=1)
    totals = torch.stack([total[0] * total[1], total[0] ** 2, total[1] ** 2])
    if unbiased:
        inner = products + totals / ((n - 1) * (n - 2)) - 2 / (n - 2) * crossed
    else:
        inner = products + totals / n**2 - 2 / n * crossed
    for which, own, size in zip(("first", "second"), inner[1:], products[1:], strict=True):
        if float(own) <= 64 * n * torch.finfo(torch.float64).eps * float(size):
            raise InputError(
                f"The codes of the {which} side are the same for all samples but one, or all "
                "equally far from one another: their distance correlation to others is undefined."
            )
    ratio = inner[0] / (inner[1] * inner[2]).sqrt()
    value = ratio.clamp(-1.0, 1.0) if unbiased else ratio.clamp(0.0, 1.0).sqrt()
    return value.to(shared_dtype(a, b))


class _Distances:
    """The matrix of distances between all samples, a block of rows at a time."""

    def __init__(self, codes: Tensor, dissimilarity: str) -> None:
        if dissimilarity not in _DISSIMILARITIES:
            raise InputError(
                f"Unknown dissimilarity {dissimilarity!r}. "
                f"{nearest(dissimilarity, _DISSIMILARITIES)}"
            )
        self._squared = dissimilarity != "euclidean"
        wide = centred(codes) if not self._squared else codes.double() / codes.abs().max().double()
        if self._squared:
            if dissimilarity == "correlation":
                wide = wide - wide.mean(dim=1, keepdim=True)
            norms = torch.linalg.vector_norm(wide, dim=1, keepdim=True)
            wide = wide / torch.where(norms > 0, norms, 1.0)
        self._codes = wide
        self._norms = wide.square().sum(dim=1)

    def block(self, rows: slice) -> Tensor:
        """The distances of some samples to all, `(rows, n)`; the diagonal is 0."""
        products = self._codes[rows] @ self._codes.T
        if self._squared:
            found = 1 - products
        else:
            sizes = self._norms[rows, None] + self._norms
            squares = sizes - 2 * products
            # What rounding leaves of two equal codes is no distance.
            squares[squares <= 16 * torch.finfo(torch.float64).eps * sizes] = 0.0
            found = squares.sqrt_()
        own = torch.arange(rows.start, rows.stop, device=found.device)
        found[own - rows.start, own] = 0.0
        return found

    def pairs(self) -> Iterator[Tensor]:
        """The distances of all pairs i < j, `(pairs,)`, in parts."""
        n = len(self._codes)
        for rows in blocks(n, n):
            above = torch.ones(rows.stop - rows.start, n, dtype=torch.bool).triu(rows.start + 1)
            yield self.block(rows)[above.to(self._codes.device)]


def _ranks(values: Tensor) -> Tensor:
    """Ranks from 0 on, equal values with their mean rank; in float64."""
    largest = values.abs().max()
    steps = (values / torch.where(largest > 0, largest, 1.0) * _STEPS).round()
    _, places, counts = torch.unique(steps, return_inverse=True, return_counts=True)
    mean_ranks: Tensor = counts.cumsum(0).double() - (counts.double() + 1) / 2
    return mean_ranks[places]


def _pearson(pairs: Iterator[tuple[Tensor, Tensor]]) -> Tensor:
    """The correlation of values that come in parts."""
    first = next(pairs)
    # Moments about the mean of the first part lose no digits to a common offset.
    shift = torch.stack([first[0].mean(), first[1].mean()])
    count, sums, products = 0, torch.zeros_like(shift), shift.new_zeros(3)
    for u, v in itertools.chain([first], pairs):
        x, y = u - shift[0], v - shift[1]
        count += len(x)
        sums += torch.stack([x.sum(), y.sum()])
        products += torch.stack([x @ y, x @ x, y @ y])
    means = torch.stack([sums[0] * sums[1], sums[0] ** 2, sums[1] ** 2]) / count
    moments = products - means
    for which, own, size in zip(("first", "second"), moments[1:], products[1:], strict=True):
        if float(own) <= 1e-12 * max(float(size), 1e-300):
            raise InputError(
                f"All distances of the {which} side are equal: their correlation with others is "
                "undefined."
            )
    return (moments[0] / (moments[1] * moments[2]).sqrt()).clamp(-1.0, 1.0)
