"""Translators that minimise the squared distance over all linear or affine maps."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching.translators.translator import AffineMapTranslator, Paired

__all__ = ["LeastSquaresTranslator", "least_squares", "mean_or_zero"]


@dataclass(frozen=True, eq=False)
class LeastSquaresTranslator(AffineMapTranslator):
    r"""The linear or affine map that carries source codes closest to target codes.

    With S and T the codes of the fit, centred or not, the matrix minimises

        \|S W - T\|^2 + penalty * lambda * \|W\|^2,    lambda = \|S\|^2 / source features,

    where lambda is the mean eigenvalue of S^T S: a relative ridge, which means the same for codes
    of any size and number. Without a penalty it is the solution of smallest norm, pinv(S) T:
    singular values of S below max(n, features) units of rounding of its dtype, relative to the
    largest, count as zero, so that dead or dependent features change nothing.

    Invariances hold for source codes of full column rank; below it, what remains without a
    penalty is "permutation", "orthogonal", "scaling" (and "translation" if centred) for all
    codes, and the rest for codes in the span of the fit's. With a penalty the same groups remain
    at any rank.

    Parameters
    ----------
    center
        Subtract both sides' means, and fit an affine map; else a linear one, without a constant.
    penalty
        The relative ridge, at least 0.

    Raises
    ------
    InputError
        If the penalty is negative or not finite.

    Notes
    -----
    O(n d^2), by a singular value decomposition in float64. (The default solver of
    `torch.linalg.lstsq` on CPU is not used: it is wrong where the first column is zero, as with a
    dead unit.) Source: Maiorca et al. 2023 (arXiv 2311.00664).

    Examples
    --------
    >>> source = torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0]])  # the first feature is dead
    >>> fitted = LeastSquaresTranslator().fit(source, 3 * source[:, 1:] + 1)
    >>> fitted.transform(torch.tensor([[9.0, 4.0]]))
    tensor([[13.]])

    With orthonormal codes the penalty shrinks by 1 / (1 + penalty):

    >>> ridge = LeastSquaresTranslator(center=False, penalty=1.0).fit(torch.eye(2), torch.eye(2))
    >>> ridge.transform(torch.tensor([[2.0, 4.0]]))
    tensor([[1., 2.]])
    """

    _: KW_ONLY
    center: bool = True
    penalty: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.penalty < float("inf"):
            raise InputError(f"The penalty must be 0 or positive, got {self.penalty}.")

    @property
    def source_invariance_group(self) -> frozenset[str]:
        """Transformations of the source's space that the translator undoes."""
        found = {"permutation", "orthogonal", "scaling"}
        if self.center:
            found.add("translation")
        if self.penalty == 0.0:
            found |= {"diagonal", "invertible"} | ({"affine"} if self.center else set())
        return frozenset(found)

    @property
    def target_equivariance_group(self) -> frozenset[str]:
        """Transformations of the target's space that the translated codes go along with."""
        linear = {"permutation", "orthogonal", "scaling", "diagonal", "invertible"}
        return frozenset(linear | ({"translation", "affine"} if self.center else set()))

    def _fit(self, paired: Paired) -> None:
        means = mean_or_zero(paired.source, self.center), mean_or_zero(paired.target, self.center)
        source, target = paired.source - means[0], paired.target - means[1]
        matrix = least_squares(
            source, target, rounding=paired.source_rounding, penalty=self.penalty
        )
        self._keep(matrix_=matrix, source_mean_=means[0], target_mean_=means[1])


def mean_or_zero(codes: Tensor, center: bool) -> Tensor:
    """The mean of codes `(n, features)`, or zeros: `(features,)`."""
    return codes.mean(dim=0) if center else codes.new_zeros(codes.shape[1])


def least_squares(
    source: Tensor, target: Tensor, *, rounding: float, penalty: float = 0.0
) -> Tensor:
    """The matrix `(source features, target features)` of `LeastSquaresTranslator`.

    Parameters
    ----------
    source, target
        `(n, source features)` and `(n, target features)`, float64.
    rounding
        The rounding unit of the source's dtype.
    penalty
        Relative to the mean eigenvalue of source^T source.

    Examples
    --------
    >>> source = torch.tensor([[1.0], [1.0]], dtype=torch.float64)
    >>> least_squares(source, 2 * source, rounding=1e-16)
    tensor([[2.0000]], dtype=torch.float64)
    """
    left, values, right = torch.linalg.svd(source, full_matrices=False)
    # Singular values that are rounding alone have directions that are, too.
    alive = values > max(source.shape) * rounding * values[:1]
    ridge = penalty * values.square().sum() / source.shape[1]
    shrunk = torch.where(alive, values / (values.square() + ridge), 0.0)
    matrix: Tensor = right.T @ (shrunk[:, None] * (left.T @ target))
    return matrix
