"""Geometry: Jacobians, the pullback metric, its volume element and curvature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.geometry.determinants import PrecisionWarning
    from repgeo.geometry.jacobians import jacobian
    from repgeo.geometry.metric import pullback_metric
    from repgeo.geometry.spectrum import volume_spectrum
    from repgeo.geometry.volume import VolumeReport, log_volume, volume_report

__all__ = [
    "PrecisionWarning",
    "VolumeReport",
    "jacobian",
    "log_volume",
    "pullback_metric",
    "volume_report",
    "volume_spectrum",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "PrecisionWarning": "repgeo.geometry.determinants",
        "VolumeReport": "repgeo.geometry.volume",
        "jacobian": "repgeo.geometry.jacobians",
        "log_volume": "repgeo.geometry.volume",
        "pullback_metric": "repgeo.geometry.metric",
        "volume_report": "repgeo.geometry.volume",
        "volume_spectrum": "repgeo.geometry.spectrum",
    },
)
