from __future__ import annotations

import pytest
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching import (
    cycle_knn,
    mutual_knn,
    nearest_neighbours,
    neighbour_jaccard,
    second_order_cosine,
)
from repgeo.stitching.similarity import codes as codes_module


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_neighbours(codes: Tensor, k: int, metric: str) -> list[list[int]]:
    """By sorting a full matrix, row by row."""
    if metric == "cosine":
        units = codes / codes.norm(dim=1, keepdim=True)
        far = 1 - units @ units.T
    else:
        far = torch.cdist(codes, codes)
    found = []
    for i, row in enumerate(far):
        others = [j for j in range(len(row)) if j != i]
        found.append(sorted(others, key=lambda j: (float(row[j]), j))[:k])
    return found


def slow_panel(a: Tensor, b: Tensor, k: int, metric: str) -> dict[str, float]:
    n = len(a)
    left, right = slow_neighbours(a, k, metric), slow_neighbours(b, k, metric)
    unit_a, unit_b = (codes / codes.norm(dim=1, keepdim=True) for codes in (a, b))
    mutual = jaccard = cycle = second = 0.0
    for i in range(n):
        shared, union = set(left[i]) & set(right[i]), sorted(set(left[i]) | set(right[i]))
        mutual += len(shared) / k
        jaccard += len(shared) / len(union)
        cycle += any(i in left[j] for j in right[i])
        u, v = unit_a[union] @ unit_a[i], unit_b[union] @ unit_b[i]
        second += float(u @ v / (u.norm() * v.norm()))
    names = ("mutual", "jaccard", "cycle", "second")
    return dict(zip(names, (mutual / n, jaccard / n, cycle / n, second / n), strict=True))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [1, 4, 23])
def test_against_sorting_everything(metric: str, k: int) -> None:
    a, b = normal(24, 5, 0) + 0.3, normal(24, 3, 1)
    b[:, 0] += 2 * a[:, 0]
    assert nearest_neighbours(a, k, metric=metric).tolist() == slow_neighbours(a, k, metric)
    expected = slow_panel(a, b, k, metric)
    given = {"neighbours": k, "metric": metric}
    assert mutual_knn(a, b, **given).item() == pytest.approx(expected["mutual"], abs=1e-12)
    assert neighbour_jaccard(a, b, **given).item() == pytest.approx(expected["jaccard"], abs=1e-12)
    assert cycle_knn(a, b, **given).item() == pytest.approx(expected["cycle"], abs=1e-12)
    if metric == "cosine":
        found = second_order_cosine(a, b, neighbours=k).item()
        assert found == pytest.approx(expected["second"], abs=1e-12)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = normal(150, 5, 0), normal(150, 5, 1)
    whole = [m(a, b, neighbours=7).item() for m in (mutual_knn, cycle_knn, second_order_cosine)]
    monkeypatch.setattr(codes_module, "_BLOCK_BYTES", 1)
    assert len(list(codes_module.blocks(150, 150))) == 3
    parts = [m(a, b, neighbours=7).item() for m in (mutual_knn, cycle_knn, second_order_cosine)]
    assert parts == pytest.approx(whole, abs=1e-13)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_ties_go_to_the_smaller_index(metric: str) -> None:
    # A lattice, many times over: full of equal distances and of duplicates.
    side = torch.arange(1, 4, dtype=torch.float64)
    lattice = torch.cartesian_prod(side, side).repeat(5, 1)
    found = nearest_neighbours(lattice, 7, metric=metric)
    exact = torch.cdist(lattice, lattice) if metric == "euclidean" else None
    if exact is None:
        units = lattice / lattice.norm(dim=1, keepdim=True)
        exact = ((1 - units @ units.T) * 1e10).round()
    for i, row in enumerate(exact):
        others = [j for j in range(len(row)) if j != i]
        assert found[i].tolist() == sorted(others, key=lambda j: (float(row[j]), j))[:7]
    # Noise of the size of rounding decides nothing.
    noise = 1e-14 * normal(*lattice.shape, 3)
    assert torch.equal(nearest_neighbours(lattice + noise, 7, metric=metric), found)
    assert mutual_knn(lattice, lattice, neighbours=7, metric=metric).item() == 1.0


def test_a_code_of_norm_zero_has_a_cosine_of_zero_with_all() -> None:
    codes = torch.tensor([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.1], [1.0, 0.2]])
    assert nearest_neighbours(codes, 3).tolist() == [[3, 1, 2], [0, 2, 3], [1, 3, 0], [0, 1, 2]]
    # The nearest of the second is at cosine 0, and of the third too: nothing to compare there.
    assert second_order_cosine(codes, codes, neighbours=1).item() == pytest.approx(0.5)


def test_very_large_and_small_codes_and_dtypes() -> None:
    a, b = normal(40, 3, 0), normal(40, 3, 1)
    for metric in ("cosine", "euclidean"):
        base = mutual_knn(a, b, neighbours=3, metric=metric).item()
        scaled = mutual_knn(1e200 * a, 1e-200 * b, neighbours=3, metric=metric).item()
        assert scaled == base
    assert mutual_knn(a.float(), b.float()).dtype == torch.float32
    assert nearest_neighbours(a.float(), 2).dtype == torch.int64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neighbours": 5}, "5 neighbours of 5 samples"),
        ({"neighbours": 0}, "give a number from 1 to 4"),
        ({"neighbours": 2, "metric": "cosin"}, "Did you mean 'cosine'"),
    ],
)
def test_bad_neighbours(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        mutual_knn(normal(5, 2, 0), normal(5, 2, 1), **options)
