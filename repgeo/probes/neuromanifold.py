"""The dimension of the functions that a network can express, and the rank at its own weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from repgeo.algebra.dimension import (
    Dimension,
    network_of,
    neuromanifold_dimension,
    pointwise_dimension,
)
from repgeo.algebra.module_jacobian import module_jacobian
from repgeo.algebra.network import Network
from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.models.attention_network import attention
from repgeo.models.filter_networks import polynomial_cnn
from repgeo.models.monomial_mlp import monomial_mlp
from repgeo.probes.context import Context
from repgeo.probes.draws import numpy_generator
from repgeo.probes.metric import Metric
from repgeo.probes.points import probe_points
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject

__all__ = ["Neuromanifold"]

Precisions: TypeAlias = Annotated[tuple[Literal["float32", "float64"], ...], Field(strict=False)]

_ROWS = 3  # outputs for each parameter of a network without a formula


class Neuromanifold(Probe):
    """Ranks of the derivative of all outputs by all parameters.

    For a network that offers a formula by `spec()`:

    - `dimension`: of the set of its functions, the rank at random parameters;
    - `formula_dimension`, `agrees`: what the formula says, and whether it is the rank;
    - `upper_bound`: what explicit symmetries of the parameters leave;
    - `certified`: 1 where the rank was taken over a prime field, without a tolerance, and reaches
      that bound, so that the dimension is proved;
    - `stable`: whether twice as many inputs gave the same rank;
    - `gap` (float64 only): decades between the last singular value that counts and the next.

    For every network:

    - `parameters`;
    - `pointwise_rank`, `pointwise_gap`: the rank at its own weights, in float64; below the
      dimension where these are singular. Without a formula it is taken at test samples, as many as
      give three outputs for each parameter.

    With `precisions`:

    - `numerical_rank`: what `matrix_rank` with its default tolerance says of the derivative at 40
      normal inputs and standard normal weights, with `at.precision`. For comparison: in float32
      it is wrong for all but shallow networks.

    Parameters
    ----------
    backend
        "auto" (exact where there is a formula), "exact" or "float64".
    pointwise
        Whether the rank at the network's own weights is taken too.
    precisions
        See `numerical_rank`.

    Raises
    ------
    UnsupportedError
        If an exact dimension is asked of a network without a formula.
    InputError
        If a network without a formula is measured in a task without data.

    References
    ----------
    V. Shahverdi, G. L. Marchetti, K. Kohn (2024), arXiv:2410.00722; N. W. Henry, G. L. Marchetti,
    K. Kohn (2024), arXiv:2408.17221.

    Examples
    --------
    >>> frame = Neuromanifold(pointwise=False)(polynomial_cnn((3, 2), 2), torch.zeros(1, 4))
    >>> dict(zip(frame["metric"], frame["value"]))["dimension"]
    4.0
    """

    name: ClassVar[str] = "neuromanifold"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "dimension": Metric(range=(0, math.inf), summary="rank at random parameters"),
        "formula_dimension": Metric(range=(0, math.inf), summary="the dimension by formula"),
        "agrees": Metric(range=(0, 1), summary="whether rank and formula agree"),
        "upper_bound": Metric(range=(0, math.inf), summary="bound by explicit symmetries"),
        "certified": Metric(range=(0, 1), summary="whether the dimension is proved"),
        "stable": Metric(range=(0, 1), summary="whether more inputs change nothing"),
        "gap": Metric(unit="decades", range=(0, math.inf), summary="gap behind the rank"),
        "parameters": Metric(range=(0, math.inf), summary="number of parameters"),
        "pointwise_rank": Metric(range=(0, math.inf), summary="rank at the own weights"),
        "pointwise_gap": Metric(
            unit="decades", range=(0, math.inf), summary="gap behind the rank at the own weights"
        ),
        "numerical_rank": Metric(
            range=(0, math.inf), summary="rank by the default tolerance of a precision"
        ),
    }

    backend: Literal["auto", "exact", "float64"] = "auto"
    pointwise: bool = True
    precisions: Precisions = ()

    def measure(
        self, subject: Subject, data: Dataset | None, context: Context
    ) -> Iterable[Reading]:
        """Yield the dimension of a network with a formula, and the rank at its weights."""
        module = subject.module
        spec = network_of(module)
        generator = numpy_generator(context.private("parameters"))
        if spec is not None or self.backend != "auto":
            backend = None if self.backend == "auto" else self.backend
            found = neuromanifold_dimension(module, backend=backend, generator=generator)
            yield from _generic(found)
        count = sum(value.numel() for value in module.parameters())
        yield Reading("parameters", float(count))
        if self.pointwise or spec is None:
            bank = None if spec is not None else _samples(subject, data, count, context)
            yield from _pointwise(pointwise_dimension(module, inputs=bank, generator=generator))
        for precision in self.precisions:
            if spec is None:
                raise InputError("precisions are compared for networks with a formula only.")
            rank = _numerical_rank(module, spec, precision, context)
            yield Reading("numerical_rank", float(rank), at={"precision": precision})

    def oracles(self) -> Iterable[Case]:
        """Small networks with known dimensions, and a map of deficient rank without a formula."""
        if self.backend == "float64" or self.precisions:
            return
        x = Split(torch.zeros(1, 4, dtype=torch.float64))
        data = Dataset("", x, x)
        cases: list[tuple[nn.Module, float, float, float]] = [
            (polynomial_cnn((3, 2), 2), 5, 4, 1),
            (attention((3, 3, 3), 2), 42, 23, 1),
            (attention((3, 3, 3), 2, softmax=True), 42, 25, 1),
            (attention((2, 2, 2, 2), (1, 2, 1)), 28, 10, 1),
            (monomial_mlp((3, 2, 1, 2), 2), 10, 6, 0),  # no list of symmetries proves it
        ]
        for module, parameters, dimension, certified in cases:
            expected = {
                "parameters": parameters,
                "dimension": dimension,
                "formula_dimension": dimension,
                "certified": certified,
                "stable": 1.0,
            }
            yield Case(module.double(), data, expected, 0.0)
        if self.backend == "auto":
            samples = torch.randn(60, 2, generator=torch.Generator().manual_seed(0)).double()
            several = Split(samples)
            # An affine function of two variables, by nine parameters.
            net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)).double()
            with torch.no_grad():
                for place, value in enumerate(net.parameters(), start=1):
                    value.copy_(torch.arange(place, place + value.numel()).reshape(value.shape))
            expected = {"parameters": 9.0, "pointwise_rank": 3.0}
            yield Case(net, Dataset("", several, several), expected, 0.0)


def _generic(found: Dimension) -> Iterable[Reading]:
    yield Reading("dimension", float(found.rank))
    if found.formula is not None:
        yield Reading("formula_dimension", float(found.formula))
        yield Reading("agrees", float(bool(found.agrees)))
    yield Reading("upper_bound", float(found.upper))
    yield Reading("certified", float(found.certified))
    yield Reading("stable", float(found.stable))
    if found.backend == "float64":
        yield Reading("gap", found.gap)


def _pointwise(found: Dimension) -> Iterable[Reading]:
    yield Reading("pointwise_rank", float(found.rank))
    if found.backend == "float64":
        yield Reading("pointwise_gap", found.gap)


def _samples(subject: Subject, data: Dataset | None, count: int, context: Context) -> Tensor:
    """Test samples that give three outputs for each parameter, as far as there are so many."""
    if data is None:
        raise InputError("The rank of a network without a formula needs samples, so a [dataset].")
    one = probe_points(data.test, 1, context, "neuromanifold")
    outputs = subject(one.x).numel()
    chosen = probe_points(data.test, math.ceil(_ROWS * count / outputs), context, "neuromanifold")
    assert isinstance(chosen.x, Tensor)  # checked by `probe_points`
    return chosen.x


def _numerical_rank(module: nn.Module, spec: Network, precision: str, context: Context) -> int:
    """The rank by `matrix_rank` of a derivative taken in a precision, as published scripts do."""
    draws: np.random.Generator = numpy_generator(context.shared("numerical rank"))
    weights = {name: torch.from_numpy(value) for name, value in _normal(spec.shapes, draws)}
    x = torch.from_numpy(draws.standard_normal((40, *spec.input_shape)))
    dtype: Any = {"float32": torch.float32, "float64": torch.float64}[precision]
    jacobian = module_jacobian(module, weights, x, dtype=dtype)
    return int(torch.linalg.matrix_rank(torch.from_numpy(jacobian).to(dtype)))


def _normal(
    shapes: Mapping[str, tuple[int, ...]], draws: np.random.Generator
) -> Iterable[tuple[str, Any]]:
    for name, shape in shapes.items():
        yield name, draws.standard_normal(shape)
