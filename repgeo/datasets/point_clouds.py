"""Point clouds of common meshes, in one pose and in random poses."""

from __future__ import annotations

import zipfile
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.group_motion import move_each
from repgeo.datasets.local_files import local_file
from repgeo.errors import DatasetError
from repgeo.groups import SO3, representation_of
from repgeo.identity import derive_generator

__all__ = ["point_clouds"]

_FILE: Final = "common_3d_models_2048pts.npz"


def point_clouds(
    *,
    seed: int,
    points: int = 128,
    train_copies: int = 20,
    test_copies: int = 10,
    train_pose: Literal["canonical", "random"] = "canonical",
    test_pose: Literal["canonical", "random"] = "random",
) -> Dataset:
    """Random points on 15 common meshes; the class is the mesh.

    `x` is `(n, points, 3)`, float32, drawn without repetition of 2,048 points of each mesh, which
    are centred and of unit radius; `y` is `(n,)`, int64. `meta["group"]` is SO3.

    Parameters
    ----------
    seed
        Decides points and poses.
    points
        Points of a cloud, 1 to 1,024. Those of train and test clouds are different.
    train_copies, test_copies
        Clouds of each mesh.
    train_pose, test_pose
        "canonical", as the mesh is stored, or rotated by Haar, each cloud by itself.

    Raises
    ------
    DatasetError
        If the file `point_clouds/common_3d_models_2048pts.npz` is missing or damaged, or a number
        does not fit.

    References
    ----------
    A. Jacobson and others, "Common 3D test models", the meshes.
    """
    if not 1 <= points <= 1024 or min(train_copies, test_copies) < 1:
        raise DatasetError(
            f"point_clouds: points must be from 1 to 1024 and copies at least 1, got {points}, "
            f"{train_copies} and {test_copies}."
        )
    meshes = _meshes()
    first = 0
    splits = []
    halves = [torch.randperm(2048, generator=derive_generator("point_clouds", "halves", seed))]
    halves = [halves[0][:1024], halves[0][1024:]]
    plans = (("train", train_copies, train_pose), ("test", test_copies, test_pose))
    for half, (name, copies, pose) in zip(halves, plans, strict=True):
        draws = derive_generator("point_clouds", name, seed)
        clouds = [
            mesh[half[torch.randperm(len(half), generator=draws)[:points]]]
            for mesh in meshes.values()
            for _ in range(copies)
        ]
        x = torch.stack(clouds)  # (n, points, 3)
        if pose == "random":
            moved, _ = move_each(x, SO3(), representation_of("points", SO3()), draws)
            assert isinstance(moved, Tensor)
            x = moved
        y = torch.arange(len(meshes)).repeat_interleave(copies)
        splits.append(Split(x, y, torch.arange(first, first + len(y))))
        first += len(y)
    meta = {
        "classes": tuple(meshes),
        "group": "SO3",
        "action": "points",
        "rep_out": "invariant",
    }
    train, test = splits
    return Dataset("point_clouds", train, test, meta)


def _meshes() -> dict[str, Tensor]:
    path = local_file("point_clouds", "point_clouds", _FILE)
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: torch.from_numpy(archive[name]) for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DatasetError(f"point_clouds: {str(path)!r} cannot be used: {error}.") from error
    if not found or any(tuple(mesh.shape) != (2048, 3) for mesh in found.values()):
        raise DatasetError(
            f"point_clouds: {str(path)!r} does not hold 2,048 points of each mesh. Get it anew."
        )
    return {name: mesh.to(torch.float32) for name, mesh in found.items()}
