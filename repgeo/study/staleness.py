"""Cells that an older state of the code computed."""

from __future__ import annotations

from pathlib import Path

from repgeo.errors import StorageError
from repgeo.study.ledger import Ledger
from repgeo.study.planning import make_plan
from repgeo.study.taskfile import parse_task

__all__ = ["stale_cells"]


def stale_cells(folder: Path) -> list[str]:
    """The titles of recorded steps whose code has changed since, by its fingerprint.

    Raises
    ------
    StorageError
        If the folder holds no study.
    """
    study = Ledger(folder).study()
    if "places" not in study:  # published results do not tell them
        raise StorageError(f"There is no study in {str(folder)!r}: run it first, repgeo run.")
    places = {name: Path(place) for name, place in study["places"].items()}
    ledger = Ledger(folder, places["weights"])
    file = parse_task(
        study["contents"], name=study["task"], folder=places["task"], source=str(folder)
    )
    plan = make_plan(file, study["seeds"])
    recorded = ((step, ledger.outcome(step)) for step in plan.steps)
    return [
        step.title
        for step, outcome in recorded
        if outcome is not None and outcome.fingerprint != step.fingerprint
    ]
