"""Steps: the units of work of a study, and what decides each one's identity.

The identity of a step is the digest of the canonical JSON of what decides its answer. Paths,
devices, threads and chunk sizes are not in it; they travel beside it, in the payload.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from repgeo.identity import digest

__all__ = ["DatasetSpec", "ModelSpec", "ProbeSpec", "Step", "StepKind"]

StepKind = Literal["train", "prepare", "measure"]


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset under one task seed.

    Attributes
    ----------
    label
        What the table says.
    reference
        What loads the factory (a name, or "file:attribute" with an absolute path).
    parameters
        The factory's parameters.
    seed
        The task seed.
    digest
        The digest of the contents.
    """

    label: str
    reference: str
    parameters: Mapping[str, Any]
    seed: int
    digest: str


@dataclass(frozen=True)
class ModelSpec:
    """A model under one task seed.

    Attributes
    ----------
    label, entry
        The label, and the label of the task file's entry it came from.
    reference
        What loads the factory.
    factory
        What of the factory counts for the identity.
    parameters
        The factory's parameters.
    seed
        The model seed.
    dtype
        "float32" or "float64".
    files
        Parameters that are files, by their digests.
    layers
        Named layers.
    recipe
        The table `[models.train]`, or None for a model that is not trained.
    objective
        What of the objective counts for the identity, or None.
    trains
        Whether there is a train step (also a model with a `fit` of its own).
    weights
        Path of a checkpoint, or None.
    weights_digest
        The digest of that file.
    fingerprint
        The digest of the sources of factory and objective; not part of the identity.
    """

    label: str
    entry: str
    reference: str
    factory: Mapping[str, str]
    parameters: Mapping[str, Any]
    seed: int
    dtype: Literal["float32", "float64"]
    files: Mapping[str, str] = field(default_factory=dict)
    layers: Mapping[str, str] = field(default_factory=dict)
    recipe: Mapping[str, Any] | None = None
    objective: Mapping[str, str] | None = None
    trains: bool = False
    weights: str | None = None
    weights_digest: str | None = None
    fingerprint: str = ""

    def identity(self, dataset: DatasetSpec | None) -> str:
        """What decides the network's weights (its label does not)."""
        recipe = None
        if self.recipe is not None:  # the objective counts by its contents, not by its path
            recipe = {key: value for key, value in self.recipe.items() if key != "objective"}
        return digest(
            {
                "kind": "train" if self.trains else "model",
                # An untrained network does not depend on the data, only on their shapes, which
                # the digest stands for as well.
                "dataset": dataset.digest if dataset is not None else None,
                "factory": self.factory,
                "parameters": {**self.parameters, **self.files},  # a file counts by its digest
                "seed": self.seed,
                "dtype": self.dtype,
                "recipe": recipe,
                "objective": self.objective,
                "weights": self.weights_digest,
            }
        )


@dataclass(frozen=True)
class ProbeSpec:
    """A probe with its parameters.

    Attributes
    ----------
    name, version, arity
        Those of the probe's class.
    reference
        What loads the class.
    identity
        What of the class counts for the identity.
    parameters
        All fields, defaults included.
    columns
        What the table says of it (`repgeo.probes.rows.probe_columns`).
    fingerprint
        The digest of the class's source; not part of the identity.
    """

    name: str
    version: str
    arity: int
    reference: str
    identity: Mapping[str, str]
    parameters: Mapping[str, Any]
    columns: Mapping[str, Any]
    fingerprint: str = ""


@dataclass(frozen=True)
class Step:
    """One unit of work.

    Attributes
    ----------
    id
        Its identity: the name of its files.
    kind
        "train", "prepare" or "measure" (a cell).
    title
        What messages call it: models, probe, seed.
    home
        The identity of the model it mostly needs: steps of one home run together.
    seed
        The task seed.
    dataset, models, probe
        What it is about.
    prepared
        The identities of the prepare steps of a pair cell, one per side.
    needs
        The identities of the steps that must be finished before.
    sides
        Of a prepare step: where its model stands in pairs, 0 for the first place, 1 for the second.
    """

    id: str
    kind: StepKind
    title: str
    home: str
    seed: int
    dataset: DatasetSpec | None
    models: tuple[ModelSpec, ...]
    probe: ProbeSpec | None = None
    prepared: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    sides: tuple[int, ...] = (0, 1)

    @property
    def fingerprint(self) -> str:
        """The digest of the code that decides the answer, to tell results of older code."""
        parts = [model.fingerprint for model in self.models]
        if self.probe is not None:
            parts.append(self.probe.fingerprint)
        return digest(parts, length=16)
