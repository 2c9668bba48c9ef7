"""What a walk is asked to do, and what it has to show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from repgeo.errors import InputError, nearest

__all__ = ["STOPPED", "Box", "Corrector", "Direction", "Status", "Walk", "WalkSpec", "box_bounds"]

Direction: TypeAlias = Literal["gaussian", "persistent", "target", "eigenvector"]
Corrector: TypeAlias = Literal["newton", "gauss_newton"]
Box: TypeAlias = tuple[float | Tensor, float | Tensor]

#: How the walk of one walker went; `Walk.status` says what each means.
Status: TypeAlias = Literal[
    "ok",
    "rank change",
    "point",
    "flat",
    "saturated",
    "dead start",
    "arrived",
    "stuck",
    "unbounded",
]

#: The verdicts under which a walker stands still from then on.
STOPPED: Final[frozenset[str]] = frozenset(get_args(Status)) - {"ok", "rank change"}


@dataclass(frozen=True, eq=False)
class WalkSpec:
    """How a walk is to be made.

    Attributes
    ----------
    steps
        K, at least 1.
    step_size
        Length of a step before it is corrected, in units of input; finite, not negative.
    direction
        "gaussian": isotropic in the kernel of the Jacobian, drawn anew in each step; "persistent":
        one such draw, then carried along the class (a discrete geodesic); "target": the part of
        `target - x` in the kernel; "eigenvector": one vector of an orthonormal basis of the
        kernel, with a random sign (the basis is the solver's, so the law of the walk is too).
    corrector
        "newton": back to the prescribed output along the normals of the step's starting point,
        which makes persistent walks reversible; where that fails along the normals of each
        iterate; where that fails too, the step is halved. "gauss_newton": along the normals of each
        iterate from the start, which leads nearly to the nearest point. None: not at all.
    box
        Lower and upper bound of each input: numbers, or tensors that broadcast to a sample.
    target
        Of direction "target": a sample, or one per walker.
    velocity
        Of direction "persistent": where it starts to, a sample or one per walker, in units of
        `step_size`; None draws it, of length 1.
    tolerance
        Largest absolute difference from the prescribed output; None: 50 eps times the largest
        absolute output at the start.
    rank_tolerance
        Singular values of the Jacobian up to this, in units of output per unit of input, count as
        zero; None: max(m, d) eps times the largest.
    newton_steps
        Most iterations of one correction.
    halvings
        How many times a step that cannot be corrected is halved.

    Raises
    ------
    InputError
        If a value is not allowed, or `target` and `direction` do not fit.

    Examples
    --------
    >>> WalkSpec(steps=10, step_size=0.5).direction
    'gaussian'
    """

    steps: int
    step_size: float
    direction: Direction = "gaussian"
    corrector: Corrector | None = "newton"
    box: Box | None = None
    target: Tensor | None = None
    velocity: Tensor | None = None
    tolerance: float | None = None
    rank_tolerance: float | None = None
    newton_steps: int = 15
    halvings: int = 8

    def __post_init__(self) -> None:
        """Check the values."""
        for name, least in (("steps", 1), ("newton_steps", 1), ("halvings", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name} must be an integer of at least {least}, got {value!r}.")
        if not (math.isfinite(self.step_size) and self.step_size >= 0):
            raise InputError(
                f"step_size must be a finite length, not negative; got {self.step_size!r}."
            )
        directions, correctors = get_args(Direction), get_args(Corrector)
        if self.direction not in directions:
            raise InputError(
                f"Unknown direction {self.direction!r}. {nearest(str(self.direction), directions)}"
            )
        if self.corrector is not None and self.corrector not in correctors:
            raise InputError(
                f"Unknown corrector {self.corrector!r}. "
                f"{nearest(str(self.corrector), correctors)} None corrects nothing."
            )
        for name in ("tolerance", "rank_tolerance"):
            given = getattr(self, name)
            if given is not None and not (math.isfinite(given) and given > 0):
                raise InputError(f"{name} must be a positive number or None, got {given!r}.")
        for name, direction in (("target", "target"), ("velocity", "persistent")):
            if getattr(self, name) is not None and self.direction != direction:
                raise InputError(
                    f"A {name} is for direction={direction!r}; the direction is "
                    f"{self.direction!r}. Leave the {name} out, or change the direction."
                )
        if self.direction == "target" and self.target is None:
            raise InputError("direction='target' needs a target: a sample, or one per walker.")
        if self.box is not None and len(self.box) != 2:
            raise InputError(f"A box is a pair (lower, upper), got {len(self.box)} entries.")


@dataclass(frozen=True, eq=False)
class Walk:
    """The walks of B walkers, K steps each.

    Point 0 is the start; a walker that stopped stands at its last point in all later rows.

    Attributes
    ----------
    points
        `(K + 1, B, ...)`, in units of input.
    outputs
        f at the points, `(K + 1, B, m)`.
    drift
        Largest absolute difference from the prescribed output, which of a walk within a class is
        f at its start, `(K + 1, B)`, in units of output.
    length
        Length of the path up to each point, `(K + 1, B)`, in units of input.
    pseudolength
        The same in the pullback metric: the integral of |J dx| by the trapezoidal rule on the
        norms, `(K + 1, B)`, in units of output.
    output_length
        Sum of |f(x_k+1) - f(x_k)| up to each point, `(K + 1, B)`, in units of output. Of a
        corrected walk within a class this is of the order of K times the tolerance, while
        `pseudolength`, which follows the chords of the steps, is of the order of the step size.
    energy
        The integral of |J dx/ds|^2 ds over path length s, by the trapezoidal rule, `(K + 1, B)`.
    rank
        Rank of the Jacobian at each point, `(K + 1, B)`, int64.
    gap
        The smallest singular value that counts over the largest that does not (this at least
        eps times the largest of all), `(K + 1, B)`; infinite where the rank is zero. Where it is
        not large, the rank is a matter of the tolerance.
    newton
        Iterations of the corrector in each step, those of halved tries included, `(K, B)`, int64.
    halvings
        How many times each step was halved, `(K, B)`, int64.
    taken
        Steps that were made, `(B,)`, int64.
    velocity
        Direction at the last point, in units of the step size, `(B, ...)`: what a persistent walk
        goes on with, or, negated, back. Of other directions that of the last step, if it was made.
    status
        One verdict per walker. "ok": the walk went to its end (with random directions a draw that
        finds no way is left out; `taken` counts the steps that were made). "rank change": the same,
        but the rank of the Jacobian changed on the way. The others stopped. "point": the Jacobian
        has full column rank, the class is a point. "flat": the Jacobian is zero, every direction is
        null (an inactive region). "saturated": the Jacobian is not zero, but even a move as long as
        the walk and the distance of the start from zero together, along its steepest direction,
        would change the output by less than the tolerance. "dead start": no direction at the start
        was both null and within the box, nor were ten draws in a row. "arrived": no null direction
        leads nearer to the target. "stuck": the same as a dead start, later, or steps could not be
        corrected, ten in a row where they are drawn. "unbounded": straight on without end (of walks
        that know the regions on which the map is linear).
    """

    points: Tensor
    outputs: Tensor
    drift: Tensor
    length: Tensor
    pseudolength: Tensor
    output_length: Tensor
    energy: Tensor
    rank: Tensor
    gap: Tensor
    newton: Tensor
    halvings: Tensor
    taken: Tensor
    velocity: Tensor
    status: tuple[Status, ...]

    @property
    def null_dim(self) -> Tensor:
        """Dimension of the kernel of the Jacobian at each point, `(K + 1, B)`, int64."""
        return self.points[0, 0].numel() - self.rank

    @property
    def displacement(self) -> Tensor:
        """Euclidean distance of each point from the start, `(K + 1, B)`, in units of input."""
        away: Tensor = (self.points - self.points[0]).flatten(2).norm(dim=2)
        return away


def box_bounds(box: Box | None, x: Tensor) -> tuple[Tensor, Tensor] | None:
    """Lower and upper bounds of flattened inputs, `(B, d)` each, in the dtype of `x`.

    Parameters
    ----------
    box
        Numbers, or tensors that broadcast to `x`.
    x
        Starting points `(B, ...)`.

    Raises
    ------
    InputError
        If the bounds do not fit `x`, are not in order, or a start lies outside.

    Examples
    --------
    >>> low, high = box_bounds((0.0, torch.tensor([1.0, 2.0])), torch.zeros(1, 2))
    >>> low.tolist(), high.tolist()
    ([[0.0, 0.0]], [[1.0, 2.0]])
    """
    if box is None:
        return None
    bounds = []
    for bound in box:
        given = torch.as_tensor(bound, dtype=x.dtype, device=x.device).detach()
        try:
            bounds.append(given.expand(x.shape).flatten(1))
        except RuntimeError as error:
            raise InputError(
                f"The bounds of a box must broadcast to the inputs {tuple(x.shape)}; got "
                f"{tuple(given.shape)}."
            ) from error
    low, high = bounds
    if not bool((low <= high).all()):
        raise InputError("The lower bounds of a box must not exceed the upper ones (nor be NaN).")
    rows = x.detach().flatten(1)
    outside = torch.maximum(low - rows, rows - high).amax(dim=1) > 0  # (B,)
    if bool(outside.any()):
        raise InputError(
            f"{int(outside.sum())} of {len(x)} walkers start outside the box. Take the bounds of "
            "the data that the starts come from, or clamp the starts first."
        )
    return low, high
