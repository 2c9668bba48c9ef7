"""The densification loss against a slow one, betas and overlaps, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from repgeo.errors import InputError
from repgeo.stitching import beta_candidates, densification_loss, h0_deaths, overlap_coefficient

DEVIATIONS = {"l1": torch.abs, "squared": torch.square, "relu": torch.relu}


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("kind", list(DEVIATIONS))
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("metric", ["euclidean", "linf", "cosine"])
def test_loss_is_its_definition_cloud_by_cloud(kind, reduction, metric):
    z = normal(30, 4)
    labels = torch.tensor([7] * 4 + [2] * 9 + [5] + [0] * 4 + [3] * 12)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    z, labels = z[order], labels[order]
    losses = []
    for label in (7, 2, 0, 3):  # of 5 there is one point only
        excess = h0_deaths(z[labels == label], metric=metric) - 0.9
        losses.append(getattr(DEVIATIONS[kind](excess), reduction)())
    found = densification_loss(z, labels, 0.9, kind=kind, reduction=reduction, metric=metric)
    torch.testing.assert_close(found, torch.stack(losses).mean(), rtol=1e-13, atol=0)


def test_gradcheck_of_the_loss():
    labels = torch.arange(11) % 3
    for kind in DEVIATIONS:
        assert torch.autograd.gradcheck(
            lambda z, kind=kind: densification_loss(z, labels, 0.4, kind=kind),
            (normal(11, 3).requires_grad_(),),
        )


def test_repeated_points_give_a_finite_gradient():
    z = normal(3, 4).repeat(3, 1).requires_grad_()
    densification_loss(z, torch.zeros(9, dtype=torch.int64), 0.5).backward()
    assert bool(z.grad.isfinite().all())


def test_dtype_and_device_are_kept():
    z = normal(6, 2).float()
    assert densification_loss(z, torch.zeros(6).long(), 1.0).dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "l2"}, "Unknown kind 'l2'. Known: l1, relu, squared"),
        ({"reduction": "none"}, "Unknown reduction 'none'"),
        ({"metric": "euclid"}, "Did you mean 'euclidean'"),
        ({"beta": -0.1}, "not negative, got -0.1"),
        ({"beta": float("nan")}, "must be finite"),
        ({"z": torch.zeros(4, 2, 2)}, r"shape \(n, features\), got \(4, 2, 2\)"),
        ({"labels": torch.zeros(4)}, r"integers of the shape \(4,\), one per code, got torch.fl"),
        ({"labels": torch.zeros(3).long()}, r"of shape \(3,\)"),
        ({"labels": torch.arange(4)}, "No two codes have the same label"),
    ],
)
def test_bad_input_of_the_loss_is_refused(change, message):
    given = {"z": normal(4, 2), "labels": torch.zeros(4).long(), "beta": 1.0} | change
    with pytest.raises(InputError, match=message):
        densification_loss(given.pop("z"), given.pop("labels"), given.pop("beta"), **given)


def test_beta_candidates_are_factors_of_means():
    deaths = h0_deaths(normal(5, 8, 3))
    found = beta_candidates(deaths)
    assert list(found) == [(of, f) for of in ("mean", "mean_of_max") for f in (0.3, 0.5, 0.6)]
    assert found["mean", 0.5] == pytest.approx(float(deaths.mean()) / 2)
    assert found["mean_of_max", 0.3] == pytest.approx(0.3 * float(deaths[:, -1].mean()))
    with pytest.raises(InputError, match=r"\(clouds, deaths\), got \(3, 0\)"):
        beta_candidates(torch.zeros(3, 0))


def test_overlap_of_samples():
    a, b = normal(300), normal(200, seed=1)
    assert overlap_coefficient(a, a.flip(0)) == 1.0
    assert overlap_coefficient(a, b) == pytest.approx(overlap_coefficient(b, a), abs=1e-12)
    assert 0.8 < overlap_coefficient(a, b.numpy()) < 1.0
    assert overlap_coefficient(a, a + 1000) == pytest.approx(0.0, abs=1e-9)
    for bad in (torch.ones(5), torch.tensor([1.0]), np.array([1.0, np.inf])):
        with pytest.raises(InputError, match="two different finite values"):
            overlap_coefficient(a, bad)
