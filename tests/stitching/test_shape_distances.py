from __future__ import annotations

import pytest
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching import angular_distance, procrustes_distance


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_procrustes(a: Tensor, b: Tensor) -> float:
    """With zeros for the features that are missing, and the rotation itself."""
    width = max(a.shape[1], b.shape[1])
    clouds = []
    for codes in (a, b):
        padded = torch.nn.functional.pad(codes, (0, width - codes.shape[1]))
        cloud = padded - padded.mean(0)
        clouds.append(cloud / cloud.norm())
    u, _, v = torch.linalg.svd(clouds[1].T @ clouds[0])
    return float((clouds[0] - clouds[1] @ u @ v).norm())


@pytest.mark.parametrize(("n", "d_a", "d_b"), [(30, 5, 5), (30, 2, 7), (8, 20, 3), (8, 20, 30)])
def test_against_the_rotation_itself(n: int, d_a: int, d_b: int) -> None:
    a, b = normal(n, d_a, 0) + 1, normal(n, d_b, 1)
    b[:, 0] += a[:, 0]
    expected = slow_procrustes(a, b)
    assert procrustes_distance(a, b).item() == pytest.approx(expected, abs=1e-12)
    angle = angular_distance(a, b).item()
    assert 2 * torch.tensor(angle / 2).sin().item() == pytest.approx(expected, abs=1e-6)


def test_small_distances_keep_their_digits() -> None:
    # Of a cloud and the same with a speck of independent size e beside it: tan(angle) = e.
    a = normal(50, 3, 0)
    a = a - a.mean(0)
    across = torch.linalg.qr(torch.cat([torch.ones(50, 1), a, normal(50, 1, 1)], dim=1))[0][:, 4:]
    speck = 1e-9
    b = torch.cat([a, speck * across * a.norm()], dim=1)
    assert angular_distance(a, b).item() == pytest.approx(speck, rel=1e-5)
    assert procrustes_distance(a, b).item() == pytest.approx(speck, rel=1e-5)


def test_very_large_codes_and_dtypes() -> None:
    a, b = normal(20, 3, 0), normal(20, 3, 1)
    base = procrustes_distance(a, b).item()
    assert procrustes_distance(1e200 * a, 1e-200 * b).item() == pytest.approx(base, abs=1e-12)
    assert procrustes_distance(a.float(), b.float()).dtype == torch.float32
    with pytest.raises(InputError, match="first side are the same"):
        angular_distance(torch.ones(4, 2), normal(4, 2, 0))
