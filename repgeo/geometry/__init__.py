"""Geometry: Jacobians, the pullback metric, its volume element and curvature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.geometry.curvature import CurvatureReport, curvature_report, scalar_curvature
    from repgeo.geometry.determinants import PrecisionWarning
    from repgeo.geometry.jacobians import jacobian
    from repgeo.geometry.kernels import (
        RadialGeometry,
        dot_product_geometry,
        kernel_geometry,
        kernel_metric,
        polynomial_geometry,
        rbf_geometry,
        rescaled_metric,
    )
    from repgeo.geometry.metric import pullback_metric
    from repgeo.geometry.moments import Activation, leaky_relu, monomial
    from repgeo.geometry.shallow import ShallowNetwork
    from repgeo.geometry.spectrum import volume_spectrum
    from repgeo.geometry.volume import VolumeReport, log_volume, volume_report

__all__ = [
    "Activation",
    "CurvatureReport",
    "PrecisionWarning",
    "RadialGeometry",
    "ShallowNetwork",
    "VolumeReport",
    "curvature_report",
    "dot_product_geometry",
    "jacobian",
    "kernel_geometry",
    "kernel_metric",
    "leaky_relu",
    "log_volume",
    "monomial",
    "polynomial_geometry",
    "pullback_metric",
    "rbf_geometry",
    "rescaled_metric",
    "scalar_curvature",
    "volume_report",
    "volume_spectrum",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Activation": "repgeo.geometry.moments",
        "CurvatureReport": "repgeo.geometry.curvature",
        "PrecisionWarning": "repgeo.geometry.determinants",
        "RadialGeometry": "repgeo.geometry.kernels",
        "ShallowNetwork": "repgeo.geometry.shallow",
        "VolumeReport": "repgeo.geometry.volume",
        "curvature_report": "repgeo.geometry.curvature",
        "dot_product_geometry": "repgeo.geometry.kernels",
        "jacobian": "repgeo.geometry.jacobians",
        "kernel_geometry": "repgeo.geometry.kernels",
        "kernel_metric": "repgeo.geometry.kernels",
        "leaky_relu": "repgeo.geometry.moments",
        "log_volume": "repgeo.geometry.volume",
        "monomial": "repgeo.geometry.moments",
        "polynomial_geometry": "repgeo.geometry.kernels",
        "pullback_metric": "repgeo.geometry.metric",
        "rbf_geometry": "repgeo.geometry.kernels",
        "rescaled_metric": "repgeo.geometry.kernels",
        "scalar_curvature": "repgeo.geometry.curvature",
        "volume_report": "repgeo.geometry.volume",
        "volume_spectrum": "repgeo.geometry.spectrum",
    },
)
