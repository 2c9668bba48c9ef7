"""Representations as datasets, models and task files write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from repgeo.errors import InputError
from repgeo.groups.acting import Group
from repgeo.groups.acting_names import named_acting_group
from repgeo.groups.conversion import as_representation
from repgeo.groups.data_actions import GraphAction, PeriodicShift, TokenAction, VoxelAction
from repgeo.groups.image_rotations import ImageMethod, ImageRotations, ImageShifts
from repgeo.groups.matrix_representations import frequency_representation
from repgeo.groups.regular_images import RegularImages
from repgeo.groups.representations import FieldsAction, Representation
from repgeo.groups.wigner import WignerCache

__all__ = ["KNOWN_ACTIONS", "Given", "representation_of"]

#: A representation as it is written: a name, irreps, or names of the fields of a mapping.
Given: TypeAlias = str | Mapping[str, str]

#: What `as_representation` takes besides irreps.
_PLAIN = ("invariant", "trivial", "vector", "points", "regular")

#: What can be written, for messages.
KNOWN_ACTIONS: Final = (
    "'invariant', 'vector', 'points', 'regular', irreps as '8x0e+1o', 'frequencies:1,2', 'image', "
    "'regular_image', 'voxels', 'shift', 'tokens', 'graph' (a method or an axis after a colon: "
    "'image:cubic', 'tokens:2')"
)


def representation_of(
    given: object, group: Group, cache: WignerCache | None = None
) -> Representation:
    """A representation of what data, models and task files write.

    - "invariant", "vector", "regular", "points", irreps "8x0e+1o", and everything else that
      `repgeo.groups.as_representation` takes;
    - "frequencies:1,2": planes that are turned by multiples of the angle, by planar rotations;
    - "image": scalar fields on pixels `(n, ..., height, width)`. By planar groups they are turned,
      exactly by quarter turns and else by "image:fourier" (default), "image:cubic" or
      "image:linear"; by translations they are shifted, periodically; "image:0.5" after layers that
      halve the resolution: shifts by half as many pixels, turns by the same angle;
    - "regular_image": feature maps of a group convolution `(n, channels, order, height, width)`,
      with the same methods; "regular_image:D4" where it is a subgroup of D4 that acts;
    - "voxels": the last three axes, exact for T and O, else "voxels:linear" (default) or "cubic";
    - "shift": periodic signals in the last axes; "shift:0.5" after a layer that keeps every second
      sample;
    - "tokens" (axis 1, or "tokens:2") and "graph": permutations of items and of nodes;
    - a mapping, name of field -> any of these, for samples that are mappings.

    Raises
    ------
    InputError
        If it cannot be read, or does not go with the group.

    Examples
    --------
    >>> from repgeo.groups import SO3, Cyclic
    >>> representation_of("image", Cyclic(4)).exact, representation_of("image", Cyclic(8)).exact
    (True, False)
    >>> representation_of("8x0e+1o", SO3()).dimension
    11
    """
    if isinstance(given, Mapping):
        fields = {str(name): representation_of(each, group, cache) for name, each in given.items()}
        return FieldsAction(fields)
    if isinstance(given, str):
        name, _, option = given.partition(":")
        if name in _NAMED:
            return _NAMED[name](group, option)
        if given not in _PLAIN and re.match(r"(\d+x)?\d+[eo]", given) is None:
            raise InputError(f"Cannot read the action {given!r}. Known: {KNOWN_ACTIONS}.")
    return as_representation(given, group, cache)


def _image(group: Group, option: str) -> Representation:
    if len(group.element_shape) == 1 and not group.is_integer:
        return ImageShifts(group, _number(float, "image", option or "1"))
    resolution = re.fullmatch(r"\d*\.?\d+", option) is not None
    return ImageRotations(group, _image_method(group, "" if resolution else option))


def _image_method(group: Group, option: str) -> ImageMethod:
    if option:
        return option  # type: ignore[return-value]  # ImageRotations refuses what it does not know
    return "exact" if group.name in ("C1", "C2", "C4", "D1", "D2", "D4") else "fourier"


def _regular_image(group: Group, option: str) -> Representation:
    first, _, rest = option.partition(":")
    if re.fullmatch(r"[CD][1-9]\d*", first) is None:
        return RegularImages(group, _image_method(group, option))
    return RegularImages(group, _image_method(group, rest), over=named_acting_group(first))


def _frequencies(group: Group, option: str) -> Representation:
    orders = [_number(int, "frequencies", each) for each in option.split(",")]
    return frequency_representation(group, orders)


def _voxels(group: Group, option: str) -> Representation:
    return VoxelAction(group, option or ("exact" if group.name in ("T", "O") else "linear"))


def _plain(name: str, option: str) -> None:
    if option:
        raise InputError(f"{name!r} takes nothing after a colon, got {option!r}.")


def _graph(group: Group, option: str) -> Representation:
    _plain("graph", option)
    return GraphAction(group)


def _number(kind: type[int] | type[float], name: str, option: str) -> Any:
    try:
        return kind(option)
    except ValueError:
        raise InputError(
            f"{name!r} takes a number after the colon, got {option!r}; write '{name}:1'."
        ) from None


_NAMED: Final[dict[str, Callable[[Group, str], Representation]]] = {
    "image": _image,
    "regular_image": _regular_image,
    "voxels": _voxels,
    "shift": lambda group, option: PeriodicShift(group, _number(float, "shift", option or "1")),
    "tokens": lambda group, option: TokenAction(group, _number(int, "tokens", option or "1")),
    "graph": _graph,
    "frequencies": _frequencies,
}
