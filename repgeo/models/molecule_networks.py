"""Energies of molecules and the forces that follow from them: by irreps, and by plain networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset
from repgeo.datasets.pair_potential import ELEMENTS, pair_energy_and_forces
from repgeo.errors import ConfigurationError
from repgeo.models.encoder_head import require_positive
from repgeo.models.equivariant_layers import (
    EdgeConvolution,
    gate,
    harmonics,
    irreps_module,
    radial_basis,
)

__all__ = [
    "ForceField",
    "molecule_constant",
    "molecule_coordinates",
    "molecule_mlp",
    "molecule_network",
    "molecule_point_net",
    "molecule_potential",
]

Molecule = Mapping[str, Tensor]


class ForceField(nn.Module):
    """Energies of molecules, and forces as their negative gradients.

    The output is `(n, 1 + 3 atoms)`: the energy, and the forces of each atom. Under a rotation of
    space it changes as "0e" and "1o" for each atom, if the energy is invariant.

    Parameters
    ----------
    encoder
        From molecules (positions `(n, atoms, 3)`, numbers `(n, atoms)`) to codes `(n, features)`.
    head
        From codes to energies `(n, 1)`.
    atoms
        How many places for atoms a molecule has.
    layers
        How layers change under rotations, by name.
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: nn.Module,
        atoms: int,
        layers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.atoms = atoms
        self._layers = dict(layers or {})

    def layer_representations(self) -> dict[str, str]:
        """How each layer is to change: forces turn with the molecule, for any model."""
        return {**self._layers, "outputs": f"0e+{self.atoms}x1o"}

    def energy(self, x: Molecule) -> Tensor:
        """Energies `(n, 1)`."""
        found: Tensor = self.head(self.encoder(x))
        return found

    def forces(self, x: Molecule) -> Tensor:
        """Forces `(n, atoms, 3)`, minus the gradient of the energy by the positions."""
        return self.energy_and_forces(x)[1]

    def energy_and_forces(self, x: Molecule) -> tuple[Tensor, Tensor]:
        """Both, from one pass forward and one backward; differentiable again."""

        def energy(positions: Tensor) -> Tensor:
            return self.energy({**x, "positions": positions})

        # torch.func differentiates whatever gradient mode the caller is in.
        energies, pull, *_ = torch.func.vjp(energy, x["positions"])
        (slopes,) = pull(torch.ones_like(energies))
        return energies, -slopes

    def forward(self, x: Molecule) -> Tensor:
        """Energy and forces, `(n, 1 + 3 atoms)`."""
        if x["positions"].shape[1] != self.atoms:
            raise ConfigurationError(
                f"This model has places for {self.atoms} atoms, the molecules "
                f"{x['positions'].shape[1]}. Write atoms = ... with the model."
            )
        # A pass of its own, so that hooks on layers see tensors of no transformation.
        energies = self.energy(x)
        return torch.cat([energies, self.forces(x).flatten(1)], dim=1)


def _one_hot(numbers: Tensor, like: Tensor) -> Tensor:
    """Which element each atom is, `(n, atoms, elements)`; 0 where there is no atom."""
    elements = torch.tensor(ELEMENTS, device=numbers.device)
    return (numbers[..., None] == elements).to(like)


class _MoleculeEncoder(nn.Module):
    """Messages between atoms, twice, and a sum over atoms."""

    def __init__(self, hidden: str, degree: int, cutoff: float, basis: int, features: int) -> None:
        super().__init__()
        o3 = irreps_module()
        self.degree, self.cutoff, self.basis = degree, cutoff, basis
        self.gate1, self.gate2 = gate(hidden), gate(f"{features}x0e")
        convolution = partial(EdgeConvolution, degree=degree, basis=basis, neighbours=8.0)
        self.convolution1 = convolution(f"{len(ELEMENTS)}x0e", str(self.gate1.irreps_in))
        self.convolution2 = convolution(str(self.gate1.irreps_out), str(self.gate2.irreps_in))
        self.keep = o3.Linear(self.gate1.irreps_out, self.gate2.irreps_in)
        self.own = nn.Linear(len(ELEMENTS), features)
        self.nodes = nn.Identity()  # a name for the features of atoms, `(n, atoms, ...)`
        self.mix = nn.Sequential(nn.Linear(features, features), nn.SiLU())

    def forward(self, x: Molecule) -> Tensor:
        positions, numbers = x["positions"], x["numbers"]
        n, atoms = numbers.shape
        present = numbers > 0
        both = present[:, :, None] & present[:, None, :]
        both &= ~torch.eye(atoms, dtype=torch.bool, device=numbers.device)
        molecule, i, j = both.nonzero(as_tuple=True)
        receivers, senders = molecule * atoms + i, molecule * atoms + j
        flat = positions.reshape(n * atoms, 3)
        gaps = flat[receivers] - flat[senders]
        radii = radial_basis(gaps.square().sum(dim=-1).sqrt(), self.cutoff, self.basis)
        edges = (receivers, senders, harmonics(self.degree, gaps, normalise=True), radii)
        kinds = _one_hot(numbers, positions).reshape(n * atoms, -1)
        nodes = self.gate1(self.convolution1(kinds, edges))
        nodes = self.nodes(nodes.reshape(n, atoms, -1)).flatten(0, 1)
        nodes = self.gate2(self.convolution2(nodes, edges) + self.keep(nodes))
        scalars: Tensor = self.mix(nodes + self.own(kinds)) * present.reshape(-1, 1)
        return scalars.reshape(n, atoms, -1).sum(dim=1)


def molecule_network(
    *,
    atoms: int = 12,
    hidden: str = "16x0e+8x1o+4x2e",
    degree: int = 2,
    cutoff: float = 5.0,
    basis: int = 8,
    features: int = 32,
) -> nn.Module:
    """An energy that rotations, translations and exchanges of atoms leave alone, and its forces.

    Two layers of messages along the pairs of atoms within a cutoff: tensor products of e3nn with
    the harmonics of the pair, weighted by functions of the distance that vanish smoothly at the
    cutoff, with gates between. Scalars of all atoms are summed: the codes. See `ForceField` for
    outputs and methods.

    Parameters
    ----------
    atoms
        How many places for atoms the molecules have.
    hidden
        Irreps of the features of an atom between the layers.
    degree
        The highest degree of the harmonics.
    cutoff
        Angstrom.
    basis
        The number of radial functions.
    features
        The number of codes.

    Raises
    ------
    ConfigurationError
        If a size is below 1, or the cutoff not positive.

    References
    ----------
    M. Geiger, T. Smidt, "e3nn: Euclidean neural networks" (2022), arXiv:2207.09453; S. Batzner et
    al., "E(3)-equivariant graph neural networks for data-efficient and accurate interatomic
    potentials" (2021), arXiv:2101.03164.
    """
    require_positive("molecule_network", atoms=atoms, degree=degree, basis=basis, features=features)
    if not cutoff > 0:
        raise ConfigurationError(f"molecule_network: cutoff must be positive, got {cutoff}.")
    encoder = _MoleculeEncoder(hidden, degree, cutoff, basis, features)
    layers = {
        "encoder.nodes": str(encoder.gate1.irreps_out),
        "encoder": "invariant",
        "head": "invariant",
    }
    return ForceField(encoder, nn.Linear(features, 1), atoms, layers)


def _centred(x: Molecule) -> Tensor:
    """Positions less the mean of the atoms, 0 where there is none."""
    present = (x["numbers"] > 0)[..., None]
    positions = x["positions"]
    mean = (positions * present).sum(dim=1, keepdim=True) / present.sum(dim=1, keepdim=True)
    return (positions - mean) * present


class _AtomFeatures(nn.Module):
    """Position and element of each atom, `(n, atoms, 3 + elements)`."""

    def __init__(self, centred: bool) -> None:
        super().__init__()
        self.centred = centred

    def forward(self, x: Molecule) -> Tensor:
        present = (x["numbers"] > 0)[..., None]
        positions = _centred(x) if self.centred else x["positions"] * present
        return torch.cat([positions, _one_hot(x["numbers"], positions)], dim=-1)


def molecule_mlp(
    *,
    atoms: int = 12,
    hidden: tuple[int, ...] = (128, 64),
    centred: bool = True,
) -> nn.Module:
    """An energy by a multi-layer perceptron on coordinates and elements, and its forces.

    Parameters
    ----------
    atoms
        How many places for atoms the molecules have.
    hidden
        Widths of the hidden layers, with SiLU; the last one are the codes.
    centred
        Whether the mean of the atoms is subtracted first.

    Raises
    ------
    ConfigurationError
        If a size is below 1.

    Examples
    --------
    >>> x = {"positions": torch.zeros(2, 12, 3), "numbers": torch.ones(2, 12, dtype=torch.int64)}
    >>> tuple(molecule_mlp().forces(x).shape)
    (2, 12, 3)
    """
    require_positive("molecule_mlp", atoms=atoms, hidden=hidden)
    layers: list[nn.Module] = [_AtomFeatures(centred), nn.Flatten()]
    width = atoms * (3 + len(ELEMENTS))
    for wider in hidden:
        layers += [nn.Linear(width, wider), nn.SiLU()]
        width = wider
    return ForceField(nn.Sequential(*layers), nn.Linear(width, 1), atoms)


class _PooledAtoms(nn.Module):
    """One perceptron on each atom, and the sum or the maximum over those that are there."""

    def __init__(self, width: int, centred: bool, pooling: str) -> None:
        super().__init__()
        self.features = _AtomFeatures(centred)
        self.each = nn.Sequential(
            nn.Linear(3 + len(ELEMENTS), width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.pooling = pooling

    def forward(self, x: Molecule) -> Tensor:
        present = (x["numbers"] > 0)[..., None]
        h: Tensor = self.each(self.features(x))
        if self.pooling == "sum":
            return (h * present).sum(dim=1)
        return torch.where(present, h, -torch.inf).amax(dim=1)


def molecule_point_net(
    *,
    atoms: int = 12,
    width: int = 64,
    features: int = 32,
    centred: bool = True,
    pooling: Literal["sum", "max"] = "sum",
) -> nn.Module:
    """An energy by one perceptron on each atom, pooled, and its forces: atoms may be exchanged.

    Parameters
    ----------
    atoms
        How many places for atoms the molecules have.
    width, features
        Of the layers on atoms, and of the codes after the pooling.
    centred
        Whether the mean of the atoms is subtracted first.
    pooling
        Over atoms.

    Raises
    ------
    ConfigurationError
        If a size is below 1.

    References
    ----------
    C. R. Qi, H. Su, K. Mo, L. J. Guibas, "PointNet: deep learning on point sets for 3D
    classification and segmentation" (2016), arXiv:1612.00593.
    """
    require_positive("molecule_point_net", atoms=atoms, width=width, features=features)
    encoder = nn.Sequential(
        _PooledAtoms(width, centred, pooling), nn.Linear(width, features), nn.SiLU()
    )
    return ForceField(encoder, nn.Linear(features, 1), atoms)


class _Encoded(nn.Module):
    """A function of molecules as a module."""

    def __init__(self, function: Callable[[Molecule], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Molecule) -> Tensor:
        return self.function(x)


class _Formula(ForceField):
    """The energy and forces of the dataset, by their formula."""

    shifts: Tensor

    def __init__(self, atoms: int) -> None:
        layers = {"encoder": "invariant", "head": "invariant"}
        super().__init__(_Encoded(self._energy), nn.Identity(), atoms, layers)
        self.register_buffer("shifts", torch.zeros(len(ELEMENTS)))

    def fit(self, data: Dataset, generator: torch.Generator) -> None:
        """Take the constants of the elements over from the dataset."""
        told = data.meta.get("atom_energies", {})
        self.shifts.copy_(torch.tensor([float(told.get(str(z), 0.0)) for z in ELEMENTS]))

    def _energy(self, x: Molecule) -> Tensor:
        energy, _ = pair_energy_and_forces(x["positions"], x["numbers"])
        counts = _one_hot(x["numbers"], energy).sum(dim=1)
        return (energy - counts @ self.shifts.to(energy))[:, None]

    def energy_and_forces(self, x: Molecule) -> tuple[Tensor, Tensor]:
        """The forces as they are differentiated by hand."""
        return self.energy(x), pair_energy_and_forces(x["positions"], x["numbers"])[1]


def molecule_potential(*, atoms: int = 12) -> nn.Module:
    """The formula that the energies were made with: the oracle of a table.

    Its training takes over the constants that the dataset subtracts for each element; there is
    nothing else to learn.

    Parameters
    ----------
    atoms
        How many places for atoms the molecules have.

    Examples
    --------
    >>> x = {"positions": torch.tensor([[[0.0, 0, 0], [0.62, 0, 0]]]),
    ...      "numbers": torch.tensor([[1, 1]])}
    >>> energy, forces = molecule_potential(atoms=2).energy_and_forces(x)
    >>> bool(torch.equal(energy[0], pair_energy_and_forces(**x)[0]))
    True
    """
    return _Formula(atoms)


def molecule_constant(*, atoms: int = 12, energy: float = 1.0) -> nn.Module:
    """One energy for every molecule, and no forces; its code is 1.

    Parameters
    ----------
    atoms
        How many places for atoms the molecules have.
    energy
        The energy, eV.

    Examples
    --------
    >>> x = {"positions": torch.ones(2, 1, 3), "numbers": torch.ones(2, 1, dtype=torch.int64)}
    >>> molecule_constant(atoms=1)(x).abs().tolist()
    [[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    """

    def one(x: Molecule) -> Tensor:
        return torch.ones_like(x["positions"][:, 0, :1])

    head = nn.Linear(1, 1, bias=False)
    nn.init.constant_(head.weight, energy)
    head.requires_grad_(False)
    layers = {"encoder": "invariant", "head": "invariant"}
    return ForceField(_Encoded(one), head, atoms, layers)


class _Coordinates(nn.Module):
    """Codes that are the centred positions, and outputs that are 0 and these."""

    def __init__(self, atoms: int) -> None:
        super().__init__()
        self.encoder = _Encoded(lambda x: _centred(x).flatten(1))
        self.atoms = atoms

    def layer_representations(self) -> dict[str, str]:
        """Positions turn with the molecule."""
        return {"encoder": f"{self.atoms}x1o", "outputs": f"0e+{self.atoms}x1o"}

    def energy_and_forces(self, x: Molecule) -> tuple[Tensor, Tensor]:
        """0, and the centred positions."""
        positions = _centred(x)
        return torch.zeros_like(positions[:, 0, :1]), positions

    def forward(self, x: Molecule) -> Tensor:
        codes: Tensor = self.encoder(x)
        return torch.cat([torch.zeros_like(codes[:, :1]), codes], dim=1)


def molecule_coordinates(*, atoms: int = 12) -> nn.Module:
    """The identity: codes are the centred positions, outputs the energy 0 and these as forces.

    Examples
    --------
    >>> x = {"positions": torch.ones(2, 12, 3), "numbers": torch.ones(2, 12, dtype=torch.int64)}
    >>> tuple(molecule_coordinates()(x).shape)
    (2, 37)
    """
    return _Coordinates(atoms)
