"""Similarity of two representations of the same samples.

Every measure takes codes `(n, features)` of both sides, row by row of the same samples; `compare`
takes sample ids as well and refuses sides whose ids differ. What each does not see, what it gives
for unrelated codes, and in which direction it points is in `MEASURES`.

=========================== =====================================================================
linear kernels              `cka` (unbiased, biased), `minibatch_cka`
canonical correlations      `mean_cca`, `svcca`, `pwcca`
shape metrics               `procrustes_distance`, `angular_distance`
neighbourhoods              `mutual_knn`, `neighbour_jaccard`, `cycle_knn`, `second_order_cosine`
distances between samples   `rsa`, `distance_correlation`
topology                    `topology_divergence`
=========================== =====================================================================

Left out, of what the ReSi benchmark compares (Klabunde et al. 2024, arXiv 2408.00531): GULP, IMD,
geometry score, eigenspace overlap score, linear regression, soft and hard correlation match,
permutation Procrustes, norm of the difference of similarity matrices, rank similarity of
neighbours, and the statistics of one space (magnitude, concentricity, uniformity). Of the platonic
measures (Huh et al. 2024, arXiv 2405.07987): the longest common subsequence and the edit distance
of ordered neighbours, and CKA of neighbours (CKNNA). Of kernels other than the linear one: all.
"""

from __future__ import annotations

from repgeo.stitching.similarity.canonical_analysis import (
    canonical_correlations,
    directions,
    mean_cca,
    pwcca,
    svcca,
)
from repgeo.stitching.similarity.chance import (
    angular_chance,
    biased_cka_chance,
    biased_cka_shuffled,
    cycle_knn_chance,
    mean_cca_chance,
    mutual_knn_chance,
    neighbour_jaccard_chance,
    permutation_chance,
    procrustes_chance,
)
from repgeo.stitching.similarity.distances import (
    distance_correlation,
    rsa,
)
from repgeo.stitching.similarity.kernel_alignment import (
    cka,
    minibatch_cka,
)
from repgeo.stitching.similarity.measures import (
    MEASURES,
    Compared,
    Measure,
    Settings,
    compare,
)
from repgeo.stitching.similarity.neighbourhoods import (
    cycle_knn,
    mutual_knn,
    neighbour_jaccard,
    second_order_cosine,
)
from repgeo.stitching.similarity.neighbours import (
    nearest_neighbours,
)
from repgeo.stitching.similarity.shape_distances import (
    angular_distance,
    procrustes_distance,
)
from repgeo.stitching.similarity.topology import (
    cross_barcode,
    topology_divergence,
)

__all__ = [
    "MEASURES",
    "Compared",
    "Measure",
    "Settings",
    "angular_chance",
    "angular_distance",
    "biased_cka_chance",
    "biased_cka_shuffled",
    "canonical_correlations",
    "cka",
    "compare",
    "cross_barcode",
    "cycle_knn",
    "cycle_knn_chance",
    "directions",
    "distance_correlation",
    "mean_cca",
    "mean_cca_chance",
    "minibatch_cka",
    "mutual_knn",
    "mutual_knn_chance",
    "nearest_neighbours",
    "neighbour_jaccard",
    "neighbour_jaccard_chance",
    "permutation_chance",
    "procrustes_chance",
    "procrustes_distance",
    "pwcca",
    "rsa",
    "second_order_cosine",
    "svcca",
    "topology_divergence",
]
