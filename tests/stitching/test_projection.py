from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from repgeo.errors import InputError
from repgeo.stitching import PRESETS, RelativeProjection


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


def test_presets_are_their_parameters() -> None:
    assert set(PRESETS) == {"cosine", "centered", "robust", "whitened"}
    robust = RelativeProjection.preset("robust", stats="own")
    assert (robust.similarity, robust.center, robust.scale, robust.whiten, robust.stats) == (
        "cosine",
        True,
        True,
        False,
        "own",
    )
    assert RelativeProjection.preset("whitened", ridge=0.5).ridge == 0.5
    with pytest.raises(InputError, match="Did you mean 'robust'"):
        RelativeProjection.preset("robus")


def standardised(codes: Tensor, by: Tensor) -> Tensor:
    return torch.nn.functional.normalize((codes - by.mean(0)) / by.std(0, correction=0))


def test_statistics_of_a_reference_and_of_each_set_itself() -> None:
    anchors, codes, reference = normal(7, 4, 0), normal(9, 4, 1) + 1, 3 * normal(50, 4, 2) - 1
    by_reference = RelativeProjection.preset("robust", stats="reference")
    found = by_reference.fit(anchors, reference=reference.numpy()).transform(codes)
    expected = standardised(codes, reference) @ standardised(anchors, reference).T
    assert torch.allclose(found, expected, rtol=0, atol=1e-14)
    own = RelativeProjection.preset("robust", stats="own").fit(anchors)
    expected = standardised(codes, codes) @ standardised(anchors, anchors).T
    assert torch.allclose(own.transform(codes), expected, rtol=0, atol=1e-14)


def test_running_statistics_are_those_of_batch_normalisation() -> None:
    # The published module: one batch normalisation, applied to the batch and then to the anchors.
    norm = torch.nn.BatchNorm1d(4, affine=False, momentum=0.3, eps=1e-300, dtype=torch.float64)
    anchors, codes = normal(7, 4, 0), normal(9, 4, 1)
    projection = RelativeProjection.preset("robust", stats="ema").fit(anchors)
    for step in range(5):
        batch, again = normal(20, 4, 10 + step) + step, anchors + step
        norm(batch)
        norm(again)
        projection = projection.updated(batch, again)
    assert torch.allclose(projection.mean_, norm.running_mean, rtol=0, atol=1e-14)
    assert torch.allclose(projection.weight_**-2, norm.running_var, rtol=1e-13)
    norm.eval()
    units = torch.nn.functional.normalize
    expected = units(norm(codes)) @ units(norm(again)).T
    assert torch.allclose(projection.transform(codes), expected, rtol=0, atol=1e-14)


def test_running_covariances_are_averaged_as_means_are() -> None:
    anchors, batch = normal(7, 4, 0), normal(20, 4, 1) * 2 + 1
    projection = RelativeProjection("cosine", whiten=True, stats="ema", momentum=0.25).fit(anchors)
    expected = torch.eye(4, dtype=torch.float64)
    for rows in (batch, anchors):
        expected = 0.75 * expected + 0.25 * torch.cov(rows.T)
    matrix = projection.updated(batch).normaliser_.matrix
    assert matrix is not None
    assert torch.allclose(torch.linalg.inv(matrix @ matrix.T), expected, rtol=0, atol=1e-13)


def test_an_update_leaves_the_projection_as_it_is() -> None:
    anchors, codes = normal(7, 4, 0), normal(9, 4, 1)
    projection = RelativeProjection.preset("robust", stats="ema").fit(anchors)
    before = projection.transform(codes)
    assert torch.allclose(before, standard_cosines(codes, anchors), rtol=0, atol=1e-15)  # mean 0
    moved = projection.updated(codes)
    assert torch.equal(projection.transform(codes), before)
    assert float((moved.transform(codes) - before).abs().max()) > 0.01


def standard_cosines(codes: Tensor, anchors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(codes) @ torch.nn.functional.normalize(anchors).T


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("stats", ["anchors", "reference", "ema"])
@pytest.mark.parametrize("name", PRESETS)
def test_the_rest_of_a_batch_does_not_move_a_bit(name: str, stats: str, dtype: torch.dtype) -> None:
    anchors, codes = normal(40, 16, 0, dtype), normal(2200, 16, 1, dtype)
    projection = RelativeProjection.preset(name, stats=stats)
    reference = normal(90, 16, 2, dtype) if stats == "reference" else None
    projection = projection.fit(anchors, reference=reference)
    found = projection.transform(codes)
    others = 10 * normal(2200, 16, 3, dtype) + 1
    others[100:200] = codes[100:200]
    assert torch.equal(projection.transform(others)[100:200], found[100:200])
    for n in (1, 2, 63, 64, 65, 513, 2047, 2049):  # nor how large the batch is
        assert torch.equal(projection.transform(codes[:n]), found[:n])


def test_own_statistics_see_the_rest_of_a_batch() -> None:
    projection = RelativeProjection.preset("robust", stats="own").fit(normal(40, 16, 0))
    codes = normal(70, 16, 1)
    others = codes.clone()
    others[35:] = 10 * normal(35, 16, 3) + 1
    change = projection.transform(others)[:35] - projection.transform(codes)[:35]
    assert float(change.abs().max()) > 0.1


@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize("name", PRESETS)
def test_cosines_of_float32_codes_are_within_the_stated_bound(name: str, offset: float) -> None:
    d = 48
    anchors, codes = (normal(n, d, n, torch.float32) + offset for n in (200, 600))
    projection = RelativeProjection.preset(name).fit(anchors)
    exact = RelativeProjection.preset(name).fit(anchors.double()).transform(codes.double())
    found = projection.transform(codes)
    assert found.dtype == torch.float32
    error = float((found.double() - exact).abs().max())
    assert error <= (d + 3) * 2.0**-24  # the result is rounded once more
    if offset == 0:
        assert error <= 2.0**-22


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_codes_of_low_precision_are_rounded_once(dtype: torch.dtype) -> None:
    anchors, codes = normal(7, 4, 0).to(dtype), normal(9, 4, 1).to(dtype)
    for projection in (RelativeProjection.preset("robust"), RelativeProjection("l1")):
        found = projection.fit(anchors).transform(codes)
        assert found.dtype == dtype
        exact = projection.fit(anchors.double()).transform(codes.double())
        assert torch.allclose(found.double(), exact, rtol=torch.finfo(dtype).eps, atol=1e-6)


class LargestWide(TorchDispatchMode):
    """The largest float64 tensor that is made."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = func(*args, **(kwargs or {}))
        for found in made if isinstance(made, tuple | list) else [made]:
            if isinstance(found, Tensor) and found.dtype == torch.float64:
                self.entries = max(self.entries, found.numel())
        return made


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
@pytest.mark.parametrize("stats", ["own", "reference"])
def test_no_copy_of_all_codes_is_held_in_float64(similarity: str, stats: str) -> None:
    anchors, codes = normal(8, 64, 0, torch.float32), normal(40_000, 64, 1, torch.float32)
    projection = RelativeProjection(similarity, center=True, scale=True, whiten=True, stats=stats)
    with LargestWide() as watched:
        reference = codes if stats == "reference" else None
        projection.fit(anchors, reference=reference).transform(codes)
    assert 0 < watched.entries < codes.numel() / 2


@pytest.mark.parametrize("stats", ["anchors", "own", "reference"])
@pytest.mark.parametrize("similarity", ["cosine", "euclidean", "l1"])
def test_gradients_flow_through_codes_and_anchors(similarity: str, stats: str) -> None:
    reference = normal(12, 3, 2)

    def relative(codes: Tensor, anchors: Tensor) -> Tensor:
        projection = RelativeProjection(similarity, center=True, scale=True, stats=stats)
        given = reference if stats == "reference" else None
        return projection.fit(anchors, reference=given).transform(codes)

    codes, anchors = normal(5, 3, 0).requires_grad_(), normal(6, 3, 1).requires_grad_()
    assert torch.autograd.gradcheck(relative, (codes, anchors))
    with torch.no_grad():
        plain = relative(codes, anchors)
    assert torch.allclose(relative(codes, anchors), plain, rtol=0, atol=1e-14)


def test_gradients_of_dead_units_are_finite() -> None:
    anchors, codes = normal(6, 4, 0), normal(5, 4, 1)
    anchors[:, 2], codes[:, 2], codes[3] = 0.0, 0.0, 0.0
    codes.requires_grad_()
    for name in ("cosine", "robust"):
        for stats in ("anchors", "own"):
            projection = RelativeProjection.preset(name, stats=stats).fit(anchors)
            (gradient,) = torch.autograd.grad(projection.transform(codes).sum(), codes)
            assert bool(torch.isfinite(gradient).all())


def test_strided_and_empty_codes() -> None:
    projection = RelativeProjection.preset("robust").fit(normal(6, 4, 0))
    codes = normal(4, 70, 1).T
    assert torch.equal(projection.transform(codes), projection.transform(codes.contiguous()))
    assert projection.transform(codes[:0]).shape == (0, 6)


def test_bad_parameters_and_sets() -> None:
    with pytest.raises(InputError, match="Did you mean 'reference'"):
        RelativeProjection(stats="referenz")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="belongs to whitening"):
        RelativeProjection(ridge=0.1)
    with pytest.raises(InputError, match="from 0 on"):
        RelativeProjection(whiten=True, ridge=-1.0)
    with pytest.raises(InputError, match="momentum"):
        RelativeProjection(stats="ema", momentum=0.0)
    anchors = normal(5, 3, 0)
    with pytest.raises(InputError, match="is missing"):
        RelativeProjection.preset("robust", stats="reference").fit(anchors)
    with pytest.raises(InputError, match="is given"):
        RelativeProjection.preset("robust").fit(anchors, reference=anchors)
    with pytest.raises(InputError, match="at least two codes"):
        RelativeProjection.preset("robust", stats="own").fit(anchors).transform(anchors[:1])
    projection = RelativeProjection.preset("robust", stats="reference")
    with pytest.raises(InputError, match="reference codes have 2 features"):
        projection.fit(anchors, reference=anchors[:, :2])
    with pytest.raises(InputError, match="Only stats='ema'"):
        RelativeProjection.preset("robust").fit(anchors).updated(anchors)
    with pytest.raises(InputError, match="Call fit"):
        RelativeProjection.preset("robust", stats="ema").updated(anchors)
    with pytest.raises(InputError, match="range of float64"):
        RelativeProjection.preset("robust").fit(1e200 * anchors)
    late = torch.cat([normal(2100, 3, 1), torch.full((1, 3), torch.inf)])
    with pytest.raises(InputError, match="NaN or infinite"):
        RelativeProjection.preset("robust").fit(anchors).transform(late)
