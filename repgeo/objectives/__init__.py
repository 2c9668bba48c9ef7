"""Objectives: what a model is trained for, batches and a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.objectives.cross_entropy import CrossEntropy
    from repgeo.objectives.densification import Densification, RelativeDensification
    from repgeo.objectives.mean_squared_error import MeanSquaredError
    from repgeo.objectives.objective import Objective
    from repgeo.objectives.relative_cross_entropy import RelativeCrossEntropy

__all__ = [
    "CrossEntropy",
    "Densification",
    "MeanSquaredError",
    "Objective",
    "RelativeCrossEntropy",
    "RelativeDensification",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "CrossEntropy": "repgeo.objectives.cross_entropy",
        "Densification": "repgeo.objectives.densification",
        "MeanSquaredError": "repgeo.objectives.mean_squared_error",
        "Objective": "repgeo.objectives.objective",
        "RelativeCrossEntropy": "repgeo.objectives.relative_cross_entropy",
        "RelativeDensification": "repgeo.objectives.densification",
    },
)
