"""Topological densification as a training objective: class-pure sub-batches and death times."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, Self, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.samples import Samples
from repgeo.errors import ConfigurationError, InputError, nearest
from repgeo.objectives.cross_entropy import CrossEntropy
from repgeo.objectives.relative_cross_entropy import AnchoredBatch, RelativeCrossEntropy
from repgeo.stitching.densification import DeviationKind, Reduction, densification_loss
from repgeo.stitching.persistence import PointMetric

__all__ = ["BatchStatistics", "Densification", "PureBatch", "RelativeDensification"]

#: Which samples batch normalisation is estimated from, see `Densification`.
BatchStatistics: TypeAlias = Literal["random", "mixed", "pure"]

_POSITION: Final = "position in the train split"


@dataclass(frozen=True, eq=False)
class PureBatch(AnchoredBatch):
    """Class-pure sub-batches of one update, one after the other.

    Attributes
    ----------
    cloud
        The number of the sub-batch that each sample belongs to, `(batch,)`.
    random
        Inputs drawn irrespective of class, for normalisation statistics only.
    """

    cloud: Tensor | None = None
    random: Samples | None = None


class Densification(CrossEntropy):
    r"""Cross-entropy, and death times of class-pure sub-batches pulled towards a scale beta.

    An update takes b = batch_size / draws sub-batches S of n = `draws` samples of one class. With
    z the codes at `layer`,

        loss = mean cross-entropy of all b n samples + weight / b sum over S of L_beta(z(S)),

    L_beta as in `repgeo.stitching.densification_loss`. Each training sample is the seed of a
    sub-batch once per epoch, in an order shuffled anew in every epoch; the n - 1 others are drawn
    from its class in every update anew. A sub-batch of repeated samples has deaths of 0, which
    count but have no gradient.

    Class-pure sub-batches would spoil the statistics of batch normalisation. `statistics` says
    where these come from:

    - "random": from one further sub-batch drawn irrespective of class. It goes through the network
      with batch normalisation in training mode, and has no loss: it moves the running statistics
      and nothing else (weights of linear layers and layer normalisations are as good as frozen).
      The class-pure sub-batches are then normalised by the running statistics.
    - "mixed": all class-pure sub-batches go through the network at once, in training mode.
    - "pure": each goes through by itself, in training mode; the fault that "random" mends.

    With weight = 0 all is the same but the second term: the control of an experiment.

    Parameters
    ----------
    beta
        The wanted death time, in units of the codes.
    weight
        lambda.
    kind, reduction, metric
        Of `densification_loss`; "sum" is the published reduction.
    draws
        n, at least 2.
    replacement
        Whether the others of a sub-batch are drawn with replacement, from all of the class, the
        seed included; otherwise all of a sub-batch are different.
    statistics
        See above.
    statistics_draws
        Samples of the random sub-batch (as many as `draws` by default), without replacement.
    ramp
        "constant", or "cycles": the weight rises linearly from 0 to lambda over three quarters of
        each of `cycles` equal parts of the training, and stays for the last quarter.
    cycles
        How many.
    layer
        Where the codes are taken.

    Raises
    ------
    ConfigurationError
        If batch_size is not a multiple of `draws`, or the network has no such layer.
    InputError
        If labels are missing, or a class has too few samples to be drawn without replacement.

    Notes
    -----
    Sources: Hofer, Graf, Niethammer, Kwitt 2020 (arXiv 2002.04805): seeds, draws with replacement,
    "mixed"; García-Castellanos et al. 2024 (arXiv 2409.10967): "random", the ramp.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0], [5.0], [7.0]])
    >>> data = Dataset("", Split(x, torch.tensor([0, 0, 1, 1])), Split(x))
    >>> objective = Densification(draws=2)
    >>> batch = next(objective.batches(data, 8, torch.Generator().manual_seed(0)))
    >>> sorted(batch.x.reshape(-1, 2).sum(dim=1).tolist())  # every pair twice, once from each seed
    [1.0, 1.0, 12.0, 12.0]
    """

    name: ClassVar[str] = "densification"

    beta: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    weight: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    kind: DeviationKind = "l1"
    reduction: Reduction = "sum"
    metric: PointMetric = "euclidean"
    draws: int = Field(default=16, ge=2)
    replacement: bool = False
    statistics: BatchStatistics = "random"
    statistics_draws: int | None = Field(default=None, ge=2)
    ramp: Literal["constant", "cycles"] = "constant"
    cycles: int = Field(default=4, ge=1)
    layer: str = Field(default="encoder", min_length=1)

    def at(self, progress: float) -> Self:
        """The objective at a finished share of the training: its weight follows the ramp."""
        if self.ramp == "constant":
            return self
        share = (progress * self.cycles) % 1.0
        return self.model_copy(update={"weight": self.weight * min(1.0, share / 0.75)})

    def batches(self, data: Dataset, batch_size: int, generator: torch.Generator) -> Iterator[Any]:
        """One pass: each training sample once the seed of a class-pure sub-batch."""
        train = data.train
        places = torch.arange(len(train), device=train.ids.device)
        marked = dataclasses.replace(train, arrays={**train.arrays, _POSITION: places})
        seeds = super().batches(
            dataclasses.replace(data, train=marked), self._seeds(batch_size), generator
        )
        members: dict[int, Tensor] = {}
        for batch in seeds:
            if not members:  # after the check of the labels
                members = self._members(data)
            index = self._drawn(batch, members, generator)
            taken = train.take(index.to(train.ids.device))
            cloud = torch.arange(len(batch), device=train.ids.device)
            random = None
            if self.statistics == "random":
                count = self.statistics_draws or self.draws
                chosen = torch.randperm(len(train), generator=generator)[:count]
                random = train.take(chosen.to(train.ids.device)).x
            yield PureBatch(
                taken.x,
                taken.y,
                taken.ids,
                taken.arrays,
                getattr(batch, "anchors", None),
                cloud.repeat_interleave(self.draws),
                random,
            )

    def batches_per_epoch(self, data: Dataset, batch_size: int) -> int:
        """The number of updates of one pass over the seeds."""
        return -(-len(data.train) // self._seeds(batch_size))

    def loss(self, model: nn.Module, batch: Any, generator: torch.Generator) -> Tensor:
        """The mean cross-entropy of the batch and the weighted deviation of its death times."""
        if self.statistics == "pure":
            parts = [_part(batch, number) for number in torch.unique(batch.cloud).tolist()]
            losses = [self._of_one_pass(model, part, generator) for part in parts]
            return torch.stack(losses).mean()
        if self.statistics == "mixed" or not model.training:
            return self._of_one_pass(model, batch, generator)
        with torch.no_grad():
            model(batch.random)
        with _frozen_statistics(model):
            return self._of_one_pass(model, batch, generator)

    def positions(self) -> Mapping[str, float]:
        """Layers whose codes are densified, and the share of the weight that each has."""
        return {self.layer: 1.0}

    def _of_one_pass(self, model: nn.Module, batch: Any, generator: torch.Generator) -> Tensor:
        positions = {layer: share for layer, share in self.positions().items() if share}
        with _watched(model, positions) as codes:
            total = super().loss(model, batch, generator)
        if not self.weight:
            return total
        for layer, share in positions.items():
            deviation = densification_loss(
                codes[layer].flatten(1),
                batch.cloud,
                self.beta_of(layer),
                kind=self.kind,
                reduction=self.reduction,
                metric=self.metric,
            )
            total = total + self.weight * share * deviation
        return total

    def beta_of(self, layer: str) -> float:
        """The wanted death time at a layer."""
        return self.beta

    def _seeds(self, batch_size: int) -> int:
        if batch_size % self.draws:
            raise ConfigurationError(
                f"The objective {self.name} fills a batch with sub-batches of draws = {self.draws} "
                f"samples: batch_size must be a multiple of it, got {batch_size}."
            )
        return batch_size // self.draws

    def _members(self, data: Dataset) -> dict[int, Tensor]:
        """Positions of the samples of each class in the train split."""
        y = data.train.y
        assert y is not None  # checked by the cross-entropy
        labels = y.cpu()
        found = {
            label: (labels == label).nonzero()[:, 0] for label in torch.unique(labels).tolist()
        }
        for label, positions in found.items():
            if len(positions) < self.draws and not self.replacement:
                raise InputError(
                    f"Class {label} of {data.name!r} has {len(positions)} training samples, fewer "
                    f"than draws = {self.draws}. Draw fewer, or set replacement = true."
                )
        return found

    def _drawn(
        self, seeds: Split, members: Mapping[int, Tensor], generator: torch.Generator
    ) -> Tensor:
        """Positions `(seeds * draws,)`: each seed, followed by the others of its sub-batch."""
        found = []
        assert seeds.y is not None
        own = seeds.arrays[_POSITION]
        assert isinstance(own, Tensor)
        for seed, label in zip(own.cpu(), seeds.y.tolist(), strict=True):
            mates = members[label]
            if self.replacement:
                drawn = torch.randint(len(mates), (self.draws - 1,), generator=generator)
            else:
                mates = mates[mates != seed]
                drawn = torch.randperm(len(mates), generator=generator)[: self.draws - 1]
            found += [seed[None], mates[drawn]]
        return torch.cat(found)


class RelativeDensification(Densification, RelativeCrossEntropy):
    """Densification of a network on relative coordinates, before and after the relative layer.

    The objectives `densification` and `relative_cross_entropy` in one. The position of the death
    times is "pre", the codes at `layer`; "post", the relative coordinates at `relative_layer`; or
    "both", as published 0.1 L_beta(pre) + 0.9 L_beta(post). Distances between relative coordinates
    are of another size than those between codes: `beta_post` is a scale of its own for them.

    Parameters
    ----------
    position
        "pre", "post" or "both".
    pre_share, post_share
        Of the weight, where the position is "both".
    beta_post
        The wanted death time after the relative layer; that of before by default, as published.
    relative_layer
        Where the relative coordinates are taken.

    Notes
    -----
    All other parameters are those of `densification` and `relative_cross_entropy`. With `refresh =
    1` the anchors go through the network with each class-pure pass, normalised as that is.

    Source: García-Castellanos et al. 2024 (arXiv 2409.10967).

    Examples
    --------
    >>> RelativeDensification(position="both").positions()
    {'encoder': 0.1, 'relative': 0.9}
    """

    name: ClassVar[str] = "relative_densification"

    position: Literal["pre", "post", "both"] = "both"
    pre_share: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    post_share: float = Field(default=0.9, ge=0, allow_inf_nan=False)
    beta_post: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    relative_layer: str = Field(default="relative", min_length=1)

    def positions(self) -> Mapping[str, float]:
        """Layers whose codes are densified, and the share of the weight that each has."""
        if self.position == "both":
            return {self.layer: self.pre_share, self.relative_layer: self.post_share}
        return {self.layer if self.position == "pre" else self.relative_layer: 1.0}

    def beta_of(self, layer: str) -> float:
        """The wanted death time at a layer."""
        own = self.beta_post if layer == self.relative_layer else None
        return self.beta if own is None else own


def _part(batch: PureBatch, number: int) -> PureBatch:
    """One sub-batch by itself."""
    assert batch.cloud is not None
    index = (batch.cloud == number).nonzero()[:, 0]
    one = batch.take(index)
    return PureBatch(one.x, one.y, one.ids, one.arrays, batch.anchors, batch.cloud[index])


@contextmanager
def _frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Batch normalisation by running statistics, which stay as they are."""
    kind = nn.modules.batchnorm._BatchNorm
    training = [part for part in model.modules() if isinstance(part, kind) and part.training]
    for part in training:
        part.eval()
    try:
        yield
    finally:
        for part in training:
            part.train()


@contextmanager
def _watched(model: nn.Module, layers: Mapping[str, float]) -> Iterator[dict[str, Tensor]]:
    """What layers return while the network runs: of each its last call."""
    found: dict[str, Tensor] = {}
    handles = []
    known = dict(model.named_modules())
    for layer in layers:
        if layer not in known:
            raise ConfigurationError(
                f"{type(model).__name__} has no layer {layer!r} to densify. "
                f"{nearest(layer, [name for name in known if name])}"
            )

        def keep(_part: nn.Module, _args: Any, output: Tensor, layer: str = layer) -> None:
            found[layer] = output

        handles.append(known[layer].register_forward_hook(keep))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
    for layer in layers:
        if layer not in found:
            raise ConfigurationError(f"The layer {layer!r} does not run in the forward pass.")
