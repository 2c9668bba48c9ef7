"""Log-volumes: closed forms, ranks, error estimates, and what is refused."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from repgeo.errors import InputError, NonFiniteError
from repgeo.geometry import PrecisionWarning, log_volume, volume_report
from repgeo.geometry.determinants import log_determinants, singular_values


def _random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _with_spectrum(values, n, d, seed=0):
    """A matrix (n, d) with the given singular values, exact to float64 rounding."""
    left = torch.linalg.qr(_random(n, len(values), seed=seed)).Q
    right = torch.linalg.qr(_random(d, len(values), seed=seed + 1)).Q
    return (left * values) @ right.T


@pytest.mark.parametrize("solver", ["auto", "cholesky", "qr", "svd"])
@pytest.mark.parametrize(("n", "d", "kind"), [(7, 4, "volume"), (4, 7, "coarea"), (5, 5, "volume")])
def test_linear_maps_in_closed_form(solver, n, d, kind):
    m = min(n, d)
    values = torch.linspace(3.0, 0.1, m, dtype=torch.float64)
    W = _with_spectrum(values, n, d)
    report = volume_report(lambda x: x @ W.T + 1, _random(3, d), solver=solver)
    expected = values.log().sum().expand(3)
    torch.testing.assert_close(report.log_volume, expected, rtol=0, atol=1e-12)
    assert report.rank.tolist() == [m] * 3
    assert report.kind == kind
    assert report.directions == m
    assert bool((report.error < 1e-11).all())


@pytest.mark.parametrize("solver", ["auto", "cholesky", "qr", "svd"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "rank", "d"), [(60, 8, 90), (90, 30, 60), (5, 4, 5), (40, 1, 3)])
def test_bottlenecks_have_deficient_rank(solver, dtype, n, rank, d):
    J = (_random(n, rank).to(dtype) @ _random(rank, d, seed=1).to(dtype))[None]
    found = log_determinants(J, solver=solver)
    assert found.values.tolist() == [-math.inf]
    assert found.ranks.tolist() == [rank]
    assert found.errors.tolist() == [math.inf]


@pytest.mark.parametrize("solver", ["auto", "cholesky", "qr", "svd"])
def test_dead_units_and_constant_maps_are_no_nan(solver):
    x = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    report = volume_report(torch.relu, x, solver=solver)
    assert report.log_volume.tolist() == [0.0, -math.inf, -math.inf]
    assert report.rank.tolist() == [2, 1, 0]


@pytest.mark.parametrize("solver", ["auto", "cholesky", "qr", "svd"])
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_extreme_scales_stay_in_range(solver, scale):
    J = scale * _with_spectrum(torch.tensor([2.0, 1.0, 0.5]).double(), 5, 3)[None]
    found = log_determinants(J, solver=solver)
    assert found.values.item() == pytest.approx(3 * math.log(scale), abs=1e-9)
    assert found.ranks.item() == 3


@pytest.mark.parametrize("solver", ["auto", "qr", "svd"])
@pytest.mark.parametrize("condition", [1e3, 1e5])
def test_float32_entries_stay_within_the_rounding_floor(condition, solver):
    """64 draws of rounding: their spread is the floor that is stated, within its own spread."""
    n, d = 48, 160
    values = torch.logspace(0, -math.log10(condition), n, dtype=torch.float64)
    exact = torch.stack([_with_spectrum(values, n, d, seed=2 * draw) for draw in range(64)])
    found = log_determinants(exact.float(), solver=solver)
    errors = found.values - values.log().sum()
    assert bool((errors.abs() < 6 * found.errors).all())
    spread = errors.square().mean().sqrt() / found.errors.mean()
    assert 0.3 < float(spread) < 2.0


def test_auto_is_as_exact_as_the_spectrum_in_float64():
    """Where the Gram matrix would square a large condition number, it is not used."""
    values = torch.logspace(0, -7, 24, dtype=torch.float64)
    J = _with_spectrum(values, 40, 24)[None]
    expected = values.log().sum().item()
    auto, gram = (log_determinants(J, solver=solver) for solver in ("auto", "cholesky"))
    assert abs(auto.values.item() - expected) < 1e-8
    assert abs(gram.values.item() - expected) > 10 * abs(auto.values.item() - expected)


def test_singular_values_of_wide_float32_matrices_keep_their_digits():
    values = torch.logspace(0, -5, 32, dtype=torch.float64)
    found = singular_values(_with_spectrum(values, 32, 200).float()[None])[0]
    assert float((found.log() - values.log()).abs().max()) < 5e-3


def test_uncertain_values_are_warned_of():
    values = torch.logspace(0, -6.3, 64, dtype=torch.float64)
    W = _with_spectrum(values, 64, 64).float()
    with pytest.warns(PrecisionWarning, match="1 of 1 log-volumes are uncertain.*float64"):
        log_volume(lambda x: x @ W.T, torch.zeros(1, 64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log_volume(lambda x: x @ W.T.double(), torch.zeros(1, 64).double())


def test_float32_maps_give_float64_values():
    assert log_volume(torch.tanh, torch.zeros(2, 3)).dtype == torch.float64


def test_subspace_and_rank():
    W = _random(6, 5)
    plane = torch.linalg.qr(_random(5, 2, seed=3)).Q
    x = _random(2, 5)
    found = log_volume(lambda x: x @ W.T, x, subspace=plane)
    product = W @ plane
    expected = 0.5 * torch.linalg.slogdet(product.T @ product).logabsdet
    torch.testing.assert_close(found, expected.expand(2), rtol=0, atol=1e-12)
    report = volume_report(lambda x: x @ W.T, x, rank=2)
    expected = torch.linalg.svdvals(W)[:2].log().sum()
    torch.testing.assert_close(report.log_volume, expected.expand(2), rtol=0, atol=1e-12)
    assert report.kind == "truncated"
    assert report.directions == 2
    assert report.rank.tolist() == [5, 5]


def test_truncation_beyond_the_rank_is_minus_infinity():
    W = torch.diag(torch.tensor([2.0, 1.0, 0.0])).double()
    for rank, expected in ((1, math.log(2)), (2, math.log(2)), (3, -math.inf)):
        found = log_volume(lambda x: x @ W.T, torch.zeros(1, 3).double(), rank=rank)
        assert found.item() == pytest.approx(expected, abs=1e-12)


def test_bad_arguments_are_refused():
    x = _random(2, 3)
    with pytest.raises(InputError, match=r"must be orthonormal.*torch\.linalg\.qr"):
        log_volume(torch.tanh, x, subspace=2 * torch.eye(3).double()[:, :2])
    with pytest.raises(InputError, match=r"k must be between 1 and 3, got 4"):
        log_volume(torch.tanh, x, rank=4)
    with pytest.raises(InputError, match=r"k must be between 1 and 3, got 0"):
        log_volume(torch.tanh, x, rank=0)
    with pytest.raises(InputError, match=r"Unknown solver 'cholesk'\. Did you mean 'cholesky'"):
        log_volume(torch.tanh, x, solver="cholesk")
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        log_volume(torch.sqrt, torch.zeros(1, 2))


def test_estimates_of_inverses_are_of_the_right_size():
    """Above 16 rows the inverse's norm is an estimate; the error it leads to within a factor 2."""
    values = torch.logspace(0, -4, 40, dtype=torch.float64)
    J = _with_spectrum(values, 60, 40).float()[None]
    found = log_determinants(J).errors.item()
    exact = log_determinants(J, solver="svd").errors.item()
    assert 0.5 < found / exact < 2.0
