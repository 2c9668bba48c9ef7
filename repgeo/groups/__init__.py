"""Groups, their representations, and their actions on data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.groups.acting import (
        Group,
    )
    from repgeo.groups.acting_names import named_acting_group
    from repgeo.groups.continuous import (
        O3,
        SE2,
        SE3,
        SO2,
        SO3,
        Translations,
        nearest_rotation,
    )
    from repgeo.groups.conversion import (
        as_representation,
    )
    from repgeo.groups.data_actions import (
        GraphAction,
        PeriodicShift,
        PointCloudAction,
        TokenAction,
        VoxelAction,
    )
    from repgeo.groups.discovery import (
        Discovery,
        candidate_dimensions,
        discover_group,
        pair_moments,
        table_of_commutant,
    )
    from repgeo.groups.discrete import (
        Cyclic,
        Dihedral,
        Icosahedral,
        Octahedral,
        Permutations,
        Polyhedral,
        Tetrahedral,
    )
    from repgeo.groups.escnn_types import (
        EscnnFunction,
        EscnnMap,
        FieldTypeAction,
        from_escnn,
    )
    from repgeo.groups.families import (
        alternating,
        cyclic,
        dicyclic,
        dihedral,
        direct_product,
        from_permutations,
        named_group,
        quaternion,
        rotation_group,
        semidirect_product,
        symmetric,
    )
    from repgeo.groups.finite_group import (
        FiniteGroup,
        from_table,
    )
    from repgeo.groups.fourier import (
        FourierCoefficients,
        bispectrum,
        fourier_transform,
        inverse_fourier_transform,
        power_spectrum,
    )
    from repgeo.groups.image_actions import (
        IMAGE_TRANSFORMATIONS,
        ImageAction,
        actions_on_images,
        circular_shifts,
        flips,
        quarter_turns,
        zero_filled_shifts,
    )
    from repgeo.groups.image_rotations import (
        ImageRotations,
        ImageShifts,
    )
    from repgeo.groups.irreducible import (
        Irrep,
        character_table,
        irreps,
        numerical_irreps,
    )
    from repgeo.groups.irreps_representation import (
        IrrepsRepresentation,
        parse_irreps,
    )
    from repgeo.groups.isomorphism import (
        find_isomorphism,
        identify_group,
    )
    from repgeo.groups.isotypic import (
        Component,
        FourierScore,
        InvariancePurity,
        SharedSubspace,
        fourier_score,
        invariance_purity,
        isotypic_components,
        principal_angles,
    )
    from repgeo.groups.matrix_representations import (
        MatrixRepresentation,
        frequency_representation,
        regular_representation,
        vector_representation,
    )
    from repgeo.groups.products import Product
    from repgeo.groups.recovery import (
        Certificate,
        Recovery,
        associativity_rate,
        certify,
        decode_table,
        homomorphism_error,
        latin_rate,
        recover_table,
    )
    from repgeo.groups.regular_images import RegularImages
    from repgeo.groups.representations import (
        CallableAction,
        DirectSum,
        FieldsAction,
        Representation,
        Trivial,
    )
    from repgeo.groups.resampling import (
        resample,
    )
    from repgeo.groups.spectral_invariance import (
        expected_invariance_loss,
        pairs_invariance_loss,
        spectral_outputs,
        spectral_regulariser,
    )
    from repgeo.groups.wigner import (
        WignerCache,
        rotation_generators,
        wigner_matrices,
    )
    from repgeo.groups.written_actions import representation_of

_MODULES = {
    "acting": ("Group",),
    "acting_names": ("named_acting_group",),
    "continuous": (
        "O3",
        "SE2",
        "SE3",
        "SO2",
        "SO3",
        "Translations",
        "nearest_rotation",
    ),
    "data_actions": (
        "GraphAction",
        "PeriodicShift",
        "PointCloudAction",
        "TokenAction",
        "VoxelAction",
    ),
    "discrete": (
        "Cyclic",
        "Dihedral",
        "Icosahedral",
        "Octahedral",
        "Permutations",
        "Polyhedral",
        "Tetrahedral",
    ),
    "image_rotations": (
        "ImageRotations",
        "ImageShifts",
    ),
    "conversion": ("as_representation",),
    "irreps_representation": (
        "IrrepsRepresentation",
        "parse_irreps",
    ),
    "matrix_representations": (
        "MatrixRepresentation",
        "frequency_representation",
        "regular_representation",
        "representation_of",
        "vector_representation",
    ),
    "regular_images": ("RegularImages",),
    "representations": (
        "CallableAction",
        "DirectSum",
        "FieldsAction",
        "Representation",
        "Trivial",
    ),
    "resampling": ("resample",),
    "wigner": (
        "WignerCache",
        "rotation_generators",
        "wigner_matrices",
    ),
    "written_actions": ("representation_of",),
    "discovery": (
        "Discovery",
        "candidate_dimensions",
        "discover_group",
        "pair_moments",
        "table_of_commutant",
    ),
    "escnn_types": (
        "EscnnFunction",
        "EscnnMap",
        "FieldTypeAction",
        "from_escnn",
    ),
    "families": (
        "alternating",
        "cyclic",
        "dicyclic",
        "dihedral",
        "direct_product",
        "from_permutations",
        "named_group",
        "quaternion",
        "rotation_group",
        "semidirect_product",
        "symmetric",
    ),
    "finite_group": (
        "FiniteGroup",
        "from_table",
    ),
    "fourier": (
        "FourierCoefficients",
        "bispectrum",
        "fourier_transform",
        "inverse_fourier_transform",
        "power_spectrum",
    ),
    "isotypic": (
        "Component",
        "FourierScore",
        "InvariancePurity",
        "SharedSubspace",
        "fourier_score",
        "invariance_purity",
        "isotypic_components",
        "principal_angles",
    ),
    "image_actions": (
        "IMAGE_TRANSFORMATIONS",
        "ImageAction",
        "actions_on_images",
        "circular_shifts",
        "flips",
        "quarter_turns",
        "zero_filled_shifts",
    ),
    "irreducible": (
        "Irrep",
        "character_table",
        "irreps",
        "numerical_irreps",
    ),
    "isomorphism": (
        "find_isomorphism",
        "identify_group",
    ),
    "products": ("Product",),
    "recovery": (
        "Certificate",
        "Recovery",
        "associativity_rate",
        "certify",
        "decode_table",
        "homomorphism_error",
        "latin_rate",
        "recover_table",
    ),
    "spectral_invariance": (
        "expected_invariance_loss",
        "pairs_invariance_loss",
        "spectral_outputs",
        "spectral_regulariser",
    ),
}

__all__ = [
    "IMAGE_TRANSFORMATIONS",
    "O3",
    "SE2",
    "SE3",
    "SO2",
    "SO3",
    "CallableAction",
    "Certificate",
    "Component",
    "Cyclic",
    "Dihedral",
    "DirectSum",
    "Discovery",
    "EscnnFunction",
    "EscnnMap",
    "FieldTypeAction",
    "FieldsAction",
    "FiniteGroup",
    "FourierCoefficients",
    "FourierScore",
    "GraphAction",
    "Group",
    "Icosahedral",
    "ImageAction",
    "ImageRotations",
    "ImageShifts",
    "InvariancePurity",
    "Irrep",
    "IrrepsRepresentation",
    "MatrixRepresentation",
    "Octahedral",
    "PeriodicShift",
    "Permutations",
    "PointCloudAction",
    "Polyhedral",
    "Product",
    "Recovery",
    "RegularImages",
    "Representation",
    "SharedSubspace",
    "Tetrahedral",
    "TokenAction",
    "Translations",
    "Trivial",
    "VoxelAction",
    "WignerCache",
    "actions_on_images",
    "alternating",
    "as_representation",
    "associativity_rate",
    "bispectrum",
    "candidate_dimensions",
    "certify",
    "character_table",
    "circular_shifts",
    "cyclic",
    "decode_table",
    "dicyclic",
    "dihedral",
    "direct_product",
    "discover_group",
    "expected_invariance_loss",
    "find_isomorphism",
    "flips",
    "fourier_score",
    "fourier_transform",
    "frequency_representation",
    "from_escnn",
    "from_permutations",
    "from_table",
    "homomorphism_error",
    "identify_group",
    "invariance_purity",
    "inverse_fourier_transform",
    "irreps",
    "isotypic_components",
    "latin_rate",
    "named_acting_group",
    "named_group",
    "nearest_rotation",
    "numerical_irreps",
    "pair_moments",
    "pairs_invariance_loss",
    "parse_irreps",
    "power_spectrum",
    "principal_angles",
    "quarter_turns",
    "quaternion",
    "recover_table",
    "regular_representation",
    "representation_of",
    "resample",
    "rotation_generators",
    "rotation_group",
    "semidirect_product",
    "spectral_outputs",
    "spectral_regulariser",
    "symmetric",
    "table_of_commutant",
    "vector_representation",
    "wigner_matrices",
    "zero_filled_shifts",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {name: f"repgeo.groups.{module}" for module, names in _MODULES.items() for name in names},
)
