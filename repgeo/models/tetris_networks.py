"""Networks for the eight shapes of four cubes: one of irreps, and an exact formula."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from repgeo.datasets.tetris import SHAPES
from repgeo.errors import ConfigurationError
from repgeo.models.encoder_head import EncoderHead
from repgeo.models.equivariant_layers import gate, harmonics, irreps_module

__all__ = ["tetris_formula", "tetris_network"]

_CODES = "0o+6x0e"


class _Harmonics(nn.Module):
    """Σ_j exp(-r_ij^2 / 2) Y(x_i - x_j), from points `(n, points, 3)` to `(n, points, ...)`."""

    def __init__(self, degree: int) -> None:
        super().__init__()
        self.degree = degree

    def edges(self, x: Tensor) -> Tensor:
        """The harmonics of all pairs, `(n, i, j, ...)`; polynomials, under a Gaussian window."""
        gaps = x[:, :, None] - x[:, None, :]
        window = torch.exp(-gaps.square().sum(dim=-1, keepdim=True) / 2)
        others = ~torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
        return harmonics(self.degree, gaps, normalise=False) * window * others[..., None]

    def forward(self, x: Tensor) -> Tensor:
        return self.edges(x).sum(dim=2)


class _TetrisEncoder(nn.Module):
    """Two tensor products with the harmonics of edges, with gates between, summed over points."""

    def __init__(self, degree: int, hidden: str) -> None:
        super().__init__()
        o3 = irreps_module()
        edges = o3.Irreps.spherical_harmonics(degree)
        self.harmonics = _Harmonics(degree)
        self.gate = gate(hidden)
        self.first = o3.FullyConnectedTensorProduct(edges, edges, self.gate.irreps_in)
        self.second = o3.FullyConnectedTensorProduct(self.gate.irreps_out, edges, _CODES)

    def forward(self, x: Tensor) -> Tensor:
        edges = self.harmonics.edges(x)  # (n, i, j, ...)
        size, points = x.shape[:2]
        around = self.harmonics(x)[:, None].expand(-1, points, -1, -1)  # of the sender j
        messages = self.first(around, edges).sum(dim=2) / math.sqrt(points)
        nodes = self.gate(messages)[:, None].expand(-1, points, -1, -1)
        codes: Tensor = self.second(nodes, edges).reshape(size, points**2, -1).sum(dim=1)
        return codes / points


class _MirrorLogits(nn.Module):
    """From codes (p, s_1, ..., s_6) to the logits (p, -p, s_1, ..., s_6)."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.cat([z[:, :1], -z[:, :1], z[:, 1:]], dim=1)


class _TetrisNetwork(EncoderHead):
    def __init__(self, encoder: _TetrisEncoder, degree: int) -> None:
        super().__init__(encoder, _MirrorLogits())
        self._harmonics = str(irreps_module().Irreps.spherical_harmonics(degree))
        self._gated = str(encoder.gate.irreps_out)

    def layer_representations(self) -> dict[str, str]:
        """How each layer changes when the points are turned; reflections exchange two outputs."""
        return {
            "encoder.harmonics": self._harmonics,
            "encoder.gate": self._gated,
            "encoder": _CODES,
        }


def tetris_network(*, degree: int = 3, hidden: str = "16x0e+4x0o+8x1o+8x1e+8x2e+8x2o") -> nn.Module:
    """Eight logits for four points, from "0o+6x0e": polynomials in spherical harmonics, with gates.

    Harmonics of all pairs under a Gaussian window are summed at each point, multiplied by those of
    the edges (a fully connected tensor product of e3nn), summed and gated, multiplied again, and
    summed over all points. The codes are an odd scalar p and six even ones, s; the logits are
    (p, -p, s_1, ..., s_6), so that a reflection exchanges the first two, exactly. Rotations and
    translations leave the codes as they are.

    Parameters
    ----------
    degree
        The highest degree of the harmonics.
    hidden
        Irreps of the gated features of each point.

    Raises
    ------
    ConfigurationError
        If the degree is below 1: p needs vectors.

    References
    ----------
    M. Geiger, T. Smidt, "e3nn: Euclidean neural networks" (2022), arXiv:2207.09453: its tutorial
    has the network without gates.
    """
    if degree < 1:
        raise ConfigurationError(f"tetris_network: degree must be at least 1, got {degree}.")
    return _TetrisNetwork(_TetrisEncoder(degree, hidden), degree)


class _Volume(nn.Module):
    """The signed volume det(x_1 - x_0, x_2 - x_0, x_3 - x_0) and the six squared distances."""

    def forward(self, x: Tensor) -> Tensor:
        volume = torch.linalg.det(x[:, 1:] - x[:, :1])[:, None]
        i, j = torch.triu_indices(4, 4, offset=1, device=x.device)
        return torch.cat([volume, (x[:, i] - x[:, j]).square().sum(dim=-1)], dim=1)


class _Nearest(nn.Module):
    """Minus the squared distance of the codes to those of each shape, `(n, 8)`."""

    templates: Tensor

    def __init__(self) -> None:
        super().__init__()
        shapes = torch.tensor(list(SHAPES.values()), dtype=torch.get_default_dtype())
        self.register_buffer("templates", _Volume()(shapes))

    def forward(self, z: Tensor) -> Tensor:
        return -(z[:, None] - self.templates).square().sum(dim=-1)


class _TetrisFormula(EncoderHead):
    def layer_representations(self) -> dict[str, str]:
        """The volume changes its sign under reflections, distances do not."""
        return {"encoder": _CODES}


def tetris_formula() -> nn.Module:
    """The shape of four points by formula: signed volume and distances, compared with the eight.

    Codes are "0o+6x0e": the determinant of the edges from the first point, and the six squared
    distances. The points keep their order. Outputs are minus the squared distances to the codes of
    the shapes. Nothing is learned; the model is the oracle of a table.

    Examples
    --------
    >>> from repgeo.datasets.tetris import tetris
    >>> data = tetris(seed=0)
    >>> int((tetris_formula()(data.test.x).argmax(dim=1) == data.test.y).sum())
    160
    """
    return _TetrisFormula(_Volume(), _Nearest())
