"""The equivariance error of a model over a group that acts: what the probe measures, by metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.samples import Samples, map_samples
from repgeo.equivariance.group_error import (
    Exactness,
    GroupError,
    action_error,
    layerwise_equivariance_error,
)
from repgeo.equivariance.injectivity import orbit_separation
from repgeo.equivariance.moving import choose_elements, moved_outputs, rows_of
from repgeo.equivariance.reynolds import reynolds_score
from repgeo.errors import InputError
from repgeo.groups.acting import Group
from repgeo.groups.representations import FieldsAction, Representation, Trivial, map_fields
from repgeo.groups.wigner import WignerCache
from repgeo.models.cutting import OUTPUT
from repgeo.probes.context import Context
from repgeo.probes.group_actions import (
    Given,
    action_of,
    group_of,
    representation_of,
    written_representation_of,
)
from repgeo.probes.image_invariance import answers_of, disagreement
from repgeo.probes.layer_outputs import LayerOutputs
from repgeo.probes.precision import in_precision
from repgeo.probes.reading import Reading, Scalar
from repgeo.probes.subject import Subject
from repgeo.stitching.anchors import choose_anchors

if TYPE_CHECKING:
    from repgeo.probes.equivariance_error import EquivarianceError

__all__ = ["INPUT", "GroupMeasurement", "some_samples"]

#: The layer that rows on the data alone are put down to.
INPUT = "input"

_CHANCE_ELEMENTS = 4  # elements that another sample is moved by, for the level of chance
_SEPARATED = 64  # samples whose orbits are compared in pairs
_CURVE_ELEMENTS = 8  # elements at one distance from the identity


def some_samples(split: Split, count: int, context: Context) -> Split:
    """At most `count` samples, the same for every model; the whole split where it has no more."""
    if len(split) <= count:
        return split
    most = min(count, len(torch.unique(split.ids)))
    index = choose_anchors(split.ids, count=most, generator=context.shared("points"))
    return split.take(index.to(split.ids.device))


@dataclass(frozen=True)
class GroupMeasurement:
    """One cell: a model, data, and a group that acts on them.

    Attributes
    ----------
    probe
        Its parameters.
    subject, data, context
        As a probe is given them.
    """

    probe: EquivarianceError
    subject: Subject
    data: Dataset
    context: Context

    @cached_property
    def group(self) -> Group:
        """The group that acts."""
        return group_of(self.data, self.probe.group)

    @cached_property
    def _cache(self) -> WignerCache:
        return WignerCache()  # of all layers and all passes

    @cached_property
    def action(self) -> Representation:
        """How it acts on inputs."""
        return action_of(self.data, self.group, self.probe.action, self._cache)

    @cached_property
    def split(self) -> Split:
        """The samples that are moved."""
        return some_samples(self.data.test, self.probe.samples, self.context)

    @cached_property
    def x(self) -> Samples:
        """Their inputs in the dtype of the model, so that the action is computed in it too."""
        return _cast(self.split.x, self.subject.dtype)

    @cached_property
    def elements(self) -> Tensor:
        """The elements, the same for every model."""
        generator = self.context.shared("elements")
        return choose_elements(self.group, self.probe.n_elements, generator)[0]

    @cached_property
    def representations(self) -> dict[str, Representation]:
        """How each layer changes, by name: the probe's, those asked for, and the outputs."""
        names = [self.subject.layer, *self._more_layers(), OUTPUT]
        found: dict[str, Representation] = {}
        for name in dict.fromkeys(names):
            own: Given | None = self.probe.rep if name == self.subject.layer else None
            if name == OUTPUT and self.probe.rep_out is not None:
                own = self.probe.rep_out
            written = written_representation_of(
                self.subject,
                name,
                self.data,
                own,
                otherwise=self.probe.reps.get(name, "invariant"),
            )
            found |= self._read(name, written)
        return found

    def _more_layers(self) -> list[str]:
        asked: list[str] = []
        for name in self.probe.layers:
            asked += self.subject.named_layers if name == "*" else [name]
        return asked

    def _read(self, name: str, given: Given) -> dict[str, Representation]:
        if isinstance(given, Mapping):
            return {
                f"{name}/{field}": representation_of(each, self.group, self._cache)
                for field, each in given.items()
            }
        return {name: representation_of(given, self.group, self._cache)}

    @cached_property
    def _main(self) -> list[str]:
        """What all metrics are measured at: the probe's layer and the outputs."""
        return [
            name
            for name in self.representations
            if name == self.subject.layer or name.partition("/")[0] == OUTPUT
        ]

    def _outputs(self, subject: Subject, names: list[str]) -> LayerOutputs:
        prefix = f"{OUTPUT}/"
        fields = tuple(name.removeprefix(prefix) for name in names if name.startswith(prefix))
        return LayerOutputs(
            subject, [name for name in names if not name.startswith(prefix)], fields
        )

    def _errors(
        self, subject: Subject, x: Samples, names: list[str], elements: Tensor
    ) -> dict[str, GroupError]:
        return layerwise_equivariance_error(
            self._outputs(subject, names),
            x,
            self.group,
            rep_in=self.action,
            reps_out={name: self.representations[name] for name in names},
            elements=elements,
        )

    def readings(self) -> Iterator[Reading]:
        """All metrics, in order."""
        names = list(self.representations)
        errors = self._errors(self.subject, self.x, names, self.elements)
        chances = self._chances(names, errors)
        for name, error in errors.items():
            yield self._reading("error", name, samples=error.per_sample, chance=chances[name])
            yield self._reading(
                "worst",
                name,
                value=error.worst,
                artifact={"elements": error.elements, "per_element": error.per_element},
            )
        yield from self._answers({}, self.elements)
        if self.probe.exactness:
            yield from self._exactness(errors)
        for name in self._main:
            yield self._share(name)
            yield from self._separation(name)
        yield from self._action_errors()
        for distance in self.context.track(self.probe.curve, len(self.probe.curve)):
            yield from self._at_distance(distance, chances)

    def _reading(
        self, metric: str, name: str, at: Mapping[str, Scalar] | None = None, **given: object
    ) -> Reading:
        layer, _, field = name.partition("/") if name.startswith(OUTPUT) else (name, "", "")
        coordinates: dict[str, Scalar] = {"field": field} if field else {}
        ids = self.split.ids if given.get("samples") is not None else None
        return Reading(metric, ids=ids, layer=layer, at={**coordinates, **(at or {})}, **given)  # type: ignore[arg-type]

    def _chances(self, names: list[str], errors: Mapping[str, GroupError]) -> dict[str, float]:
        """Mean error where the moved sample is another one, |f(g x') - g f(x)|, by layer."""
        f = self._outputs(self.subject, names)
        codes = {name: each[None] for name, each in f(self.x).items()}
        found: dict[str, list[Tensor]] = {name: [] for name in names}
        few = self.elements[-_CHANCE_ELEMENTS:]  # the identity is the first of a finite group
        for chunk, moved in moved_outputs(f, self.x, few, self.action):
            for name in names:
                expected = self.representations[name].apply(chunk, codes[name])
                assert isinstance(expected, Tensor)
                other = rows_of(moved[name]).roll(1, dims=1)
                found[name].append((other - rows_of(expected)).norm(dim=2))
        return {
            name: float(torch.cat(each).mean()) / errors[name].scale for name, each in found.items()
        }

    def _answers(self, at: Mapping[str, Scalar], elements: Tensor) -> Iterator[Reading]:
        """Flip rate and accuracy of moved samples, where the outputs are classes."""
        y = self.split.y
        rep = self.representations.get(OUTPUT)
        if not isinstance(rep, Trivial) or y is None or y.ndim != 1 or y.is_floating_point():
            return
        f = self._outputs(self.subject, [OUTPUT])
        outputs = f.tensor(self.x)
        if outputs.ndim != 2 or outputs.shape[1] < max(2, int(y.max()) + 1):
            return
        answers = answers_of(outputs)
        changed, right = [], []
        for _, moved in moved_outputs(f.tensor, self.x, elements, self.action):
            given = answers_of(moved[""])  # (chunk, n, classes)
            changed.append((given != answers).any(dim=2).double())
            share = given.double() / given.sum(dim=2, keepdim=True)
            right.append(share[:, torch.arange(len(y)), y])
        flips, hits = torch.cat(changed).mean(dim=0), torch.cat(right).mean(dim=0)
        yield self._reading("flip_rate", OUTPUT, at, samples=flips, chance=disagreement(answers))
        largest = float(torch.bincount(y).max()) / len(y)
        yield self._reading("moved_accuracy", OUTPUT, at, samples=hits, chance=largest)

    def _exactness(self, errors: Mapping[str, GroupError]) -> Iterator[Reading]:
        means: dict[torch.dtype, dict[str, float]] = {}
        for dtype in (torch.float32, torch.float64):
            if self.subject.dtype == dtype:
                means[dtype] = {name: errors[name].mean for name in self._main}
                continue
            cast = in_precision(self.subject, dtype)
            x = _cast(self.split.x, dtype)
            self._require_dtype(cast, x, dtype)
            found = self._errors(cast, x, self._main, self.elements)
            means[dtype] = {name: each.mean for name, each in found.items()}
        for name in self._main:
            told = Exactness(means[torch.float32][name], means[torch.float64][name])
            yield self._reading("exactness", name, value=told.ratio)
            yield self._reading("exact", name, value=float(told.exact))

    def _require_dtype(self, subject: Subject, x: Samples, dtype: torch.dtype) -> None:
        one = map_samples(lambda each: each[:1], x)
        for name, output in self._outputs(subject, self._main)(one).items():
            if output.is_floating_point() and output.dtype != dtype:
                raise InputError(
                    f"The layer {name!r} of {subject.label!r} gives {output.dtype} for inputs of "
                    f"{dtype}: rounding cannot be told from a broken equivariance. Hand over the "
                    "module itself, or set exactness = false."
                )

    def _share(self, name: str) -> Reading:
        score = reynolds_score(
            self._outputs(self.subject, [name]).tensor,
            self.x,
            self.group,
            rep_in=self.action,
            rep_out=self.representations[name],
            n_elements=max(2, self.probe.n_elements),
            generator=self.context.shared("elements"),
        )
        # The quotient of two means, to first order in both: its mean is the score itself.
        linear = score.score + (score.projected - score.score * score.energy) / score.energy.mean()
        return self._reading("equivariant_share", name, samples=linear)

    def _separation(self, name: str) -> Iterator[Reading]:
        split = some_samples(self.split, _SEPARATED, self.context)
        codes = self._outputs(self.subject, [name]).tensor(_cast(split.x, self.subject.dtype))
        orbits = split.arrays.get("orbit")
        if len(codes) < 2:
            return
        rep = self.representations[name]
        found = orbit_separation(
            codes,
            self.group,
            rep=rep,
            orbits=orbits if isinstance(orbits, Tensor) else None,
            n_elements=1 if isinstance(rep, Trivial) else self.probe.n_elements,
            generator=self.context.shared("elements"),
        )
        yield self._reading("margin", name, value=found.margin)
        yield self._reading("collapsed", name, value=found.collapsed)

    def _fields(self) -> dict[str, tuple[Representation, Tensor]]:
        """The tensors that the action moves."""
        if isinstance(self.x, Tensor):
            return {INPUT: (self.action, self.x)}
        if not isinstance(self.action, FieldsAction):
            return {}
        return {
            name: (rep, self.x[name])
            for name, rep in self.action.fields.items()
            if not isinstance(rep, Trivial)
        }

    def _action_errors(self) -> Iterator[Reading]:
        for name, (rep, each) in self._fields().items():
            found = action_error(
                each,
                self.group,
                rep_in=rep,
                n_elements=self.probe.n_elements,
                generator=self.context.shared("elements"),
            )
            yield self._on_input("action_error", name, found.per_sample, {})

    def _on_input(
        self, metric: str, name: str, samples: Tensor, at: Mapping[str, Scalar]
    ) -> Reading:
        field: dict[str, Scalar] = {} if name == INPUT else {"field": name}
        return Reading(metric, samples=samples, ids=self.split.ids, layer=INPUT, at={**field, **at})

    def _at_distance(self, distance: float, chances: Mapping[str, float]) -> Iterator[Reading]:
        """Errors at elements of one distance from the identity, and of going half way twice."""
        turns = self.group.name.startswith(("SO(", "O("))
        at: dict[str, Scalar] = {"angle" if turns else "distance": distance}
        half = (float(np.deg2rad(distance)) if turns else distance) / 2
        if self.group.dimension == 1:
            halves = self.group.exp(torch.tensor([[half], [-half]], dtype=torch.float64))
        else:
            generator = self.context.shared(f"elements at {distance}")
            halves = self.group.at_distance(_CURVE_ELEMENTS, half, generator=generator)
        elements = self.group.compose(halves, halves)
        for name, error in self._errors(self.subject, self.x, self._main, elements).items():
            yield self._reading("error", name, at, samples=error.per_sample, chance=chances[name])
        yield from self._answers(at, elements)
        for name, (rep, each) in self._fields().items():
            twice, at_once = rep.apply(halves, rep(halves, each)), rep(elements, each)
            assert isinstance(twice, Tensor)
            assert isinstance(at_once, Tensor)
            size = float(rows_of(each[None]).square().sum(dim=2).mean().sqrt())
            if size > 0:
                gaps = (rows_of(twice) - rows_of(at_once)).norm(dim=2).mean(dim=0) / size
                yield self._on_input("action_error", name, gaps, at)


def _cast(x: Samples, dtype: torch.dtype | None) -> Samples:
    if dtype is None:
        return x
    return map_fields(x, partial(_to, dtype=dtype))


def _to(each: Tensor, dtype: torch.dtype) -> Tensor:
    return each.to(dtype) if each.is_floating_point() else each
