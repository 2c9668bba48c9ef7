"""How far codes and outputs are from equivariant when a group moves the inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, TypeAlias

import torch
from pydantic import Field
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.models.cutting import OUTPUT
from repgeo.probes.context import Context
from repgeo.probes.group_equivariance import GroupMeasurement
from repgeo.probes.image_invariance import ImageTransformation, image_readings
from repgeo.probes.metric import Metric
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject

__all__ = ["EquivarianceError", "ImageTransformation"]

_SAMPLES = frozenset({"samples:permutation"})
_RIGID = frozenset({"codes:permutation", "codes:scaling", "codes:orthogonal"})
_LABELS = frozenset({"labels:relabelling"})
_POSITIVE = (0.0, float("inf"))

Distance: TypeAlias = Annotated[float, Field(gt=0, strict=False)]

#: Metrics of a model under the actions on images that need no group, and what is free of a group.
_OF_IMAGES = ("codes", "outputs", "flip_rate")


class EquivarianceError(Probe):
    """Equivariance error of codes and outputs under a group, or under transformations of images.

    **A group.** With `group`, or where the data say how theirs acts (`meta["group"]`,
    `meta["action"]`), for elements g and test samples x, at the layer and at the outputs
    ("output"), each with its own representation ρ:

    - `error`: mean over g of |f(g x) - ρ(g) f(x)|, divided by the root mean square of |f(x)|; also
      for each of `layers`, and along `curve` (`at.angle`, `at.distance`). 0: equivariant; at most
      about √2 where f has no equivariant part. Chance: the same where the moved sample is another
      one, |f(g x') - ρ(g) f(x)|: 0 for a constant, which tells nothing apart.
    - `worst`: the largest mean over samples among the elements; which one it is, and the means of
      all, are stored.
    - `exactness`: the error in float64 over that in float32. Rounding shrinks by nine digits (by
      one where constants were rounded), a broken equivariance stays: `exact` is 1 below 0.1.
    - `equivariant_share`: the share |Π f|² / |f|² of f that is equivariant, Π the mean of
      ρ(g)^-1 f(g x) over the group (Reynolds operator), without bias. 1: equivariant. 0 is chance,
      which a mean of f that is not zero exceeds.
    - `margin`, `collapsed`: the least distance between orbits of codes over the typical distance
      of codes, and the share of pairs of samples whose orbits lie within 1 % of it, among at most
      64 samples (`orbit`, an array of the data, may say which samples are of one orbit). A constant
      is equivariant: its margin is 0, and all pairs collapse.
    - `flip_rate`, `moved_accuracy`: the share of elements that change the answer (the largest
      output), and the accuracy of the answers to moved samples; for labelled classes and
      invariant outputs, also along `curve`.
    - `action_error`: |g (h x) - (g h) x| over |x|, the interpolation error of the action itself,
      layer "input"; along `curve`, of moving half way twice. An error of the network that is not
      larger says nothing about it.

    **Images.** Where no group is told, for each of `transformations` (`at.transformation`), with g
    over its elements without the identity (quarter turns; horizontal and vertical flip; shifts by
    one pixel in four directions):

    - `codes`: mean over g of |f(g x) - f(x)|² / mean over x != x' of |f(x) - f(x')|², f the
      encoder. 0: invariant. 1: a moved sample is as different from itself as another sample is,
      which is exactly what codes of samples drawn at random would give (chance); more than 1 where
      moved samples leave the region of the others (`repgeo.equivariance.invariance_error`).
    - `outputs`: the same for the whole network's outputs, the logits.
    - `flip_rate`: share of the elements g that change the answer, the largest output; only where
      the data have integer labels and the outputs are `(n, classes)`. Several equally large outputs
      are an answer of their own. Chance: how often two different samples have different answers.

    Values are means over test samples with a Student-t interval (that of `equivariant_share` is of
    first order in its quotient). A model that gives all samples the same code has error 0: read it
    beside `collapsed` or the accuracy.

    Parameters
    ----------
    layer
        Where the codes are taken.
    transformations
        Of images, without a group. "rotation" and "flip" need no border; "shift" fills with zeros
        (not a group), in "circular_shift" what leaves on one side enters on the other.
    group
        A name as of `repgeo.groups.named_acting_group`, "SO3", "C4"; by default the data's.
    action
        How the group acts on inputs, as of `repgeo.probes.group_actions.representation_of`; by
        default the data's.
    rep, rep_out
        How it acts on the codes and on the outputs. By default what the model says of its layers
        (`layer_representations`), for the outputs else `meta["rep_out"]`; else "invariant".
    n_elements
        How many elements are drawn, the same for every model; of a finite group with no more
        elements, all.
    samples
        How many test samples are moved, at most.
    layers
        Further layers for `error` and `worst`; "*" for all named ones.
    reps
        How the group acts on layers of models that do not say it, by name: `{ pool1 = "image" }`
        for the feature maps of a convolutional network.
    curve
        Distances from the identity for `error`: degrees for SO2, SO3 and O3 (`at.angle`), else in
        the coordinates of the Lie algebra (`at.distance`).
    exactness
        Whether errors are compared between float32 and float64.

    Raises
    ------
    InputError
        If the group, the action or a representation is not known or does not fit the data or the
        codes; without a group: if the inputs are not images `(n, channels, height, width)`, if
        rotated images are not square, or if there are fewer than two samples.

    Notes
    -----
    About six passes over elements times samples; those that compare precisions copy the model.
    Sources: Kvinge et al. 2022 (in what ways are deep neural networks invariant and how should we
    measure this?); the ratio of precisions and the U-statistic are derived in
    `repgeo.equivariance`.

    Examples
    --------
    >>> x = torch.randint(0, 9, (5, 1, 4, 4), generator=torch.Generator().manual_seed(0)).float()
    >>> frame = EquivarianceError(transformations=("rotation",))(lambda x: x.sum((2, 3)), x)
    >>> list(zip(frame["metric"], frame["value"]))  # a global sum does not see rotations
    [('codes', 0.0), ('outputs', 0.0)]
    >>> frame = EquivarianceError(group="C4", layer="output")(lambda x: x.sum((2, 3)), x)
    >>> dict(zip(frame["metric"], frame["value"]))["exact"]
    1.0
    """

    name: ClassVar[str] = "equivariance_error"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "codes": Metric(
            direction="lower",
            range=_POSITIVE,
            chance=1.0,
            invariant_to=_SAMPLES | _RIGID | {"codes:translation"},
            summary="squared change of the codes over that between samples",
        ),
        "outputs": Metric(
            direction="lower",
            range=_POSITIVE,
            chance=1.0,
            invariant_to=_SAMPLES | _LABELS,
            summary="squared change of the outputs over that between samples",
        ),
        "flip_rate": Metric(
            direction="lower",
            range=(0.0, 1.0),
            invariant_to=_SAMPLES | _LABELS,
            summary="share of moved samples with another answer",
        ),
        "error": Metric(
            direction="lower",
            range=_POSITIVE,
            invariant_to=_SAMPLES | _LABELS | _RIGID,
            summary="mean of |f(g x) - g f(x)| over the size of f",
        ),
        "worst": Metric(
            direction="lower",
            range=_POSITIVE,
            invariant_to=_SAMPLES | _LABELS | _RIGID,
            summary="largest mean error among the elements",
        ),
        "exactness": Metric(
            direction="lower",
            range=_POSITIVE,
            summary="error in float64 over the error in float32",
        ),
        "exact": Metric(
            direction="higher",
            range=(0.0, 1.0),
            summary="1 where the error is rounding",
        ),
        "equivariant_share": Metric(
            direction="higher",
            range=(-float("inf"), 1.0),
            chance=0.0,
            invariant_to=_SAMPLES | _LABELS | _RIGID,
            summary="share of f that its mean over the group keeps",
        ),
        "margin": Metric(
            direction="higher",
            range=_POSITIVE,
            chance=0.0,
            invariant_to=_SAMPLES | _LABELS | _RIGID,
            summary="least distance between orbits over the typical distance of codes",
        ),
        "collapsed": Metric(
            direction="lower",
            range=(0.0, 1.0),
            summary="share of pairs of samples whose orbits coincide",
        ),
        "moved_accuracy": Metric(
            direction="higher",
            range=(0.0, 1.0),
            invariant_to=_SAMPLES | _LABELS,
            summary="accuracy of moved samples",
        ),
        "action_error": Metric(
            direction="lower",
            range=_POSITIVE,
            summary="interpolation error of the action on the inputs",
        ),
    }

    layer: str = "encoder"
    transformations: Annotated[
        tuple[ImageTransformation, ...], Field(min_length=1, strict=False)
    ] = ("rotation", "flip", "shift")
    group: str | None = None
    action: str | dict[str, str] | None = None
    rep: str | None = None
    rep_out: str | dict[str, str] | None = None
    n_elements: int = Field(default=32, ge=1)
    samples: int = Field(default=256, ge=2)
    layers: Annotated[tuple[str, ...], Field(strict=False)] = ()
    reps: dict[str, str] = Field(default={})
    curve: Annotated[tuple[Distance, ...], Field(strict=False)] = ()
    exactness: bool = True

    def parameters(self) -> dict[str, Any]:
        """The fields as JSON values; what belongs to groups only where it is not the default."""
        told = super().parameters()
        always = {"layer", "transformations"}
        return {
            name: value
            for name, value in told.items()
            if name in always or getattr(self, name) != type(self).model_fields[name].default
        }

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield the errors under the group, or under each transformation of images."""
        if self.group is None and "action" not in data.meta:
            return image_readings(self.transformations, subject, data, context)
        return GroupMeasurement(self, subject, data, context).readings()

    def invariances(self, metric: str) -> frozenset[str]:
        """Those of images without a group; with one, codes may turn where they are invariant."""
        declared = super().invariances(metric)
        if self.group is None:
            return declared if metric in _OF_IMAGES else frozenset()
        # Outputs are measured whatever the layer, so that at the output there is nothing to add.
        if metric in ("codes", "outputs") or self.layer == OUTPUT:
            return frozenset()
        return declared if self.rep in (None, "invariant") else declared - _RIGID

    @classmethod
    def variants(cls) -> Iterable[Probe]:
        """Each transformation of images; quarter turns of codes and outputs; turned vectors."""
        # One by one, since each has cases of its own, which all the others would measure too.
        yield cls(transformations=("rotation",))
        yield cls(transformations=("flip",))
        yield cls(transformations=("shift",))
        yield cls(group="C4", exactness=False)
        yield cls(group="C4", layer=OUTPUT)
        yield cls(group="O", action="points", rep_out="vector", layer=OUTPUT)

    def oracles(self) -> Iterable[Case]:
        """A global sum, a constant, and single pixels seen as they are; vectors."""
        if self.group is None:
            yield from _image_cases(self.transformations)
        elif self.layer == OUTPUT:
            yield from _quarter_turn_cases() if self.group == "C4" else _octahedral_cases()
        elif self.group == "C4":
            yield _answers_case()


def _dataset(x: Tensor, y: Tensor | None = None) -> Dataset:
    split = Split(x, y)
    return Dataset("", split, split)


def _pooled(x: Tensor) -> Tensor:
    return x.sum(dim=(2, 3))


def _constant(x: Tensor) -> Tensor:
    return x.new_ones(len(x), 3)


def _pixels(x: Tensor) -> Tensor:
    return x.flatten(1)


def _upwards(x: Tensor) -> Tensor:
    return x.new_tensor([0.0, 0.0, 1.0]).expand(len(x), 3)


def _vectors(x: Tensor) -> Tensor:
    return 2 * x


def _image_cases(transformations: Iterable[ImageTransformation]) -> Iterable[Case]:
    corner = torch.zeros(2, 1, 2, 2)
    corner[0, 0, 0, 0] = 1.0  # the other image is black: at a distance of 1
    corners = torch.zeros(2, 1, 2, 2)
    corners[0, 0, 0, 0] = corners[1, 0, 1, 1] = 1.0  # at a distance of sqrt 2
    seen = {"rotation": 1.0, "flip": 1.0, "circular_shift": 1.0, "shift": 0.75}
    flips = {"flip_rate": 1.0}
    for transformation in transformations:
        at = {"transformation": transformation}
        nothing = {"codes": 0.0, "outputs": 0.0}
        yield Case(_constant, _dataset(corner), nothing, 0.0, at)
        # The lit pixel moves (squared change 2), or leaves (1) under two of four shifts.
        both = dict.fromkeys(nothing, seen[transformation])
        yield Case(_pixels, _dataset(corner), both, 1e-12, at)
        yield Case(_pixels, _dataset(corners, torch.tensor([0, 3])), both | flips, 1e-12, at)
        if transformation != "shift":
            yield Case(_pooled, _dataset(corner), nothing, 0.0, at)


def _quarter_turn_cases() -> Iterable[Case]:
    """A lit corner and a black image, under the four turns."""
    corner = torch.zeros(2, 1, 2, 2)
    corner[0, 0, 0, 0] = 1.0
    equal = {"error": 0.0, "worst": 0.0, "exact": 1.0, "exactness": 0.0, "equivariant_share": 1.0}
    pooled = {"margin": 1.0, "collapsed": 0.0, "action_error": 0.0}
    yield Case(_pooled, _dataset(corner), equal | pooled, 1e-12)
    constant = {"margin": 0.0, "collapsed": 1.0}
    yield Case(_constant, _dataset(corner), equal | constant, 1e-12)
    # |f| has root mean square 1/√2; three turns move the corner by √2, and the black image by 0.
    # The mean over the turns is 1/4 in each corner, of energy 1/4.
    seen = {"error": 0.75, "worst": 1.0, "exact": 0.0, "exactness": 1.0, "equivariant_share": 0.25}
    yield Case(_pixels, _dataset(corner), seen, 1e-12)
    yield _answers_case()


def _answers_case() -> Case:
    """Answers that are the place of a lit corner, right where it is not turned."""
    corners = torch.zeros(2, 1, 2, 2)
    corners[0, 0, 0, 0] = corners[1, 0, 1, 1] = 1.0
    answers = {"flip_rate": 0.75, "moved_accuracy": 0.25, "action_error": 0.0}
    return Case(_pixels, _dataset(corners, torch.tensor([0, 3])), answers, 1e-12)


def _octahedral_cases() -> Iterable[Case]:
    """Vectors that turn with their points, and one that does not."""
    points = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.5, -2.0]])
    exact = {"error": 0.0, "worst": 0.0, "exact": 1.0, "equivariant_share": 1.0}
    yield Case(_vectors, _dataset(points), exact, 1e-12)
    # Rotations take (0, 0, 1) to itself (4 of 24), to the opposite (4), or at a right angle (16).
    error = (4 * 0 + 4 * 2 + 16 * 2**0.5) / 24
    broken = {"error": error, "worst": 2.0, "exact": 0.0, "equivariant_share": 0.0}
    yield Case(_upwards, _dataset(points), broken, 1e-12)
