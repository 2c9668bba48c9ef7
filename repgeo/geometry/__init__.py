"""Geometry: Jacobians, the pullback metric, its volume element and curvature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.geometry.boundaries import boundary_distance
    from repgeo.geometry.correlation import (
        partial_rank_correlation,
        rank_correlation,
        rank_correlation_terms,
    )
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
    from repgeo.geometry.slices import (
        Slice,
        line_slice,
        normalised_entropy,
        plane_slice,
        principal_plane,
        random_plane,
    )
    from repgeo.geometry.spectrum import volume_spectrum
    from repgeo.geometry.volume import VolumeReport, log_volume, volume_report
    from repgeo.geometry.walks.cross_walk import cross_walk
    from repgeo.geometry.walks.null_mesh import NullMesh, mesh_size, null_mesh
    from repgeo.geometry.walks.null_space import NullSpace, null_space, project_to_null_space
    from repgeo.geometry.walks.null_walk import null_walk
    from repgeo.geometry.walks.published_walk import PublishedRule, published_walk
    from repgeo.geometry.walks.relu_walk import RegionWalk, relu_walk
    from repgeo.geometry.walks.uniform_walk import UniformWalk, uniform_walk
    from repgeo.geometry.walks.walk import Walk, WalkSpec

__all__ = [
    "Activation",
    "CurvatureReport",
    "NullMesh",
    "NullSpace",
    "PrecisionWarning",
    "PublishedRule",
    "RadialGeometry",
    "RegionWalk",
    "ShallowNetwork",
    "Slice",
    "UniformWalk",
    "VolumeReport",
    "Walk",
    "WalkSpec",
    "boundary_distance",
    "cross_walk",
    "curvature_report",
    "dot_product_geometry",
    "jacobian",
    "kernel_geometry",
    "kernel_metric",
    "leaky_relu",
    "line_slice",
    "log_volume",
    "mesh_size",
    "monomial",
    "normalised_entropy",
    "null_mesh",
    "null_space",
    "null_walk",
    "partial_rank_correlation",
    "plane_slice",
    "polynomial_geometry",
    "principal_plane",
    "project_to_null_space",
    "published_walk",
    "pullback_metric",
    "random_plane",
    "rank_correlation",
    "rank_correlation_terms",
    "rbf_geometry",
    "relu_walk",
    "rescaled_metric",
    "scalar_curvature",
    "uniform_walk",
    "volume_report",
    "volume_spectrum",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Activation": "repgeo.geometry.moments",
        "CurvatureReport": "repgeo.geometry.curvature",
        "NullMesh": "repgeo.geometry.walks.null_mesh",
        "NullSpace": "repgeo.geometry.walks.null_space",
        "PrecisionWarning": "repgeo.geometry.determinants",
        "PublishedRule": "repgeo.geometry.walks.published_walk",
        "RadialGeometry": "repgeo.geometry.kernels",
        "RegionWalk": "repgeo.geometry.walks.relu_walk",
        "ShallowNetwork": "repgeo.geometry.shallow",
        "Slice": "repgeo.geometry.slices",
        "UniformWalk": "repgeo.geometry.walks.uniform_walk",
        "VolumeReport": "repgeo.geometry.volume",
        "Walk": "repgeo.geometry.walks.walk",
        "WalkSpec": "repgeo.geometry.walks.walk",
        "boundary_distance": "repgeo.geometry.boundaries",
        "cross_walk": "repgeo.geometry.walks.cross_walk",
        "curvature_report": "repgeo.geometry.curvature",
        "dot_product_geometry": "repgeo.geometry.kernels",
        "jacobian": "repgeo.geometry.jacobians",
        "kernel_geometry": "repgeo.geometry.kernels",
        "kernel_metric": "repgeo.geometry.kernels",
        "leaky_relu": "repgeo.geometry.moments",
        "line_slice": "repgeo.geometry.slices",
        "log_volume": "repgeo.geometry.volume",
        "mesh_size": "repgeo.geometry.walks.null_mesh",
        "monomial": "repgeo.geometry.moments",
        "normalised_entropy": "repgeo.geometry.slices",
        "null_mesh": "repgeo.geometry.walks.null_mesh",
        "null_space": "repgeo.geometry.walks.null_space",
        "null_walk": "repgeo.geometry.walks.null_walk",
        "partial_rank_correlation": "repgeo.geometry.correlation",
        "plane_slice": "repgeo.geometry.slices",
        "polynomial_geometry": "repgeo.geometry.kernels",
        "principal_plane": "repgeo.geometry.slices",
        "project_to_null_space": "repgeo.geometry.walks.null_space",
        "published_walk": "repgeo.geometry.walks.published_walk",
        "pullback_metric": "repgeo.geometry.metric",
        "random_plane": "repgeo.geometry.slices",
        "rank_correlation": "repgeo.geometry.correlation",
        "rank_correlation_terms": "repgeo.geometry.correlation",
        "rbf_geometry": "repgeo.geometry.kernels",
        "relu_walk": "repgeo.geometry.walks.relu_walk",
        "rescaled_metric": "repgeo.geometry.kernels",
        "scalar_curvature": "repgeo.geometry.curvature",
        "uniform_walk": "repgeo.geometry.walks.uniform_walk",
        "volume_report": "repgeo.geometry.volume",
        "volume_spectrum": "repgeo.geometry.spectrum",
    },
)
