"""A table of points of the Poincaré ball, one for each node."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from repgeo.errors import InputError
from repgeo.models.encoder_head import require_positive

__all__ = ["PoincareEmbedding", "poincare_embedding"]


class _Table(nn.Module):
    """From node numbers `(batch, ...)` to their points `(batch, ..., d)`."""

    def __init__(self, points: Tensor) -> None:
        super().__init__()
        self.points = nn.Parameter(points)

    def forward(self, nodes: Tensor) -> Tensor:
        if nodes.is_floating_point():
            raise InputError(f"Nodes are numbers of type integer, got {nodes.dtype}.")
        found: Tensor = self.points[nodes]
        return found.squeeze(1) if nodes.ndim == 2 and nodes.shape[1] == 1 else found


class PoincareEmbedding(nn.Module):
    """Nodes `(batch, 1)` as points of the open unit ball `(batch, d)`.

    Attributes
    ----------
    encoder
        The table; `encoder.points` are all points `(nodes, d)`.
    """

    latent_space = "poincare"

    def __init__(self, points: Tensor) -> None:
        super().__init__()
        self.encoder = _Table(points)

    def forward(self, nodes: Tensor) -> Tensor:
        """The points `(batch, d)`."""
        found: Tensor = self.encoder(nodes)
        return found

    def points_on_ball(self) -> nn.Parameter:
        """The points of all nodes `(nodes, d)`, for Riemannian optimizers."""
        return self.encoder.points


def poincare_embedding(*, nodes: int, dimension: int = 2, spread: float = 1e-3) -> nn.Module:
    """A table of points of the Poincaré ball, one per node, uniform in a small cube at first.

    Train it with the objective `poincare_pairs` in float64.

    Parameters
    ----------
    nodes
        How many.
    dimension
        Of the ball.
    spread
        First coordinates are uniform in (-spread, spread).

    Raises
    ------
    ConfigurationError
        If a size is below 1.

    References
    ----------
    M. Nickel, D. Kiela, "Poincaré Embeddings for Learning Hierarchical Representations" (2017),
    arXiv 1705.08039.

    Examples
    --------
    >>> net = poincare_embedding(nodes=5)
    >>> tuple(net(torch.tensor([[0], [4]])).shape)
    (2, 2)
    """
    require_positive("poincare_embedding", nodes=nodes, dimension=dimension)
    return PoincareEmbedding((2 * torch.rand(nodes, dimension) - 1) * spread)
