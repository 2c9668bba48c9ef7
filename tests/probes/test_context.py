from __future__ import annotations

import dataclasses

import pytest
import torch

from repgeo.probes import Context


def drawn(generator: torch.Generator) -> list[float]:
    return torch.rand(4, generator=generator).tolist()


def test_shared_randomness_depends_on_dataset_seed_and_purpose_only() -> None:
    base = drawn(Context("data", 0, "one cell").shared("anchors"))
    assert drawn(Context("data", 0, "another cell").shared("anchors")) == base
    assert drawn(Context("data", 0, memory_budget=1).shared("anchors")) == base
    assert drawn(Context("other", 0).shared("anchors")) != base
    assert drawn(Context("data", 1).shared("anchors")) != base
    assert drawn(Context("data", 0).shared("points")) != base


def test_private_randomness_is_the_cells_own() -> None:
    base = drawn(Context("data", 0, "one cell").private("noise"))
    assert drawn(Context("data", 0, "one cell").private("noise")) == base
    assert drawn(Context("data", 0, "another cell").private("noise")) != base
    assert drawn(Context("data", 0, "one cell").private("other")) != base


def test_private_is_never_shared() -> None:
    context = Context("cell", 0, "cell")
    assert drawn(context.shared("x")) != drawn(context.private("x"))


def test_each_call_starts_anew_and_leaves_the_global_generator() -> None:
    before = torch.random.get_rng_state()
    context = Context("data", 0)
    assert drawn(context.shared("anchors")) == drawn(context.shared("anchors"))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_progress_is_reported_after_each_item() -> None:
    seen: list[float] = []
    context = Context("data", 0, progress=seen.append)
    items = []
    for item in context.track("abcd", 4):
        assert len(seen) == len(items)
        items.append(item)
    assert items == list("abcd")
    assert seen == [0.25, 0.5, 0.75, 1.0]
    assert list(Context("data", 0).track([], 0)) == []


def test_it_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Context("data", 0).seed = 1  # type: ignore[misc]
