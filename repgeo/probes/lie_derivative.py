"""How far codes and outputs are from equivariance under infinitely small elements of a group."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.samples import Samples, count, map_samples, take
from repgeo.equivariance.lie_derivatives import Cut, CutDerivative, lie_derivative_cuts
from repgeo.errors import InputError, LayerError
from repgeo.groups.acting import Group
from repgeo.groups.continuous import SE2, SE3, SO2, SO3, Translations
from repgeo.groups.image_rotations import ImageShifts
from repgeo.groups.representations import Representation, Trivial, one_tensor
from repgeo.models.cutting import OUTPUT, resolve_layer, run_to
from repgeo.probes.context import Context
from repgeo.probes.group_actions import (
    action_of,
    group_of,
    layer_representations_of,
    output_representation_of,
    representation_of,
)
from repgeo.probes.lie_derivative_cases import wave_cases
from repgeo.probes.metric import Metric
from repgeo.probes.precision import in_double_precision
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject
from repgeo.stitching.anchors import choose_anchors

__all__ = ["LieDerivative", "generator_names"]

_INPUT = "input"  # the layer that rows on the data alone are put down to
_CHUNK = 64  # samples that are differentiated at once
_NOTHING = 1e-20  # share of the square of codes below which their spread is rounding

_SAMPLES = frozenset({"samples:permutation"})
_RIGID = frozenset({"codes:permutation", "codes:orthogonal", "codes:translation"})


class LieDerivative(Probe):
    """Lie derivatives of codes and outputs, layer by layer and generator by generator.

    For a generator X of the group (`at.generator`) and the codes z = f(x) of a layer,
    L_X f(x) = d/dt ρ_out(exp(-t X)) f(ρ_in(exp(t X)) x) at t = 0: the rate at which the codes leave
    what an equivariant (or invariant) network would give. Rows name their layer; there is one for
    each named layer, for `layer`, and for "output".

    - `local_error`: mean over samples and coordinates of (L_X f(x))^2: the local equivariance
      error. In units of the codes squared, per radian or pixel (sample) squared.
    - `relative_error`: mean over samples of |L_X f(x)|^2 / V_f, over the same for the data, mean of
      |dρ_in(X) x|^2 / V_x, with V the total variance over the samples. 0: equivariant; 1: codes
      change as fast, for their spread, as the data do: of invariant layers the model "identity" has
      exactly 1. Chance, where the layer is to be equivariant: changes of the codes that have
      nothing to do with the expected ones, mean of |Df dρ_in(X) x|^2 + |dρ_out(X) f(x)|^2.
    - `mean_error`: `relative_error`, the mean over the generators; at `layer` and "output" only.
    - `contribution`: what the network between the named layer before (or the input) and this one
      adds to L_X of the outputs, by the chain rule; its mean square as `relative_error` of the
      outputs. Contributions add up as vectors, not as squares: some cancel. Layers that do not cut
      the network, past which connections go, have none.
    - `input_change` (layer "input"): mean of |dρ_in(X) x|^2 / V_x, the rate that relative errors
      are in units of; a property of the data and of the action.

    Derivatives are taken in forward mode and in float64, with the weights as they are; images and
    signals are shifted by their trigonometric interpolation, whose derivative is exact for what is
    below the highest frequency. Of a network that gives all samples the same codes the error is 0:
    read it beside the accuracy.

    Parameters
    ----------
    layer
        Where the codes are taken.
    layers
        Further layers; "*" are the named ones.
    group
        Which group; that of the data (`meta["group"]`) by default. It must be continuous.
    action
        How it acts on the inputs, as of `repgeo.probes.group_actions.representation_of`; that of
        the data (`meta["action"]`) by default.
    rep, rep_out
        How it acts on the codes of `layer` and on the outputs; by default what the model says in
        `layer_representations`, and what the data say in `meta["rep_out"]`, else "invariant".
    samples
        How many test samples; the same for every model.
    contributions
        Whether to compute them.

    Raises
    ------
    InputError
        If no group is known or it is discrete, or there are fewer than two samples; if layers are
        "*" for `layer` (say it in `layers`).
    LayerError
        If the model has no such layer, or its output is not one tensor.

    References
    ----------
    N. Gruver, M. Finzi, M. Goldblum, A. G. Wilson, "The Lie derivative for measuring learned
    equivariance" (2022), arXiv:2210.02984.

    Examples
    --------
    >>> x = torch.tensor([[[1.0, 0.0, 0.0, 0.0]], [[0.0, 0.0, 2.0, 2.0]]])
    >>> frame = LieDerivative(group="R1", action="shift")(lambda x: x.sum(dim=2), x)
    >>> errors = frame.loc[frame["metric"] == "relative_error"]
    >>> errors["value"].abs().round(12).tolist()  # the sum does not see shifts
    [0.0, 0.0]
    """

    name: ClassVar[str] = "lie_derivative"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "local_error": Metric(
            direction="lower",
            range=(0.0, math.inf),
            invariant_to=_SAMPLES | _RIGID,
            summary="mean square of the Lie derivative, per coordinate",
        ),
        "relative_error": Metric(
            direction="lower",
            range=(0.0, math.inf),
            invariant_to=_SAMPLES | _RIGID | {"codes:scaling"},
            summary="squared Lie derivative over the spread of the codes, in units of the data's",
        ),
        "mean_error": Metric(
            direction="lower",
            range=(0.0, math.inf),
            invariant_to=_SAMPLES | _RIGID | {"codes:scaling"},
            summary="relative error, mean over the generators",
        ),
        "contribution": Metric(
            direction="lower",
            range=(0.0, math.inf),
            invariant_to=_SAMPLES,
            summary="what a part of the network adds to the Lie derivative of the outputs",
        ),
        "input_change": Metric(
            range=(0.0, math.inf),
            invariant_to=_SAMPLES,
            summary="squared change of the data over their spread, per unit of the generator",
        ),
    }

    layer: str = "encoder"
    layers: Annotated[tuple[str, ...], Field(strict=False)] = ("*",)
    group: str | None = None
    action: str | dict[str, str] | None = None
    rep: str | None = None
    rep_out: str | None = None
    samples: int = Field(default=256, ge=2)
    contributions: bool = True

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield the errors at each layer, for each generator."""
        if self.layer == "*":
            raise InputError(
                'lie_derivative measures all named layers by itself: leave layer = "*" out.'
            )
        group = group_of(data, self.group)
        action = action_of(data, group, self.action)
        chosen = _some(data.test, self.samples, context)
        if len(chosen) < 2:
            raise InputError(
                "lie_derivative compares with the spread of samples: give two or more."
            )
        subject = in_double_precision(subject)
        x = map_samples(_double, chosen.x)
        cuts = [
            self._cut(subject, name, rep, x)
            for name, rep in self._representations(subject, data, group, x).items()
        ]
        together: dict[str | None, list[Tensor]] = {subject.layer: [], OUTPUT: []}
        names = generator_names(group, action)
        basis = torch.eye(group.dimension, dtype=torch.float64)
        for name, direction in context.track(zip(names, basis, strict=True), len(names)):
            moved = _input_change(action, direction, x)
            yield Reading(
                "input_change",
                samples=moved,
                ids=chosen.ids,
                at={"generator": name},
                layer=_INPUT,
            )
            found = _Totals(cuts)
            for start in range(0, len(chosen), _CHUNK):
                part = take(x, slice(start, start + _CHUNK))
                found.add(lie_derivative_cuts(cuts, part, direction, rep_in=action, group=group))
            for reading in found.readings(float(moved.mean()), name, chosen.ids):
                if reading.metric == "relative_error" and reading.layer in together:
                    together[reading.layer].append(torch.as_tensor(reading.samples))
                yield reading
        for layer, errors in together.items():
            mean = torch.stack(errors).mean(dim=0)
            yield Reading("mean_error", samples=mean, ids=chosen.ids, layer=layer)

    def _representations(
        self, subject: Subject, data: Dataset, group: Group, x: Samples
    ) -> dict[str, Representation]:
        """How each measured layer changes, by name, in the order in which they run."""
        module, layers = subject.module, subject._model.layers
        told = layer_representations_of(subject)
        by_path = {resolve_layer(module, layers, name): rep for name, rep in told.items()}
        names = [subject.layer, OUTPUT]
        for name in self.layers:
            names += subject.named_layers if name == "*" else [name]
        paths: dict[str, str] = {}  # path -> name, the first name that leads there
        for name in names:
            paths.setdefault(resolve_layer(module, layers, name), name)
        if subject.layer == OUTPUT:
            paths[""] = OUTPUT
        found: dict[str, Representation] = {}
        for path in _as_they_run(subject, list(paths), x):
            given = by_path.get(path, "invariant")
            if path == "":
                given = output_representation_of(data, self.rep_out or told.get(OUTPUT))
            if paths[path] == subject.layer and self.rep is not None:
                given = self.rep
            found[paths[path]] = representation_of(given, group)
        return found

    def _cut(self, subject: Subject, name: str, rep: Representation, x: Samples) -> Cut:
        """The network cut at a layer, with codes in their native shape where it matters."""
        at = subject.cut(name)
        shape: tuple[int, ...] = (-1,)
        if not isinstance(rep, Trivial) or name == OUTPUT:
            path = resolve_layer(subject.module, subject._model.layers, name)
            one = subject._fit(take(x, slice(0, 1)))
            shape = tuple(run_to(subject.module, [path], one)[path].shape[1:])

        def encode(x: Samples) -> Tensor:
            return at.feature_map(x).reshape(count(x), *shape)  # type: ignore[arg-type]

        def head(z: Tensor) -> Tensor:
            return z if name == OUTPUT else at.head(z.flatten(1))

        wanted = self.contributions and (name == OUTPUT or _cuts(at, x))
        return Cut(name, encode, rep, head if wanted else None)

    def invariances(self, metric: str) -> frozenset[str]:
        """Codes may be turned and scaled where the group does not act on them."""
        declared = frozenset(self.metrics[metric].invariant_to)
        return declared if self.rep == self.rep_out == "invariant" else declared & _SAMPLES

    @classmethod
    def variants(cls) -> Iterable[Probe]:
        """Layers as they say they change, and as invariant; the outputs alone, for the oracles."""
        yield cls()
        yield cls(rep="invariant", rep_out="invariant")
        yield cls(layer=OUTPUT, layers=())
        yield cls(layer=OUTPUT, layers=(), rep="invariant", rep_out="invariant")

    def oracles(self) -> Iterable[Case]:
        """A filter, every second sample, and squares, of waves below and above what they alias."""
        alone = (self.layer, self.layers) == (OUTPUT, ())  # one row of each metric
        yield from wave_cases(alone=alone, invariant=self.rep == "invariant")


def generator_names(group: Group, action: Representation | None = None) -> tuple[str, ...]:
    """What tables call the generators of a group that acts.

    Images `(..., height, width)` are shifted "down" and "right", points along x, y and z.

    Parameters
    ----------
    group
        The group.
    action
        How it acts on the inputs.

    Raises
    ------
    InputError
        If the group is discrete.

    Examples
    --------
    >>> from repgeo.groups import Product
    >>> generator_names(SE2()), generator_names(Product((SO2(), SO2())))
    (('rotation', 'shift_x', 'shift_y'), ('generator_1', 'generator_2'))
    """
    if not group.dimension:
        raise InputError(
            f"{group.name} is discrete: it has no Lie derivatives. Measure equivariance_error."
        )
    turns, shifts = ("rotation",), ("shift_x", "shift_y", "shift_z")
    if isinstance(group, SO3 | SE3):
        turns = ("rotation_x", "rotation_y", "rotation_z")  # type: ignore[assignment]
    if isinstance(group, SO2 | SO3):
        return turns
    if isinstance(group, SE2 | SE3):
        return (*turns, *shifts[: 2 if isinstance(group, SE2) else 3])
    if isinstance(group, Translations) and group.d == 1:
        return ("shift",)
    if isinstance(group, Translations) and group.d <= 3:
        images = isinstance(action, ImageShifts) and group.d == 2
        return ("shift_down", "shift_right") if images else shifts[: group.d]
    return tuple(f"generator_{i + 1}" for i in range(group.dimension))


class _Spread:
    """The total variance of rows that come in parts, without the difference of large numbers."""

    def __init__(self) -> None:
        self.n = 0
        self.mean: Tensor | float = 0.0
        self.scatter = 0.0
        self.square = 0.0

    def add(self, rows: Tensor) -> None:
        """More rows `(k, d)`."""
        k, mean = len(rows), rows.mean(dim=0)
        apart = mean - self.mean
        self.scatter += float((rows - mean).square().sum())
        self.scatter += float(apart.square().sum()) * k * self.n / (k + self.n)
        self.square += float(rows.square().sum())
        self.mean = self.mean + apart * (k / (k + self.n))
        self.n += k

    @property
    def variance(self) -> float:
        """Mean square distance to the mean; 0 where it is rounding."""
        return self.scatter / self.n if self.scatter > _NOTHING * self.square else 0.0


@dataclass
class _Layer:
    """What is collected at one layer over parts of the samples, `(n,)` in the end."""

    name: str
    invariant: bool
    size: int = 0
    spread: _Spread = field(default_factory=_Spread)
    error: list[Tensor] = field(default_factory=list)
    unrelated: list[Tensor] = field(default_factory=list)
    contribution: list[Tensor] = field(default_factory=list)


class _Totals:
    """Squares of Lie derivatives by layer."""

    def __init__(self, cuts: list[Cut]) -> None:
        self.layers = [_Layer(cut.name, isinstance(cut.rep, Trivial)) for cut in cuts]

    def add(self, found: Iterable[CutDerivative]) -> None:
        for layer, cut in zip(self.layers, found, strict=True):
            rows = cut.codes.reshape(len(cut.codes), -1).double()
            layer.size = rows.shape[1]
            layer.spread.add(rows)
            layer.error.append(_squares(cut.derivative))
            changed = cut.derivative + cut.expected
            layer.unrelated.append(_squares(changed) + _squares(cut.expected))
            if cut.contribution is not None:
                layer.contribution.append(_squares(cut.contribution))

    def readings(self, rate: float, generator: str, ids: Tensor) -> Iterator[Reading]:
        """Of one generator, along which the data change at a rate."""
        at = {"generator": generator}
        outputs = next(layer for layer in self.layers if layer.name == OUTPUT)
        whole = outputs.spread
        for layer in self.layers:
            error = torch.cat(layer.error)
            where = f"at layer {layer.name!r}"
            relative = _over(error, layer.spread, rate, where)
            chance = None
            if not layer.invariant and layer.spread.variance * rate > 0:
                chance = float(torch.cat(layer.unrelated).mean()) / layer.spread.variance / rate
            here = {"ids": ids, "at": at, "layer": layer.name}
            yield Reading("local_error", samples=error / layer.size, **here)  # type: ignore[arg-type]
            yield Reading("relative_error", samples=relative, chance=chance, **here)  # type: ignore[arg-type]
            if layer.contribution:
                added = _over(torch.cat(layer.contribution), whole, rate, "of the outputs")
                yield Reading("contribution", samples=added, **here)  # type: ignore[arg-type]


def _over(squares: Tensor, spread: _Spread, rate: float, where: str) -> Tensor:
    """Squares in units of the spread of codes and of the rate of the data."""
    if spread.variance > 0 and rate > 0:
        return squares / (spread.variance * rate)
    if float(squares.max()) > _NOTHING * max(spread.square / spread.n, 1.0):
        raise InputError(
            f"The values {where} are the same for all samples, yet they change as the samples are "
            "moved: there is no spread to compare with. Give other samples."
        )
    return torch.zeros_like(squares)


def _input_change(action: Representation, direction: Tensor, x: Samples) -> Tensor:
    """|dρ(X) x|^2 over the variance of the data, `(n,)`; of the fields that move."""
    change = action.derivative(direction, x)
    if isinstance(x, Tensor):
        pairs = [(x, one_tensor(change, "An action on one tensor"))]
    else:
        assert not isinstance(change, Tensor)
        pairs = [(x[name], change[name]) for name in x]
    moving = [(each, moved) for each, moved in pairs if bool(moved.count_nonzero())]
    squares, variance = torch.zeros(count(x), dtype=torch.float64), 0.0
    for each, moved in moving:
        spread = _Spread()
        spread.add(each.reshape(len(each), -1).double())
        squares, variance = squares + _squares(moved).cpu(), variance + spread.variance
    if moving and not variance:
        raise InputError("All samples are the same: there is no spread to compare changes with.")
    return squares / variance if moving else squares


def _squares(x: Tensor) -> Tensor:
    return x.reshape(len(x), -1).double().square().sum(dim=1)


def _double(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x


def _some(split: Split, most: int, context: Context) -> Split:
    """At most so many samples, the same for every model."""
    if len(split) <= most:
        return split
    most = min(most, len(torch.unique(split.ids)))
    index = choose_anchors(split.ids, count=most, generator=context.shared("points"))
    return split.take(index.to(split.ids.device))


def _cuts(subject: Subject, x: Samples) -> bool:
    """Whether the outputs depend on the layer alone."""
    try:
        subject.head(subject.feature_map(take(x, slice(0, 1))))  # type: ignore[arg-type]
    except LayerError:
        return False
    return True


def _as_they_run(subject: Subject, paths: list[str], x: Samples) -> list[str]:
    """Paths of layers in the order in which they finish; the whole network is the last."""
    order: list[str] = []

    def noted(path: str) -> Callable[..., None]:
        return lambda *_: order.append(path)

    module = subject.module
    handles = [module.get_submodule(p).register_forward_hook(noted(p)) for p in paths if p]
    try:
        with torch.no_grad():
            module(subject._fit(take(x, slice(0, 1))))
    finally:
        for handle in handles:
            handle.remove()
    # A layer that did not run is left for `run_to` to complain of.
    return [*dict.fromkeys(order), *(p for p in paths if p and p not in order), ""]
