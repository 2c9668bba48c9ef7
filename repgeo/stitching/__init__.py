"""Stitching: relative projections, translators, linear heads, similarity of representations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.stitching.anchors import choose_anchors
    from repgeo.stitching.linear_head import LinearHead, fit_linear_head
    from repgeo.stitching.projection import RelativeProjection
    from repgeo.stitching.similarity import cka
    from repgeo.stitching.translators import (
        AffineTranslator,
        OrthogonalTranslator,
        fit_affine,
        fit_orthogonal,
    )

__all__ = [
    "AffineTranslator",
    "LinearHead",
    "OrthogonalTranslator",
    "RelativeProjection",
    "choose_anchors",
    "cka",
    "fit_affine",
    "fit_linear_head",
    "fit_orthogonal",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "AffineTranslator": "repgeo.stitching.translators",
        "LinearHead": "repgeo.stitching.linear_head",
        "OrthogonalTranslator": "repgeo.stitching.translators",
        "RelativeProjection": "repgeo.stitching.projection",
        "choose_anchors": "repgeo.stitching.anchors",
        "cka": "repgeo.stitching.similarity",
        "fit_affine": "repgeo.stitching.translators",
        "fit_linear_head": "repgeo.stitching.linear_head",
        "fit_orthogonal": "repgeo.stitching.translators",
    },
)
