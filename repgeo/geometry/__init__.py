"""Geometry: Jacobians, the pullback metric, its volume element and curvature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.geometry.curvature import CurvatureReport, curvature_report, scalar_curvature
    from repgeo.geometry.determinants import PrecisionWarning
    from repgeo.geometry.jacobians import jacobian
    from repgeo.geometry.metric import pullback_metric
    from repgeo.geometry.spectrum import volume_spectrum
    from repgeo.geometry.volume import VolumeReport, log_volume, volume_report

__all__ = [
    "CurvatureReport",
    "PrecisionWarning",
    "VolumeReport",
    "curvature_report",
    "jacobian",
    "log_volume",
    "pullback_metric",
    "scalar_curvature",
    "volume_report",
    "volume_spectrum",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "CurvatureReport": "repgeo.geometry.curvature",
        "PrecisionWarning": "repgeo.geometry.determinants",
        "VolumeReport": "repgeo.geometry.volume",
        "curvature_report": "repgeo.geometry.curvature",
        "jacobian": "repgeo.geometry.jacobians",
        "log_volume": "repgeo.geometry.volume",
        "pullback_metric": "repgeo.geometry.metric",
        "scalar_curvature": "repgeo.geometry.curvature",
        "volume_report": "repgeo.geometry.volume",
        "volume_spectrum": "repgeo.geometry.spectrum",
    },
)
