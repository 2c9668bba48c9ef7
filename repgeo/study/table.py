"""The table of a study: one row per number of a cell, exactly one per death."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repgeo.errors import StorageError
from repgeo.probes.rows import COLUMNS, COST_COLUMNS, rows, to_frame
from repgeo.study.atomic import write_atomically
from repgeo.study.outcome import Outcome
from repgeo.study.plan import Plan
from repgeo.study.steps import Step

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["make_table", "read", "to_csv", "write_table"]


def make_table(plan: Plan, outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """The rows of all steps that ended, in the order of the plan.

    Parameters
    ----------
    plan
        All steps of the study.
    outcomes
        The recorded outcomes by step; steps without one have no row, unless a step they need
        did not end well: then they are `blocked`.
    """
    records: list[dict[str, Any]] = []
    steps = {step.id: step for step in plan.steps}
    for step in plan.steps:
        outcome = outcomes.get(step.id)
        if outcome is None:
            outcome = _consequence(step, steps, outcomes)
        if outcome is not None and (step.kind == "measure" or not _told_by_cells(outcome)):
            records += _rows(plan.task, step, outcome)
    return to_frame(records)


def _told_by_cells(outcome: Outcome) -> bool:
    # The death of a training or a preparation is a row of its own. That a model lacks what a pair
    # probe requires is said by the cells of its pairs.
    return outcome.status in ("ok", "unsupported")


def _consequence(
    step: Step, steps: Mapping[str, Step], outcomes: Mapping[str, Outcome]
) -> Outcome | None:
    """What the end of a needed step means for one that never ran."""
    if step.kind != "measure":
        return None
    for cause in _needed(step, steps):
        ended = outcomes.get(cause.id)
        if ended is not None and ended.status == "unsupported":
            return Outcome(step.id, "unsupported", error_type=ended.error_type, error=ended.error)
        if ended is not None and not ended.ok:
            text = f"not run, because the {cause.title}, ended as {ended.status}: {ended.error}"
            return Outcome(step.id, "blocked", error_type=ended.error_type, error=text)
    return None


def _needed(step: Step, steps: Mapping[str, Step]) -> Iterator[Step]:
    for name in step.needs:
        if name in steps:
            yield from _needed(steps[name], steps)
            yield steps[name]


def _rows(task: str, step: Step, outcome: Outcome) -> list[dict[str, Any]]:
    shared: dict[str, Any] = {
        "task": task,
        "dataset": step.dataset.label if step.dataset is not None else "",
        "model": step.models[0].label,
        "model_b": step.models[1].label if len(step.models) > 1 else "",
        "seed": step.seed,
        "dtype": step.models[0].dtype,
        "cell": step.id,
        "version": outcome.version,
        "status": outcome.status,
        **(step.probe.columns if step.probe is not None else {}),
        **vars(outcome.cost),
    }
    if outcome.ok:
        return rows(shared, outcome.values)
    shared |= {"error_type": outcome.error_type, "error": outcome.error}
    return [shared]


def to_csv(frame: pd.DataFrame) -> str:
    """The table as CSV text: floats in their shortest exact form, absent numbers empty."""
    return frame.to_csv(index=False, lineterminator="\n")


def write_table(frame: pd.DataFrame, folder: Path, *, parquet: bool = False) -> Path:
    """Write `table.csv` (and `table.parquet`), whole or not at all."""
    path = folder / "table.csv"
    write_atomically(path, to_csv(frame))
    if parquet:
        from repgeo.errors import MissingExtraError

        try:
            import pyarrow  # noqa: F401
        except ModuleNotFoundError:
            raise MissingExtraError("pyarrow", "parquet", "--parquet") from None
        write_atomically(folder / "table.parquet", lambda p: frame.to_parquet(p, index=False))
    return path


def read(path: str | Path) -> pd.DataFrame:
    """Read a table: typed, with absent text as "" and absent numbers as missing.

    Parameters
    ----------
    path
        A `table.csv`, a `table.parquet`, or a study's folder.

    Raises
    ------
    StorageError
        If there is no table, or it lacks columns.
    """
    import pandas as pd

    place = Path(path)
    place = place / "table.csv" if place.is_dir() else place
    if not place.is_file():
        raise StorageError(f"There is no table {str(place)!r}. Run the study first: repgeo run.")
    try:
        frame = pd.read_parquet(place) if place.suffix == ".parquet" else _read_csv(place)
    except (ValueError, OSError) as error:
        raise StorageError(f"{str(place)!r} is not a table of repgeo: {error}") from None
    missing = [name for name in COLUMNS if name not in frame and name not in COST_COLUMNS]
    if missing:
        raise StorageError(f"{str(place)!r} is not a table of repgeo: it lacks {missing}.")
    present = {name: dtype for name, dtype in COLUMNS.items() if name in frame}
    return frame[list(present)].astype(present)


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(
        path,
        dtype={name: dtype for name, dtype in COLUMNS.items() if dtype != "float64"},
        # Python reads floats to the last bit; the parser of older versions of pandas does not.
        converters={name: _number for name, dtype in COLUMNS.items() if dtype == "float64"},
        keep_default_na=False,
        na_values={name: [""] for name, dtype in COLUMNS.items() if dtype == "Int64"},
    )


def _number(text: str) -> float:
    return float(text) if text else math.nan
