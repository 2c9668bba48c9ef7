"""What every measure of similarity declares, executed on random elements of each group."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from repgeo.stitching.similarity import MEASURES, Settings, compare

N, D_A, D_B = 40, 6, 4
SETTINGS = {
    "default": Settings(neighbours=5, shuffles=1, topology_samples=N),
    "euclidean neighbours, cosine distances": Settings(
        neighbours=5,
        neighbour_metric="euclidean",
        dissimilarity="cosine",
        correlation="pearson",
        variance=0.9,
        shuffles=1,
        topology_samples=N,
    ),
    "correlation distances": Settings(
        neighbours=5, dissimilarity="correlation", shuffles=1, topology_samples=N
    ),
}
GROUPS = (
    "permutation",
    "orthogonal",
    "scaling",
    "translation",
    "diagonal",
    "invertible",
    "affine",
)
#: The least change that shows that a measure sees a group, in parts of its range (of 1, if open).
SEEN = 1e-3


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def related(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two related clouds, `(N, D_A)` and `(N, D_B)`, neither isotropic nor centred."""
    draw = generator(seed)
    a = torch.randn(N, D_A, generator=draw, dtype=torch.float64)
    a = a * torch.linspace(2.0, 0.5, D_A, dtype=torch.float64) + 0.5
    noise = torch.randn(N, D_B, generator=draw, dtype=torch.float64)
    return a, torch.tanh(a[:, :D_B]) + 0.5 * noise + 0.3


def element(group: str, seed: int, size: int) -> tuple[Tensor, Tensor]:
    """A random matrix `(size, size)` and translation `(size,)` of a group."""
    draw = generator(1000 + seed)
    one, none = torch.eye(size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    rotation, _ = torch.linalg.qr(torch.randn(size, size, generator=draw, dtype=torch.float64))
    factors = torch.exp(torch.empty(size, dtype=torch.float64).uniform_(-1.2, 1.2, generator=draw))
    shift = 2 * torch.randn(size, generator=draw, dtype=torch.float64)
    bend = rotation @ torch.diag(factors)
    return {
        "permutation": (one[torch.randperm(size, generator=draw)], none),
        "orthogonal": (rotation, none),
        "scaling": (one * 7.3, none),
        "translation": (one, shift),
        "diagonal": (torch.diag(factors), none),
        "invertible": (bend, none),
        "affine": (bend, shift),
    }[group]


def value(name: str, a: Tensor, b: Tensor, settings: Settings) -> float:
    ids = torch.arange(len(a))
    return compare(a, b, ids=(ids, ids), measures=(name,), settings=settings)[name].value


def moved(codes: Tensor, group: str, seed: int) -> Tensor:
    matrix, shift = element(group, seed, codes.shape[1])
    return codes @ matrix.T + shift


def size_of_range(name: str) -> float:
    low, high = MEASURES[name].range
    return high - low if math.isfinite(high) else 1.0


#: Measures that the settings change.
SET = {"svcca", "mutual_knn", "neighbour_jaccard", "cycle_knn", "rsa"}


def cases(*, declared: bool) -> list[tuple[str, str, str]]:
    return [
        (name, group, which)
        for name, measure in MEASURES.items()
        for which, settings in SETTINGS.items()
        if which == "default" or name in SET
        for group in GROUPS
        if (group in measure.unseen(settings)) == declared
    ]


def test_what_settings_change_is_known() -> None:
    for name, measure in MEASURES.items():
        if name not in SET:
            assert len({measure.unseen(settings) for settings in SETTINGS.values()}) == 1
        assert measure.unseen(SETTINGS["default"]) <= set(GROUPS)


@pytest.mark.parametrize(("name", "group", "which"), cases(declared=True))
def test_a_measure_does_not_see_what_it_declares(name: str, group: str, which: str) -> None:
    settings = SETTINGS[which]
    a, b = related()
    base = value(name, a, b, settings)
    for seed in range(3):
        first, second = moved(a, group, seed), moved(b, group, seed + 50)
        assert value(name, first, b, settings) == pytest.approx(base, abs=1e-9)
        assert value(name, a, second, settings) == pytest.approx(base, abs=1e-9)
        assert value(name, first, second, settings) == pytest.approx(base, abs=1e-9)


@pytest.mark.parametrize(("name", "group", "which"), cases(declared=False))
def test_a_measure_sees_what_it_does_not_declare(name: str, group: str, which: str) -> None:
    settings = SETTINGS[which]
    a, b = related()
    base = value(name, a, b, settings)
    changes = [abs(value(name, moved(a, group, seed), b, settings) - base) for seed in range(3)]
    assert max(changes) > SEEN * size_of_range(name)


@pytest.mark.parametrize("name", MEASURES)
def test_order_of_samples_sides_and_equality(name: str) -> None:
    settings = SETTINGS["default"]
    a, b = related()
    base = value(name, a, b, settings)
    low, high = MEASURES[name].range
    assert low <= base <= high
    order = torch.randperm(N, generator=generator(3))
    assert value(name, a[order], b[order], settings) == pytest.approx(base, abs=1e-9)
    swapped = value(name, b, a, settings)
    if name in ("pwcca", "cycle_knn"):
        assert abs(swapped - base) > SEEN
    else:
        assert swapped == pytest.approx(base, abs=1e-9)
    if name != "cycle_knn":
        # A square root near zero keeps half of the digits.
        assert value(name, a, a, settings) == pytest.approx(MEASURES[name].same, abs=1e-7)
    else:
        assert value(name, a, a, settings) > 0.9


@pytest.mark.parametrize("name", MEASURES)
def test_a_shuffle_of_one_side_destroys_it(name: str) -> None:
    settings = Settings(neighbours=5, shuffles=40, topology_samples=N)
    draw = generator(5)
    a = torch.randn(N, 3, generator=draw, dtype=torch.float64)
    noise = torch.randn(N, 3, generator=draw, dtype=torch.float64)
    b = a @ torch.linalg.qr(torch.randn(3, 3, generator=draw, dtype=torch.float64))[0] + 0.2 * noise
    ids = torch.arange(N)
    paired = compare(a, b, ids=(ids, ids), measures=(name,), settings=settings)[name]
    values = [
        value(name, a, b[torch.randperm(N, generator=draw)], SETTINGS["default"]) for _ in range(8)
    ]
    mean = sum(values) / len(values)
    gap = abs(paired.value - paired.chance)
    assert abs(mean - paired.chance) < 0.25 * gap
    assert gap > 0.2 * size_of_range(name)
    better = max(values) if MEASURES[name].direction == "higher" else -min(values)
    sign = 1 if MEASURES[name].direction == "higher" else -1
    assert sign * paired.value > better


def test_shape_distances_obey_the_triangle_inequality() -> None:
    for seed in range(60):
        draw = generator(seed)
        sizes = torch.randint(1, 7, (3,), generator=draw).tolist()
        n = int(torch.randint(4, 12, (1,), generator=draw))
        clouds = [torch.randn(n, size, generator=draw, dtype=torch.float64) for size in sizes]
        # Clouds that nearly lie between others, where the inequality is tight.
        clouds[1] = torch.cat([clouds[0], clouds[2]], dim=1) if seed % 2 else clouds[1]
        for name in ("procrustes", "angular"):
            ab, bc, ac = (
                value(name, clouds[i], clouds[j], SETTINGS["default"])
                for i, j in ((0, 1), (1, 2), (0, 2))
            )
            assert ac <= ab + bc + 1e-12
