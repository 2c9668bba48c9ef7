"""Cross-entropy on samples that are moved by random elements of the data's group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.group_motion import move_each
from repgeo.errors import InputError
from repgeo.groups import named_acting_group, representation_of
from repgeo.objectives.cross_entropy import CrossEntropy

__all__ = ["AugmentedCrossEntropy"]


class AugmentedCrossEntropy(CrossEntropy):
    """Cross-entropy, with every sample of every batch moved by a random element of its own.

    The group is that of the dataset, `meta["group"]`, acting as `meta["action"]` says; labels stay.
    Elements are drawn from the group's law, anew in every pass.

    Parameters
    ----------
    group
        Another group, by name: "C4", a subgroup, instead of "SO2".

    Raises
    ------
    InputError
        If the dataset has no labels, tells no group or no action, or labels that the group moves.

    Examples
    --------
    >>> x = torch.ones(3, 4, 3)
    >>> meta = {"group": "SO3", "action": "points"}
    >>> data = Dataset("", Split(x, torch.zeros(3).long()), Split(x), meta)
    >>> batch = next(AugmentedCrossEntropy().batches(data, 3, torch.Generator()))
    >>> bool(torch.equal(batch.x, x)), bool(torch.allclose(batch.x.norm(dim=-1), x.norm(dim=-1)))
    (False, True)
    """

    name: ClassVar[str] = "augmented_cross_entropy"

    group: str | None = None

    def batches(self, data: Dataset, batch_size: int, generator: torch.Generator) -> Iterator[Any]:
        """Shuffled minibatches of the train split, each sample moved."""
        named, action = self.group or data.meta.get("group"), data.meta.get("action")
        if not isinstance(named, str) or action is None:
            raise InputError(
                "The objective augmented_cross_entropy needs meta['group'] and meta['action'], "
                f"which the dataset {data.name!r} does not have."
            )
        if data.meta.get("rep_out", "invariant") != "invariant":
            raise InputError(
                "The objective augmented_cross_entropy leaves labels as they are; those of "
                f"{data.name!r} change as {data.meta['rep_out']!r}."
            )
        group = named_acting_group(named)
        acting = representation_of(action, group)
        for batch in super().batches(data, batch_size, generator):
            moved, _ = move_each(batch.x, group, acting, generator)
            yield Split(moved, batch.y, batch.ids, batch.arrays)
