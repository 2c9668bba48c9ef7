"""How a group acts on data and layers, read from what datasets, models and task files say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from torch import Tensor

from repgeo.datasets.dataset import Dataset
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
from repgeo.probes.subject import Subject

__all__ = [
    "Given",
    "action_of",
    "group_of",
    "layer_representations_of",
    "output_representation_of",
    "representation_of",
]

#: A representation as it is written: a name, irreps, or names of the fields of a mapping.
Given: TypeAlias = str | Mapping[str, str]

#: What `as_representation` takes besides irreps.
_PLAIN = ("invariant", "trivial", "vector", "points", "regular")

_KNOWN = (
    "'invariant', 'vector', 'points', 'regular', irreps as '8x0e+1o', 'frequencies:1,2', 'image', "
    "'regular_image', 'voxels', 'shift', 'tokens', 'graph' (a method or an axis after a colon: "
    "'image:cubic', 'tokens:2')"
)


def group_of(data: Dataset | None, given: str | Group | None = None) -> Group:
    """The group that acts: the one given by name, or else the dataset's `meta["group"]`.

    Parameters
    ----------
    data
        The dataset. A torus ("T1", "T2") that shifts tensors has the period of their last axis,
        or `meta["period"]`.
    given
        A name as of `repgeo.groups.named_acting_group`, or a group.

    Raises
    ------
    InputError
        If neither tells a group, or no group that acts has that name.

    Examples
    --------
    >>> group_of(None, "SO3").name
    'SO(3)'
    """
    told = given if given is not None else (None if data is None else data.meta.get("group"))
    if isinstance(told, Group):
        return told
    if not isinstance(told, str):
        raise InputError(
            "A group is needed: the dataset has none in meta['group']. Give the probe one by "
            'name, group = "SO3".'
        )
    torus = told.startswith(("T(", "T^")) or told[1:2].isdigit()
    if data is None or not told.startswith("T") or not torus:
        return named_acting_group(told)
    return named_acting_group(told, period=_period(data))


def _period(data: Dataset) -> float | None:
    if "period" in data.meta:
        return float(data.meta["period"])
    x = data.test.x
    shifts = str(data.meta.get("action", "shift")).startswith("shift")
    return float(x.shape[-1]) if shifts and isinstance(x, Tensor) and x.ndim > 1 else None


def action_of(
    data: Dataset, group: Group, given: Given | None = None, cache: WignerCache | None = None
) -> Representation:
    """How a group acts on the inputs: as given, or else as the dataset's `meta["action"]` says.

    Images `(n, channels, height, width)` of which neither says anything are turned and reflected
    by planar groups.

    Parameters
    ----------
    data
        The dataset.
    group
        The group.
    given
        What `representation_of` reads.
    cache
        For irreps.

    Raises
    ------
    InputError
        If nothing tells the action, or it cannot be read.

    Examples
    --------
    >>> import torch
    >>> from repgeo.datasets.dataset import Split
    >>> split = Split(torch.zeros(2, 1, 3, 3))
    >>> action_of(Dataset("", split, split), group_of(None, "C4")).method
    'exact'
    """
    told = given if given is not None else data.meta.get("action")
    if told is None:
        x = data.test.x
        planar = not group.name.startswith("SE") and _matrix_size(group) == 2
        if not (planar and isinstance(x, Tensor) and x.ndim == 4):
            raise InputError(
                f"It is not known how {group.name} acts on the inputs: the dataset has no "
                f"meta['action']. Give the probe one, action = {_KNOWN}."
            )
        told = "image"
    return representation_of(told, group, cache)


def output_representation_of(data: Dataset, given: Given | None = None) -> Given:
    """How the outputs change, as written: as given, else `meta["rep_out"]`, else "invariant"."""
    told: Given = given if given is not None else data.meta.get("rep_out", "invariant")
    return told


def layer_representations_of(subject: Subject) -> dict[str, Given]:
    """What the model says of its layers, `layer_representations`: name -> how it changes.

    "outputs" is another name for the whole network, "output". Empty for a model that says nothing.

    Raises
    ------
    InputError
        If it is no mapping of names to text.

    Examples
    --------
    >>> import torch
    >>> from repgeo.models.loaded import load_model
    >>> net = torch.nn.Sequential(torch.nn.Identity())
    >>> layer_representations_of(Subject(load_model(net, "net"), "0", samples=None))
    {}
    """
    told: Any = getattr(subject.module, "layer_representations", None)
    told = told() if callable(told) else told
    if told is None:
        return {}
    if not isinstance(told, Mapping) or not all(isinstance(name, str) for name in told):
        raise InputError(
            f"layer_representations of {subject.label!r} must be a mapping of names of layers, "
            f"got {type(told).__name__}."
        )
    return {"output" if name == "outputs" else name: rep for name, rep in told.items()}


def representation_of(
    given: object, group: Group, cache: WignerCache | None = None
) -> Representation:
    """A representation of what data, models and task files write.

    - "invariant", "vector", "regular", "points", irreps "8x0e+1o", and everything else that
      `repgeo.groups.as_representation` takes;
    - "frequencies:1,2": planes that are turned by multiples of the angle, by planar rotations;
    - "image": scalar fields on pixels `(n, ..., height, width)`. By planar groups they are turned,
      exactly by quarter turns and else by "image:fourier" (default), "image:cubic" or
      "image:linear"; by translations they are shifted, periodically;
    - "regular_image": feature maps of a group convolution `(n, channels, order, height, width)`,
      with the same methods;
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
            raise InputError(f"Cannot read the action {given!r}. Known: {_KNOWN}.")
    return as_representation(given, group, cache)


def _matrix_size(group: Group) -> int:
    return int(group.matrix(group.identity()).shape[-1])


def _image(group: Group, option: str) -> Representation:
    if len(group.element_shape) == 1 and not group.is_integer:
        return ImageShifts(group, float(option or 1.0))
    return ImageRotations(group, _image_method(group, option))


def _image_method(group: Group, option: str) -> ImageMethod:
    if option:
        return option  # type: ignore[return-value]  # ImageRotations refuses what it does not know
    return "exact" if group.name in ("C1", "C2", "C4", "D1", "D2", "D4") else "fourier"


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
    "regular_image": lambda group, option: RegularImages(group, _image_method(group, option)),
    "voxels": _voxels,
    "shift": lambda group, option: PeriodicShift(group, _number(float, "shift", option or "1")),
    "tokens": lambda group, option: TokenAction(group, _number(int, "tokens", option or "1")),
    "graph": _graph,
    "frequencies": _frequencies,
}
