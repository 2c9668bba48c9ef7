"""What walkers did, written down as they go."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.geometry.walks.correction import Tangent
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
        self._measures = {
            name: x.new_zeros(rows, walkers)
            for name in ("drift", "length", "pseudolength", "output_length", "energy")
        }
        self._rank = torch.zeros(rows, walkers, dtype=torch.int64, device=x.device)
        self._gap = x.new_zeros(rows, walkers)
        self._newton = torch.zeros(steps, walkers, dtype=torch.int64, device=x.device)
        self._halvings = torch.zeros_like(self._newton)
        self._taken = torch.zeros(walkers, dtype=torch.int64, device=x.device)
        self._status: list[Status] = ["ok"] * walkers
        self._walking = torch.ones(walkers, dtype=torch.bool, device=x.device)
        self.points[0], self.outputs[0] = x, outputs
        self._rank[0], self._gap[0] = tangent.space.rank, tangent.space.gap
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
        self._fill(step + 1)
        row = step + 1
        moved = points - self.points[step, index]
        changed = (outputs - self.outputs[step, index]).norm(dim=1)
        length = moved.norm(dim=1)
        pushed = [(t.J @ moved[:, :, None]).squeeze(2).norm(dim=1) for t in (before, after)]
        added = {
            "length": length,
            "pseudolength": 0.5 * (pushed[0] + pushed[1]),
            "output_length": changed,
            "energy": torch.where(
                length > 0, 0.5 * (pushed[0].square() + pushed[1].square()) / length, 0.0
            ),
        }
        for name, values in added.items():
            self._measures[name][row, index] += values
        self._measures["drift"][row, index] = (outputs - wanted).abs().amax(dim=1)
        self.points[row, index], self.outputs[row, index] = points, outputs
        self._rank[row, index], self._gap[row, index] = after.space.rank, after.space.gap
        self._taken[index] += 1

    def walk(self, velocity: Tensor, shape: torch.Size) -> Walk:
        """All of it; `shape` is that of the inputs as they were given."""
        self._fill(len(self.points) - 1)
        changed = (self._rank != self._rank[0]).any(dim=0).tolist()
        status: tuple[Status, ...] = tuple(
            "rank change" if verdict == "ok" and moved else verdict
            for verdict, moved in zip(self._status, changed, strict=True)
        )
        return Walk(
            points=self.points.view(-1, *shape),
            outputs=self.outputs,
            **self._measures,
            rank=self._rank,
            gap=self._gap,
            newton=self._newton,
            halvings=self._halvings,
            taken=self._taken,
            velocity=velocity.view(shape),
            status=status,
        )

    def _fill(self, row: int) -> None:
        """Copy the last row up to this one: walkers that make no step stand still."""
        kept = (self.points, self.outputs, self._rank, self._gap, *self._measures.values())
        for at in range(self._at, row):
            for values in kept:
                values[at + 1] = values[at]
        self._at = max(self._at, row)
