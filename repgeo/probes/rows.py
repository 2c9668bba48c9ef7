"""The columns of the table, and the rows that a cell becomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from repgeo.identity import canonical_json
from repgeo.probes.measurement import Value

if TYPE_CHECKING:
    import pandas as pd

    from repgeo.probes.probe import Probe

__all__ = [
    "COLUMNS",
    "COST_COLUMNS",
    "KEY_COLUMNS",
    "STATUSES",
    "WHERE_KEYS",
    "probe_columns",
    "rows",
    "to_frame",
]

TEXT: Final = "string[python]"  # whether or not pyarrow is there

#: Column -> pandas dtype, in the order of the table.
COLUMNS: Final[dict[str, str]] = {
    "task": TEXT,
    "dataset": TEXT,
    "model": TEXT,
    "model_b": TEXT,
    "layer": TEXT,
    "layer_b": TEXT,
    "probe": TEXT,
    "params": TEXT,
    "metric": TEXT,
    "at": TEXT,
    "value": "float64",
    "unit": TEXT,
    "direction": TEXT,
    "chance": "float64",
    "stderr": "float64",
    "ci_low": "float64",
    "ci_high": "float64",
    "ci_kind": TEXT,
    "n": "Int64",
    "seed": "Int64",
    "status": TEXT,
    "error_type": TEXT,
    "error": TEXT,
    "dtype": TEXT,
    "cell": TEXT,
    "version": TEXT,
    "duration_s": "float64",
    "peak_mb": "float64",
    "started_at": TEXT,
    "host": TEXT,
    "device": TEXT,
}

#: Columns that differ between two runs of the same thing.
COST_COLUMNS: Final = ("duration_s", "peak_mb", "started_at", "host", "device")

#: Columns that tell rows apart.
KEY_COLUMNS: Final = (
    "task",
    "dataset",
    "model",
    "model_b",
    "layer",
    "layer_b",
    "probe",
    "params",
    "metric",
    "at",
    "seed",
)

#: What an expected number is told by: those columns, and for pairs of models the "side", which is
#: "self" for those of a model with itself and "others" for the rest.
WHERE_KEYS: Final = (*KEY_COLUMNS, "side")

STATUSES: Final = ("ok", "failed", "timeout", "crashed", "blocked", "unsupported")


def probe_columns(probe: Probe) -> dict[str, Any]:
    """What the table says of a probe and its parameters (the layers have their own columns)."""
    parameters = probe.parameters()
    parameters.pop("layer", None)
    parameters.pop("layer_b", None)
    pair = probe.arity == 2
    return {
        "probe": probe.name,
        "params": canonical_json(parameters) if parameters else "",
        "layer": probe.cut,
        "layer_b": probe.other_cut if pair else "",
    }


def rows(shared: Mapping[str, Any], values: Iterable[Value]) -> list[dict[str, Any]]:
    """One row per value; `shared` holds what all rows of the cell have in common."""
    found = []
    for value in values:
        row = dict(shared)
        row |= {name: entry for name, entry in vars(value).items() if name != "estimate"}
        row |= vars(value.estimate)
        row["status"] = "ok"
        found.append(row)
    return found


def to_frame(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a typed table with all columns; absent text is "", absent numbers are missing."""
    import pandas as pd

    listed = list(records)
    columns = {}
    for name, dtype in COLUMNS.items():
        values = [record.get(name) for record in listed]
        if dtype == TEXT:
            values = ["" if value is None else str(value) for value in values]
        columns[name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(columns)
