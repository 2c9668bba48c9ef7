"""Similarity of two representations of the same samples."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.errors import InputError

__all__ = ["cka"]


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
    O(n d^2) time and no n x n matrix; where d > n, O(n^2 d) and two n x n matrices.

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
    _check(a, b)
    left, right = _normalised(a, "first"), _normalised(b, "second")
    hsic = _inner_unbiased if unbiased else _inner_biased
    dense = max(a.shape[1], b.shape[1]) > a.shape[0]
    if dense:
        left, right = left @ left.T, right @ right.T  # kernels (n, n): smaller than Grams (d, d)
    own = [hsic(side, side, dense=dense) for side in (left, right)]
    for which, value in zip(("first", "second"), own, strict=True):
        # Traces are 1, so rounding is of the order of one float64 epsilon.
        if float(value) <= 64 * torch.finfo(torch.float64).eps:
            raise InputError(
                f"The codes of the {which} side are the same for all samples but one: "
                "their similarity to others is undefined."
            )
    value = hsic(left, right, dense=dense) / (own[0] * own[1]).sqrt()
    return value.clamp(-1.0, 1.0).to(torch.promote_types(a.dtype, b.dtype))


def _check(a: Tensor, b: Tensor) -> None:
    for which, codes in (("first", a), ("second", b)):
        if codes.ndim != 2 or codes.shape[1] == 0:
            raise InputError(
                f"Codes must have the shape (n, features), the {which} side has "
                f"{tuple(codes.shape)}. Flatten them: codes.flatten(1)."
            )
        if not codes.is_floating_point():
            raise InputError(f"Codes must be floating point, the {which} side is {codes.dtype}.")
        if not bool(torch.isfinite(codes).all()):
            raise InputError(f"The codes of the {which} side hold NaN or infinite values.")
    if a.shape[0] != b.shape[0]:
        raise InputError(
            f"Both sides need codes of the same samples, got {a.shape[0]} and {b.shape[0]} rows."
        )
    if a.shape[0] < 4:
        raise InputError(f"At least four samples are needed, got {a.shape[0]}.")


def _normalised(codes: Tensor, which: str) -> Tensor:
    """Centred codes of Frobenius norm 1 in float64: neither changes the result.

    Centring first keeps digits where codes have a large common offset.
    """
    if bool((codes == codes[:1]).all()):
        raise InputError(
            f"The codes of the {which} side are the same for all samples: "
            "their similarity to others is undefined."
        )
    wide = codes.double()
    wide = wide / wide.abs().max()  # squares of very large or very small codes stay in range
    wide = wide - wide.mean(dim=0)
    return wide / wide.square().sum().sqrt()


def _inner_biased(a: Tensor, b: Tensor, *, dense: bool) -> Tensor:
    """tr(K L) of centred codes `(n, d)`, or of their kernels `(n, n)` where dense."""
    return (a * b).sum() if dense else (a.T @ b).square().sum()


def _inner_unbiased(a: Tensor, b: Tensor, *, dense: bool) -> Tensor:
    """n(n-3) times the unbiased HSIC of codes `(n, d)`, or of kernels `(n, n)` where dense."""
    n = a.shape[0]
    diagonals = [k.diagonal() if dense else k.square().sum(dim=1) for k in (a, b)]  # (n,)
    sums = [k.sum(dim=1) if dense else k @ k.sum(dim=0) for k in (a, b)]  # of the kernels' rows
    rows_a, rows_b = (total - own for total, own in zip(sums, diagonals, strict=True))
    product = _inner_biased(a, b, dense=dense) - diagonals[0] @ diagonals[1]
    means = rows_a.sum() * rows_b.sum() / ((n - 1) * (n - 2))
    return product + means - 2 / (n - 2) * (rows_a @ rows_b)
