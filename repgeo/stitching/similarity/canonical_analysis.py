"""Canonical correlations of two spaces, and three means of them: mean CCA, SVCCA, PWCCA."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching.similarity.codes import centred, check_pair, shared_dtype

__all__ = ["canonical_correlations", "directions", "mean_cca", "pwcca", "svcca"]


def canonical_correlations(
    a: Tensor, b: Tensor, *, variance: float | None = None, rounding: float | None = None
) -> Tensor:
    """The canonical correlations of two sets of codes of the same samples, from the largest on.

    The cosines of the principal angles between the column spaces of the centred codes: the
    singular values of U_a^T U_b, with U_a and U_b orthonormal bases of these spaces. There are
    min(r_a, r_b) of them for spaces of ranks r_a and r_b: a dimension that is a combination of
    others, or constant, adds none.

    **n must exceed the dimensions.** Two spaces of dimensions r_a and r_b within the n - 1
    dimensions of centred columns meet in at least r_a + r_b - (n - 1): so many correlations are 1
    whatever the codes. Where a space fills all n - 1 dimensions every correlation is 1, and
    nothing is measured: this is refused.

    Invariant to invertible affine maps of either side (with `variance`, to orthogonal maps,
    isotropic scaling and translation), and to a common permutation of the samples.

    Parameters
    ----------
    a, b
        Codes `(n, features)`, the number of features may differ. Row i of both is one sample.
    variance
        Keep of each space only the leading principal directions that explain this share of its
        variance, in (0, 1]; None keeps all.
    rounding
        The relative precision of the codes: directions whose singular value is at most
        `max(n, features) * rounding` times the largest are none. By default that of their dtype.

    Returns
    -------
    Tensor
        `(min(r_a, r_b),)`, in [0, 1], of the codes' (common) dtype, on their device.

    Raises
    ------
    InputError
        If the shapes do not fit, there are fewer than three samples, a value is NaN or infinite,
        the codes of a side are the same for all samples, `variance` is no share, or a space has
        as many dimensions as centred samples can have.

    Notes
    -----
    O(n d min(n, d)) by QR and SVD in float64, without covariances, whose condition number would
    be the square. Source: Hotelling 1936; Björck, Golub 1973 for the algorithm.

    Examples
    --------
    >>> t = torch.arange(8.0)
    >>> a = torch.stack([t, t.cos()], dim=1)
    >>> canonical_correlations(a, a @ torch.tensor([[1.0, 2.0], [0.0, 3.0]]) + 1)
    tensor([1., 1.])
    """
    left, right = _spaces(a, b, variance, rounding)
    return _correlations(left, right).to(shared_dtype(a, b))


def mean_cca(a: Tensor, b: Tensor, *, rounding: float | None = None) -> Tensor:
    """The mean of the canonical correlations over min(r_a, r_b) directions.

    1 where the smaller space is a linear image of the other; for independent codes
    `mean_cca_chance(n, r_a, r_b)`, which is far from 0 unless n is much larger than the ranks.

    Invariant to invertible affine maps of either side.

    Parameters
    ----------
    a, b, rounding
        As for `canonical_correlations`.

    Returns
    -------
    Tensor
        A scalar in [0, 1] of the codes' (common) dtype, on their device.

    Raises
    ------
    InputError
        As `canonical_correlations` does; in particular n must exceed the dimensions.

    Notes
    -----
    Source: Kornblith et al. 2019 (arXiv 1905.00414), there divided by the number of features.

    Examples
    --------
    Of two features, the other side holds one:

    >>> t = torch.linspace(-1, 1, 9)
    >>> round(mean_cca(torch.stack([t, t**2], dim=1), 5 - t[:, None]).item(), 6)
    1.0
    """
    return canonical_correlations(a, b, rounding=rounding).double().mean().to(shared_dtype(a, b))


def svcca(a: Tensor, b: Tensor, *, variance: float = 0.99, rounding: float | None = None) -> Tensor:
    """Mean canonical correlation of the leading principal directions of each side.

    Each space is first cut down by a singular value decomposition to the fewest leading
    directions that explain `variance` of its variance; then the mean of the canonical
    correlations is taken over the smaller of the two numbers of directions. Without this
    truncation directions of noise count as much as all others.

    Invariant to orthogonal maps, isotropic scaling and translation of either side; not to
    general linear maps, which change what the leading directions are.

    Parameters
    ----------
    a, b, variance, rounding
        As for `canonical_correlations`.

    Returns
    -------
    Tensor
        A scalar in [0, 1] of the codes' (common) dtype, on their device.

    Raises
    ------
    InputError
        As `canonical_correlations` does.

    Notes
    -----
    Source: Raghu et al. 2017 (arXiv 1706.05806).

    Examples
    --------
    A faint feature is cut off:

    >>> t = torch.linspace(-1, 1, 9)
    >>> a = torch.stack([t, 1e-3 * t**2], dim=1)
    >>> round(svcca(a, torch.stack([t, 1e-3 * t.abs() ** 3], dim=1)).item(), 6)
    1.0
    """
    value = canonical_correlations(a, b, variance=variance, rounding=rounding).double().mean()
    return value.to(shared_dtype(a, b))


def pwcca(a: Tensor, b: Tensor, *, rounding: float | None = None) -> Tensor:
    """Projection-weighted mean of the canonical correlations, with the weights of the first side.

    sum_i w_i rho_i / sum_i w_i,  w_i = sum_j |<h_i, a_j>|, with h_i the canonical variates of the
    first side and a_j its centred features: a direction counts as much as the features are along
    it. Not symmetric in its sides.

    Invariant to permutations of the features, isotropic scaling and translation of the first
    side, and to invertible affine maps of the second. *Not* to rotations of the first side: the
    weights are sums of absolute values over its coordinates. What holds on either side is
    permutation, scaling and translation.

    Parameters
    ----------
    a, b, rounding
        As for `canonical_correlations`.

    Returns
    -------
    Tensor
        A scalar in [0, 1] of the codes' (common) dtype, on their device.

    Raises
    ------
    InputError
        As `canonical_correlations` does; in particular n must exceed the dimensions.

    Notes
    -----
    Where the first space has more dimensions than the second, only as many variates as there are
    correlations are weighted. Where several correlations are equal (for instance 1, if
    r_a + r_b > n - 1) their variates are not unique, and the weighted mean still is.
    Source: Morcos, Raghu, Bengio 2018 (arXiv 1806.05759).

    Examples
    --------
    >>> t = torch.linspace(-1, 1, 9)
    >>> a = torch.stack([t, t**2], dim=1)
    >>> round(pwcca(a, a.flip(1) * torch.tensor([3.0, -0.1])).item(), 6)
    1.0
    """
    left, right = _spaces(a, b, None, rounding)
    own, correlations, _ = torch.linalg.svd(left.basis.T @ right.basis, full_matrices=False)
    # <h_i, a_j> with a = basis diag(lengths) axes^T and h = basis own: no (n, d) product.
    weights = (own.T @ (left.lengths[:, None] * left.axes)).abs().sum(dim=1)  # (correlations,)
    value: Tensor = (weights @ correlations.clamp(0.0, 1.0)) / weights.sum()
    return value.clamp(0.0, 1.0).to(shared_dtype(a, b))


def directions(
    codes: Tensor, *, variance: float | None = None, rounding: float | None = None
) -> int:
    """How many dimensions of a space the canonical correlations see: its rank, or fewer.

    Parameters
    ----------
    codes
        `(n, features)`.
    variance, rounding
        As for `canonical_correlations`.

    Returns
    -------
    int
        The rank of the centred codes, or the fewest principal directions that explain `variance`.

    Raises
    ------
    InputError
        As `canonical_correlations` does.

    Examples
    --------
    >>> t = torch.linspace(-1, 1, 9)
    >>> codes = torch.stack([t, t**2, 2 * t, torch.ones(9)], dim=1)
    >>> directions(codes), directions(codes, variance=0.5)
    (2, 1)
    """
    check_pair(codes, codes, samples=3)
    return len(_space(codes, variance, rounding).lengths)


@dataclass(frozen=True)
class _Space:
    """Centred codes as basis diag(lengths) axes: their singular value decomposition, cut down."""

    basis: Tensor  # (n, r), orthonormal columns
    lengths: Tensor  # (r,), falling
    axes: Tensor  # (r, features), orthonormal rows


def _spaces(
    a: Tensor, b: Tensor, variance: float | None, rounding: float | None
) -> tuple[_Space, _Space]:
    check_pair(a, b, samples=3)
    if variance is not None and not 0 < variance <= 1:
        raise InputError(f"variance is a share in (0, 1], got {variance}.")
    spaces = (_space(a, variance, rounding), _space(b, variance, rounding))
    for which, space in zip(("first", "second"), spaces, strict=True):
        if len(space.lengths) >= len(a) - 1:
            raise InputError(
                f"The codes of the {which} side have {len(space.lengths)} dimensions, and "
                f"{len(a)} centred samples have no more: all canonical correlations would be 1. "
                "n must exceed the dimensions: give more samples, or cut the space down (svcca)."
            )
    return spaces


def _space(codes: Tensor, variance: float | None, rounding: float | None) -> _Space:
    moved = centred(codes)
    if len(moved) > moved.shape[1]:
        factor, triangle = torch.linalg.qr(moved)
        basis, lengths, axes = torch.linalg.svd(triangle)
        basis = factor @ basis
    else:
        basis, lengths, axes = torch.linalg.svd(moved, full_matrices=False)
    if rounding is None:
        rounding = torch.finfo(codes.dtype).eps
    kept = int((lengths > max(moved.shape) * rounding * lengths[0]).sum())
    if variance is not None:
        explained = lengths[:kept].square().cumsum(0)
        # Rounding of the sums must not ask for one direction more.
        wanted = variance * explained[-1] * (1 - 1e-12)
        kept = int((explained < wanted).sum()) + 1
    return _Space(basis[:, :kept], lengths[:kept], axes[:kept])


def _correlations(left: _Space, right: _Space) -> Tensor:
    values: Tensor = torch.linalg.svdvals(left.basis.T @ right.basis)
    return values.clamp(0.0, 1.0)
