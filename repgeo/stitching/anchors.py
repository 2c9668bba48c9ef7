"""Choosing anchors: the samples that relative representations compare all others with."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from repgeo.errors import InputError, nearest

__all__ = ["AnchorMethod", "choose_anchors"]

AnchorMethod: TypeAlias = Literal["uniform", "stratified"]

_METHODS: Final[tuple[str, ...]] = get_args(AnchorMethod)


def choose_anchors(
    ids: Tensor,
    labels: Tensor | None = None,
    *,
    count: int,
    generator: torch.Generator,
    method: AnchorMethod = "uniform",
) -> Tensor:
    """Indices of `count` anchors, drawn without replacement.

    "uniform" draws from all samples. "stratified" gives each class its share of the anchors
    (largest remainder) and draws uniformly within it.

    The samples that are chosen depend on ids, labels' partition and generator; not on the order
    of the samples, and not on the classes' names. Of samples that share an id at most one is
    chosen, the first of them.

    Parameters
    ----------
    ids
        Sample ids `(n,)`, integers.
    labels
        Class labels `(n,)`, for "stratified".
    count
        How many anchors.
    generator
        A CPU generator.
    method
        How they are drawn.

    Returns
    -------
    Tensor
        Indices into `ids`, `(count,)`, int64, in the order of the draw: with "uniform" the first k
        of a larger draw by an equal generator are the draw of k.

    Raises
    ------
    InputError
        If `count` exceeds the number of different ids, if shapes do not fit, or if labels are
        missing.

    Notes
    -----
    O(n log n). Source: Moschella et al. 2023 (arXiv 2209.15430) draw anchors uniformly.

    Examples
    --------
    >>> ids = torch.tensor([7, 3, 5, 1])
    >>> draw = choose_anchors(ids, count=4, generator=torch.Generator().manual_seed(0))
    >>> sorted(draw.tolist())
    [0, 1, 2, 3]
    """
    _check(ids, labels, count, method)
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
    if method == "uniform" or labels is None:
        return units[torch.randperm(len(units), generator=generator)[:count]]
    strata = _strata(labels.cpu()[units])
    quotas = _quotas([len(members) for members in strata], count)
    drawn = [
        members[torch.randperm(len(members), generator=generator)[:quota]]
        for members, quota in zip(strata, quotas, strict=True)
    ]
    return units[torch.cat(drawn)]


def _check(ids: Tensor, labels: Tensor | None, count: int, method: str) -> None:
    if method not in _METHODS:
        raise InputError(f"Unknown anchor method {method!r}. {nearest(method, _METHODS)}")
    if ids.ndim != 1 or ids.is_floating_point() or ids.is_complex():
        raise InputError(f"Ids must be integers (n,), got {ids.dtype} {tuple(ids.shape)}.")
    if count < 1:
        raise InputError(f"At least one anchor is needed, got count={count}.")
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
