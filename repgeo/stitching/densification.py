"""Topological densification: death times of classes pulled towards one scale."""

from __future__ import annotations

import math
from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from repgeo.errors import InputError, nearest
from repgeo.stitching.persistence import PointMetric, h0_deaths

__all__ = ["DeviationKind", "Reduction", "densification_loss"]

DeviationKind: TypeAlias = Literal["l1", "squared", "relu"]
Reduction: TypeAlias = Literal["mean", "sum"]

_KINDS: Final[tuple[str, ...]] = get_args(DeviationKind)
_REDUCTIONS: Final[tuple[str, ...]] = get_args(Reduction)


def densification_loss(
    z: Tensor,
    labels: Tensor,
    beta: float,
    *,
    kind: DeviationKind = "l1",
    reduction: Reduction = "mean",
    metric: PointMetric = "euclidean",
) -> Tensor:
    r"""How far the death times of clouds of points are from a wanted scale beta.

    The points with one label are a cloud S, whose n - 1 finite death times in dimension 0 are d
    (see `h0_deaths`). With the deviation g(t) = abs(t) ("l1"), t^2 ("squared") or max(t, 0)
    ("relu"),

        L(S) = sum over d of g(d - beta)      ("sum"; the published one),
        L(S) = mean over d of g(d - beta)     ("mean": L(S) of the other, divided by n - 1),

    and the loss is the mean of L(S) over the clouds with two points or more: a sum over
    sub-batches, divided by their number, which is what both published implementations minimise.

    The deviations "l1" and "squared" repel as well as attract: a class that is collapsed to one
    point costs (n - 1) beta. With "relu" it costs nothing. Deaths, and so beta, grow with the
    spread of the codes and fall with the number of points in a cloud.

    L of points scaled by c at c beta is c L for "l1" and "relu", c^2 L for "squared". It does not
    change under isometries (of the metric) and permutations; its gradients over the points of a
    cloud add up to 0.

    Parameters
    ----------
    z
        Codes `(n, features)`, floating point.
    labels
        Which cloud each code belongs to, `(n,)`, integers: the class, or the number of a
        class-pure sub-batch where a class has several.
    beta
        The wanted death time, in units of the distance between codes; 0 or more.
    kind
        The deviation g.
    reduction
        Over the deaths of a cloud.
    metric
        Between codes, as of `h0_deaths`.

    Returns
    -------
    Tensor
        A scalar in the dtype of z, on its device, differentiable in z.

    Raises
    ------
    InputError
        For shapes or types that do not fit, a negative beta, an unknown name, or no cloud of two
        points.

    Notes
    -----
    O(sum over clouds of n^2 features); clouds of the same size go at once.

    Sources: Hofer, Graf, Niethammer, Kwitt 2020 (arXiv 2002.04805); for relative representations
    García-Castellanos et al. 2024 (arXiv 2409.10967).

    Examples
    --------
    Points at distance beta from their neighbours cost nothing, repeated points cost beta each:

    >>> line = torch.arange(5.0)[:, None]
    >>> label = torch.zeros(5, dtype=torch.int64)
    >>> float(densification_loss(line, label, 1.0)), float(densification_loss(0 * line, label, 1.0))
    (0.0, 1.0)
    >>> float(densification_loss(0 * line, label, 1.0, reduction="sum"))
    4.0
    """
    _check(z, labels, beta, kind, reduction)
    order = torch.argsort(labels, stable=True)
    sizes = torch.unique_consecutive(labels[order], return_counts=True)[1]
    starts = sizes.cumsum(0) - sizes
    losses = []
    for size in torch.unique(sizes).tolist():
        if size < 2:  # one point: no component dies
            continue
        places = starts[sizes == size][:, None] + torch.arange(size, device=z.device)
        deaths = h0_deaths(z[order[places]], metric=metric)  # (clouds, size - 1)
        terms = _deviation(deaths - beta, kind)
        losses.append(terms.sum(dim=1) if reduction == "sum" else terms.mean(dim=1))
    if not losses:
        raise InputError("No two codes have the same label: there is no death time.")
    return torch.cat(losses).mean()


def _deviation(excess: Tensor, kind: str) -> Tensor:
    if kind == "l1":
        return excess.abs()
    return excess.square() if kind == "squared" else excess.relu()


def _check(z: Tensor, labels: Tensor, beta: float, kind: str, reduction: str) -> None:
    if kind not in _KINDS:
        raise InputError(f"Unknown kind {kind!r}. {nearest(kind, _KINDS)}")
    if reduction not in _REDUCTIONS:
        raise InputError(f"Unknown reduction {reduction!r}. {nearest(reduction, _REDUCTIONS)}")
    if not (math.isfinite(beta) and beta >= 0):
        raise InputError(f"beta is a distance: it must be finite and not negative, got {beta}.")
    if z.ndim != 2:
        raise InputError(
            f"Codes must have the shape (n, features), got {tuple(z.shape)}. Flatten them: "
            "codes.flatten(1)."
        )
    if labels.shape != z.shape[:1] or labels.is_floating_point() or labels.is_complex():
        raise InputError(
            f"Labels must be integers of the shape ({len(z)},), one per code, got {labels.dtype} "
            f"of shape {tuple(labels.shape)}."
        )
