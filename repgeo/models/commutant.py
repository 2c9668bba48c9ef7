"""A group read off orbit pairs by linear algebra, as a model that fits itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset
from repgeo.errors import ConfigurationError, InputError
from repgeo.groups import FiniteGroup, discover_group, irreps, spectral_outputs

__all__ = ["commutant"]


class _Commutant(nn.Module):
    """The table that pairs determine, and the Fourier transform of its group."""

    table: Tensor
    evidence: Tensor

    def __init__(self, order: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(order, order, dtype=torch.int64))
        self.register_buffer("evidence", torch.zeros(2, dtype=torch.float64))  # margin, gap

    def fit(self, data: Dataset, generator: torch.Generator) -> None:
        """Find the table of the pairs (x, moved) of the train split; nothing is drawn."""
        moved = data.train.arrays.get("moved")
        if not isinstance(moved, Tensor) or not isinstance(data.train.x, Tensor):
            raise InputError(f"commutant needs the array 'moved', which {data.name!r} lacks.")
        found = discover_group((data.train.x, moved), len(self.table))
        self.table.copy_(torch.from_numpy(found.table.copy()))
        self.evidence.copy_(torch.tensor([found.margin, found.gap]))

    def representation(self) -> tuple[Tensor, ...]:
        """The irreducible representations of the table's group, `(n, d, d)` each.

        Where the table is no group's, its rows as 0/1 matrices, one block of n x n.
        """
        try:
            group = FiniteGroup(self.table.cpu().numpy())
        except InputError:
            unit = torch.eye(len(self.table), dtype=torch.complex128)
            return (unit[self.table].mT.contiguous(),)
        return tuple(rho.matrices for rho in irreps(group))

    def forward(self, x: Tensor) -> Tensor:
        """The entries of all M M^†, as a power-spectral network with these blocks gives them."""
        outputs = [spectral_outputs(R.mH, x).flatten(1) for R in self.representation()]
        joined = torch.cat(outputs, dim=1)
        return torch.cat([joined.real, joined.imag], dim=1)


def commutant(input_shape: tuple[int, ...]) -> nn.Module:
    """The group of observed orbit pairs by the commutant of its action: no network is trained.

    See `repgeo.groups.discover_group`. Only the order is known; coordinate 0 is the identity.

    Parameters
    ----------
    input_shape
        `(n,)`.

    Raises
    ------
    ConfigurationError
        For another shape, or an order above 40, where the equations take too much memory.

    Examples
    --------
    >>> from repgeo.datasets.group_signals import orbit_pairs
    >>> net = commutant((4,))
    >>> net.fit(orbit_pairs(seed=0, group="C2xC2", train_size=50), torch.Generator())
    >>> net.table.tolist()
    [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]
    """
    if len(input_shape) != 1 or input_shape[0] > 40:
        raise ConfigurationError(
            f"commutant takes complex signals on at most 40 elements, (n,), got {input_shape}."
        )
    return _Commutant(input_shape[0])
