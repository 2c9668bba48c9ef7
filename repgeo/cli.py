"""The command line: thin, light to start, one clear line for a user's mistake."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast

import typer

from repgeo.errors import ConfigurationError, Interrupted, RepgeoError
from repgeo.version import __version__

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["app", "console", "main"]

#: What wrong usage raises: a class of click, or of the copy of click in newer versions of typer.
_UsageError: Final = cast("type[Exception]", typer.BadParameter.__bases__[0])

#: What newer versions of typer make of a Ctrl-C (older ones raise `typer.Abort`).
_KEYBOARD_INTERRUPT: Final = 130

app = typer.Typer(
    name="repgeo",
    help="Measure the representations of trained networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Folder = Annotated[Path, typer.Argument(help="A study folder, such as runs/digits.")]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit codes: 0 good, 1 cells failed, 2 usage, 3 interrupted."""
    command = typer.main.get_command(app)
    before = _heed_termination()
    try:
        code = command.main(args=arguments, prog_name="repgeo", standalone_mode=False)
        if code == _KEYBOARD_INTERRUPT:
            raise Interrupted("interrupted")
        sys.stdout.flush()  # here, where a reader that went away is expected
    except (Interrupted, KeyboardInterrupt, typer.Abort) as error:
        print(f"repgeo: {str(error) or 'interrupted'}", file=sys.stderr)
        code = 3
    except RepgeoError as error:
        print(f"repgeo: error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        code = 2
    except BrokenPipeError:  # the reader of our output went away: not our fault
        # What is still buffered goes nowhere, or the interpreter would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:  # a file that cannot be read or written
        if error.filename is None:
            raise
        print(f"repgeo: error: {error.filename!r}: {error.strerror}", file=sys.stderr)
        code = 2
    except _UsageError as error:
        usage: Any = error
        usage.show()
        code = 2
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
    sys.exit(code if isinstance(code, int) else 0)


def console() -> None:
    """The command line as a process of its own."""
    try:
        main()
    finally:
        gc.freeze()  # a last search for garbage among all of torch would take half a second


def _heed_termination() -> Any:
    """Let SIGTERM end us as Ctrl-C does, where this is the main thread; what it did before."""
    if threading.current_thread() is not threading.main_thread():
        return None
    return signal.signal(signal.SIGTERM, signal.default_int_handler)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command("list")
def list_(
    kind: Annotated[
        str | None, typer.Argument(help="models, datasets, objectives, probes or tasks.")
    ] = None,
    load: Annotated[
        bool, typer.Option("--load", help="Import everything and show what is broken.")
    ] = False,
) -> None:
    """List what is registered, without importing it."""
    from repgeo.catalogue import KINDS
    from repgeo.errors import UnknownNameError, nearest

    kinds = (*KINDS, "tasks")
    if kind is not None and kind not in kinds:
        raise UnknownNameError(f"Unknown kind {kind!r}. {nearest(kind, kinds)}")
    broken = 0
    for shown in kinds if kind is None else (kind,):
        print(f"{shown}:")
        for line, ok in _task_lines() if shown == "tasks" else _record_lines(shown, load):
            print(f"  {line}")
            broken += not ok
    if broken:
        raise typer.Exit(1)


def _task_lines() -> list[tuple[str, bool]]:
    import tomllib

    from repgeo.study.locating import task_files

    lines = []
    for name, path in task_files().items():
        with path.open("rb") as stream:
            title = tomllib.load(stream).get("task", {}).get("title", "")
        lines.append((f"{name:<24} {title}", True))
    return lines


def _record_lines(kind: str, load: bool) -> list[tuple[str, bool]]:
    from repgeo import registry

    lines = []
    for record in registry.records(kind):
        origin = "" if record.origin == "repgeo" else f" [{record.origin}: {record.target}]"
        text = f"{record.name:<24} {record.summary}{origin}"
        fault = ""
        if load:
            try:
                registry.load(kind, record.name)
            except RepgeoError as error:
                fault = f"  BROKEN: {error}"
        lines.append((text + fault, not fault))
    return lines


@app.command()
def show(name: Annotated[str, typer.Argument(help="A registered name, or file.py:name.")]) -> None:
    """Show what a name stands for: its description, parameters and metrics."""
    from repgeo.descriptions import describe_name

    print(describe_name(name))


@app.command()
def run(
    tasks: Annotated[list[str], typer.Argument(help="Task files, or names of tasks.")],
    models: Annotated[
        list[str] | None, typer.Option("-m", "--model", help="Only these models (mlp, 'mlp#*').")
    ] = None,
    probes: Annotated[
        list[str] | None, typer.Option("-p", "--probe", help="Only these probes.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Task seeds in place of the file's: 0,1,2 or 0-4.")
    ] = None,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=1, help="Processes.")] = 1,
    scheduler: Annotated[
        str | None, typer.Option(help="A Dask scheduler's address, tcp://host:port.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds allowed for one step.")] = None,
    memory: Annotated[
        float | None, typer.Option(help="Gibibytes of memory allowed for one step.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Study folder [runs/<task>].")] = None,
    weights: Annotated[Path | None, typer.Option(help="A shared store of weights.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a key: probes.pullback_volume.layer=block1."),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run again what did not end well.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Run again what is finished.")] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="Write table.parquet too.")] = False,
    shuffle: Annotated[
        int | None, typer.Option(help="Run in a random order by this seed (no number changes).")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the task and list its steps.")
    ] = False,
) -> None:
    """Run studies; what is finished is not computed again."""
    if (jobs > 1 or timeout is not None or memory is not None) and not (scheduler or dry_run):
        from repgeo.study.launch import warm_up

        # Before the imports below, which take as long as its own.
        warm_up(training=any(_may_train(task, out) for task in tasks))
    from repgeo.study.running import RunOptions

    if out is not None and len(tasks) > 1:
        raise ConfigurationError("--out names one study folder: give one task with it.")
    options = RunOptions(
        out=out,
        weights=weights,
        jobs=jobs,
        scheduler=scheduler,
        timeout=timeout,
        memory_gb=memory,
        models=tuple(models or ()),
        probes=tuple(probes or ()),
        seeds=_seeds(seeds),
        overrides=tuple(set_ or ()),
        retry_failed=retry_failed,
        force=force,
        parquet=parquet,
        shuffle=shuffle,
    )
    failures = 0
    for task in tasks:
        failures += _dry_run(task, options) if dry_run else _run_one(task, options)
    if failures:
        raise typer.Exit(1)


def _may_train(task: str, out: Path | None) -> bool:
    """A first look at a task file, long before it is read: it costs little to be wrong."""
    from repgeo.study.locating import find_task

    try:
        file = find_task(task)
        weights = (out if out is not None else Path("runs") / file.stem) / "weights"
        begun = next(weights.glob("*/step.json"), None) is not None
        return not begun and "models.train]" in file.read_text(encoding="utf-8")
    except (RepgeoError, OSError, UnicodeDecodeError):
        return False  # said better when the file is read


def _seeds(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            seeds += range(int(first), int(last) + 1) if dash else [int(first)]
        except ValueError:
            raise ConfigurationError(f"--seeds {text!r}: write 0,1,2 or 0-4.") from None
    if not seeds or len(set(seeds)) != len(seeds):
        raise ConfigurationError(f"--seeds {text!r}: name each seed once.")
    return tuple(seeds)


def _run_one(task: str, options: Any) -> int:
    from repgeo.display import Display
    from repgeo.report.ledger import ledger
    from repgeo.report.publishing import verdict_line, write_leaderboard
    from repgeo.report.tables import summary_lines
    from repgeo.study.running import run_task

    with Display() as display:
        result = run_task(task, options, display)
    frame = result.frame
    if (frame["status"] == "ok").any():
        print(_text_table(frame))
    for note in result.plan.notes:
        print(f"- {note}")
    for verdict in ledger(frame, [item.model_dump() for item in result.plan.expected]):
        print(verdict_line(verdict))
    print(summary_lines(frame))
    print(f"table:       {result.folder / 'table.csv'}")
    page = result.folder / "leaderboard.html"
    if len(frame) and (result.ran or not page.is_file()):
        write_leaderboard(result.folder, page)
    if page.is_file():
        print(f"leaderboard: {page}")
    return int((~frame["status"].isin(["ok", "unsupported"])).sum())


def _text_table(frame: pd.DataFrame) -> str:
    import shutil

    from repgeo.report.overviews import MOST_COLUMNS, overviews
    from repgeo.report.tables import as_text

    width = max(80, shutil.get_terminal_size((100, 24)).columns)
    tables = [as_text(table, width=width) for table in overviews(frame)]
    return "\n\n".join(tables) or (
        f"More than {MOST_COLUMNS} columns: choose what to see with `repgeo table --rows "
        "--cols`, or read the table itself."
    )


def _dry_run(task: str, options: Any) -> int:
    from repgeo.study.running import dry_run

    for line in dry_run(task, options):
        print(line)
    return 0


@app.command()
def table(
    folder: Folder,
    rows: Annotated[list[str] | None, typer.Option(help="Columns that make the rows.")] = None,
    cols: Annotated[list[str] | None, typer.Option(help="Columns that make the columns.")] = None,
    format_: Annotated[
        Literal["text", "md", "csv", "tex", "html"], typer.Option("--format", help="Of the output.")
    ] = "text",
    check: Annotated[
        bool, typer.Option("--check", help="Say which cells older code computed.")
    ] = False,
) -> None:
    """Print a study's table: means over seeds with their intervals."""
    from repgeo.report.aggregate import aggregate
    from repgeo.report.tables import as_text, render
    from repgeo.study.table import read

    if check:
        from repgeo.study.staleness import stale_cells

        stale = stale_cells(folder)
        for line in stale:
            print(f"stale: {line}")
        print(f"{len(stale)} stale cells")
        if stale:
            raise typer.Exit(1)
        return
    frame = read(folder)
    summary = aggregate(frame, rows=tuple(rows or ("model",)), columns=tuple(cols or ("metric",)))
    if format_ == "text":
        print(as_text(summary, width=100))
    else:
        print(render(summary, format_))


@app.command()
def figures(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="Where to [<folder>/figures].")] = None,
) -> None:
    """Draw the figures of a study from its stored artifacts."""
    from repgeo.report.publishing import draw_figures

    drawn = draw_figures(folder, out or folder / "figures")
    for path in drawn:
        print(path)
    if not drawn:
        print("No probe of this study has a figure.")


@app.command()
def leaderboard(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="Where to [<folder>/leaderboard.html].")] = None,
) -> None:
    """Write the study's leaderboard: one static page that needs nothing else."""
    from repgeo.report.publishing import write_leaderboard

    print(write_leaderboard(folder, out or folder / "leaderboard.html"))


@app.command()
def publish(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="The parent folder.")] = Path("results"),
) -> None:
    """Write what is committed of a study: table, summary, leaderboard, figures, study.json."""
    from repgeo.report.publishing import publish_study

    for path in publish_study(folder, out):
        print(path)


@app.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(help="Probes [all registered].")] = None,
    seed: Annotated[int, typer.Option(help="Of the random transformations.")] = 0,
) -> None:
    """Execute the oracles and declared invariances of probes, and count them."""
    from repgeo.probes.checking import check_probes

    reports = check_probes(names or None, seed=seed)
    for report in reports:
        print(report.text())
    if not all(report.passed for report in reports):
        raise typer.Exit(1)


@app.command()
def reproduce(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Study or result folders [results/*, runs/*].")
    ] = None,
) -> None:
    """Print the ledger of expected numbers over all tasks."""
    from repgeo.report.publishing import reproduction_lines

    for line in reproduction_lines(folders or []):
        print(line)


@app.command()
def doctor() -> None:
    """Tell versions and the machine, and run every oracle on this installation."""
    from repgeo.probes.checking import check_probes
    from repgeo.study.machine import machine_kind, versions

    for name, version in versions().items():
        print(f"{name:<14} {version}")
    for name, value in machine_kind().items():
        print(f"{name:<14} {value}")
    reports = check_probes(None, seed=0, invariances=False)
    for report in reports:
        print(report.text())
    if not all(report.passed for report in reports):
        raise typer.Exit(1)
