"""How a group acts on data and layers, read from what datasets, models and task files say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from repgeo.datasets.dataset import Dataset
from repgeo.errors import InputError, LayerError
from repgeo.groups.acting import Group
from repgeo.groups.acting_names import named_acting_group
from repgeo.groups.representations import Representation
from repgeo.groups.wigner import WignerCache
from repgeo.groups.written_actions import KNOWN_ACTIONS, Given, representation_of
from repgeo.models.cutting import resolve_layer
from repgeo.probes.subject import Subject

__all__ = [
    "Given",
    "action_of",
    "group_of",
    "layer_representations_of",
    "output_representation_of",
    "representation_of",
    "written_representation_of",
]


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
                f"meta['action']. Give the probe one, action = {KNOWN_ACTIONS}."
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


def written_representation_of(
    subject: Subject,
    name: str,
    data: Dataset,
    given: Given | None = None,
    *,
    otherwise: Given = "invariant",
) -> Given:
    """How a layer changes, as written: as given, as the model says, or else `otherwise`.

    A layer is found by its module path or any of its names; for the whole network, "output", the
    data's `meta["rep_out"]`, or "invariant", comes instead of `otherwise`.

    Raises
    ------
    LayerError
        If the model has no such layer, or tells of one that it does not have.

    Examples
    --------
    >>> import torch
    >>> from repgeo.datasets.dataset import Split
    >>> from repgeo.models.loaded import load_model
    >>> split = Split(torch.zeros(2, 3))
    >>> data = Dataset("", split, split, {"rep_out": "vector"})
    >>> subject = Subject(load_model(torch.nn.Linear(3, 3), "net"), "output", samples=None)
    >>> written_representation_of(subject, "output", data)
    'vector'
    """
    if given is not None:
        return given
    layers, module = subject._model.layers, subject.module
    told = {}
    for known, rep in layer_representations_of(subject).items():
        try:
            told[resolve_layer(module, layers, known)] = rep
        except LayerError as error:
            raise LayerError(f"layer_representations names a layer: {error}") from None
    path = resolve_layer(module, layers, name)
    if not path:
        return output_representation_of(data, told.get(path))
    return told.get(path, otherwise)


def _matrix_size(group: Group) -> int:
    return int(group.matrix(group.identity()).shape[-1])
