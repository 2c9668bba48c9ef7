"""One driver per study folder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from repgeo.errors import LockedError, StorageError

__all__ = ["locked"]

_UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EOPNOTSUPP}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel frees it when the process ends, however it ends.

    Where the file system has no locks (some network mounts), a file made exclusively stands in; a
    process that was killed leaves it, and the message says when it may be removed.

    Raises
    ------
    LockedError
        If another driver works on the folder: its process and host are named.
    StorageError
        If the folder cannot be written.
    """
    path = folder / "lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(
            f"Cannot write to the study folder {str(folder)!r}: {error.strerror}. "
            "Choose another with --out, or make it writable."
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(_held(folder, path)) from None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            with _exclusive_file(folder):
                yield
            return
        os.ftruncate(descriptor, 0)
        os.write(descriptor, _who())
        yield
    finally:
        os.close(descriptor)


def _who() -> bytes:
    return json.dumps({"pid": os.getpid(), "host": platform.node(), "time": time.time()}).encode()


def _held(folder: Path, path: Path) -> str:
    try:
        owner = json.loads(path.read_bytes())
        who = f"process {owner['pid']} on {owner['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process"
    return (
        f"The study folder {str(folder)!r} is in use by {who}. "
        "Wait for it, or choose another folder with --out."
    )


@contextmanager
def _exclusive_file(folder: Path) -> Iterator[None]:
    path = folder / "lock.exclusive"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        if not _is_dead(path):
            raise LockedError(
                f"{_held(folder, path)} This file system has no locks: if that process is gone, "
                f"remove {str(path)!r}."
            ) from None
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.write(descriptor, _who())
        yield
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)


def _is_dead(path: Path) -> bool:
    """Whether the file's owner ran on this host and is gone."""
    try:
        owner = json.loads(path.read_bytes())
        if owner["host"] != platform.node():
            return False
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return False
