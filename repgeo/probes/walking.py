"""How probes walk: starts, boxes, rules, and walkers in groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor

from repgeo.datasets.dataset import Dataset
from repgeo.errors import InputError
from repgeo.geometry.walks.null_walk import null_walk
from repgeo.geometry.walks.published_walk import PublishedRule, published_walk
from repgeo.geometry.walks.relu_walk import relu_walk
from repgeo.geometry.walks.walk import Box, WalkSpec
from repgeo.probes.context import Context

__all__ = [
    "BoxName",
    "Directions",
    "Rule",
    "Script",
    "Trace",
    "Walking",
    "data_box",
    "groups_of",
    "recorded_steps",
]

#: Steps with a corrector, without one, by a published script, or exactly through linear regions.
Rule: TypeAlias = Literal["corrected", "uncorrected", "published", "exact"]

#: The scripts that were published, by what they walk on.
Script: TypeAlias = Literal["curve", "mnist", "power_plant", "relu_2d", "relu_3d"]

Directions: TypeAlias = Literal["gaussian", "persistent", "eigenvector"]

#: No box, that of the data, or a lower and an upper bound of all coordinates.
BoxName: TypeAlias = (
    Literal["none", "data"]
    | Annotated[
        tuple[
            Annotated[float, Field(strict=False, allow_inf_nan=False)],
            Annotated[float, Field(strict=False, allow_inf_nan=False)],
        ],
        Field(strict=False),
    ]
)

_SCRIPTS: Final[dict[str, dict[str, Any]]] = {
    "curve": {"eigenvector": "smallest", "sign": "tracked", "at_box": "stop"},
    "mnist": {"eigenvector": "first", "sign": "parity"},
    "power_plant": {"eigenvector": "below", "threshold": 1e-5, "sign": "parity"},
    "relu_2d": {"eigenvector": "below", "threshold": 1e-8, "sign": "tracked"},
    "relu_3d": {"eigenvector": "below", "threshold": 1e-1, "sign": "ternary"},
}

#: Numbers that the points of one group of walkers take. Not the memory budget: draws go by group.
_NUMBERS = 1 << 24


@dataclass(frozen=True, eq=False)
class Trace:
    """The walks of B walkers: point 0 is the start, a walker that stopped stands still.

    Attributes
    ----------
    points
        `(K + 1, B, ...)`.
    outputs
        Of the map that is walked on, `(K + 1, B, m)`.
    length
        Of the path so far, `(K + 1, B)`, in units of input.
    status
        One verdict per walker.
    """

    points: Tensor
    outputs: Tensor
    length: Tensor
    status: tuple[str, ...]

    @property
    def drift(self) -> Tensor:
        """Largest absolute difference of the outputs from those of the start, `(K + 1, B)`."""
        return (self.outputs - self.outputs[0]).abs().amax(dim=2)

    @property
    def reach(self) -> Tensor:
        """Distance from the start, `(K + 1, B)`, in units of input."""
        away: Tensor = (self.points - self.points[0]).flatten(2).norm(dim=2)
        return away


@dataclass(frozen=True)
class Walking:
    """How to walk; see the fields of the probe `null_walk`."""

    rule: Rule
    script: Script
    direction: Directions
    steps: int
    step_size: float
    tolerance: float | None
    rank_tolerance: float | None

    def trace(
        self,
        f: Callable[[Tensor], Tensor],
        x: Tensor,
        box: tuple[Tensor, Tensor] | None,
        generator: torch.Generator,
    ) -> Trace:
        """Walks from starts `(B, ...)`.

        Raises
        ------
        InputError
            If the exact rule is asked to stay in a box, or the map is not piecewise linear.
        """
        if self.rule == "exact":
            return self._exact(f, x, box, generator)
        if self.rule == "published":
            rule = PublishedRule(
                self.steps, self.step_size, **_SCRIPTS[self.script], box=_as_box(box)
            )
            made = published_walk(f, x, rule, generator=generator)
        else:
            spec = WalkSpec(
                self.steps,
                self.step_size,
                direction=self.direction,
                corrector="newton" if self.rule == "corrected" else None,
                box=_as_box(box),
                tolerance=self.tolerance,
                rank_tolerance=self.rank_tolerance,
            )
            made = null_walk(f, x, spec, generator=generator)
        return Trace(made.points, made.outputs, made.length, made.status)

    def _exact(
        self,
        f: Callable[[Tensor], Tensor],
        x: Tensor,
        box: tuple[Tensor, Tensor] | None,
        generator: torch.Generator,
    ) -> Trace:
        if box is not None:
            raise InputError(
                'null_walk: rule = "exact" walks straight on and knows no box; write box = "none", '
                'or rule = "corrected".'
            )
        whole = self.steps * self.step_size
        made = relu_walk(f, x, length=whole, generator=generator)
        steps = torch.arange(self.steps + 1, dtype=x.dtype, device=x.device)
        lengths = self.step_size * steps
        points = made.at(lengths)  # (K + 1, B, ...)
        with torch.no_grad():
            rows = f(points.flatten(0, 1))
        outputs = rows.view(self.steps + 1, len(x), -1)
        length = torch.minimum(lengths[:, None], made.length[-1])
        # What came to an end of its own is told; what was walked in full is "ok", rays too.
        full = (made.length[-1] >= whole * (1 - 1e-9)).tolist()
        status = tuple(
            "ok" if done else verdict for done, verdict in zip(full, made.status, strict=True)
        )
        return Trace(points, outputs, length, status)


def _as_box(box: tuple[Tensor, Tensor] | None) -> Box | None:
    return None if box is None else (box[0], box[1])


def data_box(box: BoxName, data: Dataset, like: Tensor) -> tuple[Tensor, Tensor] | None:
    """Lower and upper bounds of each coordinate, of the shape of a sample; None for no box.

    Those of the data are the extremes of both splits: starts are samples of the test split.

    Parameters
    ----------
    box
        As of the probe.
    data
        The dataset.
    like
        Inputs of the dtype and device that the bounds are to have.

    Raises
    ------
    InputError
        If the bounds are not in order.
    """
    if box == "none":
        return None
    if box == "data":
        splits = [split.x for split in (data.train, data.test) if isinstance(split.x, Tensor)]
        low = torch.stack([x.amin(dim=0) for x in splits]).amin(dim=0)
        high = torch.stack([x.amax(dim=0) for x in splits]).amax(dim=0)
        return low.to(like), high.to(like)
    lower, upper = box
    assert not isinstance(lower, str)  # the names of boxes have been dealt with
    assert not isinstance(upper, str)
    if not lower < upper:
        raise InputError(f"A box needs a lower bound below its upper bound, got {lower}, {upper}.")
    return torch.full_like(like[0], lower), torch.full_like(like[0], upper)


def groups_of(
    x: Tensor, *, walkers: int, steps: int, context: Context
) -> Iterator[tuple[slice, Tensor, torch.Generator]]:
    """Starts in groups whose paths fit into memory, each with a generator of its own.

    Parameters
    ----------
    x
        Starts `(n, ...)`.
    walkers
        From each start.
    steps
        Of a walk.
    context
        Gives the generators, the same for every model and rule.

    Yields
    ------
    tuple
        Which starts; these, each `walkers` times in a row `(b * walkers, ...)`; a generator.
    """
    size = max(1, _NUMBERS // ((steps + 1) * walkers * x[0].numel()))
    for number, first in enumerate(range(0, len(x), size)):
        chosen = slice(first, min(first + size, len(x)))
        repeated = x[chosen].repeat_interleave(walkers, dim=0)
        yield chosen, repeated, context.shared(f"walk {number}")


def recorded_steps(steps: int, every: int | None) -> list[int]:
    """The steps that readings are of: multiples of `every` (a tenth of all by default), the last.

    Examples
    --------
    >>> recorded_steps(100, 40), len(recorded_steps(1000, None))
    ([40, 80, 100], 10)
    """
    stride = max(1, steps // 10) if every is None else every
    return sorted({*range(stride, steps + 1, stride), steps})
