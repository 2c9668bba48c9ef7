"""Learning rates over the course of a training."""

from __future__ import annotations

import math

from repgeo.models.recipe import Recipe

__all__ = ["rate_factor"]


def rate_factor(recipe: Recipe, step: int, total: int) -> float:
    """What the learning rate of update number `step` (from 0) of `total` is multiplied with.

    With w = warmup * total: (step + 1) / w up to w; from there on what `Recipe.schedule` says of
    u = (step - w) / (total - w).

    Examples
    --------
    >>> recipe = Recipe(steps=10, schedule="cosine")
    >>> [round(rate_factor(recipe, step, 10), 3) for step in (0, 5)]
    [1.0, 0.5]
    """
    warm = recipe.warmup * total
    if step < warm:
        return min(1.0, (step + 1) / warm)
    # An objective may give more batches than it said: the rate then stays at its last value.
    share = min(1.0, (step - warm) / max(1.0, total - warm))
    if recipe.schedule == "cosine":
        return (1 + math.cos(math.pi * share)) / 2
    if recipe.schedule == "linear":
        return 1 - share
    if recipe.schedule == "step":
        return 1.0 if share < 0.5 else 0.1 if share < 0.75 else 0.01
    return 1.0
