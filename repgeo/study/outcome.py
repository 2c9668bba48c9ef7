"""What became of a step: its status, its values or its error, and what it cost."""

from __future__ import annotations

import platform
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from repgeo.probes.intervals import Estimate
from repgeo.probes.measurement import Value
from repgeo.probes.rows import STATUSES
from repgeo.version import __version__

__all__ = ["Cost", "Outcome", "measured_cost"]

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


@dataclass
class Cost:
    """What a step cost; not part of the answer."""

    duration_s: float = 0.0
    peak_mb: float | None = None
    started_at: str = ""
    host: str = ""
    device: str = ""


@dataclass(frozen=True)
class Outcome:
    """The end of one step.

    Attributes
    ----------
    step
        The step's identity.
    status
        "ok", "failed", "timeout", "crashed" or "unsupported" ("blocked" is never stored: it
        follows from the step that failed).
    values
        The numbers of a cell.
    error_type, error
        One line that names the fault.
    log
        The traceback, or where a process was when it was stopped.
    warnings
        What the step warned of, each text once.
    fingerprint
        Digests of the source files involved, to tell results of older code.
    version
        Of repgeo.
    """

    step: str
    status: str
    values: list[Value] = field(default_factory=list)
    error_type: str = ""
    error: str = ""
    log: str = ""
    warnings: tuple[str, ...] = ()
    cost: Cost = field(default_factory=Cost)
    fingerprint: str = ""
    version: str = __version__

    @property
    def ok(self) -> bool:
        """Whether the step was finished as it should."""
        return self.status == "ok"

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        # By hand: `asdict` copies deeply, and this is once per cell.
        values = [{**vars(value), "estimate": vars(value.estimate)} for value in self.values]
        return {**vars(self), "values": values, "cost": vars(self.cost)}

    @staticmethod
    def from_json(table: dict[str, Any]) -> Outcome:
        """From what `to_json` gave (ValueError, TypeError, KeyError for anything else)."""
        if table["status"] not in STATUSES:
            raise ValueError(f"Unknown status {table['status']!r}.")
        values = [
            Value(**{**value, "estimate": Estimate(**value["estimate"])})
            for value in table["values"]
        ]
        told = tuple(table["warnings"])
        return Outcome(
            **{**table, "values": values, "warnings": told, "cost": Cost(**table["cost"])}
        )


@contextmanager
def measured_cost(device: str) -> Iterator[Cost]:
    """Fill in duration and peak memory of what runs inside."""
    cost = Cost(
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        host=platform.node(),
        device=device,
    )
    try:
        _CLEAR_REFS.write_text("5")  # resets the peak that VmHWM tells
    except OSError:
        reset = False
    else:
        reset = True
    started = time.perf_counter()
    try:
        yield cost
    finally:
        cost.duration_s = round(time.perf_counter() - started, 6)
        cost.peak_mb = _peak_mb(reset)


def _peak_mb(reset: bool) -> float:
    if reset:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)
