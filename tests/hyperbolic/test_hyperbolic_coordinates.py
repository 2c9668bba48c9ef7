"""Models of hyperbolic space, distances, boosts, centroids."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from repgeo.errors import InputError
from repgeo.hyperbolic import centroid, convert, distance, distance_matrix, lorentz_boost, translate
from repgeo.hyperbolic.coordinates import gap

MODELS: tuple[Any, ...] = ("poincare", "klein", "lorentz", "tangent")


def tangents(n: int, d: int, seed: int = 0, radius: float = 3.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    v = rng.standard_normal((n, d))
    return v / np.linalg.norm(v, axis=1, keepdims=True) * rng.uniform(0, radius, (n, 1))


def moebius(a: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Textbook Möbius addition."""
    inner, aa, yy = a @ y, a @ a, y @ y
    return ((1 + 2 * inner + yy) * a + (1 - aa) * y) / (1 + 2 * inner + aa * yy)


@pytest.mark.parametrize(("source", "target"), [*itertools.product(MODELS, MODELS)])
@pytest.mark.parametrize("curvature", [-1.0, -0.3, -7.0])
def test_conversions_are_inverse_to_each_other(source: Any, target: Any, curvature: float) -> None:
    tangent = tangents(40, 3, radius=3 / (-curvature) ** 0.5)
    points = convert(tangent, "tangent", source, curvature=curvature)
    there = convert(points, source, target, curvature=curvature)
    back = convert(there, target, source, curvature=curvature)
    np.testing.assert_allclose(back, points, rtol=1e-11, atol=1e-12)


def test_textbook_formulas() -> None:
    y = convert(tangents(30, 4), "tangent", "poincare")
    square = (y**2).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(convert(y, "poincare", "klein"), 2 * y / (1 + square), rtol=1e-13)
    lorentz = np.concatenate([1 + square, 2 * y], axis=1) / (1 - square)
    np.testing.assert_allclose(convert(y, "poincare", "lorentz"), lorentz, rtol=1e-12)
    radius = 2 * np.arctanh(np.sqrt(square))
    tangent = radius * y / np.sqrt(square)
    np.testing.assert_allclose(convert(y, "poincare", "tangent"), tangent, rtol=1e-12)


def test_the_gap_to_the_boundary_is_exact() -> None:
    rng = np.random.default_rng(1)
    v = rng.standard_normal((200, 3))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    y = v * (1 - 10.0 ** -rng.uniform(1, 15, (200, 1)))
    found = gap(torch.from_numpy(y)).numpy()
    exact = [float(1 - sum(Fraction(c) ** 2 for c in row)) for row in y.tolist()]
    np.testing.assert_allclose(found, exact, rtol=4e-16)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("curvature", [-1.0, -2.5])
def test_distances_are_those_of_the_hyperboloid(model: Any, curvature: float) -> None:
    a, b = tangents(20, 3, seed=2), tangents(20, 3, seed=3)
    X, Y = (convert(z * (-curvature) ** 0.5, "tangent", "lorentz") for z in (a, b))
    cosh = X[:, 0] * Y[:, 0] - (X[:, 1:] * Y[:, 1:]).sum(axis=1)
    p, q = (convert(z, "tangent", model, curvature=curvature) for z in (a, b))
    found = distance(p, q, model=model, curvature=curvature)
    np.testing.assert_allclose(found, np.arccosh(cosh) / (-curvature) ** 0.5, rtol=1e-9)
    matrix = distance_matrix(p, q, model=model, curvature=curvature)
    np.testing.assert_allclose(np.diag(matrix), found, rtol=1e-12)
    np.testing.assert_allclose(matrix[3, 7], distance(p[3], q[7], model=model, curvature=curvature))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("radius", [0.1, 5.0, 12.0])
def test_near_points_keep_their_distance(model: Any, radius: float) -> None:
    step = 1e-7 if radius < 10 else 1e-4  # a ball holds radii to about 1e-16 e^r
    pair = np.array([[radius, 0.0], [radius + step, 0.0]])
    p, q = convert(pair, "tangent", model)
    bound = 1e-8 + 2e-16 * np.exp(radius * (2 if model == "klein" else 1)) / step
    if bound < 0.1:
        assert distance(p, q, model=model) == pytest.approx(step, rel=bound)
    assert distance(p, p, model=model) == 0.0


def test_far_points_have_distances_in_the_models_that_hold_them() -> None:
    tangent = np.array([[200.0, 0.0], [0.0, 200.0], [-200.0, 0.0]])
    lorentz = convert(tangent, "tangent", "lorentz")
    for points, model in ((tangent, "tangent"), (lorentz, "lorentz")):
        found = distance_matrix(points, points, model=model)  # type: ignore[arg-type]
        assert found[0, 2] == pytest.approx(400.0, rel=1e-13)
        assert found[0, 1] == pytest.approx(400 - np.log(2), rel=1e-13)  # right angle: 2r - ln 2


@pytest.mark.parametrize("model", MODELS)
def test_boosts_are_isometries_and_translations(model: Any) -> None:
    tangent, base = tangents(25, 3, seed=4), tangents(1, 3, seed=5)[0]
    points, by = convert(tangent, "tangent", model), convert(base, "tangent", model)
    moved = translate(points, by, model=model)
    np.testing.assert_allclose(
        distance_matrix(moved, moved, model=model),
        distance_matrix(points, points, model=model),
        rtol=1e-8,
        atol=1e-10,
    )
    back = translate(moved, by, inverse=True, model=model)
    np.testing.assert_allclose(back, points, rtol=1e-9, atol=1e-11)
    B = lorentz_boost(by, model=model)
    expected = convert(points, model, "lorentz") @ B.T
    np.testing.assert_allclose(convert(moved, model, "lorentz"), expected, rtol=1e-10, atol=1e-10)
    eta = np.diag([-1.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(B.T @ eta @ B, eta, atol=1e-10)


def test_poincare_translation_is_moebius_addition() -> None:
    y = convert(tangents(10, 3, seed=6), "tangent", "poincare")
    a = convert(tangents(1, 3, seed=7)[0], "tangent", "poincare")
    expected = np.stack([moebius(a, row) for row in y])
    np.testing.assert_allclose(translate(y, a), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("model", MODELS)
def test_the_centroid_moves_with_isometries_and_is_stationary(model: Any) -> None:
    tangent, base = tangents(12, 2, seed=8, radius=2.0), tangents(1, 2, seed=9)[0]
    points, by = convert(tangent, "tangent", model), convert(base, "tangent", model)
    weights = np.random.default_rng(0).uniform(0.1, 1.0, 12)
    centre = centroid(points, weights=weights, model=model)
    moved = centroid(translate(points, by, model=model), weights=weights, model=model)
    np.testing.assert_allclose(moved, translate(centre, by, model=model), rtol=1e-10, atol=1e-12)
    X, C = convert(points, model, "lorentz"), convert(centre, model, "lorentz")
    total = weights @ X
    np.testing.assert_allclose(total / np.sqrt(total[0] ** 2 - (total[1:] ** 2).sum()), C)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_keep_their_type_and_have_derivatives(model: Any, dtype: torch.dtype) -> None:
    tangent = torch.tensor([[0.0, 0.0], [1e-9, 0.0], [0.3, -2.0]], dtype=dtype, requires_grad=True)
    points = convert(tangent, "tangent", model)
    there = distance(points, points.flip(0), model=model).sum() + points.sum()
    assert points.dtype == there.dtype == dtype
    (gradient,) = torch.autograd.grad(there, tangent)
    assert bool(torch.isfinite(gradient).all())


def test_derivatives_are_right() -> None:
    tangent = torch.tensor(tangents(5, 3, seed=10), requires_grad=True)
    other = torch.tensor(tangents(5, 3, seed=11))

    def through(model: Any) -> Any:
        def f(z: torch.Tensor) -> torch.Tensor:
            there = convert(other, "tangent", model)
            return distance(convert(z, "tangent", model), there, model=model)

        return f

    for model in MODELS:
        assert torch.autograd.gradcheck(through(model), (tangent,), atol=1e-6)


@pytest.mark.parametrize(
    ("points", "source", "target", "curvature", "message"),
    [
        (np.array([[1.0, 0.0]]), "poincare", "klein", -1.0, "inside of the open ball"),
        (np.array([[0.6, 0.0]]), "poincare", "klein", -4.0, "inside of the open ball"),
        (np.array([[1.0, 0.5]]), "lorentz", "klein", -1.0, "must satisfy X_0"),
        (np.array([[50.0, 0.0]]), "tangent", "poincare", -1.0, "too large"),
        (np.array([[20.0]], dtype=np.float32), "tangent", "poincare", -1.0, "float32"),
        (np.array([[1000.0]]), "tangent", "lorentz", -1.0, "beyond the radius"),
        (np.array([[np.nan]]), "tangent", "lorentz", -1.0, "NaN"),
        (np.array([[1]]), "tangent", "lorentz", -1.0, "floating point"),
        (np.array([[0.1]]), "poincar", "lorentz", -1.0, "Did you mean 'poincare'"),
        (np.array([[0.1]]), "poincare", "disk", -1.0, "Known: klein"),
        (np.array([[0.1]]), "poincare", "klein", 1.0, "is negative"),
        ([[0.1]], "poincare", "klein", -1.0, "tensor or a numpy array"),
    ],
)
def test_what_cannot_be_converted_says_why(
    points: Any, source: Any, target: Any, curvature: float, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        convert(points, source, target, curvature=curvature)


def test_kinds_and_shapes_must_fit() -> None:
    y = np.array([[0.1, 0.2]])
    with pytest.raises(InputError, match="mixed"):
        distance(y, torch.from_numpy(y))  # type: ignore[misc]
    with pytest.raises(InputError, match="equally many coordinates"):
        distance(y, np.array([[0.1]]))
    with pytest.raises(InputError, match="one point"):
        lorentz_boost(y)
    with pytest.raises(InputError, match="Weights"):
        centroid(y, weights=np.array([-1.0]))
    before = y.copy()
    convert(y, "poincare", "klein")
    assert (before == y).all()
