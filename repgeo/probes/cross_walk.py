"""Walks across the classes of inputs: how far it is to another answer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.geometry.walks.cross_walk import cross_walk
from repgeo.geometry.walks.walk import Walk, WalkSpec
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.points import inputs_of, probe_points
from repgeo.probes.precision import in_double_precision
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading, Scalar
from repgeo.probes.subject import Subject
from repgeo.probes.walk_pictures import pictures
from repgeo.probes.walking import BoxName, Trace, data_box, groups_of, recorded_steps

__all__ = ["CrossWalk"]

_MOVES = frozenset({"samples:permutation", "inputs:translation"})


class CrossWalk(Probe):
    """How far it is from test points to another answer, straight across the network's classes.

    From x_0 the output is led in a straight line from f(x_0) to the same vector with its largest
    entry exchanged with that of the target class, by the shortest move of the input in each step
    (the horizontal lift, J^+ dy), corrected to lie on the line; see `repgeo.geometry.cross_walk`.
    With outputs f(x) and answers argmax f(x), for each target, `at.target`:

    - `length`: of the path up to where the answer changes, in units of input; `distance`: |x - x_0|
      there; both interpolated within the step of the change, over walkers whose answer changes.
    - `pseudolength`: of the same path in the pullback metric, the integral of |J dx|, in units of
      output. Of the path of the outputs, which is straight, it is the length.
    - `steps`: steps up to the change, interpolated; half of all where no third class comes between
      and the outputs are no log-probabilities.
    - `changed`: share of walkers whose answer changes; `arrived`: share of those with the target as
      their answer at the end.
    - `drift`: largest difference from the line, over all walkers and steps.
    - `verdict`: share of walkers, `at.verdict` too; see `repgeo.geometry.Walk.status`. "stuck":
      there is no way to that output (within the box).

    Starts whose answer is the target already are left out. The length is an upper bound of the
    distance to the decision boundary, exact where the network is linear in between.

    Parameters
    ----------
    points
        How many test points are starts; the same for every model.
    targets
        Classes to go to; "next" is the class with the second largest output.
    steps
        Of a walk.
    step_size
        Of a move within the class that is mixed into each step, in units of input; 0: none.
    box
        As for `null_walk`.
    tolerance
        Largest difference from the line that is left; None: 50 eps times max |f(x_0)|.

    Raises
    ------
    InputError
        If the network has fewer than two outputs or not that class, or all starts are of the target
        class.

    References
    ----------
    A. Benfenati, A. Marta, "A singular Riemannian geometry approach to deep neural networks II.
    Reconstruction of 1-D equivalence classes" (2023), arXiv 2112.10583: SiMExp, which follows the
    largest eigenvector instead.

    Examples
    --------
    Of the outputs (x_1, x_2) the boundary is the diagonal, sqrt 2 from (3, 1):

    >>> x = torch.tensor([[3.0, 1.0]], dtype=torch.float64)
    >>> frame = CrossWalk(steps=10)(lambda x: x, x).set_index("metric")
    >>> [round(float(frame.loc[name, "value"]), 6) for name in ("length", "pseudolength", "steps")]
    [1.414214, 1.414214, 5.0]
    """

    name: ClassVar[str] = "cross_walk"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "length": Metric(
            unit="input",
            range=(0.0, math.inf),
            invariant_to=_MOVES | {"inputs:orthogonal", "inputs:permutation"},
            summary="length of the path up to the change of the answer",
            tolerance=1e-6,
        ),
        "distance": Metric(
            unit="input",
            range=(0.0, math.inf),
            invariant_to=_MOVES,
            summary="distance of the change of the answer from the start",
            tolerance=1e-6,
        ),
        "pseudolength": Metric(
            unit="output",
            range=(0.0, math.inf),
            invariant_to=_MOVES,
            summary="length of that path in the pullback metric",
            tolerance=1e-6,
        ),
        "steps": Metric(range=(0.0, math.inf), summary="steps up to the change of the answer"),
        "changed": Metric(range=(0.0, 1.0), summary="share of walkers whose answer changes"),
        "arrived": Metric(range=(0.0, 1.0), summary="share that ends with the target's answer"),
        "drift": Metric(
            unit="output",
            direction="lower",
            range=(0.0, math.inf),
            summary="largest difference from the prescribed output",
        ),
        "verdict": Metric(range=(0.0, 1.0), summary="share of walkers with this verdict"),
    }

    points: int = Field(default=24, ge=1)
    targets: Annotated[
        tuple[Literal["next"] | Annotated[int, Field(ge=0)], ...],
        Field(min_length=1, strict=False),
    ] = ("next",)
    steps: int = Field(default=10, ge=2)
    step_size: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    box: BoxName = "none"
    tolerance: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @classmethod
    def variants(cls) -> Iterable[Self]:
        """Short walks of few points: what is declared holds of walks of any length."""
        yield cls(points=6, steps=4)

    def invariances(self, metric: str) -> frozenset[str]:
        """Moves within the classes are drawn, and do not turn with the inputs."""
        declared = super().invariances(metric)
        turned = {"inputs:orthogonal", "inputs:permutation"}
        return declared - turned if self.step_size or self.box != "none" else declared

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield lengths and shares for each target."""
        chosen = probe_points(data.test, self.points, context, self.name)
        subject = in_double_precision(subject)
        x = inputs_of(chosen, subject).double()
        outputs = subject(x)
        if outputs.ndim != 2 or outputs.shape[1] < 2:
            raise InputError(
                f"cross_walk needs outputs (n, classes) with at least two classes; the model "
                f"{subject.label!r} gives {tuple(outputs.shape)}. Walks within classes need none: "
                "null_walk."
            )
        box = data_box(self.box, data, x)
        order = outputs.argsort(dim=1, descending=True, stable=True)
        for target in context.track(self.targets, len(self.targets)):
            if target != "next" and int(target) >= outputs.shape[1]:
                raise InputError(
                    f"cross_walk: the model {subject.label!r} has the classes 0 to "
                    f"{outputs.shape[1] - 1}; a target is {target}."
                )
            aims = order[:, 1] if target == "next" else torch.full_like(order[:, 0], int(target))
            away = torch.nonzero(aims != order[:, 0]).squeeze(1)
            if not len(away):
                raise InputError(f"cross_walk: the answer to all starts is {target} already.")
            found = self._walked(subject, x[away], aims[away], box, context)
            ids = chosen.ids[away.to(chosen.ids.device)]
            yield from found.readings(ids, {"target": target})

    def _walked(
        self,
        subject: Subject,
        x: Tensor,
        aims: Tensor,
        box: tuple[Tensor, Tensor] | None,
        context: Context,
    ) -> _Crossed:
        spec = WalkSpec(self.steps, self.step_size, box=box, tolerance=self.tolerance)
        parts: list[_Crossed] = []
        stored: dict[str, Tensor] = {}
        for part, starts, generator in groups_of(x, walkers=1, steps=self.steps, context=context):
            walk = cross_walk(
                subject.feature_map, starts, spec, target_class=aims[part], generator=generator
            )
            trace = Trace(walk.points, walk.outputs, walk.length, walk.status)
            stored = stored or pictures(subject, trace, 1, recorded_steps(self.steps, None))
            parts.append(_Crossed.of(walk, aims[part]))
        return _Crossed.joined(parts, stored)

    def oracles(self) -> Iterable[Case]:
        """Linear outputs, whose boundary is the diagonal, and their exponentials."""
        if self.targets != ("next",) or self.step_size or self.box != "none":
            return
        x = torch.tensor([[3.0, 1.0], [1.0, 2.0], [4.0, 2.0], [0.5, 4.0]], dtype=torch.float64)
        gaps = [2.0, 1.0, 2.0, 3.5]
        mean = sum(gaps) / 4 / math.sqrt(2.0)
        found = {
            "length": mean,
            "distance": mean,
            "pseudolength": 2 * mean,
            "steps": self.steps / 2,
            "changed": 1.0,
            "arrived": 1.0,
            "drift": 0.0,
        }
        split = Split(x)
        data = Dataset("", split, split)
        yield Case(lambda x: 2 * x, data, found, 1e-9)

        def always_first(x: Tensor) -> Tensor:
            return torch.cat([x[:, :1], x[:, :1] - 1.0], dim=1)

        nowhere = {"changed": 0.0, "arrived": 0.0}
        yield Case(always_first, data, nowhere, 1e-12)


@dataclass(frozen=True, eq=False)
class _Crossed:
    """What became of walkers, `(B,)` each; NaN where the answer did not change.

    Attributes
    ----------
    places
        Metric -> its value where the answer changed.
    arrived
        Whether the answer at the end is the target.
    drift
        The largest difference from the line.
    status
        Verdicts.
    stored
        Arrays for figures.
    """

    places: Mapping[str, Tensor]
    arrived: Tensor
    drift: Tensor
    status: tuple[str, ...]
    stored: Mapping[str, Tensor]

    @classmethod
    def of(cls, walk: Walk, aims: Tensor) -> _Crossed:
        K = len(walk.outputs) - 1
        own = walk.outputs[0].argmax(dim=1)  # (B,)
        index = own.expand(K + 1, -1)[:, :, None]
        mine = walk.outputs.gather(2, index).squeeze(2)
        others = walk.outputs.scatter(2, index, -math.inf).amax(dim=2)
        margin = mine - others  # (K + 1, B)
        changed = margin < 0
        known = changed.any(dim=0)
        after = changed.long().argmax(dim=0).clamp(min=1)  # the first; none: not used
        walkers = torch.arange(len(own), device=own.device)
        before, beyond = margin[after - 1, walkers], margin[after, walkers]
        part = torch.where(known, before / (before - beyond), torch.nan)

        def there(values: Tensor) -> Tensor:
            first = values[after - 1, walkers]
            return first + part * (values[after, walkers] - first)

        places = {
            "length": there(walk.length),
            "distance": there(walk.displacement),
            "pseudolength": there(walk.pseudolength),
            "steps": after - 1 + part,
        }
        arrived = walk.outputs[-1].argmax(dim=1) == aims
        return cls(places, arrived, walk.drift.amax(dim=0), walk.status, {})

    @classmethod
    def joined(cls, parts: list[_Crossed], stored: Mapping[str, Tensor]) -> _Crossed:
        """All groups of walkers as one."""
        places = {name: torch.cat([p.places[name] for p in parts]) for name in parts[0].places}
        arrived = torch.cat([part.arrived for part in parts])
        drift = torch.cat([part.drift for part in parts])
        return cls(places, arrived, drift, sum((part.status for part in parts), ()), stored)

    def readings(self, ids: Tensor, at: Mapping[str, Scalar]) -> Iterable[Reading]:
        known = ~self.places["steps"].isnan()
        shares = {"changed": known, "arrived": self.arrived}
        for metric, share in shares.items():
            stored = self.stored if metric == "changed" else None
            yield Reading(
                metric,
                samples=share.double(),
                ids=ids,
                statistic="proportion",
                at=at,
                artifact=stored or None,
            )
        if bool(known.any()):
            some = ids[known.to(ids.device)]
            for metric, values in self.places.items():
                yield Reading(metric, samples=values[known], ids=some, at=at)
        yield Reading("drift", self.drift.max(), at=at)
        verdicts = np.array(self.status)
        for verdict in sorted({"ok", *self.status}):
            share = (verdicts == verdict).astype(np.float64)
            own = {**at, "verdict": verdict}
            yield Reading("verdict", samples=share, ids=ids, statistic="proportion", at=own)
