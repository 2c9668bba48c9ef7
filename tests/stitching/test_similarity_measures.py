from __future__ import annotations

import pytest
import torch
from torch import Tensor

from repgeo.errors import InputError, SampleMismatchError
from repgeo.stitching import cka, compare, mean_cca, mutual_knn, topology_divergence
from repgeo.stitching.similarity import MEASURES, Settings, permutation_chance


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


IDS = torch.arange(40)


def test_values_are_those_of_the_functions() -> None:
    a, b = normal(40, 5, 0), normal(40, 4, 1)
    names = ("mutual_knn", "cka", "mean_cca")
    settings = Settings(neighbours=3, neighbour_metric="euclidean")
    found = compare(a, b, ids=(IDS, IDS), measures=names, settings=settings)
    assert tuple(found) == names
    assert found["cka"].value == cka(a, b).item()
    assert found["mean_cca"].value == mean_cca(a, b).item()
    expected = mutual_knn(a, b, neighbours=3, metric="euclidean").item()
    assert found["mutual_knn"].value == expected
    assert found["mutual_knn"].chance == 3 / 39


def test_every_measure_has_a_chance_level_within_its_range() -> None:
    settings = Settings(neighbours=5, shuffles=2, topology_samples=20)
    found = compare(
        normal(40, 5, 0), normal(40, 4, 1), ids=(IDS, IDS), measures=MEASURES, settings=settings
    )
    for name, one in found.items():
        low, high = MEASURES[name].range
        assert low <= one.chance <= high
        assert low <= one.value <= high


def test_other_samples_are_refused() -> None:
    a = normal(40, 5, 0)
    swapped = IDS.clone()
    swapped[:2] = torch.tensor([1, 0])
    with pytest.raises(SampleMismatchError, match="2 of 40 ids differ"):
        compare(a, a, ids=(IDS, swapped))
    with pytest.raises(SampleMismatchError, match="one per row"):
        compare(a, a, ids=(IDS, IDS[:3]))
    with pytest.raises(InputError, match="40 and 39 rows"):
        compare(a, a[:39], ids=(IDS, IDS[:39]))


def test_unknown_measures() -> None:
    with pytest.raises(InputError, match="Did you mean 'svcca'"):
        compare(normal(40, 2, 0), normal(40, 2, 1), ids=(IDS, IDS), measures=("svca",))


def test_single_precision_codes_keep_their_rank() -> None:
    a = normal(40, 3, 0)
    wide = (a @ normal(3, 10, 1)).float()
    found = compare(wide, a, ids=(IDS, IDS), measures=("mean_cca",))["mean_cca"]
    assert found.value == pytest.approx(1.0, abs=1e-6)
    assert found.chance < 0.4  # of two spaces of three dimensions, not of ten


def test_topology_chance_is_of_the_drawn_samples() -> None:
    a, b = normal(40, 2, 0), normal(40, 2, 1)
    settings = Settings(shuffles=2, topology_samples=15)

    def run() -> tuple[float, float]:
        source = torch.Generator().manual_seed(5)
        found = compare(
            a,
            b,
            ids=(IDS, IDS),
            measures=("topology_divergence",),
            settings=settings,
            generator=source,
        )["topology_divergence"]
        return found.value, found.chance

    source = torch.Generator().manual_seed(5)
    drawn = torch.randperm(40, generator=source)[:15]
    chance = permutation_chance(
        topology_divergence, a[drawn], b[drawn], shuffles=2, generator=source
    )
    assert run() == (topology_divergence(a[drawn], b[drawn]).item(), chance)


def test_shuffles_are_needed() -> None:
    with pytest.raises(InputError, match="At least one shuffle"):
        permutation_chance(
            cka, normal(9, 2, 0), normal(9, 2, 1), shuffles=0, generator=torch.Generator()
        )
