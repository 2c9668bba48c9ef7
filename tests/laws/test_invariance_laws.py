from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from repgeo.equivariance import invariance_error
from repgeo.groups import actions_on_images, flips


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


WEIGHT = normal(16, 4, seed=0)


def f(x: Tensor) -> Tensor:
    return torch.tanh(x.flatten(1) @ WEIGHT)


SAME: dict[str, Callable[[Tensor, int], Tensor]] = {
    "orthogonal": lambda z, seed: z @ torch.linalg.qr(normal(4, 4, seed=seed))[0],
    "scaling": lambda z, seed: z * float(normal(1, seed=seed).exp()),
    "translation": lambda z, seed: z + 10 * normal(4, seed=seed),
    "permutation": lambda z, seed: z[:, torch.randperm(4, generator=torch.Generator())],
}


@pytest.mark.parametrize("family", ["rotation", "flip", "shift", "circular_shift"])
@pytest.mark.parametrize("group", SAME)
def test_similarities_of_the_codes_change_nothing(family: str, group: str) -> None:
    x, actions = normal(8, 1, 4, 4, seed=1), actions_on_images(family)
    before = invariance_error(f, x, actions)
    for seed in range(5):
        after = invariance_error(lambda x, seed=seed: SAME[group](f(x), seed), x, actions)
        assert torch.allclose(after, before, rtol=0, atol=1e-12)


def test_diagonal_maps_do_change_it() -> None:
    x = normal(8, 1, 4, 4, seed=1)
    scale = torch.tensor([10.0, 1.0, 1.0, 0.1], dtype=torch.float64)
    before = invariance_error(f, x, flips())
    after = invariance_error(lambda x: f(x) * scale, x, flips())
    assert float((after - before).abs().max()) > 0.05


def test_the_order_of_samples_goes_along() -> None:
    x = normal(8, 1, 4, 4, seed=1)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(3))
    before, after = invariance_error(f, x, flips()), invariance_error(f, x[order], flips())
    assert torch.allclose(after, before[order], rtol=0, atol=1e-12)


def test_an_invariant_part_lowers_it() -> None:
    x = normal(40, 1, 4, 4, seed=1)

    def mixed(x: Tensor) -> Tensor:
        return torch.cat([f(x), 100 * x.sum(dim=(1, 2, 3), keepdim=True).flatten(1)], dim=1)

    mean = invariance_error(f, x, flips()).square().mean()
    assert float(invariance_error(mixed, x, flips()).square().mean()) < 0.05 * float(mean)
