"""How two sets of points are mixed in hyperbolic space: HyperDGA beside the classical distances."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError, UnsupportedError, nearest
from repgeo.hyperbolic import (
    chamfer_distance,
    convert,
    hausdorff_distance,
    hyperdga,
    transport_distance,
)
from repgeo.models.loaded import Epoch
from repgeo.probes.context import Context
from repgeo.probes.latent_distances import (
    AskedSpace,
    CodeSpace,
    correlation,
    latent_distances,
    ranks,
    space_of,
    tree_correlations,
)
from repgeo.probes.metric import Metric
from repgeo.probes.pairs import require_same_ids
from repgeo.probes.probe import Case, Probe, Side
from repgeo.probes.reading import Arrays, Reading, Scalar
from repgeo.probes.subject import Subject

__all__ = ["Comparison", "HyperDGABetweenModels", "HyperDGAProbe"]

#: "classes": the codes of two classes. "reconstruction": codes, and the codes of what the model
#: makes of the inputs. "copies": codes of a reference, and of copies of it at several levels.
Comparison: TypeAlias = Literal["classes", "reconstruction", "copies"]

_MOST_DRAWN: Final = 20_000  # edges that are stored for a figure

_METRICS: Final[Mapping[str, Metric]] = {
    "score": Metric(
        direction="lower",
        range=(0.0, 1.0),
        invariant_to={"samples:permutation"},
        summary="1 - share of Delaunay edges that join the two sets",
    ),
    "z": Metric(summary="score against shuffled labels, in standard deviations, high: apart"),
    "p_value": Metric(range=(0.0, 1.0), summary="one-sided, of the sets being apart"),
    "normalized": Metric(summary="1 - edges between the sets over their number by chance"),
    "edges": Metric(unit="edges", summary="of the Delaunay graph"),
    "heterogeneous": Metric(unit="edges", summary="that join the two sets"),
    "density": Metric(range=(0.0, 1.0), summary="edges over all pairs"),
    "max_degree": Metric(unit="edges", summary="at one point"),
    "chamfer": Metric(
        direction="lower", unit="distance", summary="to the nearest of the others, mean"
    ),
    "chamfer_squared": Metric(direction="lower", unit="distance^2", summary="the same, squared"),
    "hausdorff": Metric(direction="lower", unit="distance", summary="farthest from the others"),
    "transport": Metric(direction="lower", unit="distance", summary="1-Wasserstein distance"),
}

_CLASSICAL: Final = ("chamfer", "chamfer_squared", "hausdorff", "transport")


@dataclass(frozen=True)
class _Sets:
    """Two sets of codes, what they are called, and in what space they lie."""

    at: Mapping[str, Scalar]
    first: Tensor
    second: Tensor
    space: CodeSpace


class _Mixing(Probe):
    """What both probes have in common: fields, and the readings of two sets."""

    layer: str = "encoder"
    space: AskedSpace = "poincare"
    curvature: float = Field(default=-1.0, lt=0)
    distances: bool = True
    transport_points: int = Field(default=500, ge=0)

    @abstractmethod
    def measure(self, *args: Any, **kwargs: Any) -> Iterable[Reading]:
        """Yield the readings of each pair of sets."""

    def _readings(self, sets: _Sets, context: Context) -> Iterator[Reading]:
        first, second = (codes.detach().cpu().double() for codes in (sets.first, sets.second))
        found = hyperdga(first, second, model=sets.space, curvature=self.curvature)
        yield Reading(
            "score",
            found.score,
            at=sets.at,
            chance=found.null_mean,
            artifact=self._picture(sets, found.graph.edges),
        )
        for name in ("z", "p_value", "normalized", "density"):
            yield Reading(name, getattr(found, name), at=sets.at)
        for name in ("edges", "heterogeneous", "max_degree"):
            yield Reading(name, float(getattr(found, name)), at=sets.at)
        if self.distances:
            for name, value in self._classical(sets, context):
                yield Reading(name, value, at=sets.at)

    def _classical(self, sets: _Sets, context: Context) -> Iterator[tuple[str, float]]:
        first, second = (codes.detach().cpu().double() for codes in (sets.first, sets.second))
        space, curvature = sets.space, self.curvature
        yield "chamfer", chamfer_distance(first, second, model=space, curvature=curvature)
        squared = chamfer_distance(first, second, squared=True, model=space, curvature=curvature)
        yield "chamfer_squared", squared
        yield "hausdorff", hausdorff_distance(first, second, model=space, curvature=curvature)
        if self.transport_points:
            few = [
                codes[_some(len(codes), self.transport_points, context.shared(f"transport {side}"))]
                for side, codes in enumerate((first, second))
            ]
            yield "transport", transport_distance(*few, model=space, curvature=curvature)

    def _picture(self, sets: _Sets, edges: np.ndarray) -> Arrays | None:
        """Points and edges, where they can be drawn in the plane."""
        both = torch.cat([sets.first, sets.second]).detach().cpu().double()
        flat = sets.space == "euclidean"
        if both.shape[1] - (sets.space == "lorentz") != 2 or len(edges) > _MOST_DRAWN:
            return None
        if not flat:
            both = convert(both, sets.space, "poincare", curvature=self.curvature)
            both = both * (-self.curvature) ** 0.5
        return {
            "points": both.numpy(),
            "second": np.arange(len(both)) >= len(sets.first),
            "edges": edges,
            "flat": np.array(flat),
        }


class HyperDGAProbe(_Mixing):
    r"""HyperDGA of sets of codes of one model, with its null law, and the classical distances.

    The score is 1 - the share of edges of the hyperbolic Delaunay graph that join the two sets
    (`repgeo.hyperbolic.hyperdga`); its chance level is the mean under shuffled labels, and `z`,
    `p_value` and `normalized` are read against that law. Low: mixed; high: apart.

    What is compared, `compare`:

    - "classes": the codes of each pair of classes, `at.pair`: "all", those that the data name in
      `meta["pairs"]` ("named"), or a list of pairs.
    - "reconstruction": the codes of the test split, and the codes of what the model makes of the
      inputs (its `reconstruct`), at each of `epochs`, `at.epoch`.
    - "copies": the codes of the array `reference`, and those of each level of the array `copies`
      `(n, levels, ...)`, `at.level` as `data.meta["levels"]` names it.

    `order` says how well each score (`at.score`: this one, and the classical distances) puts these
    in order: over levels, Spearman's correlation of score and level; over epochs, that of the score
    with minus the correlation of latent and tree distances of the clean codes (`downstream`), where
    the dataset has the array `tree`. 1: as it should be.

    Classical distances: the mean distance to the nearest point of the other set, averaged over both
    directions (`chamfer`; `chamfer_squared`: of squared distances), `hausdorff`, and
    `transport`, the 1-Wasserstein distance of at most `transport_points` of each set.

    Where the codes lie in the plane, points and edges are stored for the figure.

    Parameters
    ----------
    layer
        Where the model is cut.
    space, curvature
        What the codes are: coordinates of hyperbolic space, "euclidean" (then the flat Delaunay
        graph and flat distances), or "model": what its attribute `latent_space` says.
    distances
        Whether the classical distances are measured too.
    transport_points
        0 leaves out transport, which else needs the package POT.
    compare, class_pairs, epochs, reference, copies, tree
        See above.

    Raises
    ------
    InputError
        If what is to be compared is not there, or codes lie outside of their space.
    UnsupportedError
        If a reconstruction is asked for and the model has no `reconstruct`.

    References
    ----------
    A. A. Medbouhi, G. L. Marchetti, V. Polianskii, A. Kravberg, P. Poklukar, A. Varava, D. Kragic,
    "Hyperbolic Delaunay Geometric Alignment" (2024), arXiv 2404.08608.

    Examples
    --------
    A class of one point, and four around it far enough out: every edge joins the classes.

    >>> x = torch.tensor([[0.0, 0.0], [0.8, 0.0], [0.0, 0.8], [-0.8, 0.0], [0.0, -0.8]])
    >>> probe = HyperDGAProbe(distances=False)
    >>> frame = probe(lambda x: x, x, torch.tensor([0, 1, 1, 1, 1]))
    >>> dict(zip(frame["metric"], frame["value"]))["score"]
    0.0
    """

    name: ClassVar[str] = "hyperdga"
    metrics: ClassVar[Mapping[str, Metric]] = {
        **_METRICS,
        "downstream": Metric(
            direction="higher",
            range=(-1.0, 1.0),
            chance=0.0,
            summary="correlation of latent and tree distances of the clean codes",
        ),
        "order": Metric(
            direction="higher", range=(-1.0, 1.0), chance=0.0, summary="levels or epochs in order"
        ),
    }

    compare: Comparison = "classes"
    class_pairs: (
        Literal["all", "named"]
        | Annotated[tuple[tuple[str, str], ...], Field(strict=False, min_length=1)]
    ) = "all"
    epochs: Annotated[tuple[Epoch, ...], Field(min_length=1, strict=False)] = ("final",)
    reference: str = Field(default="reference", min_length=1)
    copies: str = Field(default="noisy", min_length=1)
    tree: str = Field(default="tree_distance", min_length=1)

    @model_validator(mode="after")
    def _only_of_classes(self) -> HyperDGAProbe:
        if self.class_pairs != "all" and self.compare != "classes":
            raise ValueError(f"class_pairs are of classes, not of {self.compare!r}")
        if self.epochs != ("final",) and self.compare != "reconstruction":
            raise ValueError(f"epochs belong to compare = 'reconstruction', not {self.compare!r}")
        return self

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield the readings of each comparison, then how they are ordered."""
        kept: list[tuple[Mapping[str, Scalar], dict[str, float]]] = []
        downstream: list[float] = []
        for sets in self._comparisons(subject, data):
            values: dict[str, float] = {}
            for reading in self._readings(sets, context):
                values[reading.metric] = float(reading.value)  # type: ignore[arg-type]
                yield reading
            if self.compare == "reconstruction" and self.tree in data.test.arrays:
                latent = latent_distances(sets.first, sets.space, self.curvature)
                downstream.append(tree_correlations(latent, data.test, self.tree)[0])
                yield Reading("downstream", downstream[-1], at=sets.at)
            kept.append((sets.at, values))
        truth = [-value for value in downstream]
        if self.compare == "copies":
            truth = [float(at["level"]) for at, _ in kept]
        if len(truth) < 3:
            return
        for name in ("score", *(_CLASSICAL if self.distances else ())):
            read = [values[name] for _, values in kept if name in values]
            if len(read) == len(truth) and len(set(read)) > 1:
                order = correlation(ranks(np.array(read)), ranks(np.array(truth)))
                called = "hyperdga" if name == "score" else name
                yield Reading("order", order, at={"score": called})

    def _comparisons(self, subject: Subject, data: Dataset) -> Iterator[_Sets]:
        if self.compare == "classes":
            yield from self._of_classes(subject, data)
        elif self.compare == "copies":
            yield from self._of_copies(subject, data)
        else:
            yield from self._of_reconstructions(subject, data)

    def _of_classes(self, subject: Subject, data: Dataset) -> Iterator[_Sets]:
        y = data.test.y
        if y is None or y.is_floating_point() or y.ndim != 1:
            raise InputError(f"{self.name} compares classes: it needs integer labels y (n,).")
        codes = subject.encode(data.test.x)
        present = [int(label) for label in torch.unique(y)]
        if len(present) < 2:
            raise InputError(f"{self.name} compares classes: there is only one among the labels.")
        names = data.meta.get("classes", {label: str(label) for label in present})
        places = {str(names[label]): label for label in present}
        asked: Iterable[tuple[str, ...]] = combinations(places, 2)
        if self.class_pairs == "named":
            asked = data.meta.get("pairs", ())
        elif self.class_pairs != "all":
            asked = self.class_pairs
        for pair in asked:
            for name in pair:
                if name not in places:
                    raise InputError(f"There is no class {name!r}. {nearest(name, list(places))}")
            first, second = (codes[(y == places[name]).to(codes.device)] for name in pair)
            space = space_of(subject, self.space)
            yield _Sets({"pair": " - ".join(pair)}, first, second, space)

    def _of_copies(self, subject: Subject, data: Dataset) -> Iterator[_Sets]:
        reference, copies = (_array(data.test, name) for name in (self.reference, self.copies))
        levels = data.meta.get("levels", range(copies.shape[1]))
        encode = _encoder(subject, data.test)
        first = encode(reference)
        for number, level in enumerate(levels):
            moved = encode(copies[:, number])
            yield _Sets({"level": float(level)}, first, moved, space_of(subject, self.space))

    def _of_reconstructions(self, subject: Subject, data: Dataset) -> Iterator[_Sets]:
        if not subject.offers("reconstruct"):
            raise UnsupportedError(f"The model {subject.label!r} does not offer 'reconstruct'.")
        for epoch in self.epochs:
            then = subject if epoch == "final" else subject.at(epoch)
            again = then.use("reconstruct", data.test.x)
            at: dict[str, Scalar] = {} if self.epochs == ("final",) else {"epoch": epoch}
            space = space_of(subject, self.space)
            yield _Sets(at, then.encode(data.test.x), then.encode(again), space)

    def oracles(self) -> Iterable[Case]:
        """A hub in the rim's middle: all edges join the sets, or half of them; points on a line."""
        if self.space != "poincare" or self.curvature != -1.0 or self.compare != "classes":
            return
        rim = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]).double()
        y = torch.tensor([0, 1, 1, 1, 1])
        for radius, score in ((0.8, 0.0), (0.6, 0.5)):
            split = Split(torch.cat([torch.zeros(1, 2).double(), radius * rim]), y)
            expected = {"score": score, "heterogeneous": 4.0, "max_degree": 4.0}
            yield Case(lambda x: x, Dataset("", split, split), expected, 1e-12)
        line = torch.linspace(-0.8, 0.8, 20, dtype=torch.float64)[:, None] * torch.tensor([[1, 0]])
        split = Split(line, torch.arange(20) // 10)
        path = {"score": 18 / 19, "edges": 19.0, "heterogeneous": 1.0, "max_degree": 2.0}
        yield Case(lambda x: x, Dataset("", split, split), path, 1e-12)


class HyperDGABetweenModels(_Mixing):
    """HyperDGA of the codes of two models of the same samples, with the classical distances.

    Both models' codes are put into one space as they are: nothing is aligned first, so that the
    score says whether the two point sets lie in the same place. See `hyperdga` for metrics and
    parameters. Symmetric in the two models, up to the points drawn for transport.

    Parameters
    ----------
    layer, layer_b
        Where the two models are cut (`layer_b`: like `layer`).
    space, curvature, distances, transport_points
        As for `hyperdga`.

    Raises
    ------
    InputError
        If the codes have different sizes, or lie outside of their space.
    SampleMismatchError
        If the two models were not given the same samples.

    References
    ----------
    As for `hyperdga`.

    Examples
    --------
    Both sets are the same points, which are then places of both:

    >>> x = torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5]])
    >>> frame = HyperDGABetweenModels(distances=False)(lambda x: x, lambda x: x, x)
    >>> dict(zip(frame["metric"], frame["value"]))["score"]
    0.5
    """

    name: ClassVar[str] = "hyperdga_models"
    arity: ClassVar[int] = 2
    metrics: ClassVar[Mapping[str, Metric]] = _METRICS

    layer_b: str | None = None

    def prepare(self, subject: Subject, data: Dataset, context: Context) -> dict[str, Tensor]:
        """The codes of the test split, and the samples' ids."""
        return {"codes": subject.encode(data.test.x), "ids": data.test.ids}

    def measure(
        self, mine: Side, other: Side, data: Dataset, context: Context
    ) -> Iterable[Reading]:
        """Yield the readings of the two sides' codes."""
        require_same_ids(mine.prepared["ids"], other.prepared["ids"])
        spaces = {space_of(side.subject, self.space) for side in (mine, other)}
        if len(spaces) > 1:
            raise InputError(f"The two models' codes are of different kinds: {sorted(spaces)}.")
        first, second = mine.prepared["codes"], other.prepared["codes"]
        yield from self._readings(_Sets({}, first, second, spaces.pop()), context)

    def oracles(self) -> Iterable[Case]:
        """Points on a line and their mirror images: a path with one edge between the sets."""
        if self.space != "poincare" or self.curvature != -1.0:
            return
        line = torch.linspace(0.1, 0.8, 20, dtype=torch.float64)[:, None] * torch.tensor([[1, 0]])
        split = Split(line)
        path = {"score": 38 / 39, "edges": 39.0, "heterogeneous": 1.0, "max_degree": 2.0}
        yield Case((_same, _mirrored), Dataset("", split, split), path, 1e-12)
        # In one place: every site is half of either, and half of all edges join the sets.
        yield Case((_same, _same), Dataset("", split, split), {"score": 0.5, "edges": 19.0}, 1e-12)


def _same(x: Tensor) -> Tensor:
    return x


def _mirrored(x: Tensor) -> Tensor:
    return -x


def _some(n: int, most: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(n, generator=generator)[:most]


def _array(split: Split, name: str) -> Tensor:
    found = split.arrays.get(name)
    if not isinstance(found, Tensor):
        known = ", ".join(sorted(split.arrays)) or "none"
        raise InputError(f"The test split has no array {name!r}; it has: {known}.")
    return found


def _encoder(subject: Subject, split: Split) -> Callable[[Tensor], Tensor]:
    """Codes of arrays that hold inputs, perhaps as smaller numbers."""
    if not isinstance(split.x, Tensor):
        raise InputError("Copies are compared where inputs are one tensor.")
    dtype = split.x.dtype
    return lambda array: subject.encode(array.to(dtype))
