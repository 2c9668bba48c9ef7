"""Subjects in double precision: walks correct far below the rounding of float32."""

from __future__ import annotations

import copy

import torch

from repgeo.models.loaded import LoadedModel
from repgeo.probes.subject import Subject

__all__ = ["in_double_precision"]


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
    if subject.dtype in (None, torch.float64):
        return subject
    given = subject._model
    module = copy.deepcopy(given.module).double()
    model = LoadedModel(module, given.label, given.layers, f"{given.identity}@float64")
    return Subject(model, subject.layer, samples=subject._samples, label=subject.label)
