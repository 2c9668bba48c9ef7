"""Samples that are spread evenly over the class of an input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from repgeo.errors import InputError, NonFiniteError
from repgeo.geometry.feature_map import FeatureMap, Map, full_precision
from repgeo.geometry.jacobians import jacobian
from repgeo.geometry.walks.correction import Tangent
from repgeo.geometry.walks.direction import drawn, generator_or_default
from repgeo.geometry.walks.double_precision import in_double_precision
from repgeo.geometry.walks.null_space import NullSpace

__all__ = ["SampleStatus", "UniformWalk", "uniform_walk"]

SampleStatus: TypeAlias = Literal["ok", "stuck", "point"]

_ROUNDING = 50  # eps; what the projection leaves
_ITERATIONS = 20  # of one projection
_DIVERGED = 10.0  # a larger residual than so many times the last one is given up,
_TOO_SLOW = 0.5  # and than this, when there have been
_PATIENCE = 5  # iterations
_SOUND = 0.1  # of the last move's square: below it Broyden's update would blow up
_RETURNED = 1e-6  # steps; how near the reverse projection must come to where it started


@dataclass(frozen=True, eq=False)
class UniformWalk:
    """The samples of B Markov chains, K steps each.

    Attributes
    ----------
    points
        `(K + 1, B, ...)`, in units of input; where a proposal was not accepted the point before is
        repeated, and counts again in every average.
    drift
        Largest absolute difference from the output at the start, `(K + 1, B)`, in units of output.
    accepted
        Which proposals were accepted, `(K, B)`.
    unprojected
        Proposals from which the class was not reached along the normals, `(B,)`, int64.
    irreversible
        Proposals from which the way back leads elsewhere, `(B,)`, int64.
    rejected
        Proposals that the Metropolis rule turned down, `(B,)`, int64.
    rank
        Rank of the Jacobian at the start, `(B,)`, int64; it is the same at all points.
    status
        One verdict per walker. "ok". "stuck": no proposal was accepted; the steps are too long.
        "point": the Jacobian has full column rank, the class is a point.
    """

    points: Tensor
    drift: Tensor
    accepted: Tensor
    unprojected: Tensor
    irreversible: Tensor
    rejected: Tensor
    rank: Tensor
    status: tuple[SampleStatus, ...]

    @property
    def acceptance(self) -> Tensor:
        """Share of the proposals that were accepted, `(B,)`."""
        return self.accepted.to(self.drift).mean(dim=0)

    @property
    def null_dim(self) -> Tensor:
        """Dimension of each class, `(B,)`, int64."""
        return self.points[0, 0].numel() - self.rank


def uniform_walk(
    f: Map,
    x: Tensor,
    *,
    steps: int,
    step_size: float,
    tolerance: float | None = None,
    generator: torch.Generator | None = None,
) -> UniformWalk:
    """Markov chains whose equilibrium is the uniform distribution on the class of their start.

    Uniform is meant with respect to the Hausdorff measure: length, area, volume in the space of
    inputs. From x a tangent vector v is drawn, Gaussian in the kernel of J(x); y = x + v + J(x)^T a
    with f(y) = f(x_0) is the proposal. The way back is v', the part of x - y in the kernel of J(y).
    The proposal is accepted if the same projection from y + v' leads to x, and then with
    probability min(1, exp((|v|^2 - |v'|^2) / 2 s^2)). Without these two checks the samples are
    biased by curvature.

    Parameters
    ----------
    f
        A batched map from `(B, ...)` to `(B, m)` in which samples do not act on each other. A
        module is computed in float64, on a copy where it is of another dtype; a callable in the
        dtype of `x`.
    x
        Starts of B chains, `(B, ...)`, d numbers each.
    steps
        K, at least 1.
    step_size
        s, the standard deviation of a proposal along each tangent direction, in units of input.
        Its length is about s times the root of the dimension of the class.
    tolerance
        Largest absolute difference from the output at the start; None: 50 eps times the largest
        absolute output, or times what rounding of the input changes.
    generator
        For the draws, which do not depend on what other chains do; None: a new one with a fixed
        seed.

    Returns
    -------
    UniformWalk
        Samples, counts of what became of the proposals, and a verdict for each chain.

    Raises
    ------
    InputError
        If shapes do not fit or a value is not allowed.
    NonFiniteError
        If an output at the start, or a Jacobian on the way, is NaN or infinite.

    Notes
    -----
    The samples of a chain are correlated, and depend on the start until the chain has run through
    its class; errors are to be estimated from several chains. It is a connected piece of the level
    set, and of constant rank, that is sampled, of which bounded parts must have finite measure: on
    an unbounded class there is no equilibrium. Where f is only piecewise smooth (ReLU) the
    equilibrium is the same, but more proposals across kinks are turned down.

    Cost of a step: two Jacobians with 2 d m^2 operations each, and about ten forward passes.

    References
    ----------
    E. Zappa, M. Holmes-Cerfon, J. Goodman, "Monte Carlo on manifolds: sampling densities and
    integrating functions" (2018), arXiv 1702.08446.

    Examples
    --------
    >>> def f(x):
    ...     return x.square().sum(dim=1, keepdim=True)
    >>> start = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    >>> made = uniform_walk(f, start, steps=50, step_size=0.5)
    >>> made.status, made.rejected.tolist(), bool(made.drift.max() < 1e-11)
    (('ok',), [0], True)
    >>> [round(radius, 9) for radius in made.points[-1].norm(dim=1).tolist()]
    [5.0]
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise InputError(f"steps must be an integer of at least 1, got {steps!r}.")
    for name, value in (("step_size", step_size), ("tolerance", tolerance)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} must be a positive, finite number, got {value!r}.")
    f, x = in_double_precision(f, x)
    chains = _Chains(FeatureMap(f, x), step_size, tolerance)
    return chains.run(steps, generator_or_default(generator), x.shape)


@dataclass(frozen=True, eq=False)
class _Proposal:
    """Where chains would go, `(b, d)`, with the Jacobians there, and whether they may, `(b,)`."""

    y: Tensor
    tangent: Tangent
    projected: Tensor
    returns: Tensor
    excess: Tensor  # |v|^2 - |v'|^2


class _Chains:
    """The chains, all of them a step at a time.

    `checks_return` and `weighs` leave out one rule each, to show what it is for.
    """

    def __init__(
        self,
        f: FeatureMap,
        step_size: float,
        tolerance: float | None,
        *,
        checks_return: bool = True,
        weighs: bool = True,
    ) -> None:
        self.f, self.x, self.step_size = f, f.x.clone(), step_size
        self.checks_return, self.weighs = checks_return, weighs
        self.wanted = self._features(self.x)
        if not bool(self.wanted.isfinite().all()):
            raise NonFiniteError("The map gives NaN or infinite values where the walk starts.")
        self.tangent = self._tangents(self.x)
        self.rank = self.tangent.space.rank
        size = self.wanted.abs().amax(dim=1)
        moved = (self.tangent.J.abs() @ self.x.abs()[:, :, None]).amax(dim=(1, 2))
        eps = torch.finfo(self.x.dtype).eps
        floor = _ROUNDING * eps * torch.maximum(size, moved)
        if tolerance is not None:
            floor = torch.full_like(floor, tolerance)
        self.limit = floor

    def _features(self, x: Tensor) -> Tensor:
        with torch.no_grad(), full_precision(x.device):
            return self.f(x)

    def _tangents(self, x: Tensor) -> Tangent:
        J = jacobian(self.f, x)
        return Tangent(J, NullSpace.of(J))

    def run(self, steps: int, generator: torch.Generator, shape: torch.Size) -> UniformWalk:
        """All steps."""
        B, d = self.x.shape
        points = self.x.new_empty(steps + 1, B, d)
        drift = self.x.new_zeros(steps + 1, B)
        points[0] = self.x
        accepted = torch.zeros(steps, B, dtype=torch.bool, device=self.x.device)
        unprojected, irreversible, rejected = torch.zeros_like(self.rank).expand(3, B).clone()
        movable = self.tangent.space.null_dim > 0
        moving = torch.nonzero(movable)[:, 0]
        for step in range(steps):
            # Drawn for all chains, so that none depends on how the others fare.
            draws = self.step_size * drawn(B, d, generator, self.x)
            chance = torch.rand(B, generator=generator, dtype=torch.float64)
            points[step + 1], drift[step + 1] = points[step], drift[step]
            if len(moving) == 0:
                continue
            made = self._propose(moving, draws[moving])
            odds = (made.excess / (2 * self.step_size**2)).clamp(max=0).exp()
            likely = chance.to(odds)[moving] < odds
            if not self.weighs:
                likely = torch.ones_like(likely)
            good = made.projected & made.returns & likely
            unprojected[moving] += (~made.projected).long()
            irreversible[moving] += (made.projected & ~made.returns).long()
            rejected[moving] += (made.projected & made.returns & ~likely).long()
            accepted[step, moving] = good
            taken = torch.nonzero(good)[:, 0]
            index = moving[taken]
            if len(index) == 0:
                continue
            self.x[index] = made.y[taken]
            self.tangent = self.tangent.replaced(index, made.tangent.rows(taken))
            points[step + 1, index] = made.y[taken]
            outputs = self._features(made.y[taken])
            drift[step + 1, index] = (outputs - self.wanted[index]).abs().amax(dim=1)
        return UniformWalk(
            points=points.view(-1, *shape),
            drift=drift,
            accepted=accepted,
            unprojected=unprojected,
            irreversible=irreversible,
            rejected=rejected,
            rank=self.rank,
            status=tuple(
                "point" if not moves else "ok" if some else "stuck"
                for moves, some in zip(movable.tolist(), accepted.any(dim=0).tolist(), strict=True)
            ),
        )

    def _project(self, index: Tensor, start: Tensor, base: NullSpace) -> tuple[Tensor, Tensor]:
        """From points onto the class along the normals of the base, and where that succeeded.

        Along any other normals the way back would not be the same. By Newton's iteration, from the
        Jacobian of the base with Broyden's updates, which needs forward passes only.
        """
        y, reached = start.clone(), torch.zeros_like(index, dtype=torch.bool)
        going, here, normals = torch.arange(len(index), device=y.device), start, base.basis
        counts = torch.arange(normals.shape[2], device=y.device) < base.rank[:, None]
        inverse = torch.where(counts, 1 / base.singular_values, 0.0)[:, :, None] * base.images.mT
        wanted, limit = self.wanted[index], self.limit[index]
        residual = (wanted - self._features(here))[:, :, None]  # (b, m, 1)
        for iteration in range(_ITERATIONS):
            move = inverse @ residual  # (b, p, 1)
            here = here + (normals @ move).squeeze(2)
            before, residual = residual, (wanted - self._features(here))[:, :, None]
            size = residual.abs().amax(dim=(1, 2))
            most = _DIVERGED if iteration < _PATIENCE else _TOO_SLOW
            good, lost = size <= limit, ~(size <= most * before.abs().amax(dim=(1, 2)))
            y[going[good]], reached[going[good]] = here[good], True
            stay = torch.nonzero(~(good | lost))[:, 0]
            if len(stay) == 0:
                break
            expected = inverse @ (before - residual)
            product = move.mT @ expected
            sound = product.abs() > _SOUND * (move.mT @ move)
            weight = torch.where(sound, 1 / product, 0.0)
            inverse = inverse + weight * (move - expected) @ (move.mT @ inverse)
            if len(stay) < len(here):
                going, here, normals, inverse = (
                    going[stay],
                    here[stay],
                    normals[stay],
                    inverse[stay],
                )
                wanted, limit, residual = wanted[stay], limit[stay], residual[stay]
        return y, reached

    def _propose(self, index: Tensor, draws: Tensor) -> _Proposal:
        """The proposals of some chains, with their way back."""
        x, here = self.x[index], self.tangent.rows(index)
        v = here.space.project(draws)
        y, projected = self._project(index, x + v, here.space)
        y = torch.where(projected[:, None], y, x)
        there = self._tangents(y)
        back = there.space.project(x - y)
        returns = torch.ones_like(projected)
        if self.checks_return:
            again, reached = self._project(index, y + back, there.space)
            near = (again - x).norm(dim=1) <= _RETURNED * self.step_size
            returns = reached & near & (there.space.rank == self.rank[index])
        excess = v.square().sum(dim=1) - back.square().sum(dim=1)
        return _Proposal(y, there, projected, returns, excess)
