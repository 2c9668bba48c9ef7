"""Critical points of the mean squared error of small polynomial networks on data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from repgeo.algebra.arithmetic import REAL
from repgeo.algebra.criticality import CriticalPoints, critical_points
from repgeo.algebra.dimension import network_of
from repgeo.algebra.polynomial_convolution import PolynomialCNN
from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError, UnsupportedError
from repgeo.models.filter_networks import polynomial_cnn
from repgeo.probes.context import Context
from repgeo.probes.draws import numpy_generator
from repgeo.probes.metric import Metric
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject

__all__ = ["CriticalPointsOfError"]

_CURVE = 721  # directions of the first filter at which the error is stored
_Pair = tuple[np.ndarray, np.ndarray]


class CriticalPointsOfError(Probe):
    """How many critical points the mean squared error of a polynomial CNN has on draws of data.

    Parameters up to scalings between layers are counted; those with a filter zero are left out.

    - `expected_points`: the generic Euclidean distance degree, the number of complex ones.
    - `complex_points`: how many there are on each draw, counted exactly; filters (2, m) only.
    - `real_points`, `minima`, `saddles`: the real ones, by the sign of the second derivative.
    - `interpolating`: share of draws that every first filter fits, where nothing is counted.
    - `excess_minimum`: how far the highest minimum lies above the lowest, over the error of the
      function 0; 0 where there is one.

    Parameters
    ----------
    samples
        Test samples in a draw.
    draws
        How many draws.
    labels
        The targets: "data" y of the dataset; "normal" random ones; "planted" the outputs of a
        network with random filters.

    Raises
    ------
    UnsupportedError
        If the network is no polynomial CNN.
    InputError
        If the data are smaller than the network's inputs or outputs. Larger ones are cut.

    References
    ----------
    V. Shahverdi, G. L. Marchetti, K. Kohn (2024), arXiv:2410.00722.

    Examples
    --------
    >>> x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> frame = CriticalPointsOfError(draws=2)(polynomial_cnn((2, 2), 2), x, x[:, :1] + 1)
    >>> dict(zip(frame["metric"], frame["value"]))["complex_points"]
    14.0
    """

    name: ClassVar[str] = "critical_points"
    requires: ClassVar[frozenset[str]] = frozenset({"spec"})
    metrics: ClassVar[Mapping[str, Metric]] = {
        "expected_points": Metric(range=(0, math.inf), summary="complex ones by formula"),
        "complex_points": Metric(range=(0, math.inf), summary="complex ones, counted"),
        "real_points": Metric(range=(0, math.inf), summary="real ones"),
        "minima": Metric(range=(0, math.inf), summary="local minima"),
        "saddles": Metric(range=(0, math.inf), summary="saddles with one direction down"),
        "interpolating": Metric(range=(0, 1), summary="draws that every first filter fits"),
        "excess_minimum": Metric(
            range=(0, math.inf), direction="lower", summary="highest minimum above the lowest"
        ),
    }

    samples: int = Field(default=30, ge=1)
    draws: int = Field(default=100, ge=1)
    labels: Literal["data", "normal", "planted"] = "data"

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield the counts over the draws."""
        spec = network_of(subject.module)
        if not isinstance(spec, PolynomialCNN):
            raise UnsupportedError(f"{subject.label!r} is no polynomial CNN.")
        yield Reading("expected_points", float(spec.euclidean_distance_degree))
        if len(spec.filters) != 2 or spec.filters[0] != 2:
            return
        # Shared, so that networks of one size see the same draws.
        generator = numpy_generator(context.shared("critical points"))
        whole = _arrays(data.test, spec, self.labels)
        pairs = [self._drawn(whole, spec, generator) for _ in range(self.draws)]
        found = [critical_points(spec, x, y) for x, y in context.track(pairs, len(pairs))]
        counted = [n for n, points in enumerate(found) if points.status == "counted"]
        share = np.array([points.status == "interpolating" for points in found], float)
        yield Reading("interpolating", samples=share, statistic="proportion", ids=_ids(share))
        if counted:
            yield from _counts(spec, [found[n] for n in counted], [pairs[n] for n in counted])

    def _drawn(self, whole: _Pair, spec: PolynomialCNN, generator: np.random.Generator) -> _Pair:
        chosen = generator.permutation(len(whole[0]))[: self.samples]
        x, y = whole[0][chosen], whole[1][chosen]
        if self.labels == "normal":
            y = generator.standard_normal((len(x), spec.outputs))
        elif self.labels == "planted":
            y = spec.apply(spec.draw(REAL, generator), x)
        return x, y

    def oracles(self) -> Iterable[Case]:
        """Counts that do not depend on data, for two architectures; a formula; interpolation."""
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(50, 4, generator=generator, dtype=torch.float64)
        split = Split(x, torch.randn(50, 1, generator=generator, dtype=torch.float64))
        data = Dataset("", split, split)
        if self.samples < 4:
            return
        for filters, degree, count in (((2, 2), 2, 14.0), ((2, 2), 3, 22.0)):
            net = polynomial_cnn(filters, degree)
            expected = {"expected_points": count, "interpolating": 0.0}
            if self.labels != "planted":  # where the data are not generic
                expected["complex_points"] = count
            yield Case(net, data, expected, 0.0)
        yield Case(polynomial_cnn((3, 2), 2), data, {"expected_points": 79.0}, 0.0)
        few = split.take(torch.arange(2))
        net = polynomial_cnn((2, 3), 2)
        yield Case(net, Dataset("", few, few), {"interpolating": 1.0}, 0.0)


def _counts(
    spec: PolynomialCNN, found: list[CriticalPoints], pairs: list[_Pair]
) -> Iterable[Reading]:
    """Readings of the draws on which points were counted; the first draw is kept for a figure."""
    excess = [_excess(points, pair) for points, pair in zip(found, pairs, strict=True)]
    numbers = {
        "complex_points": [float(points.count or 0) for points in found],
        "real_points": [float(len(points.real)) for points in found],
        "minima": [float(points.of_kind("minimum")) for points in found],
        "saddles": [float(points.of_kind("saddle")) for points in found],
        "excess_minimum": excess,
    }
    for metric, values in numbers.items():
        artifact = _curve(spec, found[0], pairs[0]) if metric == "real_points" else None
        yield Reading(metric, samples=np.array(values), ids=_ids(values), artifact=artifact)


def _ids(values: object) -> np.ndarray:
    """Draws are what is repeated: each is a unit of its own."""
    return np.arange(len(np.asarray(values)))


def _arrays(split: Split, spec: PolynomialCNN, labels: str) -> _Pair:
    """Inputs and targets in float64, cut to the sizes of the network."""
    if not isinstance(split.x, Tensor):
        raise InputError("critical_points needs inputs that are one tensor.")
    x = split.x.detach().double().flatten(1).cpu().numpy()
    given = split.y if split.y is not None and split.y.is_floating_point() else None
    y = None if given is None else given.double().flatten(1).cpu().numpy()
    if labels == "data" and (y is None or y.shape[1] < spec.outputs):
        raise InputError(
            f"critical_points needs real targets y (n, {spec.outputs}), got "
            f"{None if y is None else y.shape}; or choose labels='normal'."
        )
    d = spec.input_shape[0]
    if x.shape[1] < d:
        raise InputError(f"The network reads {d} numbers, the data have {x.shape[1]}.")
    return x[:, :d], np.zeros((len(x), spec.outputs)) if y is None else y[:, : spec.outputs]


def _excess(points: CriticalPoints, pair: _Pair) -> float:
    """How far the highest minimum lies above the lowest, over the error of the function 0."""
    losses = [point.loss for point in points.real if point.kind == "minimum"]
    scale = float((pair[1] ** 2).mean())
    return (max(losses) - min(losses)) / scale if losses and scale else 0.0


def _curve(spec: PolynomialCNN, points: CriticalPoints, pair: _Pair) -> dict[str, np.ndarray]:
    """The error over the directions of the first filter on the first draw, and its points."""
    x, y = pair
    angles = np.linspace(-np.pi / 2, np.pi / 2, _CURVE)
    first, second = spec.windows
    errors = []
    for angle in angles:
        hidden = (x[:, first] @ np.array([np.cos(angle), np.sin(angle)])) ** spec.degree
        features = hidden[:, second].reshape(-1, spec.filters[1])
        last = np.linalg.lstsq(features, y.reshape(-1), rcond=None)[0]
        errors.append(float(((features @ last - y.reshape(-1)) ** 2).mean()))
    places = [math.atan2(p.first[1], p.first[0]) for p in points.real]
    turned = [(place + np.pi / 2) % np.pi - np.pi / 2 for place in places]
    return {
        "angles": angles,
        "errors": np.array(errors),
        "point_angles": np.array(turned),
        "point_errors": np.array([p.loss for p in points.real]),
        "point_is_minimum": np.array([p.kind == "minimum" for p in points.real]),
    }
