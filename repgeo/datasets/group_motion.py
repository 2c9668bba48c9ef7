"""Samples moved by the group that acts on them, each by an element of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.datasets.samples import Samples, count
from repgeo.groups import Group, Representation

__all__ = ["move_each"]


def move_each(
    x: Samples, group: Group, action: Representation, generator: torch.Generator
) -> tuple[Samples, Tensor]:
    """Every sample moved by a random element of its own, and the elements.

    Parameters
    ----------
    x
        Samples `(n, ...)`, a tensor or a mapping.
    group
        Elements are drawn from its law.
    action
        How it acts on samples.
    generator
        A CPU generator.

    Returns
    -------
    tuple
        The moved samples, in the dtype and on the device of x; elements `(n, *element_shape)`.

    Examples
    --------
    >>> from repgeo.groups import SO3, representation_of
    >>> x = torch.ones(5, 4, 3)
    >>> moved, g = move_each(x, SO3(), representation_of("points", SO3()), torch.Generator())
    >>> bool(torch.allclose(moved.norm(dim=-1), x.norm(dim=-1))), tuple(g.shape)
    (True, (5, 3, 3))
    """
    g = group.sample(count(x), generator=generator)
    if isinstance(x, Tensor):
        moved = action.apply(g, x[:, None])  # (n, 1, ...): element i on sample i
        assert isinstance(moved, Tensor)
        return moved[:, 0], g
    fields = action.apply(g, {name: each[:, None] for name, each in x.items()})
    assert not isinstance(fields, Tensor)
    return {name: each[:, 0] for name, each in fields.items()}, g
