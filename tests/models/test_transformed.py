from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from repgeo.errors import ConfigurationError
from repgeo.models.transformed import Transformation, transformed

STRENGTHS = {"dropped": 0.5, "repeated": 4}


def inputs(n: int = 400) -> Tensor:
    return torch.rand(n, 1, 2, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def codes(kind: str, **options: float) -> Tensor:
    torch.set_default_dtype(torch.float64)
    try:
        net = transformed((1, 2, 4), kind=kind, **{"strength": STRENGTHS.get(kind, 1.0)} | options)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(net(inputs()), net.encoder(inputs()))
    return net(inputs())


def test_linear_kinds() -> None:
    x = inputs().flatten(1)
    grams = x @ x.T
    assert torch.allclose(codes("rotation") @ codes("rotation").T, grams, atol=1e-12)
    assert torch.allclose(codes("scaling", strength=-2.5), -2.5 * x)
    shift = codes("translation") - x
    assert torch.allclose(shift, shift[:1].expand_as(shift), atol=1e-12)
    assert shift[0].abs().min() > 0
    factors = codes("axis_scaling") / x
    assert torch.allclose(factors, factors[:1].expand_as(factors), atol=1e-9)
    assert 0.36 < factors.min() < factors.max() < 2.72
    bent = torch.linalg.lstsq(x, codes("invertible")).solution
    lengths = torch.linalg.svdvals(bent)
    assert 0.36 < lengths.min() < lengths.max() < 2.72
    assert torch.allclose(x @ bent, codes("invertible"), atol=1e-12)


def test_sizes() -> None:
    assert codes("dropped").shape == (400, 4)
    assert codes("dropped", strength=0.9).shape == (400, 1)
    repeated = codes("repeated")
    assert repeated.shape == (400, 12)
    assert torch.equal(repeated[:, :8], inputs().flatten(1))
    assert torch.equal(repeated[:, 8:], repeated[:, 8:9].expand(400, 4))
    # The coordinates that are left are those of one rotation.
    assert torch.allclose(codes("dropped", strength=0.25)[:, :4], codes("dropped"))


def test_noise_is_a_function_of_the_sample() -> None:
    noise = codes("independent")
    x = inputs().flatten(1)
    assert torch.allclose(codes("noise", strength=0.5), x + 0.5 * noise, atol=1e-12)
    assert torch.equal(codes("noise", strength=0.0), x)
    # Standard normal and uncorrelated, of 3,200 numbers.
    assert abs(noise.mean()) < 0.06
    assert noise.var() == pytest.approx(1.0, abs=0.1)
    both = torch.corrcoef(torch.cat([noise, x], dim=1).T) - torch.eye(16)
    assert both[:8].abs().max() < 0.2
    duplicates = inputs()[[5, 5]]
    net = transformed((1, 2, 4), kind="independent")
    assert torch.equal(net(duplicates)[0], net(duplicates)[1])


def test_a_warp_is_bounded_and_not_linear() -> None:
    bent = codes("warp", strength=2.0)
    assert bent.abs().max() < 1
    x = torch.cat([inputs().flatten(1), torch.ones(400, 1)], dim=1)
    fitted = x @ torch.linalg.lstsq(x, bent).solution
    assert (fitted - bent).square().mean() > 1e-4


@pytest.mark.parametrize("kind", get_args(Transformation))
def test_seeds_and_dtypes(kind: str) -> None:
    strength = STRENGTHS.get(kind, 1.0)

    def make(seed: int) -> Tensor:
        return transformed((8,), kind=kind, strength=strength, seed=seed)(inputs().flatten(1))

    assert torch.equal(make(0), make(0))
    assert make(0).dtype == torch.float32
    assert torch.equal(make(0), make(1)) == (kind == "scaling")


@pytest.mark.parametrize(
    ("kind", "strength", "message"),
    [
        ("rotated", 1.0, "Did you mean 'rotation'"),
        ("scaling", 0.0, "0.0 is out of range for 'scaling'"),
        ("dropped", 1.0, "leaves some for dropped"),
        ("dropped", 0.99, "out of range for 'dropped'"),
        ("repeated", 1.5, "whole number"),
        ("noise", -1.0, "out of range"),
        ("rotation", float("nan"), "finite"),
    ],
)
def test_bad_transformations(kind: str, strength: float, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        transformed((8,), kind=kind, strength=strength)
