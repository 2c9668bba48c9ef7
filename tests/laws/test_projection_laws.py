"""The invariance matrix: each declared entry is executed, each other one is shown to be none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

from repgeo.probes.metric import GROUPS
from repgeo.stitching import PRESETS, RelativeProjection

D = 5
SEEDS = range(10, 12)
#: Largest change of a relative coordinate where a projection is declared invariant, in float64.
ZERO = 1e-10
#: Smallest such change, as a share of the largest coordinate, where it is not declared.
CLEARLY_NOT_ZERO = 1e-2

SIMILARITIES = ("cosine", "euclidean", "l1", "linf", "inner")
POLICIES = ("anchors", "reference", "own", "ema")
Move = Callable[[Tensor], Tensor]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def orthogonal(seed: int, d: int = D) -> Tensor:
    return torch.linalg.qr(normal(d, d, seed=seed))[0]


def diagonal(seed: int, d: int = D) -> Tensor:
    signs = torch.randint(0, 2, (d,), generator=generator(seed)) * 2 - 1
    return signs * normal(d, seed=seed).exp()


def invertible(seed: int, d: int = D) -> Tensor:
    stretch = torch.logspace(-0.5, 0.5, d, dtype=torch.float64)
    return orthogonal(seed, d) * stretch @ orthogonal(seed + 100, d)


ELEMENTS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "permutation": lambda z, seed: z[:, torch.randperm(z.shape[1], generator=generator(seed))],
    "scaling": lambda z, seed: z * float(normal(1, seed=seed).exp()),
    "diagonal": lambda z, seed: z * diagonal(seed, z.shape[1]),
    "orthogonal": lambda z, seed: z @ orthogonal(seed, z.shape[1]),
    "translation": lambda z, seed: z + 3 * normal(z.shape[1], seed=seed),
    "affine": lambda z, seed: z @ invertible(seed, z.shape[1]) + normal(z.shape[1], seed=seed + 1),
    "invertible": lambda z, seed: z @ invertible(seed, z.shape[1]),
}


def every_projection(similarity: str, stats: str) -> Iterator[RelativeProjection]:
    switches = (False, True)
    for center, scale, whiten, l2 in product(switches, repeat=4):
        for ridge in (0.0, 1.0) if whiten else (0.0,):
            needs = center or scale or whiten
            if (l2 or similarity != "cosine") and (needs or stats == "anchors"):
                yield RelativeProjection(
                    similarity, center=center, scale=scale, whiten=whiten, l2=l2, stats=stats,
                    ridge=ridge,
                )  # fmt: skip


def relative(projection: RelativeProjection, move: Move, d: int = D) -> Tensor:
    """Relative coordinates of fixed codes after a move of the whole space."""
    stretch = torch.linspace(0.5, 2.0, d, dtype=torch.float64)
    anchors = move((normal(12, d, seed=0) + 1) * stretch)
    codes = move(2 * normal(9, d, seed=1) * stretch)
    if projection.stats == "reference":
        reference = move(normal(20, d, seed=2) * stretch - 1)
        return projection.unfitted().fit(anchors, reference=reference).transform(codes)
    fitted = projection.unfitted().fit(anchors)
    if projection.stats == "ema":
        fitted = fitted.updated(move(normal(20, d, seed=2) * stretch - 1))
    return fitted.transform(codes)


def wrong_entries(
    projection: RelativeProjection, declared: Set[str], least: float, d: int = D
) -> list[tuple[str, float]]:
    """Groups whose elements change what is declared, or not by `least` what is not."""
    before, wrong = relative(projection, lambda z: z, d), []
    least = least * float(before.abs().max())
    for group, move in ELEMENTS.items():
        moved = (relative(projection, lambda z, s=s, m=move: m(z, s), d) for s in SEEDS)
        changes = (float((after - before).abs().max()) for after in moved)
        if group in declared:
            worst = max(changes)
            wrong += [(group, worst)] if worst > ZERO else []
        elif not any(change >= least for change in changes):
            wrong.append((group, 0.0))
    return wrong


@pytest.mark.parametrize(("similarity", "stats"), list(product(SIMILARITIES, POLICIES)))
def test_the_invariance_matrix_is_what_is_declared(similarity: str, stats: str) -> None:
    assert set(ELEMENTS) == set(GROUPS["codes"])
    for projection in every_projection(similarity, stats):
        declared = projection.invariance_group
        assert declared <= set(GROUPS["codes"])
        assert not wrong_entries(projection, declared, CLEARLY_NOT_ZERO), projection


#: Rows and columns of the table of the published comparison, d = 16: whether nothing changes.
PUBLISHED = {
    "cosine": {"permutation", "scaling", "orthogonal"},
    "centered": {"permutation", "scaling", "orthogonal", "translation"},
    "robust": {"permutation", "scaling", "diagonal", "translation"},
    "whitened": set(ELEMENTS),
}


@pytest.mark.parametrize(
    ("name", "stats"),
    [(name, stats) for name in PRESETS for stats in POLICIES[:2]] + [("robust", "own")],
)
def test_named_projections_have_the_published_groups(name: str, stats: str) -> None:
    projection = RelativeProjection.preset(name, stats=stats)
    assert projection.invariance_group == PUBLISHED[name]
    assert not wrong_entries(projection, PUBLISHED[name], 0.2)


def test_whitening_with_too_few_codes_declares_less() -> None:
    d = 30  # the statistics' set spans 11 of them
    for scale, left in ((False, {"orthogonal"}), (True, {"diagonal"})):
        projection = RelativeProjection("cosine", center=True, scale=scale, whiten=True)
        fitted = projection.unfitted().fit(normal(12, d, seed=0))
        assert fitted.invariance_group == {"permutation", "scaling", "translation"} | left
        assert fitted.normaliser_.rank == 11
        assert not wrong_entries(projection, fitted.invariance_group, 0.05, d)


@pytest.mark.parametrize("name", PRESETS)
def test_permuting_and_appending_anchors(name: str) -> None:
    anchors, codes, reference = (normal(n, D, seed=n) for n in (8, 6, 40))
    projection = RelativeProjection.preset(name, stats="reference")

    def seen(rows: Tensor) -> Tensor:
        return projection.unfitted().fit(rows, reference=reference).transform(codes)

    found = seen(anchors)
    order = torch.randperm(8, generator=generator(2))
    assert torch.allclose(seen(anchors[order]), found[:, order], rtol=0, atol=1e-15)
    assert torch.allclose(seen(anchors[:5]), found[:, :5], rtol=0, atol=1e-15)
    assert float(found.abs().max()) <= 1.0


@pytest.mark.parametrize("name", PRESETS)
def test_dead_coordinates_change_nothing(name: str) -> None:
    anchors, codes = normal(12, D, seed=0), normal(9, D, seed=1)

    def padded(rows: Tensor) -> Tensor:
        return torch.cat([rows, rows.new_full((len(rows), 2), 0.0 if name == "cosine" else 0.1)], 1)

    for ridge in (0.0, 0.1) if name == "whitened" else (0.0,):
        projection = RelativeProjection.preset(name, ridge=ridge)
        expected = projection.unfitted().fit(anchors).transform(codes)
        found = projection.unfitted().fit(padded(anchors)).transform(padded(codes))
        assert torch.allclose(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["robust", "whitened"])
def test_small_data_are_as_good_as_large_ones(name: str) -> None:
    anchors, codes = normal(12, D, seed=0), normal(9, D, seed=1)
    expected = RelativeProjection.preset(name).fit(anchors).transform(codes)
    for s in (1e-120, 1e-6, 1e6, 1e120):
        found = RelativeProjection.preset(name).fit(s * anchors).transform(s * codes)
        assert torch.allclose(found, expected, rtol=0, atol=1e-12)


def cosines_with_absolute_epsilon(codes: Tensor, anchors: Tensor, epsilon: float) -> Tensor:
    """The published normalisation: an epsilon that is added to variances as it is."""

    def units(rows: Tensor) -> Tensor:
        spread = (anchors.var(dim=0, correction=0) + epsilon).sqrt()
        return torch.nn.functional.normalize((rows - anchors.mean(dim=0)) / spread)

    return units(codes) @ units(anchors).T


def test_the_error_of_an_absolute_epsilon_is_epsilon_over_the_variance() -> None:
    # Of data of scale s and variance v the error goes as epsilon / (s^2 v), where that is small.
    stretch = torch.linspace(0.5, 2.0, D, dtype=torch.float64)
    anchors, codes = normal(40, D, seed=0) * stretch, normal(9, D, seed=1) * stretch
    exact = RelativeProjection.preset("robust").fit(anchors).transform(codes)

    def error(epsilon: float, s: float) -> float:
        found = cosines_with_absolute_epsilon(s * codes, s * anchors, epsilon)
        return float((found - exact).abs().max())

    assert error(0.0, 1.0) <= 1e-14
    base = error(1e-5, 1.0)
    assert 1e-7 < base < 1e-4
    for factor in (0.1, 10.0):
        assert error(factor * 1e-5, 1.0) == pytest.approx(factor * base, rel=1e-3)
    for s in (0.3, 3.0, 10.0):
        assert error(1e-5, s) == pytest.approx(base / s**2, rel=1e-3)
    assert error(1e-5, 1e-3) > 0.1  # where epsilon outweighs the variances: another map


@pytest.mark.parametrize("group", ["translation", "diagonal"])
def test_running_statistics_forget_their_start_by_a_factor_with_every_update(group: str) -> None:
    batch, anchors, codes = (normal(n, D, seed=n) + 1 for n in (64, 20, 9))

    def seen(move: Move) -> dict[int, Tensor]:
        """Relative coordinates by the number of steps, with everything moved."""
        fitted, found = RelativeProjection.preset("robust", stats="ema").fit(move(anchors)), {}
        for step in range(61):
            if step in {0, 12, 16, 20, 24, 28, 60}:
                found[step] = fitted.transform(move(codes))
            fitted = fitted.updated(move(batch))
        return found

    before, after = seen(lambda z: z), seen(lambda z: ELEMENTS[group](z, SEEDS[0]))
    errors = [float((after[step] - before[step]).abs().max()) for step in before]
    # From 24 updates on, two in a step: the regime of small errors.
    for earlier, later in pairwise(errors[1:-1]):
        assert later / earlier == pytest.approx(0.7**8, rel=0.02)
    assert errors[0] > 0.1
    assert errors[-1] < 1e-13  # no floor but rounding: no epsilon is added
