"""Small molecules in measured and computed geometries, with a made-up energy."""

from __future__ import annotations

import itertools
import zipfile
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.group_motion import move_each
from repgeo.datasets.local_files import local_file
from repgeo.datasets.pair_potential import ELEMENTS, pair_energy_and_forces
from repgeo.errors import DatasetError
from repgeo.groups import SE3, representation_of
from repgeo.identity import derive_generator

__all__ = ["molecules"]

_FILE: Final = "gmtkn55_geometries.npz"
_SAME: Final = 0.02  # Angstrom: molecules whose sorted distances agree so far are one


def molecules(
    *,
    seed: int,
    atoms: int = 12,
    train_size: int = 230,
    displaced: int = 0,
    displacement: float = 0.05,
    test_pose: Literal["random", "given"] = "random",
) -> Dataset:
    """Geometries of neutral molecules of H, C, N, O and F, with energies and forces.

    `x` is a mapping: positions `(n, atoms, 3)`, float64, Angstrom, 0 where there is no atom, and
    numbers `(n, atoms)`, int64, 0 there. `y` is the energy of `pair_energy_and_forces`, made of the
    distances, less a constant for each element (least squares on the train split), `(n,)`, eV;
    `forces` are minus its gradient, `(n, atoms, 3)`, eV / Angstrom. The energy is made up; the
    geometries are those of GMTKN55, closed-shell, each once. `meta["group"]` is SE3;
    `meta["atom_energies"]` are the constants by element.

    Parameters
    ----------
    seed
        Decides the split, displacements and poses.
    atoms
        The most atoms of a molecule, 2 to 20.
    train_size
        Molecules to train on; all others are tested on.
    displaced
        How many copies of each train molecule, with displaced atoms, are trained on besides.
    displacement
        Standard deviation of each displaced coordinate, Angstrom.
    test_pose
        "random": test molecules are centred, rotated by Haar, and shifted by normal vectors of
        deviation 1 Angstrom.

    Raises
    ------
    DatasetError
        If the file `molecules/gmtkn55_geometries.npz` is missing or damaged, or a size does not
        fit.

    References
    ----------
    L. Goerigk, A. Hansen, C. Bauer, S. Ehrlich, A. Najibi, S. Grimme, "A look at the density
    functional theory zoo with the advanced GMTKN55 database" (2017).
    """
    if not 2 <= atoms <= 20 or displaced < 0 or displacement < 0:
        raise DatasetError(
            f"molecules: atoms must be from 2 to 20, displaced and displacement not negative, got "
            f"{atoms}, {displaced} and {displacement}."
        )
    positions, numbers = _different(*_geometries(atoms))
    n = len(positions)
    if not 1 <= train_size < n:
        raise DatasetError(
            f"molecules: there are {n} molecules of at most {atoms} atoms; train_size must be from "
            f"1 to {n - 1}, got {train_size}."
        )
    order = torch.randperm(n, generator=derive_generator("molecules", "split", seed))
    chosen, rest = order[:train_size].sort().values, order[train_size:].sort().values
    draws = derive_generator("molecules", "displacements", seed)
    train = [chosen] * (1 + displaced)
    x = {"positions": positions[torch.cat(train)], "numbers": numbers[torch.cat(train)]}
    noise = torch.randn(x["positions"].shape, generator=draws, dtype=torch.float64)
    noise[: len(chosen)] = 0.0
    noise = noise * (x["numbers"] > 0)[..., None]
    x["positions"] = x["positions"] + displacement * noise
    test = {"positions": positions[rest], "numbers": numbers[rest]}
    if test_pose == "random":
        test["positions"] = _posed(test, seed)
    shifts = _atom_energies(x)
    meta = {
        "group": "SE3",
        "action": {"positions": "points", "numbers": "invariant"},
        "rep_out": "invariant",
        "atom_energies": dict(zip(map(str, ELEMENTS), shifts.tolist(), strict=True)),
    }
    return Dataset(
        "molecules", _labelled(x, torch.cat(train), shifts), _labelled(test, rest, shifts), meta
    )


def _geometries(atoms: int) -> tuple[Tensor, Tensor]:
    """Centred positions `(n, atoms, 3)` and numbers `(n, atoms)` of all that fit."""
    path = local_file("molecules", "molecules", _FILE)
    try:
        with np.load(path, allow_pickle=False) as archive:
            kept = {name: archive[name] for name in ("z", "pos", "offsets", "charge", "unpaired")}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DatasetError(f"molecules: {str(path)!r} cannot be used: {error}.") from error
    offsets = kept["offsets"]
    if offsets[-1] != len(kept["z"]) or kept["pos"].shape != (len(kept["z"]), 3):
        raise DatasetError(f"molecules: {str(path)!r} is damaged. Get the file anew.")
    positions: list[Any] = []
    numbers: list[Any] = []
    for i, (first, last) in enumerate(itertools.pairwise(offsets)):
        z, size = kept["z"][first:last], int(last - first)
        closed = kept["charge"][i] == 0 and kept["unpaired"][i] == 0
        if not (closed and 2 <= size <= atoms and set(z.tolist()) <= set(ELEMENTS)):
            continue
        where = kept["pos"][first:last].astype(np.float64)
        positions.append(np.pad(where - where.mean(axis=0), ((0, atoms - size), (0, 0))))
        numbers.append(np.pad(z.astype(np.int64), (0, atoms - size)))
    return torch.from_numpy(np.stack(positions)), torch.from_numpy(np.stack(numbers))


def _different(positions: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Of molecules with the same elements and the same sorted distances, the first."""
    seen: dict[tuple[int, ...], list[Tensor]] = {}
    kept = []
    for i, (where, z) in enumerate(zip(positions, numbers, strict=True)):
        real = where[z > 0]
        distances = torch.pdist(real).sort().values
        others = seen.setdefault(tuple(z.sort().values.tolist()), [])
        if all(float((distances - other).abs().max()) > _SAME for other in others):
            others.append(distances)
            kept.append(i)
    return positions[kept], numbers[kept]


def _posed(x: dict[str, Tensor], seed: int) -> Tensor:
    group = SE3()
    draws = derive_generator("molecules", "poses", seed)
    moved, _ = move_each(x["positions"], group, representation_of("points", group), draws)
    assert isinstance(moved, Tensor)
    return moved * (x["numbers"] > 0)[..., None]


def _counts(numbers: Tensor) -> Tensor:
    """How many atoms of each element, `(n, elements)`, float64."""
    return torch.stack([(numbers == z).sum(dim=1) for z in ELEMENTS], dim=1).double()


def _atom_energies(x: dict[str, Tensor]) -> Tensor:
    """The constants c of least Σ (E - Σ_i c_(z_i))^2, `(elements,)`, eV."""
    energy, _ = pair_energy_and_forces(x["positions"], x["numbers"])
    solution: Tensor = torch.linalg.lstsq(
        _counts(x["numbers"]), energy[:, None], driver="gelsd"
    ).solution
    return solution[:, 0]


def _labelled(x: dict[str, Tensor], ids: Tensor, shifts: Tensor) -> Split:
    energy, forces = pair_energy_and_forces(x["positions"], x["numbers"])
    y = energy - _counts(x["numbers"]) @ shifts
    return Split(x, y, ids, {"forces": forces})
