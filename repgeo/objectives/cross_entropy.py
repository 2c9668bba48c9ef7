"""Cross-entropy of a model's outputs against class labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from repgeo.datasets.dataset import Dataset
from repgeo.errors import InputError
from repgeo.objectives.objective import Objective

__all__ = ["CrossEntropy"]


class CrossEntropy(Objective):
    """Cross-entropy of outputs `(batch, classes)`, taken as logits, against integer labels.

    loss = - mean over the batch of sum_c q_c log softmax(f(x))_c, in nats, where q is 1 at the
    label; with smoothing s it is 1 - s + s / classes there, and s / classes elsewhere.

    Raises
    ------
    InputError
        If the data have no integer labels `(n,)`, or the outputs do not fit them.

    Examples
    --------
    >>> from repgeo.datasets import Split
    >>> batch = Split(torch.zeros(2, 4), torch.tensor([0, 3]))
    >>> loss = CrossEntropy().loss(nn.Identity(), batch, torch.Generator())
    >>> round(float(loss.exp()), 4)
    4.0
    """

    name: ClassVar[str] = "cross_entropy"

    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)

    def batches(self, data: Dataset, batch_size: int, generator: torch.Generator) -> Iterator[Any]:
        """Shuffled minibatches of the train split."""
        y = data.train.y
        if y is None or y.is_floating_point() or y.ndim != 1:
            found = "none" if y is None else f"{y.dtype} of shape {tuple(y.shape)}"
            raise InputError(
                f"The objective cross_entropy needs integer class labels y of shape (n,); the "
                f"dataset {data.name!r} has {found}."
            )
        yield from super().batches(data, batch_size, generator)

    def loss(self, model: nn.Module, batch: Any, generator: torch.Generator) -> Tensor:
        """The mean cross-entropy of the batch."""
        logits = self.outputs(model, batch)
        largest = int(batch.y.max())
        if logits.ndim != 2 or logits.shape[1] <= largest or int(batch.y.min()) < 0:
            raise InputError(
                f"The objective cross_entropy needs outputs (batch, classes) and labels 0 to "
                f"classes - 1; the model gives {tuple(logits.shape)}, the labels are "
                f"{int(batch.y.min())} to {largest}."
            )
        return functional.cross_entropy(logits, batch.y, label_smoothing=self.label_smoothing)

    def outputs(self, model: nn.Module, batch: Any) -> Tensor:
        """The model's outputs on a batch, `(batch, classes)`."""
        logits: Tensor = model(batch.x)
        return logits
