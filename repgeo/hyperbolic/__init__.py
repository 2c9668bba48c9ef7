"""Hyperbolic space: its models, Delaunay graphs, and how two sets of points are mixed in it."""

from repgeo.lazy import lazy_exports

__all__ = [
    "WrappedNormal",
    "centroid",
    "convert",
    "distance",
    "distance_matrix",
    "lorentz_boost",
    "translate",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "WrappedNormal": "repgeo.hyperbolic.wrapped_normal",
        "centroid": "repgeo.hyperbolic.isometries",
        "convert": "repgeo.hyperbolic.coordinates",
        "distance": "repgeo.hyperbolic.distances",
        "distance_matrix": "repgeo.hyperbolic.distances",
        "lorentz_boost": "repgeo.hyperbolic.isometries",
        "translate": "repgeo.hyperbolic.isometries",
    },
)
