"""Whether training magnified volumes near the decision boundary."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError, UnsupportedError
from repgeo.geometry.boundaries import boundary_distance
from repgeo.geometry.correlation import rank_correlation_terms
from repgeo.geometry.volume import VolumeReport
from repgeo.models.loaded import Epoch
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.points import (
    RIGID_CODES,
    Epochs,
    Plane,
    at_epochs,
    inputs_of,
    probe_points,
    subspace_of,
    volumes,
)
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading, Scalar
from repgeo.probes.subject import Subject

__all__ = ["Magnification"]

_INVARIANT = RIGID_CODES | {"samples:permutation", "inputs:orthogonal", "inputs:permutation"}


class Magnification(Probe):
    """Change of the log-volume near the decision boundary, against the network before training.

    At test points x, with log_volume as in `pullback_volume` and distance the distance to where the
    trained network's answer changes (`repgeo.geometry.boundary_distance`, searched among all test
    points):

    - `contrast`: mean log-volume of the nearest points (share `near`) less that of the farthest
      (share `far`), at the reference and after training, in nats.
    - `contrast_change`: the same of the change of log-volume since the reference. Positive:
      training magnified volumes near the boundary more than far from it.
    - `rank_correlation`: Spearman's, of log-volume (`at.of` = "volume") or its change ("change")
      with the distance. Magnification near the boundary makes it negative.
    - `partial_rank_correlation`: the same given |x|. Log-volume falls with |x| in untrained
      networks too; where the boundary runs through the middle of the data, log-volume and distance
      are correlated before any training. Read the change, and this one.
    - `excluded`: share of points left out because the rank is deficient at some checkpoint.
    - `train_accuracy`: where it is below `gate`, the boundary is not yet the one of the data, and
      only this and no other reading is given.

    Intervals are Student-t over points, of the linearised contrasts and correlations (`samples` are
    one term per point, whose mean is the value); which points are near or far, and ranks, are held.

    Parameters
    ----------
    layer
        Where the codes are taken.
    points
        How many test points are looked at; the same for every model.
    near, far
        Shares of points that count as near and as far.
    near_distance, far_distance
        In place of these shares: points nearer than the one, or farther than the other, count, in
        units of input. How many that are then differs between models; what the two sets mean does
        not.
    reference
        The checkpoint to compare with.
    epochs
        Kept checkpoints to measure at; none: the model as it is.
    gate
        Train accuracy from which on there are readings.
    plane, top
        As for `pullback_volume`.

    Raises
    ------
    UnsupportedError
        If the model did not keep the reference checkpoint: `keep = ["init"]` in [models.train].
    InputError
        If the train split has no integer labels, outputs are not `(n, classes)`, all test points
        have the same answer, or none is nearer than `near_distance` or farther than
        `far_distance`.

    References
    ----------
    J. A. Zavatone-Veth, S. Yang, J. A. Rubinfien, C. Pehlevan, "Neural networks learn to magnify
    areas near decision boundaries" (2023), arXiv:2301.11375: the claim; they show maps. Their
    logarithms are to base 10: divide contrasts by log 10 = 2.303.

    Examples
    --------
    >>> probe = Magnification(points=200, epochs=(100, "final"))
    >>> probe.reference, probe.near, probe.far
    ('init', 0.15, 0.4)
    """

    name: ClassVar[str] = "magnification"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "contrast": Metric(
            unit="nats",
            invariant_to=_INVARIANT,
            summary="log-volume near the boundary less that far from it",
            tolerance=1e-6,
        ),
        "contrast_change": Metric(
            unit="nats",
            chance=0.0,
            invariant_to=_INVARIANT,
            summary="change of that contrast since the reference",
            tolerance=1e-6,
        ),
        "rank_correlation": Metric(
            range=(-1.0, 1.0),
            chance=0.0,
            invariant_to=_INVARIANT,
            summary="rank correlation with the distance to the boundary",
            tolerance=1e-6,
        ),
        "partial_rank_correlation": Metric(
            range=(-1.0, 1.0),
            chance=0.0,
            invariant_to=_INVARIANT,
            summary="the same given the norm of the input",
            tolerance=1e-6,
        ),
        "excluded": Metric(range=(0.0, 1.0), summary="share of points of deficient rank"),
        "train_accuracy": Metric(
            direction="higher",
            range=(0.0, 1.0),
            invariant_to={"samples:permutation"},
            summary="share of right answers on the train split",
        ),
    }

    layer: str = "encoder"
    points: int = Field(default=512, ge=10)
    near: float = Field(default=0.15, gt=0, le=0.5)
    far: float = Field(default=0.4, gt=0, le=0.5)
    near_distance: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    far_distance: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    reference: Literal["init"] | int = "init"
    epochs: Epochs = ()
    gate: float = Field(default=0.9, ge=0, le=1)
    plane: Plane = "none"
    top: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        near, far = self.near_distance, self.far_distance
        if near is not None and far is not None and near > far:
            raise ValueError(f"near_distance ({near}) must not exceed far_distance ({far})")
        return self

    def invariances(self, metric: str) -> frozenset[str]:
        """A random plane does not turn with the inputs."""
        declared = super().invariances(metric)
        turned = {"inputs:orthogonal", "inputs:permutation"}
        return declared - turned if self.plane == "random" else declared

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield the train accuracy and, where it passes the gate, contrasts and correlations."""
        if self.reference not in subject.checkpoints:
            raise UnsupportedError(
                f"magnification compares with the checkpoint {self.reference!r}, which the model "
                f"{subject.label!r} did not keep. Ask for it with keep = [...] in [models.train]."
            )
        right = _right_answers(subject, data)
        yield Reading("train_accuracy", samples=right, ids=data.train.ids, statistic="proportion")
        if float(right.mean()) < self.gate:
            return
        chosen = probe_points(data.test, self.points, context, self.name)
        x = inputs_of(chosen, subject)
        plane = subspace_of(self.plane, data, context, self.name)

        def measured(trained: Subject) -> VolumeReport:
            return volumes(trained, x, subspace=plane, top=self.top, context=context)

        distance = boundary_distance(
            lambda x: _answers(subject, x), x, inputs_of(data.test, subject)
        )
        before = measured(subject.at(self.reference))
        after = [(at, measured(part)) for at, part in at_epochs(subject, self.epochs, context)]
        finite = torch.stack([r.log_volume.isfinite() for r in (before, *(r for _, r in after))])
        kept = finite.all(dim=0)
        excluded = (~kept).double()
        yield Reading("excluded", samples=excluded, ids=chosen.ids, statistic="proportion")
        if int(kept.sum()) < 2:
            return
        norm = x.flatten(1).double().norm(dim=1)[kept].cpu().numpy()
        place = _Place(distance[kept].cpu().numpy(), norm, self._sides)
        ids = chosen.ids[kept.to(chosen.ids.device)]
        start = {"kind": before.kind, "epoch": self.reference}
        yield from place.readings(before.log_volume[kept], "volume", start, ids)
        for epoch, report in after:
            if epoch.get("epoch") == self.reference:
                continue
            at = {"kind": report.kind, **epoch}
            yield from place.readings(report.log_volume[kept], "volume", at, ids)
            change = (report.log_volume - before.log_volume)[kept]
            yield from place.readings(change, "change", at, ids)

    def _sides(self, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which points are near the boundary and which far from it, `(n,)` each.

        Raises
        ------
        InputError
            If there are none of either.
        """
        ordered, n = np.sort(distance), len(distance)
        near = (
            distance <= ordered[math.ceil(self.near * n) - 1]
            if self.near_distance is None
            else distance < self.near_distance
        )
        far = (
            distance >= ordered[-math.ceil(self.far * n)]
            if self.far_distance is None
            else distance > self.far_distance
        )
        if not (near.any() and far.any()):
            raise InputError(
                f"magnification: no point is nearer than {self.near_distance} to the decision "
                f"boundary, or none farther than {self.far_distance}: distances lie between "
                f"{ordered[0]:.3g} and {ordered[-1]:.3g}. Choose near_distance and far_distance "
                "between these, take more points, or leave them out."
            )
        return near, far

    def oracles(self) -> Iterable[Case]:
        """A network that learned to stretch around a boundary at x_1 = 0, and a random one."""
        if self.epochs or self.plane != "none" or self.top is not None:
            return
        places = torch.arange(1, 21, dtype=torch.float64) / 10
        signs = torch.tensor([1.0, -1.0] * 10, dtype=torch.float64)
        x = torch.stack([places * signs, torch.ones(20, dtype=torch.float64)], dim=1)
        split = Split(x, (x[:, 0] > 0).long())
        data = Dataset("", split, split)
        trained = _Network(_Stretch(3.0), _Sign())
        checkpoints: dict[Epoch, dict[str, Tensor]] = {
            "init": _Network(_Stretch(0.0), _Sign()).state_dict()
        }
        gain = torch.log1p(3.0 / torch.cosh(places) ** 2)
        near, far = (torch.from_numpy(side) for side in self._sides(places.numpy()))
        change = float(gain[near].mean() - gain[far].mean())
        at = {"kind": "volume", "of": "change"}
        found = {"rank_correlation": -1.0, "partial_rank_correlation": 0.0}
        yield Case(trained, data, found, 1e-9, at, checkpoints=checkpoints)
        found = {"contrast_change": change, "train_accuracy": 1.0, "excluded": 0.0}
        yield Case(trained, data, found, 1e-9, checkpoints=checkpoints)
        yield _random_case()


class _Place:
    """Points with their distances to the boundary and norms: where log-volumes are compared."""

    def __init__(
        self,
        distance: np.ndarray,
        norm: np.ndarray,
        sides: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    ) -> None:
        self._distance, self._norm = distance, norm
        self._near, self._far = sides(distance)

    def readings(
        self, values: Tensor, of: str, at: Mapping[str, Scalar], ids: Tensor
    ) -> Iterable[Reading]:
        """The contrast and the correlations of log-volumes, or of their changes, `(n,)`."""
        y = values.cpu().numpy()
        contrast = "contrast" if of == "volume" else "contrast_change"
        yield Reading(contrast, samples=self._contrast_terms(y), ids=ids, at=at)
        at = {**at, "of": of}
        plain = rank_correlation_terms(y, self._distance)
        yield Reading("rank_correlation", samples=plain, ids=ids, at=at)
        partial = rank_correlation_terms(y, self._distance, given=self._norm)
        yield Reading("partial_rank_correlation", samples=partial, ids=ids, at=at)

    def _contrast_terms(self, y: np.ndarray) -> np.ndarray:
        """One value per point, whose mean is the contrast and whose spread is its error."""
        near, far = y[self._near].mean(), y[self._far].mean()
        terms: np.ndarray = len(y) * (
            self._near * (y - near) / self._near.sum() - self._far * (y - far) / self._far.sum()
        )
        terms += near - far
        return terms


def _answers(subject: Subject, x: Tensor) -> Tensor:
    logits = subject(x)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise InputError(
            f"magnification needs outputs (n, classes); the model {subject.label!r} gives "
            f"{tuple(logits.shape)}."
        )
    return logits.argmax(dim=1)


def _right_answers(subject: Subject, data: Dataset) -> Tensor:
    """Zeros and ones of the train split, float64."""
    y = data.train.y
    if y is None or y.is_floating_point() or y.ndim != 1 or not isinstance(data.train.x, Tensor):
        raise InputError("magnification needs integer class labels y of the train split.")
    answers = _answers(subject, data.train.x)
    return (answers == y.to(answers.device)).double()


class _Network(nn.Module):
    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(x))
        return logits


class _Stretch(nn.Module):
    """x_1 + height tanh(x_1) beside x_2: the volume element is 1 + height / cosh(x_1)^2."""

    def __init__(self, height: float) -> None:
        super().__init__()
        self.height = nn.Parameter(torch.tensor(height, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x[:, 0] + self.height * torch.tanh(x[:, 0]), x[:, 1]], dim=1)


class _Sign(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return torch.stack([-z[:, 0], z[:, 0]], dim=1)


class _Linear(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T


def _random_case() -> Case:
    """Random weights before and after, on the network's own answers, four of sixty changed."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    encoder = nn.Sequential(_Linear(2, 6), nn.Tanh())
    network = _Network(encoder, _Linear(6, 2))
    before, after = (
        {name: normal(*tensor.shape) for name, tensor in network.state_dict().items()}
        for _ in range(2)
    )
    network.load_state_dict(after)
    x = normal(60, 2)
    with torch.no_grad():
        labels = network(x).argmax(dim=1)
    labels[:4] = 1 - labels[:4]
    split = Split(x, labels)
    return Case(network, Dataset("", split, split), {}, checkpoints={"init": before})
