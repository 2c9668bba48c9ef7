"""What is made of a study folder: figures, leaderboard, and the files that are committed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from repgeo.errors import InputError, StorageError
from repgeo.probes.rows import COST_COLUMNS
from repgeo.report.comparison import compare, model_comparison_lines
from repgeo.report.coordinates import compare_along, comparison_lines
from repgeo.report.figures import draw_probe, figures_of
from repgeo.report.leaderboard import leaderboard_html
from repgeo.report.ledger import Verdict, ledger
from repgeo.report.overviews import overviews
from repgeo.report.tables import render
from repgeo.study.atomic import write_atomically
from repgeo.study.ledger import Ledger
from repgeo.study.locating import task_files
from repgeo.study.table import read, write_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "draw_figures",
    "publish_study",
    "reproduction_lines",
    "verdict_line",
    "write_leaderboard",
]


def _study(folder: Path) -> dict[str, Any]:
    study = Ledger(folder).study()
    if not study:
        raise StorageError(f"There is no study in {str(folder)!r}. Run it first: repgeo run.")
    return study


def _expected(study: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(study.get("contents", {}).get("expected", []))


def _notes(study: Mapping[str, Any]) -> list[str]:
    """What the task says of itself, and whose work it follows."""
    header = study.get("contents", {}).get("task", {})
    cited = [f"Source: {header['cite']}."] if header.get("cite") else []
    return [*header.get("notes", []), *cited]


def draw_figures(folder: Path, out: Path) -> list[Path]:
    """Draw every figure that the study's probes have, from the stored arrays; their paths."""
    frame = read(folder)
    store = Ledger(folder)

    def arrays(cell: str) -> Mapping[str, np.ndarray]:
        return store.arrays(cell)

    drawn = []
    for name in figures_of(frame):
        out.mkdir(parents=True, exist_ok=True)
        drawn.append(draw_probe(name, frame, arrays, out / f"{name}.png"))
    return drawn


def write_leaderboard(folder: Path, path: Path) -> Path:
    """Write the leaderboard of a study as one static page."""
    study = _study(folder)
    frame = read(folder)
    page = leaderboard_html(
        frame,
        title=study.get("title") or study["task"],
        expected=_expected(study),
        notes=_notes(study),
    )
    write_atomically(path, page)
    return path


def publish_study(folder: Path, parent: Path) -> list[Path]:
    """Write table, summary, leaderboard, figures and study.json under `parent/<task>`.

    What differs between two runs of the same study (times, names of hosts) is left out of the
    table; the kind of machine stands in study.json.

    Raises
    ------
    StorageError
        If the folder holds no study, or the results cannot be written.
    """
    study = _study(folder)
    frame = read(folder)
    out = parent / study["task"]
    out.mkdir(parents=True, exist_ok=True)
    lasting = frame.drop(columns=[name for name in COST_COLUMNS if name in frame])
    paths = [write_table(lasting, out)]
    summary = out / "summary.md"
    write_atomically(summary, _summary(study, frame))
    about = out / "study.json"
    kept = {key: value for key, value in study.items() if key != "places"}
    write_atomically(about, json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    paths += [summary, about, write_leaderboard(folder, out / "leaderboard.html")]
    return paths + draw_figures(folder, out / "figures")


def _summary(study: Mapping[str, Any], frame: pd.DataFrame) -> str:
    machine, versions = study["machine"], study["versions"]
    cells = frame.drop_duplicates("cell")
    seconds = float(cells["duration_s"].sum()) if "duration_s" in cells else float("nan")
    lines = [
        f"# {study['title'] or study['task']}",
        "",
        f"Made by `{study['command']}` and `repgeo publish`; seeds "
        f"{', '.join(map(str, study['seeds']))}; {machine['processor']}, {machine['cores']} cores, "
        f"{machine['system']}; "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + f"; {len(cells)} cells, {seconds:.0f} s of measuring.",
        "",
        "\n".join(render(table, "md") for table in overviews(frame))
        or "There are too many columns to be read here: see table.csv.",
    ]
    notes = _notes(study)
    if notes:
        lines += ["", "## Notes", "", *(f"- {note}" for note in notes)]
    lines += _comparisons(study, frame)
    verdicts = ledger(frame, _expected(study))
    if verdicts:
        lines += ["", "## Expected numbers", "", *map(verdict_line, verdicts)]
    return "\n".join(lines).rstrip() + "\n"


def _comparisons(study: Mapping[str, Any], frame: pd.DataFrame) -> list[str]:
    """What the task asks to be compared: a table each, or why there is none."""
    found: list[str] = []
    for asked in study.get("contents", {}).get("compare", []):
        try:
            lines = _comparison(frame, asked)
        except InputError as error:
            found += ["", f"- {asked['metric']} by {asked['coordinate']}: {error}"]
            continue
        title = f"{asked['metric']}, {asked['coordinate']} against {asked['baseline']}"
        found += ["", f"**{title}**", "", *lines]
    if not found:
        return []
    about = (
        "Each is paired with the number of the same models, seed and parameters that differs in "
        "this coordinate alone. Differences are averaged over models or pairs at each seed; "
        "intervals are those over seeds (95 %, from three seeds on)."
    )
    return ["", "## Paired differences", "", about, *found]


def _comparison(frame: pd.DataFrame, asked: Mapping[str, Any]) -> list[str]:
    """One table: models against a model, or values of a coordinate against one of them."""
    if asked["coordinate"] != "model":
        return comparison_lines(compare_along(frame, **asked))
    rest = {name: value for name, value in asked.items() if name != "coordinate"}
    return model_comparison_lines(compare(frame, **rest))


def verdict_line(verdict: Verdict) -> str:
    """An expected number, ours, and what comes of it, in one line."""
    where = ", ".join(
        f"{key} = {json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value}"
        for key, value in verdict.where.items()
    )
    ours = "no number"
    if verdict.ours is not None:
        ours = f"ours {verdict.ours.value:.4g}"
        if verdict.ours.ci_low is not None and verdict.ours.ci_high is not None:
            ours += f" [{verdict.ours.ci_low:.4g}, {verdict.ours.ci_high:.4g}]"
    return (
        f"- {verdict.verdict}: {where}: {ours} ({verdict.note}); {verdict.kind} "
        f"{verdict.value:.4g} ± {verdict.tolerance:.2g} ({verdict.source})"
    )


def reproduction_lines(folders: Sequence[Path]) -> list[str]:
    """The ledger of expected numbers of studies: of the given folders, else of all there are."""
    chosen = list(folders)
    if not chosen:
        chosen = sorted(path.parent for place in ("results", "runs") for path in _studies(place))
    lines, seen = [], set()
    for folder in chosen:
        study = _study(folder)
        seen.add(study["task"])
        expected = _expected(study)
        if not expected:
            lines.append(f"{study['task']}: no published number at hand")
        else:
            lines.append(f"{study['task']} ({os.fspath(folder)})")
            lines += [f"  {verdict_line(v)}" for v in ledger(read(folder), expected)]
    lines += [f"{task}: not run" for task in task_files() if task not in seen]
    return lines


def _studies(place: str) -> list[Path]:
    return sorted(Path(place).glob("*/study.json"))
