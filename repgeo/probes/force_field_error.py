"""Errors of the energies and forces that a model gives to molecules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject

__all__ = ["ForceFieldError"]


class ForceFieldError(Probe):
    """Mean absolute errors of energies and forces on the test molecules.

    - `energy_error`: mean of |E(x) - y|, eV. Chance: always answering with the median of the train
      energies.
    - `force_error`: mean over molecules of the mean over their atoms of the length |F_i - f_i|,
      eV / Angstrom. Chance: answering with no forces.

    The model offers `energy_and_forces`, from molecules (positions and numbers) to energies
    `(n, 1)` and forces `(n, atoms, 3)`; the dataset has energies `y` and the array `forces`. Values
    are means over test molecules with a Student-t interval.

    Raises
    ------
    InputError
        If the dataset has no energies or forces.

    Examples
    --------
    >>> from repgeo.models.molecule_networks import molecule_constant
    >>> case = next(iter(ForceFieldError().oracles()))
    >>> case.expected
    {'energy_error': 2.0, 'force_error': 3.0}
    """

    name: ClassVar[str] = "force_field_error"
    requires: ClassVar[frozenset[str]] = frozenset({"energy_and_forces"})
    metrics: ClassVar[Mapping[str, Metric]] = {
        "energy_error": Metric(
            direction="lower",
            range=(0.0, float("inf")),
            unit="eV",
            invariant_to={"samples:permutation"},
            summary="mean absolute error of the energy",
        ),
        "force_error": Metric(
            direction="lower",
            range=(0.0, float("inf")),
            unit="eV/Å",
            invariant_to={"samples:permutation"},
            summary="mean length of the error of the forces",
        ),
    }

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield both errors."""
        split, known = data.test, data.train.y
        x, y, forces = split.x, split.y, split.arrays.get("forces")
        if isinstance(x, Tensor) or y is None or known is None or not isinstance(forces, Tensor):
            raise InputError(
                "force_field_error needs molecules (a mapping of positions and numbers), energies "
                "y (n,) and an array 'forces'."
            )
        energy, found = subject.use("energy_and_forces", x)
        present: Tensor = (x["numbers"] > 0).double()  # (n, atoms)

        def mean_length(gaps: Tensor) -> Tensor:
            total: Tensor = (gaps.double().norm(dim=-1) * present).sum(dim=1)
            return total / present.sum(dim=1)

        yield Reading(
            "energy_error",
            samples=(energy[:, 0].cpu().double() - y.double()).abs(),
            ids=split.ids,
            chance=float((y.double() - known.double().median()).abs().mean()),
        )
        yield Reading(
            "force_error",
            samples=mean_length(found.cpu().double() - forces.double()),
            ids=split.ids,
            chance=float(mean_length(forces).mean()),
        )

    def oracles(self) -> Iterable[Case]:
        """No energy and no forces, where energies are 1 to 3 and forces 3 long."""
        n = 5
        x = {"positions": torch.zeros(n, 2, 3), "numbers": torch.ones(n, 2, dtype=torch.int64)}
        forces = torch.zeros(n, 2, 3)
        forces[..., 0] = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])[:, None]
        split = Split(x, torch.tensor([1.0, 1.5, 2.0, 2.5, 3.0]), arrays={"forces": forces})
        expected = {"energy_error": 2.0, "force_error": 3.0}
        yield Case(_Nothing(), Dataset("", split, split), expected, 1e-6)


class _Nothing(nn.Module):
    """No energy and no forces."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Identity()

    def energy_and_forces(self, x: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        positions = x["positions"]
        return torch.zeros_like(positions[:, 0, :1]), torch.zeros_like(positions)

    def forward(self, x: Mapping[str, Tensor]) -> Tensor:
        energy, forces = self.energy_and_forces(x)
        return torch.cat([energy, forces.flatten(1)], dim=1)
