"""Parallel anchors: samples of two domains that stand for each other."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from repgeo.errors import InputError, SampleMismatchError

__all__ = ["parallel_anchors"]


def parallel_anchors(
    first_ids: Tensor,
    second_ids: Tensor,
    pairs: Tensor | None = None,
    *,
    missing: Literal["error", "skip"] = "error",
) -> tuple[Tensor, Tensor]:
    """Indices of the samples of two domains that a partial bijection of ids pairs.

    A review and its translation, an image and its caption: row j of both index tensors is one
    anchor, seen in two domains. Which of them to use is `choose_anchors`'s matter, with one side's
    ids.

    Policies: a pair that is listed twice counts once; an id paired with two different ones is an
    error, as the pairs are then no bijection; of samples of a domain that share an id the first
    is taken.

    Parameters
    ----------
    first_ids, second_ids
        Sample ids `(n,)` and `(m,)` of the two domains, integers.
    pairs
        `(k, 2)`, integers: an id of the first domain, and its partner in the second. None: equal
        ids are partners, in the order of the ids.
    missing
        Where a pair names an id that its domain does not have: "error", or "skip" the pair. (Equal
        ids that only one domain has are no pair.)

    Returns
    -------
    tuple of Tensor
        Indices into `first_ids` and into `second_ids`, `(anchors,)` each, int64, in the order of
        the pairs.

    Raises
    ------
    InputError
        If shapes or types do not fit, or the pairs are no bijection.
    SampleMismatchError
        If an id is missing, or nothing is paired at all.

    Notes
    -----
    O((n + m + k) log(n + m + k)). Source: Moschella et al. 2023 (arXiv 2209.15430).

    Examples
    --------
    >>> english, french = torch.tensor([10, 11, 12]), torch.tensor([7, 5, 6])
    >>> parallel_anchors(english, french, torch.tensor([[12, 5], [10, 7]]))
    (tensor([2, 0]), tensor([1, 0]))
    """
    first_ids, second_ids = _ids(first_ids, "first"), _ids(second_ids, "second")
    if missing not in ("error", "skip"):
        raise InputError(f"missing must be 'error' or 'skip', got {missing!r}.")
    wanted = _shared(first_ids, second_ids) if pairs is None else _bijection(pairs)
    places = [_places(ids, wanted[:, j]) for j, ids in enumerate((first_ids, second_ids))]
    there = (places[0] >= 0) & (places[1] >= 0)
    if missing == "error" and not bool(there.all()):
        j = 0 if bool((places[0] < 0).any()) else 1
        absent = wanted[places[j] < 0, j]
        raise SampleMismatchError(
            f"The {('first', 'second')[j]} domain lacks {len(absent)} of {len(wanted)} paired ids, "
            f"{absent[:5].tolist()} among them. Use missing='skip' to leave such pairs out."
        )
    if not bool(there.any()):
        raise SampleMismatchError(
            "The two domains share no pair of samples. Check that the pairs name ids of the first "
            "domain in the first column, and of the second domain in the second."
        )
    return places[0][there], places[1][there]


def _ids(ids: Tensor, which: str) -> Tensor:
    if ids.ndim != 1 or ids.is_floating_point() or ids.is_complex():
        raise InputError(
            f"The ids of the {which} domain must be integers (n,), got {ids.dtype} "
            f"{tuple(ids.shape)}."
        )
    return ids.cpu().long()


def _shared(first: Tensor, second: Tensor) -> Tensor:
    shared = torch.unique(first)
    shared = shared[torch.isin(shared, second)]
    return torch.stack([shared, shared], dim=1)


def _bijection(pairs: Tensor) -> Tensor:
    """The pairs without repetition, in their order."""
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.is_floating_point() or pairs.is_complex():
        raise InputError(f"Pairs must be integers (k, 2), got {pairs.dtype} {tuple(pairs.shape)}.")
    kept = list(dict.fromkeys(map(tuple, pairs.tolist())))
    for j, which in enumerate(("first", "second")):
        names = [pair[j] for pair in kept]
        if len(set(names)) < len(names):
            repeated = next(name for name in names if names.count(name) > 1)
            raise InputError(
                f"The pairs are no bijection: the id {repeated} of the {which} domain has several "
                "partners. Leave one."
            )
    return torch.tensor(kept, dtype=torch.int64).reshape(-1, 2)


def _places(ids: Tensor, wanted: Tensor) -> Tensor:
    """The first index at which each wanted id occurs, -1 where it does not."""
    order = torch.argsort(ids, stable=True)
    ordered = ids[order]
    place = torch.searchsorted(ordered, wanted.contiguous())
    inside = place.clamp(max=max(len(ids) - 1, 0))
    if len(ids) == 0:
        return torch.full_like(wanted, -1)
    return torch.where(ordered[inside] == wanted, order[inside], -1)
