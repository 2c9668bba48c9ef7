"""Products of relative spaces: several projections of the same codes and anchors, as one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Final, Literal, TypeAlias, TypeVar, get_args

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from repgeo.errors import InputError, nearest
from repgeo.stitching.anchor_similarities import as_codes
from repgeo.stitching.projection import RelativeProjection

__all__ = ["Combination", "ProductProjection"]

Combination: TypeAlias = Literal["concatenate", "mean", "learned"]
Codes = TypeVar("Codes", Tensor, np.ndarray)

_COMBINATIONS: Final[tuple[str, ...]] = get_args(Combination)
_RIDGE = 1e-8  # of the fit of weights, as a share of the largest entry of its matrix


@dataclass(frozen=True, eq=False)
class ProductProjection:
    """Several relative projections of the same codes and anchors, put together.

    With r_1, ..., r_m the relative coordinates `(n, anchors)` of the projections, the result is

    =========== ====================================================================
    concatenate [r_1, ..., r_m], `(n, m anchors)`
    mean        (r_1 + ... + r_m) / m, `(n, anchors)`
    learned     [sqrt(w_1) r_1, ..., sqrt(w_m) r_m], `(n, m anchors)`, with weights w_i
    =========== ====================================================================

    The weights are learned on codes with labels: those with which the kernel
    w_1 r_1 r_1^T + ... + w_m r_m r_m^T is best aligned with that of the labels,

        max_w <K(w), L> / |K(w)|,   w >= 0,   w_1 + ... + w_m = m,

    K(w) and L centred, and L the kernel of the labels written as indicators. That is a convex
    problem with one answer (among projections that cannot be told apart, equal weights): no seed,
    step size or initialisation. It is not the published aggregation, in which attention with
    weights that a network trains, together with its head, mixes the spaces sample by sample.

    Nothing is rescaled but by the learned weights: cosines are at most 1, distances are not.

    Parameters
    ----------
    projections
        One at least. They are copied: `fit` leaves them as they are.
    combine
        "concatenate", "mean" or "learned".

    Attributes
    ----------
    projections_
        The fitted copies. Set by `fit`.
    weights_
        The weights w `(m,)`, float64; ones where they are not learned. Set by `fit`.

    Raises
    ------
    InputError
        If there is no projection, or the combination is unknown.

    Notes
    -----
    Costs what its parts cost; learned weights O(m^2 n k^2) for n codes and k anchors. Sources: the
    product and its other aggregations, Cannistraci et al. 2024 (arXiv 2310.01211); the weights,
    Cortes, Mohri and Rostamizadeh 2012, Journal of Machine Learning Research 13.

    Examples
    --------
    >>> parts = [RelativeProjection("cosine"), RelativeProjection("l1", l2=False)]
    >>> both = ProductProjection(parts).fit(torch.eye(2))
    >>> both.transform(torch.tensor([[2.0, 0.0]]))
    tensor([[ 1.,  0., -1., -3.]])
    >>> sorted(both.invariance_group)
    ['permutation']
    """

    projections: Sequence[RelativeProjection]
    _: KW_ONLY
    combine: Combination = "concatenate"
    projections_: tuple[RelativeProjection, ...] = field(init=False, repr=False)
    weights_: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.combine not in _COMBINATIONS:
            raise InputError(
                f"Unknown combination {self.combine!r}. {nearest(self.combine, _COMBINATIONS)}"
            )
        if not self.projections:
            raise InputError("A product needs at least one projection.")
        object.__setattr__(self, "projections", tuple(self.projections))

    @property
    def invariance_group(self) -> frozenset[str]:
        """What none of the projections sees: see `RelativeProjection.invariance_group`.

        Learned weights go along with it, as the relative coordinates that they are learned on do.
        """
        parts = getattr(self, "projections_", self.projections)
        return frozenset.intersection(*(part.invariance_group for part in parts))

    def fit(
        self,
        anchors: Tensor | np.ndarray,
        y: Tensor | np.ndarray | None = None,
        *,
        reference: Tensor | np.ndarray | None = None,
    ) -> ProductProjection:
        """Fit all projections to the anchors `(anchors, features)`, and the weights if learned.

        `reference` `(n, features)` goes to the projections with stats="reference". Weights are
        learned on it too where it is given, and on the anchors where not; `y` are the class labels
        of the one or the other, integers, and is ignored where nothing is learned.

        Raises
        ------
        InputError
            As `RelativeProjection.fit`; if weights are learned and labels are missing, do not fit
            or are told by no projection; if a reference would not be used.
        """
        policies = {part.stats for part in self.projections}
        learned = self.combine == "learned"
        if reference is not None and "reference" not in policies and not learned:
            raise InputError(
                "A reference set is given, but no projection has stats='reference' and no weights "
                "are learned."
            )
        fitted = tuple(
            part.unfitted().fit(anchors, reference=reference if part.stats == "reference" else None)
            for part in self.projections
        )
        weights = torch.ones(len(fitted), dtype=torch.float64)
        if learned:
            codes = as_codes(anchors if reference is None else reference, "Codes")
            indicators = _indicators(y, len(codes))
            weights = _aligned_weights([part.transform(codes) for part in fitted], indicators)
        object.__setattr__(self, "projections_", fitted)
        object.__setattr__(self, "weights_", weights)
        return self

    def updated(
        self, batch: Tensor | np.ndarray, anchors: Tensor | np.ndarray | None = None
    ) -> ProductProjection:
        """A product whose projections with stats="ema" are one step further; this one stays.

        Learned weights stay as they were fitted. See `RelativeProjection.updated`; `anchors`
        encoded anew need a product in which all have these statistics.

        Raises
        ------
        InputError
            If it is not fitted, or no projection (with `anchors`: not every one) has running
            statistics.
        """
        self._require_fit()
        running = [part.stats == "ema" for part in self.projections]
        if not any(running) or (anchors is not None and not all(running)):
            raise InputError("Updates need projections with stats='ema'.")
        moved = copy.copy(self)
        parts = tuple(
            part.updated(batch, anchors) if runs else part
            for part, runs in zip(self.projections_, running, strict=True)
        )
        object.__setattr__(moved, "projections_", parts)
        return moved

    def transform(self, codes: Codes) -> Codes:
        """The relative coordinates of codes `(n, features)`, of the same kind, dtype and device.

        `(n, anchors)` for "mean", else `(n, m anchors)`.

        Raises
        ------
        InputError
            As `RelativeProjection.transform`.
        """
        self._require_fit()
        tensor = as_codes(codes, "Codes")
        parts = [part.transform(tensor) for part in self.projections_]
        if self.combine == "mean":
            found = torch.stack(parts).mean(dim=0)
        else:
            factors = self.weights_.sqrt().tolist()
            found = torch.cat(
                [factor * part for factor, part in zip(factors, parts, strict=True)], dim=1
            )
        return found.detach().cpu().numpy() if isinstance(codes, np.ndarray) else found

    def fit_transform(
        self,
        anchors: Codes,
        y: Tensor | np.ndarray | None = None,
        *,
        reference: Tensor | np.ndarray | None = None,
    ) -> Codes:
        """The relative coordinates of the anchors themselves."""
        return self.fit(anchors, y, reference=reference).transform(anchors)

    def unfitted(self) -> ProductProjection:
        """A new product of the same projections and combination, without anchors."""
        return ProductProjection(self.projections, combine=self.combine)

    def _require_fit(self) -> None:
        if not hasattr(self, "projections_"):
            raise InputError("This product has no anchors yet. Call fit(anchors) first.")


def _indicators(y: Tensor | np.ndarray | None, n: int) -> Tensor:
    """Labels as indicators of their classes `(n, classes)`, float64."""
    if y is None:
        raise InputError("Learned weights need labels. Call fit(anchors, y).")
    labels = torch.as_tensor(y).cpu()
    if labels.shape != (n,) or labels.is_floating_point():
        raise InputError(
            f"Learned weights need integer labels ({n},), one per code they are learned on, got "
            f"{labels.dtype} {tuple(labels.shape)}."
        )
    positions = torch.unique(labels, return_inverse=True)[1]
    return torch.nn.functional.one_hot(positions).double()


def _aligned_weights(spaces: Sequence[Tensor], indicators: Tensor) -> Tensor:
    """The non-negative weights `(m,)` whose kernel is best aligned with that of the labels."""
    centred = [space.detach().cpu().double() for space in spaces]
    centred = [space - space.mean(dim=0) for space in centred]
    sizes = torch.stack([torch.linalg.matrix_norm(space.T @ space) for space in centred])
    if bool((sizes == 0).any()):
        raise InputError(
            "A projection gives all codes the same relative coordinates. Leave it out, or learn "
            "the weights on other codes."
        )
    # Kernels of norm 1: the fit is then as well conditioned as the spaces differ.
    scaled = [space / size.sqrt() for space, size in zip(centred, sizes, strict=True)]
    gram = torch.stack(
        [torch.stack([(a.T @ b).square().sum() for b in scaled]) for a in scaled]
    )  # (m, m), <K_i, K_j>
    target = torch.stack([(space.T @ indicators).square().sum() for space in scaled])  # (m,)
    if not bool((target > torch.finfo(torch.float64).eps * len(indicators)).any()):
        raise InputError(
            "No projection tells the labels apart. Give labels of two classes or more."
        )
    # The largest alignment lies along the minimum of w^T gram w - 2 w^T target over w >= 0. A
    # small ridge shares the weight among projections that agree.
    values, axes = torch.linalg.eigh(gram + _RIDGE * torch.eye(len(gram), dtype=torch.float64))
    root = axes * values.sqrt() @ axes.T
    found = nnls(root.numpy(), torch.linalg.solve(root, target).numpy())[0]
    weights = torch.from_numpy(found) / sizes
    return weights * (len(weights) / weights.sum())
