"""What walkers did, written down as they go."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.geometry.walks.correction import Tangent
from repgeo.geometry.walks.null_space import spectral_gap
from repgeo.geometry.walks.walk import STOPPED, Status, Walk

__all__ = ["Journal"]


class Journal:
    """The rows of a `Walk`, filled step by step.

    Parameters
    ----------
    steps
        K.
    x
        Starting points `(B, d)`.
    outputs
        Their outputs `(B, m)`.
    tangent
        Their Jacobians.
    """

    def __init__(self, steps: int, x: Tensor, outputs: Tensor, tangent: Tangent) -> None:
        rows, walkers = steps + 1, len(x)
        self.points = x.new_empty(rows, *x.shape)
        self.outputs = outputs.new_empty(rows, *outputs.shape)
        self._wanted = torch.empty_like(self.outputs)
        self._values = x.new_empty(rows, walkers, tangent.space.singular_values.shape[1])
        self._rank = torch.zeros(rows, walkers, dtype=torch.int64, device=x.device)
        self._pushed = x.new_zeros(steps, 2, walkers)  # |J dx| before and after each step
        self._length = x.new_zeros(steps, walkers)
        self._newton = torch.zeros(steps, walkers, dtype=torch.int64, device=x.device)
        self._halvings = torch.zeros_like(self._newton)
        self._taken = torch.zeros(walkers, dtype=torch.int64, device=x.device)
        self._status: list[Status] = ["ok"] * walkers
        self._walking = torch.ones(walkers, dtype=torch.bool, device=x.device)
        self.points[0], self.outputs[0], self._wanted[0] = x, outputs, outputs
        self._values[0], self._rank[0] = tangent.space.singular_values, tangent.space.rank
        self._at = 0  # the last row that is filled

    def walking(self) -> Tensor:
        """The numbers of the walkers that have not stopped."""
        return torch.nonzero(self._walking).squeeze(1)

    def stop(self, index: Tensor, verdict: Status) -> None:
        """Stop walkers that still walk."""
        for walker in index.tolist():
            if self._status[walker] not in STOPPED:
                self._status[walker] = verdict
                self._walking[walker] = False

    def count(self, step: int, index: Tensor, newton: Tensor, halvings: Tensor) -> None:
        """Iterations and halvings of a step, `(b,)`."""
        self._newton[step, index], self._halvings[step, index] = newton, halvings

    def record(
        self,
        step: int,
        index: Tensor,
        points: Tensor,
        outputs: Tensor,
        wanted: Tensor,
        before: Tangent,
        after: Tangent,
    ) -> None:
        """One step of some walkers: points `(b, d)`, outputs `(b, m)`, those prescribed."""
        row = step + 1
        where: Tensor | slice = index
        if len(index) == len(self._status):  # no walker stands still: nothing to copy
            self._fill(step)
            self._at, where = row, slice(None)
        else:
            self._fill(row)
        moved = (points - self.points[step, where])[:, :, None]
        self._length[step, where] = moved.norm(dim=(1, 2))
        self._pushed[step, 0, where] = torch.bmm(before.J, moved).norm(dim=(1, 2))
        self._pushed[step, 1, where] = torch.bmm(after.J, moved).norm(dim=(1, 2))
        self.points[row, where], self.outputs[row, where] = points, outputs
        self._wanted[row, where] = wanted
        self._values[row, where] = after.space.singular_values
        self._rank[row, where] = after.space.rank
        self._taken[where] += 1

    def walk(self, velocity: Tensor, shape: torch.Size) -> Walk:
        """All of it; `shape` is that of the inputs as they were given."""
        self._fill(len(self.points) - 1)
        changed = (self._rank != self._rank[0]).any(dim=0).tolist()
        status: tuple[Status, ...] = tuple(
            "rank change" if verdict == "ok" and moved else verdict
            for verdict, moved in zip(self._status, changed, strict=True)
        )
        changes = (self.outputs[1:] - self.outputs[:-1]).norm(dim=2)
        squares = 0.5 * self._pushed.square().sum(dim=1)
        energy = torch.where(self._length > 0, squares / self._length, 0.0)
        return Walk(
            points=self.points.view(-1, *shape),
            outputs=self.outputs,
            drift=(self.outputs - self._wanted).abs().amax(dim=2),
            length=_summed(self._length),
            pseudolength=_summed(0.5 * self._pushed.sum(dim=1)),
            output_length=_summed(changes),
            energy=_summed(energy),
            rank=self._rank,
            gap=spectral_gap(self._values, self._rank),
            newton=self._newton,
            halvings=self._halvings,
            taken=self._taken,
            velocity=velocity.view(shape),
            status=status,
        )

    def _fill(self, row: int) -> None:
        """Copy the last row up to this one: walkers that make no step stand still."""
        kept = (self.points, self.outputs, self._wanted, self._values, self._rank)
        for at in range(self._at, row):
            for values in kept:
                values[at + 1] = values[at]
        self._at = max(self._at, row)


def _summed(steps: Tensor) -> Tensor:
    """Sums up to each point `(K + 1, B)` of what steps `(K, B)` add."""
    return torch.cat([torch.zeros_like(steps[:1]), steps.cumsum(dim=0)])
