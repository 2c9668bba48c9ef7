"""The wrapped normal distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from repgeo.errors import InputError
from repgeo.hyperbolic import WrappedNormal, convert, distance, translate

MODELS: tuple[Any, ...] = ("poincare", "klein", "lorentz", "tangent")


@pytest.mark.parametrize("curvature", [-1.0, -0.5])
def test_the_density_integrates_to_one(curvature: float) -> None:
    mean = convert(np.array([0.7, -0.4]), "tangent", "poincare", curvature=curvature)
    law = WrappedNormal(mean, np.array([0.5, 0.9]), curvature=curvature)
    root = math.sqrt(-curvature)

    radii, angles = np.linspace(0, 8, 400)[:, None], np.linspace(0, 2 * math.pi, 200)[None, :-1]
    tangent = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=-1)
    density = np.exp(law.log_density(convert(tangent, "tangent", "poincare", curvature=curvature)))
    shells = density.mean(axis=1) * 2 * math.pi * np.sinh(root * radii[:, 0]) / root
    total = integrate.simpson(shells, x=radii[:, 0])
    assert total == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_the_density_is_that_of_the_tangent_vector(model: Any) -> None:
    rng = np.random.default_rng(0)
    base, v, scale = rng.standard_normal(3), rng.standard_normal((6, 3)), np.array([0.5, 1, 2])
    by = convert(base, "tangent", model)
    points = translate(convert(v, "tangent", model), by, model=model)
    found = WrappedNormal(by, scale, model=model).log_density(points)
    r = np.linalg.norm(v, axis=1)
    expected = stats.norm.logpdf(v, scale=scale).sum(axis=1) - 2 * np.log(np.sinh(r) / r)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_samples_have_the_law(model: Any) -> None:
    mean = convert(np.array([1.0, -2.0]), "tangent", model)
    law = WrappedNormal(mean, np.array([0.7, 0.7]), model=model)
    drawn = law.sample(4000, generator=np.random.default_rng(1))
    radius = distance(drawn, mean, model=model)
    assert stats.kstest(radius, stats.rayleigh(scale=0.7).cdf).pvalue > 1e-3


def test_tensors_are_reproducible_and_differentiable() -> None:
    mean = torch.zeros(5, 2, requires_grad=True)
    scale = torch.full((5, 2), 0.3, requires_grad=True)
    law = WrappedNormal(mean, scale, model="tangent")
    first = law.sample(generator=torch.Generator().manual_seed(0))
    again = law.sample(generator=torch.Generator().manual_seed(0))
    assert first.shape == (5, 2)
    assert first.dtype == torch.float32
    assert bool((first == again).all())
    total = law.log_density(first).sum() + law.log_density(mean).sum()
    for gradient in torch.autograd.grad(total, (mean, scale)):
        assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("model", MODELS)
def test_derivatives_of_the_density_and_of_samples_are_right(model: Any) -> None:
    rng = np.random.default_rng(2)
    tangent = torch.tensor(rng.standard_normal((3, 2)), requires_grad=True)
    scale = torch.tensor(rng.uniform(0.5, 1, (3, 2)), requires_grad=True)
    other = convert(torch.tensor(rng.standard_normal((3, 2))), "tangent", model)

    def density(h: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        law = WrappedNormal(convert(h, "tangent", model), s, model=model)
        return law.log_density(other) + law.sample(generator=torch.Generator().manual_seed(3)).sum()

    assert torch.autograd.gradcheck(density, (tangent, scale), atol=1e-6)


def test_what_is_no_law_says_why() -> None:
    mean = np.zeros(2)
    with pytest.raises(InputError, match="positive"):
        WrappedNormal(mean, np.array([1.0, 0.0]))
    with pytest.raises(InputError, match="needs scales"):
        WrappedNormal(mean, np.ones(3))
    with pytest.raises(InputError, match="open ball"):
        WrappedNormal(np.ones(2), np.ones(2))
    with pytest.raises(InputError, match=r"numpy\.random\.Generator"):
        WrappedNormal(mean, np.ones(2)).sample(3, generator=torch.Generator())
