"""Log-volume, prediction and entropy along a line or plane between test samples."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.geometry.slices import Slice, line_slice, normalised_entropy, plane_slice
from repgeo.geometry.spectrum import volume_spectrum
from repgeo.probes.accuracy import labels_of
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.points import RIGID_CODES, Epochs, at_epochs, inputs_of, probe_points, volumes
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject
from repgeo.stitching.anchors import choose_anchors

__all__ = ["VolumeSlice"]

_INVARIANT = RIGID_CODES | {
    "samples:permutation",
    "inputs:orthogonal",
    "inputs:permutation",
    "inputs:translation",
}


class VolumeSlice(Probe):
    """Log-volume on the line through two test samples, or the plane through three.

    One sample of each of `classes` is drawn by task seed, the same for every model, and inputs are
    laid on an even grid through them (`repgeo.geometry.line_slice`, `plane_slice`; the plane
    reaches about a triangle's side beyond them). Points between samples leave the data and often
    any class: read maps with that in mind.

    - `log_volume`: median over the grid, in nats; `at.kind` as for `pullback_volume`.
    - `boundary_contrast`: mean log-volume of grid points next to a change of the network's answer
      less that of all others, in nats; no reading where the answer does not change, or changes
      everywhere.
    - `boundary`: share of grid points next to a change.

    The grid is no sample of anything, so that there are no intervals. Stored for figures with
    `log_volume`: `grid` `(m, 1 or 2)`, `values` `(m,)`, `prediction` `(m,)`, `entropy` `(m,)` (of
    the softmax, over its largest possible value), `anchors` `(2 or 3, 1 or 2)`, `log_area` (of the
    inputs that one unit of coordinates covers) and `spectra` (the singular values at the anchors).

    Parameters
    ----------
    layer
        Where the codes are taken.
    classes
        Two for a line, three for a plane.
    steps
        Grid points along each axis.
    along
        "inputs": the volume in all directions of the inputs (or the `top` largest). "slice": that
        of the line or plane itself, which takes one or two passes and is what its area magnifies by
        in the codes.
    top
        Sum the largest singular values only, so many.
    epochs
        Kept checkpoints to measure at, each with `at.epoch`; none: the model as it is.

    Raises
    ------
    InputError
        If a class has no test sample, or outputs are not `(n, classes)`.

    References
    ----------
    J. A. Zavatone-Veth, S. Yang, J. A. Rubinfien, C. Pehlevan, "Neural networks learn to magnify
    areas near decision boundaries" (2023), arXiv:2301.11375. Their maps of planes show the volume
    in all directions ("inputs"), to base 10 and with the metric divided by the number of features.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 0.0], [4.0, 0.0]], dtype=torch.float64)
    >>> frame = VolumeSlice(steps=5)(lambda x: 3 * x, x, torch.tensor([0, 1]))
    >>> frame["metric"].tolist(), round(float(frame["value"].iloc[0]), 6)  # 2 log 3
    (['log_volume', 'boundary'], 2.197225)
    """

    name: ClassVar[str] = "volume_slice"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "log_volume": Metric(
            unit="nats", invariant_to=_INVARIANT, summary="log-volume, median over the slice"
        ),
        "boundary_contrast": Metric(
            unit="nats",
            invariant_to=_INVARIANT,
            summary="log-volume at changes of the answer less elsewhere",
        ),
        "boundary": Metric(
            range=(0.0, 1.0), summary="share of the slice next to a change of the answer"
        ),
    }

    layer: str = "encoder"
    classes: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=2, max_length=3, strict=False)
    ] = (0, 1)
    steps: int = Field(default=33, ge=3)
    along: Literal["inputs", "slice"] = "inputs"
    top: int | None = Field(default=None, ge=1)
    epochs: Epochs = ()

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield the log-volume over the slice, and what sets its boundaries apart."""
        corners = [self._sample(data, label, subject, context) for label in self.classes]
        build = line_slice if len(corners) == 2 else plane_slice
        made: Slice = build(*corners, steps=self.steps)
        for epoch, trained in at_epochs(subject, self.epochs, context):
            subspace = made.subspace if self.along == "slice" else None
            report = volumes(trained, made.points, subspace=subspace, top=self.top, context=context)
            logits = trained(made.points)
            entropy = normalised_entropy(logits)
            answers = logits.argmax(dim=1)
            near = _next_to_a_change(answers, self.steps, made.coordinates.shape[1])
            values = report.log_volume
            at = {"kind": report.kind, **epoch}
            artifact = {
                "grid": made.coordinates,
                "values": values,
                "prediction": answers,
                "entropy": entropy,
                "anchors": made.anchors,
                "log_area": torch.tensor(made.log_area),
                "spectra": volume_spectrum(trained.feature_map, torch.stack(corners)),
            }
            yield Reading("log_volume", _median(values), at=at, artifact=artifact)
            yield Reading("boundary", near.double().mean(), at=at)
            ordinary = values.isfinite()
            some, others = values[ordinary & near], values[ordinary & ~near]
            if len(some) and len(others):
                yield Reading("boundary_contrast", some.mean() - others.mean(), at=at)

    def _sample(self, data: Dataset, label: int, subject: Subject, context: Context) -> Tensor:
        """A test sample of a class, the same for every model."""
        members = torch.nonzero(labels_of(data, self.name) == label).squeeze(1)
        if not len(members):
            raise InputError(f"{self.name}: there is no test sample of class {label}.")
        among = data.test.take(members.to(data.test.ids.device))
        generator = context.shared(f"slice {label}")
        index = choose_anchors(among.ids, count=1, generator=generator)
        chosen = probe_points(among.take(index.to(among.ids.device)), 1, context, self.name)
        return inputs_of(chosen, subject)[0]

    def oracles(self) -> Iterable[Case]:
        """A map that scales, and one that stretches where its answer is 0."""
        if len(self.classes) != 2 or self.epochs or self.top is not None:
            return
        x = torch.tensor([[-1.0, -0.1], [1.2, -0.1]], dtype=torch.float64)
        split = Split(x, torch.tensor(self.classes))
        data = Dataset("", split, split)
        directions = 1 if self.along == "slice" else 2
        found = {"log_volume": directions * math.log(2.0), "boundary": 0.0}
        yield Case(lambda x: torch.cat([2 * x, 9 + 0 * x], dim=1), data, found, 1e-12)

        def stretch(x: Tensor) -> Tensor:
            first = x[:, :1]
            return torch.cat([torch.where(first > -0.1, 5 * first + 0.4, first), x[:, 1:]], dim=1)

        places = [-1 + 2.2 * i / (self.steps - 1) for i in range(self.steps)]
        values = [math.log(5.0) if place > -0.1 else 0.0 for place in places]
        first = next(i for i, place in enumerate(places) if place > -0.1)
        near, far = values[first - 1 : first + 1], values[: first - 1] + values[first + 1 :]
        contrast = sum(near) / 2 - sum(far) / max(1, len(far))
        found = {
            "log_volume": statistics.median(values),
            "boundary": 2 / self.steps,
            "boundary_contrast": contrast,
        }
        yield Case(stretch, data, found, 1e-9)


def _median(values: Tensor) -> Tensor:
    """The middle of the values, or the mean of the two in the middle."""
    ordered = values.sort().values
    return (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2


def _next_to_a_change(answers: Tensor, steps: int, dimensions: int) -> Tensor:
    """Which grid points have a neighbour along an axis with another answer, `(m,)`."""
    grid = answers.reshape([steps] * dimensions)
    near = torch.zeros_like(grid, dtype=torch.bool)
    for axis in range(dimensions):
        rows = near.movedim(axis, 0)
        values = grid.movedim(axis, 0)
        change = values[1:] != values[:-1]
        rows[1:] |= change
        rows[:-1] |= change
    return near.flatten()
