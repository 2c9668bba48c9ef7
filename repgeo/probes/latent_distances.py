"""Distances of codes in the space in which they live, and how they follow those of a tree."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from repgeo.datasets.dataset import Split
from repgeo.errors import InputError, UnsupportedError
from repgeo.hyperbolic.distances import distance_matrix
from repgeo.probes.subject import Subject

__all__ = [
    "AskedSpace",
    "CodeSpace",
    "correlation",
    "latent_distances",
    "ranks",
    "space_of",
    "tree_correlations",
]

#: What codes are: vectors, or coordinates of hyperbolic space.
CodeSpace: TypeAlias = Literal["euclidean", "poincare", "klein", "lorentz", "tangent"]

#: The same, or "model": what the model itself says, in its attribute `latent_space`.
AskedSpace: TypeAlias = Literal["euclidean", "poincare", "klein", "lorentz", "tangent", "model"]

_TIE = 1e-9  # of the largest number: what differs by less, by rounding, is equal


def space_of(subject: Subject, asked: AskedSpace) -> CodeSpace:
    """What the codes of a subject are.

    Raises
    ------
    UnsupportedError
        If the model is asked and does not say.
    """
    if asked != "model":
        return asked
    told: Any = getattr(subject.module, "latent_space", None)
    if told not in get_args(CodeSpace):
        raise UnsupportedError(
            f"The model {subject.label!r} does not say what its codes are (an attribute "
            f"latent_space, one of {', '.join(get_args(CodeSpace))}). Set the probe's space."
        )
    space: CodeSpace = told
    return space


def latent_distances(codes: Tensor, space: CodeSpace, curvature: float) -> np.ndarray:
    """The distances `(n, n)` of codes `(n, features)`, float64.

    Raises
    ------
    InputError
        If codes lie outside of their space.
    """
    fixed = codes.detach().cpu()
    if space == "euclidean":
        wide = fixed.double()
        exact = "donot_use_mm_for_euclid_dist"
        return torch.cdist(wide, wide, compute_mode=exact).numpy()
    return distance_matrix(fixed, fixed, model=space, curvature=curvature).double().numpy()


def tree_correlations(distances: np.ndarray, split: Split, tree: str) -> tuple[float, float]:
    """Pearson's and Spearman's correlation with the distances in a tree, over pairs i < j.

    The array `tree` of the split is `(n, nodes)`, its columns the nodes with the ids 0, 1, ..., so
    that it goes along when samples are reordered or left out.

    Raises
    ------
    InputError
        If the array is of another shape, or all distances are the same.
    """
    known, ids = split.arrays[tree], split.ids.cpu()
    if not isinstance(known, Tensor) or known.ndim != 2 or int(ids.max()) >= known.shape[1]:
        raise InputError(
            f"The array {tree!r} should hold the distances of the {len(distances)} test samples to "
            "the nodes with the ids 0, 1, ..., as (samples, nodes)."
        )
    above = np.triu_indices(len(distances), 1)
    latent, steps = distances[above], known.cpu().double()[:, ids].numpy()[above]
    return correlation(latent, steps), correlation(ranks(latent), ranks(steps))


def ranks(numbers: np.ndarray) -> np.ndarray:
    """Mean ranks `(n,)`; numbers that differ by a billionth of the largest are ties.

    Examples
    --------
    >>> ranks(np.array([0.3, 0.1, 0.1 + 1e-12])).tolist()
    [3.0, 1.5, 1.5]
    """
    largest = float(np.abs(numbers).max()) or 1.0
    found: np.ndarray = rankdata(np.round(numbers / (largest * _TIE)))
    return found


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation of two lists of numbers.

    Raises
    ------
    InputError
        If one side's numbers are all the same.

    Examples
    --------
    >>> correlation(np.array([0.0, 1.0, 2.0]), np.array([5.0, 3.0, 1.0]))
    -1.0
    """
    if not np.ptp(first) > 0 or not np.ptp(second) > 0:
        raise InputError("A correlation needs numbers that differ: one side's are all the same.")
    return float(np.corrcoef(first, second)[0, 1])
