"""Tetris, molecules, point clouds and voxels: poses, labels, energies and forces."""

from __future__ import annotations

import os

import pytest
import torch

from repgeo.datasets.group_motion import move_each
from repgeo.datasets.molecules import molecules
from repgeo.datasets.pair_potential import ELEMENTS, pair_energy_and_forces
from repgeo.datasets.point_clouds import point_clouds
from repgeo.datasets.tetris import SHAPES, tetris
from repgeo.datasets.voxels import voxels
from repgeo.errors import DatasetError, InputError
from repgeo.groups import SE3, SO3, Octahedral, representation_of, vector_representation

local = pytest.mark.skipif(
    not os.environ.get("REPGEO_DATA"), reason="REPGEO_DATA, which holds the files, is not set"
)


def distances(x: torch.Tensor) -> torch.Tensor:
    return torch.cdist(x.double(), x.double())


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def test_every_sample_is_moved_by_its_own_element():
    group = SE3()
    action = representation_of("points", group)
    x = normal(5, 4, 3)
    moved, g = move_each(x, group, action, torch.Generator().manual_seed(3))
    assert torch.equal(g, group.sample(5, generator=torch.Generator().manual_seed(3)))
    for i in range(5):
        expected = x[i] @ g[i, :3, :3].T + g[i, :3, 3]
        torch.testing.assert_close(moved[i], expected, atol=1e-14, rtol=0)
    both = representation_of({"positions": "points", "numbers": "invariant"}, group)
    fields, _ = move_each(
        {"positions": x, "numbers": torch.arange(20).reshape(5, 4)},
        group,
        both,
        torch.Generator().manual_seed(3),
    )
    assert torch.equal(fields["positions"], moved)
    assert torch.equal(fields["numbers"], torch.arange(20).reshape(5, 4))


def test_voxels_are_moved_one_by_one():
    group, x = Octahedral(), normal(6, 1, 4, 4, 4)
    action = representation_of("voxels", group)
    moved, g = move_each(x, group, action, torch.Generator().manual_seed(0))
    for i in range(6):
        assert torch.equal(moved[i], action(g[i : i + 1], x[i : i + 1])[0, 0])


def test_tetris_has_eight_shapes_in_rigid_poses():
    data = tetris(seed=1, copies=3)
    assert torch.equal(data.train.y, torch.arange(8))
    assert data.train.x.tolist() == [[list(map(float, p)) for p in s] for s in SHAPES.values()]
    assert (len(data.test), data.classes, data.meta["group"]) == (24, 8, "SE3")
    torch.testing.assert_close(
        distances(data.test.x), distances(data.train.x)[data.test.y], atol=1e-5, rtol=0
    )
    volumes = torch.linalg.det(data.test.x[:, 1:] - data.test.x[:, :1])
    expected = torch.linalg.det(data.train.x[:, 1:] - data.train.x[:, :1])[data.test.y]
    torch.testing.assert_close(volumes, expected, atol=1e-5, rtol=0)  # no reflection among them
    still = tetris(seed=1, copies=2, test_pose="canonical")
    assert torch.equal(still.test.x, still.train.x.repeat_interleave(2, dim=0))
    assert torch.equal(data.test.orbit, data.test.y)


def test_the_mirror_pair_is_one_shape_but_for_a_reflection():
    shapes = tetris(seed=0).train.x[:2]
    mirrored = shapes[0] * torch.tensor([1.0, -1.0, 1.0])
    assert torch.equal(mirrored, shapes[1])


def test_seeds_decide_poses():
    assert tetris(seed=0).digest == tetris(seed=0).digest != tetris(seed=1).digest
    with pytest.raises(DatasetError, match="copies must be at least 1"):
        tetris(seed=0, copies=0)


def random_molecules() -> tuple[torch.Tensor, torch.Tensor]:
    numbers = torch.tensor([[6, 1, 8, 7, 9], [8, 1, 1, 0, 0]])
    positions = 1.2 * normal(2, 5, 3, seed=4) * (numbers > 0)[..., None]
    return positions, numbers


def test_forces_are_minus_the_gradient_of_the_energy():
    positions, numbers = random_molecules()
    positions.requires_grad_(True)
    energy, forces = pair_energy_and_forces(positions, numbers)
    (slope,) = torch.autograd.grad(energy.sum(), positions)
    forces = forces.detach()
    torch.testing.assert_close(forces, -slope, atol=1e-10, rtol=1e-10)
    assert float(forces[numbers == 0].abs().max()) == 0.0
    total = forces.sum(dim=1)  # no molecule pushes itself
    torch.testing.assert_close(total, torch.zeros_like(total), atol=1e-9, rtol=0)


def test_the_energy_is_invariant_and_forces_turn():
    positions, numbers = random_molecules()
    group = SE3()
    g = group.sample(3, generator=torch.Generator().manual_seed(0))
    energy, forces = pair_energy_and_forces(positions, numbers)
    turned = vector_representation(group)(g, forces)
    for i, moved in enumerate(representation_of("points", group)(g, positions)):
        again, pulled = pair_energy_and_forces(moved, numbers)
        torch.testing.assert_close(again, energy, atol=1e-10, rtol=1e-12)
        torch.testing.assert_close(pulled, turned[i], atol=1e-9, rtol=1e-10)


def test_unknown_elements_are_refused():
    with pytest.raises(InputError, match="got 17"):
        pair_energy_and_forces(torch.zeros(1, 2, 3), torch.tensor([[17, 1]]))


@local
def test_molecules_are_real_and_their_energies_made_up():
    data = molecules(seed=0)
    assert len(data.train) == 230
    assert set(data.train.ids.tolist()).isdisjoint(data.test.ids.tolist())
    for split in (data.train, data.test):
        positions, numbers = split.x["positions"], split.x["numbers"]
        energy, forces = pair_energy_and_forces(positions, numbers)
        shifts = torch.tensor([data.meta["atom_energies"][str(z)] for z in ELEMENTS]).double()
        counts = torch.stack([(numbers == z).sum(dim=1) for z in ELEMENTS], dim=1).double()
        torch.testing.assert_close(split.y, energy - counts @ shifts, atol=1e-5, rtol=0)
        torch.testing.assert_close(split.forces, forces, atol=1e-12, rtol=0)
        present = numbers > 0
        assert float(positions[~present].abs().max()) == 0.0
        near = distances(positions) + 9 * (~(present[:, :, None] & present[:, None])).double()
        near = near + 9 * torch.eye(12).double()
        assert 0.7 < float(near.min()) < 1.0  # H2 is the shortest bond
    with pytest.raises(DatasetError, match="train_size must be from 1 to"):
        molecules(seed=0, train_size=10_000)
    with pytest.raises(DatasetError, match="atoms must be from 2 to 20"):
        molecules(seed=0, atoms=1)


@local
def test_displaced_copies_are_of_the_train_molecules():
    plain, more = molecules(seed=1), molecules(seed=1, displaced=2, displacement=0.01)
    n = len(plain.train)
    assert len(more.train) == 3 * n
    assert torch.equal(more.train.ids, plain.train.ids.repeat(3))
    assert torch.equal(more.train.x["positions"][:n], plain.train.x["positions"])
    gap = (more.train.x["positions"][n : 2 * n] - plain.train.x["positions"]).abs()
    assert 0 < float(gap.max()) < 0.06
    assert torch.equal(more.test.x["positions"], plain.test.x["positions"])


@local
def test_given_and_random_poses_of_molecules_are_the_same_molecules():
    posed, given = molecules(seed=2), molecules(seed=2, test_pose="given")
    here, there = (one.test.x["positions"] for one in (posed, given))
    present = (given.test.x["numbers"] > 0)[:, :, None] & (given.test.x["numbers"] > 0)[:, None]
    gaps = (distances(here) - distances(there)) * present
    assert float(gaps.abs().max()) < 1e-9 < float((here - there).abs().max())
    torch.testing.assert_close(posed.test.y, given.test.y, atol=1e-9, rtol=0)


@local
def test_point_clouds_are_points_of_the_meshes():
    data = point_clouds(seed=0, points=32, train_copies=2, test_copies=1)
    assert (len(data.train), len(data.test), data.classes) == (30, 15, 15)
    assert data.input_shape == (32, 3)
    train = point_clouds(seed=0, points=32, train_copies=2, test_copies=1, test_pose="canonical")
    assert torch.equal(train.train.x, data.train.x)
    torch.testing.assert_close(distances(train.test.x), distances(data.test.x), atol=1e-5, rtol=0)
    seen = {tuple(point) for cloud in train.train.x for point in cloud.tolist()}
    unseen = {tuple(point) for cloud in train.test.x for point in cloud.tolist()}
    assert len(seen & unseen) <= 2  # the halves are apart, but for equal points of a mesh
    with pytest.raises(DatasetError, match="points must be from 1 to 1024"):
        point_clouds(seed=0, points=2000)


@local
def test_voxels_are_shares_of_occupied_ones():
    data = voxels(seed=0, side=8, train_size=40, test_size=20)
    assert (len(data.train), len(data.test), data.input_shape) == (40, 20, (1, 8, 8, 8))
    assert set(data.train.ids.tolist()).isdisjoint(data.test.ids.tolist())
    counts = 64 * torch.cat([data.train.x, data.test.x])
    assert torch.equal(counts, counts.round())
    assert 0 <= float(counts.min()) < float(counts.max()) <= 64
    upright = voxels(seed=0, side=8, train_size=40, test_size=20, test_pose="upright")
    assert torch.equal(upright.test.y, data.test.y)
    assert not torch.equal(upright.test.x, data.test.x)
    listed = representation_of("voxels", Octahedral())(Octahedral().elements(), upright.test.x)
    matches = (listed == data.test.x).flatten(2).all(dim=2).any(dim=0)
    assert bool(matches.all())
    assert abs(float((data.train.y == 0).float().mean()) - 889 / 1354) < 0.02
    with pytest.raises(DatasetError, match="sizes of at least 2 must fit"):
        voxels(seed=0, train_size=2000)


@pytest.mark.parametrize("make", [molecules, point_clouds, voxels])
def test_missing_files_are_named(make, monkeypatch, tmp_path):
    monkeypatch.setenv("REPGEO_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match=r"there is no file .*\.npz"):
        make(seed=0)


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (molecules, "molecules/gmtkn55_geometries.npz"),
        (point_clouds, "point_clouds/common_3d_models_2048pts.npz"),
        (voxels, "modelnet10_voxels/modelnet10_chair_monitor_vox32_packed.npz"),
    ],
)
def test_damaged_files_are_named(make, place, monkeypatch, tmp_path):
    path = tmp_path / place
    path.parent.mkdir()
    path.write_bytes(b"not an archive")
    monkeypatch.setenv("REPGEO_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match="cannot be used"):
        make(seed=0)


def test_the_group_of_the_data_is_one_that_acts():
    group, x = SO3(), tetris(seed=0).train.x
    moved = representation_of(tetris(seed=0).meta["action"], group)(group.sample(2), x)
    assert tuple(moved.shape) == (2, 8, 4, 3)
