"""float32 log-volumes at the error floor that rounding of the Jacobian sets."""

from __future__ import annotations

import math

import pytest
import torch

from repgeo.geometry import volume_report, volume_spectrum
from repgeo.geometry.feature_map import full_precision


@pytest.fixture(scope="module")
def bases():
    """Orthonormal columns of a 512 x 3,072 Jacobian's two sides."""
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(512, 512, generator=generator, dtype=torch.float64)
    right = torch.randn(3072, 512, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(left).Q, torch.linalg.qr(right).Q


@pytest.mark.parametrize(("condition", "floor"), [(1e3, 8e-7), (1e5, 3e-5)])
def test_log_volumes_of_float32_jacobians(bases, condition, floor):
    """Singular values in even steps of their logarithms; the floors are those of the entries."""
    values = torch.logspace(0, -math.log10(condition), 512, dtype=torch.float64)
    W = ((bases[0] * values) @ bases[1].T).float()
    report = volume_report(lambda x: x @ W.T, torch.zeros(1, 3072))
    error = abs(report.log_volume.item() - values.log().sum().item())
    assert report.rank.item() == 512
    assert floor / 4 < report.error.item() < 4 * floor
    assert error < 4 * report.error.item()


def test_spectra_of_float32_jacobians(bases):
    values = torch.logspace(0, -5, 512, dtype=torch.float64)
    W = ((bases[0] * values) @ bases[1].T).float()
    found = volume_spectrum(lambda x: x @ W.T, torch.zeros(1, 3072))[0]
    assert float((found.log() - values.log()).abs().max()) < 5e-3


def test_tf32_is_off_while_derivatives_are_taken():
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    with full_precision(torch.device("cuda")):
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
    assert before == (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
