"""How dense classes are in a representation: death times, and loops, of clouds of codes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.probes.accuracy import labels_of
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.points import RIGID_CODES, Epochs, at_epochs
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading, Scalar
from repgeo.probes.subject import Subject
from repgeo.stitching import choose_anchors
from repgeo.stitching.death_times import BETA_FACTORS, beta_candidates, overlap_coefficient
from repgeo.stitching.persistence import PointMetric, h0_deaths, pairwise_distances

__all__ = ["Topology", "loop_bars"]

_INVARIANT = RIGID_CODES | {"samples:permutation"}
_SCALE_FREE = _INVARIANT | {"codes:scaling"}
_Factor = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Topology(Probe):
    """Death times of class-pure clouds of codes, against clouds drawn irrespective of class.

    A cloud has `cloud_size` test points, of one class (`at.cloud` = "class") or of all ("mixed");
    no two clouds of a kind share a point. Its death times in dimension 0 are the scales at which it
    grows together (see `repgeo.stitching.h0_deaths`). They depend on the size of the cloud: numbers
    compare at one size, that of the sub-batches where a densification is looked at.

    - `death_mean`: the mean death time, mean over clouds; `death_max`: the largest, mean over
      clouds. Where labels have nothing to do with codes both are those of mixed clouds: the chance
      level of the class-pure ones.
    - `relative_death`: `death_mean` divided by the mean distance of the points of mixed clouds,
      which does not change with the scale of the codes.
    - `class_spread`: standard deviation over classes of their mean death times, divided by their
      mean.
    - `total_persistence` and `largest_persistence`: sum and largest of death - birth, of `loops`
      test points of all classes, in dimension 0 (components; births are 0) and 1 (loops).
    - `beta`: scales to try in a densification, `factor` times the mean death time (`at.of` =
      "mean") or the mean over clouds of the largest (see `repgeo.stitching.beta_candidates`).
    - `overlap`: overlap of the distributions of death times of class-pure clouds at `layer` and
      at `layer_post`.

    Intervals of death times: Student-t over clouds, the clouds of a class being one cluster.

    Parameters
    ----------
    layer
        Where the codes are taken.
    layer_post
        A second layer for `overlap`, such as relative coordinates; without one there is none.
    cloud_size
        Points of a cloud. Classes with fewer test points are left out.
    clouds
        Most clouds of a class; of mixed clouds there are as many as of class-pure ones.
    metric
        Between codes, as of `h0_deaths`.
    loops
        Points for persistence in dimension 1, at most: its cost is bounded by a power of it. With 0
        there is none.
    beta_factors
        The factors of `beta`.
    epochs
        Kept checkpoints to measure at, each with `at.epoch`; none: the model as it is.

    Raises
    ------
    InputError
        If there are no integer labels, no class has `cloud_size` test points, or a code is zero
        where the metric is one of directions.

    Notes
    -----
    Dimension 0 by minimum spanning trees, dimension 1 by GUDHI on the edge-collapsed Rips complex.

    Sources: Hofer et al. 2020 (arXiv 2002.04805); García-Castellanos et al. 2024
    (arXiv 2409.10967).

    Examples
    --------
    >>> x = torch.cat([torch.arange(16.0), 100 + torch.arange(16.0) / 2])[:, None]
    >>> frame = Topology(loops=0, beta_factors=())(lambda x: x, x, torch.arange(32) // 16)
    >>> rows = frame[frame["at"] != '{"cloud":"mixed"}']
    >>> print(rows[["metric", "value"]].round(4).to_string(index=False))
            metric  value
        death_mean 0.7500
         death_max 0.7500
    relative_death 0.0142
      class_spread 0.4714
    """

    name: ClassVar[str] = "topology"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "death_mean": Metric(
            unit="code",
            range=(0.0, np.inf),
            invariant_to=_INVARIANT,
            summary="mean death time of components of a cloud of codes",
        ),
        "death_max": Metric(
            unit="code",
            range=(0.0, np.inf),
            invariant_to=_INVARIANT,
            summary="largest death time of components of a cloud of codes",
        ),
        "relative_death": Metric(
            range=(0.0, np.inf),
            invariant_to=_SCALE_FREE,
            summary="mean death time against the mean distance of codes",
        ),
        "class_spread": Metric(
            range=(0.0, np.inf),
            invariant_to=_SCALE_FREE,
            summary="coefficient of variation over classes of mean death times",
        ),
        "total_persistence": Metric(
            unit="code",
            range=(0.0, np.inf),
            invariant_to=_INVARIANT,
            summary="sum of lifetimes of components or loops",
        ),
        "largest_persistence": Metric(
            unit="code",
            range=(0.0, np.inf),
            invariant_to=_INVARIANT,
            summary="longest lifetime of a component or loop",
        ),
        "beta": Metric(
            unit="code",
            range=(0.0, np.inf),
            invariant_to=_INVARIANT,
            summary="scale to try in a densification",
        ),
        "overlap": Metric(
            range=(0.0, 1.0),
            invariant_to=_INVARIANT,
            summary="overlap of the death times at two layers",
            tolerance=1e-6,
        ),
    }

    layer: str = "encoder"
    layer_post: str | None = None
    cloud_size: int = Field(default=16, ge=3)
    clouds: int = Field(default=8, ge=1)
    metric_of_codes: PointMetric = "euclidean"
    loops: int = Field(default=64, ge=0, le=256)
    beta_factors: Annotated[tuple[_Factor, ...], Field(strict=False)] = BETA_FACTORS
    epochs: Epochs = ()

    @classmethod
    def variants(cls) -> Iterable[Probe]:
        """Every kind of distance, and a second layer."""
        for kind in ("euclidean", "l1", "linf", "cosine", "angular"):
            yield cls(metric_of_codes=kind, cloud_size=6, clouds=2, loops=12, beta_factors=(0.5,))
        yield cls(layer_post="output", cloud_size=6, clouds=2, loops=0, beta_factors=())

    def invariances(self, metric: str) -> frozenset[str]:
        """Those of the distance; none of metrics that these parameters do not ask for."""
        asked = {
            "overlap": self.layer_post is not None,
            "beta": bool(self.beta_factors),
            "total_persistence": self.loops > 0,
            "largest_persistence": self.loops > 0,
        }
        if not asked.get(metric, True):
            return frozenset()
        declared = super().invariances(metric)
        if self.metric_of_codes in ("l1", "linf"):
            return declared - {"codes:orthogonal"}
        if self.metric_of_codes in ("cosine", "angular"):
            return (declared - {"codes:translation"}) | {"codes:scaling"}
        return declared

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield death times of class-pure and mixed clouds, persistence, betas and the overlap."""
        chosen = self._choose(data.test, context)
        for at, trained in at_epochs(subject, self.epochs, context):
            codes = trained.encode(data.test.x).double()
            deaths = self._deaths(codes[chosen.pure.to(codes.device)])
            yield from self._death_times(codes, deaths, chosen, at)
            for (of, factor), beta in self._betas(deaths).items():
                yield Reading("beta", beta, at={"of": of, "factor": factor, **at})
            if self.loops:
                points = codes[chosen.loops.to(codes.device)]
                yield from self._persistence(points, at)
            if self.layer_post is not None:
                post = trained.cut(self.layer_post).encode(data.test.x).double()
                after = self._deaths(post[chosen.pure.to(post.device)])
                yield Reading("overlap", overlap_coefficient(deaths, after), at=at)

    def _choose(self, test: Split, context: Context) -> _Chosen:
        """The clouds: positions that depend on ids and the task seed, not on the order."""
        y = labels_of(Dataset("", test, test), self.name).cpu()
        ids = test.ids.cpu()
        pure, labels = [], []
        for label in torch.unique(y).tolist():
            members = (y == label).nonzero()[:, 0]
            found = self._disjoint(ids[members], self.clouds, context, f"cloud of class {label}")
            pure.append(members[found])
            labels += [label] * len(found)
        if not labels:
            raise InputError(
                f"topology: no class has {self.cloud_size} test points. Lower cloud_size, or give "
                "more test points."
            )
        mixed = self._disjoint(ids, len(labels), context, "mixed clouds")
        most = min(self.loops, len(torch.unique(ids)))
        loops = (
            choose_anchors(ids, count=most, generator=context.shared("loops"))
            if most
            else torch.zeros(0, dtype=torch.int64)
        )
        return _Chosen(torch.cat(pure), torch.tensor(labels), mixed, loops)

    def _disjoint(self, ids: Tensor, most: int, context: Context, purpose: str) -> Tensor:
        """Positions `(clouds, cloud_size)` of at most so many clouds."""
        number = min(most, len(torch.unique(ids)) // self.cloud_size)
        if not number:
            return torch.zeros(0, self.cloud_size, dtype=torch.int64)
        count = number * self.cloud_size
        drawn = choose_anchors(ids, count=count, generator=context.shared(purpose))
        return drawn.reshape(number, self.cloud_size)

    def _deaths(self, clouds: Tensor) -> Tensor:
        """Death times `(clouds, cloud_size - 1)` of clouds `(clouds, cloud_size, features)`."""
        return h0_deaths(clouds, metric=self.metric_of_codes).cpu()

    def _betas(self, deaths: Tensor) -> dict[tuple[str, float], float]:
        return beta_candidates(deaths, self.beta_factors) if self.beta_factors else {}

    def _death_times(
        self, codes: Tensor, deaths: Tensor, chosen: _Chosen, at: Mapping[str, Scalar]
    ) -> Iterable[Reading]:
        clouds = codes[chosen.mixed.to(codes.device)]  # (clouds, cloud_size, features)
        mixed = self._deaths(clouds)
        scale = float(pairwise_distances(clouds, self.metric_of_codes).mean())
        scale *= self.cloud_size / (self.cloud_size - 1)  # a point's distance to itself is none
        own = torch.arange(len(mixed))
        for metric, values, chance in (
            ("death_mean", deaths.mean(dim=1), mixed.mean(dim=1)),
            ("death_max", deaths.amax(dim=1), mixed.amax(dim=1)),
            ("relative_death", deaths.mean(dim=1) / scale, mixed.mean(dim=1) / scale),
        ):
            if metric == "relative_death" and not scale:  # all codes are one
                continue
            stored = metric == "death_mean"
            yield Reading(
                metric,
                samples=values,
                ids=chosen.labels,
                at={"cloud": "class", **at},
                chance=float(chance.mean()),
                artifact={"deaths": deaths, "classes": chosen.labels} if stored else None,
            )
            yield Reading(
                metric,
                samples=chance,
                ids=own,
                at={"cloud": "mixed", **at},
                artifact={"deaths": mixed} if stored else None,
            )
        means = _means_of_groups(deaths.mean(dim=1), chosen.labels)
        if len(means) > 1 and float(means.mean()):
            yield Reading("class_spread", means.std() / means.mean(), at=at)

    def _persistence(self, points: Tensor, at: Mapping[str, Scalar]) -> Iterable[Reading]:
        deaths = self._deaths(points[None])[0].numpy()
        distances = pairwise_distances(points[None], self.metric_of_codes)[0].cpu().numpy()
        components = np.stack([np.zeros_like(deaths), deaths], axis=1)
        for dimension, bars in ((0, components), (1, loop_bars(distances))):
            lifetimes = bars[:, 1] - bars[:, 0]
            where: dict[str, Scalar] = {"dimension": dimension, **at}
            total, longest = float(lifetimes.sum()), float(lifetimes.max(initial=0.0))
            yield Reading("total_persistence", total, at=where, artifact={"bars": bars})
            yield Reading("largest_persistence", longest, at=where)

    def oracles(self) -> Iterable[Case]:
        """Classes on lines of known spacing, and points of a circle."""
        n = self.cloud_size
        if self.epochs or self.layer_post:
            return
        steps = torch.cat([torch.arange(n), 1000 + 3 * torch.arange(n)]).double()
        lines, spacings = torch.stack([steps, 0 * steps], dim=1), (1.0, 3.0)
        if self.metric_of_codes in ("cosine", "angular"):  # on arcs
            unit = 1 / (4000 + 12 * n)  # of a turn, so that all lies within an angle of 90 degrees
            turns = 2 * torch.pi * unit * steps
            lines = torch.stack([turns.cos(), turns.sin()], dim=1)
            spacings = (2 * math.pi * unit, 6 * math.pi * unit)
            if self.metric_of_codes == "cosine":
                spacings = (1 - math.cos(spacings[0]), 1 - math.cos(spacings[1]))
        split = Split(lines, torch.arange(2 * n) // n)
        data = Dataset("", split, split)
        mean = sum(spacings) / 2
        pure = {"cloud": "class"}
        yield Case(_same, data, {"death_mean": mean, "death_max": mean}, 1e-9, pure)
        spread = (spacings[1] - spacings[0]) / 2**0.5 / mean
        yield Case(_same, data, {"class_spread": spread}, 1e-6)
        if self.beta_factors:
            at: dict[str, Scalar] = {"of": "mean", "factor": self.beta_factors[0]}
            yield Case(_same, data, {"beta": mean * self.beta_factors[0]}, 1e-9, at)
        if self.metric_of_codes != "euclidean" or self.loops < 2 * n:
            return
        turns = 2 * torch.pi * torch.arange(2 * n, dtype=torch.float64) / (2 * n)
        circle = Split(torch.stack([turns.cos(), turns.sin()], dim=1), torch.arange(2 * n) % 2)
        data = Dataset("", circle, circle)
        edge = float(2 * torch.sin(turns[1] / 2))
        # The loop closes at the edges and is filled once three points are a third apart or more.
        filled = float(2 * torch.sin(turns[-(-2 * n // 3)] / 2))
        components = {"total_persistence": (2 * n - 1) * edge, "largest_persistence": edge}
        yield Case(_same, data, components, 1e-9, {"dimension": 0})
        loop = {"total_persistence": filled - edge, "largest_persistence": filled - edge}
        yield Case(_same, data, loop, 1e-9, {"dimension": 1})


@dataclass(frozen=True)
class _Chosen:
    """Positions in the test split: of class-pure and mixed clouds, and of the points for loops.

    `pure` and `mixed` are `(clouds, cloud_size)`, `labels` the classes `(clouds,)` of the first.
    """

    pure: Tensor
    labels: Tensor
    mixed: Tensor
    loops: Tensor


def _same(x: Tensor) -> Tensor:
    return x


def _means_of_groups(values: Tensor, groups: Tensor) -> Tensor:
    """The mean of the values of each group, `(groups,)`."""
    return torch.stack([values[groups == group].mean() for group in torch.unique(groups)])


def loop_bars(distances: np.ndarray) -> np.ndarray:
    """Births and deaths of the loops of a Vietoris-Rips filtration (homology in dimension 1).

    The filtration stops at the smallest radius of a ball around a point that holds all others: from
    there on the complex is a cone, which has no loops.

    Parameters
    ----------
    distances
        Symmetric, `(n, n)`.

    Returns
    -------
    ndarray
        `(loops, 2)`, float64, in the order of births; loops that die at once are left out.

    Notes
    -----
    The complex is collapsed to fewer edges first, which keeps homology; after that O(n^3) triangles
    at most, and their reduction. Coefficients in the field of 11 elements.

    Source: GUDHI; the collapse: Boissonnat and Pritam 2020 (SoCG).

    Examples
    --------
    >>> square = np.array([[0, 1, 2**0.5, 1], [1, 0, 1, 2**0.5], [2**0.5, 1, 0, 1],
    ...                    [1, 2**0.5, 1, 0]])
    >>> loop_bars(square).round(3).tolist()
    [[1.0, 1.414]]
    """
    import gudhi

    if len(distances) < 4:
        return np.zeros((0, 2))
    radius = float(distances.max(axis=1).min())
    complex_ = gudhi.RipsComplex(distance_matrix=distances, max_edge_length=radius)
    tree = complex_.create_simplex_tree(max_dimension=1)
    tree.collapse_edges()
    tree.expansion(2)
    tree.compute_persistence()
    bars = np.asarray(tree.persistence_intervals_in_dimension(1), dtype=np.float64).reshape(-1, 2)
    ordered: np.ndarray = bars[np.lexsort((bars[:, 1], bars[:, 0]))]
    return ordered
