"""Equivariance: how the codes change when the inputs are moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.equivariance.error import invariance_error, relative_change, typical_distance

__all__ = ["invariance_error", "relative_change", "typical_distance"]

__getattr__, __dir__ = lazy_exports(__name__, dict.fromkeys(__all__, "repgeo.equivariance.error"))
