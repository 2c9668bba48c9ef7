from __future__ import annotations

import pytest
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching import cka, minibatch_cka
from repgeo.stitching.similarity import kernel_alignment


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def related(n: int) -> tuple[Tensor, Tensor]:
    a, b = normal(n, 6, 0) + 2, normal(n, 4, 1)
    b[:, :2] += a[:, :2]
    return a, b


def slow_unbiased_hsic(a: Tensor, b: Tensor) -> float:
    k, l = (a @ a.T).fill_diagonal_(0), (b @ b.T).fill_diagonal_(0)  # noqa: E741
    n = len(a)
    means = k.sum() * l.sum() / ((n - 1) * (n - 2))
    crossed = 2 / (n - 2) * (k.sum(dim=0) @ l.sum(dim=0))
    return float(((k * l).sum() + means - crossed) / (n * (n - 3)))


def test_the_mean_over_batches_by_its_definition() -> None:
    a, b = related(90)
    batches = [(a[start : start + 30], b[start : start + 30]) for start in (0, 30, 60)]
    means = [
        sum(slow_unbiased_hsic(x[i], x[j]) for x in batches) / 3
        for i, j in ((0, 1), (0, 0), (1, 1))
    ]
    expected = means[0] / (means[1] * means[2]) ** 0.5
    assert minibatch_cka(batches).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("unbiased", [True, False])
def test_one_batch_is_the_whole(unbiased: bool) -> None:
    a, b = related(50)
    whole = cka(a, b, unbiased=unbiased).item()
    assert minibatch_cka([(a, b)], unbiased=unbiased).item() == pytest.approx(whole, abs=1e-13)


def test_the_unbiased_one_does_not_depend_on_the_size_of_batches() -> None:
    a, b = related(6000)
    whole = cka(a, b).item()
    sizes = {8: 0.02, 64: 0.01, 500: 0.005}
    for size, tolerance in sizes.items():
        batches = zip(a.split(size), b.split(size), strict=True)
        found = minibatch_cka((x, y) for x, y in batches if len(x) >= 4)
        assert found.item() == pytest.approx(whole, abs=tolerance)
    biased = minibatch_cka(zip(a.split(8), b.split(8), strict=True), unbiased=False).item()
    assert biased > cka(a, b, unbiased=False).item() + 0.1


def test_scales_and_offsets_do_not_matter() -> None:
    a, b = related(60)
    batches = [(a[:20], b[:20]), (a[20:], b[20:])]
    value = minibatch_cka(batches).item()
    moved = [(1e150 * x, 1e-150 * y + 1e-149) for x, y in batches]
    assert minibatch_cka(iter(moved)).item() == pytest.approx(value, abs=1e-11)


def test_blocks_and_strips_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = normal(300, 70, 0), normal(300, 130, 1)
    b[:, :30] += a[:, :30]
    value = cka(a, b).item()
    monkeypatch.setattr(kernel_alignment, "_ROWS", 17)
    monkeypatch.setattr(kernel_alignment, "_STRIP", 13)
    assert cka(a, b).item() == pytest.approx(value, abs=1e-13)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "There is no batch"),
        ([(normal(3, 2, 0), normal(3, 2, 1))], "four samples"),
        ([(normal(5, 2, 0), normal(5, 2, 1)), (normal(5, 3, 0), normal(5, 2, 1))], "2 and 2"),
        ([(torch.ones(5, 2), normal(5, 2, 1))], "the same for all samples"),
    ],
)
def test_bad_batches(batches: list[tuple[Tensor, Tensor]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        minibatch_cka(batches)
