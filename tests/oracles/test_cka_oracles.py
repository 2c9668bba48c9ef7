from __future__ import annotations

import pytest
import torch

from repgeo.stitching import cka


def test_four_samples_parted_in_two_ways() -> None:
    a = torch.tensor([[0.0], [0.0], [1.0], [1.0]], dtype=torch.float64)
    b = torch.tensor([[0.0], [1.0], [0.0], [1.0]], dtype=torch.float64)
    assert cka(a, b).item() == pytest.approx(-0.5, abs=1e-14)
    assert cka(a, b, unbiased=False).item() == pytest.approx(0.0, abs=1e-14)
    assert cka(a, torch.cat([a, b], dim=1)).item() == pytest.approx(0.5, abs=1e-14)


def test_a_subspace_of_isotropic_codes() -> None:
    # Exactly isotropic codes, (n, d): the biased CKA of the first k features with all d is
    # k / sqrt(k d).
    d, k = 8, 2
    q, _ = torch.linalg.qr(
        torch.cat(
            [
                torch.ones(40, 1, dtype=torch.float64),
                torch.randn(40, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),
            ],
            dim=1,
        )
    )
    codes = q[:, 1:]  # orthonormal columns, all orthogonal to ones: centred
    assert cka(codes[:, :k], codes, unbiased=False).item() == pytest.approx(
        (k / d) ** 0.5, abs=1e-12
    )


@pytest.mark.parametrize("d", [5, 100, 1000])
def test_chance_is_zero_for_independent_codes_of_any_size(d: int) -> None:
    generator = torch.Generator().manual_seed(d)
    values = torch.stack(
        [
            cka(
                torch.randn(60, d, generator=generator, dtype=torch.float64),
                torch.randn(60, d, generator=generator, dtype=torch.float64),
            )
            for _ in range(40)
        ]
    )
    standard_error = float(values.std()) / 40**0.5
    assert abs(float(values.mean())) < 4 * standard_error


def test_the_biased_estimator_is_not_near_zero_for_wide_codes() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(200, 1000, generator=generator, dtype=torch.float64) for _ in range(2))
    assert cka(a, b, unbiased=False).item() == pytest.approx(1 / (1 + 200 / 1000), abs=0.01)
