"""Translators: maps from one model's codes into another's, fitted on paired samples.

The names are offered by `repgeo.stitching`.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from repgeo.stitching.translators.least_squares import LeastSquaresTranslator
from repgeo.stitching.translators.orthogonal import OrthogonalTranslator

__all__ = ["fit_affine", "fit_orthogonal"]


def fit_orthogonal(
    source: Tensor | np.ndarray, target: Tensor | np.ndarray
) -> OrthogonalTranslator:
    """`OrthogonalTranslator().fit(source, target)`."""
    return OrthogonalTranslator().fit(source, target)


def fit_affine(source: Tensor | np.ndarray, target: Tensor | np.ndarray) -> LeastSquaresTranslator:
    """`LeastSquaresTranslator().fit(source, target)`."""
    return LeastSquaresTranslator().fit(source, target)
