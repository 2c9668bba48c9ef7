from __future__ import annotations

import pytest
import torch
from torch import Tensor

from repgeo.stitching import (
    TRANSLATORS,
    InverseRelativeProjection,
    InverseRelativeTranslator,
    LeastSquaresTranslator,
    OrthogonalTranslator,
    PolarTranslator,
    RelativeProjection,
)
from repgeo.stitching.codes import directions


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rotation(d: int, seed: int) -> Tensor:
    return torch.linalg.qr(normal(d, d, seed=seed))[0]


def white(n: int, d: int, seed: int) -> Tensor:
    """Codes with mean 0 and covariance exactly 1."""
    codes = normal(n, d, seed=seed)
    return torch.linalg.qr(codes - codes.mean(dim=0))[0] * n**0.5


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("name", ["orthogonal", "polar", "affine"])
def test_a_rotation_and_a_shift_are_recovered(name: str) -> None:
    codes, q = normal(200, 16, seed=0), rotation(16, 1)
    translator = TRANSLATORS[name]().fit(codes[:64], codes[:64] @ q + 3)
    assert relative_error(translator.transform(codes), codes @ q + 3) < 5e-15


def test_least_squares_recovers_an_invertible_map() -> None:
    codes, w = normal(200, 16, seed=0), normal(16, 16, seed=1)
    linear = TRANSLATORS["linear"]().fit(codes[:64], codes[:64] @ w)
    assert relative_error(linear.transform(codes), codes @ w) < 1e-13
    affine = TRANSLATORS["affine"]().fit(codes[:64], codes[:64] @ w - 2)
    assert relative_error(affine.transform(codes), codes @ w - 2) < 1e-13
    # A linear map has no constant.
    linear.fit(codes[:64], codes[:64] @ w - 2)
    assert relative_error(linear.transform(codes), codes @ w - 2) > 0.05


@pytest.mark.parametrize("kind", [OrthogonalTranslator, PolarTranslator])
def test_standardising_first_loses_an_exact_rotation(kind: type[OrthogonalTranslator]) -> None:
    # White codes W stretched by diag(2, 1) and turned by 45 degrees, Q: all features of the target
    # have the variance 5/2. Standardised, source and target are W and W diag(2, 1) Q / sqrt(5/2);
    # the best rotation is Q, and W diag(2, 1) Q is answered by W Q sqrt(5/2).
    stretch = torch.tensor([2.0, 1.0], dtype=torch.float64)
    half = 0.5**0.5
    q = torch.tensor([[half, half], [-half, half]], dtype=torch.float64)
    source = white(100, 2, seed=0) * stretch
    standardised = kind(standardize=True).fit(source, source @ q).transform(source)
    expected = (float((2.5**0.5 - stretch).square().sum()) / 5) ** 0.5  # .320
    assert relative_error(standardised, source @ q) == pytest.approx(expected, abs=1e-12)
    plain = kind().fit(source, source @ q).transform(source)
    assert relative_error(plain, source @ q) < 1e-14


def test_standardising_first_in_many_dimensions() -> None:
    # Features of different size, turned by a random rotation: a fifth of the signal is lost.
    source = normal(200, 16, seed=0) * torch.linspace(0.5, 1.5, 16, dtype=torch.float64)
    target = source @ rotation(16, 1)
    errors = [
        relative_error(
            OrthogonalTranslator(standardize=s).fit(source, target).transform(source), target
        )
        for s in (False, True)
    ]
    assert errors[0] < 5e-15
    assert 0.1 < errors[1] < 0.4


def test_ridge_shrinks_every_direction_in_closed_form() -> None:
    # Variances v_i of uncorrelated features: each is multiplied by v_i / (v_i + penalty mean v).
    variances = torch.tensor([1.0, 4.0, 10.0], dtype=torch.float64)
    source = white(50, 3, seed=0) * variances.sqrt()
    found = LeastSquaresTranslator(penalty=0.2).fit(source, source).matrix_
    expected = torch.diag(variances / (variances + 0.2 * 5.0))
    assert torch.allclose(found, expected, atol=1e-13)


def test_fewer_anchors_than_features_interpolate() -> None:
    source, target = normal(5, 16, seed=0), normal(5, 8, seed=1)
    codes = normal(3, 16, seed=2)
    translator = LeastSquaresTranslator().fit(source, target)
    assert torch.allclose(translator.transform(source), target, atol=1e-13)
    # What is orthogonal to the anchors' span carries nothing.
    span = torch.linalg.qr((source - source.mean(dim=0))[:4].T)[0]  # (16, 4)
    outside = codes - codes @ span @ span.T
    moved = translator.transform(source.mean(dim=0) + outside)
    assert torch.allclose(moved, target.mean(dim=0).expand(3, 8), atol=1e-13)


def test_dead_units_on_both_sides_are_no_obstacle() -> None:
    # Half of the units of a ReLU layer dead, the same map on the living ones.
    codes, q = normal(60, 6, seed=0), rotation(6, 1)
    target = codes @ q
    source = torch.cat([torch.zeros(60, 6).double(), codes], dim=1)
    padded = torch.cat([target, torch.zeros(60, 6).double()], dim=1)
    for name in ("orthogonal", "polar", "linear", "affine"):
        found = TRANSLATORS[name]().fit(source[:20], padded[:20]).transform(source)
        assert relative_error(found, padded) < 1e-13, name


def anchors_of_condition(condition: float, seed: int) -> Tensor:
    """Forty anchors in 16 dimensions whose unit rows have about this condition number."""
    spread = torch.logspace(0, -torch.log10(torch.tensor(condition)).item(), 16).double()
    return normal(40, 16, seed=seed) * spread


def test_directions_come_back_from_cosines() -> None:
    anchors, codes = normal(40, 16, seed=0), normal(200, 16, seed=1)
    inverse = InverseRelativeProjection().fit(anchors)
    relative = RelativeProjection("cosine").fit(anchors).transform(codes)
    assert (inverse.transform(relative) - directions(codes)).abs().max() < 1e-14
    values = torch.linalg.svdvals(directions(anchors))
    assert inverse.condition_ == pytest.approx(float(values[0] / values[-1]), rel=1e-12)
    assert inverse.rank_ == 16
    centred = InverseRelativeProjection(center=True).fit(anchors + 5)
    relative = RelativeProjection("cosine", center=True).fit(anchors + 5).transform(codes + 5)
    expected = directions(codes - anchors.mean(dim=0))
    assert (centred.transform(relative) - expected).abs().max() < 1e-13


def test_too_few_anchors_give_the_projection_on_their_span() -> None:
    d, k = 16, 10
    anchors, codes = normal(k, d, seed=0), normal(4000, d, seed=1)
    inverse = InverseRelativeProjection().fit(anchors)
    assert inverse.rank_ == k
    found = inverse.transform(RelativeProjection("cosine").fit(anchors).transform(codes))
    span = torch.linalg.qr(anchors.T)[0]  # (d, k)
    assert torch.allclose(found, directions(codes) @ span @ span.T, atol=1e-12)
    # Of a random direction the share (d - k) / d of the squared norm is lost; its standard
    # deviation is sqrt(2 k (d - k) / (d^2 (d + 2))) = .16 over one direction.
    lost = (found - directions(codes)).square().sum(dim=1).mean()
    assert float(lost) == pytest.approx((d - k) / d, abs=5 * 0.16 / 4000**0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_error_of_the_inverse_grows_with_the_condition_number(dtype: torch.dtype) -> None:
    codes = normal(500, 16, seed=1)
    ratios, conditions = [], []
    for condition in (10.0, 100.0, 1e3, 1e4):
        anchors = anchors_of_condition(condition, seed=0).to(dtype)
        inverse = InverseRelativeProjection().fit(anchors)
        relative = RelativeProjection("cosine").fit(anchors).transform(codes.to(dtype))
        error = (inverse.transform(relative) - directions(codes.to(dtype))).abs().max()
        conditions.append(inverse.condition_)
        ratios.append(float(error) / (inverse.condition_ * torch.finfo(dtype).eps))
    assert conditions == sorted(conditions)
    assert conditions[-1] > 300 * conditions[0]
    # error = const * condition * rounding, the constant below one.
    assert max(ratios) < 1.0
    assert max(ratios) < 10 * min(ratios)


def test_the_inverse_translator_recovers_a_rotation() -> None:
    source, q = normal(200, 16, seed=0), rotation(16, 1)
    target = 3 * source @ q
    for norm in ("mean", "kept", "unit"):
        translator = InverseRelativeTranslator(norm=norm).fit(source[:40], target[:40])
        found = translator.transform(source)
        expected = {
            "mean": directions(target) * target[:40].norm(dim=1).mean(),
            "kept": target,
            "unit": directions(target),
        }[norm]
        assert relative_error(found, expected) < 1e-13


def test_each_side_of_the_inverse_translator_is_made_alone() -> None:
    source, target, codes = normal(30, 8, seed=0), normal(30, 6, seed=1), normal(9, 8, seed=2)
    relative = RelativeProjection("cosine").fit(source).transform(codes)
    inverse = InverseRelativeProjection().fit(target)
    expected = inverse.transform(relative) * inverse.norm_
    found = InverseRelativeTranslator().fit(source, target).transform(codes)
    assert torch.allclose(found, expected, atol=1e-13)
