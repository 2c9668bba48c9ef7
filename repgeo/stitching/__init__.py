"""Stitching: relative projections, translators, linear heads, similarity of representations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.stitching.anchors.bootstrap import AnchorBootstrap, GrownAnchors
    from repgeo.stitching.anchors.choice import choose_anchors
    from repgeo.stitching.anchors.parallel import parallel_anchors
    from repgeo.stitching.death_times import beta_candidates, overlap_coefficient
    from repgeo.stitching.densification import densification_loss
    from repgeo.stitching.linear_head import LinearHead, fit_linear_head
    from repgeo.stitching.persistence import h0_deaths
    from repgeo.stitching.products import ProductProjection
    from repgeo.stitching.projection import PRESETS, RelativeProjection
    from repgeo.stitching.retrieval import Retrieval, retrieve
    from repgeo.stitching.similarity import (
        angular_distance,
        canonical_correlations,
        cka,
        compare,
        cross_barcode,
        cycle_knn,
        distance_correlation,
        mean_cca,
        minibatch_cka,
        mutual_knn,
        nearest_neighbours,
        neighbour_jaccard,
        procrustes_distance,
        pwcca,
        rsa,
        second_order_cosine,
        svcca,
        topology_divergence,
    )
    from repgeo.stitching.stitching_layer import StitchingLayer, stitching_penalty
    from repgeo.stitching.translators.inverse_relative import (
        InverseRelativeProjection,
        InverseRelativeTranslator,
    )
    from repgeo.stitching.translators.least_squares import LeastSquaresTranslator
    from repgeo.stitching.translators.named import TRANSLATORS
    from repgeo.stitching.translators.orthogonal import OrthogonalTranslator, PolarTranslator
    from repgeo.stitching.translators.translator import Translator

__all__ = [
    "PRESETS",
    "TRANSLATORS",
    "AnchorBootstrap",
    "GrownAnchors",
    "InverseRelativeProjection",
    "InverseRelativeTranslator",
    "LeastSquaresTranslator",
    "LinearHead",
    "OrthogonalTranslator",
    "PolarTranslator",
    "ProductProjection",
    "RelativeProjection",
    "Retrieval",
    "StitchingLayer",
    "Translator",
    "angular_distance",
    "beta_candidates",
    "canonical_correlations",
    "choose_anchors",
    "cka",
    "compare",
    "cross_barcode",
    "cycle_knn",
    "densification_loss",
    "distance_correlation",
    "fit_linear_head",
    "h0_deaths",
    "mean_cca",
    "minibatch_cka",
    "mutual_knn",
    "nearest_neighbours",
    "neighbour_jaccard",
    "overlap_coefficient",
    "parallel_anchors",
    "procrustes_distance",
    "pwcca",
    "retrieve",
    "rsa",
    "second_order_cosine",
    "stitching_penalty",
    "svcca",
    "topology_divergence",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "AnchorBootstrap": "repgeo.stitching.anchors.bootstrap",
        "GrownAnchors": "repgeo.stitching.anchors.bootstrap",
        "InverseRelativeProjection": "repgeo.stitching.translators.inverse_relative",
        "InverseRelativeTranslator": "repgeo.stitching.translators.inverse_relative",
        "LeastSquaresTranslator": "repgeo.stitching.translators.least_squares",
        "LinearHead": "repgeo.stitching.linear_head",
        "OrthogonalTranslator": "repgeo.stitching.translators.orthogonal",
        "PolarTranslator": "repgeo.stitching.translators.orthogonal",
        "PRESETS": "repgeo.stitching.projection",
        "ProductProjection": "repgeo.stitching.products",
        "RelativeProjection": "repgeo.stitching.projection",
        "StitchingLayer": "repgeo.stitching.stitching_layer",
        "stitching_penalty": "repgeo.stitching.stitching_layer",
        "TRANSLATORS": "repgeo.stitching.translators.named",
        "Translator": "repgeo.stitching.translators.translator",
        "beta_candidates": "repgeo.stitching.death_times",
        "choose_anchors": "repgeo.stitching.anchors.choice",
        "Retrieval": "repgeo.stitching.retrieval",
        "angular_distance": "repgeo.stitching.similarity",
        "canonical_correlations": "repgeo.stitching.similarity",
        "cka": "repgeo.stitching.similarity",
        "compare": "repgeo.stitching.similarity",
        "cross_barcode": "repgeo.stitching.similarity",
        "cycle_knn": "repgeo.stitching.similarity",
        "distance_correlation": "repgeo.stitching.similarity",
        "mean_cca": "repgeo.stitching.similarity",
        "minibatch_cka": "repgeo.stitching.similarity",
        "mutual_knn": "repgeo.stitching.similarity",
        "nearest_neighbours": "repgeo.stitching.similarity",
        "neighbour_jaccard": "repgeo.stitching.similarity",
        "procrustes_distance": "repgeo.stitching.similarity",
        "pwcca": "repgeo.stitching.similarity",
        "retrieve": "repgeo.stitching.retrieval",
        "rsa": "repgeo.stitching.similarity",
        "second_order_cosine": "repgeo.stitching.similarity",
        "svcca": "repgeo.stitching.similarity",
        "topology_divergence": "repgeo.stitching.similarity",
        "fit_linear_head": "repgeo.stitching.linear_head",
        "parallel_anchors": "repgeo.stitching.anchors.parallel",
        "densification_loss": "repgeo.stitching.densification",
        "h0_deaths": "repgeo.stitching.persistence",
        "overlap_coefficient": "repgeo.stitching.death_times",
    },
)
