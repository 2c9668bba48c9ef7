from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching import (
    TRANSLATORS,
    InverseRelativeTranslator,
    LeastSquaresTranslator,
    OrthogonalTranslator,
    PolarTranslator,
    Translator,
)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rotation(d: int, seed: int) -> Tensor:
    return torch.linalg.qr(normal(d, d, seed=seed))[0]


def centred(codes: Tensor) -> np.ndarray:
    return (codes - codes.mean(dim=0)).numpy()


def test_every_name_makes_a_translator_that_is_not_fitted() -> None:
    assert set(TRANSLATORS) == {
        "orthogonal",
        "linear",
        "ridge",
        "affine",
        "polar",
        "inverse_relative",
    }
    for make in TRANSLATORS.values():
        assert isinstance(make(), Translator)
        with pytest.raises(InputError, match=r"Call fit\(source, target\) first"):
            make().transform(normal(3, 2, seed=0))
    with pytest.raises(TypeError):
        TRANSLATORS["mine"] = OrthogonalTranslator  # type: ignore[index]


@pytest.mark.parametrize("name", TRANSLATORS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_give_tensors_and_arrays_arrays(name: str, dtype: torch.dtype) -> None:
    source, target = normal(20, 4, seed=0).to(dtype), normal(20, 3, seed=1).to(dtype)
    codes = normal(5, 4, seed=2).to(dtype)
    kept = [t.clone() for t in (source, target, codes)]
    translator = TRANSLATORS[name]().fit(source, target)
    found = translator.transform(codes)
    assert found.dtype == dtype
    assert found.shape == (5, 3)
    arrays = TRANSLATORS[name]().fit(source.numpy(), target.numpy()).transform(codes.numpy())
    assert isinstance(arrays, np.ndarray)
    assert arrays.dtype == found.numpy().dtype
    assert np.array_equal(arrays, found.numpy())
    for before, after in zip(kept, (source, target, codes), strict=True):
        assert torch.equal(before, after)


def test_gradients_reach_the_codes_and_not_the_fit() -> None:
    source = normal(20, 4, seed=0).requires_grad_(True)
    codes = normal(5, 4, seed=2).requires_grad_(True)
    for name, make in TRANSLATORS.items():
        found = make().fit(source, normal(20, 4, seed=1)).transform(codes)
        (gradient,) = torch.autograd.grad(found.sum(), codes)
        assert float(gradient.abs().max()) > 0, name
        assert make().fit(source, source).transform(codes.detach()).requires_grad is False


def test_parameters_are_frozen() -> None:
    with pytest.raises(AttributeError):
        LeastSquaresTranslator().penalty = 1.0  # type: ignore[misc]


def test_orthogonal_agrees_with_scipy() -> None:
    source, target = normal(30, 5, seed=0), normal(30, 5, seed=1)
    expected, _ = scipy.linalg.orthogonal_procrustes(centred(source), centred(target))
    found = OrthogonalTranslator().fit(source, target).matrix_
    assert np.allclose(found.numpy(), expected, atol=1e-12)


def test_scaling_is_the_best_number() -> None:
    source, target = normal(30, 5, seed=0), normal(30, 5, seed=1)
    found = OrthogonalTranslator(scaling=True).fit(source, target)

    def distance(factor: float) -> float:
        gap = centred(source) @ (factor * found.matrix_.numpy()) - centred(target)
        return float((gap**2).sum())

    assert distance(1.0) < min(distance(0.99), distance(1.01))
    exact = OrthogonalTranslator(scaling=True).fit(source, 3 * source @ rotation(5, 2))
    assert torch.allclose(exact.transform(source), 3 * source @ rotation(5, 2), atol=1e-12)


@pytest.mark.parametrize("kind", [OrthogonalTranslator, PolarTranslator])
@pytest.mark.parametrize(("d1", "d2"), [(3, 6), (6, 3)])
def test_different_sizes_are_padded_with_zeros(
    kind: Callable[[], OrthogonalTranslator], d1: int, d2: int
) -> None:
    source, target = normal(30, d1, seed=0), normal(30, d2, seed=1)
    translator = kind().fit(source, target)
    wide = max(d1, d2)
    padded = [torch.nn.functional.pad(m, (0, wide - m.shape[1])) for m in (source, target)]
    expected = kind().fit(*padded).transform(padded[0])[:, :d2]
    assert torch.allclose(translator.transform(source), expected, atol=1e-10)
    gram = (
        translator.matrix_.T @ translator.matrix_
        if d1 > d2
        else (translator.matrix_ @ translator.matrix_.T)
    )
    assert torch.allclose(gram, torch.eye(min(d1, d2), dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize("kind", [OrthogonalTranslator, PolarTranslator])
def test_principal_components_match_a_plane_in_a_larger_space(
    kind: Callable[..., OrthogonalTranslator],
) -> None:
    plane = normal(30, 3, seed=0)
    frame = rotation(6, 1)[:3]  # (3, 6), orthonormal rows
    noise = 1e-9 * normal(30, 6, seed=2)
    up = kind(sizes="pca").fit(plane, plane @ frame + 2 + noise)
    assert torch.allclose(up.transform(plane), plane @ frame + 2, atol=1e-7)
    down = kind(sizes="pca").fit(plane @ frame + 2 + noise, plane)
    assert torch.allclose(down.transform(plane @ frame + 2), plane, atol=1e-7)


def test_principal_components_are_those_of_the_larger_side() -> None:
    source, target = normal(30, 6, seed=0), normal(30, 2, seed=1)
    source = source * torch.tensor([1.0, 5.0, 1.0, 1.0, 9.0, 1.0], dtype=torch.float64)
    found = OrthogonalTranslator(sizes="pca").fit(source, target).matrix_
    _, _, right = np.linalg.svd(centred(source))
    components = right[:2].T  # (6, 2)
    inner, _ = scipy.linalg.orthogonal_procrustes(centred(source) @ components, centred(target))
    assert np.allclose(found.numpy(), components @ inner, atol=1e-12)
    # Components over two samples: fewer samples than features still give an orthonormal frame.
    few = OrthogonalTranslator(sizes="pca").fit(normal(2, 5, seed=3), normal(2, 4, seed=4)).matrix_
    assert torch.allclose(few.T @ few, torch.eye(4, dtype=torch.float64), atol=1e-12)


def test_polar_is_the_factor_of_the_least_squares_solution() -> None:
    source, target = normal(30, 5, seed=0), normal(30, 5, seed=1)
    solution = np.linalg.lstsq(centred(source), centred(target), rcond=None)[0]
    expected, _ = scipy.linalg.polar(solution)
    assert np.allclose(PolarTranslator().fit(source, target).matrix_.numpy(), expected, atol=1e-10)
    # It is not the rotation that comes closest.
    found = OrthogonalTranslator().fit(source, target).matrix_.numpy()
    gaps = [np.linalg.norm(centred(source) @ m - centred(target)) for m in (found, expected)]
    assert gaps[0] < gaps[1]


@pytest.mark.parametrize("center", [True, False])
def test_least_squares_is_the_solution_of_smallest_norm(center: bool) -> None:
    source, target = normal(20, 5, seed=0) + 1, normal(20, 3, seed=1)
    source[:, 4] = source[:, 0] + source[:, 1]
    sides = [centred(m) if center else m.numpy() for m in (source, target)]
    expected = np.linalg.lstsq(*sides, rcond=1e-12)[0]
    found = LeastSquaresTranslator(center=center).fit(source, target).matrix_
    assert np.allclose(found.numpy(), expected, atol=1e-11)


@pytest.mark.parametrize("n", [4, 20])  # fewer and more samples than features
def test_ridge_solves_the_normal_equations(n: int) -> None:
    source, target = normal(n, 6, seed=0) * 100, normal(n, 3, seed=1)
    penalty = 0.03
    found = LeastSquaresTranslator(penalty=penalty).fit(source, target).matrix_
    gram = centred(source).T @ centred(source)
    mean_eigenvalue = np.linalg.eigvalsh(gram).mean()
    expected = np.linalg.solve(
        gram + penalty * mean_eigenvalue * np.eye(6), centred(source).T @ centred(target)
    )
    assert np.allclose(found.numpy(), expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", ["linear", "affine", "ridge"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_dead_first_feature_changes_nothing(name: str, dtype: torch.dtype) -> None:
    # A zero first column is what the default CPU solver of torch.linalg.lstsq gets wrong.
    source, target = normal(30, 4, seed=0).to(dtype), normal(30, 2, seed=1).to(dtype)
    dead = torch.cat([torch.zeros(30, 1, dtype=dtype), source], dim=1)
    translator = TRANSLATORS[name](penalty=0.0).fit(dead, target)
    expected = TRANSLATORS[name](penalty=0.0).fit(source, target)
    assert float(translator.matrix_[0].abs().max()) == 0.0  # type: ignore[attr-defined]
    found, wanted = translator.transform(dead), expected.transform(source)
    assert torch.allclose(found, wanted, atol=1e-6 if dtype == torch.float32 else 1e-13)


def test_float32_dependent_features_are_not_amplified() -> None:
    source = normal(30, 3, seed=0).float()
    dependent = torch.cat([source, source @ normal(3, 3, seed=2).float()], dim=1)
    translator = LeastSquaresTranslator().fit(dependent, normal(30, 2, seed=1).float())
    assert float(translator.matrix_.abs().max()) < 10  # 1 / rounding would be 1e7


@pytest.mark.parametrize("name", TRANSLATORS)
def test_codes_that_do_not_vary_are_carried_to_the_target(name: str) -> None:
    source = torch.full((6, 3), 2.0)
    found = TRANSLATORS[name]().fit(source, normal(6, 2, seed=0).float()).transform(source)
    assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize("name", ["orthogonal", "ridge", "affine", "polar"])
def test_the_mean_is_carried_to_the_mean(name: str) -> None:
    source, target = normal(20, 4, seed=0) + 5, normal(20, 3, seed=1) - 2
    translator = TRANSLATORS[name]().fit(source, target)
    found = translator.transform(source).mean(dim=0)
    assert torch.allclose(found, target.mean(dim=0), atol=1e-13)


def test_standardised_dead_features_are_left_out() -> None:
    source, target = normal(20, 4, seed=0), normal(20, 4, seed=1)
    source[:, 1], target[:, 2] = 0.1, -0.3
    found = OrthogonalTranslator(standardize=True).fit(source, target)
    assert float(found.matrix_[1].abs().max()) == 0.0
    assert torch.allclose(found.transform(source)[:, 2], torch.tensor(-0.3).double(), atol=1e-7)


def test_refitting_forgets() -> None:
    first, second = normal(20, 4, seed=0), normal(20, 3, seed=1)
    translator = OrthogonalTranslator().fit(first, first)
    translator.fit(second, first)
    expected = OrthogonalTranslator().fit(second, first)
    assert torch.equal(translator.transform(second), expected.transform(second))


def test_bad_input() -> None:
    fit = OrthogonalTranslator().fit
    with pytest.raises(InputError, match="same samples"):
        fit(normal(5, 2, seed=0), normal(6, 2, seed=0))
    with pytest.raises(InputError, match="two at least"):
        fit(normal(1, 2, seed=0), normal(1, 2, seed=0))
    with pytest.raises(InputError, match="target codes hold NaN"):
        fit(normal(3, 2, seed=0), torch.full((3, 2), torch.nan))
    with pytest.raises(InputError, match="source codes must be floating point"):
        fit(torch.ones(3, 2, dtype=torch.int64), normal(3, 2, seed=0))
    with pytest.raises(InputError, match="source codes must be floating point, got int64"):
        fit(np.ones((3, 2), dtype=np.int64), normal(3, 2, seed=0))
    with pytest.raises(InputError, match="a tensor or a numpy array, got list"):
        fit([[1.0]], normal(3, 2, seed=0))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"Flatten them"):
        fit(normal(3, 2, 2, seed=0), normal(3, 2, seed=0))
    with pytest.raises(InputError, match=r"\(n, 2\), as the source"):
        fit(normal(5, 2, seed=0), normal(5, 2, seed=1)).transform(normal(5, 3, seed=0))
    with pytest.raises(InputError, match="penalty must be 0 or positive"):
        LeastSquaresTranslator(penalty=-1.0)
    with pytest.raises(InputError, match="Did you mean 'pca'"):
        OrthogonalTranslator(sizes="pcs")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="contradicts"):
        PolarTranslator(standardize=True, center=False)
    with pytest.raises(InputError, match="Did you mean 'mean'"):
        InverseRelativeTranslator(norm="means")  # type: ignore[arg-type]
