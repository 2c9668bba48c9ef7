"""Paired tests of every setting of a study against some of them, over task seeds.

A value of a setting at a seed is the mean over its replicas (models whose labels differ in what
follows "#" only); for stitching, over the ordered pairs of different replicas. The test is
Student's paired t-test over seeds, two-sided; p is not adjusted, "Holm" is p after Holm's method
over the settings that are compared in one number.

    python scripts/densification_test.py results/densification --baseline off plain
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from repgeo.report.pairing import paired_differences

if TYPE_CHECKING:
    import pandas as pd

#: What is tested: name, probe, metric, and what the coordinates must hold.
NUMBERS = (
    ("accuracy", "accuracy", "accuracy", {}),
    ("mean death time of classes", "topology", "death_mean", {"cloud": "class"}),
    ("the same against the mean distance", "topology", "relative_death", {"cloud": "class"}),
    ("overlap of death times before and after the relative layer", "topology", "overlap", {}),
    ("accuracy of stitching", "relative_stitching", "accuracy", {}),
)


@dataclass(frozen=True)
class Line:
    """One setting against the baseline in one number."""

    setting: str
    mean: float
    difference: float
    low: float | None
    high: float | None
    p: float
    n: int


def setting_of(model: str) -> str:
    """The model without the number of its replica."""
    return model.partition("#")[0]


def by_setting(rows: pd.DataFrame) -> dict[str, dict[int, float]]:
    """Setting -> seed -> mean over replicas, or over pairs of different ones."""
    pairs = rows["model_b"].fillna("") != ""
    rows = rows[~pairs | (rows["model"] != rows["model_b"])]
    rows = rows.assign(setting=[setting_of(str(model)) for model in rows["model"]])
    found: dict[str, dict[int, float]] = {}
    for (setting, seed), part in rows.groupby(["setting", "seed"], sort=False):
        found.setdefault(str(setting), {})[int(seed)] = float(part["value"].mean())
    return found


def tested(values: Mapping[str, Mapping[int, float]], baseline: str) -> Iterator[Line]:
    """Every other setting against the baseline."""
    from scipy.stats import ttest_rel

    base = values[baseline]
    for setting, mine in values.items():
        seeds = sorted(set(mine) & set(base))
        if setting == baseline or not seeds:
            continue
        pairs = np.array([(mine[seed], base[seed]) for seed in seeds])
        differs = len(seeds) > 1 and np.ptp(pairs[:, 0] - pairs[:, 1]) > 0
        p = float(ttest_rel(pairs[:, 0], pairs[:, 1]).pvalue) if differs else float("nan")
        found = paired_differences(mine, base)
        mean = float(pairs[:, 0].mean())
        yield Line(setting, mean, found.value, found.ci_low, found.ci_high, p, len(seeds))


def holm(p: list[float]) -> list[float]:
    """Values of p adjusted by Holm's method; NaN stays."""
    order = [k for k in sorted(range(len(p)), key=lambda k: p[k]) if p[k] == p[k]]
    adjusted, least = [float("nan")] * len(p), 0.0
    for rank, k in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p[k]))
        adjusted[k] = least
    return adjusted


def tables(frame: pd.DataFrame, baseline: str) -> Iterator[str]:
    """A table of each number that the study has."""
    frame = frame[frame["status"] == "ok"]
    for name, probe, metric, wanted in NUMBERS:
        rows = frame[(frame["probe"] == probe) & (frame["metric"] == metric)]
        coordinates = [json.loads(str(at)) if at else {} for at in rows["at"].fillna("")]
        rows = rows.loc[np.array([wanted.items() <= at.items() for at in coordinates], dtype=bool)]
        for key, part in rows.groupby(["layer", "at"], sort=False, dropna=False):
            values = by_setting(part)
            if baseline not in values:
                continue
            layer, at = (str(text) for text in key)
            several = rows["layer"].nunique() > 1
            told = ([f"layer {layer}"] if several else []) + ([at] if metric == "accuracy" else [])
            title = ", ".join([name, *(text for text in told if text not in ("", "nan"))])
            base = np.mean(list(values[baseline].values()))
            lines = list(tested(values, baseline))
            yield "\n".join(
                [
                    f"## {title}",
                    "",
                    f"{baseline}: {base:.4g}",
                    "",
                    "| setting | mean | difference | 95 % interval | p | Holm | seeds |",
                    "|:--|--:|--:|--:|--:|--:|--:|",
                    *map(row, lines, holm([line.p for line in lines])),
                ]
            )


def row(line: Line, adjusted: float) -> str:
    """One line of a table."""
    bounds = "" if line.low is None or line.high is None else f"{line.low:+.4f} to {line.high:+.4f}"
    return (
        f"| {line.setting} | {line.mean:.4g} | {line.difference:+.4f} | {bounds} | {line.p:.2g} | "
        f"{adjusted:.2g} | {line.n} |"
    )


def main() -> None:
    """Read a study, print the tests and write them beside it."""
    from repgeo.study.table import read

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of a study, or of its published results")
    parser.add_argument(
        "--baseline", nargs="+", default=["off", "plain"], help="the settings to compare with"
    )
    parser.add_argument("--out", type=Path, help="a page (tests.md in the folder)")
    options = parser.parse_args()
    frame = read(options.folder)
    for baseline in options.baseline:
        if baseline not in {setting_of(str(model)) for model in frame["model"]}:
            parser.error(f"the study has no setting {baseline!r}")
    names = " ".join(options.baseline)
    command = f"python scripts/densification_test.py {options.folder} --baseline {names}"
    parts = [
        "# Paired tests over seeds",
        f"Made by `{command}`: Student's paired t-test over task seeds of each setting against a "
        "baseline, two-sided; replicas are averaged. p is not adjusted; Holm is p adjusted for the "
        "settings of a table.",
    ]
    for baseline in options.baseline:
        parts += [f"# Against {baseline}", *tables(frame, baseline)]
    text = "\n\n".join(parts)
    print(text)
    (options.out or options.folder / "tests.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
