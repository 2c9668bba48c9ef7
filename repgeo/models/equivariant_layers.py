"""Layers made of irreps of O(3), by e3nn, which is imported when the first one is built."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from repgeo.errors import ConfigurationError

__all__ = ["EdgeConvolution", "gate", "harmonics", "irreps_module", "radial_basis"]


def irreps_module() -> ModuleType:
    """`e3nn.o3`, imported now: that takes more than a second."""
    from e3nn import o3

    found: ModuleType = o3
    return found


def harmonics(degree: int, vectors: Tensor, *, normalise: bool) -> Tensor:
    """Spherical harmonics of degrees 0 to `degree`, `(..., (degree + 1)^2)`, "0e+1o+2e+...".

    In e3nn's component normalisation: the squares of each degree's sum to 2l + 1 on unit vectors.

    Parameters
    ----------
    degree
        The highest degree.
    vectors
        `(..., 3)`.
    normalise
        Whether vectors are made unit vectors; otherwise the harmonics are homogeneous polynomials.

    Examples
    --------
    >>> harmonics(1, torch.tensor([[0.0, 0.0, 2.0]]), normalise=False).square().round()
    tensor([[ 1.,  0.,  0., 12.]])
    """
    found: Tensor = irreps_module().spherical_harmonics(
        list(range(degree + 1)), vectors, normalize=normalise, normalization="component"
    )
    return found


def radial_basis(distances: Tensor, cutoff: float, size: int) -> Tensor:
    """Smooth functions of a distance that vanish from a cutoff on, `(..., size)`.

    Gaussians at `size` places between 0 and the cutoff c, as wide as they are apart, times
    (1 - (r/c)^2)^3, which has two continuous derivatives at c.

    Parameters
    ----------
    distances
        `(...)`, not negative.
    cutoff
        c.
    size
        The number of functions, at least 1.

    Examples
    --------
    >>> radial_basis(torch.tensor([0.0, 2.0, 3.0]), 2.0, 1)
    tensor([[1.],
            [0.],
            [0.]])
    """
    step = cutoff / size
    centres = step * torch.arange(size, dtype=distances.dtype, device=distances.device)
    bumps = torch.exp(-((distances[..., None] - centres) / step).square())
    window = (1 - (distances / cutoff).square()).clamp(min=0) ** 3
    return bumps * window[..., None]


def gate(irreps: str) -> nn.Module:
    """A gated nonlinearity for irreps "16x0e+8x0o+8x1o": scalars as they are, others by gates.

    Even scalars go through SiLU and odd ones through tanh, which keeps their sign; every other
    irrep is multiplied by the sigmoid of an even scalar of its own. The module has `irreps_in`
    (with the gates) and `irreps_out`.

    Raises
    ------
    ConfigurationError
        If there is nothing but scalars of no multiplicity.
    """
    from e3nn.nn import Gate

    o3 = irreps_module()
    parts = o3.Irreps(irreps)
    scalars = o3.Irreps([(mul, ir) for mul, ir in parts if ir.l == 0])
    others = o3.Irreps([(mul, ir) for mul, ir in parts if ir.l > 0])
    if not len(scalars):
        raise ConfigurationError(f"A gate needs scalars (0e or 0o) among its irreps: {irreps!r}.")
    activations: list[Any] = [functional.silu if ir.p == 1 else torch.tanh for _, ir in scalars]
    gates = o3.Irreps([(others.num_irreps, "0e")]) if len(others) else o3.Irreps([])
    made: nn.Module = Gate(
        scalars, activations, gates, [torch.sigmoid] if len(gates) else [], others
    )
    return made


class EdgeConvolution(nn.Module):
    """Messages along edges: features of the sender times harmonics of the edge.

    m_i = Σ_j L (R(r_ij) · (h_j ⊗ Y(x_i - x_j))) / sqrt(neighbours), with the tensor product over
    all paths into the wanted irreps, channel by channel, its weights R made by a small network from
    the radial basis, and a linear map L.

    Parameters
    ----------
    irreps_in, irreps_out
        Of the features of senders, and of the messages.
    degree
        The highest degree of the harmonics.
    basis
        The number of radial functions.
    neighbours
        A typical number of neighbours: messages are divided by its square root.

    References
    ----------
    N. Thomas et al., "Tensor field networks" (2018), arXiv:1802.08219; S. Batzner et al.,
    "E(3)-equivariant graph neural networks for data-efficient and accurate interatomic potentials"
    (2021), arXiv:2101.03164.
    """

    def __init__(
        self, irreps_in: str, irreps_out: str, *, degree: int, basis: int, neighbours: float
    ) -> None:
        super().__init__()
        o3 = irreps_module()
        senders, wanted = o3.Irreps(irreps_in), o3.Irreps(irreps_out)
        edges = o3.Irreps.spherical_harmonics(degree)
        mid: list[Any] = []
        paths: list[tuple[int, int, int, str, bool]] = []
        for i, (mul, ir_in) in enumerate(senders):
            for j, (_, ir_edge) in enumerate(edges):
                for ir_out in ir_in * ir_edge:
                    if ir_out in wanted:
                        paths.append((i, j, len(mid), "uvu", True))
                        mid.append((mul, ir_out))
        between, order, _ = o3.Irreps(mid).sort()
        self.product = o3.TensorProduct(
            senders,
            edges,
            between,
            [(i, j, order[k], mode, trained) for i, j, k, mode, trained in paths],
            shared_weights=False,
            internal_weights=False,
        )
        # Without biases, so that what the radial basis does not see has no weight.
        self.radial = nn.Sequential(
            nn.Linear(basis, 16, bias=False),
            nn.SiLU(),
            nn.Linear(16, self.product.weight_numel, bias=False),
        )
        self.linear = o3.Linear(between.simplify(), wanted)
        self.scale = 1 / math.sqrt(neighbours)

    def forward(self, features: Tensor, edges: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        """From features `(nodes, dim)` to messages `(nodes, dim)`.

        Parameters
        ----------
        features
            Of all nodes of the batch.
        edges
            Receivers and senders `(edges,)`, harmonics `(edges, ...)`, radial basis
            `(edges, basis)`.
        """
        receivers, senders, directions, radii = edges
        messages = self.product(features[senders], directions, self.radial(radii))
        total = messages.new_zeros(len(features), messages.shape[1])
        gathered = total.index_add(0, receivers, messages * self.scale)
        found: Tensor = self.linear(gathered)
        return found
