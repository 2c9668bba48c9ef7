"""Whether the code of a moved sample is found where its group element takes the code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.samples import Samples
from repgeo.equivariance.linear_actions import wahba
from repgeo.equivariance.moving import rows_of
from repgeo.equivariance.ranking import class_pose_distances, harmonic, retrieval, rollout
from repgeo.errors import InputError
from repgeo.groups.acting import Group
from repgeo.groups.representations import Representation, map_fields
from repgeo.probes.context import Context
from repgeo.probes.group_actions import (
    action_of,
    group_of,
    representation_of,
    written_representation_of,
)
from repgeo.probes.group_equivariance import some_samples
from repgeo.probes.layer_outputs import LayerOutputs
from repgeo.probes.metric import Metric
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading, Scalar
from repgeo.probes.subject import Subject

__all__ = ["OrbitRetrieval"]

_Encode: TypeAlias = Callable[[Samples], Tensor]
_Time: TypeAlias = Annotated[int, Field(ge=1)]
_Prediction: TypeAlias = Literal["representation", "fitted"]

_MOST_LISTED = 1000

_CODES = frozenset({"codes:orthogonal", "codes:permutation", "codes:scaling"})


class OrbitRetrieval(Probe):
    """Retrieval of moved samples by their predicted codes, after one and after many elements.

    Each test sample x is moved by T elements in a row, to g_T ... g_1 x. Its code after the move is
    predicted from its code before, and the prediction looks for f(g_T ... g_1 x) among those of its
    batch of `candidates` samples (`at.rollout` is T, `at.by` how it is predicted):

    - representation: ρ(g_T) ... ρ(g_1) f(x), ρ as the model says of the layer; elements are drawn
      for each sample, the same for every model. For an equivariant f the scores are 1 for every T
      (where samples do not share an orbit or a code); an invariant one is measured with ρ = 1.
    - fitted: R^T f(x), with one element for all samples and R the orthogonal map that takes codes
      of train samples nearest to those of moved ones (Wahba's problem). It needs no representation,
      and its errors add up with T where there is none.

    ================= ============ =================================================================
    metric            chance       what it is
    ================= ============ =================================================================
    `hit_rate`        k / n        whether the right candidate is among the k nearest (H@k)
    `reciprocal_rank` H_n / n      1 / rank of the right candidate (MRR)
    `fit_residual`    about 2      |R f(x) - f(g x)|² over |f(g x)|² on test samples, ρ fitted
    ================= ============ =================================================================

    n is the number of candidates and H_n the harmonic number. Ties count in expectation: codes that
    are all the same score exactly what chance does. Student-t intervals over queries.

    Parameters
    ----------
    layer
        Where the codes are taken.
    group, action, rep
        The group, and how it acts on inputs and codes, as for `equivariance_error`.
    by
        Which predictions are made.
    rollouts
        The T.
    candidates
        How many samples a batch has; samples that are left over are dropped.
    k
        How many of the nearest count as a hit.
    pose_features
        Where codes are a pose and a class: how many of the first features are the pose. Distances
        are then |P - P'|² + 1 - cos(e, e') (Marchetti et al.), else squared Euclidean.
    samples
        How many test samples are queries, at most; and how many train samples R is fitted to.

    Raises
    ------
    InputError
        If the group or an action is not known or does not fit, there are fewer test samples than
        candidates, or codes are no longer than the pose.

    Notes
    -----
    Sources: Kipf, van der Pol and Welling 2020 (hit rate and mean reciprocal rank); Marchetti,
    Tegner, Varava and Kragic 2023 (arXiv:2207.03116: batches of 32, T = 1, 10, 20); Gupta et al.
    2023 (arXiv:2306.13924: fitted rotations).

    Examples
    --------
    >>> x = torch.randn(120, 3, generator=torch.Generator().manual_seed(0))
    >>> probe = OrbitRetrieval(group="SO3", action="vector", rep="vector", rollouts=(1, 10))
    >>> frame = probe(lambda x: 2 * x, x)
    >>> hits = frame[(frame["metric"] == "hit_rate") & frame["at"].str.contains("representation")]
    >>> hits["value"].tolist(), hits["chance"].tolist()
    ([1.0, 1.0], [0.03125, 0.03125])
    """

    name: ClassVar[str] = "orbit_retrieval"
    fits: ClassVar[bool] = True
    metrics: ClassVar[Mapping[str, Metric]] = {
        "hit_rate": Metric(
            direction="higher",
            range=(0.0, 1.0),
            invariant_to=_CODES,
            summary="the moved sample is among the k nearest to its predicted code",
        ),
        "reciprocal_rank": Metric(
            direction="higher",
            range=(0.0, 1.0),
            invariant_to=_CODES,
            summary="1 / rank of the moved sample, by distance from its predicted code",
        ),
        "fit_residual": Metric(
            direction="lower",
            range=(0.0, float("inf")),
            chance=2.0,
            invariant_to=_CODES,
            summary="what an orthogonal map fitted to one element leaves of moved codes",
        ),
    }

    layer: str = "encoder"
    group: str | None = None
    action: str | dict[str, str] | None = None
    rep: str | None = None
    by: Annotated[tuple[_Prediction, ...], Field(min_length=1, strict=False)] = (
        "representation",
        "fitted",
    )
    rollouts: Annotated[tuple[_Time, ...], Field(min_length=1, strict=False)] = (1, 10, 20)
    candidates: int = Field(default=32, ge=2)
    k: int = Field(default=1, ge=1)
    pose_features: int = Field(default=0, ge=0)
    samples: int = Field(default=512, ge=2)

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield hit rates and reciprocal ranks by prediction and number of steps."""
        group = group_of(data, self.group)
        action = action_of(data, group, self.action)
        split = some_samples(data.test, self.samples, context)
        f = LayerOutputs(subject, [subject.layer]).tensor
        if "representation" in self.by:
            written = written_representation_of(subject, subject.layer, data, self.rep)
            rep = representation_of(written, group)
            yield from self._by_representation(f, split, action, rep, context)
        if "fitted" in self.by:
            train = some_samples(data.train, self.samples, context)
            yield from self._by_fit(f, train, split, action, context)

    def _by_representation(
        self,
        f: _Encode,
        split: Split,
        action: Representation,
        rep: Representation,
        context: Context,
    ) -> Iterator[Reading]:
        group, n, longest = action.group, len(split), max(self.rollouts)
        drawn = group.sample(longest * n, generator=context.shared("elements of rollouts"))
        steps = drawn.reshape(longest, n, *group.element_shape)
        predicted = rollout(rep, f(split.x), steps)
        for time in self.rollouts:
            moved = _moved(action, _product(group, steps[:time]), split.x)
            yield from self._scores(predicted[time], f(moved), split, "representation", time)

    def _by_fit(
        self,
        f: _Encode,
        train: Split,
        split: Split,
        action: Representation,
        context: Context,
    ) -> Iterator[Reading]:
        group = action.group
        g = _not_the_identity(group, context)
        pairs = f(train.x), f(_moved(action, g.expand(len(train), *g.shape), train.x))
        R = wahba(*(rows_of(each[None])[0] for each in pairs)).matrix
        codes = rows_of(f(split.x)[None])[0]
        for time in self.rollouts:
            power = _product(group, g[None].expand(time, *g.shape))
            moved = f(_moved(action, power.expand(len(split), *g.shape), split.x))
            predicted = codes @ torch.linalg.matrix_power(R, time).mT
            targets = rows_of(moved[None])[0]
            yield from self._scores(predicted, targets, split, "fitted", time)
            if time == min(self.rollouts):
                gaps = (predicted - targets).square().sum(dim=1) / targets.square().sum(1).mean()
                at: dict[str, Scalar] = {"rollout": time}
                yield Reading("fit_residual", samples=gaps, ids=split.ids, at=at)

    def _scores(
        self, predicted: Tensor, targets: Tensor, split: Split, by: str, time: int
    ) -> Iterator[Reading]:
        predicted, targets = predicted.flatten(1), targets.flatten(1)
        if self.pose_features >= predicted.shape[1]:
            raise InputError(
                f"Codes have {predicted.shape[1]} features, of which the first "
                f"{self.pose_features} are the pose: none is left for the class."
            )
        found = retrieval(
            predicted,
            targets,
            candidates=self.candidates,
            k=self.k,
            distances=self._by_class_and_pose if self.pose_features else None,
        )
        at: dict[str, Scalar] = {"by": by, "rollout": time}
        ids, n = split.ids[: len(found.hits)], self.candidates
        yield Reading("hit_rate", samples=found.hits, ids=ids, at=at, chance=self.k / n)
        ranks = found.reciprocal_ranks
        yield Reading("reciprocal_rank", samples=ranks, ids=ids, at=at, chance=harmonic(n) / n)

    def _by_class_and_pose(self, predicted: Tensor, targets: Tensor) -> Tensor:
        p = self.pose_features
        return class_pose_distances(
            (predicted[:, :p], predicted[:, p:]), (targets[:, :p], targets[:, p:])
        )

    def invariances(self, metric: str) -> frozenset[str]:
        """Codes may turn where their distances are Euclidean and the group leaves them alone."""
        free = self.rep in (None, "invariant") and not self.pose_features
        return super().invariances(metric) if free else frozenset()

    @classmethod
    def variants(cls) -> Iterable[Probe]:
        """Quarter turns of images, and rotations of vectors."""
        yield cls(group="C4", rollouts=(1, 3))
        yield cls(group="O", action="vector", rep="vector", rollouts=(1, 10), candidates=4)

    def oracles(self) -> Iterable[Case]:
        """Vectors that turn as they should, and a constant."""
        if self.rep != "vector":
            return
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
        split = Split(x)
        data = Dataset("", split, split)
        for time in self.rollouts:
            at: dict[str, Scalar] = {"by": "representation", "rollout": time}
            yield Case(_Scaled(), data, {"hit_rate": 1.0, "reciprocal_rank": 1.0}, 0.0, at)
            fitted: dict[str, Scalar] = {"by": "fitted", "rollout": time}
            yield Case(_Scaled(), data, {"hit_rate": 1.0, "reciprocal_rank": 1.0}, 0.0, fitted)
            chance = {"hit_rate": 0.25, "reciprocal_rank": harmonic(4) / 4}
            yield Case(_Upwards(), data, chance, 1e-12, fitted)
        yield Case(_Scaled(), data, {"fit_residual": 0.0}, 1e-12, {"rollout": min(self.rollouts)})


class _Scaled(nn.Module):
    """Vectors, twice as long."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        codes: Tensor = self.encoder(2 * x)
        return codes


class _Upwards(_Scaled):
    """The same vector for all."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _UnitVector()


class _UnitVector(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.new_tensor([0.0, 0.0, 1.0]).expand(len(x), 3)


def _product(group: Group, steps: Tensor) -> Tensor:
    """g_T ... g_1 of steps `(T, ...)`, the first acting first."""
    whole = steps[0]
    for g in steps[1:]:
        whole = group.compose(g, whole)
    return whole


def _not_the_identity(group: Group, context: Context) -> Tensor:
    """The element next to the identity where elements can be listed, else a random one."""
    if group.order is not None and 1 < group.order <= _MOST_LISTED:
        return group.elements()[1]
    return group.sample(1, generator=context.shared("element that is fitted"))[0]


def _moved(action: Representation, elements: Tensor, x: Samples) -> Samples:
    """Sample i moved by element i."""
    moved = action.apply(elements, map_fields(x, lambda each: each[:, None]))
    return map_fields(moved, lambda each: each[:, 0])
