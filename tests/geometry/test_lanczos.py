"""The largest singular values by Lanczos, against full decompositions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from repgeo.errors import InputError
from repgeo.geometry import jacobian, log_volume, volume_report, volume_spectrum
from repgeo.geometry.lanczos import largest_singular_values


def _random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _spectrum(values, n, d):
    left = torch.linalg.qr(_random(n, len(values), seed=1)).Q
    right = torch.linalg.qr(_random(d, len(values), seed=2)).Q
    return (left * values) @ right.T


MATRICES = {
    "random": (_random(120, 90), 7),
    "wide": (_random(3, 5), 2),
    "tall": (_random(5, 3), 3),
    "one row": (_random(1, 6), 1),
    "heavy tail": (_spectrum(torch.logspace(0, -8, 60).double(), 60, 80), 10),
    "evenly spaced": (_spectrum(torch.arange(1, 81).double(), 80, 80), 5),
    "orthogonal": (torch.linalg.qr(_random(40, 40)).Q, 5),
    "repeated": (_spectrum(torch.tensor([2.0] * 6 + [1.0] * 30).double(), 40, 50), 8),
    "low rank": (_random(40, 3) @ _random(3, 50), 5),
    "zero": (torch.zeros(4, 6, dtype=torch.float64), 2),
}


@pytest.mark.parametrize("name", MATRICES)
def test_agrees_with_the_full_decomposition(name):
    A, k = MATRICES[name]
    values, steps = largest_singular_values(
        lambda v: v @ A.T, lambda u: u @ A, _random(1, A.shape[1], seed=3), features=len(A), k=k
    )
    expected = torch.linalg.svdvals(A)[:k]
    assert float((values[0] - expected).abs().max()) <= 1e-9 * max(1.0, float(expected[0]))
    assert k <= steps <= min(A.shape)


def test_different_matrices_in_step():
    """A batch in which one matrix is exhausted after two steps and another never."""
    A = torch.stack([_random(30, 30), torch.diag(torch.tensor([3.0] * 2 + [1.0] * 28).double())])
    values, _ = largest_singular_values(
        lambda v: (A @ v[:, :, None]).squeeze(2),
        lambda u: (A.mT @ u[:, :, None]).squeeze(2),
        _random(2, 30, seed=3),
        features=30,
        k=3,
    )
    torch.testing.assert_close(values, torch.linalg.svdvals(A)[:, :3], rtol=1e-9, atol=0)


def _convolution():
    generator = torch.Generator().manual_seed(0)
    f = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Tanh(), nn.Flatten()).double()
    with torch.no_grad():
        for parameter in f.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return f.eval(), _random(3, 3, 12, 12)


def test_spectra_of_a_convolution():
    f, x = _convolution()
    dense = volume_spectrum(f, x, k=5, solver="dense")
    torch.testing.assert_close(dense, torch.linalg.svdvals(jacobian(f, x))[:, :5])
    for solver in ("auto", "lanczos"):
        found = volume_spectrum(f, x, k=5, solver=solver)
        torch.testing.assert_close(found, dense, rtol=1e-8, atol=0)


def test_truncated_volumes_of_a_convolution():
    f, x = _convolution()
    expected = volume_spectrum(f, x, k=6, solver="dense").log().sum(dim=1)
    for solver in ("auto", "lanczos", "svd"):
        report = volume_report(f, x, rank=6, solver=solver)
        torch.testing.assert_close(report.log_volume, expected, rtol=0, atol=1e-7)
        assert report.kind == "truncated"
        assert bool((report.rank >= 6).all())


def test_truncated_volumes_on_a_subspace():
    f, x = _convolution()
    V = torch.linalg.qr(_random(432, 40, seed=4)).Q
    expected = torch.linalg.svdvals(jacobian(f, x) @ V)[:, :4].log().sum(dim=1)
    for solver in ("lanczos", "svd"):
        found = log_volume(f, x, subspace=V, rank=4, solver=solver)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)


def test_float32_products():
    f, x = _convolution()
    expected = volume_spectrum(f, x, k=5, solver="dense")
    found = volume_spectrum(f.float(), x.float(), k=5, solver="lanczos")
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def test_deficient_rank_is_minus_infinity():
    W = _random(60, 3) @ _random(3, 70, seed=1)
    found = volume_report(lambda x: x @ W.T, _random(2, 70), rank=5, solver="lanczos")
    assert found.log_volume.tolist() == [-math.inf] * 2
    assert found.rank.tolist() == [3, 3]
    constant = volume_report(
        lambda x: x.new_ones(len(x), 4), _random(2, 5), rank=2, solver="lanczos"
    )
    assert constant.rank.tolist() == [0, 0]


def test_bad_arguments_are_refused():
    x = _random(2, 3)
    with pytest.raises(InputError, match="give k"):
        volume_spectrum(torch.tanh, x, solver="lanczos")
    with pytest.raises(InputError, match="give rank"):
        log_volume(torch.tanh, x, solver="lanczos")
    with pytest.raises(InputError, match="k must be between 1 and 3, got 4"):
        volume_spectrum(torch.tanh, x, k=4, solver="lanczos")
    with pytest.raises(InputError, match=r"Unknown solver 'full'\. Known: auto, dense, lanczos"):
        volume_spectrum(torch.tanh, x, k=2, solver="full")
