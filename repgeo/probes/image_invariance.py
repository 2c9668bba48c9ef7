"""How codes and outputs change under exact transformations of images, with no group named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from repgeo.datasets.dataset import Dataset
from repgeo.datasets.samples import Samples
from repgeo.equivariance.error import relative_change
from repgeo.errors import InputError
from repgeo.groups.image_actions import ImageAction, actions_on_images
from repgeo.probes.context import Context
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject

__all__ = ["ImageTransformation", "answers_of", "disagreement", "image_readings"]

ImageTransformation: TypeAlias = Literal["rotation", "flip", "shift", "circular_shift"]


def image_readings(
    transformations: Sequence[ImageTransformation],
    subject: Subject,
    data: Dataset,
    context: Context,
) -> Iterator[Reading]:
    """The errors of codes and outputs, and the flip rate, per transformation.

    Raises
    ------
    InputError
        If the inputs are not images, or a transformation cannot be applied to them.
    """
    x = _images(data.test.x)
    codes, outputs = subject.encode(x), subject(x)
    classifies = _has_classes(data.test.y) and outputs.ndim == 2 and outputs.shape[1] > 1
    answers = answers_of(outputs) if classifies else None
    for transformation in context.track(transformations, len(transformations)):
        changes = _changes(subject, x, actions_on_images(transformation), codes, outputs, answers)
        at = {"transformation": transformation}
        # Squares: their mean has a chance level of exactly 1, that of distances has not.
        yield Reading("codes", samples=changes["codes"].square().mean(dim=1), at=at)
        yield Reading("outputs", samples=changes["outputs"].square().mean(dim=1), at=at)
        if answers is not None:
            yield Reading(
                "flip_rate",
                samples=changes["answers"].mean(dim=1),
                at=at,
                chance=disagreement(answers),
            )


def _images(x: Samples) -> Tensor:
    if not isinstance(x, Tensor) or x.ndim != 4:
        given = tuple(x.shape) if isinstance(x, Tensor) else f"a mapping of {', '.join(sorted(x))}"
        raise InputError(
            "equivariance_error moves images (n, channels, height, width); the inputs are "
            f"{given}. Name a group and its action, or leave this probe out."
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
            found["answers"].append((answers_of(moved_outputs) != answers).any(dim=1).double())
    return {kind: torch.stack(values, dim=1) for kind, values in found.items() if values}


def answers_of(outputs: Tensor) -> Tensor:
    """Which outputs are the largest, `(..., classes)`: unlike argmax, no class wins a tie."""
    return outputs == outputs.amax(dim=-1, keepdim=True)


def disagreement(answers: Tensor) -> float:
    """The probability that two different samples have different answers."""
    n = len(answers)
    counts = torch.unique(answers, dim=0, return_counts=True)[1].double()
    return 1.0 - float((counts * (counts - 1)).sum()) / max(1, n * (n - 1))
