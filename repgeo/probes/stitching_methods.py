"""The ways from one model's codes to another model's head, by name."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal, Protocol, TypeAlias

import torch
from torch import Tensor

from repgeo.probes.reading import Scalar
from repgeo.stitching.anchor_similarities import SimilarityName
from repgeo.stitching.products import ProductProjection
from repgeo.stitching.projection import PRESETS, RelativeProjection
from repgeo.stitching.translators.named import TRANSLATORS
from repgeo.stitching.translators.translator import Translator

__all__ = [
    "CONTROLS",
    "HEAD_GROUPS",
    "RELATIVE",
    "TRANSLATED",
    "HeadKind",
    "OutputScale",
    "Projection",
    "Route",
    "StatisticsOf",
    "StitchMethod",
    "factorial_routes",
    "rescaled",
    "route_of",
]

StitchMethod: TypeAlias = Literal[
    "cosine",
    "centered",
    "robust",
    "whitened",
    "euclidean",
    "l1",
    "linf",
    "inner",
    "product",
    "product_mean",
    "product_learned",
    "absolute",
    "orthogonal",
    "standardized_orthogonal",
    "polar",
    "linear",
    "ridge",
    "affine",
    "inverse_relative",
    "trained",
    "random_map",
    "shuffled_anchors",
]

HeadKind: TypeAlias = Literal["linear", "layer_norm", "adam", "own"]
StatisticsOf: TypeAlias = Literal["anchors", "reference"]
OutputScale: TypeAlias = Literal["none", "root_dimension", "standardized"]


#: A projection that is not fitted yet.
Projection: TypeAlias = RelativeProjection | ProductProjection


class ProjectionMaker(Protocol):
    """Makes a projection that is not fitted yet."""

    def __call__(self, *, stats: StatisticsOf, ridge: float) -> Projection: ...


def _preset(name: str, *, stats: StatisticsOf, ridge: float) -> Projection:
    changes = {"ridge": ridge} if PRESETS[name].get("whiten") else {}
    return RelativeProjection.preset(name, stats=stats, **changes)


def _plain(
    similarity: Literal["euclidean", "l1", "linf", "inner"], *, stats: StatisticsOf, ridge: float
) -> Projection:
    # Nothing is subtracted or divided by: there are no statistics, and nothing is whitened.
    return RelativeProjection(similarity, l2=False)


def _product(
    combine: Literal["concatenate", "mean", "learned"], *, stats: StatisticsOf, ridge: float
) -> Projection:
    # Of directions, so that no part is larger than the others by the size of the codes alone.
    kinds: tuple[SimilarityName, ...] = ("cosine", "euclidean", "l1", "linf")
    return ProductProjection([RelativeProjection(kind) for kind in kinds], combine=combine)


#: Methods that give relative coordinates, each with a head of its own.
RELATIVE: Final[Mapping[str, ProjectionMaker]] = {
    **{name: partial(_preset, name) for name in ("cosine", "centered", "robust", "whitened")},
    "euclidean": partial(_plain, "euclidean"),
    "l1": partial(_plain, "l1"),
    "linf": partial(_plain, "linf"),
    "inner": partial(_plain, "inner"),
    "product": partial(_product, "concatenate"),
    "product_mean": partial(_product, "mean"),
    "product_learned": partial(_product, "learned"),
}

_MAKERS: Final[Mapping[str, Callable[..., Translator]]] = {
    "standardized_orthogonal": partial(TRANSLATORS["orthogonal"], standardize=True),
    **TRANSLATORS,
}

#: Methods that carry codes into the head side's space by a map fitted on the anchors.
TRANSLATED: Final = (
    "orthogonal",
    "standardized_orthogonal",
    "polar",
    "linear",
    "ridge",
    "affine",
    "inverse_relative",
)

#: Methods that must not work: what is left where nothing corresponds.
CONTROLS: Final = ("random_map", "shuffled_anchors")

_ALL: Final = frozenset(
    {"permutation", "orthogonal", "translation", "scaling", "diagonal", "invertible", "affine"}
)

#: Transformations of its own codes that each kind of head goes along with. The convex fit scales
#: by one number and penalises lengths of weights; layer normalisation mixes the features of a code
#: with one another; Adam moves each weight by itself; a model's own head gets the inverse.
HEAD_GROUPS: Final[Mapping[str, frozenset[str]]] = {
    "linear": frozenset({"permutation", "orthogonal", "translation", "scaling"}),
    "layer_norm": frozenset({"permutation", "scaling"}),
    "adam": frozenset({"permutation"}),
    "own": _ALL,
}


@dataclass(frozen=True)
class Route:
    """One way from codes to a head: a row of the table.

    Attributes
    ----------
    at
        What the table calls it.
    space
        The prepared space in which codes and head meet: "absolute", or that of a projection.
    carry
        What happens to the codes in between: "as_is", the name of a translator, "trained" or a
        control.
    projection
        What makes the space's projection, None for "absolute".
    output
        What is done to the relative coordinates at last (only in the factorial).
    """

    at: Mapping[str, Scalar]
    space: str
    carry: str = "as_is"
    projection: ProjectionMaker | None = field(default=None, compare=False)
    output: OutputScale = "none"

    def unseen(self, *, head: HeadKind, stats: StatisticsOf, ridge: float) -> frozenset[str]:
        """Names of groups that may act on the codes of either side and change no answer."""
        if self.projection is not None and self.carry == "as_is":
            # Relative coordinates themselves stay as they are, whatever head reads them.
            return self.projection(stats=stats, ridge=ridge).invariance_group
        if self.carry in _MAKERS:
            translator = self.translator()
            return (
                translator.source_invariance_group
                & translator.target_equivariance_group
                & HEAD_GROUPS[head]
            )
        return frozenset()

    def translator(self) -> Translator:
        """The translator that `carry` names, not fitted yet."""
        return _MAKERS[self.carry]()


def route_of(method: StitchMethod) -> Route:
    """The route of a method.

    Examples
    --------
    >>> route_of("affine").space, route_of("robust").carry
    ('absolute', 'as_is')
    """
    at: dict[str, Scalar] = {"method": method}
    if method in RELATIVE:
        return Route(at, method, projection=RELATIVE[method])
    if method == "shuffled_anchors":
        return Route(at, "cosine", "shuffled_anchors", projection=RELATIVE["cosine"])
    return Route(at, "absolute", "as_is" if method == "absolute" else method)


def factorial_routes() -> Iterator[Route]:
    """All settings {center} x {scale} x {l2} x {output scale} of a relative representation.

    With `l2` the similarity is the cosine, without it the inner product. The output scale is what
    the coordinates are multiplied with: 1 ("none"), one over the root of the number of features
    ("root_dimension"), or each coordinate standardised over the train split ("standardized").

    Examples
    --------
    >>> len(list(factorial_routes()))
    24
    """
    outputs: tuple[OutputScale, ...] = ("none", "root_dimension", "standardized")
    for center, scale, l2, output in itertools.product(
        (False, True), (False, True), (False, True), outputs
    ):
        at: dict[str, Scalar] = {
            "method": "factorial",
            "center": center,
            "scale": scale,
            "l2": l2,
            "output_scale": output,
        }
        space = f"factorial-{center:d}{scale:d}{l2:d}-{output}"
        maker = partial(_setting, center=center, scale=scale, l2=l2)
        yield Route(at, space, projection=maker, output=output)


def _setting(
    *, stats: StatisticsOf, ridge: float, center: bool, scale: bool, l2: bool
) -> Projection:
    return RelativeProjection(
        "cosine" if l2 else "inner", center=center, scale=scale, l2=l2, stats=stats
    )


def rescaled(relative: Tensor, train: Tensor, *, features: int, output: OutputScale) -> Tensor:
    """Relative coordinates `(n, k)` times the output scale (see `factorial_routes`).

    Parameters
    ----------
    relative
        What is rescaled.
    train
        The coordinates of the train split `(m, k)`: standardisation is by their statistics.
    features
        The number of features of the codes that they came from.
    output
        The scale.

    Examples
    --------
    >>> train = torch.tensor([[0.0], [2.0]])
    >>> rescaled(train, train, features=4, output="root_dimension").tolist()
    [[0.0], [1.0]]
    >>> rescaled(train, train, features=4, output="standardized").tolist()
    [[-1.0], [1.0]]
    """
    if output == "none":
        return relative
    if output == "root_dimension":
        return relative / float(features**0.5)
    deviation = train.std(dim=0, correction=0)
    rounding = 8 * torch.finfo(train.dtype).eps
    dead = deviation <= rounding * train.square().mean(dim=0).sqrt()
    moved = (relative - train.mean(dim=0)) / torch.where(dead, 1.0, deviation)
    standardized: Tensor = torch.where(dead, 0.0, moved)
    return standardized
