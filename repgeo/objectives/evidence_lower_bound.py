"""The negative evidence lower bound of a variational autoencoder of binary inputs."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from repgeo.errors import ConfigurationError, InputError
from repgeo.objectives.objective import Objective

__all__ = ["EvidenceLowerBound"]


@runtime_checkable
class _Variational(Protocol):
    """What a model offers that can be trained so (see `repgeo.models.variational`)."""

    def decode(self, z: Tensor) -> Tensor: ...
    def posterior_sample(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]: ...


class EvidenceLowerBound(Objective):
    """Mean over the batch of -log p(x | z) + beta (log q(z | x) - log p(z)), one z per input.

    p(x | z) is a product of Bernoulli laws whose logits the model's `decode` gives; z and the ratio
    come from the model's `posterior_sample`. In nats. The inputs lie in [0, 1]; with `flips` each
    is exchanged for its complement with that probability, anew with every batch, and the flipped
    input is both what is encoded and what is to be explained.

    Parameters
    ----------
    beta
        Weight of the divergence from the prior.
    flips
        Probability of a flip.

    Raises
    ------
    ConfigurationError
        If the model offers no `decode` and `posterior_sample`.
    InputError
        If inputs lie outside of [0, 1].

    References
    ----------
    D. P. Kingma, M. Welling, "Auto-Encoding Variational Bayes" (2013), arXiv 1312.6114; flips as in
    Y. Nagano et al. (2019), arXiv 1902.02992.

    Examples
    --------
    A decoder that knows nothing pays ln 2 per input; a posterior that is the prior pays nothing.

    >>> class Blind(nn.Module):
    ...     def posterior_sample(self, x, generator):
    ...         return torch.zeros(len(x), 1), torch.zeros(len(x))
    ...     def decode(self, z):
    ...         return torch.zeros(len(z), 4)
    >>> from repgeo.datasets import Split
    >>> loss = EvidenceLowerBound().loss(Blind(), Split(torch.ones(3, 4)), torch.Generator())
    >>> round(float(loss) / 4, 6)
    0.693147
    """

    name: ClassVar[str] = "evidence_lower_bound"

    beta: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    flips: float = Field(default=0.0, ge=0, lt=1)

    def loss(self, model: nn.Module, batch: Any, generator: torch.Generator) -> Tensor:
        """The negative bound of the batch, with one sample of the posterior per input."""
        if not isinstance(model, _Variational):
            raise ConfigurationError(
                f"The objective {self.name} needs a model that offers decode and "
                f"posterior_sample; {type(model).__name__} does not. Use variational_autoencoder."
            )
        x = batch.x
        if not bool(((x >= 0) & (x <= 1)).all()):
            raise InputError(f"The objective {self.name} needs inputs in [0, 1].")
        if self.flips:
            flip = torch.rand(x.shape, generator=generator) < self.flips
            x = torch.where(flip.to(x.device), 1 - x, x)
        z, ratio = model.posterior_sample(x, generator)
        target = x.flatten(1)
        wrong = functional.binary_cross_entropy_with_logits(
            model.decode(z), target, reduction="none"
        )
        return (wrong.sum(dim=1) + self.beta * ratio.to(wrong.dtype)).mean()
