"""The contract of a probe: a typed, stateless measurement of one model or of an ordered pair."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from repgeo.datasets.dataset import Dataset
from repgeo.errors import ConfigurationError, nearest
from repgeo.models.loaded import Epoch
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.reading import Reading, Scalar
from repgeo.probes.subject import Subject

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Case", "Probe", "Side"]


@dataclass(frozen=True)
class Side:
    """One model of a pair: the subject, and what `prepare` made of it."""

    subject: Subject
    prepared: Mapping[str, Tensor]


@dataclass(frozen=True)
class Case:
    """A tiny input with a known answer, for tests and `repgeo check`.

    Attributes
    ----------
    model
        A module or callable; for a pair probe, a pair of them.
    data
        The dataset.
    expected
        metric -> value.
    tolerance
        Largest absolute difference.
    at
        Which of several readings of the metric is meant.
    seed
        The task seed.
    checkpoints
        Kept checkpoints of the model: epoch -> state dict.
    """

    model: Any
    data: Dataset
    expected: Mapping[str, float]
    tolerance: float = 1e-9
    at: Mapping[str, Scalar] = field(default_factory=dict)
    seed: int = 0
    checkpoints: Mapping[Epoch, Mapping[str, Tensor]] = field(default_factory=dict)


class Probe(BaseModel):
    """A measurement: parameters are fields, numbers are `metrics`, `measure` yields readings.

    Subclass it, set `name` and `metrics`, add fields, write `measure`. For an ordered pair of
    models set `arity = 2` and write `prepare` too.

    Class attributes
    ----------------
    name
        What tables and task files call it.
    version
        Raise it when the same parameters give other numbers: it is part of the identity.
    arity
        1, or 2 for ordered pairs of models.
    requires
        Capabilities (names of methods) that a model must offer.
    fits
        Whether it fits something on the train split.
    metrics
        The numbers it yields.

    Where a declaration depends on the parameters, override `invariances`, and let `variants` yield
    the settings that `repgeo check` is to execute (by default the one without arguments).
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    name: ClassVar[str]
    version: ClassVar[int | str] = 1
    arity: ClassVar[int] = 1
    requires: ClassVar[frozenset[str]] = frozenset()
    fits: ClassVar[bool] = False
    metrics: ClassVar[Mapping[str, Metric]]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a probe whose description is not complete, when its class is made."""
        super().__pydantic_init_subclass__(**kwargs)
        if inspect.isabstract(cls):
            return
        label = cls.__qualname__
        if not isinstance(getattr(cls, "name", None), str) or not cls.name:
            raise ConfigurationError(f'The probe {label} needs a name: `name: ClassVar = "..."`.')
        metrics = getattr(cls, "metrics", None)
        if not isinstance(metrics, Mapping) or not metrics:
            raise ConfigurationError(f"The probe {label} needs `metrics`, a dict name -> Metric.")
        for key, metric in metrics.items():
            if not isinstance(metric, Metric):
                raise ConfigurationError(
                    f"The probe {label}: metrics[{key!r}] must be a Metric, got {metric!r}."
                )
        if cls.arity not in (1, 2):
            raise ConfigurationError(f"The probe {label} has arity {cls.arity}; allowed: 1, 2.")

    def prepare(self, subject: Subject, data: Dataset, context: Context) -> dict[str, Tensor]:
        """The half of a pair measurement that depends on one model (arity 2 only)."""
        return {}

    def measure(self, *args: Any, **kwargs: Any) -> Iterable[Reading]:
        """Yield readings: `measure(subject, data, context)`, or `(mine, other, data, context)`."""
        raise NotImplementedError(f"{type(self).__qualname__} does not define measure().")

    def oracles(self) -> Iterable[Case]:
        """Tiny cases with closed-form answers: no training, milliseconds."""
        return ()

    @classmethod
    def variants(cls) -> Iterable[Probe]:
        """The settings whose oracles and invariances `repgeo check` executes, all counted.

        The default parameters here. A probe that declares other invariances for other parameters
        yields one instance for each; keep them small, as all of it should take seconds.

        Examples
        --------
        >>> from repgeo.probes import Accuracy
        >>> list(Accuracy.variants()) == [Accuracy()]
        True
        """
        yield cls()

    def invariances(self, metric: str) -> frozenset[str]:
        """The invariances of a metric under the present parameters."""
        return frozenset(self.metrics[metric].invariant_to)

    def metric(self, name: str) -> Metric:
        """The metric of that name.

        Raises
        ------
        ConfigurationError
            If the probe does not declare it.
        """
        if name not in self.metrics:
            raise ConfigurationError(
                f"The probe {self.name!r} yields {name!r}, which it does not declare. "
                f"{nearest(name, self.metrics)}"
            )
        return self.metrics[name]

    @property
    def cut(self) -> str:
        """The layer it measures at ("output" for a probe without a `layer`)."""
        return str(getattr(self, "layer", "output"))

    @property
    def other_cut(self) -> str:
        """The layer of the second model of a pair."""
        return str(getattr(self, "layer_b", None) or self.cut)

    def parameters(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return self.model_dump(mode="json")

    def __call__(self, *args: Any, **kwargs: Any) -> pd.DataFrame:
        """Measure models that need no registry and no files: see `repgeo.probes.standalone`.

        `probe(model, x)`, `probe(model, x, y)`, and for pairs `probe(model_a, model_b, x, y)`;
        keywords `seed=0`, `train=(x, y)`, `layers={...}`.
        """
        from repgeo.probes.standalone import measure_standalone

        return measure_standalone(self, *args, **kwargs)
