"""Every declared invariance is executed; every undeclared one is shown to change the result."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from repgeo.probes.metric import GROUPS
from repgeo.stitching import RelativeProjection

D = 5


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def orthogonal(seed: int) -> Tensor:
    return torch.linalg.qr(normal(D, D, seed=seed))[0]


def diagonal(seed: int) -> Tensor:
    signs = torch.randint(0, 2, (D,), generator=generator(seed)) * 2 - 1
    return signs * normal(D, seed=seed).exp()


ELEMENTS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "permutation": lambda z, seed: z[:, torch.randperm(D, generator=generator(seed))],
    "scaling": lambda z, seed: z * float(normal(1, seed=seed).exp()),
    "diagonal": lambda z, seed: z * diagonal(seed),
    "orthogonal": lambda z, seed: z @ orthogonal(seed),
    "translation": lambda z, seed: z + 3 * normal(D, seed=seed),
    "affine": lambda z, seed: z @ normal(D, D, seed=seed) + normal(D, seed=seed + 1),
    "invertible": lambda z, seed: z @ normal(D, D, seed=seed),
}

PROJECTIONS = [
    RelativeProjection(similarity, center=center, scale=scale, l2=l2)
    for similarity in ("cosine", "euclidean", "l1", "linf", "inner")
    for center in (False, True)
    for scale in (False, True)
    for l2 in (True, False)
    if l2 or similarity != "cosine"
]


def change(projection: RelativeProjection, group: str, seed: int) -> float:
    anchors, codes = normal(12, D, seed=0) + 1, 2 * normal(9, D, seed=1)
    before = projection.fit(anchors).transform(codes)
    move = ELEMENTS[group]
    after = projection.fit(move(anchors, seed)).transform(move(codes, seed))
    return float((after - before).abs().max())


@pytest.mark.parametrize("projection", PROJECTIONS, ids=str)
def test_the_invariance_group_is_exact(projection: RelativeProjection) -> None:
    assert set(ELEMENTS) == set(GROUPS["codes"])
    assert projection.invariance_group <= set(GROUPS["codes"])
    for group in ELEMENTS:
        changes = [change(projection, group, seed) for seed in range(10, 15)]
        if group in projection.invariance_group:
            assert max(changes) < 1e-11, group
        else:
            assert max(changes) > 1e-2, group


def test_exact_groups_of_the_named_representations() -> None:
    assert RelativeProjection("cosine").invariance_group == {
        "permutation",
        "orthogonal",
        "scaling",
    }
    assert RelativeProjection("cosine", center=True, scale=True).invariance_group == {
        "permutation",
        "diagonal",
        "scaling",
        "translation",
    }


def test_permuting_and_appending_anchors() -> None:
    anchors, codes = normal(8, D, seed=0), normal(6, D, seed=1)
    relative = RelativeProjection("cosine").fit(anchors).transform(codes)
    order = torch.randperm(8, generator=generator(2))
    permuted = RelativeProjection("cosine").fit(anchors[order]).transform(codes)
    assert torch.allclose(permuted, relative[:, order], atol=1e-15)
    fewer = RelativeProjection("cosine").fit(anchors[:5]).transform(codes)
    assert torch.allclose(fewer, relative[:, :5], atol=1e-15)
    assert float(relative.abs().max()) <= 1.0
