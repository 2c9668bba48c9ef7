"""Translators: maps from one model's codes into another's, fitted on paired samples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from repgeo.errors import InputError

__all__ = ["AffineTranslator", "OrthogonalTranslator", "fit_affine", "fit_orthogonal"]


@dataclass(frozen=True, eq=False)
class AffineTranslator:
    """z -> (z - source_mean) matrix + target_mean.

    Attributes
    ----------
    matrix
        `(source features, target features)`, float64.
    source_mean, target_mean
        `(source features,)` and `(target features,)`, float64.
    """

    matrix: Tensor
    source_mean: Tensor
    target_mean: Tensor

    def transform(self, codes: Tensor) -> Tensor:
        """Codes `(n, source features)` in the target's space, `(n, target features)`.

        Raises
        ------
        InputError
            If the number of features does not fit.
        """
        if codes.ndim != 2 or codes.shape[1] != self.matrix.shape[0]:
            raise InputError(
                f"Codes must have the shape (n, {self.matrix.shape[0]}), got {tuple(codes.shape)}."
            )
        moved = (codes.double() - self.source_mean) @ self.matrix + self.target_mean
        return moved.to(codes.dtype)


@dataclass(frozen=True, eq=False)
class OrthogonalTranslator(AffineTranslator):
    """An affine translator whose matrix has orthonormal rows or columns."""


def fit_orthogonal(source: Tensor, target: Tensor) -> OrthogonalTranslator:
    """The rigid motion that carries source codes closest to target codes (Procrustes).

    Both sides are centred; the matrix is U V^T of the singular value decomposition of
    source^T target, which minimises the sum of squared distances over orthogonal matrices
    (reflections included). With different numbers of features it is the matrix with orthonormal
    rows or columns that one gets by padding the smaller space with zeros. There is no scaling.

    Parameters
    ----------
    source, target
        Codes of the same samples, `(n, source features)` and `(n, target features)`.

    Raises
    ------
    InputError
        If the shapes do not fit, or a value is NaN or infinite.

    Notes
    -----
    O(n d^2 + d^3), in float64. Source: Schönemann 1966, Psychometrika 31; as a stitch: Maiorca et
    al. 2023 (arXiv 2311.00664).

    Examples
    --------
    >>> source = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> target = torch.stack([-source[:, 1], source[:, 0]], dim=1) + 5  # a quarter turn
    >>> fit_orthogonal(source, target).transform(torch.tensor([[2.0, 0.0]]))
    tensor([[5., 7.]])
    """
    source, target, means, _ = _centred(source, target)
    left, _, right = torch.linalg.svd(source.T @ target, full_matrices=False)
    return OrthogonalTranslator(left @ right, *means)


def fit_affine(source: Tensor, target: Tensor) -> AffineTranslator:
    """The affine map that carries source codes closest to target codes (least squares).

    Both sides are centred; the matrix is pinv(source) target, the least-squares solution of
    smallest norm. Singular values of the source below max(n, features) units of rounding of its
    dtype, relative to the largest, count as zero: dead or dependent features change nothing.

    Parameters
    ----------
    source, target
        Codes of the same samples, `(n, source features)` and `(n, target features)`.

    Raises
    ------
    InputError
        If the shapes do not fit, or a value is NaN or infinite.

    Notes
    -----
    O(n d^2), by a singular value decomposition in float64. (The default solver of
    `torch.linalg.lstsq` on CPU is not used: it is wrong where the first column is zero.) Source:
    Maiorca et al. 2023 (arXiv 2311.00664).

    Examples
    --------
    >>> source = torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0]])  # the first feature is dead
    >>> fit_affine(source, 3 * source[:, 1:] + 1).transform(torch.tensor([[9.0, 4.0]]))
    tensor([[13.]])
    """
    rounding = torch.finfo(source.dtype).eps if source.is_floating_point() else 0.0
    source, target, means, n = _centred(source, target)
    rtol = max(n, source.shape[1]) * rounding
    return AffineTranslator(torch.linalg.pinv(source, rtol=rtol) @ target, *means)


def _centred(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor], int]:
    for name, codes in (("source", source), ("target", target)):
        if codes.ndim != 2 or not codes.is_floating_point():
            raise InputError(
                f"The {name} codes must be floating point (n, features), got {codes.dtype} "
                f"{tuple(codes.shape)}."
            )
        if not bool(torch.isfinite(codes).all()):
            raise InputError(f"The {name} codes hold NaN or infinite values.")
    if len(source) != len(target) or len(source) < 2:
        raise InputError(
            "A translator needs codes of the same samples, two at least; got "
            f"{len(source)} source and {len(target)} target codes."
        )
    means = source.double().mean(dim=0), target.double().mean(dim=0)
    return source.double() - means[0], target.double() - means[1], means, len(source)
