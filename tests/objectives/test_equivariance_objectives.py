"""Augmentation by the group of the data; energies and forces."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from repgeo.datasets import Dataset, Split
from repgeo.datasets.pair_potential import pair_energy_and_forces
from repgeo.datasets.tetris import tetris
from repgeo.errors import ConfigurationError, InputError
from repgeo.groups import Octahedral, VoxelAction
from repgeo.models import build, parse_recipe, train
from repgeo.models.mlp import mlp
from repgeo.models.molecule_networks import molecule_mlp, molecule_potential
from repgeo.objectives import CrossEntropy
from repgeo.objectives.augmented_cross_entropy import AugmentedCrossEntropy
from repgeo.objectives.energy_and_forces import EnergyAndForces


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def distances(x: Tensor) -> Tensor:
    return torch.cdist(x.double(), x.double())


def test_augmented_batches_are_moved_ones_of_the_train_split():
    data = tetris(seed=0)
    objective = AugmentedCrossEntropy()
    first, again, other = (next(objective.batches(data, 8, draws(seed))) for seed in (0, 0, 1))
    assert torch.equal(first.x, again.x)
    assert not torch.equal(first.x, other.x)
    assert sorted(first.y.tolist()) == list(range(8))
    torch.testing.assert_close(
        distances(first.x), distances(data.train.x[first.y]), atol=1e-5, rtol=0
    )
    assert float((first.x - data.train.x[first.y]).abs().amin(dim=(1, 2)).max()) > 0
    assert torch.equal(data.train.x, tetris(seed=0).train.x)  # the data stay as they are
    batches = list(objective.batches(data, 3, draws()))
    assert [len(batch) for batch in batches] == [3, 3, 2]
    assert objective.batches_per_epoch(data, 3) == 3


def test_voxels_are_augmented_by_the_cube():
    x = torch.rand(12, 1, 4, 4, 4, generator=draws())
    meta = {"group": "O", "action": "voxels", "rep_out": "invariant"}
    split = Split(x, torch.arange(12) % 2)
    batch = next(AugmentedCrossEntropy().batches(Dataset("", split, split, meta), 12, draws()))
    listed = VoxelAction(Octahedral())(Octahedral().elements(), x[batch.ids])
    assert bool((listed == batch.x).flatten(2).all(dim=2).any(dim=0).all())


def test_the_loss_is_that_of_cross_entropy():
    data = tetris(seed=0)
    net = build(mlp, {"hidden": [4]}, seed=0, input_shape=(4, 3), classes=8)
    batch = next(AugmentedCrossEntropy().batches(data, 8, draws()))
    losses = [
        float(kind(label_smoothing=0.1).loss(net, batch, draws()).detach())
        for kind in (AugmentedCrossEntropy, CrossEntropy)
    ]
    assert losses[0] == losses[1]
    assert CrossEntropy().parameters() == {"label_smoothing": 0.0}  # as before: its identity


def test_augmentation_needs_a_group_that_leaves_the_labels():
    split = Split(torch.zeros(4, 4, 3), torch.arange(4))
    with pytest.raises(InputError, match=r"needs meta\['group'\] and meta\['action'\]"):
        next(AugmentedCrossEntropy().batches(Dataset("toy", split, split), 4, draws()))
    meta = {"group": "SO3", "action": "points", "rep_out": "vector"}
    with pytest.raises(InputError, match="change as 'vector'"):
        next(AugmentedCrossEntropy().batches(Dataset("toy", split, split, meta), 4, draws()))
    still = {"group": "SO3", "action": "points"}
    other = AugmentedCrossEntropy(group="O3").batches(Dataset("", split, split, still), 4, draws())
    assert len(next(other)) == 4


def molecules_at(n: int = 6) -> Dataset:
    numbers = torch.tensor([[6, 1, 8, 0]]).repeat(n, 1)
    noise = torch.randn(n, 4, 3, generator=draws(5), dtype=torch.float64)
    positions = 1.3 * noise * (numbers > 0)[..., None]
    energy, forces = pair_energy_and_forces(positions, numbers)
    split = Split({"positions": positions, "numbers": numbers}, energy, arrays={"forces": forces})
    return Dataset("toy", split, split)


def test_energy_and_forces_are_their_formula():
    data = molecules_at()
    net = build(molecule_mlp, {"atoms": 4, "hidden": [5]}, seed=0, dtype="float64")
    batch = next(EnergyAndForces().batches(data, 6, draws()))
    energy, forces = net.energy_and_forces(batch.x)
    off = ((energy[:, 0] - batch.y) ** 2).sum() / 6
    real = batch.x["numbers"] > 0
    gaps = ((forces - batch.forces)[real] ** 2).sum() / (3 * int(real.sum()))
    loss = EnergyAndForces(energy_weight=2.0, force_weight=0.5).loss(net, batch, draws())
    torch.testing.assert_close(loss, 2 * off + 0.5 * gaps, atol=1e-12, rtol=1e-12)
    loss.backward()
    assert all(p.grad is not None for p in net.parameters())


def test_turned_molecules_keep_their_energies_and_their_forces_turn():
    data, formula = molecules_at(), build(molecule_potential, {"atoms": 4}, seed=0, dtype="float64")
    batch = next(EnergyAndForces(augment=True).batches(data, 6, draws()))
    still = data.train.take(batch.ids)
    assert not torch.allclose(batch.x["positions"], still.x["positions"], atol=0.1)
    assert float(EnergyAndForces().loss(formula, batch, draws())) < 1e-18
    assert torch.equal(batch.y, still.y)
    assert torch.equal(batch.x["numbers"], still.x["numbers"])


def test_training_on_energies_and_forces_lowers_the_loss():
    data = molecules_at(20)
    net = build(molecule_mlp, {"atoms": 4, "hidden": [16]}, seed=0)
    recipe, objective, _ = parse_recipe(
        {"objective": "energy_and_forces", "force_weight": 0.0, "epochs": 40, "lr": 1e-2}
    )
    history = train(net, recipe, objective, data, generator=draws())
    assert history.losses[-1] < 0.9 * history.losses[0]


def test_data_and_models_are_checked():
    x = torch.zeros(4, 3)
    split = Split(x, torch.zeros(4))
    with pytest.raises(InputError, match="the dataset 'toy' lacks one of them"):
        next(EnergyAndForces().batches(Dataset("toy", split, split), 2, draws()))
    batch = next(EnergyAndForces().batches(molecules_at(), 2, draws()))
    with pytest.raises(ConfigurationError, match="Linear does not"):
        EnergyAndForces().loss(torch.nn.Linear(1, 1), batch, draws())
