from __future__ import annotations

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching import distance_correlation, rsa
from repgeo.stitching.similarity import codes as codes_module


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def related(n: int = 40) -> tuple[Tensor, Tensor]:
    a, b = normal(n, 5, 0) + 1, normal(n, 3, 1)
    b[:, 0] += 2 * a[:, 0]
    return a, b


@pytest.mark.parametrize("dissimilarity", ["euclidean", "cosine", "correlation"])
@pytest.mark.parametrize("correlation", ["spearman", "pearson"])
def test_rsa_against_scipy(dissimilarity: str, correlation: str) -> None:
    a, b = related()
    vectors = [scipy.spatial.distance.pdist(codes.numpy(), dissimilarity) for codes in (a, b)]
    compare = {"spearman": scipy.stats.spearmanr, "pearson": scipy.stats.pearsonr}[correlation]
    expected = compare(*vectors).statistic
    found = rsa(a, b, dissimilarity=dissimilarity, correlation=correlation).item()
    assert found == pytest.approx(expected, abs=1e-10)


def test_ties_have_mean_ranks() -> None:
    side = torch.arange(3, dtype=torch.float64)
    lattice = torch.cartesian_prod(side, side)
    other = normal(9, 2, 0)
    vectors = [scipy.spatial.distance.pdist(codes.numpy()) for codes in (lattice, other)]
    expected = scipy.stats.spearmanr(np.round(vectors[0], 9), vectors[1]).statistic
    assert rsa(lattice, other).item() == pytest.approx(expected, abs=1e-12)
    turn = torch.linalg.qr(normal(2, 2, 5))[0]  # rounds all distances anew
    assert rsa(lattice @ turn + 0.1, other).item() == pytest.approx(expected, abs=1e-12)


def slow_distance_correlation(a: Tensor, b: Tensor, *, unbiased: bool) -> float:
    """By matrices that are centred (U-centred) and multiplied."""
    n, centred = len(a), []
    for codes in (a, b):
        d = torch.cdist(codes, codes)
        if unbiased:
            rows = d.sum(dim=1) / (n - 2)
            d = d - rows[:, None] - rows + d.sum() / ((n - 1) * (n - 2))
            d.fill_diagonal_(0)
        else:
            d = d - d.mean(dim=0) - d.mean(dim=1, keepdim=True) + d.mean()
        centred.append(d)
    inner = float((centred[0] * centred[1]).sum() / (centred[0].norm() * centred[1].norm()))
    return inner if unbiased else inner**0.5


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("n", [5, 40])
def test_distance_correlation_by_centred_matrices(n: int, unbiased: bool) -> None:
    a, b = related(n)
    expected = slow_distance_correlation(a, b, unbiased=unbiased)
    found = distance_correlation(a, b, unbiased=unbiased).item()
    assert found == pytest.approx(expected, abs=1e-9)


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = related(150)

    def panel() -> list[float]:
        return [
            rsa(a, b).item(),
            rsa(a, b, correlation="pearson").item(),
            distance_correlation(a, b).item(),
        ]

    whole = panel()
    monkeypatch.setattr(codes_module, "_BLOCK_BYTES", 1)
    assert panel() == pytest.approx(whole, abs=1e-12)


def test_offsets_and_scales_do_not_cost_digits() -> None:
    a, b = related()
    for measure in (rsa, distance_correlation):
        value = measure(a, b).item()
        assert measure(a + 1e6, b).item() == pytest.approx(value, abs=1e-7)
        assert measure(1e200 * a, 1e-200 * b).item() == pytest.approx(value, abs=1e-10)
        assert measure(a.float(), b.float()).dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"correlation": "pearsn"}, "Did you mean 'pearson'"),
        ({"dissimilarity": "euclid"}, "Did you mean 'euclidean'"),
    ],
)
def test_unknown_names(options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rsa(*related(), **options)


def test_equal_distances_have_no_correlation() -> None:
    simplex, b = torch.eye(6, dtype=torch.float64), normal(6, 2, 0)
    for correlation in ("spearman", "pearson"):
        with pytest.raises(InputError, match="distances of the first side are equal"):
            rsa(simplex, b, correlation=correlation)
    with pytest.raises(InputError, match="second side are the same for all samples but one"):
        distance_correlation(b, simplex[:, :1])
    with pytest.raises(InputError, match="equally far"):
        distance_correlation(simplex, b)
    assert 0 < distance_correlation(simplex, b, unbiased=False).item() <= 1
