"""Studies: task files, steps and their identity, the ledger, the engines, the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.study.evaluation import evaluate
    from repgeo.study.running import RunOptions, run
    from repgeo.study.table import read

__all__ = ["RunOptions", "evaluate", "read", "run"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "RunOptions": "repgeo.study.running",
        "evaluate": "repgeo.study.evaluation",
        "read": "repgeo.study.table",
        "run": "repgeo.study.running",
    },
)
