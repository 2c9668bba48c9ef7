"""What a probe may use besides the model and the data: randomness, progress, a memory budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from repgeo.identity import derive_generator

__all__ = ["Context"]

T = TypeVar("T")


def _silent(fraction: float) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True)
class Context:
    """Randomness by purpose, progress and memory for one cell.

    Attributes
    ----------
    dataset
        The dataset's digest.
    seed
        The task seed.
    cell
        What is the cell's own (its identity).
    progress
        Called with the finished fraction, now and then, by probes that take long.
    memory_budget
        Bytes that a probe may use for its chunks.
    """

    dataset: str
    seed: int
    cell: str = ""
    progress: Callable[[float], None] = field(default=_silent, compare=False)
    memory_budget: int = 1 << 28

    def shared(self, purpose: str) -> torch.Generator:
        """A generator that depends on dataset, task seed and purpose only.

        The same for every model and every parameter of the probe: for anchors, probe points,
        group elements.
        """
        return derive_generator("shared", self.dataset, self.seed, purpose)

    def private(self, purpose: str) -> torch.Generator:
        """A generator of this cell's own."""
        return derive_generator("private", self.cell, purpose)

    def track(self, items: Iterable[T], total: int) -> Iterable[T]:
        """The items, with progress reported after each."""
        for done, item in enumerate(items, start=1):
            yield item
            self.progress(done / total)
