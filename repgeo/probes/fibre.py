"""Directions of a network's parameters that leave its function, and the symmetries behind them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from pydantic import Field

from repgeo.algebra.dimension import network_of
from repgeo.algebra.fibres import FibreReport, fibre_check
from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import UnsupportedError
from repgeo.models.attention_network import attention
from repgeo.models.filter_networks import polynomial_cnn
from repgeo.probes.context import Context
from repgeo.probes.draws import numpy_generator
from repgeo.probes.metric import Metric
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject

__all__ = ["Fibre"]


class Fibre(Probe):
    """Known symmetries applied to a network's weights, and what of its fibre they explain.

    - `relative_error`: the largest change of an output under random elements of a symmetry, over
      the largest output, with `at.symmetry`: rounding.
    - `control_change`: the same for symmetries of relatives that this network must break, such as
      the rescaling of values and queries under softmax.
    - `fibre_dimension`: the dimension of the kernel of the derivative by the parameters;
    - `explained_dimension`: that of the directions of all known symmetries;
    - `unexplained_dimension`: the difference. With `at.weights` "own" (float64) and "generic"
      (random ones, over a prime field). At generic weights it is 0 where all symmetries are known;
      at the network's own it is more where these are singular.

    Parameters
    ----------
    elements
        How many random elements of each group are tried.

    Raises
    ------
    UnsupportedError
        If the network offers no formula.

    References
    ----------
    N. W. Henry, G. L. Marchetti, K. Kohn (2024), arXiv:2408.17221.

    Examples
    --------
    >>> frame = Fibre()(attention((3, 3), 2).double(), torch.zeros(1, 3, 3))
    >>> sorted(set(frame["metric"]))[:2]
    ['explained_dimension', 'fibre_dimension']
    """

    name: ClassVar[str] = "fibre"
    requires: ClassVar[frozenset[str]] = frozenset({"spec"})
    metrics: ClassVar[Mapping[str, Metric]] = {
        "relative_error": Metric(
            direction="lower", range=(0, math.inf), summary="change of outputs by a symmetry"
        ),
        "control_change": Metric(
            direction="higher", range=(0, math.inf), summary="change by what is no symmetry"
        ),
        "fibre_dimension": Metric(range=(0, math.inf), summary="parameters that change nothing"),
        "explained_dimension": Metric(range=(0, math.inf), summary="of known symmetries"),
        "unexplained_dimension": Metric(
            direction="lower", range=(0, math.inf), summary="fibre without known symmetries"
        ),
    }

    elements: int = Field(default=5, ge=1)

    def measure(
        self, subject: Subject, data: Dataset | None, context: Context
    ) -> Iterable[Reading]:
        """Yield the changes by each symmetry, and dimensions at the own and at generic weights."""
        spec = network_of(subject.module)
        if spec is None:
            raise UnsupportedError(f"The spec() of {subject.label!r} gives no formula.")
        generator = numpy_generator(context.private("elements"))
        own = fibre_check(subject.module, elements=self.elements, generator=generator)
        for check in own.symmetries:
            metric = "relative_error" if check.holds else "control_change"
            yield Reading(metric, check.relative_error, at={"symmetry": check.name})
        generic = fibre_check(spec, elements=1, generator=generator)
        for name, report in (("own", own), ("generic", generic)):
            yield from _dimensions(name, report)

    def oracles(self) -> Iterable[Case]:
        """A convolution at regular and at singular filters, and attention with and without exp."""
        x = Split(torch.zeros(1, 4))
        data = Dataset("", x, x)
        net = polynomial_cnn((3, 3), 2).double()
        _fill(net)
        dimensions = {"fibre_dimension": 1.0, "unexplained_dimension": 0.0}
        own, generic = {"weights": "own"}, {"weights": "generic"}
        yield Case(net, data, dimensions, 0.0, own)
        yield Case(net, data, {"relative_error": 0.0}, 1e-12, {"symmetry": "layer scaling"})
        singular = polynomial_cnn((3, 3), 2).double()
        _fill(singular)
        with torch.no_grad():
            singular.w1.zero_()  # type: ignore[operator]  # a parameter by the formula's name
        expected = {"fibre_dimension": 3.0, "unexplained_dimension": 2.0}
        yield Case(singular, data, expected, 0.0, own)
        yield Case(singular, data, dimensions, 0.0, generic)
        deep = attention((3, 3, 3), 2).double()
        _fill(deep)
        found = {"fibre_dimension": 19.0, "unexplained_dimension": 0.0}
        yield Case(deep, data, found, 0.0, generic)
        for name in ("key-query basis", "token basis", "rescaling"):
            yield Case(deep, data, {"relative_error": 0.0}, 1e-12, {"symmetry": name})


def _dimensions(name: str, report: FibreReport) -> Iterable[Reading]:
    at = {"weights": name}
    yield Reading("fibre_dimension", float(report.fibre_dimension), at=at)
    yield Reading("explained_dimension", float(report.explained_dimension), at=at)
    yield Reading("unexplained_dimension", float(report.unexplained_dimension), at=at)


def _fill(module: torch.nn.Module) -> None:
    """Weights that do not depend on a global generator."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in module.parameters():
            value.copy_(torch.randn(value.shape, generator=generator, dtype=torch.float64))
