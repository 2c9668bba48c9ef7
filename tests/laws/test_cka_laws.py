from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from repgeo.stitching import cka

seeds = st.integers(0, 10**6)


def draw(seed: int, n: int, d: int) -> tuple[Tensor, Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(n, d, dtype=torch.float64, generator=generator)
    b = torch.randn(n, 3, dtype=torch.float64, generator=generator)
    b[:, 0] += a[:, 0]
    return a, b, generator


def rotation(d: int, generator: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=generator))[0]


@given(seeds, st.sampled_from([(25, 4), (9, 20)]))
@settings(max_examples=15, deadline=None)
def test_similarity_transformations_and_order_change_nothing(
    seed: int, shape: tuple[int, int]
) -> None:
    n, d = shape
    a, b, generator = draw(seed, n, d)
    value = cka(a, b).item()
    assert cka(b, a).item() == pytest.approx(value, abs=1e-11)
    assert cka(a @ rotation(d, generator), b).item() == pytest.approx(value, abs=1e-10)
    assert cka(-7 * a, 0.01 * b).item() == pytest.approx(value, abs=1e-10)
    shift = torch.randn(d, dtype=torch.float64, generator=generator)
    assert cka(a + 5 * shift, b).item() == pytest.approx(value, abs=1e-10)
    order = torch.randperm(n, generator=generator)
    assert cka(a[order], b[order]).item() == pytest.approx(value, abs=1e-11)
    assert cka(torch.cat([a, a], dim=1), b).item() == pytest.approx(value, abs=1e-10)
    assert cka(a, a).item() == pytest.approx(1.0, abs=1e-12)


@given(seeds, st.integers(4, 7))
@settings(max_examples=40, deadline=None)
def test_the_unbiased_value_never_leaves_minus_one_to_one(seed: int, n: int) -> None:
    # The definition is clamped for rounding only: the unclamped ratio obeys Cauchy-Schwarz.
    a, b, _ = draw(seed, n, 2)
    total = [a @ a.T, b @ b.T]
    centred = []
    for kernel in total:  # U-centring, Szekely and Rizzo
        rows = (kernel - kernel.diag().diag()).sum(dim=1)
        u = kernel - rows[:, None] / (n - 2) - rows / (n - 2) + rows.sum() / ((n - 1) * (n - 2))
        centred.append(u.fill_diagonal_(0))
    inner = float((centred[0] * centred[1]).sum())
    expected = inner / float(centred[0].norm() * centred[1].norm())
    assert -1 - 1e-12 <= expected <= 1 + 1e-12
    assert cka(a, b).item() == pytest.approx(expected, abs=1e-7)


def test_general_linear_maps_do_change_it() -> None:
    a, b, _ = draw(0, 60, 6)
    squeeze = torch.diag(torch.tensor([10.0, 1, 1, 1, 1, 0.1], dtype=torch.float64))
    assert abs(cka(a @ squeeze, b).item() - cka(a, b).item()) > 0.05


def test_shuffling_one_side_destroys_it() -> None:
    a, _, generator = draw(1, 200, 6)
    shuffled = a[torch.randperm(200, generator=generator)]
    assert abs(cka(a, shuffled).item()) < 0.1
