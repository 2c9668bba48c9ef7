"""Reports: aggregates over seeds, tables in several formats, the static leaderboard, figures.

The functions `aggregate` and `ledger` share their names with their modules, so they are imported
from there: `from repgeo.report.aggregate import aggregate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.report.aggregate import Aggregate, Entry
    from repgeo.report.comparison import compare
    from repgeo.report.coordinates import compare_along
    from repgeo.report.figures import available, draw_probe
    from repgeo.report.leaderboard import leaderboard_html
    from repgeo.report.ledger import Verdict
    from repgeo.report.pairing import paired_differences
    from repgeo.report.tables import as_text, render, summary_lines

__all__ = [
    "Aggregate",
    "Entry",
    "Verdict",
    "as_text",
    "available",
    "compare",
    "compare_along",
    "draw_probe",
    "leaderboard_html",
    "paired_differences",
    "render",
    "summary_lines",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Aggregate": "repgeo.report.aggregate",
        "Entry": "repgeo.report.aggregate",
        "Verdict": "repgeo.report.ledger",
        "as_text": "repgeo.report.tables",
        "available": "repgeo.report.figures",
        "compare": "repgeo.report.comparison",
        "compare_along": "repgeo.report.coordinates",
        "draw_probe": "repgeo.report.figures",
        "leaderboard_html": "repgeo.report.leaderboard",
        "paired_differences": "repgeo.report.pairing",
        "render": "repgeo.report.tables",
        "summary_lines": "repgeo.report.tables",
    },
)
