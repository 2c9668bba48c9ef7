"""Equivariance: how the codes change when the inputs are moved, for any group that acts.

Errors over a group (`equivariance_error`, by layer, and whether it is rounding), the equivariant
share of a function (`reynolds_score`), infinitely small elements (`lie_derivative`), retrieval and
rollouts, poses up to their gauge, disentanglement (`d_lsbd`), kernels of orbits
(`stationarity_defect`), and what tells an equivariant map from a constant one (`orbit_separation`,
`stabiliser_order`). Read an error beside one of the last: a constant is equivariant.

Left out: the read-out of the element from a pair of codes (a regression, which belongs to a probe);
D_LSBD for factors other than circles on full grids; D_LSBD of sets of modes; spectral decay during
training (singular values are in `repgeo.geometry`); class purity; distributed shift operators
(Bouchacourt et al. 2021) and measures that need an agent's transitions (Caselles-Dupré et al.
2019); projective and spin representations; unitary ones with complex codes (give real and imaginary
parts).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.equivariance.disentanglement import (
        Disentanglement,
        d_lsbd,
        plane_angles,
        plane_entanglement,
    )
    from repgeo.equivariance.error import (
        invariance_error,
        relative_change,
        typical_distance,
    )
    from repgeo.equivariance.generators import (
        orbit_tangents,
    )
    from repgeo.equivariance.group_error import (
        Exactness,
        GroupError,
        action_error,
        equivariance_error,
        exactness,
        layerwise_equivariance_error,
    )
    from repgeo.equivariance.injectivity import (
        OrbitSeparation,
        closure_defect,
        coset_hausdorff,
        orbit_separation,
        stabiliser_order,
    )
    from repgeo.equivariance.invariance import (
        distance_invariance,
        flip_rate,
        predictive_invariance,
        saliency_invariance,
    )
    from repgeo.equivariance.lie_derivatives import (
        Cut,
        CutDerivative,
        LayerDerivative,
        lie_derivative,
        lie_derivative_cuts,
        lie_derivative_layers,
        local_equivariance_error,
    )
    from repgeo.equivariance.linear_actions import (
        FittedRotation,
        gram_defect,
        homomorphism_defect,
        wahba,
    )
    from repgeo.equivariance.moving import (
        choose_elements,
    )
    from repgeo.equivariance.poses import (
        PoseError,
        pose_error,
        prediction_retrieval_error,
        rotation_angles,
    )
    from repgeo.equivariance.ranking import (
        Retrieval,
        class_pose_distances,
        retrieval,
        retrieval_of_distances,
        rollout,
        rollout_retrieval,
    )
    from repgeo.equivariance.reynolds import (
        ReynoldsScore,
        reynolds_score,
    )
    from repgeo.equivariance.stationarity import (
        Stationarity,
        stationarity_defect,
    )

_MODULES = {
    "disentanglement": (
        "Disentanglement",
        "d_lsbd",
        "plane_angles",
        "plane_entanglement",
    ),
    "error": (
        "invariance_error",
        "relative_change",
        "typical_distance",
    ),
    "generators": ("orbit_tangents",),
    "group_error": (
        "Exactness",
        "GroupError",
        "action_error",
        "equivariance_error",
        "exactness",
        "layerwise_equivariance_error",
    ),
    "injectivity": (
        "OrbitSeparation",
        "closure_defect",
        "coset_hausdorff",
        "orbit_separation",
        "stabiliser_order",
    ),
    "invariance": (
        "distance_invariance",
        "flip_rate",
        "predictive_invariance",
        "saliency_invariance",
    ),
    "lie_derivatives": (
        "Cut",
        "CutDerivative",
        "LayerDerivative",
        "lie_derivative",
        "lie_derivative_cuts",
        "lie_derivative_layers",
        "local_equivariance_error",
    ),
    "linear_actions": (
        "FittedRotation",
        "gram_defect",
        "homomorphism_defect",
        "wahba",
    ),
    "moving": ("choose_elements",),
    "poses": (
        "PoseError",
        "pose_error",
        "prediction_retrieval_error",
        "rotation_angles",
    ),
    "ranking": (
        "Retrieval",
        "class_pose_distances",
        "retrieval",
        "retrieval_of_distances",
        "rollout",
        "rollout_retrieval",
    ),
    "reynolds": (
        "ReynoldsScore",
        "reynolds_score",
    ),
    "stationarity": (
        "Stationarity",
        "stationarity_defect",
    ),
}

__all__ = [
    "Cut",
    "CutDerivative",
    "Disentanglement",
    "Exactness",
    "FittedRotation",
    "GroupError",
    "LayerDerivative",
    "OrbitSeparation",
    "PoseError",
    "Retrieval",
    "ReynoldsScore",
    "Stationarity",
    "action_error",
    "choose_elements",
    "class_pose_distances",
    "closure_defect",
    "coset_hausdorff",
    "d_lsbd",
    "distance_invariance",
    "equivariance_error",
    "exactness",
    "flip_rate",
    "gram_defect",
    "homomorphism_defect",
    "invariance_error",
    "layerwise_equivariance_error",
    "lie_derivative",
    "lie_derivative_cuts",
    "lie_derivative_layers",
    "local_equivariance_error",
    "orbit_separation",
    "orbit_tangents",
    "plane_angles",
    "plane_entanglement",
    "pose_error",
    "prediction_retrieval_error",
    "predictive_invariance",
    "relative_change",
    "retrieval",
    "retrieval_of_distances",
    "reynolds_score",
    "rollout",
    "rollout_retrieval",
    "rotation_angles",
    "saliency_invariance",
    "stabiliser_order",
    "stationarity_defect",
    "typical_distance",
    "wahba",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {name: f"repgeo.equivariance.{module}" for module, names in _MODULES.items() for name in names},
)
