"""Variational autoencoders: posteriors, bounds, both geometries, and their training."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from repgeo.datasets.trees import binary_tree
from repgeo.errors import ConfigurationError, InputError
from repgeo.hyperbolic import distance
from repgeo.models.mlp import mlp
from repgeo.models.recipe import parse_recipe
from repgeo.models.training import train
from repgeo.models.variational import VariationalAutoencoder, variational_autoencoder
from repgeo.objectives.evidence_lower_bound import EvidenceLowerBound

GEOMETRIES = ("hyperbolic", "euclidean")


def made(geometry: str, latent: int = 2, inputs: int = 7) -> VariationalAutoencoder:
    torch.manual_seed(0)
    net = variational_autoencoder((inputs,), geometry=geometry, latent=latent)  # type: ignore[arg-type]
    assert isinstance(net, VariationalAutoencoder)
    return net


def constant(net: VariationalAutoencoder, mean: list[float], scale: float) -> None:
    """The posterior of every input becomes this one."""
    with torch.no_grad():
        net.encoder[-1].weight.zero_()
        net.encoder[-1].bias.copy_(torch.tensor(mean))
        net.spread.weight.zero_()
        net.spread.bias.fill_(math.log(math.expm1(scale)))


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_posterior_that_is_the_prior_costs_nothing(geometry: str) -> None:
    net = made(geometry).double()
    constant(net, [0.0, 0.0], 1.0)
    _, ratio = net.posterior_sample(torch.zeros(50, 7).double(), torch.Generator().manual_seed(0))
    assert ratio.abs().max() < 1e-12


def test_the_divergence_of_the_euclidean_twin_is_the_closed_form() -> None:
    net = made("euclidean").double()
    constant(net, [0.6, -0.8], 0.5)
    n = 20000
    _, ratio = net.posterior_sample(torch.zeros(n, 7).double(), torch.Generator().manual_seed(0))
    exact = (1.0 / 2) + 2 * (0.5**2 / 2 - 0.5 - math.log(0.5))
    assert abs(ratio.mean().item() - exact) < 5 * ratio.std().item() / n**0.5


def test_wrapped_samples_spread_around_the_posterior_mean() -> None:
    net = made("hyperbolic").double()
    constant(net, [2.0, 0.0], 0.3)
    z, _ = net.posterior_sample(torch.zeros(4000, 7).double(), torch.Generator().manual_seed(0))
    mean = torch.tensor([[2.0, 0.0]]).double()
    squares = distance(z, mean, model="tangent").square()
    # distances to the mean are those of the tangent vectors: 2 sigma^2 in the plane
    assert abs(squares.mean().item() - 2 * 0.3**2) < 5 * squares.std().item() / 4000**0.5


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_gradients_reach_all_weights_and_generators_decide(geometry: str) -> None:
    net = made(geometry, latent=3)
    batch = binary_tree(seed=0, depth=3).train
    objective = EvidenceLowerBound(beta=2.0, flips=0.1)
    loss = objective.loss(net, batch, torch.Generator().manual_seed(1))
    again = objective.loss(net, batch, torch.Generator().manual_seed(1))
    other = objective.loss(net, batch, torch.Generator().manual_seed(2))
    assert torch.equal(loss, again)
    assert not torch.equal(loss, other)
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in net.parameters())


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_training_raises_the_bound(geometry: str) -> None:
    data = binary_tree(seed=0, depth=5)
    net = made(geometry, inputs=31)
    recipe, objective, _ = parse_recipe(
        {"objective": "evidence_lower_bound", "flips": 0.1, "epochs": 60, "lr": 1e-2}
    )
    history = train(net, recipe, objective, data, generator=torch.Generator().manual_seed(0))
    assert history.losses[-1] < 0.8 * history.losses[0]
    right = (net.reconstruct(data.test.x) > 0.5) == (data.test.x > 0.5)
    common = torch.maximum(data.test.x.mean(), 1 - data.test.x.mean())
    assert right.double().mean() > common  # better than the commonest bit everywhere


def test_codes_far_out_are_decoded_as_finite_numbers() -> None:
    net = made("hyperbolic")
    assert bool(torch.isfinite(net.decode(torch.tensor([[30.0, 0.0]]))).all())


def test_what_cannot_be_trained_so_is_refused() -> None:
    batch = binary_tree(seed=0, depth=3).train
    with pytest.raises(ConfigurationError, match="offers decode and posterior_sample"):
        EvidenceLowerBound().loss(mlp((7,), 2), batch, torch.Generator())
    shifted: Tensor = batch.x + 1
    wrong = type(batch)(shifted)
    with pytest.raises(InputError, match=r"inputs in \[0, 1\]"):
        EvidenceLowerBound().loss(made("euclidean"), wrong, torch.Generator())
    with pytest.raises(ConfigurationError, match="unknown geometry 'spherical'"):
        variational_autoencoder((7,), geometry="spherical")  # type: ignore[arg-type]
