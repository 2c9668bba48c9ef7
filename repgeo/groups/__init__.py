"""Groups, their representations, and their actions on data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
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
    from repgeo.groups.finite_group import FiniteGroup, from_table
    from repgeo.groups.image_actions import (
        IMAGE_TRANSFORMATIONS,
        ImageAction,
        actions_on_images,
        circular_shifts,
        flips,
        quarter_turns,
        zero_filled_shifts,
    )
    from repgeo.groups.isomorphism import find_isomorphism, identify_group

_EXPORTS = {
    "FiniteGroup": "repgeo.groups.finite_group",
    "IMAGE_TRANSFORMATIONS": "repgeo.groups.image_actions",
    "ImageAction": "repgeo.groups.image_actions",
    "actions_on_images": "repgeo.groups.image_actions",
    "alternating": "repgeo.groups.families",
    "circular_shifts": "repgeo.groups.image_actions",
    "cyclic": "repgeo.groups.families",
    "dicyclic": "repgeo.groups.families",
    "dihedral": "repgeo.groups.families",
    "direct_product": "repgeo.groups.families",
    "find_isomorphism": "repgeo.groups.isomorphism",
    "flips": "repgeo.groups.image_actions",
    "from_permutations": "repgeo.groups.families",
    "from_table": "repgeo.groups.finite_group",
    "identify_group": "repgeo.groups.isomorphism",
    "named_group": "repgeo.groups.families",
    "quarter_turns": "repgeo.groups.image_actions",
    "quaternion": "repgeo.groups.families",
    "rotation_group": "repgeo.groups.families",
    "semidirect_product": "repgeo.groups.families",
    "symmetric": "repgeo.groups.families",
    "zero_filled_shifts": "repgeo.groups.image_actions",
}

__all__ = [
    "IMAGE_TRANSFORMATIONS",
    "FiniteGroup",
    "ImageAction",
    "actions_on_images",
    "alternating",
    "circular_shifts",
    "cyclic",
    "dicyclic",
    "dihedral",
    "direct_product",
    "find_isomorphism",
    "flips",
    "from_permutations",
    "from_table",
    "identify_group",
    "named_group",
    "quarter_turns",
    "quaternion",
    "rotation_group",
    "semidirect_product",
    "symmetric",
    "zero_filled_shifts",
]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
