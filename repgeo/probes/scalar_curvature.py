"""The scalar curvature of the metric that a representation pulls back to the inputs."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.geometry.curvature import curvature_report
from repgeo.geometry.determinants import PrecisionWarning
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
)
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject

__all__ = ["ScalarCurvature"]


class ScalarCurvature(Probe):
    """Scalar curvature of the pullback metric at test points, on a plane through each.

    - `scalar_curvature`: R of the metric J^T J restricted to the plane, in 1 / (units of codes)^2;
      twice the Gaussian curvature of the image of the plane, 2 / r^2 for a sphere of radius r.
      The median over points at which the metric has full rank: R grows without bound where the
      metric comes near losing rank, so that a mean would be that of a few points. Features scaled
      by c divide it by c^2: compare layers or models with that in mind.
    - `degenerate`: share of points at which the metric has no full rank, and so no curvature.
    - `piecewise_linear`: share of points at which all second derivatives are exactly zero. Networks
      of ReLUs have 1: they are flat inside their linear pieces and bend at the kinks between,
      which this probe does not see.

    Parameters
    ----------
    layer
        Where the codes are taken.
    points
        How many test points are looked at; the same for every model.
    plane
        "principal": the plane of the two principal components of the train split. "random": a
        random one, the same for every model. "none": all directions, which needs at least as many
        features as inputs, and passes in the square of their number.
    epochs
        Kept checkpoints to measure at, each with `at.epoch`; none: the model as it is.

    Raises
    ------
    InputError
        If the inputs are not one tensor of floating point, have fewer than two coordinates, or
        features are too few.
    CheckpointError
        If a checkpoint was not kept.

    References
    ----------
    J. A. Zavatone-Veth, S. Yang, J. A. Rubinfien, C. Pehlevan, "Neural networks learn to magnify
    areas near decision boundaries" (2023), arXiv:2301.11375. There the metric is divided by the
    number of features n, which multiplies R by n; their code for shallow networks gives three
    times the textbook's R, which is the one here.

    Examples
    --------
    >>> x = torch.rand(7, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> def sphere(x):  # by latitude and longitude
    ...     a, b = x.unbind(dim=1)
    ...     return torch.stack([a.cos() * b.cos(), a.cos() * b.sin(), a.sin()], dim=1)
    >>> frame = ScalarCurvature()(sphere, x)
    >>> [round(value, 9) for value in frame["value"]]
    [2.0, 0.0, 0.0]
    """

    name: ClassVar[str] = "scalar_curvature"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "scalar_curvature": Metric(
            unit="1/code^2",
            invariant_to=RIGID_CODES | {"samples:permutation"},
            summary="scalar curvature of the pullback metric, median over points",
            tolerance=1e-6,
        ),
        "degenerate": Metric(
            range=(0.0, 1.0),
            invariant_to={"samples:permutation"},
            summary="share of points without a curvature",
        ),
        "piecewise_linear": Metric(
            range=(0.0, 1.0),
            invariant_to={"samples:permutation"},
            summary="share of points with no second derivatives",
        ),
    }

    layer: str = "encoder"
    points: int = Field(default=256, ge=1)
    plane: Plane = "principal"
    epochs: Epochs = ()

    def invariances(self, metric: str) -> frozenset[str]:
        """Rigid motions of the inputs too, as far as the plane follows them."""
        declared = super().invariances(metric)
        return declared | rigid_inputs(self.plane) if metric == "scalar_curvature" else declared

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield the curvature, and the shares of degenerate and of piecewise-linear points."""
        chosen = probe_points(data.test, self.points, context, self.name)
        plane = subspace_of(self.plane, data, context, self.name)
        x = inputs_of(chosen, subject)
        for at, trained in at_epochs(subject, self.epochs, context):
            with warnings.catch_warnings():
                # The reading `degenerate` says what the warning would.
                warnings.simplefilter("ignore", PrecisionWarning)
                report = curvature_report(
                    trained.feature_map,
                    x,
                    subspace=None if plane is None else plane.to(x),
                    memory_budget=context.memory_budget,
                )
            known = report.scalar_curvature.isfinite()
            if bool(known.any()):
                yield Reading(
                    "scalar_curvature",
                    samples=report.scalar_curvature[known],
                    ids=chosen.ids[known.to(chosen.ids.device)],
                    statistic="median",
                    at=at,
                    artifact={"points": x.flatten(1)[known]} if x[0].numel() == 2 else None,
                )
            shares = {"degenerate": ~known, "piecewise_linear": report.piecewise_linear}
            for metric, found in shares.items():
                yield Reading(
                    metric, samples=found.double(), ids=chosen.ids, statistic="proportion", at=at
                )

    def oracles(self) -> Iterable[Case]:
        """A sphere, a saddle, a plane, and maps that fold or rectify it."""
        if self.epochs:
            return
        x = torch.rand(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        test = Split(x)
        data = Dataset("", test, test)

        def sphere(x: Tensor) -> Tensor:
            r = x.square().sum(dim=1, keepdim=True)
            return 3 * torch.cat([2 * x, r - 1], dim=1) / (1 + r)

        def saddle(x: Tensor) -> Tensor:
            return torch.stack([x[:, 0], x[:, 1], x[:, 0] * x[:, 1]], dim=1)

        none = {"degenerate": 0.0, "piecewise_linear": 0.0}
        yield Case(sphere, data, {"scalar_curvature": 2 / 9, **none}, 1e-10)
        centre = Split(torch.zeros(3, 2, dtype=torch.float64) + x[:3] * 1e-9)
        # Gaussian curvature -1 at the centre of the saddle.
        yield Case(saddle, Dataset("", test, centre), {"scalar_curvature": -2.0}, 1e-9)
        # Five of twelve points are in the quadrant that rectifying keeps, three where x_1 < 0.
        signs = x.new_tensor([[1, 1]] * 5 + [[1, -1]] * 4 + [[-1, 1], [-1, -1], [-1, -1]])
        quadrants = Split(signs * (1 + torch.arange(12).double()[:, None] / 12))
        found = {"scalar_curvature": 0.0, "degenerate": 7 / 12, "piecewise_linear": 1.0}
        yield Case(torch.relu, Dataset("", quadrants, quadrants), found, 1e-12)

        def mixed(x: Tensor) -> Tensor:
            bent = torch.relu(x[:, 0]) ** 2  # curved on one side only
            return torch.stack([x[:, 0], x[:, 1], bent * x[:, 1] ** 2], dim=1)

        flat = {"piecewise_linear": 0.25, "degenerate": 0.0}
        yield Case(mixed, Dataset("", quadrants, quadrants), flat, 1e-12)
