"""How alike two representations of the same samples are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.pairs import require_same_ids
from repgeo.probes.probe import Case, Probe, Side
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject
from repgeo.stitching.similarity.distances import Dissimilarity, RankOrLinear
from repgeo.stitching.similarity.measures import MEASURES, MeasureName, Settings, compare
from repgeo.stitching.similarity.neighbours import NeighbourMetric

__all__ = ["Similarity"]


class Similarity(Probe):
    """Measures of similarity of two models' codes of the test split, one metric for each.

    ==================== ===== ==================================================== ================
    metric               same  what it is (`repgeo.stitching.similarity`)           chance
    ==================== ===== ==================================================== ================
    cka                  1     unbiased linear CKA                                  0
    biased_cka           1     the same with the biased estimator                   of all shuffles
    mean_cca             1     mean canonical correlation; n must exceed the sizes  by n and ranks
    svcca                1     the same, of leading principal directions            by n and ranks
    pwcca                1     weighted by the first side's features                by n and ranks
    procrustes           0     distance after the best rotation, up to sqrt(2)      by n and sizes
    angular              0     the same as an angle, up to pi/2                     by n and sizes
    mutual_knn           1     share of common nearest neighbours                   k / (n - 1)
    neighbour_jaccard    1     Jaccard index of nearest neighbours                  by n and k
    cycle_knn            (1)   a neighbour on each side leads back                  by n and k
    second_order_cosine  1     cosines to the nearest neighbours                    by shuffles
    rsa                  1     correlation of the matrices of distances             0
    distance_correlation 1     unbiased (squared) distance correlation              0
    topology_divergence  0     clusters and loops of one side only                  by shuffles
    ==================== ===== ==================================================== ================

    "same" is the value of two sides that it takes for equal (which those are: the declared
    invariances). The chance levels by sizes are those of independent isotropic Gaussian codes;
    "by shuffles" is a mean over shuffles of the codes at hand.

    There are no intervals over samples: none of these is a mean over independent samples, and
    resampling with repetition biases them (a repeated sample is its own nearest neighbour, and its
    distance 0 fits on both sides).

    Parameters
    ----------
    layer, layer_b
        Where the two models are cut (`layer_b`: like `layer`).
    measures
        Which of the above.
    neighbours, neighbour_metric
        k, and "cosine" or "euclidean", of the three measures of shared neighbours (k of
        second_order_cosine too).
    variance
        The share of its variance that SVCCA keeps of each space.
    dissimilarity, correlation
        Of RSA: "euclidean", "cosine" or "correlation"; "spearman" or "pearson".
    topology_samples
        How many samples the topology divergence takes, the same of all models.
    shuffles
        How many shuffles a chance level is a mean of.

    Raises
    ------
    InputError
        If there are too few samples, a model's codes are all the same, or a measure is not defined
        for the codes (see there).
    SampleMismatchError
        If the two models were not given the same samples.

    Examples
    --------
    >>> x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    >>> frame = Similarity(measures=("cka", "procrustes"))(lambda x: x, lambda x: 1 - 2 * x, x)
    >>> frame["metric"].tolist(), [abs(round(float(value), 5)) for value in frame["value"]]
    (['cka', 'procrustes'], [1.0, 0.0])
    """

    name: ClassVar[str] = "similarity"
    version: ClassVar[int | str] = 2
    arity: ClassVar[int] = 2
    metrics: ClassVar[Mapping[str, Metric]] = {
        name: Metric(
            unit=measure.unit,
            direction="none",
            range=measure.range,
            chance=0.0 if name in ("cka", "rsa", "distance_correlation") else None,
            summary=measure.summary,
        )
        for name, measure in MEASURES.items()
    }

    layer: str = "encoder"
    layer_b: str | None = None
    measures: Annotated[tuple[MeasureName, ...], Field(min_length=1, strict=False)] = ("cka",)
    neighbours: int = Field(default=10, ge=1)
    neighbour_metric: NeighbourMetric = "cosine"
    variance: float = Field(default=0.99, gt=0, le=1)
    dissimilarity: Dissimilarity = "euclidean"
    correlation: RankOrLinear = "spearman"
    topology_samples: int = Field(default=100, ge=2)
    shuffles: int = Field(default=5, ge=1)

    def invariances(self, metric: str) -> frozenset[str]:
        """What the measure does not see on either side, under the present settings."""
        if metric not in self.measures:
            return frozenset()  # it is not measured
        unseen = MEASURES[metric].unseen(self._settings())
        return frozenset(f"codes:{group}" for group in unseen) | {"samples:permutation"}

    def prepare(self, subject: Subject, data: Dataset, context: Context) -> dict[str, Tensor]:
        """The codes of the test split, and the samples' ids."""
        return {"codes": subject.encode(data.test.x), "ids": data.test.ids}

    def measure(
        self, mine: Side, other: Side, data: Dataset, context: Context
    ) -> Iterable[Reading]:
        """Yield each measure of the two sides' codes."""
        ids = mine.prepared["ids"]
        require_same_ids(ids, other.prepared["ids"])
        # In the order of the ids, so that the order of the data decides no tie and draws no sample.
        order = torch.argsort(ids.cpu(), stable=True)
        left, right = (side.prepared["codes"][order] for side in (mine, other))
        found = compare(
            left,
            right,
            ids=(ids[order], ids[order]),
            measures=self.measures,
            settings=self._settings(),
            generator=context.shared("similarity"),
        )
        for name, one in found.items():
            yield Reading(name, one.value, chance=one.chance)

    def _settings(self) -> Settings:
        return Settings(
            neighbours=self.neighbours,
            neighbour_metric=self.neighbour_metric,
            variance=self.variance,
            dissimilarity=self.dissimilarity,
            correlation=self.correlation,
            topology_samples=self.topology_samples,
            shuffles=self.shuffles,
        )

    def oracles(self) -> Iterable[Case]:
        """Codes that are turned and scaled copies, and codes that are independent bits."""
        n = 4 * max(6, self.neighbours // 3)
        places = torch.arange(n, dtype=torch.float64)
        waves = torch.stack([(1.7 * places).sin(), (0.9 * places).cos(), (2.3 * places).sin()], 1)
        bits = torch.stack([places // 2 % 2, places % 2], dim=1)

        def same(x: Tensor) -> Tensor:
            return x

        def turned(x: Tensor) -> Tensor:
            return -2 * x.flip(1)

        def first(x: Tensor) -> Tensor:
            return x * torch.tensor([1.0, 0.0], dtype=x.dtype)

        def second(x: Tensor) -> Tensor:
            return x * torch.tensor([0.0, 1.0], dtype=x.dtype)

        equal: dict[str, float] = {
            name: MEASURES[name].same for name in self.measures if name != "cycle_knn"
        }
        if equal:
            split = Split(waves)
            yield Case((same, turned), Dataset("", split, split), equal, 1e-7)
        # Of n samples, the U-centred kernels of two independent balanced bits have this cosine.
        apart = {
            "cka": -1 / (n - 2),
            "biased_cka": 0.0,
            "distance_correlation": -1 / (n - 2),
            "mean_cca": 0.0,
            "svcca": 0.0,
            "pwcca": 0.0,
            "procrustes": math.sqrt(2),
            "angular": math.pi / 2,
        }
        expected: dict[str, float] = {
            name: value for name, value in apart.items() if name in self.measures
        }
        if expected:
            split = Split(bits)
            yield Case((first, second), Dataset("", split, split), expected, 1e-9)
