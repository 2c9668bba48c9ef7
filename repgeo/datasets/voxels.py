"""Voxels of chairs and monitors, upright and in the rotations of the cube."""

from __future__ import annotations

import zipfile
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.group_motion import move_each
from repgeo.datasets.local_files import local_file
from repgeo.datasets.splitting import stratified_choice
from repgeo.errors import DatasetError
from repgeo.groups import Octahedral, representation_of
from repgeo.identity import derive_generator

__all__ = ["voxels"]

_FILE: Final = "modelnet10_chair_monitor_vox32_packed.npz"
_CLASSES: Final = ("chair", "monitor")
_SIDE: Final = 32


def voxels(
    *,
    seed: int,
    side: Literal[32, 16, 8] = 16,
    train_size: int = 300,
    test_size: int = 200,
    test_pose: Literal["random", "upright"] = "random",
) -> Dataset:
    """Chairs and monitors of ModelNet10 as voxels; the class is which of the two.

    `x` is `(n, 1, side, side, side)`, float32: the share of occupied voxels of 32 to a side, in
    [0, 1]; `y` is `(n,)`, int64, with the classes in their proportion (889 to 465). Train objects
    stand upright, facing one way. `meta["group"]` is O, the 24 rotations of the cube.

    Parameters
    ----------
    seed
        Decides the split and the poses.
    side
        Voxels of a side: 32, or means of 2^3 or 4^3 of those.
    train_size, test_size
        Numbers of objects.
    test_pose
        "random": each test object in one of the 24 rotations, uniformly.

    Raises
    ------
    DatasetError
        If the file `modelnet10_voxels/modelnet10_chair_monitor_vox32_packed.npz` is missing or
        damaged, or a size does not fit.

    References
    ----------
    Z. Wu et al., "3D ShapeNets: a deep representation for volumetric shapes" (2015),
    arXiv:1406.5670.
    """
    x, y = _objects(side)
    if min(train_size, test_size) < 2 or train_size + test_size > len(y):
        raise DatasetError(
            f"voxels: there are {len(y)} objects; sizes of at least 2 must fit, got {train_size} "
            f"and {test_size}."
        )
    ids = torch.arange(len(y))
    chosen = stratified_choice(y, ids, train_size + test_size, "voxels", seed)
    tested = stratified_choice(y[chosen], ids[chosen], test_size, "voxels test", seed)
    in_test = torch.zeros(len(chosen), dtype=torch.bool)
    in_test[tested] = True
    train, test = (Split(x[at], y[at], ids[at]) for at in (chosen[~in_test], chosen[in_test]))
    if test_pose == "random":
        group = Octahedral()
        draws = derive_generator("voxels", "poses", seed)
        moved, _ = move_each(test.x, group, representation_of("voxels", group), draws)
        test = Split(moved, test.y, test.ids)
    meta = {"classes": _CLASSES, "group": "O", "action": "voxels", "rep_out": "invariant"}
    return Dataset("voxels", train, test, meta)


def _objects(side: int) -> tuple[Tensor, Tensor]:
    """All objects `(n, 1, side, side, side)` and their classes."""
    path = local_file("voxels", "modelnet10_voxels", _FILE)
    try:
        with np.load(path, allow_pickle=False) as archive:
            packed = [archive[name] for name in _CLASSES]
            bits = np.unpackbits(np.concatenate(packed), axis=1)
            grids = bits.reshape(-1, 1, _SIDE, _SIDE, _SIDE)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DatasetError(f"voxels: {str(path)!r} cannot be used: {error}.") from error
    if side not in (32, 16, 8):
        raise DatasetError(f"voxels: side must be 32, 16 or 8, got {side}.")
    x = torch.from_numpy(grids.astype(np.float32))
    x = functional.avg_pool3d(x, _SIDE // side) if side < _SIDE else x
    y = torch.arange(len(_CLASSES)).repeat_interleave(torch.tensor([len(one) for one in packed]))
    return x, y
