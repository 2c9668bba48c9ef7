"""Starts of a study of groups, pooled over task seeds: successes, exact tables, and failures.

Every start has initial weights of its own, and where the loss is an expectation in closed form
nothing else is drawn: starts of all seeds are draws of one law, and a share of them has Wilson's
interval. (The study's table has the shares of each seed.)

    python scripts/starts_over_seeds.py results/harmonics_groups
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from repgeo.probes.intervals import estimate

if TYPE_CHECKING:
    import pandas as pd

#: Shares of the failed starts.
FAILURES = ("misplaced_failures", "missing_failures")


def counted(rows: pd.DataFrame, metric: str) -> tuple[int, int]:
    """How many samples of a share are ones, and how many there are, over all seeds."""
    rows = rows[rows["metric"] == metric]
    sizes = rows["n"].astype(int)
    return round(float((rows["value"] * sizes).sum())), int(sizes.sum())


def share(hits: int, n: int) -> str:
    """A share with its counts and its interval."""
    if not n:
        return ""
    samples = np.concatenate([np.ones(hits), np.zeros(n - hits)])
    rng = np.random.default_rng(0)  # Wilson's interval draws nothing
    found = estimate(samples, "proportion", ids=None, rng=rng)
    return f"{hits} of {n} ({found.ci_low:.2f} to {found.ci_high:.2f})"


def lines(frame: pd.DataFrame) -> Iterator[str]:
    """One line for each dataset and model that has more than one start."""
    frame = frame[(frame["probe"] == "cayley_recovery") & (frame["status"] == "ok")]
    for key, rows in frame.groupby(["dataset", "model", "params"], sort=False):
        starts = rows[rows["metric"] == "starts"]["value"]
        if starts.max() < 2:
            continue
        errors = rows[rows["metric"] == "homomorphism_error"]["value"]
        kept = f"{int((errors < 0.05).sum())} of {len(errors)}"
        shares = [share(*counted(rows, name)) for name in ("success", "exact_starts", *FAILURES)]
        told = "published" if '"distance":"published"' in str(key[2]) else "Plancherel"
        group = str(key[0]).partition("group=")[2].rstrip("]")
        cells = [group, str(key[1]), told, kept, f"{errors.max():.2g}", *shares]
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Read a study, print the page and write it beside it."""
    from repgeo.study.table import read

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of a study, or of its published results")
    parser.add_argument("--out", type=Path, help="a page (starts.md in the folder)")
    options = parser.parse_args()
    found = list(lines(read(options.folder)))
    if not found:
        parser.error("the study has no models with several starts")
    head = [
        "# Starts, pooled over seeds",
        "",
        f"Made by `python scripts/starts_over_seeds.py {options.folder}`. Success: a homomorphism "
        "error below 0.05. Intervals: Wilson, 95 %, over starts. The seeds are those whose kept "
        "start, the one with the smallest loss, succeeds. Of the starts that fail: in how many a "
        "block holds more than a tenth of its energy in representations of other dimensions "
        "(misplaced), and in how many some representation is the main content of no block of its "
        "dimension (missing).",
        "",
        "| group | model | decoded by | seeds | largest error kept | success | exact tables "
        "| misplaced, of failures | missing, of failures |",
        "|:--|:--|:--|--:|--:|--:|--:|--:|--:|",
    ]
    text = "\n".join([*head, *found])
    print(text)
    (options.out or options.folder / "starts.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
