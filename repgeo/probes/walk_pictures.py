"""What of walks is stored for figures: strips of images, and paths in the plane or in space."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from repgeo.probes.subject import Subject
from repgeo.probes.walking import Trace

__all__ = ["pictures"]

_STRIPS: Final = 4  # starts whose walk is shown as images
_FRAMES: Final = 8  # images of each, the start included
_PATHS: Final = 24  # walkers whose path is shown
_VERTICES: Final = 400  # points of a path at most
_FIELD: Final = 61  # points of the grid of level sets along each axis
_MARGIN: Final = 0.15  # of the extent of the paths, around them
_CHANNELS: Final = (1, 3)  # of what is an image


def pictures(
    subject: Subject, trace: Trace, walkers: int, recorded: list[int]
) -> dict[str, Tensor]:
    """Arrays for figures of the first walkers; none where samples can be shown in no way.

    Images `(1 or 3, h, w)`: `strip` `(s, frames, channels, h, w)` of the first walker of each
    start, `strip_steps` `(frames,)`, `strip_answers` `(s, frames)` and `strip_shares` (the softmax
    of the answer) where the network has several outputs.

    Points `(2,)` or `(3,)`: `path` `(vertices, walkers, 2 or 3)`; of two dimensions `field_x`,
    `field_y` and `field` `(61, 61)`, the first output on a grid (first axis: y).

    Parameters
    ----------
    subject
        The model.
    trace
        Walks, of which the first are shown.
    walkers
        Walkers of each start.
    recorded
        Steps that readings are of.
    """
    shape = trace.points.shape[2:]
    if len(shape) == 3 and shape[0] in _CHANNELS and min(shape[1:]) > 1:
        return _strips(subject, trace, walkers, [0, *recorded])
    if len(shape) == 1 and shape[0] in (2, 3):
        return _paths(subject, trace)
    return {}


def _strips(subject: Subject, trace: Trace, walkers: int, steps: list[int]) -> dict[str, Tensor]:
    frames = [steps[i] for i in _spread(len(steps), _FRAMES)]
    images = trace.points[frames][:, ::walkers][:, :_STRIPS]  # (frames, s, ...)
    found = {
        "strip": images.transpose(0, 1).float(),
        "strip_steps": torch.tensor(frames),
    }
    outputs = subject(images.flatten(0, 1))
    if outputs.ndim == 2 and outputs.shape[1] > 1:
        shares, answers = outputs.softmax(dim=1).max(dim=1)
        found["strip_answers"] = answers.view(len(frames), -1).T
        found["strip_shares"] = shares.view(len(frames), -1).T
    return found


def _paths(subject: Subject, trace: Trace) -> dict[str, Tensor]:
    vertices = _spread(len(trace.points), _VERTICES)
    path = trace.points[vertices][:, :_PATHS]  # (vertices, w, 2 or 3)
    if path.shape[2] == 3:
        return {"path": path}
    low, high = path.flatten(0, 1).amin(dim=0), path.flatten(0, 1).amax(dim=0)
    extent = (high - low).max().clamp(min=1e-12)
    middle, half = (low + high) / 2, extent * (0.5 + _MARGIN)
    unit = torch.linspace(-1, 1, _FIELD, dtype=path.dtype, device=path.device)
    across, up = middle[0] + half * unit, middle[1] + half * unit
    y, x = torch.meshgrid(up, across, indexing="ij")
    with torch.no_grad():
        field = subject.feature_map(torch.stack([x, y], dim=2).view(-1, 2))[:, 0]
    return {
        "path": path,
        "field_x": across,
        "field_y": up,
        "field": field.view(_FIELD, _FIELD),
    }


def _spread(count: int, most: int) -> list[int]:
    """At most so many of the first numbers, evenly from the first to the last.

    Examples
    --------
    >>> _spread(3, 5), _spread(101, 3)
    ([0, 1, 2], [0, 50, 100])
    """
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]
