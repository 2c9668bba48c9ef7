"""Translators by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from repgeo.stitching.translators.inverse_relative import InverseRelativeTranslator
from repgeo.stitching.translators.least_squares import LeastSquaresTranslator
from repgeo.stitching.translators.orthogonal import OrthogonalTranslator, PolarTranslator
from repgeo.stitching.translators.translator import Translator

__all__ = ["TRANSLATORS"]

#: Name -> what makes a translator that is not fitted yet. Keywords are its parameters:
#: `TRANSLATORS["orthogonal"](standardize=True)`, `TRANSLATORS["ridge"](penalty=0.1)`.
TRANSLATORS: Final[Mapping[str, Callable[..., Translator]]] = MappingProxyType(
    {
        "orthogonal": OrthogonalTranslator,
        "linear": partial(LeastSquaresTranslator, center=False),
        "ridge": partial(LeastSquaresTranslator, penalty=1e-3),
        "affine": LeastSquaresTranslator,
        "polar": PolarTranslator,
        "inverse_relative": InverseRelativeTranslator,
    }
)
