"""Errors of energies and forces, and who is measured by them."""

from __future__ import annotations

import pytest
import torch

from repgeo.datasets import Dataset, Split
from repgeo.datasets.pair_potential import pair_energy_and_forces
from repgeo.errors import InputError, UnsupportedError
from repgeo.models.loaded import load_model
from repgeo.models.molecule_networks import molecule_constant, molecule_potential
from repgeo.probes.context import Context
from repgeo.probes.force_field_error import ForceFieldError
from repgeo.probes.subject import Subject


def molecules_at() -> Dataset:
    numbers = torch.tensor([[6, 1, 8], [8, 1, 0]])
    noise = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    positions = 1.3 * noise * (numbers > 0)[..., None]
    energy, forces = pair_energy_and_forces(positions, numbers)
    x = {"positions": positions, "numbers": numbers}
    split = Split(x, energy, arrays={"forces": forces})
    return Dataset("toy", split, split)


def measured(net: torch.nn.Module, data: Dataset) -> dict[str, object]:
    subject = Subject(load_model(net.eval(), "net"), "output", samples=data.test.x)
    context = Context(dataset=data.digest, seed=0, cell="cell")
    return {each.metric: each for each in ForceFieldError().measure(subject, data, context)}


def test_errors_are_means_over_molecules_and_their_atoms():
    data = molecules_at()
    found = measured(molecule_constant(atoms=3, energy=0.5), data)
    expected = (data.test.y - 0.5).abs()
    torch.testing.assert_close(found["energy_error"].samples, expected, atol=1e-6, rtol=0)
    lengths = data.test.forces.norm(dim=-1)
    per_molecule = torch.stack([lengths[0].mean(), lengths[1, :2].mean()])
    torch.testing.assert_close(found["force_error"].samples, per_molecule, atol=1e-6, rtol=0)
    assert found["force_error"].chance == pytest.approx(float(per_molecule.mean()))
    middle = float(data.train.y.median())
    chance = float((data.test.y - middle).abs().mean())
    assert found["energy_error"].chance == pytest.approx(chance)


def test_the_formula_makes_no_error():
    found = measured(molecule_potential(atoms=3).double(), molecules_at())
    assert float(found["energy_error"].samples.max()) < 1e-12
    assert float(found["force_error"].samples.max()) < 1e-12


def test_data_without_forces_are_refused():
    split = Split(torch.zeros(3, 2), torch.zeros(3))
    with pytest.raises(InputError, match="needs molecules"):
        measured(molecule_constant(), Dataset("toy", split, split))


def test_a_model_without_forces_is_not_supported():
    data = molecules_at()
    with pytest.raises(UnsupportedError, match="energy_and_forces"):
        ForceFieldError()(torch.nn.Identity(), data.test.x, data.test.y)
