"""Where and when geometric probes look: test points, planes through them, kept checkpoints."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.geometry.determinants import PrecisionWarning
from repgeo.geometry.slices import principal_plane, random_plane
from repgeo.geometry.volume import VolumeReport, volume_report
from repgeo.models.loaded import Epoch
from repgeo.probes.context import Context
from repgeo.probes.reading import Scalar
from repgeo.probes.subject import Subject
from repgeo.stitching.anchors import choose_anchors

__all__ = [
    "RIGID_CODES",
    "Epochs",
    "Plane",
    "at_epochs",
    "inputs_of",
    "probe_points",
    "rigid_inputs",
    "subspace_of",
    "volumes",
]

#: The directions a probe looks along: all inputs, the two principal components of the train split,
#: or a random plane, the same for every model.
Plane: TypeAlias = Literal["none", "principal", "random"]

#: Kept checkpoints to measure at; none: the model as it is.
Epochs: TypeAlias = Annotated[
    tuple[Literal["init", "final"] | Annotated[int, Field(ge=1)], ...], Field(strict=False)
]

RIGID_CODES = frozenset({"codes:orthogonal", "codes:permutation", "codes:translation"})

_PLANE_SAMPLES = 2000  # of the train split, for its principal components


def rigid_inputs(plane: Plane) -> frozenset[str]:
    """The invariances to moved inputs: a random plane does not turn with them."""
    shift = frozenset({"inputs:translation"})
    return shift if plane == "random" else shift | {"inputs:orthogonal", "inputs:permutation"}


def probe_points(split: Split, count: int, context: Context, probe: str) -> Split:
    """The points of a geometric probe: at most `count`, the same for every model.

    Which ones depends on ids and task seed, not on the order of the samples; of samples that share
    an id one is taken. Fewer than asked for means: all.

    Raises
    ------
    InputError
        If the samples are not one floating-point tensor.
    """
    if not isinstance(split.x, Tensor):
        raise InputError(
            f"{probe} differentiates with respect to inputs that are one tensor; these are a "
            f"mapping of {', '.join(sorted(split.x))}."
        )
    if not split.x.is_floating_point():
        raise InputError(
            f"{probe} differentiates with respect to inputs, which must be floating point; these "
            f"are {split.x.dtype}."
        )
    most = min(count, len(torch.unique(split.ids)))
    index = choose_anchors(split.ids, count=most, generator=context.shared("points"))
    return split.take(index.to(split.ids.device))


def inputs_of(split: Split, subject: Subject) -> Tensor:
    """The inputs of points in the dtype of the model, so that derivatives have it too."""
    assert isinstance(split.x, Tensor)  # checked by `probe_points`
    return split.x if subject.dtype is None else split.x.to(subject.dtype)


def subspace_of(plane: Plane, data: Dataset, context: Context, probe: str) -> Tensor | None:
    """An orthonormal basis `(d, 2)` of the plane, float64; None for all directions.

    Raises
    ------
    InputError
        If the inputs have fewer than two coordinates, or vary along fewer than two directions.
    """
    if plane == "none":
        return None
    if plane == "random":
        assert isinstance(data.test.x, Tensor)  # checked by `probe_points`
        return random_plane(data.test.x[0].numel(), context.shared("plane"))
    sample = probe_points(data.train, _PLANE_SAMPLES, context, probe)
    assert isinstance(sample.x, Tensor)
    return principal_plane(sample.x)


def volumes(
    subject: Subject,
    x: Tensor,
    *,
    subspace: Tensor | None,
    top: int | None,
    context: Context,
) -> VolumeReport:
    """Log-volumes at points, without a warning of rounding: the report has the expected errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        return volume_report(
            subject.feature_map,
            x,
            subspace=None if subspace is None else subspace.to(x),
            rank=top,
            memory_budget=context.memory_budget,
        )


def at_epochs(
    subject: Subject, epochs: Sequence[Epoch], context: Context
) -> Iterator[tuple[dict[str, Scalar], Subject]]:
    """Coordinates of a reading, and the subject there: at each checkpoint, or as it is.

    Raises
    ------
    CheckpointError
        If a checkpoint was not kept.
    """
    if not epochs:
        yield {}, subject
        return
    for epoch in context.track(epochs, len(epochs)):
        yield {"epoch": epoch}, subject.at(epoch)
