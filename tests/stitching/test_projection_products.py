from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching import ProductProjection, RelativeProjection

PARTS = (
    RelativeProjection("cosine"),
    RelativeProjection("euclidean", center=True, scale=True, l2=False),
    RelativeProjection("l1"),
    RelativeProjection("linf", center=True),
)


def normal(n: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(n, d, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def test_concatenation_and_mean_are_those_of_the_parts() -> None:
    anchors, codes = normal(7, 4, 0), normal(9, 4, 1)
    parts = [part.unfitted().fit(anchors).transform(codes) for part in PARTS]
    both = ProductProjection(PARTS).fit(anchors)
    assert torch.equal(both.transform(codes), torch.cat(parts, dim=1))
    assert both.weights_.tolist() == [1.0] * 4
    mean = ProductProjection(PARTS, combine="mean").fit_transform(anchors)
    expected = sum(part.unfitted().fit_transform(anchors) for part in PARTS) / 4
    assert torch.allclose(mean, expected, rtol=0, atol=1e-15)


def test_kind_and_dtype_are_kept_and_parts_are_left_alone() -> None:
    parts = [RelativeProjection("cosine"), RelativeProjection("inner", l2=False)]
    anchors, codes = normal(7, 4, 0, torch.float32), normal(9, 4, 1, torch.float32)
    for combine in ("concatenate", "mean"):
        product = ProductProjection(parts, combine=combine).fit(anchors.numpy())
        found = product.transform(codes.numpy())
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.float32
        assert np.array_equal(found, product.transform(codes).numpy())
    assert not any(hasattr(part, "anchors_") for part in parts)


def test_the_invariance_group_is_the_intersection() -> None:
    cosine, robust = RelativeProjection("cosine"), RelativeProjection.preset("robust")
    both = ProductProjection([cosine, robust])
    assert both.invariance_group == {"permutation", "scaling"}
    assert ProductProjection([cosine]).invariance_group == cosine.invariance_group
    whitened = RelativeProjection.preset("whitened")
    fitted = ProductProjection([whitened]).fit(normal(3, 5, 0))
    assert "affine" in ProductProjection([whitened]).invariance_group
    assert "affine" not in fitted.invariance_group  # three anchors do not span the space


def labelled(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Three classes in three directions, at distances from the origin that say nothing."""
    y = torch.arange(60) % 3
    codes = 0.1 * normal(60, 3, seed) + torch.eye(3, dtype=torch.float64)[y]
    return codes * normal(60, 1, seed + 1).exp(), y


def alignment(kernel: Tensor, y: Tensor) -> float:
    """Of centred kernels, from the n x n matrices."""
    n = len(y)
    centre = torch.eye(n, dtype=torch.float64) - 1 / n
    a = centre @ kernel @ centre
    b = centre @ (y[:, None] == y[None]).double() @ centre
    return float((a * b).sum() / (a.norm() * b.norm()))


def test_learned_weights_are_best_aligned_with_the_labels() -> None:
    codes, y = labelled()
    product = ProductProjection(PARTS, combine="learned").fit(codes[:12], y, reference=codes)
    weights = product.weights_
    assert float(weights.min()) >= 0
    assert float(weights.sum()) == pytest.approx(4)
    spaces = [part.unfitted().fit(codes[:12]).transform(codes) for part in PARTS]
    expected = torch.cat([w.sqrt() * r for w, r in zip(weights, spaces, strict=True)], dim=1)
    found = product.transform(codes)
    assert torch.allclose(found, expected, rtol=0, atol=1e-14)
    best = alignment(found @ found.T, y)
    kernels = [space @ space.T for space in spaces]
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):
        tried = weights + 0.3 * torch.randn(4, dtype=torch.float64, generator=generator)
        kernel = sum(w * k for w, k in zip(tried.clamp(min=0), kernels, strict=True))
        assert alignment(kernel, y) <= best + 1e-7  # what the ridge of the fit costs at most
    assert best > max(alignment(kernel, y) for kernel in kernels)


def test_a_space_that_holds_the_labels_gets_the_weight() -> None:
    codes, y = labelled()
    size = RelativeProjection("inner", l2=False)
    product = ProductProjection([RelativeProjection("cosine"), size], combine="learned")
    weights = product.fit(codes, y).weights_
    assert float(weights[0]) > 1.9


def test_learned_weights_go_along_with_order_and_are_shared_by_equals() -> None:
    codes, y = labelled()
    first = ProductProjection(PARTS, combine="learned").fit(codes, y).weights_
    turned = ProductProjection(PARTS[::-1], combine="learned").fit(codes, y).weights_
    assert torch.allclose(turned.flip(0), first, rtol=0, atol=1e-6)
    again = ProductProjection(PARTS, combine="learned").fit(codes, (5 - y).numpy()).weights_
    assert torch.equal(again, first)  # the names of classes play no part
    twins = ProductProjection([PARTS[0], PARTS[0]], combine="learned").fit(codes, y).weights_
    assert torch.allclose(twins, torch.ones(2).double(), rtol=0, atol=1e-6)


def test_reference_and_running_statistics_reach_the_parts() -> None:
    anchors, batch = normal(6, 3, 0), normal(40, 3, 1) + 1
    parts = [RelativeProjection.preset("robust", stats="reference"), RelativeProjection("cosine")]
    product = ProductProjection(parts).fit(anchors, reference=batch)
    alone = parts[0].unfitted().fit(anchors, reference=batch)
    assert torch.equal(product.transform(batch)[:, :6], alone.transform(batch))
    running = [RelativeProjection.preset("robust", stats="ema"), RelativeProjection("cosine")]
    start = ProductProjection(running).fit(anchors)
    before = start.transform(batch)
    moved = start.updated(batch)
    expected = running[0].unfitted().fit(anchors).updated(batch).transform(batch)
    assert torch.equal(moved.transform(batch)[:, :6], expected)
    assert torch.equal(start.transform(batch), before)


def test_bad_products() -> None:
    codes, y = labelled()
    with pytest.raises(InputError, match="at least one projection"):
        ProductProjection([])
    with pytest.raises(InputError, match="Did you mean 'mean'"):
        ProductProjection(PARTS, combine="means")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Call fit"):
        ProductProjection(PARTS).transform(codes)
    with pytest.raises(InputError, match="no projection has stats='reference'"):
        ProductProjection(PARTS).fit(codes, reference=codes)
    with pytest.raises(InputError, match="need labels"):
        ProductProjection(PARTS, combine="learned").fit(codes)
    with pytest.raises(InputError, match="one per code"):
        ProductProjection(PARTS, combine="learned").fit(codes, y[:3])
    with pytest.raises(InputError, match="tells the labels apart"):
        ProductProjection(PARTS, combine="learned").fit(codes, torch.zeros(60, dtype=torch.int64))
    with pytest.raises(InputError, match="same relative coordinates"):
        ProductProjection(PARTS, combine="learned").fit(torch.ones_like(codes), y)
    with pytest.raises(InputError, match="stats='ema'"):
        ProductProjection(PARTS).fit(codes).updated(codes)
