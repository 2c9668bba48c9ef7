"""Relative representations: codes as similarities to anchors."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, TypeVar, get_args

import numpy as np
from torch import Tensor

from repgeo.errors import InputError, nearest
from repgeo.stitching.anchor_similarities import (
    DISTANCES,
    SIMILARITIES,
    SimilarityName,
    anchor_similarities,
    as_codes,
    require_finite,
    unit_rows,
)
from repgeo.stitching.projection_statistics import CodeStatistics, Normaliser

__all__ = ["PRESETS", "RelativeProjection", "SimilarityName", "StatisticsPolicy"]

StatisticsPolicy: TypeAlias = Literal["anchors", "reference", "own", "ema"]
Codes = TypeVar("Codes", Tensor, np.ndarray)

_POLICIES: Final[tuple[str, ...]] = get_args(StatisticsPolicy)

#: Parameters of the projections that have a name: `RelativeProjection.preset(name)`.
PRESETS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "cosine": MappingProxyType({"similarity": "cosine"}),
        "centered": MappingProxyType({"similarity": "cosine", "center": True}),
        "robust": MappingProxyType({"similarity": "cosine", "center": True, "scale": True}),
        "whitened": MappingProxyType({"similarity": "cosine", "center": True, "whiten": True}),
    }
)


@dataclass(frozen=True, eq=False)
class RelativeProjection:
    r"""The map from codes to their similarities to anchors, r(x)_j = s(x', a_j').

    x' and a' are the codes and anchors after, in this order: subtraction of the mean (`center`),
    division of each coordinate by its standard deviation (`scale`), whitening (`whiten`), division
    by the Euclidean norm (`l2`). The similarities s, all larger for what is closer:

    ========== =====================
    inner      <x', a'>
    cosine     <x', a'> / (|x'| |a'|)
    euclidean  -\|x' - a'\|_2
    l1         -\|x' - a'\|_1
    linf       -max_i \|x'_i - a'_i\|
    ========== =====================

    Four of them have a name (`preset`): "cosine" is the relative representation of Moschella et
    al.; "centered" subtracts the mean first; "robust" is the normalised one of García-Castellanos
    et al., which standardises each coordinate; "whitened" makes all directions alike. Which
    transformations of the space a projection does not see is in `invariance_group`.

    Mean, standard deviations and covariance are those of (`stats`)

    ========= ======================================================================================
    anchors   the anchors, for codes and anchors alike
    reference a given set of codes (`fit(anchors, reference=...)`), for codes and anchors alike
    own       each set for itself: the codes of one call of `transform`, and the anchors. r(x) then
              depends on the rest of the batch. So does the published code in training.
    ema       a running average over batches and anchors, for both (`updated`): the published code
              in evaluation. It forgets where it started, mean 0 and variance 1, by the factor
              1 - momentum with every update, and is invariant to nothing more than that far.
    ========= ======================================================================================

    Statistics are exact: no epsilon is added to variances, which would break the invariance to
    scale. Instead a coordinate that is constant over the set of the statistics, up to rounding
    (its standard deviation is at most 8 units of rounding of its own root mean square), is dead:
    with `scale` it is left out. Whitening leaves out directions without spread in the same way.
    A code of norm zero (after centring: up to 8 units of float64 rounding of the mean) has no
    direction: its cosine with everything is 0. Both together give constant codes the similarity 0
    to everything.

    Parameters
    ----------
    similarity
        "cosine", "euclidean", "l1", "linf" or "inner".
    center
        Subtract the mean.
    scale
        Divide each coordinate by its standard deviation (biased; with "ema" unbiased).
    whiten
        Multiply with the inverse root of the covariance, of the scaled coordinates where `scale` is
        set. For "l1", "linf" and "own" it is the symmetric root; the others do not see which.
    l2
        Divide codes and anchors by their norms first. With it "inner" is the cosine and the
        distances are those between directions. The cosine does so by definition.
    stats
        "anchors", "reference", "own" or "ema".
    ridge
        What `whiten` adds to all eigenvalues of the covariance, as a share of their mean. With 0
        whitening is exact. More keeps directions of little spread from counting as much as
        others, and takes the invariance to what is not a similarity of the space (with `scale`:
        to what does not move coordinate by coordinate).
    momentum
        Share of the new in an update of "ema".

    Attributes
    ----------
    anchors_
        The transformed anchors `(anchors, r)`, float64. Set by `fit`.
    normaliser_
        What codes go through before the division by norms; with "own", what anchors go through.
    statistics_
        Mean, variance and covariance behind it, or None where none are needed.

    Raises
    ------
    InputError
        If a name is unknown, a number out of range, "cosine" is asked for without `l2`, or a ridge
        without `whiten`.

    Notes
    -----
    `transform` costs O(n k d) for k anchors and O(n d^2) for whitening. It works on one block of
    codes after another and holds no float64 copy of all. Statistics, normalisation and norms are
    float64 throughout; so are distances and products, but for cosines of codes of lower precision,
    whose unit vectors are multiplied in float32: off by at most (d + 2) 2^-24. Gradients flow
    through codes and anchors (mean and variances too; whitening and "ema" count as constant).

    Sources: Moschella et al. 2023 (arXiv 2209.15430); García-Castellanos et al. 2024
    (arXiv 2409.10967); the other similarities: Cannistraci et al. 2024 (arXiv 2310.01211).

    Examples
    --------
    With an orthonormal basis as anchors, relative coordinates are the direction itself:

    >>> import torch
    >>> relative = RelativeProjection("cosine").fit(torch.eye(2))
    >>> relative.transform(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    >>> sorted(relative.invariance_group)
    ['orthogonal', 'permutation', 'scaling']
    >>> sorted(RelativeProjection.preset("robust").invariance_group)
    ['diagonal', 'permutation', 'scaling', 'translation']
    """

    similarity: SimilarityName = "cosine"
    _: KW_ONLY
    center: bool = False
    scale: bool = False
    whiten: bool = False
    l2: bool = True
    stats: StatisticsPolicy = "anchors"
    ridge: float = 0.0
    momentum: float = 0.3
    anchors_: Tensor = field(init=False, repr=False)
    normaliser_: Normaliser = field(init=False, repr=False)
    statistics_: CodeStatistics | None = field(init=False, repr=False)
    _raw_anchors: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.similarity not in SIMILARITIES:
            raise InputError(
                f"Unknown similarity {self.similarity!r}. {nearest(self.similarity, SIMILARITIES)}"
            )
        if self.stats not in _POLICIES:
            raise InputError(f"Unknown stats {self.stats!r}. {nearest(self.stats, _POLICIES)}")
        if self.similarity == "cosine" and not self.l2:
            raise InputError(
                "The cosine divides by the norms by definition, l2=False contradicts it. "
                "Use similarity='inner' for products without division."
            )
        if not 0 <= self.ridge < float("inf"):
            raise InputError(f"The ridge must be a finite number from 0 on, got {self.ridge}.")
        if self.ridge and not self.whiten:
            raise InputError("A ridge belongs to whitening. Set whiten=True, or leave it out.")
        if not 0 < self.momentum <= 1:
            raise InputError(f"The momentum must be above 0 and at most 1, got {self.momentum}.")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> RelativeProjection:
        """The projection of a name in `PRESETS`, with parameters changed where given.

        Raises
        ------
        InputError
            If the name is unknown.

        Examples
        --------
        >>> RelativeProjection.preset("whitened", ridge=1e-3).whiten
        True
        """
        if name not in PRESETS:
            raise InputError(f"Unknown preset {name!r}. {nearest(name, PRESETS)}")
        return cls(**{**PRESETS[name], **changes})

    @property
    def invariance_group(self) -> frozenset[str]:
        """Transformations of the space, of codes and anchors alike, that change nothing.

        Of a reference set too. Names of groups acting on codes: "permutation" and "orthogonal" of
        coordinates, "scaling" by one positive number, "diagonal" (each coordinate by its own number
        that is not zero), "translation", "invertible" (all linear ones), "affine" (both).

        Of whitening it says what holds where the set of the statistics spans the space. After a fit
        on a set that does not, the invariances that this costs are left out: codes outside of its
        span have parts that whitening leaves out, and which ones depends on the angles.
        """
        whole = not hasattr(self, "normaliser_") or self._spans
        turns = self.similarity not in DISTANCES or self.similarity == "euclidean"
        shared = self.stats in {"anchors", "reference"}
        exact = shared and self.whiten and not self.ridge and turns and whole
        found = {"permutation"}  # of coordinates: norms, products and statistics go along
        if exact:
            found |= {"orthogonal", "scaling", "diagonal", "invertible"}
        if turns and not self.scale:
            found.add("orthogonal")
        running = (
            self.stats == "ema"
        )  # its start, mean 0 and variance 1, goes along with turns only
        if running and self.whiten and not self.ridge and turns:
            found.add("orthogonal")  # whatever was scaled before, whitening undoes it
        if self.scale and not running:
            found |= {"diagonal", "scaling"}
        if (self.whiten and not running) or (self.l2 and not (running and self._stretches)):
            found.add("scaling")
        gaps = self.similarity in DISTANCES and not self.l2
        if (self.center and not running) or (
            gaps and not (self.stats == "own" and self._stretches)
        ):
            found.add("translation")
        if exact and "translation" in found:
            found.add("affine")
        return frozenset(found)

    @property
    def mean_(self) -> Tensor:
        """What is subtracted `(features,)`: the mean, or zeros."""
        return self.normaliser_.mean

    @property
    def weight_(self) -> Tensor:
        """What coordinates are multiplied with `(features,)`: 0 where dead, 1 without `scale`."""
        return self.normaliser_.weight

    @property
    def _stretches(self) -> bool:
        return self.scale or self.whiten

    @property
    def _spans(self) -> bool:
        return self.normaliser_.rank == len(self.normaliser_.mean)

    def fit(
        self,
        anchors: Tensor | np.ndarray,
        y: object = None,
        *,
        reference: Tensor | np.ndarray | None = None,
    ) -> RelativeProjection:
        """Take the statistics and keep the anchors `(anchors, features)` transformed.

        `reference` is the set of codes `(n, features)` that the statistics are taken from with
        stats="reference". With "ema" the running statistics start anew: see `updated`. `y` is
        ignored; it is there for pipelines.

        Raises
        ------
        InputError
            If a shape does not fit, a value is NaN or infinite, there are fewer than two codes to
            take variances from, or a reference is missing or would not be used.
        """
        codes = as_codes(anchors, "Anchors")
        require_finite(codes, "Anchors")
        if len(codes) < 1:
            raise InputError("At least one anchor is needed.")
        if len(codes) < 2 and self._stretches and self.stats != "reference":
            raise InputError("Scaling and whitening need at least two anchors.")
        if (reference is not None) != (self.stats == "reference"):
            raise InputError(
                f"A reference set is {'missing' if reference is None else 'given'}, and the "
                f"statistics are those of stats={self.stats!r}. Give reference=... with "
                "stats='reference', and with no other."
            )
        source = codes
        if reference is not None:
            source = as_codes(reference, "Reference codes")
            require_finite(source, "Reference codes")
            _require_features(source, codes.shape[1], "reference codes")
        if self.stats != "ema":
            found = self._statistics(source)
        else:
            found = CodeStatistics.initial(codes, covariance=self.whiten)
        self._keep(codes, found)
        return self

    def updated(
        self, batch: Tensor | np.ndarray, anchors: Tensor | np.ndarray | None = None
    ) -> RelativeProjection:
        """A projection with the running statistics of "ema" one step further; this one stays.

        A step is two updates: with the batch `(n, features)`, then with the anchors, anew encoded
        where `anchors` are given. Each moves mean and unbiased variance by `momentum` towards those
        of the set. Of a first mean 0 and variance 1 the share (1 - momentum)^updates is left.

        Raises
        ------
        InputError
            If it is not fitted, has other statistics than "ema", or a set has fewer than two codes.
        """
        self._require_fit()
        if self.stats != "ema":
            raise InputError(f"Only stats='ema' has updates, this is stats={self.stats!r}.")
        codes = self._raw_anchors if anchors is None else as_codes(anchors, "Anchors")
        found = self.statistics_
        for part, what in ((as_codes(batch, "Codes"), "codes"), (codes, "anchors")):
            require_finite(part, what.capitalize())
            _require_features(part, self._raw_anchors.shape[1], what)
            if found is not None:
                found = found.moved_towards(part, self.momentum)
        moved = copy.copy(self)
        moved._keep(codes, found)
        return moved

    def transform(self, codes: Codes) -> Codes:
        """The relative coordinates `(n, anchors)` of codes `(n, features)`.

        Tensors give tensors, arrays give arrays, of the same dtype and on the same device.

        Raises
        ------
        InputError
            If it is not fitted, the shape does not fit, a value is NaN or infinite, or with
            stats="own" there are fewer than two codes to take statistics from.
        """
        self._require_fit()
        tensor = as_codes(codes, "Codes")
        _require_features(tensor, self._raw_anchors.shape[1], "codes")
        normaliser = self.normaliser_
        if self.stats == "own":
            require_finite(tensor, "Codes")
            normaliser = self._normaliser(tensor, self._statistics(tensor))

        def transformed(rows: Tensor, overwrite: bool) -> Tensor:
            moved = normaliser(rows, overwrite=overwrite)
            if not self.l2:
                return moved
            return unit_rows(moved, normaliser.floor, overwrite=overwrite)

        found = anchor_similarities(
            tensor, self.anchors_, transformed, self.similarity, unit=self.l2
        )
        return found.detach().cpu().numpy() if isinstance(codes, np.ndarray) else found

    def fit_transform(
        self,
        anchors: Codes,
        y: object = None,
        *,
        reference: Tensor | np.ndarray | None = None,
    ) -> Codes:
        """The relative coordinates of the anchors themselves."""
        return self.fit(anchors, y, reference=reference).transform(anchors)

    def unfitted(self) -> RelativeProjection:
        """A new projection of the same parameters, without anchors."""
        return dataclasses.replace(self)

    def _require_fit(self) -> None:
        if not hasattr(self, "anchors_"):
            raise InputError("This projection has no anchors yet. Call fit(anchors) first.")

    def _statistics(self, codes: Tensor) -> CodeStatistics | None:
        if not (self.center or self._stretches):
            return None
        if len(codes) == 1 and not self._stretches:
            codes = codes.expand(2, -1)  # one code has a mean, if no variance
        return CodeStatistics.of(codes, covariance=self.whiten)

    def _normaliser(self, codes: Tensor, found: CodeStatistics | None) -> Normaliser:
        if found is None:
            return Normaliser.identity(codes)
        return Normaliser.of(
            found,
            center=self.center,
            scale=self.scale,
            ridge=self.ridge if self.whiten else None,
            # Where roots are taken of two covariances, or seen coordinate by coordinate.
            symmetric=self.stats == "own" or self.similarity in {"l1", "linf"},
        )

    def _keep(self, codes: Tensor, found: CodeStatistics | None) -> None:
        normaliser = self._normaliser(codes, found)
        anchors = normaliser(codes.double())
        made = {
            "anchors_": unit_rows(anchors, normaliser.floor) if self.l2 else anchors,
            "normaliser_": normaliser,
            "statistics_": found,
            "_raw_anchors": codes.detach().clone(),  # later changes of the given ones do not count
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)


def _require_features(codes: Tensor, features: int, what: str) -> None:
    if codes.shape[1] != features:
        raise InputError(
            f"The {what} have {codes.shape[1]} features, the anchors {features}. Anchors and codes "
            "must come from the same encoder."
        )
