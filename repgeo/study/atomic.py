"""Files that are there whole or not at all."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from repgeo.errors import StorageError

__all__ = ["SUFFIX", "cannot_write", "sweep", "write_atomically"]

#: How temporary files end; what a killed process left of them is swept under the study's lock.
SUFFIX = ".partial"

# Process, token and number together are one name among all machines that share a folder.
_TOKEN = secrets.token_hex(4)
_NUMBERS = itertools.count()


def write_atomically(path: Path, write: Callable[[Path], None] | bytes | str) -> None:
    """Write a file under a temporary name in the same folder, then put it in place.

    Parameters
    ----------
    path
        Where it is to be; an older file is replaced.
    write
        The contents, or what writes them to a given path.

    Raises
    ------
    StorageError
        If the folder cannot be written or the disk is full; nothing half-written stays.
    """
    name = f".{path.name}.{os.getpid()}.{_TOKEN}.{next(_NUMBERS)}{SUFFIX}"
    temporary = path.with_name(name)
    try:
        try:
            if callable(write):
                write(temporary)
            else:
                temporary.write_bytes(write.encode() if isinstance(write, str) else write)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> StorageError:
    """What to tell the user of a file that could not be written."""
    return StorageError(
        f"Cannot write {str(path)!r}: {error.strerror or error}. Free space or make the folder "
        "writable, then run the same command again: what is finished is kept."
    )


def sweep(folder: Path) -> None:
    """Remove temporary files that a killed process left; only under the study's lock."""
    for leftover in folder.glob(f"*/**/.*{SUFFIX}"):
        leftover.unlink(missing_ok=True)
    for leftover in folder.glob(f".*{SUFFIX}"):
        leftover.unlink(missing_ok=True)
