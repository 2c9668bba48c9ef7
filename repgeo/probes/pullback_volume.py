"""The volume element that a representation pulls back to the inputs, at test points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.geometry.volume import volume_report
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject
from repgeo.stitching.anchors import choose_anchors

__all__ = ["PullbackVolume", "probe_points"]

_RIGID_INPUTS = frozenset({"inputs:orthogonal", "inputs:permutation", "inputs:translation"})
_RIGID_CODES = frozenset({"codes:orthogonal", "codes:permutation", "codes:translation"})
_DRAWABLE = 3  # inputs of at most so many coordinates are stored for figures


class PullbackVolume(Probe):
    """Log-volume element of a representation at test points: how much it magnifies there.

    With J the Jacobian `(features, inputs)` of the encoder at a test point, in units of codes per
    unit of input, and s_i its min(features, inputs) singular values:

    - `log_volume`: sum of log s_i, in nats; the median over points, so that points of deficient
      rank, where it is minus infinity, take their place below all others and no value is lost.
      `at.kind` is "volume" where inputs <= features (the density by which volumes grow), else
      "coarea" (the normal Jacobian, which is not a density on the inputs and depends on their
      units): numbers of different kinds, or of layers of different sizes, do not compare.
    - `rank`: mean numerical rank of J.
    - `deficient`: share of points whose rank is below min(features, inputs), such as those where
      too many ReLUs are dead.

    Parameters
    ----------
    layer
        Where the codes are taken.
    points
        How many test points are looked at; the same for every model.

    Raises
    ------
    InputError
        If the inputs are not tensors of floating point.
    NonFiniteError
        If a derivative is NaN or infinite.

    References
    ----------
    J. A. Zavatone-Veth, S. Yang, J. A. Rubinfien, C. Pehlevan, "Neural networks learn to magnify
    areas near decision boundaries" (2023), arXiv:2301.11375. There the metric is divided by the
    number of features n and logarithms are to base 10.

    Examples
    --------
    >>> x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> frame = PullbackVolume()(lambda x: x @ x.new_tensor([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0]]), x)
    >>> print(frame[["metric", "value"]].round(6).to_string(index=False))
        metric    value
    log_volume 1.791759
          rank 2.000000
     deficient 0.000000
    """

    name: ClassVar[str] = "pullback_volume"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "log_volume": Metric(
            unit="nats",
            invariant_to=_RIGID_CODES | _RIGID_INPUTS | {"samples:permutation"},
            summary="log of the volume element, median over points",
        ),
        "rank": Metric(
            range=(0.0, math.inf),
            invariant_to={"samples:permutation"},
            summary="numerical rank of the Jacobian",
        ),
        "deficient": Metric(
            range=(0.0, 1.0),
            invariant_to={"samples:permutation"},
            summary="share of points of deficient rank",
        ),
    }

    layer: str = "encoder"
    points: int = Field(default=256, ge=1)

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield the log-volume, the rank and the share of deficient points."""
        chosen = probe_points(data.test, self.points, context, self.name)
        x = inputs_of(chosen, subject)
        report = volume_report(subject.feature_map, x, memory_budget=context.memory_budget)
        at = {"kind": report.kind}
        drawn = {"points": x.flatten(1)} if x[0].numel() <= _DRAWABLE else None
        yield Reading(
            "log_volume",
            samples=report.log_volume,
            ids=chosen.ids,
            statistic="median",
            at=at,
            artifact=drawn,
        )
        yield Reading("rank", samples=report.rank, ids=chosen.ids, at=at)
        deficient = (report.rank < report.directions).double()
        yield Reading("deficient", samples=deficient, ids=chosen.ids, statistic="proportion", at=at)

    def oracles(self) -> Iterable[Case]:
        """Linear maps up and down, and rectified inputs in the four quadrants."""
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        test = Split(x)
        up = x.new_tensor([[3.0, 0, 0], [0, 2.0, 0], [0, 0, 0.5], [0, 4.0, 0], [0, 0, 0]])
        expected = {"log_volume": math.log(3.0 * math.sqrt(20.0) * 0.5), "rank": 3.0}
        found = expected | {"deficient": 0.0}
        yield Case(lambda x: x @ up.T, Dataset("", test, test), found, 1e-12)
        down = x.new_tensor([[3.0, 4.0, 0.0]])
        found = {"log_volume": math.log(5.0), "rank": 1.0, "deficient": 0.0}
        yield Case(lambda x: x @ down.T + 1, Dataset("", test, test), found, 1e-12)
        quadrants = Split(x.new_tensor([[1, 1], [1, -1], [-1, 1], [-1, -1], [2, 1], [1, 2]]))
        found = {"rank": 8 / 6, "deficient": 0.5}
        yield Case(torch.relu, Dataset("", quadrants, quadrants), found, 1e-12)


def probe_points(split: Split, count: int, context: Context, probe: str) -> Split:
    """The test points of a geometric probe: at most `count`, the same for every model.

    Which ones depends on ids and task seed, not on the order of the samples; of samples that share
    an id one is taken. Fewer than asked for means: all.

    Raises
    ------
    InputError
        If the samples are not a tensor.
    """
    if not isinstance(split.x, Tensor):
        raise InputError(
            f"{probe} differentiates with respect to inputs that are one tensor; these are a "
            f"mapping of {', '.join(sorted(split.x))}."
        )
    most = min(count, len(torch.unique(split.ids)))
    index = choose_anchors(split.ids, count=most, generator=context.shared("points"))
    return split.take(index.to(split.ids.device))


def inputs_of(split: Split, subject: Subject) -> Tensor:
    """The inputs in the dtype of the model, so that derivatives have it too.

    Raises
    ------
    InputError
        If they are not floating point.
    """
    x = split.x
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise InputError("Derivatives need inputs that are a floating-point tensor.")
    return x if subject.dtype is None else x.to(subject.dtype)
