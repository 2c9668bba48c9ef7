"""Relative representations: codes as similarities to anchors."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Final, Literal, TypeAlias, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError, nearest

__all__ = ["RelativeProjection", "SimilarityName"]

SimilarityName: TypeAlias = Literal["cosine", "euclidean", "l1", "linf", "inner"]
Codes = TypeVar("Codes", Tensor, np.ndarray)

_SIMILARITIES: Final[tuple[str, ...]] = get_args(SimilarityName)
_ORDERS: Final = {"euclidean": 2.0, "l1": 1.0, "linf": float("inf")}  # of the norm of x - a


@dataclass(frozen=True, eq=False)
class RelativeProjection:
    r"""The map from codes to their similarities to anchors, r(x)_j = s(x', a_j').

    x' and a' are the codes and anchors after, in this order: subtraction of the anchors' mean
    (`center`), division of each coordinate by the anchors' standard deviation (`scale`), division
    by the Euclidean norm (`l2`). The similarities s, all larger for what is closer:

    ========== =====================
    inner      <x', a'>
    cosine     <x', a'> / (|x'| |a'|)
    euclidean  -\|x' - a'\|_2
    l1         -\|x' - a'\|_1
    linf       -max_i \|x'_i - a'_i\|
    ========== =====================

    `RelativeProjection("cosine")` is the relative representation of Moschella et al.;
    `RelativeProjection("cosine", center=True, scale=True)` is the robust (normalised) one of
    García-Castellanos et al. with the statistics of the anchors. Which transformations of the
    space it does not see is in `invariance_group`.

    Statistics come from the anchors alone, so that r(x) never depends on the rest of a batch. No
    epsilon is added to variances: it would break the invariance to scale. Instead a coordinate
    that is constant over the anchors, up to rounding (its standard deviation is at most 8 units of
    rounding of its own root mean square), is dead: with `scale` it is left out. A code of norm
    zero (after centring: up to 8 units of float64 rounding of the mean) has no direction: its
    cosine with everything is 0. Both together give constant codes the similarity 0 to everything.

    Parameters
    ----------
    similarity
        "cosine", "euclidean", "l1", "linf" or "inner".
    center
        Subtract the mean of the anchors.
    scale
        Divide each coordinate by its standard deviation (biased) over the anchors.
    l2
        Divide codes and anchors by their norms first. With it "inner" is the cosine and the
        distances are those between directions. The cosine does so by definition.

    Attributes
    ----------
    anchors_
        The transformed anchors `(anchors, features)`, float64. Set by `fit`.
    mean_
        The mean of the anchors `(features,)`, or zeros. Set by `fit`.
    weight_
        What coordinates are multiplied with `(features,)`: 0 where dead. Set by `fit`.

    Raises
    ------
    InputError
        If the similarity is unknown, or "cosine" is asked for without `l2`.

    Notes
    -----
    `transform` costs O(n k d) for k anchors, in float64. Sources: Moschella et al. 2023
    (arXiv 2209.15430); García-Castellanos et al. 2024 (arXiv 2409.10967); the other similarities:
    Cannistraci et al. 2024 (arXiv 2310.01211).

    Examples
    --------
    With an orthonormal basis as anchors, relative coordinates are the direction itself:

    >>> relative = RelativeProjection("cosine").fit(torch.eye(2))
    >>> relative.transform(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    >>> sorted(relative.invariance_group)
    ['orthogonal', 'permutation', 'scaling']
    """

    similarity: SimilarityName = "cosine"
    _: KW_ONLY
    center: bool = False
    scale: bool = False
    l2: bool = True
    anchors_: Tensor = field(init=False, repr=False)
    mean_: Tensor = field(init=False, repr=False)
    weight_: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.similarity not in _SIMILARITIES:
            raise InputError(
                f"Unknown similarity {self.similarity!r}. {nearest(self.similarity, _SIMILARITIES)}"
            )
        if self.similarity == "cosine" and not self.l2:
            raise InputError(
                "The cosine divides by the norms by definition, l2=False contradicts it. "
                "Use similarity='inner' for products without division."
            )

    @property
    def invariance_group(self) -> frozenset[str]:
        """Transformations of the space, of codes and anchors alike, that change nothing.

        Names of groups acting on codes: "permutation" and "orthogonal" of coordinates, "scaling"
        by one positive number, "diagonal" (each coordinate by its own number that is not zero),
        "translation".
        """
        found = {"permutation"}  # of coordinates: norms, products and statistics go along
        if self.scale:
            found |= {"diagonal", "scaling"}
        elif self.similarity in {"cosine", "inner", "euclidean"}:
            found.add("orthogonal")
        if self.l2:
            found.add("scaling")
        if self.center or (self.similarity in _ORDERS and not self.l2):
            found.add("translation")
        return frozenset(found)

    def fit(self, anchors: Tensor | np.ndarray, y: object = None) -> RelativeProjection:
        """Take statistics of the anchors `(anchors, features)` and keep them transformed.

        `y` is ignored; it is there for pipelines.

        Raises
        ------
        InputError
            If the shape does not fit, a value is NaN or infinite, or with `scale` fewer than two
            anchors are given.
        """
        codes = _tensor(anchors, "Anchors")
        if len(codes) < 1:
            raise InputError("At least one anchor is needed.")
        rounding = torch.finfo(codes.dtype).eps
        wide = codes.double()
        mean, weight = wide.new_zeros(wide.shape[1]), wide.new_ones(wide.shape[1])
        if self.center:
            mean = wide.mean(dim=0)
        if self.scale:
            if len(wide) < 2:
                raise InputError("scale=True needs at least two anchors.")
            deviation = wide.std(dim=0, correction=0)
            dead = deviation <= 8 * rounding * wide.square().mean(dim=0).sqrt()
            weight = torch.where(dead, 0.0, 1.0 / torch.where(dead, 1.0, deviation))
        object.__setattr__(self, "mean_", mean)
        object.__setattr__(self, "weight_", weight)
        object.__setattr__(self, "anchors_", self._transformed(wide))
        return self

    def transform(self, codes: Codes) -> Codes:
        """The relative coordinates `(n, anchors)` of codes `(n, features)`.

        Tensors give tensors, arrays give arrays, of the same dtype and on the same device.

        Raises
        ------
        InputError
            If it is not fitted, the shape does not fit, or a value is NaN or infinite.
        """
        if not hasattr(self, "anchors_"):
            raise InputError("This projection has no anchors yet. Call fit(anchors) first.")
        tensor = _tensor(codes, "Codes")
        if tensor.shape[1] != self.anchors_.shape[1]:
            raise InputError(
                f"The codes have {tensor.shape[1]} features, the anchors "
                f"{self.anchors_.shape[1]}. Anchors and codes must come from the same encoder."
            )
        relative = self._similarities(tensor).to(tensor.dtype)
        if isinstance(codes, np.ndarray):
            return relative.cpu().numpy()
        return relative

    def fit_transform(self, anchors: Codes, y: object = None) -> Codes:
        """The relative coordinates of the anchors themselves."""
        return self.fit(anchors, y).transform(anchors)

    def _similarities(self, codes: Tensor) -> Tensor:
        anchors = self.anchors_.to(codes.device)
        transformed = self._transformed(codes.double())
        if self.similarity in _ORDERS:
            # The exact mode: through products, distances of near points lose half their digits.
            exact = "donot_use_mm_for_euclid_dist"
            return -torch.cdist(
                transformed, anchors, p=_ORDERS[self.similarity], compute_mode=exact
            )
        products = transformed @ anchors.T  # (n, anchors)
        return products.clamp(-1.0, 1.0) if self.l2 else products

    def _transformed(self, codes: Tensor) -> Tensor:
        mean, weight = self.mean_.to(codes.device), self.weight_.to(codes.device)
        moved = (codes - mean) * weight
        if not self.l2:
            return moved
        # First by the largest entry: squares of very small or very large codes leave the range.
        largest = moved.abs().amax(dim=1, keepdim=True)
        # A code at the mean has only the rounding of the mean left, which is no direction.
        nothing = largest <= 8 * torch.finfo(codes.dtype).eps * (mean * weight).abs().max()
        moved = torch.where(nothing, 0.0, moved / torch.where(nothing, 1.0, largest))
        norm = torch.linalg.vector_norm(moved, dim=1, keepdim=True)
        return moved / torch.where(nothing, 1.0, norm)


def _tensor(codes: Tensor | np.ndarray, what: str) -> Tensor:
    tensor = torch.from_numpy(codes) if isinstance(codes, np.ndarray) else codes
    if not isinstance(tensor, Tensor):
        raise InputError(f"{what} must be a tensor or an array, got {type(codes).__name__}.")
    if tensor.ndim != 2 or tensor.shape[1] == 0:
        raise InputError(f"{what} must have the shape (n, features), got {tuple(tensor.shape)}.")
    if not tensor.is_floating_point():
        raise InputError(f"{what} must be floating point, got {tensor.dtype}.")
    if not bool(torch.isfinite(tensor).all()):
        raise InputError(f"{what} hold NaN or infinite values.")
    return tensor
