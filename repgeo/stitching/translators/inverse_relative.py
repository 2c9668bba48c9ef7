"""From relative coordinates back to codes, and so from one space into another."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Final, Literal, Self, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError, nearest
from repgeo.stitching.codes import Codes, as_codes, directions, like_codes
from repgeo.stitching.translators.least_squares import mean_or_zero
from repgeo.stitching.translators.translator import Paired, Translator

__all__ = ["InverseRelativeProjection", "InverseRelativeTranslator", "RestoredNorm"]

RestoredNorm: TypeAlias = Literal["mean", "kept", "unit"]

_NORMS: Final[tuple[str, ...]] = get_args(RestoredNorm)


@dataclass(frozen=True, eq=False)
class InverseRelativeProjection:
    r"""Directions from their cosines to anchors: the inverse of the relative representation.

    With A the anchors as unit rows, the cosines of a direction u are r = A u, and

        u = pinv(A) r:

    exact where the anchors span the space, else the projection of u onto their span. What it
    loses of the rounding of r grows with the condition number of A (`condition_`), not with the
    number of anchors. Singular values below max(anchors, features) units of rounding of the
    anchors' dtype, relative to the largest, count as zero.

    Parameters
    ----------
    center
        The cosines are those of codes and anchors after subtraction of the anchors' mean (of
        `RelativeProjection("cosine", center=True)`).

    Attributes
    ----------
    inverse_
        pinv(A)^T, `(anchors, features)`, float64. Set by `fit`.
    condition_
        The largest singular value of A over the smallest that counts. Set by `fit`.
    rank_
        How many singular values count: the dimension that the anchors span. Set by `fit`.
    mean_, norm_
        The anchors' mean `(features,)` (zeros without `center`), and the mean of their norms after
        its subtraction. Set by `fit`.

    Notes
    -----
    `fit` costs O(k d^2) for k anchors, `transform` O(n k d). Source: Maiorca et al. 2024
    (arXiv 2406.15057).

    Examples
    --------
    >>> inverse = InverseRelativeProjection().fit(torch.tensor([[2.0, 0.0], [1.0, 1.0]]))
    >>> second_axis = inverse.transform(torch.tensor([[0.0, 0.5**0.5]]))
    >>> second_axis.round(decimals=4).abs()
    tensor([[0., 1.]])
    """

    _: KW_ONLY
    center: bool = False
    inverse_: Tensor = field(init=False, repr=False)
    mean_: Tensor = field(init=False, repr=False)
    condition_: float = field(init=False, repr=False)
    norm_: float = field(init=False, repr=False)
    rank_: int = field(init=False, repr=False)

    def fit(self, anchors: Tensor | np.ndarray, y: object = None) -> Self:
        """Decompose the anchors `(anchors, features)` of the space to return to.

        `y` is ignored; it is there for pipelines.

        Raises
        ------
        InputError
            If the shape does not fit, a value is NaN or infinite, or all anchors are zero (after
            centring).
        """
        tensor = as_codes(anchors, "anchors").detach()
        self._fit(tensor.double(), torch.finfo(tensor.dtype).eps)
        return self

    def _fit(self, anchors: Tensor, rounding: float) -> None:
        if len(anchors) < 1:
            raise InputError("At least one anchor is needed.")
        mean = mean_or_zero(anchors, self.center)
        norms = torch.linalg.vector_norm(anchors - mean, dim=1)
        units = directions(anchors - mean)
        left, values, right = torch.linalg.svd(units, full_matrices=False)
        alive = values > max(units.shape) * rounding * values[:1]
        if not bool(alive.any()):
            raise InputError(
                "All anchors are zero" + (" after centring" if self.center else "") + ": they "
                "have no directions. Give anchors that differ."
            )
        inverted = torch.where(alive, 1.0 / torch.where(alive, values, 1.0), 0.0)
        rank = int(alive.sum())
        fitted = {
            "inverse_": (left * inverted) @ right,
            "mean_": mean,
            "condition_": float(values[0] / values[rank - 1]),
            "norm_": float(norms.mean()),
            "rank_": rank,
        }
        for name, value in fitted.items():
            object.__setattr__(self, name, value)

    def transform(self, relative: Codes) -> Codes:
        """Directions `(n, features)` from cosines to the anchors `(n, anchors)`.

        Raises
        ------
        InputError
            If it is not fitted, the number of anchors does not fit, or a value is NaN or infinite.
        """
        if not hasattr(self, "inverse_"):
            raise InputError("This projection has no anchors yet. Call fit(anchors) first.")
        tensor = as_codes(relative, "relative coordinates")
        if tensor.shape[1] != len(self.inverse_):
            raise InputError(
                f"The relative coordinates are to {tensor.shape[1]} anchors, the projection was "
                f"fitted on {len(self.inverse_)}."
            )
        return like_codes(tensor.double() @ self.inverse_.to(tensor.device), relative)


@dataclass(frozen=True, eq=False)
class InverseRelativeTranslator(Translator):
    r"""Into the relative coordinates of one space, and out by those of another.

    With A and B the anchors of source and target as unit rows, and u = z / \|z\|,

        z -> rho * (u A^T) pinv(B)^T,

    rho the mean norm of the target's anchors. Each side is decomposed alone: nothing is
    optimised over the pair, and a space's half can be made before the other model exists. The
    norm of z is lost, as cosines lose it: heads that do not see scale are assumed.

    Parameters
    ----------
    center
        Subtract each side's mean over the anchors first, and add the target's last.
    norm
        What becomes of the norm: "mean" is the published rule, rho as above; "kept" multiplies
        rho by \|z\| over the mean norm of the source's anchors; "unit" has rho = 1.

    Attributes
    ----------
    source_
        The source's anchors as unit rows, `(anchors, source features)`, float64. Set by `fit`.
    target_
        The inverse projection of the target's anchors. Set by `fit`.

    Raises
    ------
    InputError
        If `norm` is unknown.

    Notes
    -----
    `fit` costs O(k d^2), `transform` O(n k d). Source: Maiorca et al. 2024 (arXiv 2406.15057).

    Examples
    --------
    >>> source = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> target = 3 * torch.stack([-source[:, 1], source[:, 0]], dim=1)  # turned, and larger
    >>> fitted = InverseRelativeTranslator().fit(source, target)
    >>> fitted.transform(torch.tensor([[5.0, 0.0]])).round(decimals=4)
    tensor([[0., 3.]])
    """

    _: KW_ONLY
    center: bool = False
    norm: RestoredNorm = "mean"
    source_: Tensor = field(init=False, repr=False)
    source_mean_: Tensor = field(init=False, repr=False)
    source_norm_: float = field(init=False, repr=False)
    target_: InverseRelativeProjection = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.norm not in _NORMS:
            raise InputError(f"Unknown norm {self.norm!r}. {nearest(self.norm, _NORMS)}")

    @property
    def source_invariance_group(self) -> frozenset[str]:
        """Transformations of the source's space that the translator undoes."""
        translation = {"translation"} if self.center else set()
        return frozenset({"permutation", "orthogonal", "scaling"} | translation)

    @property
    def target_equivariance_group(self) -> frozenset[str]:
        """Transformations of the target's space that the translated codes go along with."""
        found = {"permutation", "orthogonal"}
        if self.norm != "unit":
            found.add("scaling")
        return frozenset(found | ({"translation"} if self.center else set()))

    @property
    def source_features(self) -> int:
        """How many features the codes must have. Only after `fit`."""
        self._require_fitted("source_")
        return self.source_.shape[1]

    def _fit(self, paired: Paired) -> None:
        mean = mean_or_zero(paired.source, self.center)
        centred = paired.source - mean
        target = InverseRelativeProjection(center=self.center)
        target._fit(paired.target, paired.target_rounding)
        self._keep(
            source_=directions(centred),
            source_mean_=mean,
            source_norm_=float(torch.linalg.vector_norm(centred, dim=1).mean()),
            target_=target,
        )

    def _map(self, codes: Tensor) -> Tensor:
        device = codes.device
        centred = codes - self.source_mean_.to(device)
        turned = directions(centred) @ self.source_.to(device).T @ self.target_.inverse_.to(device)
        if self.norm == "unit":
            size = torch.ones_like(centred[:, :1])
        else:
            size = torch.full_like(centred[:, :1], self.target_.norm_)
        if self.norm == "kept" and self.source_norm_ > 0:
            size = size * torch.linalg.vector_norm(centred, dim=1, keepdim=True) / self.source_norm_
        return size * turned + self.target_.mean_.to(device)
