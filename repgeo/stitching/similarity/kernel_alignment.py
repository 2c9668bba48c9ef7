"""Centred kernel alignment: whole, in batches, without bias and with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching.similarity.codes import check_pair, shared_dtype

__all__ = ["cka", "minibatch_cka"]

#: Samples that are taken at once.
_ROWS: Final = 1024

#: Rows of a symmetric product that are computed at once, from the diagonal on.
_STRIP: Final = 64


def cka(a: Tensor, b: Tensor, *, unbiased: bool = True) -> Tensor:
    r"""Linear centred kernel alignment of two sets of codes of the same samples.

    With the kernels K = a a^T and L = b b^T,

        cka = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)),

    where, with K~ and L~ the kernels with a zero diagonal, the unbiased estimator is

        HSIC = [sum K~*L~ + (1'K~1)(1'L~1) / ((n-1)(n-2)) - 2 (K~1)'(L~1) / (n-2)] / (n(n-3)),

    and the biased one is tr(K H L H) / (n-1)^2 with H the centring matrix.

    The unbiased HSIC is an inner product of matrices (of the U-centred kernels), so by
    Cauchy-Schwarz the unbiased cka lies in [-1, 1] for every n; independent codes give 0 on
    average, and single values below 0 are no fault. The biased one lies in [0, 1], and about
    1 / (1 + n/d) is what independent codes of d features give: it needs n >> d.

    Invariant to orthogonal maps, isotropic scaling and translation of either side, and to a
    common permutation of the samples; not to general linear maps.

    Parameters
    ----------
    a, b
        Codes `(n, features)`, the number of features may differ. Row i of both is one sample.
    unbiased
        Which estimator of HSIC.

    Returns
    -------
    Tensor
        A scalar of the codes' (common) dtype, on their device; accumulated in float64.

    Raises
    ------
    InputError
        If the shapes do not fit, there are fewer than four samples, a value is NaN or infinite,
        or the codes of a side are the same for all samples (or for all but one, where the
        unbiased estimator is 0/0): the similarity is then undefined.

    Notes
    -----
    O(n d^2) time and, beside the codes, O(d^2) memory: of centred codes the rows of a kernel sum
    to zero, so that those of K~ sum to minus its diagonal, and sum K*L = \|a^T b\|^2; rows are
    taken in blocks. Where d > n, O(n^2 d) and two n x n matrices, which are smaller then.

    Sources: Kornblith et al. 2019 (arXiv 1905.00414); the unbiased estimator: Song et al. 2012,
    J. Mach. Learn. Res. 13; the inner product: Székely and Rizzo 2014 (arXiv 1310.2926).

    Examples
    --------
    Four samples that two features part in two independent ways:

    >>> a = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    >>> b = torch.tensor([[0.0], [1.0], [0.0], [1.0]])
    >>> round(cka(a, b).item(), 6)
    -0.5
    >>> round(cka(a, 3 - 2 * a).item(), 6)
    1.0
    """
    check_pair(a, b, samples=4)
    return _ratio(_sums(a, b, _largest(a), _largest(b)), unbiased).to(shared_dtype(a, b))


def minibatch_cka(batches: Iterable[tuple[Tensor, Tensor]], *, unbiased: bool = True) -> Tensor:
    """Linear CKA of codes that come in batches, of which only one is held at a time.

    The three HSIC of each batch (see `cka`) are averaged over batches, weighted by the number of
    samples, and the ratio is taken last. The mean of unbiased estimates is unbiased: what is
    estimated does not depend on the size of the batches. With the biased estimator it does.

    The value lies in [-1, 1], and has the invariances of `cka`, with maps that are the same for
    all batches (translations may even differ). One batch gives `cka` itself.

    Parameters
    ----------
    batches
        Pairs of codes `(batch, features)` of the same samples, at least four in each. A sample
        belongs in one batch only.
    unbiased
        Which estimator of HSIC.

    Returns
    -------
    Tensor
        A scalar of the codes' (common) dtype.

    Raises
    ------
    InputError
        If there is no batch, shapes do not fit (the features of a side must not change), or a
        batch has fewer than four samples; and as `cka` does for the codes of all batches.

    Notes
    -----
    O(n d^2) time, O(d^2) memory. Source: Nguyen, Raghu, Kornblith 2021 (arXiv 2010.15327).

    Examples
    --------
    >>> a = torch.arange(12.0).reshape(6, 2) ** 2
    >>> b = a.flip(1) * 5 + 3
    >>> round(minibatch_cka([(a, b)]).item(), 6)
    1.0
    """
    total: _Sums | None = None
    for a, b in batches:
        check_pair(a, b, samples=4)
        if total is None:
            features, dtype = (a.shape[1], b.shape[1]), shared_dtype(a, b)
            # One scale for all batches, so that their HSIC can be added.
            scales = (_largest(a), _largest(b))
        if (a.shape[1], b.shape[1]) != features:
            raise InputError(
                f"The first batch has {features[0]} and {features[1]} features, a later one "
                f"{a.shape[1]} and {b.shape[1]}. All batches must come from the same two models."
            )
        sums = _sums(a, b, *scales)
        total = sums if total is None else total + sums
    if total is None:
        raise InputError("There is no batch: at least one is needed.")
    return _ratio(total, unbiased).to(dtype)


@dataclass(frozen=True)
class _Sums:
    """Estimates of HSIC (K, L), (K, K), (L, L), times the number of samples, added over batches."""

    unbiased: Tensor  # (3,)
    biased: Tensor  # (3,)
    scale: Tensor  # (2,): of K and L, what rounding compares with

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(
            self.unbiased + other.unbiased, self.biased + other.biased, self.scale + other.scale
        )


def _largest(codes: Tensor) -> Tensor:
    """The largest absolute value, without a copy of the codes."""
    low, high = torch.aminmax(codes)
    return torch.maximum(low.abs(), high.abs()).double()


def _sums(a: Tensor, b: Tensor, scale_a: Tensor, scale_b: Tensor) -> _Sums:
    n = len(a)
    if max(a.shape[1], b.shape[1]) > n:
        squares, diagonals, traces = _by_kernels(a, b, scale_a, scale_b)
    else:
        squares, diagonals, traces = _by_products(a, b, scale_a, scale_b)
    both = torch.stack([traces[0] * traces[1], traces[0] ** 2, traces[1] ** 2])
    # The rows of the kernels with a zero diagonal sum to minus the diagonal.
    inner = squares - diagonals + both / ((n - 1) * (n - 2)) - 2 / (n - 2) * diagonals
    return _Sums(inner / (n - 3), n / (n - 1) ** 2 * squares, traces / (n - 3) ** 0.5)


def _by_products(a: Tensor, b: Tensor, scale_a: Tensor, scale_b: Tensor) -> tuple[Tensor, ...]:
    """|a^T b|^2 of centred codes, sums of products of squared norms, sums of squared norms.

    Of the pairs (a, b), (a, a), (b, b), `(3,)` and `(3,)`, and of a and b, `(2,)`.
    """
    means = [codes.mean(dim=0, dtype=torch.float64) for codes in (a, b)]
    across = means[0].new_zeros(a.shape[1], b.shape[1])
    own = [_symmetric(mean) for mean in means]
    diagonals, traces = means[0].new_zeros(3), means[0].new_zeros(2)
    for start in range(0, len(a), _ROWS):
        x = (a[start : start + _ROWS].double() - means[0]).div_(scale_a)  # (rows, d)
        y = (b[start : start + _ROWS].double() - means[1]).div_(scale_b)
        across.addmm_(x.T, y)
        for strips, z in zip(own, (x, y), strict=True):
            for first, strip in strips.items():
                strip.addmm_(z[:, first : first + _STRIP].T, z[:, first:])
        p, q = (x * x).sum(dim=1), (y * y).sum(dim=1)  # (rows,)
        diagonals += torch.stack([p @ q, p @ p, q @ q])
        traces += torch.stack([p.sum(), q.sum()])
    squares = [across.square().sum(), *(_sum_of_squares(strips) for strips in own)]
    return torch.stack(squares), diagonals, traces


def _symmetric(like: Tensor) -> dict[int, Tensor]:
    """Room for a symmetric matrix `(d, d)`: from each strip of rows on, what is not to its left."""
    size = len(like)
    return {
        first: like.new_zeros(min(_STRIP, size - first), size - first)
        for first in range(0, size, _STRIP)
    }


def _sum_of_squares(strips: dict[int, Tensor]) -> Tensor:
    """The squared norm of the symmetric matrix: what lies beside a square block counts twice."""
    blocks = [
        strip[:, : len(strip)].square().sum() + 2 * strip[:, len(strip) :].square().sum()
        for strip in strips.values()
    ]
    return torch.stack(blocks).sum()


def _by_kernels(a: Tensor, b: Tensor, scale_a: Tensor, scale_b: Tensor) -> tuple[Tensor, ...]:
    """What `_by_products` gives, by kernels `(n, n)`, which are smaller than products `(d, d)`."""
    kernels = []
    for codes, scale in ((a, scale_a), (b, scale_b)):
        moved = (codes.double() - codes.mean(dim=0, dtype=torch.float64)) / scale
        kernels.append(moved @ moved.T)
    p, q = (kernel.diagonal() for kernel in kernels)
    left, right = kernels
    squares = [(left * right).sum(), left.square().sum(), right.square().sum()]
    return (
        torch.stack(squares),
        torch.stack([p @ q, p @ p, q @ q]),
        torch.stack([p.sum(), q.sum()]),
    )


def _ratio(sums: _Sums, unbiased: bool) -> Tensor:
    hsic = sums.unbiased if unbiased else sums.biased
    for which, own, scale in zip(("first", "second"), hsic[1:], sums.scale, strict=True):
        # Rounding is of the order of one float64 epsilon of the squared trace.
        if float(own) <= 64 * torch.finfo(torch.float64).eps * float(scale) ** 2:
            raise InputError(
                f"The codes of the {which} side are the same for all samples but one: "
                "their similarity to others is undefined."
            )
    return (hsic[0] / (hsic[1] * hsic[2]).sqrt()).clamp(-1.0, 1.0)
