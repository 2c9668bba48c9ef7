"""Outputs that agree on a sample and its moved copy, with weights that keep the information."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset
from repgeo.errors import ConfigurationError, InputError
from repgeo.objectives.objective import Objective

__all__ = ["OrbitInvariance"]


class OrbitInvariance(Objective):
    """Distance of the outputs of x and `moved`, plus a term that keeps weights W invertible.

    distance: "squared", the mean over outputs of (f(x) - f(y))^2; "norm", the mean over pairs of
    ||f(x) - f(y)||, as bispectral networks are trained. retain: "unitary", the mean squared entry
    of I - W W^†; "reconstruction", the mean squared error of Re(W^† W x) against x, with rows of W
    brought back to unit norm after each update. The published recipe of bispectral networks is
    "norm" and "reconstruction" with weight 150, Adam at 2e-3 and batches of 100 with 10 of each
    orbit; here pairs stand for orbits.

    References
    ----------
    S. Sanborn, C. Shewmake, B. Olshausen, C. Hillar, "Bispectral neural networks" (2022),
    arXiv:2209.03416.

    Examples
    --------
    >>> from repgeo.datasets import Split
    >>> from repgeo.models.scalar_neurons import Energies
    >>> net = Energies(torch.eye(2, dtype=torch.complex64))
    >>> pair = Split(torch.tensor([[1.0, 2.0]]), arrays={"moved": torch.tensor([[-1.0, 2.0]])})
    >>> float(OrbitInvariance().loss(net, pair, torch.Generator()).detach())
    0.0
    """

    name: ClassVar[str] = "orbit_invariance"

    distance: Literal["squared", "norm"] = "squared"
    retain: Literal["unitary", "reconstruction"] = "unitary"
    weight: float = Field(default=10.0, ge=0.0)

    def batches(self, data: Dataset, batch_size: int, generator: torch.Generator) -> Iterator[Any]:
        """Shuffled minibatches of pairs."""
        if not isinstance(data.train.arrays.get("moved"), Tensor):
            raise InputError(
                f"The objective orbit_invariance needs the array 'moved', which {data.name!r} "
                "lacks."
            )
        yield from super().batches(data, batch_size, generator)

    def loss(self, model: nn.Module, batch: Any, generator: torch.Generator) -> Tensor:
        """The distance of the pairs' outputs, plus the weighted term on W."""
        W = getattr(model, "weight", None)
        if not isinstance(W, Tensor) or not W.is_complex():
            raise ConfigurationError(
                f"The objective orbit_invariance needs complex weights, `weight`; "
                f"{type(model).__name__} has none."
            )
        change = model(batch.x) - model(batch.moved)
        distance = (
            change.square().mean() if self.distance == "squared" else change.norm(dim=1).mean()
        )
        total: Tensor = distance + self.weight * self._kept(W, batch.x)
        return total

    def _kept(self, W: Tensor, x: Tensor) -> Tensor:
        if self.retain == "unitary":
            E = W @ W.mH - torch.eye(len(W), dtype=W.dtype, device=W.device)
            return (E.real.square() + E.imag.square()).mean()
        flat = x.reshape(len(x), -1)
        again = ((flat.to(W.dtype) @ W.T) @ W.conj()).real
        return (again - flat).square().mean()

    @torch.no_grad()
    def after_step(self, model: nn.Module) -> None:
        """Bring rows of W back to unit norm, with "reconstruction"."""
        if self.retain == "reconstruction" and isinstance(model.parts, Tensor):
            model.parts /= model.parts.square().sum((1, 2), keepdim=True).sqrt()
