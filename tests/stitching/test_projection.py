from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching import RelativeProjection


def normal(n: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(n, d, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def slow_relative(codes: Tensor, anchors: Tensor, projection: RelativeProjection) -> Tensor:
    """One entry at a time, from the definition."""
    d = anchors.shape[1]
    mean = [float(anchors[:, i].mean()) if projection.center else 0.0 for i in range(d)]
    deviation = [
        float(((anchors[:, i] - anchors[:, i].mean()) ** 2).mean()) ** 0.5
        if projection.scale
        else 1.0
        for i in range(d)
    ]

    def prepared(row: Tensor) -> list[float]:
        moved = [(float(row[i]) - mean[i]) / deviation[i] for i in range(d)]
        norm = sum(value**2 for value in moved) ** 0.5
        return [value / norm for value in moved] if projection.l2 else moved

    def similarity(x: list[float], a: list[float]) -> float:
        gaps = [abs(p - q) for p, q in zip(x, a, strict=True)]
        if projection.similarity == "l1":
            return -sum(gaps)
        if projection.similarity == "linf":
            return -max(gaps)
        if projection.similarity == "euclidean":
            return -(sum(gap**2 for gap in gaps) ** 0.5)
        return sum(p * q for p, q in zip(x, a, strict=True))

    return torch.tensor(
        [[similarity(prepared(x), prepared(a)) for a in anchors] for x in codes],
        dtype=torch.float64,
    )


ALL = [
    RelativeProjection(similarity, center=center, scale=scale, l2=l2)
    for similarity in ("cosine", "euclidean", "l1", "linf", "inner")
    for center in (False, True)
    for scale in (False, True)
    for l2 in (True, False)
    if l2 or similarity != "cosine"
]


@pytest.mark.parametrize("projection", ALL, ids=str)
def test_agrees_with_the_definition(projection: RelativeProjection) -> None:
    anchors, codes = 2 * normal(7, 4, 0) + 1, normal(5, 4, 1)
    expected = slow_relative(codes, anchors, projection)
    found = projection.fit(anchors).transform(codes)
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_give_tensors_and_arrays_give_arrays(dtype: torch.dtype) -> None:
    anchors, codes = normal(6, 3, 0, dtype), normal(4, 3, 1, dtype)
    kept = anchors.clone(), codes.clone()
    projection = RelativeProjection("cosine", center=True, scale=True).fit(anchors)
    relative = projection.transform(codes)
    assert relative.dtype == dtype
    assert relative.shape == (4, 6)
    arrays = RelativeProjection("cosine", center=True, scale=True).fit(anchors.numpy())
    found = arrays.transform(codes.numpy())
    assert isinstance(found, np.ndarray)
    assert found.dtype == relative.numpy().dtype
    assert np.array_equal(found, relative.numpy())
    assert torch.equal(anchors, kept[0])
    assert torch.equal(codes, kept[1])


def test_parameters_are_frozen() -> None:
    projection = RelativeProjection("inner")
    with pytest.raises(AttributeError):
        projection.center = True  # type: ignore[misc]


def test_a_code_does_not_see_the_rest_of_its_batch() -> None:
    anchors, codes = normal(6, 3, 0), normal(64, 3, 1)
    projection = RelativeProjection("cosine", center=True, scale=True).fit(anchors)
    alone = torch.cat([projection.transform(codes[i : i + 1]) for i in range(64)])
    # Products of other shapes may be summed in another order: a few units of rounding.
    assert torch.allclose(alone, projection.transform(codes), rtol=0, atol=1e-15)


def test_dead_coordinates_are_left_out() -> None:
    anchors, codes = normal(6, 4, 0), normal(5, 4, 1)
    dead = anchors.clone()
    dead[:, 2] = 0.1  # constant, but not a number without rounding
    projection = RelativeProjection("cosine", center=True, scale=True).fit(dead)
    others = [0, 1, 3]
    expected = RelativeProjection("cosine", center=True, scale=True).fit(dead[:, others])
    assert float(projection.weight_[2]) == 0.0
    assert torch.allclose(
        projection.transform(codes), expected.transform(codes[:, others]), atol=1e-14
    )


def test_small_variances_are_alive() -> None:
    anchors = normal(6, 2, 0)
    anchors[:, 1] *= 1e-150
    projection = RelativeProjection("cosine", center=True, scale=True).fit(anchors)
    assert bool((projection.weight_ > 0).all())


def test_a_code_of_norm_zero_is_similar_to_nothing() -> None:
    projection = RelativeProjection("cosine").fit(torch.cat([normal(3, 2, 0), torch.zeros(1, 2)]))
    relative = projection.transform(torch.cat([torch.zeros(1, 2).double(), normal(2, 2, 1)]))
    assert relative[0].tolist() == [0.0, 0.0, 0.0, 0.0]
    assert relative[:, 3].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [False, True])
def test_constant_codes_are_similar_to_nothing(dtype: torch.dtype, scale: bool) -> None:
    codes = torch.tensor([[0.1, 7.3, -0.7]], dtype=dtype).repeat(7, 1)
    projection = RelativeProjection("cosine", center=True, scale=scale).fit(codes)
    assert float(projection.transform(codes).abs().max()) == 0.0


def test_tiny_and_huge_codes_keep_their_direction() -> None:
    projection = RelativeProjection("cosine").fit(torch.eye(2, dtype=torch.float64))
    for size in (1e-300, 1e300):
        relative = projection.transform(size * torch.tensor([[3.0, 4.0]], dtype=torch.float64))
        assert torch.allclose(relative, torch.tensor([[0.6, 0.8]], dtype=torch.float64))


def test_fit_transform_is_the_similarity_of_the_anchors() -> None:
    relative = RelativeProjection("cosine", center=True).fit_transform(normal(5, 3, 0))
    assert torch.allclose(relative, relative.T, atol=1e-15)
    assert torch.allclose(relative.diag(), torch.ones(5, dtype=torch.float64), atol=1e-14)


def test_bad_input() -> None:
    with pytest.raises(InputError, match="Did you mean 'cosine'"):
        RelativeProjection("cosinus")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="contradicts"):
        RelativeProjection("cosine", l2=False)
    with pytest.raises(InputError, match="Call fit"):
        RelativeProjection("cosine").transform(normal(2, 2, 0))
    fitted = RelativeProjection("cosine").fit(normal(3, 2, 0))
    with pytest.raises(InputError, match="3 features, the anchors 2"):
        fitted.transform(normal(3, 3, 0))
    with pytest.raises(InputError, match="NaN"):
        fitted.transform(torch.full((1, 2), torch.nan))
    with pytest.raises(InputError, match="floating point"):
        fitted.transform(torch.ones(1, 2, dtype=torch.int64))
    with pytest.raises(InputError, match="shape"):
        fitted.transform(torch.ones(2))
    with pytest.raises(InputError, match="tensor or an array"):
        fitted.transform([[1.0, 2.0]])  # type: ignore[type-var]
    with pytest.raises(InputError, match="At least one anchor"):
        RelativeProjection("cosine").fit(torch.ones(0, 2))
    with pytest.raises(InputError, match="at least two anchors"):
        RelativeProjection("cosine", scale=True).fit(torch.ones(1, 2))
