"""What translators declare not to see is executed on both sides; what they do not is seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from repgeo.probes.metric import GROUPS
from repgeo.stitching import (
    InverseRelativeTranslator,
    LeastSquaresTranslator,
    OrthogonalTranslator,
    PolarTranslator,
    Translator,
)

Move = Callable[[Tensor], Tensor]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def rotation(d: int, seed: int) -> Tensor:
    return torch.linalg.qr(normal(d, d, seed=seed))[0]


def diagonal(d: int, seed: int) -> Tensor:
    signs = torch.randint(0, 2, (d,), generator=generator(seed)) * 2 - 1
    return signs * normal(d, seed=seed).exp()


ELEMENTS: dict[str, Callable[[int, int], Move]] = {
    "permutation": lambda d, seed: lambda z: z[:, torch.randperm(d, generator=generator(seed))],
    "scaling": lambda d, seed: lambda z: z * (1.5 + float(normal(1, seed=seed).exp())),
    "diagonal": lambda d, seed: lambda z: z * diagonal(d, seed),
    "orthogonal": lambda d, seed: lambda z: z @ rotation(d, seed),
    "translation": lambda d, seed: lambda z: z + 3 * normal(d, seed=seed),
    "affine": lambda d, seed: lambda z: z @ normal(d, d, seed=seed) + 3 * normal(d, seed=seed + 1),
    "invertible": lambda d, seed: lambda z: z @ normal(d, d, seed=seed),
}

TRANSLATORS = [
    *(
        kind(center=center, scaling=scaling, sizes=sizes)
        for kind in (OrthogonalTranslator, PolarTranslator)
        for center in (True, False)
        for scaling in (True, False)
        for sizes in ("pad", "pca")
    ),
    *(
        kind(standardize=True, scaling=scaling)
        for kind in (OrthogonalTranslator, PolarTranslator)
        for scaling in (True, False)
    ),
    *(
        LeastSquaresTranslator(center=center, penalty=penalty)
        for center in (True, False)
        for penalty in (0.0, 0.1)
    ),
    *(
        InverseRelativeTranslator(center=center, norm=norm)
        for center in (True, False)
        for norm in ("mean", "kept", "unit")
    ),
]


def spaces(d1: int, d2: int) -> tuple[Tensor, Tensor, Tensor]:
    """Paired codes of a shape that no symmetry hides, and codes to carry across."""
    shape = torch.linspace(0.5, 2.0, d1, dtype=torch.float64)
    source, codes = normal(25, d1, seed=0) * shape + 1, normal(9, d1, seed=1) * shape + 1
    target = source @ normal(d1, d2, seed=2) + 0.5 * normal(25, d2, seed=3) - 1
    return source, target, codes


@pytest.mark.parametrize("translator", TRANSLATORS, ids=str)
@pytest.mark.parametrize(("d1", "d2"), [(5, 5), (4, 6), (6, 4)])
def test_the_source_group_is_exact(translator: Translator, d1: int, d2: int) -> None:
    source, target, codes = spaces(d1, d2)
    before = translator.fit(source, target).transform(codes)
    assert set(ELEMENTS) == set(GROUPS["codes"])
    for group, element in ELEMENTS.items():
        changes = []
        for seed in range(10, 15):
            move = element(d1, seed)
            after = translator.fit(move(source), target).transform(move(codes))
            changes.append(float((after - before).abs().max()))
        if group in translator.source_invariance_group:
            assert max(changes) < 1e-10, group
        elif d1 == d2:
            assert max(changes) > 1e-2, group


@pytest.mark.parametrize("translator", TRANSLATORS, ids=str)
@pytest.mark.parametrize(("d1", "d2"), [(5, 5), (4, 6), (6, 4)])
def test_the_target_group_is_exact(translator: Translator, d1: int, d2: int) -> None:
    source, target, codes = spaces(d1, d2)
    before = translator.fit(source, target).transform(codes)
    for group, element in ELEMENTS.items():
        changes = []
        for seed in range(10, 15):
            move = element(d2, seed)
            after = translator.fit(source, move(target)).transform(codes)
            changes.append(float((after - move(before)).abs().max()))
        if group in translator.target_equivariance_group:
            assert max(changes) < 1e-10, group
        elif d1 == d2:
            assert max(changes) > 1e-2, group


@pytest.mark.parametrize("translator", TRANSLATORS, ids=str)
def test_the_order_of_the_samples_plays_no_part(translator: Translator) -> None:
    source, target, codes = spaces(5, 5)
    order = torch.randperm(25, generator=generator(5))
    before = translator.fit(source, target).transform(codes)
    after = translator.fit(source[order], target[order]).transform(codes)
    assert torch.allclose(after, before, rtol=0, atol=1e-11)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("penalty", [0.0, 0.1])
def test_rank_deficient_anchors_keep_what_is_promised(center: bool, penalty: float) -> None:
    source, target, codes = spaces(8, 5)
    source = source[:5]  # fewer samples than features
    translator = LeastSquaresTranslator(center=center, penalty=penalty)
    before = translator.fit(source, target[:5]).transform(codes)
    kept = ["permutation", "orthogonal", "scaling"] + (["translation"] if center else [])
    for group in kept:
        move = ELEMENTS[group](8, 10)
        after = translator.fit(move(source), target[:5]).transform(move(codes))
        assert torch.allclose(after, before, rtol=0, atol=1e-10), group
    # The other groups move codes that are in the span of the fit's as they should.
    inside = source.mean(dim=0) + 0.3 * (source[:3] - source.mean(dim=0))
    if penalty == 0.0:
        move = ELEMENTS["affine" if center else "invertible"](8, 10)
        before = translator.fit(source, target[:5]).transform(inside)
        after = translator.fit(move(source), target[:5]).transform(move(inside))
        assert torch.allclose(after, before, rtol=0, atol=1e-10)


def test_affine_is_never_beaten_on_its_own_anchors() -> None:
    source, target, _ = spaces(5, 5)
    residuals = {
        str(translator): float((translator.fit(source, target).transform(source) - target).norm())
        for translator in TRANSLATORS
    }
    best = residuals[str(LeastSquaresTranslator())]
    assert all(best <= residual + 1e-12 for residual in residuals.values())
    # And of the rigid motions the orthogonal translator is the best.
    assert residuals[str(OrthogonalTranslator())] < residuals[str(PolarTranslator())]


def test_translating_there_and_back_by_rigid_motions_is_the_identity() -> None:
    source, target, codes = spaces(5, 5)
    there = OrthogonalTranslator().fit(source, target)
    back = OrthogonalTranslator().fit(target, source)
    assert torch.allclose(back.transform(there.transform(codes)), codes, atol=1e-12)
