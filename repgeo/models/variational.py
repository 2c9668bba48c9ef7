"""Variational autoencoders with latents in hyperbolic or in Euclidean space."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from repgeo.errors import ConfigurationError, nearest
from repgeo.hyperbolic import WrappedNormal, convert
from repgeo.models.activations import make_activation
from repgeo.models.encoder_head import require_positive

__all__ = ["LatentGeometry", "VariationalAutoencoder", "variational_autoencoder"]

LatentGeometry: TypeAlias = Literal["hyperbolic", "euclidean"]


class _OnHyperboloid(nn.Module):
    """From tangent vectors at the origin `(batch, d)` to Lorentz coordinates `(batch, d + 1)`."""

    def forward(self, z: Tensor) -> Tensor:
        points: Tensor = convert(z, "tangent", "lorentz")
        return points


class VariationalAutoencoder(nn.Module):
    """Posterior, prior and decoder on one latent space.

    Codes z are `(batch, d)`: in hyperbolic space the tangent vector at the origin whose length is
    the distance to the origin and whose direction is that of the point, which loses no digits far
    out; in Euclidean space the point itself. The posterior of x is a (wrapped) normal at the mean
    encoder(x) with a diagonal scale softplus(spread(features(x))); the prior is the standard one.
    The decoder of the hyperbolic twin reads Lorentz coordinates, as published.

    Attributes
    ----------
    encoder
        From x to the posterior mean: `encoder.features...`, `encoder.mean`.
    spread
        From features to scales before the softplus.
    decoder
        From codes to logits `(batch, inputs)`.
    geometry
        "hyperbolic" or "euclidean".
    """

    def __init__(
        self,
        encoder: nn.Sequential,
        spread: nn.Module,
        decoder: nn.Module,
        geometry: LatentGeometry,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.spread = spread
        self.decoder = decoder
        self.geometry = geometry

    @property
    def latent_space(self) -> str:
        """What the codes are, for probes: "tangent" vectors at the origin, or "euclidean"."""
        return "tangent" if self.geometry == "hyperbolic" else "euclidean"

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the inputs `(batch, inputs)`, decoded from the posterior means."""
        return self.decode(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        """Logits `(batch, inputs)` of codes `(batch, d)`."""
        logits: Tensor = self.decoder(z)
        return logits

    def reconstruct(self, x: Tensor) -> Tensor:
        """The means of the decoded inputs, probabilities of the shape of x."""
        return self.forward(x).sigmoid().reshape(x.shape)

    def posterior_sample(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One code of each input, and how much likelier it is under the posterior than a priori.

        Returns
        -------
        tuple
            Codes `(batch, d)` and log q(z | x) - log p(z) `(batch,)` in nats, whose expectation is
            the Kullback-Leibler divergence; both differentiable in the weights.
        """
        features = self.encoder[:-1](x)
        mean = self.encoder[-1](features)
        scale = nn.functional.softplus(self.spread(features))
        if self.geometry == "hyperbolic":
            posterior = WrappedNormal(mean, scale, model="tangent")
            z = posterior.sample(generator=generator)
            prior = WrappedNormal(torch.zeros_like(z), torch.ones_like(z), model="tangent")
            return z, posterior.log_density(z) - prior.log_density(z)
        noise = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
        z = mean + scale * noise.to(mean)
        ratio = ((z - mean) / scale).square() / -2 - scale.log() + z.square() / 2
        return z, ratio.sum(dim=1)


def variational_autoencoder(
    input_shape: tuple[int, ...],
    *,
    geometry: LatentGeometry = "hyperbolic",
    latent: int = 2,
    hidden: tuple[int, ...] = (100,),
    activation: str = "tanh",
) -> nn.Module:
    """A variational autoencoder of binary inputs, hyperbolic or its Euclidean twin.

    x flattened, fully connected layers with an activation, then a linear map to the posterior mean
    and one to its scales; the decoder has the hidden layers in reverse order and gives one logit
    per input. Weights are Glorot's (uniform), biases zero, as published. `encode` gives posterior
    means as tangent vectors at the origin (`model="tangent"` for the probes of hyperbolic space).

    Parameters
    ----------
    input_shape
        The shape of one input.
    geometry
        "hyperbolic" (wrapped normals on the hyperboloid of curvature -1) or "euclidean".
    latent
        The dimension of the latent space.
    hidden
        Widths of the encoder's hidden layers.
    activation
        Name, see `repgeo.models.activations`.

    Raises
    ------
    ConfigurationError
        For an unknown geometry or activation, or a size below 1.

    References
    ----------
    Y. Nagano et al., "A Wrapped Normal Distribution on Hyperbolic Space for Gradient-Based
    Learning" (2019), arXiv 1902.02992.

    Examples
    --------
    >>> net = variational_autoencoder((7,), latent=3)
    >>> tuple(net.encoder(torch.zeros(5, 7)).shape), tuple(net.reconstruct(torch.zeros(5, 7)).shape)
    ((5, 3), (5, 7))
    """
    if geometry not in get_args(LatentGeometry):
        raise ConfigurationError(
            f"variational_autoencoder: unknown geometry {geometry!r}. "
            f"{nearest(geometry, get_args(LatentGeometry))}"
        )
    inputs = math.prod(input_shape)
    require_positive("variational_autoencoder", input_shape=inputs, latent=latent, hidden=hidden)
    features: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    width = inputs
    for position, next_width in enumerate(hidden, start=1):
        features[f"linear{position}"] = _glorot(width, next_width)
        features[f"activation{position}"] = make_activation(activation)
        width = next_width
    spread = _glorot(width, latent)
    hyperbolic = geometry == "hyperbolic"
    decoder: OrderedDict[str, nn.Module] = OrderedDict(
        point=_OnHyperboloid() if hyperbolic else nn.Identity()
    )
    inner = latent + 1 if hyperbolic else latent
    for position, next_width in enumerate(reversed(hidden), start=1):
        decoder[f"linear{position}"] = _glorot(inner, next_width)
        decoder[f"activation{position}"] = make_activation(activation)
        inner = next_width
    decoder["logits"] = _glorot(inner, inputs)
    features["mean"] = _glorot(width, latent)
    return VariationalAutoencoder(nn.Sequential(features), spread, nn.Sequential(decoder), geometry)


def _glorot(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
