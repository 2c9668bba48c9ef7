"""Bringing points back to where a map has the prescribed output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from repgeo.geometry.walks.direction import Bounds
from repgeo.geometry.walks.null_space import NullSpace
from repgeo.geometry.walks.walk import Corrector

__all__ = ["Corrected", "Precision", "Tangent", "corrected"]

_CHORDS = 3  # iterations with a fixed Jacobian before its convergence is looked at
_TOO_SLOW = 0.5  # a smaller reduction of the residual than this is not waited for


@dataclass(frozen=True, eq=False)
class Tangent:
    """Jacobians `(b, m, d)` and their kernels."""

    J: Tensor
    space: NullSpace

    def rows(self, index: Tensor) -> Tangent:
        """Those of some walkers."""
        if len(index) == len(self.J):
            return self
        return Tangent(self.J[index], self.space.rows(index))

    def replaced(self, index: Tensor, others: Tangent) -> Tangent:
        """The same with those of some walkers replaced."""
        if len(index) == len(self.J):
            return others
        J = self.J.clone()
        J[index] = others.J
        return Tangent(J, self.space.replaced(index, others.space))


@dataclass(frozen=True, eq=False)
class Precision:
    """When an output counts as reached, and how long to try.

    Attributes
    ----------
    aim
        Largest absolute difference `(b,)` that is taken at once.
    floor
        What is taken where no iteration makes it smaller: rounding of the input alone changes the
        output by as much, `(b,)`.
    iterations
        Most iterations.
    rank_tolerance
        As of `NullSpace.of`.
    """

    aim: Tensor
    floor: Tensor
    iterations: int
    rank_tolerance: float | None

    def rows(self, index: Tensor) -> Precision:
        """That of some walkers."""
        return Precision(self.aim[index], self.floor[index], self.iterations, self.rank_tolerance)


@dataclass(frozen=True, eq=False)
class Corrected:
    """Points, their outputs, whether these are as prescribed, and the iterations it took.

    Attributes
    ----------
    x
        `(b, d)`.
    outputs
        `(b, m)`.
    reached
        `(b,)`, bool.
    iterations
        `(b,)`, int64.
    along_normals
        Whether the normals of the starting point alone were used, `(b,)`.
    """

    x: Tensor
    outputs: Tensor
    reached: Tensor
    iterations: Tensor
    along_normals: Tensor


def corrected(
    features: Callable[[Tensor], Tensor],
    tangents: Callable[[Tensor], Tangent],
    start: Tensor,
    wanted: Tensor,
    base: Tangent,
    *,
    bounds: Bounds | None,
    precision: Precision,
    corrector: Corrector | None,
) -> Corrected:
    """Points near `start` `(b, d)` at which the features are as `wanted` `(b, m)`.

    Newton's iteration x <- x - J^+ (f(x) - wanted): with the Jacobian of the base point, which
    takes forward passes only and moves along fixed normals; of what that does not bring there,
    again with the Jacobian of each iterate. Within a box only coordinates strictly inside it are
    moved, and the result of each iteration is clipped.

    Parameters
    ----------
    features
        From `(b, d)` to `(b, m)`.
    tangents
        From `(b, d)` to Jacobians.
    start, wanted
        Points, and what their features should be.
    base
        Jacobians at the base points.
    bounds
        The box, or None.
    precision
        When to stop.
    corrector
        As of `WalkSpec`.
    """
    newton = _Newton(features, tangents, bounds, precision)
    if corrector is None:
        outputs = features(start)
        reached = outputs.isfinite().all(dim=1)
        zero = torch.zeros_like(reached, dtype=torch.int64)
        return Corrected(start, outputs, reached, zero, torch.zeros_like(reached))
    if corrector == "gauss_newton":
        return newton.run(start, wanted, None)
    first = newton.run(start, wanted, base)
    missed = torch.nonzero(~first.reached).squeeze(1)
    if len(missed) == 0:
        return first
    second = newton.rows(missed).run(start[missed], wanted[missed], None)
    x, outputs, reached = first.x.clone(), first.outputs.clone(), first.reached.clone()
    iterations = first.iterations.clone()
    along = first.reached.clone()
    x[missed], outputs[missed], reached[missed] = second.x, second.outputs, second.reached
    iterations[missed] += second.iterations
    return Corrected(x, outputs, reached, iterations, along)


@dataclass(frozen=True, eq=False)
class _Newton:
    features: Callable[[Tensor], Tensor]
    tangents: Callable[[Tensor], Tangent]
    bounds: Bounds | None
    precision: Precision

    def rows(self, index: Tensor) -> _Newton:
        bounds = None if self.bounds is None else self.bounds.rows(index)
        return _Newton(self.features, self.tangents, bounds, self.precision.rows(index))

    def run(self, start: Tensor, wanted: Tensor, base: Tangent | None) -> Corrected:
        """The iteration, with a fixed Jacobian or, where there is none, with that of each iterate.

        Only walkers that are not there yet are computed.
        """
        x = start.clone()
        outputs = self.features(x)
        reached = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        iterations = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        before = torch.full_like(x[:, 0], torch.inf)
        going = torch.arange(len(x), device=x.device)
        residual = wanted - outputs
        for iteration in range(self.precision.iterations + 1):
            size = residual.abs().amax(dim=1)  # NaN compares as False everywhere
            slow = ~(size <= _TOO_SLOW * before)
            limits = self.precision.rows(going)
            good = (size <= limits.aim) | (slow & (size <= limits.floor))
            reached[going] = good
            stop = good | ~size.isfinite() | (slow & (iteration >= _CHORDS))
            if iteration == self.precision.iterations or bool(stop.all()):
                break
            if bool(stop.any()):
                stay = torch.nonzero(~stop).squeeze(1)
                going, residual, size = going[stay], residual[stay], size[stay]
            before = size
            moved = self._moved(going, x[going], residual, base)
            x[going] = moved
            iterations[going] += 1
            found = self.features(moved)
            outputs[going] = found
            residual = wanted[going] - found
        along = reached if base is not None else torch.zeros_like(reached)
        return Corrected(x, outputs, reached, iterations, along)

    def _moved(self, going: Tensor, x: Tensor, residual: Tensor, base: Tangent | None) -> Tensor:
        tangent = self.tangents(x) if base is None else base.rows(going)
        if self.bounds is None:
            return x + tangent.space.lift(residual)
        bounds = self.bounds.rows(going)
        free = bounds.strictly_inside(x)
        if not bool(free.all()):
            J = tangent.J * free[:, None, :]
            tangent = Tangent(J, NullSpace.of(J, tol=self.precision.rank_tolerance))
        return bounds.clip(x + tangent.space.lift(residual) * free)
