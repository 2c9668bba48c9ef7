"""What benchmarks share: variants in processes of their own, and a report of how it was made.

Each variant of each work runs in a process with one thread, several times in turn with the others
of its work, so that what else the machine does meets all alike.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repgeo.study.machine import machine_kind, versions

__all__ = ["Benchmark", "run_benchmark", "write_report"]

Row = dict[str, Any]

THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Benchmark:
    """What a script measures.

    Attributes
    ----------
    script
        Its path.
    title
        Of the report.
    description
        What the script says of itself.
    works
        What each work is called, and what it is.
    variants
        The variants of a work: (work, quick).
    measure
        What one variant takes, in this process: (work, variant, quick).
    summarise
        The row of a variant: (its runs, those of the first variant of its work).
    line
        How a row is printed.
    """

    script: Path
    title: str
    description: str
    works: Mapping[str, str]
    variants: Callable[[str, bool], Collection[str]]
    measure: Callable[[str, str, bool], Row]
    summarise: Callable[[Sequence[Row], Sequence[Row]], Row]
    line: Callable[[Row], str]


def run_benchmark(benchmark: Benchmark) -> None:
    """Run the works that the command line asks for, print them, and write the report."""
    parser = argparse.ArgumentParser(
        description=benchmark.description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ", ".join(benchmark.works)
    parser.add_argument("works", nargs="*", help=f"some of: {names} (all by default)")
    parser.add_argument("--quick", action="store_true", help="small sizes, a few seconds in all")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each variant")
    parser.add_argument("--out", type=Path, help="a CSV file for the table")
    parser.add_argument("--child", nargs=2, metavar=("WORK", "VARIANT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        import torch

        torch.set_num_threads(1)
        print(json.dumps(benchmark.measure(*options.child, options.quick)))
        return
    unknown = [work for work in options.works if work not in benchmark.works]
    if unknown:
        parser.error(f"unknown works {', '.join(unknown)}; known: {names}")
    rows: list[Row] = []
    for work in options.works or benchmark.works:
        print(f"\n{benchmark.works[work]}")
        variants = list(benchmark.variants(work, options.quick))
        runs: dict[str, list[Row]] = {variant: [] for variant in variants}
        for _ in range(options.repeats):
            for variant in variants:
                runs[variant].append(_in_child(benchmark.script, work, variant, options.quick))
        for variant in variants:
            found = benchmark.summarise(runs[variant], runs[variants[0]])
            rows.append({"work": work, "variant": variant, **found, "runs": options.repeats})
            print(f"  {benchmark.line(rows[-1])}")
    if options.out:
        command = " ".join(["python", f"scripts/{benchmark.script.name}", *sys.argv[1:]])
        write_report(rows, options.out, title=benchmark.title, command=command)


def _in_child(script: Path, work: str, variant: str, quick: bool) -> Row:
    command = [sys.executable, str(script), "--child", work, variant]
    command += ["--quick"] if quick else []
    environment = {**os.environ, **THREADS}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{work}, {variant}: {done.stderr.strip()[-2000:]}")
    made: Row = json.loads(done.stdout)
    return made


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
