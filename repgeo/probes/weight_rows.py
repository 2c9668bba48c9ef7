"""What probes of groups read: the group of the data, and rows of weights on its elements."""

from __future__ import annotations

from functools import lru_cache

from torch import Tensor

from repgeo.datasets.dataset import Dataset
from repgeo.errors import InputError, UnsupportedError, nearest
from repgeo.groups import FiniteGroup, named_group
from repgeo.probes.subject import Subject

__all__ = ["group_of", "rows_on_group"]


@lru_cache(maxsize=32)
def _named(name: str) -> FiniteGroup:
    # A value, made once: its representations are computed when they are first asked for.
    return named_group(name)


def group_of(data: Dataset | None, given: str | None, probe: str) -> FiniteGroup:
    """The group that a probe was given by name, or else the dataset's `meta["group"]`.

    Raises
    ------
    InputError
        If neither tells one, or there is no such group.
    """
    told = given if given is not None else (None if data is None else data.meta.get("group"))
    if isinstance(told, FiniteGroup):
        return told
    if not isinstance(told, str):
        raise InputError(
            f"{probe} needs a group: the dataset has none in meta['group'], give the probe "
            "group = 'S3'."
        )
    return _named(told)


def rows_on_group(subject: Subject, group: FiniteGroup, weight: str | None) -> Tensor:
    """Rows of weights whose columns are the elements of a group, `(rows, n)`.

    They are the named weight, or else what the model gives as its `filters`, or else its only
    matrix that fits. A matrix with k n columns acts on k signals: each of them gives rows of its
    own. Rows of zeros are left out.

    Raises
    ------
    UnsupportedError
        If no weight, or more than one, fits.
    InputError
        If there is no weight of that name, or it does not fit, or all rows are zero.
    """
    n = group.order
    if weight is not None:
        if weight not in subject.weights:
            raise InputError(
                f"The model {subject.label!r} has no weight {weight!r}. "
                f"{nearest(weight, subject.weights)}"
            )
        found = subject.weights[weight]
        if found.ndim < 2 or found[0].numel() % n:
            raise InputError(
                f"The weight {weight!r} {tuple(found.shape)} does not act on signals of {n} "
                "elements."
            )
    elif subject.offers("filters"):
        found = subject.use("filters")
        if found.ndim != 2 or found.shape[1] != n:
            raise InputError(
                f"The filters {tuple(found.shape)} of {subject.label!r} do not fit {group!r}."
            )
    else:
        fitting = {
            name: tensor
            for name, tensor in subject.weights.items()
            if tensor.ndim == 2 and tensor.shape[1] == n
        }
        if len(fitting) != 1:
            known = ", ".join(sorted(fitting)) if fitting else "none"
            raise UnsupportedError(
                f"The model {subject.label!r} offers no filters, and matrices with {n} columns "
                f"are: {known}. Choose one with weight = '...'."
            )
        found = next(iter(fitting.values()))
    rows = found.reshape(-1, n)
    alive = rows.abs().sum(dim=1) > 0
    if not bool(alive.any()):
        raise InputError(f"All rows of the weights of {subject.label!r} are zero.")
    return rows[alive]
