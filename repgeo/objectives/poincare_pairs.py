"""Embedding the pairs of a hierarchy in the Poincaré ball."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import ConfigurationError, InputError, MissingExtraError
from repgeo.hyperbolic import distance
from repgeo.objectives.objective import Objective

__all__ = ["PoincarePairs"]


@runtime_checkable
class _OnBall(Protocol):
    """What a model offers that can be trained so (see `repgeo.models.poincare_embedding`)."""

    def points_on_ball(self) -> nn.Parameter: ...


class PoincarePairs(Objective):
    """Of one pair against random ones: which node above belongs to the node below.

    For a pair (u, v) of the train split's `x` `(n, 2)` and k negatives v' drawn uniformly from
    all nodes,

        loss = log(exp(-d(u, v)) + sum over v' of exp(-d(u, v'))) + d(u, v),

    with d the distance of the Poincaré ball of curvature -1; negatives that are u itself or stand
    in a pair with u are left out of the sum. Points are moved by Riemannian stochastic gradient
    descent (geoopt's): the Euclidean gradient is scaled by the inverse metric and the step is
    retracted into the ball, up to geoopt's projection to norms of at most 1 - 1e-5 in float64. The
    published burn-in is `warmup` of the recipe, whose `lr` is not used.

    Parameters
    ----------
    negatives
        k.
    rate
        Learning rate of the Riemannian descent.

    Raises
    ------
    ConfigurationError
        If the model's points do not lie on a ball (use `poincare_embedding`).
    InputError
        If the data are not pairs of integers.
    MissingExtraError
        If geoopt is not installed.

    References
    ----------
    M. Nickel, D. Kiela (2017), arXiv 1705.08039; O.-E. Ganea, G. Bécigneul, "Riemannian Adaptive
    Optimization Methods" (2019), arXiv 1810.00760; M. Kochurov, R. Karimov, S. Kozlukov, "Geoopt"
    (2020), arXiv 2005.02819.

    Examples
    --------
    Where all points are one, each of 1 + k nodes is as near as the others:

    >>> from repgeo.models.poincare_embedding import PoincareEmbedding
    >>> net = PoincareEmbedding(torch.zeros(9, 2, dtype=torch.float64))
    >>> batch = Split(torch.tensor([[1, 0]]), arrays={"negatives": torch.tensor([[2, 3, 4]])})
    >>> round(PoincarePairs().loss(net, batch, torch.Generator()).exp().item(), 6)
    4.0
    """

    name: ClassVar[str] = "poincare_pairs"

    negatives: int = Field(default=10, ge=1)
    rate: float = Field(default=0.5, gt=0, allow_inf_nan=False)

    def batches(self, data: Dataset, batch_size: int, generator: torch.Generator) -> Iterator[Any]:
        """Shuffled pairs, each with its negatives `(batch, k)`; -1 marks one that is left out."""
        pairs = data.train.x
        if not isinstance(pairs, Tensor) or pairs.is_floating_point() or pairs.shape[1:] != (2,):
            raise InputError(
                f"The objective {self.name} needs pairs of nodes, integers (n, 2), as x of the "
                "train split."
            )
        nodes = int(data.meta["nodes"]) if "nodes" in data.meta else int(pairs.max()) + 1
        known = torch.unique(pairs[:, 0] * nodes + pairs[:, 1])
        for batch in super().batches(data, batch_size, generator):
            below = batch.x[:, :1]
            drawn = torch.randint(nodes, (len(batch), self.negatives), generator=generator)
            drawn = drawn.to(below.device)
            true = torch.isin(below * nodes + drawn, known) | (drawn == below)
            yield Split(batch.x, ids=batch.ids, arrays={"negatives": torch.where(true, -1, drawn)})

    def loss(self, model: nn.Module, batch: Any, generator: torch.Generator) -> Tensor:
        """The mean over the pairs of the batch."""
        points = self._points(model)
        below, above = points[batch.x[:, :1]], points[batch.x[:, 1:]]  # (batch, 1, d)
        others = points[batch.negatives.clamp(min=0)]  # (batch, k, d)
        far = distance(below, torch.cat([above, others], dim=1))  # (batch, 1 + k)
        absent = functional.pad(batch.negatives < 0, (1, 0))
        logits = (-far).masked_fill(absent, -float("inf"))
        first = torch.zeros(len(far), dtype=torch.int64, device=far.device)
        return functional.cross_entropy(logits, first)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Riemannian stochastic gradient descent on the model's points."""
        points = self._points(model)
        with warnings.catch_warnings():
            # geoopt scripts helpers of others of its manifolds when it is imported.
            warnings.filterwarnings("ignore", r"`torch\.jit", DeprecationWarning)
            try:
                import geoopt
            except ModuleNotFoundError:
                raise MissingExtraError("geoopt", "hyperbolic", "Riemannian descent") from None
        descent = geoopt.optim.RiemannianSGD([points], lr=self.rate)
        # Where it finds plain parameters it moves them in its default manifold.
        descent._default_manifold = geoopt.PoincareBall()
        riemannian: torch.optim.Optimizer = descent
        return riemannian

    def _points(self, model: nn.Module) -> nn.Parameter:
        if not isinstance(model, _OnBall):
            raise ConfigurationError(
                f"The objective {self.name} moves points of a ball; {type(model).__name__} has "
                "none. Use poincare_embedding."
            )
        return model.points_on_ball()
