"""Representations made of what users write: names, irreps, matrices, functions."""

from __future__ import annotations

from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.acting import Group
from repgeo.groups.data_actions import PointCloudAction
from repgeo.groups.irreps_representation import IrrepsRepresentation
from repgeo.groups.matrix_representations import (
    MatrixRepresentation,
    regular_representation,
    vector_representation,
)
from repgeo.groups.representations import CallableAction, Representation, Trivial
from repgeo.groups.wigner import WignerCache

__all__ = ["as_representation"]


def as_representation(
    given: object, group: Group, cache: WignerCache | None = None
) -> Representation:
    """A representation of whatever is accepted as one.

    Parameters
    ----------
    given
        A `Representation`; "invariant" (or "trivial"), "vector", "regular", "points"; irreps
        ("8x0e+1o", or an e3nn Irreps); matrices of all elements of a finite group that is numbered
        (C_n, D_n), `(order, d, d)`; or a function (element, batch) -> batch.
    group
        What it must represent: the elements of the group must be of the shape that it takes.
    cache
        For irreps.

    Raises
    ------
    InputError
        If it is none of these, or represents a group with other elements.

    Examples
    --------
    >>> from repgeo.groups import SO3
    >>> as_representation("1o", SO3()).dimension
    3
    """
    if isinstance(given, Representation):
        shape, wanted = given.group.element_shape, group.element_shape
        if shape != wanted or given.group.is_integer != group.is_integer:
            raise InputError(
                f"The representation is of {given.group.name}, whose elements are {shape}; those "
                f"of {group.name} are {wanted}."
            )
        return given
    if given in ("invariant", "trivial"):
        return Trivial(group)
    if given == "vector":
        return vector_representation(group)
    if given == "regular":
        return regular_representation(group)
    if given == "points":
        return PointCloudAction(group)
    if isinstance(given, Tensor):
        return _listed_matrices(given, group)
    if isinstance(given, str) or type(given).__name__ in ("Irreps", "Irrep"):
        return IrrepsRepresentation(group, given, cache)
    if callable(given):
        return CallableAction(group, given)
    raise InputError(
        "A representation is 'invariant', 'vector', 'regular', 'points', irreps as '8x0e+1o', "
        f"matrices (order, d, d), a function or a Representation; got {type(given).__name__}."
    )


def _listed_matrices(matrices: Tensor, group: Group) -> MatrixRepresentation:
    if not group.is_integer or group.element_shape or matrices.shape[:1] != (group.order,):
        raise InputError(
            f"Matrices are listed for groups with numbered elements (C_n, D_n), one for each; got "
            f"{tuple(matrices.shape)} for {group.name}."
        )
    return MatrixRepresentation(group, matrices.shape[-1], lambda g: matrices[g])
