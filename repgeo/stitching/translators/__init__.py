"""Translators: maps from one model's codes into another's, fitted on paired samples."""

from __future__ import annotations

from repgeo.stitching.translators.inverse_relative import (
    InverseRelativeProjection,
    InverseRelativeTranslator,
)
from repgeo.stitching.translators.least_squares import LeastSquaresTranslator
from repgeo.stitching.translators.named import TRANSLATORS
from repgeo.stitching.translators.orthogonal import OrthogonalTranslator, PolarTranslator
from repgeo.stitching.translators.translator import Translator

__all__ = [
    "TRANSLATORS",
    "InverseRelativeProjection",
    "InverseRelativeTranslator",
    "LeastSquaresTranslator",
    "OrthogonalTranslator",
    "PolarTranslator",
    "Translator",
]
