"""Translators that keep distances: rotations and reflections."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from repgeo.errors import InputError, nearest
from repgeo.stitching.translators.least_squares import least_squares, mean_or_zero
from repgeo.stitching.translators.translator import AffineMapTranslator, Paired

__all__ = ["OrthogonalTranslator", "PolarTranslator", "SizeMatching"]

SizeMatching: TypeAlias = Literal["pad", "pca"]

_SIZES: Final[tuple[str, ...]] = get_args(SizeMatching)


@dataclass(frozen=True, eq=False)
class OrthogonalTranslator(AffineMapTranslator):
    r"""The rigid motion that carries source codes closest to target codes (Procrustes).

    Both sides are centred; the matrix is R = U V^T of the singular value decomposition
    U Sigma V^T = S^T T, which minimises \|S R - T\| over orthogonal matrices, reflections included.
    It is the only one where S^T T has full rank; else what the fit leaves open is arbitrary.

    Parameters
    ----------
    center
        Subtract both sides' means.
    scaling
        Multiply R by the positive number that minimises the distance, <S R, T> / \|S R\|^2.
    standardize
        Divide each feature by its standard deviation first and multiply by the target's last, as
        published translators do by default. This is not a rigid motion, and it loses rotations:
        where the target is a rotated source, the standardised codes are no rotations of each
        other. Features that are constant over the fit, up to rounding, are left out.
    sizes
        Between different numbers of features: "pad" the smaller space with zeros, or use the
        leading principal components ("pca") of the larger one over the fit, as many as the smaller
        space has features. Either way R has orthonormal rows or columns.

    Raises
    ------
    InputError
        If `sizes` is unknown, or `standardize` is asked for without `center`.

    Notes
    -----
    O(n d^2 + d^3), in float64. Source: Schönemann 1966, Psychometrika 31; as a stitch: Maiorca et
    al. 2023 (arXiv 2311.00664).

    Examples
    --------
    >>> source = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> target = torch.stack([-source[:, 1], source[:, 0]], dim=1) + 5  # a quarter turn
    >>> OrthogonalTranslator().fit(source, target).transform(torch.tensor([[2.0, 0.0]]))
    tensor([[5., 7.]])
    """

    _: KW_ONLY
    center: bool = True
    scaling: bool = False
    standardize: bool = False
    sizes: SizeMatching = "pad"

    def __post_init__(self) -> None:
        if self.sizes not in _SIZES:
            raise InputError(
                f"Unknown matching of sizes {self.sizes!r}. {nearest(self.sizes, _SIZES)}"
            )
        if self.standardize and not self.center:
            raise InputError(
                "Standardising subtracts the mean by definition, center=False contradicts it."
            )

    @property
    def source_invariance_group(self) -> frozenset[str]:
        """Transformations of the source's space that the translator undoes."""
        if self.standardize:
            return frozenset({"permutation", "diagonal", "scaling", "translation"})
        found = {"permutation", "orthogonal"}
        if self.center:
            found.add("translation")
        if self.scaling:
            found.add("scaling")
        return frozenset(found)

    @property
    def target_equivariance_group(self) -> frozenset[str]:
        """Transformations of the target's space that the translated codes go along with."""
        return self.source_invariance_group  # the two sides play the same part

    def _fit(self, paired: Paired) -> None:
        means = mean_or_zero(paired.source, self.center), mean_or_zero(paired.target, self.center)
        source, target = paired.source - means[0], paired.target - means[1]
        deviations = torch.ones_like(means[0]), torch.ones_like(means[1])
        if self.standardize:
            deviations = (
                _deviation(paired.source, paired.source_rounding),
                _deviation(paired.target, paired.target_rounding),
            )
        weights = [
            torch.where(d == 0.0, 0.0, 1.0 / torch.where(d == 0.0, 1.0, d)) for d in deviations
        ]
        source, target = source * weights[0], target * weights[1]
        matrix = self._between_sizes(source, target, paired.source_rounding)
        if self.scaling:
            moved = source @ matrix
            size = moved.square().sum()
            # Codes that do not vary have nothing to scale.
            matrix = matrix * torch.where(size > 0, (moved * target).sum() / size, 1.0)
        matrix = weights[0][:, None] * matrix * deviations[1]
        self._keep(matrix_=matrix, source_mean_=means[0], target_mean_=means[1])

    def _between_sizes(self, source: Tensor, target: Tensor, rounding: float) -> Tensor:
        d1, d2 = source.shape[1], target.shape[1]
        # Padding with zeros needs no zeros: the thin decomposition gives the same block.
        if self.sizes == "pad" or d1 == d2:
            return self._rotation(source, target, rounding)
        if d1 > d2:
            leading = _leading_components(source, d2)  # (d1, d2)
            return leading @ self._rotation(source @ leading, target, rounding)
        leading = _leading_components(target, d1)  # (d2, d1)
        return self._rotation(source, target @ leading, rounding) @ leading.T

    def _rotation(self, source: Tensor, target: Tensor, rounding: float) -> Tensor:
        return _polar_factor(source.T @ target)


@dataclass(frozen=True, eq=False)
class PolarTranslator(OrthogonalTranslator):
    r"""The orthogonal matrix that is nearest to the least-squares map ("l-ortho").

    U V^T of the singular value decomposition of W = pinv(S) T: the nearest orthogonal matrix to W,
    which is not the one that carries S closest to T (`OrthogonalTranslator` is). The two differ by
    how they weigh directions: W gives all directions of the source the same weight, S^T T weighs
    them by their variance. W is that of `LeastSquaresTranslator`, of smallest norm.

    Parameters, errors and costs are those of `OrthogonalTranslator`.

    Notes
    -----
    Source: Maiorca et al. 2023 (arXiv 2311.00664).

    Examples
    --------
    >>> source = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> stretched = source * torch.tensor([3.0, 0.5])
    >>> PolarTranslator(center=False).fit(source, stretched).matrix_
    tensor([[1., 0.],
            [0., 1.]], dtype=torch.float64)
    """

    def _rotation(self, source: Tensor, target: Tensor, rounding: float) -> Tensor:
        return _polar_factor(least_squares(source, target, rounding=rounding))


def _polar_factor(matrix: Tensor) -> Tensor:
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    factor: Tensor = left @ right
    return factor


def _leading_components(centred: Tensor, count: int) -> Tensor:
    """Directions of largest second moment, as columns `(features, count)`."""
    _, _, right = torch.linalg.svd(centred, full_matrices=centred.shape[0] < count)
    leading: Tensor = right[:count].T
    return leading


def _deviation(codes: Tensor, rounding: float) -> Tensor:
    """Standard deviations (biased) of features, `(features,)`: exactly 0 where they are dead."""
    deviation = codes.std(dim=0, correction=0)
    dead = deviation <= 8 * rounding * codes.square().mean(dim=0).sqrt()
    return torch.where(dead, 0.0, deviation)
