from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching import fit_affine, fit_orthogonal


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_orthogonal_recovers_a_rigid_motion() -> None:
    codes, q = normal(40, 6, seed=0), torch.linalg.qr(normal(6, 6, seed=1))[0]
    translator = fit_orthogonal(codes[:12], codes[:12] @ q + 3)
    assert torch.allclose(translator.matrix, q, atol=1e-12)
    assert torch.allclose(translator.transform(codes), codes @ q + 3, atol=1e-12)


def test_orthogonal_agrees_with_scipy() -> None:
    source, target = normal(30, 5, seed=0), normal(30, 5, seed=1)
    translator = fit_orthogonal(source, target)
    centred = [(m - m.mean(dim=0)).numpy() for m in (source, target)]
    expected, _ = scipy.linalg.orthogonal_procrustes(*centred)
    assert np.allclose(translator.matrix.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(("d1", "d2"), [(3, 6), (6, 3)])
def test_orthogonal_between_different_sizes_pads_with_zeros(d1: int, d2: int) -> None:
    source, target = normal(30, d1, seed=0), normal(30, d2, seed=1)
    translator = fit_orthogonal(source, target)
    wide = max(d1, d2)
    padded = [torch.nn.functional.pad(m, (0, wide - m.shape[1])) for m in (source, target)]
    found = translator.transform(source)
    expected = fit_orthogonal(*padded).transform(padded[0])[:, :d2]
    assert torch.allclose(found, expected, atol=1e-10)
    small = (
        translator.matrix @ translator.matrix.T
        if d1 < d2
        else (translator.matrix.T @ translator.matrix)
    )
    assert torch.allclose(small, torch.eye(min(d1, d2), dtype=torch.float64), atol=1e-12)


def test_affine_recovers_an_affine_map() -> None:
    codes, w = normal(40, 6, seed=0), normal(6, 4, seed=1)
    translator = fit_affine(codes[:12], codes[:12] @ w - 2)
    assert torch.allclose(translator.transform(codes), codes @ w - 2, atol=1e-12)


def test_affine_is_the_least_squares_solution_of_smallest_norm() -> None:
    source, target = normal(20, 5, seed=0), normal(20, 3, seed=1)
    source[:, 4] = source[:, 0] + source[:, 1]
    centred = [(m - m.mean(dim=0)).numpy() for m in (source, target)]
    expected = np.linalg.lstsq(*centred, rcond=1e-12)[0]
    assert np.allclose(fit_affine(source, target).matrix.numpy(), expected, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dead_features_change_nothing(dtype: torch.dtype) -> None:
    # A zero first column is what the default CPU solver of torch.linalg.lstsq gets wrong.
    source, w = normal(30, 4, seed=0).to(dtype), normal(4, 2, seed=1).to(dtype)
    target = source @ w
    dead = torch.cat([torch.zeros(30, 1, dtype=dtype), source], dim=1)
    translator = fit_affine(dead, target)
    assert float(translator.matrix[0].abs().max()) == 0.0
    found = translator.transform(dead)
    assert found.dtype == dtype
    assert torch.allclose(found, target, atol=1e-5 if dtype == torch.float32 else 1e-12)


def test_float32_dependent_features_are_not_amplified() -> None:
    source = normal(30, 3, seed=0).float()
    dependent = torch.cat([source, source @ normal(3, 3, seed=2).float()], dim=1)
    translator = fit_affine(dependent, normal(30, 2, seed=1).float())
    assert float(translator.matrix.abs().max()) < 10  # 1 / rounding would be 1e7


def test_bad_input() -> None:
    with pytest.raises(InputError, match="same samples"):
        fit_affine(normal(5, 2, seed=0), normal(6, 2, seed=0))
    with pytest.raises(InputError, match="two at least"):
        fit_orthogonal(normal(1, 2, seed=0), normal(1, 2, seed=0))
    with pytest.raises(InputError, match="target codes hold NaN"):
        fit_orthogonal(normal(3, 2, seed=0), torch.full((3, 2), torch.nan))
    with pytest.raises(InputError, match="floating point"):
        fit_affine(torch.ones(3, 2, dtype=torch.int64), normal(3, 2, seed=0))
    with pytest.raises(InputError, match=r"\(n, 2\)"):
        fit_affine(normal(5, 2, seed=0), normal(5, 2, seed=1)).transform(normal(5, 3, seed=0))
