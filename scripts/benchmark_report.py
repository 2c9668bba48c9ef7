"""What a benchmark leaves behind: a CSV file, and a page that says how and where it was made."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from repgeo.study.machine import machine_kind, versions

__all__ = ["write_report"]


def write_report(rows: Sequence[Mapping[str, Any]], out: Path, *, title: str, command: str) -> None:
    """Write `out` (CSV) and the same as a page beside it.

    Parameters
    ----------
    rows
        The table, one mapping of the same keys per row.
    out
        The CSV file; the page has its name with the ending `.md`.
    title
        Of the page.
    command
        What makes these files.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    machine = machine_kind()
    about = ", ".join(f"{name} {number}" for name, number in versions().items())
    lines = [
        f"# {title}",
        "",
        f"`{command}`; one thread; {machine['processor']}, {machine['cores']} cores, {about}.",
        "",
        f"| {' | '.join(rows[0])} |",
        "|" + "---|" * len(rows[0]),
        *(f"| {' | '.join(str(value) for value in row.values())} |" for row in rows),
    ]
    out.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")
