"""Where task files are found: by path, or by name in the package or the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import repgeo
from repgeo.errors import UnknownNameError, nearest

__all__ = ["find_task", "task_files", "task_folders"]


def task_folders() -> list[Path]:
    """Where named tasks are looked for: in the package, else in the checkout."""
    package = Path(repgeo.__file__).resolve().parent
    return [package / "_tasks", package.parent / "tasks"]


def task_files() -> dict[str, Path]:
    """The tasks that come with repgeo, by name."""
    found: dict[str, Path] = {}
    for folder in reversed(task_folders()):
        found |= {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return dict(sorted(found.items()))


def find_task(name: str | Path) -> Path:
    """The file of a task, given by path or by name.

    Raises
    ------
    UnknownNameError
        If there is neither; the nearest names are given.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    known = task_files()
    stem = str(name)
    # "tasks/digits.toml" works outside a checkout too: the task comes with the package.
    if path.parent == Path("tasks") and path.suffix == ".toml":
        stem = path.stem
    if stem in known:
        return known[stem]
    if path.suffix == ".toml" or os.sep in str(name):
        raise UnknownNameError(f"There is no task file {str(name)!r}.")
    raise UnknownNameError(f"Unknown task {stem!r}. {nearest(stem, known)} See: repgeo list tasks")
