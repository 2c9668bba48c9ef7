"""The volume element that a representation pulls back to the inputs, at test points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from pydantic import Field

from repgeo.datasets.dataset import Dataset, Split
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.points import (
    RIGID_CODES,
    Epochs,
    Plane,
    at_epochs,
    inputs_of,
    probe_points,
    rigid_inputs,
    subspace_of,
    volumes,
)
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject

__all__ = ["PullbackVolume"]

_DRAWABLE = 3  # inputs of at most so many coordinates are stored for figures


class PullbackVolume(Probe):
    """Log-volume element of a representation at test points: how much it magnifies there.

    With J the Jacobian `(features, inputs)` of the encoder at a test point, in units of codes per
    unit of input, and s_i its min(features, inputs) singular values:

    - `log_volume`: sum of log s_i, in nats; the median over points, so that points of deficient
      rank, where it is minus infinity, take their place below all others and no value is lost.
      `at.kind` is "volume" where inputs <= features (the density by which volumes grow), else
      "coarea" (the normal Jacobian, which is not a density on the inputs and depends on their
      units), or "truncated": numbers of different kinds, or of layers of different sizes, do not
      compare.
    - `rounding_error`: the error of that which rounding the Jacobian to the model's dtype leads to,
      the median over points of full rank. Where it is not small, evaluate the model in float64.
    - `rank`: mean numerical rank of J (with `top` known up to `top` only).
    - `deficient`: share of points whose rank is below the number of singular values summed, such as
      those where too many ReLUs are dead.

    On a plane J V takes the place of J, V an orthonormal basis of the plane.

    Parameters
    ----------
    layer
        Where the codes are taken.
    points
        How many test points are looked at; the same for every model.
    plane
        "none": all directions of the inputs. "principal": the plane of the two principal
        components of the train split, at each point. "random": a random one, the same for every
        model.
    top
        Sum the largest singular values only, so many. The sum rises with `top` while s > 1 and
        falls once s < 1.
    epochs
        Kept checkpoints to measure at, each with `at.epoch`; none: the model as it is.

    Raises
    ------
    InputError
        If the inputs are not one tensor of floating point, or there are fewer singular values than
        `top`.
    CheckpointError
        If a checkpoint was not kept.
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
    rounding_error 0.000000
              rank 2.000000
         deficient 0.000000
    """

    name: ClassVar[str] = "pullback_volume"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "log_volume": Metric(
            unit="nats",
            invariant_to=RIGID_CODES | {"samples:permutation"},
            summary="log of the volume element, median over points",
        ),
        "rounding_error": Metric(
            unit="nats",
            direction="lower",
            range=(0.0, math.inf),
            summary="expected rounding error of the log-volume, median over points",
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
    plane: Plane = "none"
    top: int | None = Field(default=None, ge=1)
    epochs: Epochs = ()

    def invariances(self, metric: str) -> frozenset[str]:
        """Rigid motions of the inputs too, as far as the plane follows them."""
        declared = super().invariances(metric)
        return declared | rigid_inputs(self.plane) if metric == "log_volume" else declared

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield the log-volume, the rank and the share of deficient points."""
        chosen = probe_points(data.test, self.points, context, self.name)
        plane = subspace_of(self.plane, data, context, self.name)
        x = inputs_of(chosen, subject)
        drawn = {"points": x.flatten(1)} if x[0].numel() <= _DRAWABLE else None
        for epoch, trained in at_epochs(subject, self.epochs, context):
            report = volumes(trained, x, subspace=plane, top=self.top, context=context)
            at = {"kind": report.kind, **epoch}
            yield Reading(
                "log_volume",
                samples=report.log_volume,
                ids=chosen.ids,
                statistic="median",
                at=at,
                artifact=drawn,
            )
            full = report.error.isfinite()
            if bool(full.any()):
                yield Reading(
                    "rounding_error",
                    samples=report.error[full],
                    ids=chosen.ids[full.to(chosen.ids.device)],
                    statistic="median",
                    at=at,
                )
            yield Reading("rank", samples=report.rank, ids=chosen.ids, at=at)
            deficient = (report.rank < report.directions).double()
            yield Reading(
                "deficient", samples=deficient, ids=chosen.ids, statistic="proportion", at=at
            )

    def oracles(self) -> Iterable[Case]:
        """Linear maps up and down, and rectified inputs in the four quadrants."""
        if self.epochs or (self.top or 1) > 2:
            return
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        test = Split(x)
        directions = self.top or (3 if self.plane == "none" else 2)
        found = {"log_volume": directions * math.log(3.0), "deficient": 0.0}
        yield Case(lambda x: 3 * x.flip(1), Dataset("", test, test), found, 1e-12)
        # Five of twelve points are in the quadrant that rectifying keeps, five in the one it kills.
        quadrants = Split(x.new_tensor([[1, 1]] * 5 + [[1, -1], [-1, 1]] + [[-1, -1]] * 5))
        found = {"rank": 1.0, "deficient": (5 if self.top == 1 else 7) / 12}
        yield Case(torch.relu, Dataset("", quadrants, quadrants), found, 1e-12)
        if self.plane != "none" or self.top is not None:
            return
        up = x.new_tensor([[3.0, 0, 0], [0, 2.0, 0], [0, 0, 0.5], [0, 4.0, 0], [0, 0, 0]])
        found = {"log_volume": math.log(3.0 * math.sqrt(20.0) * 0.5), "rank": 3.0, "deficient": 0.0}
        yield Case(lambda x: x @ up.T, Dataset("", test, test), found, 1e-12)
        down = x.new_tensor([[3.0, 4.0, 0.0]])
        found = {"log_volume": math.log(5.0), "rank": 1.0, "deficient": 0.0}
        yield Case(lambda x: x @ down.T + 1, Dataset("", test, test), found, 1e-12)
