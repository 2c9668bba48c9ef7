"""`repgeo check`: the oracles and declared invariances of probes, executed and counted."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from repgeo import registry
from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.samples import map_samples
from repgeo.errors import ConfigurationError, InputError, RepgeoError, UnsupportedError
from repgeo.identity import canonical_json
from repgeo.models.cutting import as_module
from repgeo.models.loaded import LoadedModel, frozen_view
from repgeo.probes.context import Context
from repgeo.probes.measurement import Value, measure, prepare
from repgeo.probes.moves import STILL, Move, move_for, sides
from repgeo.probes.probe import Case, Probe
from repgeo.probes.subject import Subject

__all__ = ["Report", "check_probe", "check_probes"]

#: Random elements of each declared group.
ELEMENTS = 5

Key = tuple[str, str, str, str]  # metric, at, layer, layer_b


@dataclass
class Report:
    """What was executed for one probe, and what failed."""

    probe: str
    oracles: int = 0
    invariances: int = 0
    vacuous: int = 0
    variants: int = 1
    inapplicable: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether something was executed, and nothing failed."""
        return not self.faults

    def text(self) -> str:
        """The counts, and a line for each fault."""
        verdict = "ok" if self.passed else "FAILED"
        lines = [
            f"{self.probe:<24} {verdict}: {self.oracles} oracles, {self.invariances} invariance "
            f"checks, {self.vacuous} vacuous"
            + (f" ({self.variants} variants)" if self.variants > 1 else "")
        ]
        lines += [f"    not applicable: {text}" for text in self.inapplicable]
        lines += [f"    fault: {text}" for text in self.faults]
        return "\n".join(lines)


def check_probes(
    names: Sequence[str] | None, *, seed: int = 0, invariances: bool = True
) -> list[Report]:
    """Check registered probes (all by default) in all their variants, built-in and third-party.

    A probe that cannot be imported is a failed report.
    """
    chosen = list(names) if names else [record.name for record in registry.records("probes")]
    reports = []
    for name in chosen:
        try:
            kind = registry.load("probes", name).object
            if not (isinstance(kind, type) and issubclass(kind, Probe)):
                raise ConfigurationError(f"{name!r} is not a Probe class.")
            variants = list(kind.variants())
        except ValidationError as error:
            fields = ", ".join(str(fault["loc"][0]) for fault in error.errors())
            reports.append(Report(name, faults=[f"the parameters {fields} have no default"]))
        except RepgeoError as error:
            if names:
                raise
            reports.append(Report(name, faults=[str(error)]))
        else:
            reports.append(_check_variants(variants, seed=seed, invariances=invariances))
    return reports


def _check_variants(variants: Sequence[Probe], *, seed: int, invariances: bool) -> Report:
    """One report for all variants of a probe; a fault names what is special about its variant."""
    if len(variants) == 1:
        return check_probe(variants[0], seed=seed, invariances=invariances)
    if not variants:
        raise ConfigurationError("The method variants() of a probe yields one instance at least.")
    whole = Report(variants[0].name, variants=len(variants))
    usual = {name: field.get_default() for name, field in type(variants[0]).model_fields.items()}
    for probe in variants:
        own = check_probe(probe, seed=seed, invariances=invariances)
        special = {k: v for k, v in probe.parameters().items() if v != _plain(usual.get(k))}
        what = f"{canonical_json(special)}: " if special else ""
        whole.oracles += own.oracles
        whole.invariances += own.invariances
        whole.vacuous += own.vacuous
        whole.faults += [f"{what}{text}" for text in own.faults]
        new = [text for text in own.inapplicable if text not in whole.inapplicable]
        whole.inapplicable += new
    return whole


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def check_probe(probe: Probe, *, seed: int = 0, invariances: bool = True) -> Report:
    """Execute a probe's oracles, and its declared invariances on its own and standard cases.

    Parameters
    ----------
    probe
        The probe, with the parameters to check.
    seed
        Of the random group elements.
    invariances
        Whether to execute the invariances too.
    """
    report = Report(probe.name)
    own = list(probe.oracles())
    measured: dict[tuple[object, ...], dict[Key, float]] = {}
    for number, case in enumerate(own):
        _check_oracle(probe, case, number, report, measured)
    if invariances:
        # Cases that differ in what they expect are one to an invariance.
        different = {_identity(case): case for case in own}
        cases = [("own case", _in_float64(case)) for case in different.values()]
        cases += _standard_cases(probe)
        trials = [(name, _Trial(probe, case, seed)) for name, case in cases]
        for metric in probe.metrics:
            for declaration in sorted(probe.invariances(metric)):
                _check_invariance(probe, metric, declaration, trials, report)
    if not report.oracles and not report.invariances and not report.faults:
        report.faults.append("no check was executed: give it oracles() or declare invariances")
    return report


def _identity(case: Case) -> tuple[object, ...]:
    """What a case measures, whatever it expects (told among cases that are alive)."""
    models = case.model if isinstance(case.model, tuple) else (case.model,)
    return (*map(id, models), id(case.data), case.seed, *map(id, case.checkpoints.values()))


def _check_oracle(
    probe: Probe,
    case: Case,
    number: int,
    report: Report,
    measured: dict[tuple[object, ...], dict[Key, float]],
) -> None:
    key = _identity(case)
    try:
        values = measured[key] if key in measured else _values(probe, case, None)
    except Exception as error:  # noqa: BLE001 - a third party's probe may raise anything
        report.faults.append(f"oracle {number} raised {type(error).__name__}: {error}")
        return
    measured[key] = values
    wanted_at = canonical_json(dict(case.at)) if case.at else None
    for metric, expected in case.expected.items():
        found = [
            value
            for (name, at, _, _), value in values.items()
            if name == metric and (wanted_at is None or at == wanted_at)
        ]
        if len(found) != 1:
            report.faults.append(f"oracle {number}: {len(found)} readings of {metric!r}, wanted 1")
        elif not _close(found[0], expected, case.tolerance):
            report.faults.append(
                f"oracle {number}: {metric} is {found[0]!r}, expected {expected!r} "
                f"± {case.tolerance}"
            )
        else:
            report.oracles += 1


def _close(found: float, expected: float, tolerance: float) -> bool:
    return found == expected or abs(found - expected) <= tolerance


#: What was prepared of one side under a move of its model alone.
_Kept = dict[tuple[int, Move], dict[str, Tensor]]


def _values(
    probe: Probe, case: Case, moves: tuple[Move, Move] | None, kept: _Kept | None = None
) -> dict[Key, float]:
    """The readings of a case, with its sides moved; a side that did not move is prepared once."""
    data = case.data
    models = case.model if probe.arity == 2 else (case.model,)
    if moves is not None:
        for move in moves[: probe.arity]:
            data = move.data(data)
    context = Context("check", case.seed, "check")
    subjects: list[Subject] = []
    prepared: list[dict[str, Tensor]] = []
    with ExitStack() as stack:
        for position, model in enumerate(models):
            module = stack.enter_context(frozen_view(as_module(model)))
            loaded = LoadedModel(
                module,
                f"model {position}",
                load_checkpoint=lambda epoch: dict(case.checkpoints[epoch]),
                checkpoints=tuple(case.checkpoints),
            )
            layer = probe.cut if position == 0 else probe.other_cut
            layer = next(iter(loaded.named_layers)) if layer == "*" else layer
            subject = Subject(loaded, layer, samples=case.data.test.x)
            if moves is not None:
                subject = moves[position].subject(subject)
            subjects.append(subject)
        if probe.arity == 2:
            prepared = []
            for side, subject in enumerate(subjects):
                own = moves[side] if moves is not None else STILL
                lasting = kept is not None and data is case.data
                found = kept.get((side, own)) if kept is not None and lasting else None
                if found is None:
                    found = prepare(probe, subject, data, context, sides=[side])
                if kept is not None and lasting:
                    kept[side, own] = found
                prepared.append(found)
        measured = measure(probe, subjects, prepared, data, context)
    return {_key(value): value.estimate.value for value in measured.values}


def _key(value: Value) -> Key:
    return value.metric, value.at, value.layer, value.layer_b


class _Trial:
    """A case under moves; each run serves all metrics."""

    def __init__(self, probe: Probe, case: Case, seed: int) -> None:
        self._probe = probe
        self._case = case
        self._seed = seed
        self._kept: _Kept = {}
        self._controls: dict[str, dict[Key, float]] = {}
        self._moved: dict[str, list[dict[Key, float]]] = {}

    @cached_property
    def base(self) -> dict[Key, float]:
        """The readings as they are."""
        return _values(self._probe, self._case, None, self._kept)

    def control(self, declaration: str) -> dict[Key, float]:
        """The readings once what the group keeps is destroyed."""
        if declaration not in self._controls:
            move = _control(declaration, self._seed, self._case)
            self._controls[declaration] = _values(self._probe, self._case, move, self._kept)
        return self._controls[declaration]

    def moved(self, declaration: str) -> list[dict[Key, float]]:
        """The readings under random elements of the group."""
        if declaration not in self._moved:
            moves = _moves(self._probe, declaration, self._seed, self._case)
            self._moved[declaration] = [
                _values(self._probe, self._case, pair, self._kept) for pair in moves
            ]
            self._kept = {key: made for key, made in self._kept.items() if key[1] is STILL}
        return self._moved[declaration]


def _check_invariance(
    probe: Probe,
    metric: str,
    declaration: str,
    trials: Sequence[tuple[str, _Trial]],
    report: Report,
) -> None:
    told = 0
    what = f"{metric} under {declaration}"
    for name, trial in trials:
        try:
            base = _of(metric, trial.base)
            control, moved = trial.control(declaration), trial.moved(declaration)
        except (InputError, UnsupportedError) as error:
            text = f"{name}: {error}"
            if text not in report.inapplicable:
                report.inapplicable.append(text)
            continue
        except Exception as error:  # noqa: BLE001 - a third party's probe may raise anything
            report.faults.append(f"{what}, {name}: raised {type(error).__name__}: {error}")
            return
        tolerance = probe.metrics[metric].tolerance
        if _differs(base, _of(metric, control), tolerance) is None:
            report.vacuous += len(moved)
            continue
        for values in moved:
            difference = _differs(base, _of(metric, values), tolerance)
            if difference is not None:
                report.faults.append(f"{what}, {name}: {difference}")
                return
            told += 1
    report.invariances += told
    if not told:
        report.faults.append(f"{what}: no case put it to the test (all vacuous or inapplicable)")


def _of(metric: str, values: dict[Key, float]) -> dict[Key, float]:
    return {key: value for key, value in values.items() if key[0] == metric}


def _differs(base: dict[Key, float], other: dict[Key, float], tolerance: float) -> str | None:
    if base.keys() != other.keys():
        return f"readings {sorted(base)} became {sorted(other)}"
    for key, value in base.items():
        if not _close(other[key], value, tolerance * max(1.0, abs(value))):
            at = f" at {key[1]}" if key[1] else ""
            return f"the value{at} went from {value!r} to {other[key]!r}"
    return None


def _moves_models(declaration: str) -> bool:
    """Whether it acts on each model by itself; data, which are one, move for both."""
    return declaration.partition(":")[0] in {"codes", "weights"}


def _control(declaration: str, seed: int, case: Case) -> tuple[Move, Move]:
    move = move_for(declaration, seed, classes=case.data.classes, control=True)
    # Of a pair one side is destroyed; were both treated alike, they might stay alike.
    return move, STILL if _moves_models(declaration) else Move(move.subject, STILL.data)


def _moves(probe: Probe, declaration: str, seed: int, case: Case) -> Iterator[tuple[Move, Move]]:
    classes = case.data.classes
    for number in range(ELEMENTS):
        first = 2 * (seed * ELEMENTS + number)
        move = move_for(declaration, first, classes=classes)
        if probe.arity == 2 and _moves_models(declaration):
            yield from sides(move, move_for(declaration, first + 1, classes=classes))
        else:
            yield move, Move(move.subject, STILL.data)


def _standard_cases(probe: Probe) -> Iterable[tuple[str, Case]]:
    """Small networks with random weights on random data: vectors, and images."""
    for name, shape in (("vectors", (5,)), ("images", (1, 5, 5))):
        data = Dataset("check", _standard_split(shape, 1), _standard_split(shape, 2))
        size = math.prod(shape)
        models = [_StandardModel(size, seed) for seed in (3, 4)]
        model: Any = tuple(models) if probe.arity == 2 else models[0]
        yield name, Case(model, data, {})


def _standard_split(shape: tuple[int, ...], seed: int) -> Split:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(96, *shape, generator=generator, dtype=torch.float64)
    # The labels follow the first coordinates, so that something can be learned of them.
    return Split(x, x.flatten(1)[:, :3].argmax(dim=1), torch.arange(96) + 100 * seed)


def _in_float64(case: Case) -> Case:
    """The case with models and floating data in double precision, so that rounding stays small."""

    def double(tensor: Tensor) -> Tensor:
        return tensor.double() if tensor.is_floating_point() else tensor

    def split(given: Split) -> Split:
        arrays = {name: map_samples(double, array) for name, array in given.arrays.items()}
        return Split(map_samples(double, given.x), given.y, given.ids, arrays)

    models = case.model if isinstance(case.model, tuple) else (case.model,)
    doubled = tuple(copy.deepcopy(as_module(model)).double() for model in models)
    train = split(case.data.train)
    test = train if case.data.test is case.data.train else split(case.data.test)
    data = Dataset(case.data.name, train, test, case.data.meta, case.data.make_world)
    model = doubled if isinstance(case.model, tuple) else doubled[0]
    return dataclasses.replace(case, model=model, data=data)


class _StandardModel(nn.Module):
    """Two smooth layers with `encoder` and `head`, in float64."""

    def __init__(self, inputs: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.encoder = nn.Sequential(nn.Flatten(), _linear(inputs, 6, generator), nn.Tanh())
        self.head = _linear(6, 3, generator)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        logits: Tensor = self.head(self.encoder(x))
        return logits


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    # Made without drawing from the global generator.
    layer = nn.Linear(inputs, outputs, dtype=torch.float64, device="meta")
    layer.to_empty(device="cpu")
    with torch.no_grad():
        weight = torch.randn(outputs, inputs, generator=generator, dtype=torch.float64)
        layer.weight.copy_(inputs**-0.5 * weight)
        layer.bias.copy_(torch.randn(outputs, generator=generator, dtype=torch.float64))
    return layer
