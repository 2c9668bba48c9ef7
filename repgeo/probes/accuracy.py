"""The share of samples that a model classifies rightly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject

__all__ = ["Accuracy", "labels_of"]


def labels_of(data: Dataset, probe: str) -> Tensor:
    """The integer class labels of the test split.

    Raises
    ------
    InputError
        If there are none.
    """
    y = data.test.y
    if y is None or y.is_floating_point() or y.ndim != 1:
        raise InputError(f"{probe} needs integer class labels y of shape (n,).")
    return y


def majority_share(y: Tensor) -> float:
    """What always answering with the commonest class would score."""
    return float(torch.bincount(y).max()) / len(y)


class Accuracy(Probe):
    """Share of samples whose largest output is at their label.

    accuracy = mean over the test split of [argmax f(x) = y], in [0, 1], with a Wilson interval.
    The chance level is the share of the commonest class.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Identity()
    >>> frame = Accuracy()(model, torch.eye(4), torch.tensor([0, 1, 2, 0]))
    >>> float(frame["value"].iloc[0])
    0.75
    """

    name: ClassVar[str] = "accuracy"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "accuracy": Metric(
            direction="higher",
            range=(0.0, 1.0),
            invariant_to={"samples:permutation", "labels:relabelling", "inputs:orthogonal"},
            summary="share of right answers",
        )
    }

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield the accuracy on the test split."""
        y = labels_of(data, self.name)
        logits = subject(data.test.x)
        if logits.ndim != 2 or logits.shape[1] <= int(y.max()):
            raise InputError(
                f"accuracy needs outputs (n, classes) with at least {int(y.max()) + 1} classes; "
                f"the model {subject.label!r} gives {tuple(logits.shape)}."
            )
        right = logits.argmax(dim=1).to(y.device) == y
        yield Reading(
            "accuracy", samples=right.double(), statistic="proportion", chance=majority_share(y)
        )

    def oracles(self) -> Iterable[Case]:
        """Outputs that are the inputs, one of four wrong."""
        test = Split(torch.eye(4), torch.tensor([0, 1, 2, 0]))
        yield Case(torch.nn.Identity(), Dataset("", test, test), {"accuracy": 0.75}, 0.0)
