"""Hyperbolic space: its models, Delaunay graphs, and how two sets of points are mixed in it."""

from repgeo.lazy import lazy_exports

__all__ = [
    "DelaunayGraph",
    "HyperDGA",
    "WrappedNormal",
    "aligned",
    "centroid",
    "convert",
    "delaunay_edges",
    "delaunay_graph",
    "distance",
    "distance_matrix",
    "hyperdga",
    "lorentz_boost",
    "null_law",
    "translate",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "DelaunayGraph": "repgeo.hyperbolic.delaunay",
        "HyperDGA": "repgeo.hyperbolic.alignment",
        "WrappedNormal": "repgeo.hyperbolic.wrapped_normal",
        "aligned": "repgeo.hyperbolic.alignment",
        "centroid": "repgeo.hyperbolic.isometries",
        "convert": "repgeo.hyperbolic.coordinates",
        "delaunay_edges": "repgeo.hyperbolic.delaunay",
        "delaunay_graph": "repgeo.hyperbolic.delaunay",
        "distance": "repgeo.hyperbolic.distances",
        "distance_matrix": "repgeo.hyperbolic.distances",
        "hyperdga": "repgeo.hyperbolic.alignment",
        "lorentz_boost": "repgeo.hyperbolic.isometries",
        "null_law": "repgeo.hyperbolic.alignment",
        "translate": "repgeo.hyperbolic.isometries",
    },
)
