"""Where a step goes: directions in the kernel, and what a box leaves of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from repgeo.geometry.walks.null_space import NullSpace
from repgeo.geometry.walks.walk import WalkSpec

__all__ = ["Bounds", "Move", "chosen_move", "drawn", "generator_or_default", "null_vector"]

_ROUNDS = 20  # of the active set; what is still blocked then is clipped
#: Of the draws where no generator is given: not one that starts are likely to be drawn with, which
#: would make the first draws of a walk equal to its start.
_SEED = 0x6B65726E656C
_NOTHING = 1e-12  # of a wish: what rounding leaves of its projection


@dataclass(frozen=True, eq=False)
class Bounds:
    """A box: lower and upper bounds `(b, d)`."""

    low: Tensor
    high: Tensor

    def rows(self, index: Tensor) -> Bounds:
        """Those of some walkers."""
        return Bounds(self.low[index], self.high[index])

    def clip(self, x: Tensor) -> Tensor:
        """The nearest points of the box, `(b, d)`."""
        return torch.minimum(torch.maximum(x, self.low), self.high)

    def strictly_inside(self, x: Tensor) -> Tensor:
        """Which coordinates can move both ways, `(b, d)`."""
        return (x > self.low) & (x < self.high)

    def blocked(self, x: Tensor, move: Tensor) -> Tensor:
        """Which coordinates stand at a bound that the move leads out of, `(b, d)`."""
        return ((x <= self.low) & (move < 0)) | ((x >= self.high) & (move > 0))


@dataclass(frozen=True, eq=False)
class Move:
    """A step before it is corrected.

    Attributes
    ----------
    along
        Its part in the kernel, `(b, d)`.
    across
        Its part that changes the output, `(b, d)`.
    possible
        Whether there is such a step, `(b,)`.
    confined
        Whether a bound was in its way, `(b,)`.
    """

    along: Tensor
    across: Tensor
    possible: Tensor
    confined: Tensor


def generator_or_default(generator: torch.Generator | None) -> torch.Generator:
    """The generator, or a new one with a fixed seed."""
    return torch.Generator().manual_seed(_SEED) if generator is None else generator


def drawn(walkers: int, size: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Independent standard normal numbers `(walkers, size)`, the same on every device."""
    numbers = torch.randn(
        walkers, size, generator=generator, dtype=torch.float64, device=generator.device
    )
    return numbers.to(like)


def null_vector(space: NullSpace, which: Tensor) -> Tensor:
    """One vector of an orthonormal basis of each kernel, `(b, d)`.

    The basis completes that of the row space: products of its Householder reflections with unit
    vectors, so that only the vector asked for is formed.

    Parameters
    ----------
    space
        The kernels.
    which
        Numbers in [0, 1), `(b,)`: the place in the basis.

    Examples
    --------
    >>> space = NullSpace.of(torch.tensor([[[0.0, 2.0, 0.0]]]))
    >>> null_vector(space, torch.tensor([0.0])).abs().tolist()
    [[1.0, 0.0, 0.0]]
    """
    b, d, _ = space.basis.shape
    place = space.rank + (which * space.null_dim).long().clamp(max=d - 1)
    unit = space.basis.new_zeros(b, d, 1)
    unit[torch.arange(b, device=unit.device), place.clamp(max=d - 1)] = 1.0
    reflections, factors = torch.geqrf(space.basis)
    vectors = torch.ormqr(reflections, factors, unit).squeeze(2)
    return space.project(vectors)


def chosen_move(
    walk: WalkSpec,
    wish: Tensor,
    change: Tensor | None,
    x: Tensor,
    tangent: tuple[Tensor, NullSpace],
    bounds: Bounds | None,
) -> Move:
    """The step that comes nearest to a wish, in the kernel, within a box, of the right length.

    Parameters
    ----------
    walk
        Tells the length.
    wish
        A direction `(b, d)`: a draw, a velocity, or the way to a target.
    change
        The change of output that the step is to make, `(b, m)`, or None.
    x
        The points `(b, d)`.
    tangent
        Their Jacobians `(b, m, d)` and the kernels of these.
    bounds
        The box. Of coordinates at a bound that the step would cross, the columns of the Jacobian
        are dropped, until no step leads outwards.
    """
    J, space = tangent
    free = torch.ones_like(wish, dtype=torch.bool)
    confined = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    speed = wish.norm(dim=1)
    along, across = _parts(walk, wish, speed, change, space)
    for _ in range(_ROUNDS if bounds is not None else 0):
        assert bounds is not None
        blocked = free & bounds.blocked(x, along + across)
        again = torch.nonzero(blocked.any(dim=1)).squeeze(1)
        if len(again) == 0:
            break
        confined[again] = True
        free &= ~blocked
        part = free[again]
        inner = NullSpace.of(J[again] * part[:, None, :], tol=walk.rank_tolerance)
        some = None if change is None else change[again]
        null, lifted = _parts(walk, wish[again] * part, speed[again], some, inner)
        along, across = along.clone(), across.clone()
        along[again], across[again] = null * part, lifted * part
    size = (along.square().sum(dim=1) + across.square().sum(dim=1)).sqrt()
    return Move(along, across, size > 0, confined)


def _parts(
    walk: WalkSpec, wish: Tensor, speed: Tensor, change: Tensor | None, space: NullSpace
) -> tuple[Tensor, Tensor]:
    """The parts of a step along and across the classes; zero where there is none."""
    along = space.project(wish)
    size = along.norm(dim=1)
    some = size > _NOTHING * speed
    if walk.direction == "target":  # not beyond it
        length = size.clamp(max=walk.step_size)
    elif walk.direction == "persistent":
        length = walk.step_size * speed
    else:
        length = torch.full_like(size, walk.step_size)
    along = torch.where(some, length / size, 0.0)[:, None] * along
    across = torch.zeros_like(along) if change is None else space.lift(change)
    return along, across
