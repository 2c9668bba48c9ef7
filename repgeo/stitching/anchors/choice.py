"""Choosing anchors: the samples that relative representations compare all others with."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from repgeo.errors import InputError, nearest
from repgeo.stitching.anchors.farthest import farthest_points
from repgeo.stitching.anchors.medoids import medoids
from repgeo.stitching.anchors.volume import greedy_volume
from repgeo.stitching.codes import as_codes, directions

__all__ = ["AnchorMethod", "choose_anchors"]

AnchorMethod: TypeAlias = Literal["uniform", "stratified", "farthest", "medoids", "conditioning"]

_METHODS: Final[tuple[str, ...]] = get_args(AnchorMethod)

#: The methods that look at codes; the others look at ids and labels only.
_BY_CODES: Final = frozenset({"farthest", "medoids", "conditioning"})


def choose_anchors(
    ids: Tensor,
    labels: Tensor | None = None,
    *,
    codes: Tensor | None = None,
    count: int,
    generator: torch.Generator,
    method: AnchorMethod = "uniform",
) -> Tensor:
    r"""Indices of `count` anchors, different samples.

    ============ ================================================================================
    uniform      Drawn from all samples, without replacement.
    stratified   Each class gets its share of the anchors (largest remainder), drawn uniformly
                 within it.
    farthest     The first one is drawn uniformly; each further one is the sample whose nearest
                 anchor is farthest away.
    medoids      k-means with as many clusters as anchors; of each cluster the sample that is
                 nearest to its centroid.
    conditioning Each anchor is the sample that enlarges the volume of the anchors' matrix most:
                 it then has a small condition number, which is what an inverse relative projection
                 and least squares lose digits by. Nothing is drawn.
    ============ ================================================================================

    The last three look at `codes`, and only at directions: rows are divided by their norms first,
    as the cosine does. (`farthest_points`, `medoids` and `greedy_volume` take any points.) The
    codes are those of one model; the samples it chooses are the anchors of the others as well.

    The samples that are chosen depend on ids, codes by id, labels' partition and generator; not on
    the order of the samples, and not on the classes' names. Of samples that share an id at most
    one is chosen, the first of them. Ties go to the smallest id.

    Parameters
    ----------
    ids
        Sample ids `(n,)`, integers.
    labels
        Class labels `(n,)`, for "stratified".
    codes
        `(n, features)`, for "farthest", "medoids" and "conditioning".
    count
        How many anchors.
    generator
        A CPU generator.
    method
        How they are chosen.

    Returns
    -------
    Tensor
        Indices into `ids`, `(count,)`, int64, in the order of the choice. With "uniform",
        "farthest" and "conditioning" the first k of a larger choice by an equal generator are the
        choice of k.

    Raises
    ------
    InputError
        If `count` exceeds the number of different ids, if shapes do not fit, or if labels or codes
        are missing.

    Notes
    -----
    O(n log n) by ids; O(count n d) by codes of d features ("medoids": per iteration). Source:
    Moschella et al. 2023 (arXiv 2209.15430), who draw uniformly, and compare with farthest points
    and k-means.

    Examples
    --------
    >>> ids = torch.tensor([7, 3, 5, 1])
    >>> draw = choose_anchors(ids, count=4, generator=torch.Generator().manual_seed(0))
    >>> sorted(draw.tolist())
    [0, 1, 2, 3]
    """
    _check(ids, labels, codes, count, method)
    order = torch.argsort(ids.cpu(), stable=True)
    ordered = ids.cpu()[order]
    first = torch.ones(len(ordered), dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    units = order[first]  # one sample per id, sorted by id
    if count > len(units):
        raise InputError(
            f"{count} anchors were asked for, but there are only {len(units)} samples with "
            "different ids. Ask for fewer anchors, or give more training samples."
        )
    if method in _BY_CODES and codes is not None:
        rows = as_codes(codes, "codes").detach().cpu()[units]
        # Back in their own dtype, which says what is rounding and what is rank.
        points = directions(rows.double()).to(rows.dtype)
        return units[_by_codes(points, count, generator, method)]
    if method == "uniform" or labels is None:
        return units[torch.randperm(len(units), generator=generator)[:count]]
    strata = _strata(labels.cpu()[units])
    quotas = _quotas([len(members) for members in strata], count)
    drawn = [
        members[torch.randperm(len(members), generator=generator)[:quota]]
        for members, quota in zip(strata, quotas, strict=True)
    ]
    return units[torch.cat(drawn)]


def _by_codes(
    points: Tensor, count: int, generator: torch.Generator, method: AnchorMethod
) -> Tensor:
    if method == "conditioning":
        return greedy_volume(points, count=count)
    if method == "medoids":
        return medoids(points, count=count, generator=generator)
    start = int(torch.randint(len(points), (), generator=generator))
    return farthest_points(points, count=count, start=start)


def _check(
    ids: Tensor, labels: Tensor | None, codes: Tensor | None, count: int, method: str
) -> None:
    if method not in _METHODS:
        raise InputError(f"Unknown anchor method {method!r}. {nearest(method, _METHODS)}")
    if ids.ndim != 1 or ids.is_floating_point() or ids.is_complex():
        raise InputError(f"Ids must be integers (n,), got {ids.dtype} {tuple(ids.shape)}.")
    if count < 1:
        raise InputError(f"At least one anchor is needed, got count={count}.")
    if method in _BY_CODES:
        if codes is None:
            raise InputError(
                f"Anchors by {method!r} need the codes (n, features). Give codes=..., or use "
                "'uniform'."
            )
        if len(codes) != len(ids):
            raise InputError(
                f"There are {len(ids)} ids and {len(codes)} codes: one each is needed."
            )
    if method == "stratified":
        if labels is None:
            raise InputError("Stratified anchors need labels. Give them, or use 'uniform'.")
        if labels.shape != ids.shape or labels.is_floating_point():
            raise InputError(
                f"Labels must be integers {tuple(ids.shape)}, one per id, got {labels.dtype} "
                f"{tuple(labels.shape)}."
            )


def _strata(labels: Tensor) -> list[Tensor]:
    """Positions by class, classes in the order of their smallest id: names play no part."""
    found = [(labels == label).nonzero()[:, 0] for label in torch.unique(labels)]
    return sorted(found, key=lambda members: int(members[0]))


def _quotas(sizes: list[int], count: int) -> list[int]:
    """Whole numbers that add up to `count`, proportional to sizes by largest remainder."""
    total = sum(sizes)
    quotas = [size * count // total for size in sizes]
    remainders = [size * count % total for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda k: (-remainders[k], k))
    for k in by_remainder[: count - sum(quotas)]:
        quotas[k] += 1
    return quotas
