"""How well a sample's code in one model finds the same sample among another model's codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.pairs import require_same_ids
from repgeo.probes.probe import Case, Probe, Side
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject
from repgeo.stitching.anchors import AnchorMethod, choose_anchors
from repgeo.stitching.projection import RelativeProjection
from repgeo.stitching.retrieval import (
    cosine_chance,
    precision_chance,
    reciprocal_rank_chance,
    retrieval_jaccard_chance,
    retrieve,
)
from repgeo.stitching.similarity.neighbours import NeighbourMetric

__all__ = ["LatentRetrieval", "RetrievalMethod"]

RetrievalMethod: TypeAlias = Literal["cosine", "centered", "robust", "whitened", "absolute"]
_Count: TypeAlias = Annotated[int, Field(ge=1)]

_ABSOLUTE: Final = "absolute"


class LatentRetrieval(Probe):
    """Look test samples up across two models: queries of the first, the gallery of the second.

    Every test sample is a query with its code in `model`; it should find itself among the codes of
    all test samples in `model_b`. Both sides need the same coordinates (`at.method`):

    ========== ===================================================================================
    cosine     relative: cosines to the same anchors, training samples (Moschella et al.)
    centered   the same, after subtracting the mean of the anchors
    robust     the same, after standardising each coordinate by the anchors
    whitened   the same, after whitening by the anchors
    absolute   the codes as they are: the baseline. Left out where they have different sizes.
    ========== ===================================================================================

    and the scores are, for each number k of `at.k`,

    =============== ==================== =========================================================
    metric          chance               what it is (`repgeo.stitching.retrieve`)
    =============== ==================== =========================================================
    jaccard         about k / (2n)       common among the k nearest to query and to partner
    precision       k / n                whether the partner is among the k nearest (P@k)
    reciprocal_rank H_n / n (or H_k / n) 1 / rank of the partner, of all or cut off at k (MRR)
    cosine          mean over all pairs  cosine of query and partner
    =============== ==================== =========================================================

    `cosine`, and an uncut `reciprocal_rank`, do not depend on k and have no `at.k`. Ties are broken
    at random and the expectation taken, so that duplicates are not counted twice and collapsed
    codes score what chance does. The pair of a model with itself scores 1 up to duplicates.

    Student-t intervals over queries, with the gallery as it is.

    Parameters
    ----------
    layer, layer_b
        Where the two models are cut (`layer_b`: like `layer`).
    methods
        Which of the coordinates above.
    k
        The numbers of nearest samples.
    truncate
        Whether reciprocal ranks beyond k count as 0, as published.
    distance
        "cosine" or "euclidean": what is near in those coordinates.
    anchors, anchor_choice
        How many training samples are anchors, and how they are chosen.

    Raises
    ------
    InputError
        If there are fewer test samples than the largest k, fewer training samples than anchors, a
        model's codes are all the same, or only "absolute" is asked for and the codes have different
        sizes.
    SampleMismatchError
        If the two models were not given the same samples and anchors.

    Notes
    -----
    Source: Moschella et al. 2023 (arXiv 2209.15430), with words for samples.

    Examples
    --------
    >>> x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    >>> probe = LatentRetrieval(methods=("cosine", "absolute"), k=(1,), anchors=8)
    >>> frame = probe(lambda x: x, lambda x: -x, x, torch.arange(60) % 2)
    >>> found = frame[frame["metric"] == "precision"]
    >>> dict(zip(found["at"], found["value"]))
    {'{"k":1,"method":"cosine"}': 1.0, '{"k":1,"method":"absolute"}': 0.0}
    """

    name: ClassVar[str] = "latent_retrieval"
    arity: ClassVar[int] = 2
    fits: ClassVar[bool] = True
    metrics: ClassVar[Mapping[str, Metric]] = {
        "jaccard": Metric(
            direction="higher",
            range=(0.0, 1.0),
            invariant_to={"samples:permutation"},
            summary="common among the nearest to a query and to its partner",
        ),
        "precision": Metric(
            direction="higher",
            range=(0.0, 1.0),
            invariant_to={"samples:permutation"},
            summary="share of queries whose partner is among the k nearest",
        ),
        "reciprocal_rank": Metric(
            direction="higher",
            range=(0.0, 1.0),
            invariant_to={"samples:permutation"},
            summary="mean of 1 / rank of the partner",
        ),
        "cosine": Metric(
            direction="none",
            range=(-1.0, 1.0),
            invariant_to={"samples:permutation"},
            summary="cosine of query and partner",
        ),
    }

    layer: str = "encoder"
    layer_b: str | None = None
    methods: Annotated[tuple[RetrievalMethod, ...], Field(min_length=1, strict=False)] = (
        "cosine",
        "robust",
        "absolute",
    )
    k: Annotated[tuple[_Count, ...], Field(min_length=1, strict=False)] = (1, 10)
    truncate: bool = False
    distance: NeighbourMetric = "cosine"
    anchors: int = Field(default=64, ge=2)
    anchor_choice: AnchorMethod = "uniform"

    def invariances(self, metric: str) -> frozenset[str]:
        """What all chosen coordinates leave unchanged, on one side or on both."""
        unseen = [
            frozenset[str]()
            if method == _ABSOLUTE
            else RelativeProjection.preset(method).invariance_group
            for method in self.methods
        ]
        shared = frozenset.intersection(*unseen)
        return super().invariances(metric) | {f"codes:{group}" for group in shared}

    def prepare(self, subject: Subject, data: Dataset, context: Context) -> dict[str, Tensor]:
        """The coordinates of the test split, for each method."""
        chosen = choose_anchors(
            data.train.ids,
            data.train.y,
            count=self.anchors,
            generator=context.shared("anchors"),
            method=self.anchor_choice,
        )
        test = subject.encode(data.test.x)
        made = {"ids": data.test.ids, "anchor_ids": data.train.ids[chosen]}
        for method in self.methods:
            if method == _ABSOLUTE:
                made[method] = test
                continue
            anchors = subject.encode(data.train.x)[chosen.to(test.device)].double()
            projection = RelativeProjection.preset(method).fit(anchors)
            made[method] = projection.transform(test.double())
        return made

    def measure(
        self, mine: Side, other: Side, data: Dataset, context: Context
    ) -> Iterable[Reading]:
        """Yield the scores of my codes as queries and the other's as the gallery, by method."""
        ids = mine.prepared["ids"]
        require_same_ids(ids, other.prepared["ids"])
        require_same_ids(mine.prepared["anchor_ids"], other.prepared["anchor_ids"], "anchors")
        # In the order of the ids, so that the order of the data decides no tie.
        order = torch.argsort(ids.cpu(), stable=True)
        yielded = 0
        for method in self.methods:
            queries, gallery = (side.prepared[method][order] for side in (mine, other))
            if queries.shape[1] != gallery.shape[1]:
                continue
            yielded += 1
            yield from self._scores(method, queries.double(), gallery.double(), ids[order])
        if not yielded:
            raise InputError(
                "Codes of different sizes have no coordinates in common as they are "
                f"({mine.subject.label!r} and {other.subject.label!r}). Add a relative method to "
                "methods."
            )

    def _scores(
        self, method: str, queries: Tensor, gallery: Tensor, ids: Tensor
    ) -> Iterable[Reading]:
        n = len(queries)
        for position, k in enumerate(self.k):
            found = retrieve(
                queries,
                gallery,
                k=k,
                truncate=k if self.truncate else None,
                metric=self.distance,
            )
            at: dict[str, str | int | float | bool] = {"method": method, "k": k}
            jaccard, precision = retrieval_jaccard_chance(n, k), precision_chance(n, k)
            yield Reading("jaccard", samples=found.jaccard, ids=ids, at=at, chance=jaccard)
            yield Reading("precision", samples=found.hit, ids=ids, at=at, chance=precision)
            ranks = found.reciprocal_rank
            if self.truncate:
                chance = reciprocal_rank_chance(n, k)
                yield Reading("reciprocal_rank", samples=ranks, ids=ids, at=at, chance=chance)
            if position:
                continue
            only = {"method": method}
            if not self.truncate:
                chance = reciprocal_rank_chance(n)
                yield Reading("reciprocal_rank", samples=ranks, ids=ids, at=only, chance=chance)
            chance = cosine_chance(queries, gallery)
            yield Reading("cosine", samples=found.cosine, ids=ids, at=only, chance=chance)

    def oracles(self) -> Iterable[Case]:
        """Directions on half a circle; the other model turns them by half a turn."""
        n = max(self.anchors, 2 * max(self.k), 8)
        angles = torch.linspace(0.0, 3.0, n, dtype=torch.float64)
        split = Split(torch.stack([angles.cos(), angles.sin()], dim=1), torch.arange(n) % 2)
        data = Dataset("", split, split)

        def same(x: Tensor) -> Tensor:
            return x

        def opposite(x: Tensor) -> Tensor:
            return -x

        for method in self.methods:
            scores = {"cosine": 1.0} if self.truncate else {"cosine": 1.0, "reciprocal_rank": 1.0}
            yield Case((same, same), data, scores, 1e-9, {"method": method})
            for k in self.k:
                at = {"method": method, "k": k}
                yield Case((same, same), data, {"jaccard": 1.0, "precision": 1.0}, 1e-9, at)
                if method != _ABSOLUTE:
                    yield Case((same, opposite), data, {"precision": 1.0}, 1e-9, at)
            if method == _ABSOLUTE:
                yield Case((same, opposite), data, {"cosine": -1.0}, 1e-9, {"method": method})
