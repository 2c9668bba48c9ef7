"""Energies and forces of molecules, as they are or turned at random."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.group_motion import move_each
from repgeo.errors import ConfigurationError, InputError
from repgeo.groups import SE3, representation_of, vector_representation
from repgeo.objectives.objective import Objective

__all__ = ["EnergyAndForces"]


class EnergyAndForces(Objective):
    """Mean squared errors of energies and of forces, weighted.

    loss = w_E mean (E(x) - y)^2 + w_F mean over atoms and coordinates of (F(x) - forces)^2, over
    the atoms that are there; in eV^2 for weights without a unit. The model offers
    `energy_and_forces`, from molecules to `(n, 1)` and `(n, atoms, 3)`.

    Parameters
    ----------
    energy_weight, force_weight
        w_E and w_F.
    augment
        Whether every molecule is rotated by Haar and shifted by a normal vector of deviation 1,
        anew in every pass, its forces with it.

    Raises
    ------
    InputError
        If the dataset has no energies, or no positions, numbers and forces.
    ConfigurationError
        If the model gives no forces.

    Examples
    --------
    >>> from repgeo.models.molecule_networks import molecule_constant
    >>> x = {"positions": torch.zeros(1, 2, 3), "numbers": torch.tensor([[1, 0]])}
    >>> batch = Split(x, torch.tensor([3.0]), arrays={"forces": torch.ones(1, 2, 3)})
    >>> net = molecule_constant(atoms=2)
    >>> float(EnergyAndForces().loss(net, batch, torch.Generator()))
    5.0
    """

    name: ClassVar[str] = "energy_and_forces"

    energy_weight: float = Field(default=1.0, ge=0.0)
    force_weight: float = Field(default=1.0, ge=0.0)
    augment: bool = False

    def batches(self, data: Dataset, batch_size: int, generator: torch.Generator) -> Iterator[Any]:
        """Shuffled minibatches of molecules, turned where that is asked for."""
        x, y = data.train.x, data.train.y
        fields = {} if isinstance(x, Tensor) else x
        forces = data.train.arrays.get("forces")
        if (
            not {"positions", "numbers"} <= set(fields)
            or not isinstance(forces, Tensor)
            or (y is None or not y.is_floating_point() or y.ndim != 1)
        ):
            raise InputError(
                "The objective energy_and_forces needs molecules (positions and numbers), energies "
                f"y (n,) and an array 'forces'; the dataset {data.name!r} lacks one of them."
            )
        for batch in super().batches(data, batch_size, generator):
            yield self._turned(batch, generator) if self.augment else batch

    def _turned(self, batch: Split, generator: torch.Generator) -> Split:
        group = SE3()
        action = representation_of({"positions": "points", "numbers": "invariant"}, group)
        moved, g = move_each(batch.x, group, action, generator)
        forces = batch.arrays["forces"]
        assert isinstance(forces, Tensor)
        turned = vector_representation(group).apply(g, forces[:, None])
        assert isinstance(turned, Tensor)
        return Split(moved, batch.y, batch.ids, {**batch.arrays, "forces": turned[:, 0]})

    def loss(self, model: nn.Module, batch: Any, generator: torch.Generator) -> Tensor:
        """The weighted errors of the batch."""
        both = getattr(model, "energy_and_forces", None)
        if not callable(both):
            raise ConfigurationError(
                "The objective energy_and_forces needs a model that offers energy_and_forces; "
                f"{type(model).__name__} does not."
            )
        energy, forces = both(batch.x)
        present = (batch.x["numbers"] > 0)[..., None]
        off = (energy[:, 0] - batch.y).square().mean()
        gaps = ((forces - batch.forces) * present).square().sum() / (3 * present.sum())
        total: Tensor = self.energy_weight * off + self.force_weight * gaps
        return total
