"""Subjects in double precision: walks correct far below the rounding of float32."""

from __future__ import annotations

import copy

import torch

from repgeo.models.loaded import LoadedModel
from repgeo.probes.subject import Subject

__all__ = ["in_double_precision", "in_precision"]


def in_double_precision(subject: Subject) -> Subject:
    """The same model, cut at the same layer, with its weights in float64.

    The weights are those that were trained, digit by digit; only what is computed with them is
    rounded later. A subject that is in float64, or has no weights, is returned as it is.

    Parameters
    ----------
    subject
        The subject.

    Examples
    --------
    >>> from repgeo.models.loaded import load_model
    >>> model = load_model(torch.nn.Linear(2, 1), "linear")
    >>> in_double_precision(Subject(model, "output", samples=None)).dtype
    torch.float64
    """
    return in_precision(subject, torch.float64)


def in_precision(subject: Subject, dtype: torch.dtype) -> Subject:
    """The same model, cut at the same layer, with its weights in a dtype.

    A subject that is in that dtype, or has no weights, is returned as it is.

    Parameters
    ----------
    subject
        The subject.
    dtype
        A floating point dtype.

    Examples
    --------
    >>> from repgeo.models.loaded import load_model
    >>> model = load_model(torch.nn.Linear(2, 1).double(), "linear")
    >>> in_precision(Subject(model, "output", samples=None), torch.float32).dtype
    torch.float32
    """
    if subject.dtype in (None, dtype):
        return subject
    given = subject._model
    module = copy.deepcopy(given.module).to(dtype)
    name = str(dtype).removeprefix("torch.")
    model = LoadedModel(module, given.label, given.layers, f"{given.identity}@{name}")
    return Subject(model, subject.layer, samples=subject._samples, label=subject.label)
