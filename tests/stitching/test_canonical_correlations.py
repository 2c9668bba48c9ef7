from __future__ import annotations

import pytest
import scipy.linalg
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching import canonical_correlations, mean_cca, pwcca, svcca
from repgeo.stitching.similarity import directions


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def related(n: int = 80) -> tuple[Tensor, Tensor]:
    a, b = normal(n, 6, 0) + 2, normal(n, 4, 1)
    b[:, :2] += a[:, :2]
    return a, b


def slow_correlations(a: Tensor, b: Tensor) -> list[float]:
    """By the generalised eigenvalue problem of the covariances."""
    a, b = a - a.mean(0), b - b.mean(0)
    cross = a.T @ b
    left = (cross @ torch.linalg.inv(b.T @ b) @ cross.T).numpy()
    values = scipy.linalg.eigh(left, (a.T @ a).numpy(), eigvals_only=True)
    return sorted(values.clip(0, 1) ** 0.5, reverse=True)[: min(a.shape[1], b.shape[1])]


def test_against_the_eigenvalue_problem() -> None:
    a, b = related()
    expected = slow_correlations(a, b)
    assert canonical_correlations(a, b).tolist() == pytest.approx(expected, abs=1e-9)
    assert mean_cca(a, b).item() == pytest.approx(sum(expected) / 4, abs=1e-9)


def slow_pwcca(a: Tensor, b: Tensor) -> float:
    """By canonical variates, made one by one."""
    a, b = a - a.mean(0), b - b.mean(0)
    whiten = torch.linalg.inv(torch.linalg.cholesky(a.T @ a)).T
    whiten_b = torch.linalg.inv(torch.linalg.cholesky(b.T @ b)).T
    u, rho, _ = torch.linalg.svd((a @ whiten).T @ (b @ whiten_b), full_matrices=False)
    weights = [float((a @ whiten @ u[:, i] @ a).abs().sum()) for i in range(len(rho))]
    return float(sum(w * float(r) for w, r in zip(weights, rho, strict=True)) / sum(weights))


def test_pwcca_by_its_variates() -> None:
    a, b = related()
    assert pwcca(a, b).item() == pytest.approx(slow_pwcca(a, b), abs=1e-10)
    assert pwcca(b, a).item() == pytest.approx(slow_pwcca(b, a), abs=1e-10)


def test_pwcca_is_blind_to_linear_maps_of_the_second_side_only() -> None:
    a, b = related()
    bend = normal(4, 4, 7)
    assert pwcca(a, b @ bend).item() == pytest.approx(pwcca(a, b).item(), abs=1e-10)
    turn = torch.linalg.qr(normal(6, 6, 8))[0]
    assert abs(pwcca(a @ turn, b).item() - pwcca(a, b).item()) > 1e-3


def test_svcca_is_mean_cca_of_truncated_codes() -> None:
    a, b = related()
    a = a * torch.tensor([5.0, 4.0, 3.0, 0.1, 0.05, 0.02], dtype=torch.float64)

    def cut(codes: Tensor, share: float) -> Tensor:
        codes = codes - codes.mean(0)
        _, lengths, axes = torch.linalg.svd(codes, full_matrices=False)
        explained = lengths.square().cumsum(0) / lengths.square().sum()
        return codes @ axes[: int((explained < share).sum()) + 1].T

    assert directions(a, variance=0.99) == 3
    for share in (0.5, 0.9, 0.99):
        expected = mean_cca(cut(a, share), cut(b, share)).item()
        assert svcca(a, b, variance=share).item() == pytest.approx(expected, abs=1e-10)
    assert svcca(a, b, variance=1.0).item() == pytest.approx(mean_cca(a, b).item(), abs=1e-12)


def test_dimensions_that_add_nothing_change_nothing() -> None:
    a, b = related()
    base = canonical_correlations(a, b).tolist()
    repeated = torch.cat([a, a[:, :2], a[:, :1] - 3 * a[:, 1:2], torch.ones(80, 1)], dim=1)
    assert directions(repeated) == 6
    assert canonical_correlations(repeated, b).tolist() == pytest.approx(base, abs=1e-9)
    # In single precision a repeated dimension differs by rounding, which is no direction either.
    single = (repeated @ normal(10, 10, 3)).float()
    assert directions(single) == 6
    assert canonical_correlations(single, b.float()).tolist() == pytest.approx(base, abs=1e-4)
    # The same digits in float64 need to be told that they are single ones.
    assert directions(single.double()) > 6
    assert directions(single.double(), rounding=torch.finfo(torch.float32).eps) == 6


def test_n_must_exceed_the_dimensions() -> None:
    for measure in (mean_cca, pwcca):
        with pytest.raises(InputError, match=r"second side have 19 dimensions.*n must exceed"):
            measure(normal(20, 3, 0), normal(20, 30, 1))
    with pytest.raises(InputError, match="first side have 19 dimensions"):
        svcca(normal(20, 19, 0), normal(20, 3, 1), variance=1.0)
    assert 0 < svcca(normal(20, 30, 0), normal(20, 3, 1), variance=0.5).item() < 1
    assert mean_cca(normal(20, 18, 0), normal(20, 2, 1)).item() == pytest.approx(0.97, abs=0.03)


def test_dtype_device_and_inputs_are_kept() -> None:
    a, b = related()
    before = a.clone()
    for measure in (mean_cca, svcca, pwcca, canonical_correlations):
        assert measure(a.float(), b.float()).dtype == torch.float32
        assert measure(a.float(), b).dtype == torch.float64
    assert torch.equal(a, before)


@pytest.mark.parametrize(
    ("a", "b", "variance", "message"),
    [
        (normal(9, 2, 0), normal(8, 2, 1), None, "9 and 8 rows"),
        (normal(2, 1, 0), normal(2, 1, 1), None, "three samples"),
        (torch.ones(9, 2), normal(9, 2, 1), None, "first side are the same"),
        (normal(9, 2, 0), normal(9, 2, 1), 0.0, "variance is a share"),
        (normal(9, 2, 0), normal(9, 2, 1), 1.5, "variance is a share"),
        (normal(9, 2, 0), torch.full((9, 2), torch.inf), None, "NaN or infinite"),
    ],
)
def test_bad_codes(a: Tensor, b: Tensor, variance: float | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        canonical_correlations(a, b, variance=variance)
