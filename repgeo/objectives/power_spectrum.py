"""Invariance of power spectra to a group, with the regulariser that keeps them informative."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset
from repgeo.errors import ConfigurationError, InputError
from repgeo.groups import (
    FiniteGroup,
    expected_invariance_loss,
    named_group,
    pair_moments,
    pairs_invariance_loss,
    spectral_outputs,
    spectral_regulariser,
)
from repgeo.objectives.objective import Objective

__all__ = ["PowerSpectrum"]

#: Updates of one pass, where a batch is the whole of what is known.
_PASS = 500


@dataclass(frozen=True)
class _Exact:
    group: FiniteGroup


@dataclass(frozen=True)
class _Moments:
    moments: Tensor


@dataclass(frozen=True)
class _Pairs:
    x: Tensor
    y: Tensor


class PowerSpectrum(Objective):
    """Mean squared change of M_i M_i^† under the group, plus a weighted regulariser.

    loss = mean over blocks of E mean_ab |(M M^†)(x) - (M M^†)(g x)|^2_ab + weight * regulariser.
    Of several starts the sum is minimised: with Adam each goes its own way, as if it were alone.

    Attributes
    ----------
    regulariser
        "published": |d_tot I - W W^†|^2, whose minimum is not the Fourier transform of a
        non-abelian group; "plancherel": |n I - W~ W~^†|^2 with blocks scaled by sqrt(d_i).
    weight
        Of the regulariser; 10 as published.
    expectation
        What E is. "exact": over Gaussian signals and all elements, in closed form, a variant of the
        published recipe without sampling noise. "pairs": over the pairs (x, moved) of the train
        split, without knowing the group. "sampled": over fresh Gaussian signals and random elements
        in each batch, the published recipe (batches of 4, Adam at 1e-3, 12,500 updates).
    memory
        Of the running mean of the losses by which the best start is chosen, with "sampled".

    References
    ----------
    G. L. Marchetti, C. Hillar, D. Kragic, S. Sanborn, "Harmonics of learning: universal Fourier
    features emerge in invariant networks" (2023), arXiv:2312.08550.

    Examples
    --------
    >>> from repgeo.datasets.group_signals import orbit_pairs
    >>> from repgeo.models.power_spectral import power_spectral
    >>> data, net = orbit_pairs(seed=0, group="C2", train_size=4), power_spectral((2,), group="C2")
    >>> _ = [block.data.copy_(torch.tensor([1.0, 0.0])) for block in net.blocks.values()]
    >>> for block in net.blocks.values():
    ...     block.data[:, 1] *= -1  # the sign character beside the trivial one
    >>> objective, draws = PowerSpectrum(), torch.Generator()
    >>> float(objective.loss(net, next(objective.batches(data, 4, draws)), draws).detach())
    0.0
    """

    name: ClassVar[str] = "power_spectrum"

    regulariser: Literal["published", "plancherel"] = "plancherel"
    weight: float = Field(default=10.0, ge=0.0)
    expectation: Literal["exact", "pairs", "sampled"] = "exact"
    memory: float = Field(default=0.99, ge=0.0, lt=1.0)

    def batches(self, data: Dataset, batch_size: int, generator: torch.Generator) -> Iterator[Any]:
        """What is known of the group: itself, the moments of all pairs, or fresh samples."""
        if self.expectation == "pairs":
            moved = data.train.arrays.get("moved")
            if not isinstance(moved, Tensor) or not isinstance(data.train.x, Tensor):
                raise InputError(
                    f"expectation = 'pairs' needs the array 'moved', which {data.name!r} lacks."
                )
            moments = _Moments(pair_moments(data.train.x, moved)[0])
            yield from (moments for _ in range(_PASS))
            return
        group = named_group(_group_name(data))
        if self.expectation == "exact":
            yield from (_Exact(group) for _ in range(_PASS))
            return
        table = torch.tensor(group.table)
        for _ in range(self.batches_per_epoch(data, batch_size)):
            shape = (batch_size, group.order)
            x = torch.randn(shape, dtype=torch.complex128, generator=generator)
            g = torch.randint(group.order, (batch_size,), generator=generator)
            yield _Pairs(x, torch.gather(x, 1, table[g]))

    def batches_per_epoch(self, data: Dataset, batch_size: int) -> int:
        """As many as cover the train split once, or 500 where nothing is sampled."""
        return super().batches_per_epoch(data, batch_size) if self.samples else _PASS

    @property
    def samples(self) -> bool:
        """Whether batches are drawn."""
        return self.expectation == "sampled"

    def loss(self, model: nn.Module, batch: Any, generator: torch.Generator) -> Tensor:
        """The sum of the losses of all starts; the model notes them."""
        if not callable(getattr(model, "stacks", None)):
            raise ConfigurationError(
                f"The objective power_spectrum trains power-spectral networks, got "
                f"{type(model).__name__}."
            )
        network: Any = model
        total: Tensor | float = 0.0
        for candidate, sizes in enumerate(network.candidates):
            stacks = network.stacks(candidate)
            changes = [self._change(stack, batch).sum(dim=-1) for stack in stacks]  # (starts,)
            loss = torch.stack(changes).sum(dim=0) / len(sizes)
            loss = loss + self.weight * spectral_regulariser(stacks, self.regulariser)
            network.note(candidate, loss, memory=self.memory if self.samples else 0.0)
            total = total + loss.sum()
        return torch.as_tensor(total)

    def _change(self, stack: Tensor, batch: Any) -> Tensor:
        """E mean_ab |.|^2 of each block, `(starts, count)`."""
        if isinstance(batch, _Exact):
            return expected_invariance_loss(stack, batch.group)
        if isinstance(batch, _Moments):
            return pairs_invariance_loss(stack, batch.moments)
        D = spectral_outputs(stack, batch.x) - spectral_outputs(stack, batch.y)
        return (D.real.square() + D.imag.square()).mean((-2, -1)).mean(dim=0)


def _group_name(data: Dataset) -> str:
    name = data.meta.get("group")
    if not isinstance(name, str):
        raise InputError(
            f"The objective power_spectrum needs the group of the data by name, meta['group']; "
            f"the dataset {data.name!r} has {name!r}."
        )
    return name
