"""Cross-entropy of a network on relative coordinates, its anchors drawn from the data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from pydantic import Field
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import ConfigurationError, InputError
from repgeo.identity import derive_generator
from repgeo.objectives.cross_entropy import CrossEntropy
from repgeo.stitching.anchors import AnchorMethod, choose_anchors

__all__ = ["AnchoredBatch", "RelativeCrossEntropy"]


@dataclass(frozen=True, eq=False)
class AnchoredBatch(Split):
    """A batch, and the inputs of the anchors `(k, ...)`, the same with every batch."""

    anchors: Tensor | None = None


@runtime_checkable
class _Anchored(Protocol):
    """What a network on relative coordinates offers (see `repgeo.models.relative`)."""

    anchor_inputs: Tensor

    def encode_anchors(self) -> Tensor: ...
    def place_anchors(self, x: Tensor) -> None: ...
    def count_update(self, refresh: int) -> None: ...


class RelativeCrossEntropy(CrossEntropy):
    """Cross-entropy of a network whose head reads coordinates relative to anchors of the data.

    loss = mean over the batch of the cross-entropy of head(r(encoder(x); encoder(anchors))), in
    nats. The anchors are training samples, chosen by their ids and `anchor_seed` alone: networks of
    any model seed, trained on the same train split, have the same ones, which is what makes their
    heads fit one another.

    With `refresh = 1` the anchors are encoded anew with every batch, in the network's training
    mode, and gradients flow through them. With n > 1 their codes are constants that are renewed
    before the first and then after every n updates; with 0 they are those of the initial weights,
    frozen. In all cases the codes that the network keeps for evaluation are those of the weights at
    the last refresh (with 1: its present weights), so that stored checkpoints are complete.

    Parameters
    ----------
    anchors
        How many; as many as the network has.
    anchor_choice
        See `repgeo.stitching.choose_anchors`. Those that look at codes look at the inputs here.
    anchor_seed
        Decides the choice.
    refresh
        After how many updates the anchors are encoded anew; 0: never.

    Raises
    ------
    ConfigurationError
        If the network has no anchors.
    InputError
        If labels are missing, there are fewer samples than anchors, or inputs are not one tensor.

    Notes
    -----
    An update encodes batch and anchors, and the anchors once more for evaluation. Source: Moschella
    et al. 2023 (arXiv 2209.15430).

    Examples
    --------
    >>> from repgeo.models.relative import RelativeNetwork
    >>> x = torch.eye(2)
    >>> net = RelativeNetwork(nn.Flatten(), nn.Identity(), (2,), anchors=2)
    >>> data = Dataset("", Split(x, torch.arange(2)), Split(x, torch.arange(2)))
    >>> objective = RelativeCrossEntropy(anchors=2)
    >>> batch = next(objective.batches(data, 2, torch.Generator()))
    >>> bool(objective.loss(net, batch, torch.Generator()) > 0)
    True
    """

    name: ClassVar[str] = "relative_cross_entropy"

    anchors: int = Field(default=64, ge=2)
    anchor_choice: AnchorMethod = "uniform"
    anchor_seed: int = Field(default=0, ge=0)
    refresh: int = Field(default=1, ge=0)

    def batches(self, data: Dataset, batch_size: int, generator: torch.Generator) -> Iterator[Any]:
        """Shuffled minibatches of the train split, each with the anchors."""
        train = data.train
        if not isinstance(train.x, Tensor):
            raise InputError("Relative coordinates need inputs that are one tensor.")
        chosen: Tensor | None = None
        for batch in super().batches(data, batch_size, generator):
            if chosen is None:  # after the check of the labels
                chosen = train.x[self.choose(train).to(train.x.device)]
            yield AnchoredBatch(batch.x, batch.y, batch.ids, batch.arrays, chosen)

    def choose(self, train: Split) -> Tensor:
        """Positions `(anchors,)` of the anchors in a train split."""
        return choose_anchors(
            train.ids,
            train.y,
            codes=train.x.flatten(1) if isinstance(train.x, Tensor) else None,
            count=self.anchors,
            generator=derive_generator("anchors of training", self.anchor_seed),
            method=self.anchor_choice,
        )

    def loss(self, model: nn.Module, batch: Any, generator: torch.Generator) -> Tensor:
        """The mean cross-entropy of the batch."""
        if not isinstance(model, _Anchored):
            raise ConfigurationError(
                f"The objective {self.name} trains networks on relative coordinates; "
                f"{type(model).__name__} has no anchors. Use relative_mlp, or a "
                "repgeo.models.relative.RelativeNetwork."
            )
        if batch.anchors is not None and not torch.equal(model.anchor_inputs, batch.anchors):
            model.place_anchors(batch.anchors)
        return super().loss(model, batch, generator)

    def outputs(self, model: nn.Module, batch: Any) -> Tensor:
        """The outputs, with the anchors encoded along where their gradients are wanted."""
        if self.refresh != 1 or not model.training or not isinstance(model, _Anchored):
            return super().outputs(model, batch)
        logits: Tensor = model(batch.x, anchors=model.encode_anchors())
        return logits

    def after_step(self, model: nn.Module) -> None:
        """Store the codes of the anchors under the new weights, where they are due."""
        if self.refresh and isinstance(model, _Anchored):
            model.count_update(self.refresh)
