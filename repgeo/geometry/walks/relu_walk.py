"""Straight walks within the class of an input, exact, from one linear region to the next."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.geometry.feature_map import (
    MEMORY_BUDGET,
    FeatureMap,
    Map,
    full_precision,
    samples_within,
)
from repgeo.geometry.walks.direction import drawn
from repgeo.geometry.walks.double_precision import in_double_precision
from repgeo.geometry.walks.linear_regions import Ahead, LinearRegions
from repgeo.geometry.walks.null_space import NullSpace

__all__ = ["RegionStatus", "RegionWalk", "relu_walk"]

RegionStatus: TypeAlias = Literal["length", "events", "unbounded", "dead end", "point", "corner"]

_NOTHING = 1e-9  # of a vector's length: what rounding leaves of a projection
_SEED = 2404_06104  # not 0, from which the inputs of a test are often drawn: x itself would come
_CORNER = 200  # kinks in a row at one point, besides those that the map has
_STILL = 1e-14  # relative to the position: a move that is none


@dataclass(frozen=True, eq=False)
class RegionWalk:
    """The broken lines of B walkers with K vertices beyond the start, which lie on kinks.

    Walkers take different numbers of steps; one that is done stands at its last point in all later
    rows.

    Attributes
    ----------
    points
        Vertices `(K + 1, B, ...)`, in units of input. Between them the path is straight.
    drift
        Largest absolute difference of the map itself from its value at the start, `(K + 1, B)`, in
        units of output.
    length
        Length of the path up to each vertex, `(K + 1, B)`, in units of input.
    rank
        Rank of the Jacobian on the segment that ends at each vertex (at the start: that begins
        there), `(K + 1, B)`, int64.
    site
        Which operation the kink at the end of each segment belongs to, in the order in which the
        map calls those that have kinks, `(K, B)`, int64; -1 where a walk ended without one.
    unit
        Which kink of the operation, `(K, B)`, int64: the number of the unit; of a max-pool, (number
        of the value) times (size of the window) plus the place in the window that draws level.
    folded
        Where the class turns by more than a right angle, `(K, B)`: there the old velocity,
        projected onto the new kernel, would lead back.
    taken
        Segments of each walker, `(B,)`, int64.
    velocity
        Unit vectors at the last points, `(B, ...)`; negated, they lead back along the path.
    status
        One verdict per walker. "length": as long as was asked for. "events": as many kinks as were
        asked for. "unbounded": there is no kink ahead, the class contains the ray (which is
        followed up to the length, if one is given). "dead end": the rank grows beyond the kink at
        the last vertex, and the class ends there. "point": the Jacobian has full column rank.
        "corner": several kinks meet at the last vertex, and no way beyond it was found.
    """

    points: Tensor
    drift: Tensor
    length: Tensor
    rank: Tensor
    site: Tensor
    unit: Tensor
    folded: Tensor
    taken: Tensor
    velocity: Tensor
    status: tuple[RegionStatus, ...]

    @property
    def null_dim(self) -> Tensor:
        """Dimension of the class on the segment that ends at each vertex, `(K + 1, B)`, int64."""
        return self.points[0, 0].numel() - self.rank

    @property
    def crossings(self) -> Tensor:
        """How many kinks each walker came to, `(B,)`, int64."""
        return (self.site >= 0).sum(dim=0)

    def at(self, lengths: Tensor) -> Tensor:
        """Points of the paths at given lengths.

        Parameters
        ----------
        lengths
            `(n,)`, from 0 on; beyond the end of a path its last point is taken.

        Returns
        -------
        Tensor
            `(n, B, ...)`.

        Raises
        ------
        InputError
            If the shape does not fit or a length is negative.
        """
        if lengths.ndim != 1 or not bool((lengths >= 0).all()):
            raise InputError(f"Lengths are (n,), not negative; got {tuple(lengths.shape)}.")
        wanted = torch.minimum(lengths.to(self.length)[:, None], self.length[-1])  # (n, B)
        after = torch.searchsorted(self.length.T.contiguous(), wanted.T.contiguous()).T
        after = after.clamp(min=1, max=max(1, len(self.length) - 1)).clamp(max=len(self.length) - 1)
        before = (after - 1).clamp(min=0)
        start, end = self.length.gather(0, before), self.length.gather(0, after)
        part = torch.where(end > start, (wanted - start) / (end - start), 0.0)
        walkers = torch.arange(wanted.shape[1], device=wanted.device)
        first, last = self.points[before, walkers], self.points[after, walkers]
        return first + part.view(*part.shape, *(1,) * (first.ndim - 2)) * (last - first)


def relu_walk(
    f: Map,
    x: Tensor,
    *,
    length: float | None = None,
    events: int | None = None,
    direction: Tensor | None = None,
    at_dead_end: Literal["stop", "reflect"] = "stop",
    generator: torch.Generator | None = None,
) -> RegionWalk:
    """Walk straight on through the inputs that a piecewise linear network does not tell apart.

    On a linear region f is affine and the class of x is a polytope of the dimension of the kernel
    of J. The walk moves along a null vector to the first kink, exactly, enters the region beyond,
    and goes on in the new kernel at the same angle to the kink: with w normal to it,
    a = P_old w and a' = P_new w, the velocity v = k + c a/|a| with k orthogonal to a becomes
    k + c a'/|a'|. That is the geodesic of the class, straight where the two polytopes are unfolded
    into one plane. It never turns back into the old region, as the projection P_new v does where
    the class folds, and it is reversible.

    Parameters
    ----------
    f
        A batched map from `(B, ...)` to `(B, m)` that is affine but for ReLUs, leaky ReLUs, PReLUs,
        hardtanh, ReLU6, hardsigmoid, abs, clamp and max-pools, as modules, functions or methods
        of tensors; the sample axis comes first everywhere. A module is computed in float64, on a
        copy where it is of another dtype; a callable in the dtype of `x`.
    x
        Starting points `(B, ...)`, d numbers each.
    length
        Length of the path, in units of input. This or `events` is needed.
    events
        Most kinks that are crossed.
    direction
        Where to: a sample or one per walker; its part in the kernel is followed. None draws it
        isotropically in the kernel.
    at_dead_end
        Where the class ends at a kink: "stop", or "reflect", as a ball from a wall.
    generator
        Of the draw; None: a new one, with a seed that is always the same.

    Returns
    -------
    RegionWalk
        Vertices, kinks, drift and a verdict for each walker.

    Raises
    ------
    InputError
        If shapes do not fit, neither length nor events is given, a direction has no part in the
        kernel, or f has other nonlinearities.

    Notes
    -----
    Where no rank changes, kernels have one dimension all along the walk. Kinks that are reached at
    the same time are crossed together where the map's directional derivative says so, else one
    after the other at the same point. Positions are corrected towards f(x) after each move, by the
    affine map of the region: rounding does not add up.

    Cost: for each event two forward passes that carry a tangent, 1 + m backward passes (all walkers
    together), and 2 d m^2 operations of each walker. Memory: all vertices.

    References
    ----------
    A. Benfenati, A. Marta, "A singular Riemannian geometry approach to deep neural networks III.
    Piecewise differentiable layers and random walks on n-dimensional classes" (2024), arXiv
    2404.06104: walks within one region, with steps of fixed length.

    Examples
    --------
    relu(x1) - relu(x2) is constant along diagonals, and the class of (1, 1) ends in no point:

    >>> f = lambda x: torch.relu(x[:, :1]) - torch.relu(x[:, 1:])
    >>> start = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    >>> walk = relu_walk(f, start, length=5.0, direction=-torch.ones(2).double())
    >>> [[round(value, 6) for value in point] for point in walk.points[:, 0].tolist()]
    [[1.0, 3.0], [0.0, 2.0], [-3.585786, 2.0]]
    >>> walk.status, walk.site[:, 0].tolist()
    (('unbounded',), [0, -1])
    """
    if length is None and events is None:
        raise InputError("A walk needs an end: give a length, or a number of events.")
    if length is not None and not (math.isfinite(length) and length > 0):
        raise InputError(f"length must be a positive, finite number, got {length!r}.")
    if events is not None and (isinstance(events, bool) or events < 1):
        raise InputError(f"events must be at least 1, got {events!r}.")
    if at_dead_end not in ("stop", "reflect"):
        raise InputError(f"at_dead_end must be 'stop' or 'reflect', got {at_dead_end!r}.")
    f, x = in_double_precision(f, x)
    feature_map = FeatureMap(f, x)
    walkers = _Walkers(feature_map, math.inf if length is None else length)
    walkers.set_off(direction, generator)
    while len(walkers.active) and (events is None or len(walkers.sites) < events):
        walkers.move(reflect=at_dead_end == "reflect")
    return walkers.result(x.shape[1:])


class _Walkers:
    """Walkers on their way, each in its region."""

    def __init__(self, f: FeatureMap, length: float) -> None:
        self.f = f
        self.x = f.x.clone()  # (B, d)
        self.v = torch.zeros_like(self.x)
        self.regions = LinearRegions(f, self.x)  # of the active ones, as is `space`
        self.space = NullSpace.of(self.regions.jacobian(self.x))
        self.active = torch.arange(len(self.x), device=self.x.device)
        self.outputs = self.regions.features(self.x)  # (B, m), to be kept
        self.left = torch.full_like(self.x[:, 0], length)
        self.still = torch.zeros_like(self.active)  # moves of no length in a row
        self.patience = _CORNER + sum(state[0].numel() for state in self.regions.states)
        self.bound = torch.zeros_like(self.active, dtype=torch.bool)  # to the direction given
        self.status: list[RegionStatus] = ["events"] * len(self.x)
        self.points, self.ranks = [self.x.clone()], [self.space.rank]
        self.lengths = [torch.zeros_like(self.left)]
        self.sites: list[Tensor] = []
        self.units: list[Tensor] = []
        self.folded: list[Tensor] = []
        self.taken = torch.zeros_like(self.active)

    def set_off(self, direction: Tensor | None, generator: torch.Generator | None) -> None:
        """Choose the first velocities, unit vectors in the kernels."""
        if direction is None:
            draws = torch.Generator().manual_seed(_SEED) if generator is None else generator
            wish = drawn(len(self.x), self.x.shape[1], draws, self.x)
        else:
            wish = self._rows(direction)
            self.bound[:] = True
        movable = self.space.null_dim > 0
        self.v = self.space.project(wish)
        size = self.v.norm(dim=1, keepdim=True)
        lost = movable & ~(size[:, 0] > _NOTHING * wish.norm(dim=1))
        if bool(lost.any()):
            raise InputError(
                f"The direction has no part in the kernel of the Jacobian for {int(lost.sum())} of "
                "the walkers: all of it changes the output. Leave it out to draw one."
            )
        self.v = torch.where(movable[:, None], self.v / size, 0.0)
        self._stop(~movable, "point")

    def _rows(self, direction: Tensor) -> Tensor:
        """A direction for each walker, `(B, d)`."""
        rows, d = direction.detach().to(self.x), self.x.shape[1]
        if rows.numel() == d:
            return rows.reshape(1, d).expand_as(self.x)
        if rows.numel() == self.x.numel() and len(rows) == len(self.x):
            return rows.reshape(self.x.shape)
        raise InputError(
            f"A direction is one sample of {d} numbers or one for each of {len(self.x)} walkers; "
            f"got {tuple(direction.shape)}."
        )

    def _stop(self, which: Tensor, status: RegionStatus) -> None:
        """Take some of the active walkers out, with a verdict."""
        if not bool(which.any()):
            return
        for walker in self.active[which].tolist():
            self.status[walker] = status
        kept = torch.nonzero(~which)[:, 0]
        self.active = self.active[kept]
        self.regions.select(kept)
        self.space = self.space.rows(kept)

    def move(self, *, reflect: bool) -> None:
        """Follow each walker to its next kink, or to the end of its path, and turn there."""
        here = self.active
        x, v, left = self.x[here], self.v[here], self.left[here]
        ahead = self.regions.ahead(x, v)
        ends, free = ahead.time >= left, ahead.time.isinf()
        step = torch.where(ends, left, ahead.time)
        step = torch.where(step.isinf(), 0.0, step)  # on a ray without a length
        nowhere = torch.full_like(ahead.site, -1)
        ahead = Ahead(
            torch.where(ends, torch.inf, ahead.time),
            torch.where(ends, nowhere, ahead.site),
            torch.where(ends, nowhere, ahead.unit),
        )
        moved = x + step[:, None] * v
        # The affine map of the region tells what rounding has changed, and how to undo it.
        moved = moved - self.space.lift(self.regions.features(moved) - self.outputs[here])
        self.x[here] = moved
        self.left[here] = left - step
        self.taken[here] += 1
        self._record(step, ahead)
        fresh = (self.lengths[-1][here] == 0) & ~self.bound[here]
        closed, grown = self._turn(moved, v, ahead, fresh | reflect)
        still = step <= _STILL * (1 + moved.norm(dim=1))
        self.still[here] = torch.where(still, self.still[here] + 1, 0)
        verdicts: list[tuple[Tensor, RegionStatus]] = [
            (free, "unbounded"),
            (ends & ~free, "length"),
            (closed & grown, "dead end"),
            (closed | (self.still[here] > self.patience), "corner"),
        ]
        rest = torch.ones_like(ends)
        for which, status in verdicts:
            self._stop((which & rest)[rest], status)
            rest = rest & ~which

    def _record(self, step: Tensor, ahead: Ahead) -> None:
        here = self.active
        self.points.append(self.x.clone())
        length, rank = self.lengths[-1].clone(), self.ranks[-1].clone()
        length[here] += step
        rank[here] = self.space.rank
        self.lengths.append(length)
        self.ranks.append(rank)
        site, unit = torch.full_like(rank, -1), torch.full_like(rank, -1)
        site[here], unit[here] = ahead.site, ahead.unit
        self.sites.append(site)
        self.units.append(unit)

    def _turn(self, x: Tensor, v: Tensor, ahead: Ahead, reflect: Tensor) -> tuple[Tensor, Tensor]:
        """Enter the regions beyond the kinks at x; which walkers cannot, and where the rank grows.

        Walkers without a kink ahead go on as before.
        """
        here, old, states = self.active, self.space, self.regions.states
        folded = torch.zeros_like(self.bound)
        normal = self.regions.normal(x, ahead)
        a = old.project(normal)
        a = torch.nan_to_num(a / a.norm(dim=1, keepdim=True))
        # Towards the kink: w and a are outward normals, and c > 0.
        c = (a * v).sum(dim=1, keepdim=True)
        a, normal, c = a * c.sign(), normal * c.sign(), c.abs()
        along = v - c * a
        self.regions.cross(x, v, ahead)
        new = NullSpace.of(self.regions.jacobian(x))
        b = new.project(normal)
        size = b.norm(dim=1, keepdim=True)
        b = torch.nan_to_num(b / size)
        # A vector of the row space leaves rounding, which does not stay when projected again.
        real = (size > _NOTHING * normal.norm(dim=1, keepdim=True))[:, 0]
        real &= new.project(b).norm(dim=1) > 0.5
        crosses = ahead.site >= 0
        folded[here] = crosses & real & ((a * b).sum(dim=1) < 0)
        self.folded.append(folded)
        turned = new.project(along + c * b)
        turned = torch.where((crosses & real)[:, None], turned, v)
        closed = crosses & ~real
        turned = torch.where((closed & reflect)[:, None], along - c * a, turned)
        self.v[here] = turned / turned.norm(dim=1, keepdim=True)
        grown = new.rank > old.rank
        back = torch.nonzero(closed)[:, 0]
        if len(back):
            self.regions.restore(back, states)
            new = new.replaced(back, old.rows(back))
        self.space = new
        return closed & ~reflect, grown

    def result(self, shape: torch.Size) -> RegionWalk:
        """What was recorded."""
        points = torch.stack(self.points)  # (K + 1, B, d)
        rows = points.flatten(0, 1)
        size = samples_within(MEMORY_BUDGET, self.f.bytes_per_sample, rows.device)
        with torch.no_grad(), full_precision(rows.device):
            found = torch.cat([self.f(part) for part in torch.split(rows, size)])
        drift = (found.view(*points.shape[:2], -1) - self.outputs).abs().amax(dim=2)
        none = self.taken.new_zeros(0, len(self.x))
        return RegionWalk(
            points=points.view(*points.shape[:2], *shape),
            drift=drift,
            length=torch.stack(self.lengths),
            rank=torch.stack(self.ranks),
            site=torch.stack(self.sites) if self.sites else none,
            unit=torch.stack(self.units) if self.units else none,
            folded=torch.stack(self.folded) if self.folded else none.bool(),
            taken=self.taken,
            velocity=self.v.view(-1, *shape),
            status=tuple(self.status),
        )
