"""Walks within the classes of inputs that a network does not tell apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.equivariance.generators import orbit_tangents
from repgeo.geometry.walks.effective_dimension import inverse_effective_dimension
from repgeo.geometry.walks.null_space import NullSpace, null_space
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.points import inputs_of, probe_points
from repgeo.probes.precision import in_double_precision
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject
from repgeo.probes.walk_pictures import pictures
from repgeo.probes.walking import (
    BoxName,
    Directions,
    Rule,
    Script,
    Trace,
    Walking,
    data_box,
    groups_of,
    recorded_steps,
)

__all__ = ["NullWalk"]

_RANK = 1e-10  # of the largest singular value: tangents of a symmetry that depend on others
_FEWEST = 4  # walkers that an effective dimension needs: two differences
_MOVES = frozenset({"samples:permutation", "inputs:translation"})


class NullWalk(Probe):
    """How far one can walk from test points without the network's output changing, and how well.

    The class of x is the set of inputs with the output of x that are connected to it. Its tangents
    at x are the null space of the Jacobian J of f, the network up to `layer`; a walk goes along
    them. It is computed in float64, with the weights as they are.

    At each recorded step, `at.step`, over walkers (walkers of one start are one cluster):

    - `drift`: max_i |f(x_k) - f(x_0)|_i; `drift_max`: the largest of these over all walkers up to
      that step; `drift_relative`: drift over max_i |f(x_0)|_i (starts where that is 0 left out).
    - `class_retention`: share of walkers whose answer (argmax of the full output) is that of the
      start; of networks with one output there is none.
    - `reach`: |x_k - x_0|; `reach_relative`: the same over |x_0|. Drift says nothing without it.
    - `path_length`: length of the path.
    - `truth_change`: |T(x_k) - T(x_0)|, where the data come with a law T (`data.meta["law"]`):
      error of the walk and error of the model together; `model_error`: |f(x_k) - T(x_k)|.

    At the end, or at the start:

    - `bounded_reach`: the largest distance from the start up to the step at which the drift
      first exceeds `drift_bound` times max_i |f(x_0)|_i.
    - `effective_dimension`: participation ratio of the differences between the ends of walkers of
      one start, in pairs, corrected for their number (needs `walkers` of at least 4). The harmonic
      mean over starts; its samples are linearised terms, whose mean it is.
    - `null_dimension`, `rank`: of J at the start; `spectrum_gap`: the smallest singular value that
      counts over the largest that does not, to base 10; where it is small, so is trust in the rank.
    - `symmetry_share`: with orthonormal tangents of the orbit of x under `symmetry` and their
      principal angles a_i to the null space, sum_i cos^2 a_i over the dimension of the null space:
      how much of it the symmetry explains. `symmetry_null`: the same over the number of tangents, 1
      for an invariant model. Chance: subspaces of these dimensions in random position.
    - `verdict`: share of walkers, `at.verdict`; see `repgeo.geometry.Walk.status`. Without
      "stopped" ones of these all steps were made.

    Where samples are images or points of two or three dimensions, the walk of the first walkers is
    stored with the last `reach` for figures.

    Parameters
    ----------
    layer
        Whose value defines the class. "output": the output.
    points
        How many test points are starts; the same for every model.
    walkers
        From each start.
    steps, step_size
        Of a walk; the size is in units of input.
    direction
        "gaussian": isotropic in the null space, anew in each step. "persistent": straight on along
        the class. "eigenvector": one vector of an orthonormal basis. (Of corrected and uncorrected
        walks.)
    rule
        "corrected": back to the output of the start after each step. "uncorrected": not.
        "published": by the published code, see `script`. "exact": straight through the linear
        regions of a ReLU network, without steps; `step_size` says where it is looked at.
    script
        Which published code: "curve" (smallest eigenvector, stops at the box), "mnist" (one of the
        first d - m, the sign by parity, half a step), "power_plant", "relu_2d", "relu_3d"
        (eigenvalues below a threshold). All but the first are clamped to the box and go on.
    box
        "none"; "data": walks stay within the smallest and largest value of each coordinate in
        the data; or two numbers, bounds of all coordinates.
    tolerance
        Largest drift that the corrector leaves; None: 50 eps times max |f(x_0)|.
    rank_tolerance
        Singular values up to this count as zero; None: max(m, d) eps times the largest.
    every
        Steps from one reading to the next; None: a tenth of all.
    drift_bound
        Of `bounded_reach`, relative.
    symmetry
        "none"; of point clouds `(n, k)` or points `(k,)`: "rotations" about the origin,
        "translations", "rigid" (both).

    Raises
    ------
    InputError
        If inputs are not one tensor of floating point; if samples are no point clouds and a
        symmetry is asked for; if an exact walk is asked of a network that is not piecewise linear.
    NonFiniteError
        If an output or a Jacobian is NaN or infinite.

    References
    ----------
    A. Benfenati, A. Marta, "A singular Riemannian geometry approach to deep neural networks" I
    (2023), arXiv 2201.09656, II (2023), arXiv 2112.10583, and III (2024), arXiv 2404.06104.

    Examples
    --------
    A walk on circles: with the corrector it stays, without it drifts by steps * size^2.

    >>> x = torch.tensor([[3.0, 4.0], [6.0, 8.0]], dtype=torch.float64)
    >>> def square(x):
    ...     return x.square().sum(dim=1, keepdim=True)
    >>> for rule in ("corrected", "uncorrected"):
    ...     frame = NullWalk(steps=10, step_size=0.1, every=10, rule=rule)(square, x)
    ...     print(round(float(frame.set_index("metric").loc["drift", "value"]), 9))
    0.0
    0.1
    """

    name: ClassVar[str] = "null_walk"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "drift": Metric(
            unit="output",
            direction="lower",
            range=(0.0, math.inf),
            summary="largest change of the output since the start",
        ),
        "drift_max": Metric(
            unit="output",
            direction="lower",
            range=(0.0, math.inf),
            summary="the same, the largest of all walkers so far",
        ),
        "drift_relative": Metric(
            direction="lower",
            range=(0.0, math.inf),
            summary="change of the output over its size at the start",
        ),
        "class_retention": Metric(
            direction="higher",
            range=(0.0, 1.0),
            summary="share of walkers with the answer of their start",
        ),
        "reach": Metric(
            unit="input",
            direction="higher",
            range=(0.0, math.inf),
            invariant_to=_MOVES,
            summary="distance from the start",
            tolerance=1e-6,
        ),
        "reach_relative": Metric(
            direction="higher",
            range=(0.0, math.inf),
            invariant_to={"samples:permutation"},
            summary="distance from the start over the norm of the start",
            tolerance=1e-6,
        ),
        "bounded_reach": Metric(
            unit="input",
            direction="higher",
            range=(0.0, math.inf),
            invariant_to=_MOVES,
            summary="largest distance before the output drifts off",
            tolerance=1e-6,
        ),
        "path_length": Metric(
            unit="input", range=(0.0, math.inf), summary="length of the path in the inputs"
        ),
        "effective_dimension": Metric(
            range=(0.0, math.inf),
            invariant_to=_MOVES,
            summary="directions in which independent walkers spread",
            tolerance=1e-6,
        ),
        "null_dimension": Metric(
            range=(0.0, math.inf),
            invariant_to=_MOVES,
            summary="dimension of the null space at the start",
        ),
        "rank": Metric(
            range=(0.0, math.inf), invariant_to=_MOVES, summary="rank of the Jacobian at the start"
        ),
        "spectrum_gap": Metric(
            unit="decades", summary="gap between singular values that count and those that do not"
        ),
        "symmetry_share": Metric(
            direction="higher",
            range=(0.0, 1.0),
            summary="share of the null space that the symmetry explains",
        ),
        "symmetry_null": Metric(
            direction="higher",
            range=(0.0, 1.0),
            summary="share of the symmetry that lies in the null space",
        ),
        "truth_change": Metric(
            unit="output",
            direction="lower",
            range=(0.0, math.inf),
            summary="change of the true value along the walk",
        ),
        "model_error": Metric(
            unit="output",
            direction="lower",
            range=(0.0, math.inf),
            summary="difference of output and true value along the walk",
        ),
        "verdict": Metric(range=(0.0, 1.0), summary="share of walkers with this verdict"),
    }

    layer: str = "output"
    points: int = Field(default=16, ge=1)
    walkers: int = Field(default=4, ge=1)
    steps: int = Field(default=20, ge=1)
    step_size: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    direction: Directions = "gaussian"
    rule: Rule = "corrected"
    script: Script = "curve"
    box: BoxName = "none"
    tolerance: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    rank_tolerance: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    every: int | None = Field(default=None, ge=1)
    drift_bound: float = Field(default=1e-9, gt=0, allow_inf_nan=False)
    symmetry: Literal["none", "rotations", "translations", "rigid"] = "none"

    @classmethod
    def variants(cls) -> Iterable[Self]:
        """Short walks: what is declared holds of walks of any length."""
        yield cls(steps=5)

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield what the null space is at the starts, and what became of the walkers."""
        chosen = probe_points(data.test, self.points, context, self.name)
        subject = in_double_precision(subject)
        x = inputs_of(chosen, subject).double()
        yield from self._null_spaces(subject, x, chosen.ids)
        box = data_box(self.box, data, x)
        law = data.meta.get("law")
        walked: list[_Walked] = []
        stored: dict[str, Tensor] = {}
        groups = groups_of(x, walkers=self.walkers, steps=self.steps, context=context)
        for part, starts, generator in groups:
            trace = self._walking().trace(subject.feature_map, starts, box, generator)
            stored = stored or pictures(subject, trace, self.walkers, self._recorded())
            walked.append(_Walked.of(trace, subject, self, law))
            context.progress(part.stop / len(x))
        found = _Walked.joined(walked)
        ids = chosen.ids.repeat_interleave(self.walkers)
        yield from found.readings(self._recorded(), ids, stored)
        yield Reading("bounded_reach", samples=found.bounded, ids=ids)
        if self.walkers >= _FEWEST:
            yield from self._effective_dimension(found.ends, chosen.ids)
        verdicts = np.array(found.status)
        for verdict in sorted({"ok", *found.status}):
            share = (verdicts == verdict).astype(np.float64)
            at = {"verdict": verdict}
            yield Reading("verdict", samples=share, ids=ids, statistic="proportion", at=at)

    def _walking(self) -> Walking:
        return Walking(
            self.rule,
            self.script,
            self.direction,
            self.steps,
            self.step_size,
            self.tolerance,
            self.rank_tolerance,
        )

    def _recorded(self) -> list[int]:
        return recorded_steps(self.steps, self.every)

    def _null_spaces(self, subject: Subject, x: Tensor, ids: Tensor) -> Iterable[Reading]:
        """What there is at the starts, before any walk."""
        space = null_space(subject.feature_map, x, tol=self.rank_tolerance)
        yield Reading("null_dimension", samples=space.null_dim.double(), ids=ids)
        yield Reading("rank", samples=space.rank.double(), ids=ids)
        some = space.rank > 0
        if bool(some.any()):
            gaps = space.gap[some].log10()
            some_ids = ids[some.to(ids.device)]
            yield Reading("spectrum_gap", samples=gaps, ids=some_ids, statistic="median")
        if self.symmetry != "none":
            yield from _symmetry(space, orbit_tangents(x, self.symmetry).flatten(2), ids)

    def _effective_dimension(self, ends: Tensor, ids: Tensor) -> Iterable[Reading]:
        ends = ends.view(-1, self.walkers, ends.shape[1])
        pairs = self.walkers // 2
        # Differences of walkers: a curved class or a box pushes all of them the same way.
        apart = ends[:, :pairs] - ends[:, pairs : 2 * pairs]
        inverse = inverse_effective_dimension(apart)
        known = ~inverse.isnan()  # of starts from which walkers moved
        if bool((inverse[known] > 0).any()):
            dimension = 1 / inverse[known].mean()
            # One linearised term for each start: their mean is the value, their spread its error.
            terms = dimension * (2 - dimension * inverse[known])
            kept = ids[known.to(ids.device)]
            yield Reading("effective_dimension", samples=terms, ids=kept)

    def oracles(self) -> Iterable[Case]:
        """Linear maps, circles, and rectified inputs, in closed form."""
        if (self.rule, self.box, self.symmetry) != ("corrected", "none", "none"):
            return
        x = 1 + torch.rand(12, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        last = {"step": self.steps}

        def linear(x: Tensor) -> Tensor:
            return x[:, :2] * x.new_tensor([2.0, -3.0])

        whole = self.steps * self.step_size
        found = {"drift": 0.0, "path_length": whole, "class_retention": 1.0}
        yield Case(linear, _only(x), found, 1e-9, last)
        start = {"null_dimension": 1.0, "rank": 2.0}
        if self.walkers >= _FEWEST:
            start["effective_dimension"] = 1.0  # all walkers spread along one line
        if self.direction == "persistent":
            start["bounded_reach"] = whole
        yield Case(linear, _only(x), start, 1e-9)
        yield Case(_squared_norm, _only(x), {"drift": 0.0, "drift_max": 0.0}, 1e-9, last)
        # Rectified: the coordinates below zero are null.
        signs = x.new_tensor([[1, 1, 1]] * 5 + [[1, -1, 1]] * 2 + [[-1, -1, 1]] + [[-1] * 3] * 4)
        found = {"rank": (5 * 3 + 2 * 2 + 1) / 12, "null_dimension": (2 + 2 + 4 * 3) / 12}
        yield Case(torch.relu, _only(signs * x), found, 1e-12)


@dataclass(frozen=True, eq=False)
class _Walked:
    """What readings need of walks: everything but the paths.

    Attributes
    ----------
    curves
        Metric -> values of each walker at all steps, `(K + 1, B)`.
    bounded
        The largest distance while drift is small, `(B,)`.
    ends
        Displacements at the end, `(B, d)`.
    status
        Verdicts.
    """

    curves: Mapping[str, Tensor]
    bounded: Tensor
    ends: Tensor
    status: tuple[str, ...]

    @classmethod
    def of(cls, trace: Trace, subject: Subject, probe: NullWalk, law: object) -> _Walked:
        drift, reach = trace.drift, trace.reach
        size = trace.outputs[0].abs().amax(dim=1)  # (B,)
        norm = trace.points[0].flatten(1).norm(dim=1)
        curves = {
            "drift": drift,
            "drift_relative": torch.where(size > 0, drift / size, torch.nan),
            "reach": reach,
            "reach_relative": torch.where(norm > 0, reach / norm, torch.nan),
            "path_length": trace.length,
        }
        near = (drift <= probe.drift_bound * size).long().cumprod(dim=0)
        bounded = (reach * near).amax(dim=0)
        steps = [0, *recorded_steps(probe.steps, probe.every)]
        places = trace.points[steps].flatten(0, 1)
        outputs = subject(places)
        if outputs.ndim == 2 and outputs.shape[1] > 1:
            answers = outputs.argmax(dim=1).view(len(steps), -1)
            kept = (answers == answers[0]).double()
            curves["class_retention"] = _spread(kept, steps, drift)
        if callable(law):
            truth = law(places).view(len(steps), -1)
            error = (outputs.flatten() - truth.flatten()).abs().view(len(steps), -1)
            curves["truth_change"] = _spread((truth - truth[0]).abs(), steps, drift)
            curves["model_error"] = _spread(error, steps, drift)
        ends = (trace.points[-1] - trace.points[0]).flatten(1)
        return cls(curves, bounded, ends, trace.status)

    @classmethod
    def joined(cls, parts: list[_Walked]) -> _Walked:
        """All groups of walkers as one."""
        curves = {
            name: torch.cat([part.curves[name] for part in parts], dim=1)
            for name in parts[0].curves
        }
        bounded = torch.cat([part.bounded for part in parts])
        ends = torch.cat([part.ends for part in parts])
        return cls(curves, bounded, ends, sum((part.status for part in parts), ()))

    def readings(
        self, steps: list[int], ids: Tensor, stored: Mapping[str, Tensor]
    ) -> Iterable[Reading]:
        """The curves, one row for each recorded step."""
        for step in steps:
            at = {"step": step}
            for name, curve in self.curves.items():
                values = curve[step]
                known = ~values.isnan()
                if not bool(known.any()):
                    continue
                shares = name == "class_retention"
                artifact = stored if name == "reach" and step == steps[-1] else None
                yield Reading(
                    name,
                    samples=values[known],
                    ids=ids[known.to(ids.device)],
                    statistic="proportion" if shares else "mean",
                    at=at,
                    artifact=artifact or None,
                )
            yield Reading("drift_max", self.curves["drift"][: step + 1].max(), at=at)


def _spread(values: Tensor, steps: list[int], like: Tensor) -> Tensor:
    """Values at some steps `(k, B)` in their places among all, `(K + 1, B)`."""
    whole = torch.full_like(like, torch.nan)
    whole[steps] = values.to(whole)
    return whole


def _symmetry(space: NullSpace, tangents: Tensor, ids: Tensor) -> Iterable[Reading]:
    """How the null spaces and the tangents of orbits `(B, k, d)` lie to each other."""
    _, values, basis = torch.linalg.svd(tangents, full_matrices=False)  # (B, k, d)
    counts = values > _RANK * values[:, :1]
    basis = basis * counts[:, :, None]
    inside = torch.stack([space.project(basis[:, i]) for i in range(basis.shape[1])], dim=1)
    cosines = inside.square().sum(dim=(1, 2))  # (B,): the sum of cos^2 of principal angles
    d = tangents.shape[2]
    sizes = {"symmetry_share": space.null_dim, "symmetry_null": counts.sum(dim=1)}
    others = {"symmetry_share": counts.sum(dim=1), "symmetry_null": space.null_dim}
    for metric, size in sizes.items():
        some = size > 0
        if bool(some.any()):
            yield Reading(
                metric,
                samples=(cosines[some] / size[some]).clamp(max=1.0),
                ids=ids[some.to(ids.device)],
                chance=float(others[metric][some].double().mean()) / d,
            )


def _squared_norm(x: Tensor) -> Tensor:
    return x.square().sum(dim=1, keepdim=True)


def _only(x: Tensor) -> Dataset:
    split = Split(x)
    return Dataset("", split, split)
