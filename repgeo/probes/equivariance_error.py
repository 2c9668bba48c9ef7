"""How codes and outputs change when images are rotated, flipped and shifted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.samples import Samples
from repgeo.equivariance.error import relative_change
from repgeo.errors import InputError
from repgeo.groups.image_actions import ImageAction, actions_on_images
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject

__all__ = ["EquivarianceError", "ImageTransformation"]

ImageTransformation: TypeAlias = Literal["rotation", "flip", "shift", "circular_shift"]

_SAMPLES = frozenset({"samples:permutation"})


class EquivarianceError(Probe):
    """Invariance error of codes and outputs under exact transformations of images.

    For each transformation (`at.transformation`), with g running over its elements without the
    identity (quarter turns; horizontal and vertical flip; shifts by one pixel in four directions),
    and per test sample x:

    - `codes`: mean over g of |f(g x) - f(x)|^2 / mean over x != x' of |f(x) - f(x')|^2, f the
      encoder. 0: invariant. 1: a moved sample is as different from itself as another sample is,
      which is exactly what codes of samples drawn at random would give (chance); more than 1 where
      moved samples leave the region of the others. The square root is the same in units of
      distance (`repgeo.equivariance.invariance_error`).
    - `outputs`: the same for the whole network's outputs, the logits.
    - `flip_rate`: share of the elements g that change the answer, the largest output; only where
      the data have integer labels and the outputs are `(n, classes)`. Several equally large outputs
      are an answer of their own. Chance: how often two different samples have different answers.

    Values are means over test samples with a Student-t interval. A model that gives all samples
    the same code has error 0: read it beside the accuracy.

    Parameters
    ----------
    layer
        Where the codes are taken.
    transformations
        "rotation" and "flip" need no border; "shift" fills with zeros (not a group), in
        "circular_shift" what leaves on one side enters on the other.

    Raises
    ------
    InputError
        If the inputs are not images `(n, channels, height, width)`, if rotated images are not
        square, or if there are fewer than two samples.

    Examples
    --------
    >>> x = torch.randint(0, 9, (5, 1, 4, 4), generator=torch.Generator().manual_seed(0)).float()
    >>> frame = EquivarianceError(transformations=("rotation",))(lambda x: x.sum((2, 3)), x)
    >>> list(zip(frame["metric"], frame["value"]))  # a global sum does not see rotations
    [('codes', 0.0), ('outputs', 0.0)]
    """

    name: ClassVar[str] = "equivariance_error"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "codes": Metric(
            direction="lower",
            range=(0.0, float("inf")),
            chance=1.0,
            invariant_to=_SAMPLES
            | {"codes:permutation", "codes:scaling", "codes:orthogonal", "codes:translation"},
            summary="squared change of the codes over that between samples",
        ),
        "outputs": Metric(
            direction="lower",
            range=(0.0, float("inf")),
            chance=1.0,
            invariant_to=_SAMPLES | {"labels:relabelling"},
            summary="squared change of the outputs over that between samples",
        ),
        "flip_rate": Metric(
            direction="lower",
            range=(0.0, 1.0),
            invariant_to=_SAMPLES | {"labels:relabelling"},
            summary="share of moved samples with another answer",
        ),
    }

    layer: str = "encoder"
    transformations: Annotated[
        tuple[ImageTransformation, ...], Field(min_length=1, strict=False)
    ] = ("rotation", "flip", "shift")

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield the errors of codes and outputs, and the flip rate, per transformation."""
        x = _images(data.test.x)
        codes, outputs = subject.encode(x), subject(x)
        classifies = _has_classes(data.test.y) and outputs.ndim == 2 and outputs.shape[1] > 1
        answers = _answers(outputs) if classifies else None
        for transformation in context.track(self.transformations, len(self.transformations)):
            changes = _changes(
                subject, x, actions_on_images(transformation), codes, outputs, answers
            )
            at = {"transformation": transformation}
            # Squares: their mean has a chance level of exactly 1, that of distances has not.
            yield Reading("codes", samples=changes["codes"].square().mean(dim=1), at=at)
            yield Reading("outputs", samples=changes["outputs"].square().mean(dim=1), at=at)
            if answers is not None:
                yield Reading(
                    "flip_rate",
                    samples=changes["answers"].mean(dim=1),
                    at=at,
                    chance=_disagreement(answers),
                )

    def oracles(self) -> Iterable[Case]:
        """A global sum, a constant, and single pixels seen as they are."""
        corner = torch.zeros(2, 1, 2, 2)
        corner[0, 0, 0, 0] = 1.0  # the other image is black: at a distance of 1
        corners = torch.zeros(2, 1, 2, 2)
        corners[0, 0, 0, 0] = corners[1, 0, 1, 1] = 1.0  # at a distance of sqrt 2

        def pooled(x: Tensor) -> Tensor:
            return x.sum(dim=(2, 3))

        def constant(x: Tensor) -> Tensor:
            return x.new_ones(len(x), 3)

        def pixels(x: Tensor) -> Tensor:
            return x.flatten(1)

        seen = {"rotation": 1.0, "flip": 1.0, "circular_shift": 1.0, "shift": 0.75}
        flips = {"flip_rate": 1.0}
        for transformation in self.transformations:
            at = {"transformation": transformation}
            nothing = {"codes": 0.0, "outputs": 0.0}
            yield Case(constant, _dataset(corner), nothing, 0.0, at)
            # The lit pixel moves (squared change 2), or leaves (1) under two of four shifts.
            both = dict.fromkeys(nothing, seen[transformation])
            yield Case(pixels, _dataset(corner), both, 1e-12, at)
            yield Case(pixels, _dataset(corners, torch.tensor([0, 3])), both | flips, 1e-12, at)
            if transformation != "shift":
                yield Case(pooled, _dataset(corner), nothing, 0.0, at)


def _dataset(x: Tensor, y: Tensor | None = None) -> Dataset:
    split = Split(x, y)
    return Dataset("", split, split)


def _images(x: Samples) -> Tensor:
    if not isinstance(x, Tensor) or x.ndim != 4:
        given = tuple(x.shape) if isinstance(x, Tensor) else f"a mapping of {', '.join(sorted(x))}"
        raise InputError(
            "equivariance_error moves images (n, channels, height, width); the inputs are "
            f"{given}. Leave this probe out for data that are not images."
        )
    return x


def _has_classes(y: Tensor | None) -> bool:
    return y is not None and y.ndim == 1 and not y.is_floating_point()


def _changes(
    subject: Subject,
    x: Tensor,
    actions: Iterable[ImageAction],
    codes: Tensor,
    outputs: Tensor,
    answers: Tensor | None,
) -> dict[str, Tensor]:
    """Per kind of change `(n, elements)`, float64; one forward pass per element."""
    found: dict[str, list[Tensor]] = {"codes": [], "outputs": [], "answers": []}
    for action in actions:
        moved_codes, moved_outputs = subject.codes_and_output(action(x))
        found["codes"].append(relative_change(moved_codes, codes))
        found["outputs"].append(relative_change(moved_outputs, outputs))
        if answers is not None:
            found["answers"].append((_answers(moved_outputs) != answers).any(dim=1).double())
    return {kind: torch.stack(values, dim=1) for kind, values in found.items() if values}


def _answers(outputs: Tensor) -> Tensor:
    """Which outputs are the largest, `(n, classes)`: unlike argmax, no class wins a tie."""
    return outputs == outputs.amax(dim=1, keepdim=True)


def _disagreement(answers: Tensor) -> float:
    """The probability that two different samples have different answers."""
    n = len(answers)
    counts = torch.unique(answers, dim=0, return_counts=True)[1].double()
    return 1.0 - float((counts * (counts - 1)).sum()) / (n * (n - 1))
