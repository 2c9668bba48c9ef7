"""Mean squared error of a model's outputs against a named array."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.objectives.objective import Objective

__all__ = ["MeanSquaredError"]


class MeanSquaredError(Objective):
    """Mean over samples and coordinates of (f(x) - target)^2.

    The target is `y`, `x` itself (an autoencoder), or another array of the dataset. Outputs and
    targets are compared flattened, `(batch, size)`: a target `(n,)` fits outputs `(n, 1)`.

    Raises
    ------
    InputError
        If the dataset has no such array, or its size per sample is not that of the outputs.

    Examples
    --------
    >>> from repgeo.datasets import Split
    >>> batch = Split(torch.zeros(2, 1), torch.tensor([1.0, 3.0]))
    >>> float(MeanSquaredError().loss(nn.Identity(), batch, torch.Generator()))
    5.0
    """

    name: ClassVar[str] = "mean_squared_error"

    target: str = Field(default="y", min_length=1)

    def batches(self, data: Dataset, batch_size: int, generator: torch.Generator) -> Iterator[Any]:
        """Shuffled minibatches of the train split."""
        self._target(data.train, data.name)
        yield from super().batches(data, batch_size, generator)

    def loss(self, model: nn.Module, batch: Any, generator: torch.Generator) -> Tensor:
        """The mean squared error of the batch."""
        outputs = model(batch.x).flatten(1)
        target = self._target(batch, "").reshape(len(outputs), -1)
        if outputs.shape != target.shape:
            raise InputError(
                f"The objective mean_squared_error compares outputs with {self.target!r}: the "
                f"model gives {outputs.shape[1]} numbers per sample, the target has "
                f"{target.shape[1]}."
            )
        return functional.mse_loss(outputs, target.to(outputs.dtype))

    def _target(self, split: Split, name: str) -> Tensor:
        known = {"x": split.x, **split.arrays}
        if split.y is not None:
            known["y"] = split.y
        found = known.get(self.target)
        if not isinstance(found, Tensor):
            raise InputError(
                f"The objective mean_squared_error needs the array {self.target!r}, which the "
                f"dataset {name!r} does not have as a tensor. It has: {', '.join(sorted(known))}."
            )
        return found
