"""The steps of one task seed: what is trained, prepared and measured, and what needs what."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from repgeo.errors import ConfigurationError, nearest
from repgeo.identity import digest
from repgeo.study.steps import DatasetSpec, ModelSpec, ProbeSpec, Step, StepKind
from repgeo.study.taskfile import ProbeEntry, TaskFile

__all__ = ["ordered_pairs", "sides", "wire_steps"]


def wire_steps(
    file: TaskFile,
    dataset: DatasetSpec | None,
    seed: int,
    models: Sequence[ModelSpec],
    probes: Sequence[tuple[ProbeSpec, ProbeEntry]],
) -> Iterator[Step]:
    """The train, prepare and measure steps of one dataset under one task seed.

    Raises
    ------
    ConfigurationError
        If `pairs` names a model that there is not.
    """
    identities = {model.label: model.identity(dataset) for model in models}
    seeded = _Seeded(dataset, seed, models, identities)
    yield from seeded.trainings()
    for probe, entry in probes:
        if probe.arity == 1:
            yield from seeded.singles(probe)
        else:
            yield from seeded.pairs(probe, list(ordered_pairs(file, entry, models)))


@dataclass(frozen=True)
class _Seeded:
    """The models and the dataset of one task seed, and the steps made of them."""

    dataset: DatasetSpec | None
    seed: int
    models: Sequence[ModelSpec]
    identities: Mapping[str, str]  # label -> identity of the network: asked for by every step

    def model_identity(self, model: ModelSpec) -> str:
        return self.identities[model.label]

    def trainings(self) -> Iterator[Step]:
        for model in self.models:
            if model.trains:
                yield self._step(self.model_identity(model), "train", "training", (model,))

    def singles(self, probe: ProbeSpec) -> Iterator[Step]:
        for model in self.models:
            identity = self._identity("measure", probe, (model,))
            yield self._step(identity, "measure", probe.name, (model,), probe)

    def pairs(
        self, probe: ProbeSpec, pairs: Sequence[tuple[ModelSpec, ModelSpec]]
    ) -> Iterator[Step]:
        halves = {}
        for model in self.models:
            stands = sides(model, pairs)
            if stands:
                halves[model.label] = self._identity("prepare", probe, (model,), stands)
                title = f"{probe.name} (preparation)"
                step = self._step(halves[model.label], "prepare", title, (model,), probe)
                yield replace(step, sides=stands)
        for pair in pairs:
            identity = self._identity("measure", probe, pair)
            prepared = tuple(halves[model.label] for model in pair)
            yield self._step(identity, "measure", probe.name, pair, probe, prepared)

    def _identity(
        self,
        kind: StepKind,
        probe: ProbeSpec,
        models: Sequence[ModelSpec],
        stands: tuple[int, ...] = (0, 1),
    ) -> str:
        # What was prepared for one side only does not serve the other.
        one_side = {} if stands == (0, 1) else {"sides": list(stands)}
        return digest(
            {
                "kind": kind,
                **one_side,
                "dataset": self.dataset.digest if self.dataset is not None else None,
                "probe": {**probe.identity, "name": probe.name, "version": probe.version},
                "parameters": probe.parameters,
                "seed": self.seed,
                # The label is part of it, so that two models of one task never share a cell.
                "models": [
                    {
                        "label": model.label,
                        "model": self.model_identity(model),
                        "layers": dict(model.layers),
                    }
                    for model in models
                ],
            }
        )

    def _step(
        self,
        identity: str,
        kind: StepKind,
        what: str,
        models: tuple[ModelSpec, ...],
        probe: ProbeSpec | None = None,
        prepared: tuple[str, ...] = (),
    ) -> Step:
        home = self.model_identity(models[0])
        trained = [self.model_identity(model) for model in models if model.trains]
        needs = (*trained, *prepared) if kind != "train" else ()
        names = " and ".join(model.label for model in models)
        return Step(
            id=identity,
            kind=kind,
            title=f"{what} of {names}, seed {self.seed}",
            home=home,
            seed=self.seed,
            dataset=self.dataset,
            models=models,
            probe=probe,
            prepared=prepared,
            needs=tuple(dict.fromkeys(needs)),
        )


def sides(model: ModelSpec, pairs: Sequence[tuple[ModelSpec, ModelSpec]]) -> tuple[int, ...]:
    """Where a model stands in some pair: 0 for the first place, 1 for the second."""
    return tuple(side for side in (0, 1) if any(pair[side].label == model.label for pair in pairs))


def ordered_pairs(
    file: TaskFile, entry: ProbeEntry, models: Sequence[ModelSpec]
) -> Iterator[tuple[ModelSpec, ModelSpec]]:
    """The ordered pairs of models that a probe is to measure, the diagonal included.

    Raises
    ------
    ConfigurationError
        If `pairs` names a model that there is not.
    """
    if isinstance(entry.pairs, tuple):
        known = {name for model in models for name in (model.label, model.entry)}
        for name in itertools.chain.from_iterable(entry.pairs):
            if name not in known:
                raise ConfigurationError(
                    f"{file.source}: pairs of {entry.name!r}: no model {name!r}. "
                    f"{nearest(name, known)}"
                )
    for mine, other in itertools.product(models, repeat=2):
        if entry.pairs == "all" or (entry.pairs == "within" and mine.entry == other.entry):
            yield mine, other
        elif isinstance(entry.pairs, tuple):
            names = {(a, b) for a in (mine.label, mine.entry) for b in (other.label, other.entry)}
            if names & set(entry.pairs):
                yield mine, other
