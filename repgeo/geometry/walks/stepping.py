"""Many walkers at once, step by step: direction, correction, bookkeeping, verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from repgeo.errors import InputError, NonFiniteError
from repgeo.geometry.feature_map import FeatureMap, Map, full_precision
from repgeo.geometry.walks.correction import Corrected, Precision, Tangent, corrected
from repgeo.geometry.walks.direction import (
    Bounds,
    Move,
    chosen_move,
    drawn,
    generator_or_default,
    null_vector,
)
from repgeo.geometry.walks.double_precision import in_double_precision
from repgeo.geometry.walks.journal import Journal
from repgeo.geometry.walks.null_space import NullSpace
from repgeo.geometry.walks.slopes import Slopes
from repgeo.geometry.walks.walk import Walk, WalkSpec, box_bounds

__all__ = ["Course", "Walkers"]

#: The prescribed outputs `(b, m)` of some walkers (their numbers) at the shares `(b,)` of the way.
Course = Callable[[Tensor, Tensor], Tensor]

_ROUNDING = 50  # eps: what the correction leaves; forward passes round by some eps themselves
_PATIENCE = 10  # draws in a row that lead nowhere
_ARRIVED = 1e-6  # of the way to a target: what leads nearer only by rounding of its length


@dataclass(frozen=True, eq=False)
class _Step:
    """What one step came to, of the walkers that tried one."""

    index: Tensor  # (b,) their numbers
    found: Corrected
    move: Move
    share: Tensor  # (b,) how much of the step was made: 1, 1/2, ...
    iterations: Tensor  # (b,)
    halvings: Tensor  # (b,)


class Walkers:
    """B walkers on their way.

    Parameters
    ----------
    f, x
        The map and where to start, as given by the user.
    walk
        What to do.
    generator
        For the draws; None: a new one with a fixed seed.

    Raises
    ------
    InputError
        If shapes do not fit.
    NonFiniteError
        If an output at the start is NaN or infinite.
    """

    def __init__(
        self, f: Map, x: Tensor, walk: WalkSpec, generator: torch.Generator | None
    ) -> None:
        f, x = in_double_precision(f, x)
        self.shape = x.shape
        self.map = FeatureMap(f, x)
        self._slopes = Slopes(self.map)
        self.x = self.map.x.clone()  # (B, d)
        self.walk = walk
        self._draws = generator_or_default(generator)
        bounds = box_bounds(walk.box, self.x.view(x.shape))
        self.bounds = None if bounds is None else Bounds(*bounds)
        self.outputs = self.features(self.x)  # (B, m)
        if not bool(self.outputs.isfinite().all()):
            raise NonFiniteError("The map gives NaN or infinite values where the walk starts.")
        self.tangent = self.tangents(self.x)
        self._eps = torch.finfo(self.x.dtype).eps
        self._target = self._given("target")
        self._failures = torch.zeros(len(x), dtype=torch.int64, device=x.device)  # in a row
        self._first = self._given("velocity")
        self._velocity = torch.zeros_like(self.x)
        self._done = self.x.new_zeros(len(x))  # the share of the course behind each walker
        self._course: Course | None = None
        self._journal = Journal(walk.steps, self.x, self.outputs, self.tangent)

    def features(self, x: Tensor) -> Tensor:
        """Outputs `(b, m)` at points `(b, d)`."""
        with torch.no_grad(), full_precision(x.device):
            return self.map(x)

    def tangents(self, x: Tensor) -> Tangent:
        """Jacobians and kernels at points `(b, d)`."""
        J = self._slopes(x)
        return Tangent(J, NullSpace.of(J, tol=self.walk.rank_tolerance))

    def run(self, course: Course | None = None) -> Walk:
        """All steps: at the output of the start, or along a course of outputs."""
        self._course = course
        self._begin()
        for step in range(self.walk.steps):
            wish = self._wishes()
            index = self._journal.walking()
            if len(index) == 0:
                break
            made = self._step(index, wish[index], self.walk.steps - step)
            self._take(step, made)
        return self._journal.walk(self._velocity, self.shape)

    def _given(self, name: str) -> Tensor | None:
        """A target or a velocity, one per walker, `(B, d)`."""
        given: Tensor | None = getattr(self.walk, name)
        if given is None:
            return None
        if given.shape not in (self.shape, self.shape[1:]):
            raise InputError(
                f"A {name} has the shape of a sample, {tuple(self.shape[1:])}, or of all walkers, "
                f"{tuple(self.shape)}; got {tuple(given.shape)}."
            )
        return given.detach().to(self.x).expand(self.shape).flatten(1)

    def _wanted(self, index: Tensor, done: Tensor) -> Tensor:
        if self._course is None:
            return self._journal.outputs[0][index]
        return self._course(index, done)

    def _begin(self) -> None:
        """Verdicts at the start, and first velocities."""
        space = self.tangent.space
        largest = space.singular_values[:, 0]
        everyone = torch.arange(len(self.x), device=self.x.device)
        aim = self._precision(everyone, self._wanted(everyone, torch.ones_like(self._done))).aim
        reach = self.walk.steps * self.walk.step_size + self.x.norm(dim=1)
        self._journal.stop(everyone[(largest * reach <= aim) & (largest > 0)], "saturated")
        self._judge(everyone)
        if self._first is not None:
            self._velocity = space.project(self._first)
        elif self.walk.direction == "persistent":
            draws = space.project(drawn(len(self.x), self.x.shape[1], self._draws, self.x))
            size = draws.norm(dim=1, keepdim=True)
            self._velocity = draws / size.where(size > 0, 1.0)

    def _judge(self, index: Tensor) -> None:
        """Stop walkers where everything is null, or nothing."""
        space = self.tangent.space.rows(index)
        if bool(((space.rank > 0) & (space.null_dim > 0)).all()):
            return
        flat = space.singular_values[:, 0] == 0
        self._journal.stop(index[flat], "flat")
        self._journal.stop(index[(space.rank == 0) & ~flat], "saturated")
        if self._course is None:
            self._journal.stop(index[space.null_dim == 0], "point")

    def _wishes(self) -> Tensor:
        """Where each walker would go, `(B, d)`.

        Drawn for those that stopped too: no path depends on how the others fare.
        """
        walkers, d = self.x.shape
        if self.walk.direction == "gaussian":
            return drawn(walkers, d, self._draws, self.x)
        if self.walk.direction == "eigenvector":
            chance = torch.rand(
                2, walkers, generator=self._draws, dtype=torch.float64, device=self._draws.device
            ).to(self.x)
            sign = torch.where(chance[0] < 0.5, -1.0, 1.0)
            return sign[:, None] * null_vector(self.tangent.space, chance[1])
        if self.walk.direction == "target":
            assert self._target is not None  # the spec has been checked
            return self._target - self.x
        return self._velocity

    def _precision(self, index: Tensor, wanted: Tensor) -> Precision:
        """How near to the prescribed outputs `(b, m)` walkers are to be brought."""
        walk = self.walk
        if walk.tolerance is not None:
            aim = floor = torch.full_like(self.x[index, 0], walk.tolerance)
        else:
            start = self._journal.outputs[0][index]
            size = torch.maximum(start.abs(), wanted.abs()).amax(dim=1)
            # Rounding the inputs changes the outputs by eps |J| |x| at least.
            J = self.tangent.rows(index).J.abs()
            moved = torch.bmm(J, self.x[index].abs()[:, :, None]).amax(dim=(1, 2))
            floor = _ROUNDING * self._eps * torch.maximum(size, moved)
            aim = torch.where(size > 0, _ROUNDING * self._eps * size, floor)
        return Precision(aim, floor, walk.newton_steps, walk.rank_tolerance)

    def _step(self, index: Tensor, wish: Tensor, left: int) -> _Step:
        """One step of some walkers, halved where it cannot be corrected."""
        walk, x, tangent = self.walk, self.x[index], self.tangent.rows(index)
        done = self._done[index]
        ahead = (1.0 - done) / left
        change = None
        if self._course is not None:
            change = self._wanted(index, done + ahead) - self.outputs[index]
        bounds = None if self.bounds is None else self.bounds.rows(index)
        move = chosen_move(walk, wish, change, x, (tangent.J, tangent.space), bounds)
        share = torch.ones_like(done)
        iterations, halvings = torch.zeros_like(index), torch.zeros_like(index)
        found: Corrected | None = None
        trying = torch.nonzero(move.possible).squeeze(1)
        for halving in range(walk.halvings + 1 if len(trying) else 0):
            part = share[trying]
            wanted = self._wanted(index[trying], done[trying] + part * ahead[trying])
            at = x[trying] + part[:, None] * (move.along + move.across)[trying]
            inner = None if bounds is None else bounds.rows(trying)
            tried = corrected(
                self.features,
                self.tangents,
                at if inner is None else inner.clip(at),
                wanted,
                tangent.rows(trying),
                bounds=inner,
                precision=self._precision(index[trying], wanted),
                corrector=walk.corrector,
            )
            iterations[trying] += tried.iterations
            good = tried.reached & self._nearer(index[trying], x[trying], tried.x)
            found = _merged(found, tried, trying, good, x, self.outputs[index])
            trying = trying[~good]
            if len(trying) == 0 or halving == walk.halvings:
                break
            share[trying] *= 0.5
            halvings[trying] += 1
        found = found or _unmoved(x, self.outputs[index])
        self._done[index] = torch.where(found.reached, done + share * ahead, done)
        return _Step(index, found, move, share, iterations, halvings)

    def _nearer(self, index: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Whether a step towards a target leads nearer to it; any step will do otherwise."""
        if self.walk.direction != "target" or self._course is not None:
            return torch.ones_like(index, dtype=torch.bool)
        assert self._target is not None
        target = self._target[index]
        nearer: Tensor = (target - y).norm(dim=1) < (target - x).norm(dim=1)
        return nearer

    def _take(self, step: int, made: _Step) -> None:
        """Move the walkers that can, write it down, and judge where they are."""
        reached = made.found.reached
        if bool(reached.all()):
            self._failures[made.index] = 0
        else:
            self._fail(step, made)
        good = torch.nonzero(reached).squeeze(1)
        index = made.index[good]
        if len(index):
            x, y = self.x[index], made.found.x[good]
            before = self.tangent.rows(index)
            after = self.tangents(y)
            wanted = self._wanted(index, self._done[index])
            self._journal.record(step, index, y, made.found.outputs[good], wanted, before, after)
            self.tangent = self.tangent.replaced(index, after)
            self.x[index], self.outputs[index] = y, made.found.outputs[good]
            if self.walk.direction == "persistent" or step == self.walk.steps - 1:
                self._carry(made, good, y - x)
            self._judge(index)
        self._journal.count(step, made.index, made.iterations, made.halvings)

    def _fail(self, step: int, made: _Step) -> None:
        """Verdicts on walkers that made no step."""
        failed = ~made.found.reached
        blocked = failed & ~made.move.possible
        if self.walk.direction == "target" and self._course is None:
            assert self._target is not None
            x = self.x[made.index]
            away = self._target[made.index] - x
            near = self.tangent.space.rows(made.index).project(away).norm(dim=1)
            size = _ARRIVED * (away.norm(dim=1) + self._eps * x.norm(dim=1))
            self._journal.stop(made.index[blocked | (failed & (near <= size))], "arrived")
        self._failures[made.index] = torch.where(failed, self._failures[made.index] + 1, 0)
        drawn_anew = self.walk.direction in {"gaussian", "eigenvector"} and self._course is None
        patience = min(_PATIENCE, self.walk.steps) if drawn_anew else 1
        given_up = failed & (self._failures[made.index] >= patience)
        at_start = step + 1 == patience
        self._journal.stop(made.index[given_up & blocked], "dead start" if at_start else "stuck")
        self._journal.stop(made.index[given_up], "stuck")

    def _carry(self, made: _Step, good: Tensor, moved: Tensor) -> None:
        """Velocities at the new points.

        v <- P(y) (y - x) / step, which is its own reverse where y - x - step v is normal to the
        class at x (RATTLE). Elsewhere the speed is kept instead.
        """
        index = made.index[good]
        share, confined = made.share[good], made.move.confined[good]
        persistent = self.walk.direction == "persistent"
        if self._course is not None:
            moved = share[:, None] * made.move.along[good]
        space = self.tangent.space.rows(index)
        velocity = space.project(moved) / (share * (self.walk.step_size or 1.0))[:, None]
        if persistent:
            exact = made.found.along_normals[good] & ~confined & (self._course is None)
            speed, now = self._velocity[index].norm(dim=1), velocity.norm(dim=1)
            factor = torch.where(exact | (now == 0), 1.0, speed / now)
            velocity = factor[:, None] * velocity
        self._velocity[index] = velocity


def _merged(
    found: Corrected | None,
    tried: Corrected,
    trying: Tensor,
    good: Tensor,
    x: Tensor,
    outputs: Tensor,
) -> Corrected:
    """What earlier tries found, with what was reached now."""
    if found is None and bool(good.all()) and len(trying) == len(x):
        return tried
    found = found or _unmoved(x, outputs)
    rows = trying[good]
    found.x[rows], found.outputs[rows] = tried.x[good], tried.outputs[good]
    found.reached[rows] = True
    found.along_normals[rows] = tried.along_normals[good]
    return found


def _unmoved(x: Tensor, outputs: Tensor) -> Corrected:
    """What is found by walkers that try nothing."""
    nothing = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    return Corrected(x.clone(), outputs.clone(), nothing, nothing.long(), nothing.clone())
