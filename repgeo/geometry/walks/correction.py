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

_CHORDS = 3  # iterations before their convergence is looked at
_SOUND = 0.1  # of the last move's square: below it Broyden's update would blow up
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

    Newton's iteration x <- x - J^+ (f(x) - wanted): from the Jacobian of the base point, with
    Broyden's updates, which takes forward passes only and moves along fixed normals; of what that
    does not bring there, again with the Jacobian of each iterate. Within a box only coordinates
    strictly inside it are moved, and the result of each iteration is clipped.

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

    References
    ----------
    C. Broyden, "A class of methods for solving nonlinear simultaneous equations" (1965).
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
        x, outputs = torch.empty_like(start), torch.empty_like(wanted)
        reached = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        iterations = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        # Of those that are not there yet: numbers, points, and what their outputs should be.
        going, here, goal = torch.arange(len(x), device=x.device), start, wanted
        before = torch.full_like(x[:, 0], torch.inf)
        limits, bounds, chords = self.precision, self.bounds, None
        for iteration in range(limits.iterations + 1):
            found = self.features(here)
            residual = goal - found
            size = residual.abs().amax(dim=1)  # NaN compares as False everywhere
            slow = ~(size <= _TOO_SLOW * before)
            good = (size <= limits.aim) | (slow & (size <= limits.floor))
            stop = good | ~size.isfinite()
            if iteration >= _CHORDS:
                stop |= slow
            if iteration == limits.iterations or bool(stop.all()):
                if len(going) == len(x):  # all in as many iterations: nothing to put in its place
                    x, outputs, reached = here, found, good
                    iterations.fill_(iteration)
                    break
                x[going], outputs[going], reached[going] = here, found, good
                iterations[going] = iteration
                break
            if bool(stop.any()):
                done = going[stop]
                x[done], outputs[done], reached[done] = here[stop], found[stop], good[stop]
                iterations[done] = iteration
                stay = torch.nonzero(~stop).squeeze(1)
                going, here, goal = going[stay], here[stay], goal[stay]
                residual, size, limits = residual[stay], size[stay], limits.rows(stay)
                bounds = None if bounds is None else bounds.rows(stay)
                chords = None if chords is None else chords.rows(stay)
            before = size
            free = None if bounds is None else bounds.strictly_inside(here)
            if base is None or chords is None or not chords.fits(free):
                chords = self._chords(
                    self.tangents(here) if base is None else base.rows(going), free
                )
            else:
                chords.learn(residual)
            here = here + chords.move(residual)
            here = here if bounds is None else bounds.clip(here)
        along = reached if base is not None else torch.zeros_like(reached)
        return Corrected(x, outputs, reached, iterations, along)

    def _chords(self, tangent: Tangent, free: Tensor | None) -> _Chords:
        space = tangent.space
        if free is not None and not bool(free.all()):
            space = NullSpace.of(tangent.J * free[:, None, :], tol=self.precision.rank_tolerance)
        return _Chords(space.basis, space.inverse(), free)


class _Chords:
    """Approximate inverses of f along fixed normals, `(b, p, m)`, which learn from each iteration.

    Broyden's update makes them agree with the last change of the output, which takes forward passes
    only and leaves the normals as they are.
    """

    def __init__(self, basis: Tensor, inverse: Tensor, free: Tensor | None) -> None:
        self._basis = basis  # (b, d, p)
        self._inverse = inverse
        self._free = free  # (b, d): coordinates that the normals were computed for
        self._last: tuple[Tensor, Tensor] | None = None

    def rows(self, index: Tensor) -> _Chords:
        """Those of some walkers."""
        free = None if self._free is None else self._free[index]
        made = _Chords(self._basis[index], self._inverse[index], free)
        if self._last is not None:
            made._last = (self._last[0][index], self._last[1][index])
        return made

    def fits(self, free: Tensor | None) -> bool:
        """Whether the normals are those of these free coordinates."""
        if free is None or self._free is None:
            return True
        return bool((free == self._free).all())

    def move(self, residual: Tensor) -> Tensor:
        """The move `(b, d)` that should take away a residual `(b, m)`."""
        residual = residual[:, :, None]
        step = torch.bmm(self._inverse, residual)  # (b, p, 1)
        self._last = (step, residual)
        return torch.bmm(self._basis, step).squeeze(2)

    def learn(self, residual: Tensor) -> None:
        """Take in what the last move made of the residual."""
        assert self._last is not None  # there has been a move
        step, before = self._last
        expected = torch.bmm(self._inverse, before - residual[:, :, None])  # (b, p, 1)
        across = step.mT
        product = torch.bmm(across, expected)  # (b, 1, 1)
        sound = product.abs() > _SOUND * torch.bmm(across, step)
        weight = torch.where(sound, product.reciprocal(), 0.0)
        left, right = weight * (step - expected), torch.bmm(across, self._inverse)
        self._inverse = torch.baddbmm(self._inverse, left, right)
