"""What repgeo raises: one family; messages say what was given, what is allowed, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CheckpointError",
    "ConfigurationError",
    "DatasetError",
    "InputError",
    "Interrupted",
    "LayerError",
    "LockedError",
    "MissingExtraError",
    "NonFiniteError",
    "RepgeoError",
    "SampleMismatchError",
    "StorageError",
    "TrainingError",
    "UnknownNameError",
    "UnsupportedError",
    "nearest",
]


class RepgeoError(Exception):
    """The base of every error that repgeo raises on purpose."""


class ConfigurationError(RepgeoError):
    """A task file, an option or a parameter that cannot be used (exit code 2)."""


class UnknownNameError(ConfigurationError):
    """A name that no registry knows, or that several origins claim."""


class MissingExtraError(ConfigurationError):
    """An optional package that is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self._parts = (package, extra, purpose)
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed. "
            f"Install it with: pip install 'repgeo[{extra}]'"
        )

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        # Errors travel between processes, where an exception is made anew of what this returns.
        return type(self), self._parts


class DatasetError(ConfigurationError):
    """A dataset that is missing, empty, or holds values that cannot be measured."""


class LayerError(ConfigurationError):
    """A layer that a model does not have, or that does not cut it in two."""


class CheckpointError(ConfigurationError):
    """Weights that are missing, of another architecture, or in a format that is refused."""


class InputError(RepgeoError, ValueError):
    """Arguments of a function whose shapes, types or values do not fit."""


class NonFiniteError(RepgeoError):
    """A NaN (or an infinity where none may be) in a model's output or in a reading."""


class SampleMismatchError(RepgeoError):
    """Two sides of a pair that were not measured on the same samples."""


class UnsupportedError(RepgeoError):
    """A model that lacks a capability which a probe requires."""


class TrainingError(RepgeoError):
    """A training that could not be finished."""


class StorageError(RepgeoError):
    """A study folder that cannot be read or written."""


class LockedError(StorageError):
    """A study folder that another driver is working on."""


class Interrupted(RepgeoError):  # noqa: N818 - not a fault: the user asked for it
    """The run was stopped by a signal; the same command resumes it (exit code 3)."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Half a sentence that names what is closest to `name`, or lists what is allowed.

    Examples
    --------
    >>> nearest("pulback_volume", ["accuracy", "pullback_volume"])
    "Did you mean 'pullback_volume'?"
    >>> nearest("zzz", ["accuracy", "cka"])
    'Known: accuracy, cka.'
    """
    options = sorted(set(allowed))
    close = difflib.get_close_matches(name, options, n=3, cutoff=0.6)
    if close:
        return "Did you mean " + " or ".join(repr(option) for option in close) + "?"
    if not options:
        return "There are none."
    shown = ", ".join(options[:20])
    return f"Known: {shown}, ..." if len(options) > 20 else f"Known: {shown}."
