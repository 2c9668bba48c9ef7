"""Samples moved by the group that acts on them, each by an element of its own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from repgeo.datasets.samples import Samples, count
from repgeo.errors import DatasetError
from repgeo.groups import (
    FieldsAction,
    Group,
    ImageRotations,
    Representation,
    VoxelAction,
    as_representation,
)

__all__ = ["inputs_action", "move_each"]


def inputs_action(group: Group, action: str | Mapping[str, str]) -> Representation:
    """How a group acts on inputs, from what a dataset says in `meta["action"]`.

    Parameters
    ----------
    group
        The group.
    action
        "points" (and what else `repgeo.groups.as_representation` takes), "voxels", "image"; or
        field -> one of these, for samples that are mappings.

    Raises
    ------
    DatasetError
        For another name.

    Examples
    --------
    >>> from repgeo.groups import Octahedral
    >>> type(inputs_action(Octahedral(), "voxels")).__name__
    'VoxelAction'
    """
    if isinstance(action, Mapping):
        return FieldsAction({name: inputs_action(group, each) for name, each in action.items()})
    if action == "voxels":
        return VoxelAction(group, "exact" if group.name in ("T", "O") else "linear")
    if action == "image":
        return ImageRotations(group, "exact" if group.name in ("C4", "D4") else "fourier")
    if action in ("points", "vector", "invariant"):
        return as_representation(action, group)
    raise DatasetError(
        f"The action {action!r} cannot move samples. Known: points, vector, invariant, voxels, "
        "image, or one of these for each field."
    )


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
    >>> from repgeo.groups import SO3
    >>> x = torch.ones(5, 4, 3)
    >>> moved, g = move_each(x, SO3(), inputs_action(SO3(), "points"), torch.Generator())
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
