"""A sum over pairs of atoms whose forces are known in closed form."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from repgeo.errors import InputError

__all__ = ["ELEMENTS", "pair_energy_and_forces"]

#: Atomic numbers that the potential knows.
ELEMENTS: Final = (1, 6, 7, 8, 9)

_RADII: Final = (0.31, 0.76, 0.71, 0.66, 0.57)  # covalent, Angstrom (Cordero et al. 2008)
_DEPTHS: Final = (4.5, 3.6, 1.7, 1.5, 1.6)  # eV: dissociation of single bonds, rounded
_CHARGES: Final = (0.15, 0.0, -0.25, -0.3, -0.15)  # in units of e: signs as of electronegativities
_STEEPNESS: Final = 1.9  # 1 / Angstrom
_COULOMB: Final = 14.399645  # e^2 / (4 pi epsilon_0), eV Angstrom


def pair_energy_and_forces(positions: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """The energy of a made-up molecule, and the forces on its atoms.

    E = Σ_{i<j} D_ij ((1 - exp(-a (r_ij - ρ_ij)))^2 - 1) + k q_i q_j / sqrt(r_ij^2 + ρ_ij^2), with
    Morse wells at the sums ρ_ij of covalent radii, of depths D_ij = sqrt(D_i D_j), and softened
    Coulomb terms of a fixed charge for each element. F_i = -dE/dx_i, differentiated by hand. It is
    no model of chemistry: it depends on distances alone, and its forces are exact.

    Parameters
    ----------
    positions
        `(n, atoms, 3)`, Angstrom.
    numbers
        Atomic numbers `(n, atoms)`, 0 where there is no atom.

    Returns
    -------
    tuple
        Energies `(n,)`, eV; forces `(n, atoms, 3)`, eV / Angstrom, 0 where there is no atom.

    Raises
    ------
    InputError
        For an element other than H, C, N, O, F.

    Examples
    --------
    Two hydrogen atoms at the sum of their radii: no Morse force, a well of 4.5 eV.

    >>> x = torch.tensor([[[0.0, 0.0, 0.0], [0.62, 0.0, 0.0]]], dtype=torch.float64)
    >>> energy, forces = pair_energy_and_forces(x, torch.tensor([[1, 1]]))
    >>> coulomb = 14.399645 * 0.15**2 / (0.62 * 2**0.5)
    >>> round(float(energy) - (coulomb - 4.5), 12), bool(forces[0, 1, 0] > 0)
    (0.0, True)
    """
    unknown = sorted(set(numbers.flatten().tolist()) - {0, *ELEMENTS})
    if unknown:
        raise InputError(
            f"The potential is of the elements {ELEMENTS} (0 for no atom), got {unknown[0]}."
        )
    atoms = numbers.shape[1]
    present = (numbers[:, :, None] > 0) & (numbers[:, None, :] > 0)
    present = present & ~torch.eye(atoms, dtype=torch.bool, device=numbers.device)
    gaps = positions[:, :, None] - positions[:, None, :]  # (n, atoms, atoms, 3): from j to i
    r = torch.where(present, gaps.norm(dim=-1), 1.0)
    radius, depth, charge = _per_atom(numbers, positions)
    rho = radius[:, :, None] + radius[:, None, :]
    well = (depth[:, :, None] * depth[:, None, :]).sqrt()
    charges = _COULOMB * charge[:, :, None] * charge[:, None, :]
    decay = torch.exp(-_STEEPNESS * (r - rho))
    softened = (r.square() + rho.square()).sqrt()
    energies = well * ((1 - decay).square() - 1) + charges / softened
    slopes = 2 * _STEEPNESS * well * (1 - decay) * decay - charges * r / softened**3  # dE/dr
    zero = torch.zeros_like(r)
    energy = torch.where(present, energies, zero).sum(dim=(1, 2)) / 2
    pulls = torch.where(present, -slopes / r, zero)[..., None] * gaps
    return energy, pulls.sum(dim=2)


def _per_atom(numbers: Tensor, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Radius, depth and charge of each atom, `(n, atoms)`; 1, 1, 0 where there is none."""
    place = torch.zeros(max(ELEMENTS) + 1, dtype=torch.int64, device=numbers.device)
    place[list(ELEMENTS)] = torch.arange(1, len(ELEMENTS) + 1, device=numbers.device)
    columns = zip((1.0, 1.0, 0.0), (_RADII, _DEPTHS, _CHARGES), strict=True)
    tables = [torch.tensor([absent, *values], dtype=torch.float64) for absent, values in columns]
    radius, depth, charge = (table.to(like)[place[numbers]] for table in tables)
    return radius, depth, charge
