from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching import cka


def slow_unbiased_hsic(k: Tensor, l: Tensor) -> float:  # noqa: E741 - the paper's letters
    """The formula, written out with kernels (n, n)."""
    n = len(k)
    k, l = k.clone().fill_diagonal_(0), l.clone().fill_diagonal_(0)  # noqa: E741
    one = torch.ones(n, 1, dtype=k.dtype)
    total = (k * l).sum()
    total = total + (one.T @ k @ one) * (one.T @ l @ one) / ((n - 1) * (n - 2))
    total = total - 2 / (n - 2) * (k @ one).T @ (l @ one)
    return float(total / (n * (n - 3)))


def hsic_by_quadruples(k: Tensor, l: Tensor) -> float:  # noqa: E741
    """The U-statistic by its definition: the mean of its kernel over ordered quadruples."""
    values = [
        float(k[i, j] * (l[i, j] + l[p, q] - 2 * l[i, p]))
        for i, j, p, q in itertools.permutations(range(len(k)), 4)
    ]
    return sum(values) / len(values)


def slow_cka(a: Tensor, b: Tensor) -> float:
    k, l = a @ a.T, b @ b.T  # noqa: E741
    own = slow_unbiased_hsic(k, k) * slow_unbiased_hsic(l, l)
    return slow_unbiased_hsic(k, l) / own**0.5


def slow_biased_cka(a: Tensor, b: Tensor) -> float:
    n = len(a)
    centring = torch.eye(n, dtype=a.dtype) - 1 / n
    k, l = a @ a.T, b @ b.T  # noqa: E741

    def hsic(x: Tensor, y: Tensor) -> float:
        return float((x @ centring @ y @ centring).trace())

    return hsic(k, l) / (hsic(k, k) * hsic(l, l)) ** 0.5


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_reference_is_the_u_statistic() -> None:
    k, l = (m @ m.T for m in (normal(7, 3, 0), normal(7, 2, 1)))  # noqa: E741
    assert slow_unbiased_hsic(k, l) == pytest.approx(hsic_by_quadruples(k, l), abs=1e-12)


@pytest.mark.parametrize(("n", "d1", "d2"), [(30, 4, 7), (12, 12, 3), (10, 40, 3), (4, 1, 2)])
def test_both_routes_agree_with_the_explicit_formula(n: int, d1: int, d2: int) -> None:
    a, b = normal(n, d1, 2) + 3, normal(n, d2, 3)
    b[:, 0] += a[:, 0]
    assert cka(a, b).item() == pytest.approx(slow_cka(a, b), abs=1e-10)
    assert cka(a, b, unbiased=False).item() == pytest.approx(slow_biased_cka(a, b), abs=1e-10)


def test_dtype_is_kept_and_inputs_are_not_modified() -> None:
    a, b = normal(20, 3, 0).float(), normal(20, 5, 1).float()
    before = a.clone()
    assert cka(a, b).dtype == torch.float32
    assert cka(a.double(), b).dtype == torch.float64
    assert cka(a, b).shape == ()
    assert torch.equal(a, before)


def test_a_large_offset_costs_no_digits_beyond_the_input() -> None:
    a, b = normal(50, 3, 0), normal(50, 3, 1)
    b = b + a
    # 1e6 + a keeps ten of sixteen digits of a.
    assert cka(a + 1e6, b).item() == pytest.approx(cka(a, b).item(), abs=1e-9)


def test_very_large_and_very_small_codes_stay_in_range() -> None:
    a, b = normal(50, 3, 0), normal(50, 3, 1)
    b = b + a
    assert cka(a * 1e200, b * 1e-200).item() == pytest.approx(cka(a, b).item(), abs=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (torch.ones(5), torch.ones(5, 2), "shape"),
        (torch.randn(5, 2), torch.randn(6, 2), "5 and 6 rows"),
        (torch.randn(3, 2), torch.randn(3, 2), "four samples"),
        (torch.ones(5, 2), torch.randn(5, 2), "first side are the same for all samples"),
        (torch.randn(5, 2), torch.full((5, 2), 0.1), "second side are the same for all samples"),
        (torch.eye(5)[:, :1], torch.randn(5, 2), "the same for all samples but one"),
        (torch.ones(5, 2, dtype=torch.int64), torch.randn(5, 2), "floating point"),
        (torch.full((5, 2), torch.nan), torch.randn(5, 2), "NaN"),
    ],
)
def test_bad_input(a: Tensor, b: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        cka(a, b)
