"""A dataset: two splits of named arrays with sample ids, what is known of them, and a digest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from repgeo.datasets.samples import Samples, count, map_samples, samples_digest, take
from repgeo.errors import DatasetError, nearest
from repgeo.identity import digest

__all__ = ["Dataset", "Split"]


@dataclass(frozen=True, eq=False)
class Split:
    """Named arrays of the same samples.

    Attributes
    ----------
    x
        The inputs: a tensor `(n, ...)` or a mapping of tensors.
    y
        The labels, or None. Integer labels are classes.
    ids
        One integer per sample, `(n,)`; equal ids are measurements of one unit (a cluster). The
        position by default.
    arrays
        Whatever else the dataset has, by name: `split.pose` is `split.arrays["pose"]`.

    Raises
    ------
    DatasetError
        If it is empty, if the lengths disagree, or if a value is NaN or infinite.
    """

    x: Samples
    y: Tensor | None = None
    ids: Tensor = field(default=None)  # type: ignore[assignment]  # filled in below
    arrays: Mapping[str, Samples] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = count(self.x)
        if n == 0:
            raise DatasetError("The dataset is empty: a split needs at least one sample.")
        if self.ids is None:
            object.__setattr__(self, "ids", torch.arange(n))
        if self.ids.dtype != torch.int64:
            raise DatasetError(f"Sample ids must be int64, got {self.ids.dtype}.")
        named: dict[str, Samples] = {"x": self.x, "ids": self.ids, **self.arrays}
        if self.y is not None:
            named["y"] = self.y
        for name, samples in named.items():
            if count(samples) != n:
                raise DatasetError(f"{name!r} has {count(samples)} samples, 'x' has {n}.")
            map_samples(partial(_require_finite, name), samples)

    def __len__(self) -> int:
        return count(self.x)

    def __getattr__(self, name: str) -> Samples:
        arrays: Mapping[str, Samples] = self.__dict__.get("arrays", {})
        if name in arrays:
            return arrays[name]
        known = ("x", "y", "ids", *arrays)
        raise AttributeError(f"This dataset has no array {name!r}. {nearest(name, known)}")

    def take(self, index: Tensor) -> Split:
        """The samples at `index`, with their ids and arrays."""
        return Split(
            take(self.x, index),
            None if self.y is None else self.y[index],
            self.ids[index],
            {name: take(samples, index) for name, samples in self.arrays.items()},
        )

    def to(self, device: torch.device, dtype: torch.dtype | None = None) -> Split:
        """The same samples on a device, floating arrays in `dtype` (as they are without one)."""

        def move(tensor: Tensor) -> Tensor:
            wanted = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
            return tensor.to(device=device, dtype=wanted)

        return Split(
            map_samples(move, self.x),
            None if self.y is None else move(self.y),
            self.ids.to(device),
            {name: map_samples(move, samples) for name, samples in self.arrays.items()},
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all arrays."""
        parts = {"x": samples_digest(self.x), "ids": samples_digest(self.ids)}
        if self.y is not None:
            parts["y"] = samples_digest(self.y)
        parts |= {f"array:{name}": samples_digest(array) for name, array in self.arrays.items()}
        return digest(parts, length=64)


def _require_finite(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point() or bool(torch.isfinite(tensor.sum())):
        return tensor  # one pass and no copy; a sum that overflows is looked at more closely
    if not bool(torch.isfinite(tensor).all()):
        rows = (~torch.isfinite(tensor.reshape(tensor.shape[0], -1))).any(dim=1)
        first = int(rows.nonzero()[0, 0])
        raise DatasetError(
            f"{name!r} holds NaN or infinite values in {int(rows.sum())} of {len(rows)} samples "
            f"(the first is number {first}). Remove or fill them before measuring."
        )
    return tensor


@dataclass(frozen=True, eq=False)
class Dataset:
    """What models are trained and measured on.

    Attributes
    ----------
    name
        What the `dataset` column says.
    train, test
        A probe measures on `test` and fits only on `train`.
    meta
        What is known of the data: `group`, `classes` (names), `truth`.
    make_world
        Makes the environment the data come from, where there is one.
    """

    name: str
    train: Split
    test: Split
    meta: Mapping[str, Any] = field(default_factory=dict)
    make_world: Callable[[], Any] | None = None

    @cached_property
    def digest(self) -> str:
        """Twenty hexadecimal digits that name the contents of both splits."""
        return digest([self.train.digest, self.test.digest])

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """The shape of one input, without the sample axis (None for mappings)."""
        return tuple(self.test.x.shape[1:]) if isinstance(self.test.x, Tensor) else None

    @property
    def classes(self) -> int | None:
        """The number of classes: `meta["classes"]`, else one more than the largest label."""
        if "classes" in self.meta:
            return len(self.meta["classes"])
        labels = [split.y for split in (self.train, self.test) if split.y is not None]
        if not labels or any(y.is_floating_point() or y.ndim != 1 for y in labels):
            return None
        return 1 + max(int(y.max()) for y in labels)

    def world(self) -> Any:
        """A fresh environment that the data come from.

        Raises
        ------
        DatasetError
            If the data do not come from one.
        """
        if self.make_world is None:
            raise DatasetError(f"The dataset {self.name!r} does not come from a world.")
        return self.make_world()
