"""Splitting one set of samples into train and test, and choosing some of them."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.datasets.dataset import Split
from repgeo.errors import DatasetError
from repgeo.identity import derive_generator

__all__ = ["stratified_choice", "stratified_split"]


def stratified_split(samples: Split, test_fraction: float, seed: int) -> tuple[Split, Split]:
    """Train and test parts with each class in both in its proportion, chosen by `seed`.

    The choice depends on seed, ids and labels, not on the order of the samples. Without integer
    labels it is a plain random split. Samples that share an id stay on one side.

    Raises
    ------
    DatasetError
        If a side would be empty.
    """
    if not 0 < test_fraction < 1:
        raise DatasetError(f"test_fraction must lie between 0 and 1, got {test_fraction}.")
    units, inverse = torch.unique(samples.ids, return_inverse=True)  # sorted: order-free
    if len(units) < 2:
        raise DatasetError("At least two samples with different ids are needed for a split.")
    first = torch.full((len(units),), len(samples), dtype=torch.int64).scatter_reduce(
        0, inverse, torch.arange(len(samples)), "amin"
    )
    strata = _strata(samples.y[first] if samples.y is not None else None, len(units))
    generator = derive_generator("split", seed)
    in_test = torch.zeros(len(units), dtype=torch.bool)
    carried = 0.0  # what rounding left over, so that the total is right for many small classes
    for stratum in torch.unique(strata):
        members = (strata == stratum).nonzero()[:, 0]
        wanted = len(members) * test_fraction + carried
        taken = min(len(members), round(wanted))
        carried = wanted - taken
        in_test[members[torch.randperm(len(members), generator=generator)[:taken]]] = True
    if not bool(in_test.any()) or bool(in_test.all()):
        in_test[:] = False
        in_test[torch.randperm(len(units), generator=generator)[:1]] = True
    test = in_test[inverse]
    return samples.take((~test).nonzero()[:, 0]), samples.take(test.nonzero()[:, 0])


def stratified_choice(labels: Tensor, ids: Tensor, size: int, *seed: int | str) -> Tensor:
    """Positions `(size,)`, ascending, of samples with each class in its proportion.

    Class c of n_c samples gets the whole part of size * n_c / n, and the classes with the largest
    fractions one more. Which samples are chosen depends on the seed, on ids and labels, not on the
    order of the samples.

    Parameters
    ----------
    labels
        Integer classes `(n,)`.
    ids
        Different integers `(n,)`.
    size
        How many samples to choose, 1 to n.
    *seed
        What decides the choice.

    Raises
    ------
    DatasetError
        If there are not that many samples.

    Examples
    --------
    >>> labels = torch.tensor([0, 0, 0, 0, 1, 1])
    >>> labels[stratified_choice(labels, torch.arange(6), 3, 0)].tolist()
    [0, 0, 1]
    """
    n = len(labels)
    if not 1 <= size <= n:
        raise DatasetError(f"{size} samples were asked for; allowed: 1 to {n}.")
    generator = derive_generator("choice", *seed)
    classes, counts = torch.unique(labels, return_counts=True)
    shares = counts * size  # over n: kept as integers, so that no rounding decides
    quotas = shares // n
    by_fraction = torch.argsort(shares % n, descending=True, stable=True)
    quotas[by_fraction[: size - int(quotas.sum())]] += 1
    by_id = torch.argsort(ids)
    chosen = []
    for label, quota in zip(classes, quotas.tolist(), strict=True):
        members = by_id[labels[by_id] == label]
        chosen.append(members[torch.randperm(len(members), generator=generator)[:quota]])
    return torch.cat(chosen).sort().values


def _strata(labels: Tensor | None, n: int) -> Tensor:
    if labels is None or labels.is_floating_point() or labels.ndim != 1:
        return torch.zeros(n, dtype=torch.int64)
    return labels
