"""The panel of measures by name, with what each does not see, and what it gives by chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from repgeo.errors import InputError, nearest
from repgeo.stitching.similarity import chance as by_chance
from repgeo.stitching.similarity.canonical_analysis import directions, mean_cca, pwcca, svcca
from repgeo.stitching.similarity.codes import check_pair, require_equal_ids
from repgeo.stitching.similarity.distances import (
    Dissimilarity,
    RankOrLinear,
    distance_correlation,
    rsa,
)
from repgeo.stitching.similarity.kernel_alignment import cka
from repgeo.stitching.similarity.neighbourhoods import (
    cycle_knn,
    mutual_knn,
    neighbour_jaccard,
    second_order_cosine,
)
from repgeo.stitching.similarity.neighbours import NeighbourMetric
from repgeo.stitching.similarity.shape_distances import angular_distance, procrustes_distance
from repgeo.stitching.similarity.topology import topology_divergence

__all__ = ["MEASURES", "Compared", "Measure", "MeasureName", "Settings", "compare"]

MeasureName: TypeAlias = Literal[
    "cka",
    "biased_cka",
    "mean_cca",
    "svcca",
    "pwcca",
    "procrustes",
    "angular",
    "mutual_knn",
    "neighbour_jaccard",
    "cycle_knn",
    "second_order_cosine",
    "rsa",
    "distance_correlation",
    "topology_divergence",
]

_SHAPE: Final = frozenset({"permutation", "orthogonal", "scaling", "translation"})
_RIGID: Final = frozenset({"permutation", "orthogonal", "scaling"})
_AFFINE: Final = _SHAPE | {"diagonal", "invertible", "affine"}
_WEIGHTED: Final = frozenset({"permutation", "scaling", "translation"})


@dataclass(frozen=True)
class Settings:
    """What the measures of the panel leave open.

    Attributes
    ----------
    neighbours, neighbour_metric
        Of the measures of neighbourhoods.
    variance
        The share that SVCCA keeps of each space.
    dissimilarity, correlation
        Of RSA.
    topology_samples
        How many samples the topology divergence takes.
    shuffles
        Over how many orders of the rows the chance level is a mean, where it has no closed form.
    """

    neighbours: int = 10
    neighbour_metric: NeighbourMetric = "cosine"
    variance: float = 0.99
    dissimilarity: Dissimilarity = "euclidean"
    correlation: RankOrLinear = "spearman"
    topology_samples: int = 100
    shuffles: int = 5


@dataclass(frozen=True)
class Compared:
    """What a measure gives.

    Attributes
    ----------
    value
        The number.
    chance
        What unrelated codes of these sizes give, as the measure's `chance_kind` says.
    """

    value: float
    chance: float


@dataclass(frozen=True)
class Measure:
    """One measure of the panel.

    Attributes
    ----------
    summary
        One line.
    range
        The closed interval of its values.
    same
        Its value for two sides that it takes for equal.
    direction
        "higher" where larger values are more alike, else "lower".
    chance_kind
        "exact" (0 or another mean under a shuffle, exactly), "gaussian" (of independent isotropic
        codes), "graph" (of neighbourhoods without hubs), or "shuffled" (a mean over shuffles of
        the codes at hand).
    unseen
        The groups that may act on either side without changing it, under given settings.
    measure
        Codes in float64, their relative precision, settings and a generator, to the numbers.
    unit
        "" for a plain number, else what it is measured in.
    """

    summary: str
    range: tuple[float, float]
    same: float
    direction: Literal["higher", "lower"]
    chance_kind: Literal["exact", "gaussian", "graph", "shuffled"]
    unseen: Callable[[Settings], frozenset[str]]
    measure: Callable[[Tensor, Tensor, float, Settings, torch.Generator], Compared]
    unit: str = ""


def compare(
    a: Tensor,
    b: Tensor,
    *,
    ids: tuple[Tensor, Tensor],
    measures: Iterable[str] = ("cka",),
    settings: Settings | None = None,
    generator: torch.Generator | None = None,
) -> dict[str, Compared]:
    """Several measures of similarity of two sets of codes, if they are of the same samples.

    Parameters
    ----------
    a, b
        Codes `(n, features)`, the number of features may differ.
    ids
        The sample ids `(n,)` of both sides, integers. They have to agree: a similarity of rows in
        different orders looks like a number, near the chance level.
    measures
        Names of `MEASURES`.
    settings
        What the measures leave open.
    generator
        A CPU generator, for the topology divergence and for chance levels by shuffles; by default
        one with the seed 0.

    Returns
    -------
    dict of str to Compared
        Value and chance level by name, in the order asked for.

    Raises
    ------
    SampleMismatchError
        If the ids differ.
    InputError
        If a name is unknown, or a measure refuses the codes (see there).

    Examples
    --------
    >>> codes = torch.arange(40.0).reshape(20, 2).sin()
    >>> ids = torch.arange(20)
    >>> found = compare(codes, -3 * codes, ids=(ids, ids), measures=("cka", "mutual_knn"))
    >>> {name: round(one.value, 6) for name, one in found.items()}
    {'cka': 1.0, 'mutual_knn': 1.0}
    >>> compare(codes, codes, ids=(ids, ids.flip(0)))
    Traceback (most recent call last):
        ...
    repgeo.errors.SampleMismatchError: The two sides hold other samples, or in another order: \
20 of 20 ids differ. Bring both into one order; rows are compared one by one.
    """
    check_pair(a, b, samples=2)
    require_equal_ids(*ids, len(a))
    names = list(measures)
    for name in names:
        if name not in MEASURES:
            raise InputError(f"Unknown measure {name!r}. {nearest(name, MEASURES)}")
    rounding = max(torch.finfo(codes.dtype).eps for codes in (a, b))
    left, right = a.double(), b.double()
    chosen = settings or Settings()
    source = generator or torch.Generator().manual_seed(0)
    return {name: MEASURES[name].measure(left, right, rounding, chosen, source) for name in names}


_Function: TypeAlias = Callable[[Tensor, Tensor, float, Settings, torch.Generator], Compared]


def _cka(a: Tensor, b: Tensor, rounding: float, given: Settings, _: torch.Generator) -> Compared:
    return Compared(float(cka(a, b)), 0.0)


def _biased_cka(
    a: Tensor, b: Tensor, rounding: float, given: Settings, _: torch.Generator
) -> Compared:
    return Compared(float(cka(a, b, unbiased=False)), by_chance.biased_cka_shuffled(a, b))


def _canonical(function: Callable[..., Tensor], *, cut: bool = False) -> _Function:
    def measure(
        a: Tensor, b: Tensor, rounding: float, given: Settings, _: torch.Generator
    ) -> Compared:
        options = {"rounding": rounding} | ({"variance": given.variance} if cut else {})
        value = float(function(a, b, **options))
        ranks = (directions(codes, **options) for codes in (a, b))
        return Compared(value, by_chance.mean_cca_chance(len(a), *ranks))

    return measure


def _shape(
    function: Callable[[Tensor, Tensor], Tensor], expected: Callable[[int, int, int], float]
) -> _Function:
    def measure(
        a: Tensor, b: Tensor, rounding: float, given: Settings, _: torch.Generator
    ) -> Compared:
        return Compared(float(function(a, b)), expected(len(a), a.shape[1], b.shape[1]))

    return measure


def _neighbourhood(
    function: Callable[..., Tensor], expected: Callable[[int, int], float]
) -> _Function:
    def measure(
        a: Tensor, b: Tensor, rounding: float, given: Settings, _: torch.Generator
    ) -> Compared:
        value = function(a, b, neighbours=given.neighbours, metric=given.neighbour_metric)
        return Compared(float(value), expected(len(a), given.neighbours))

    return measure


def _second_order(
    a: Tensor, b: Tensor, rounding: float, given: Settings, generator: torch.Generator
) -> Compared:
    def value(x: Tensor, y: Tensor) -> Tensor:
        return second_order_cosine(x, y, neighbours=given.neighbours)

    return _with_shuffles(value, a, b, given, generator)


def _rsa(a: Tensor, b: Tensor, rounding: float, given: Settings, _: torch.Generator) -> Compared:
    value = rsa(a, b, dissimilarity=given.dissimilarity, correlation=given.correlation)
    return Compared(float(value), 0.0)


def _distance_correlation(
    a: Tensor, b: Tensor, rounding: float, given: Settings, _: torch.Generator
) -> Compared:
    return Compared(float(distance_correlation(a, b)), 0.0)


def _topology(
    a: Tensor, b: Tensor, rounding: float, given: Settings, generator: torch.Generator
) -> Compared:
    if len(a) > given.topology_samples:
        drawn = torch.randperm(len(a), generator=generator)[: given.topology_samples].to(a.device)
        a, b = a[drawn], b[drawn]

    def value(x: Tensor, y: Tensor) -> Tensor:
        return topology_divergence(x, y, samples=len(x))

    return _with_shuffles(value, a, b, given, generator)


def _with_shuffles(
    value: Callable[[Tensor, Tensor], Tensor],
    a: Tensor,
    b: Tensor,
    given: Settings,
    generator: torch.Generator,
) -> Compared:
    expected = by_chance.permutation_chance(
        value, a, b, shuffles=given.shuffles, generator=generator
    )
    return Compared(float(value(a, b)), expected)


def _always(groups: frozenset[str]) -> Callable[[Settings], frozenset[str]]:
    return lambda _: groups


def _of_neighbours(given: Settings) -> frozenset[str]:
    return _SHAPE if given.neighbour_metric == "euclidean" else _RIGID


def _of_dissimilarity(given: Settings) -> frozenset[str]:
    unseen = {"euclidean": _SHAPE, "cosine": _RIGID}
    return unseen.get(given.dissimilarity, frozenset({"permutation", "scaling"}))


_SHARE: Final = (0.0, 1.0)
_SIGNED: Final = (-1.0, 1.0)

#: The measures by name.
MEASURES: Final[Mapping[str, Measure]] = {
    "cka": Measure("unbiased linear CKA", _SIGNED, 1.0, "higher", "exact", _always(_SHAPE), _cka),
    "biased_cka": Measure(
        "biased linear CKA", _SHARE, 1.0, "higher", "exact", _always(_SHAPE), _biased_cka
    ),
    "mean_cca": Measure(
        "mean canonical correlation",
        _SHARE,
        1.0,
        "higher",
        "gaussian",
        _always(_AFFINE),
        _canonical(mean_cca),
    ),
    "svcca": Measure(
        "mean canonical correlation of the leading principal directions",
        _SHARE,
        1.0,
        "higher",
        "gaussian",
        _always(_SHAPE),
        _canonical(svcca, cut=True),
    ),
    "pwcca": Measure(
        "canonical correlations weighted by the first side's features",
        _SHARE,
        1.0,
        "higher",
        "gaussian",
        _always(_WEIGHTED),
        _canonical(pwcca),
    ),
    "procrustes": Measure(
        "distance of unit clouds after the best rotation",
        (0.0, math.sqrt(2)),
        0.0,
        "lower",
        "gaussian",
        _always(_SHAPE),
        _shape(procrustes_distance, by_chance.procrustes_chance),
    ),
    "angular": Measure(
        "angle between unit clouds after the best rotation",
        (0.0, math.pi / 2),
        0.0,
        "lower",
        "gaussian",
        _always(_SHAPE),
        _shape(angular_distance, by_chance.angular_chance),
        "radian",
    ),
    "mutual_knn": Measure(
        "share of nearest neighbours that both sides have",
        _SHARE,
        1.0,
        "higher",
        "exact",
        _of_neighbours,
        _neighbourhood(mutual_knn, by_chance.mutual_knn_chance),
    ),
    "neighbour_jaccard": Measure(
        "Jaccard index of the nearest neighbours on both sides",
        _SHARE,
        1.0,
        "higher",
        "exact",
        _of_neighbours,
        _neighbourhood(neighbour_jaccard, by_chance.neighbour_jaccard_chance),
    ),
    "cycle_knn": Measure(
        "share of samples that a step to a neighbour on each side leads back to",
        _SHARE,
        1.0,
        "higher",
        "graph",
        _of_neighbours,
        _neighbourhood(cycle_knn, by_chance.cycle_knn_chance),
    ),
    "second_order_cosine": Measure(
        "cosine of the two sides' cosines to nearest neighbours",
        _SIGNED,
        1.0,
        "higher",
        "shuffled",
        _always(_RIGID),
        _second_order,
    ),
    "rsa": Measure(
        "correlation of the two matrices of distances",
        _SIGNED,
        1.0,
        "higher",
        "exact",
        _of_dissimilarity,
        _rsa,
    ),
    "distance_correlation": Measure(
        "unbiased (squared) distance correlation",
        _SIGNED,
        1.0,
        "higher",
        "exact",
        _always(_SHAPE),
        _distance_correlation,
    ),
    "topology_divergence": Measure(
        "clusters and loops that one side has and the other has not",
        (0.0, math.inf),
        0.0,
        "lower",
        "shuffled",
        _always(_SHAPE),
        _topology,
    ),
}

if set(MEASURES) != set(get_args(MeasureName)):
    raise TypeError("MeasureName and MEASURES must name the same measures.")
