"""Where files of data lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from repgeo.errors import DatasetError

__all__ = ["FOLDER_VARIABLE", "local_file"]

#: The environment variable that names the folder of local files, `<folder>/<file>` in it.
FOLDER_VARIABLE: Final = "REPGEO_DATA"


def local_file(dataset: str, folder: str, file: str, *, otherwise: str = "") -> Path:
    """The path of a file in the folder of local data.

    Parameters
    ----------
    dataset
        Who asks, for the message.
    folder, file
        It is looked for at `$REPGEO_DATA/<folder>/<file>`.
    otherwise
        What else the user could do, for the message (", or ...").

    Raises
    ------
    DatasetError
        If the variable is not set, or there is no such file.
    """
    remedy = f"Set {FOLDER_VARIABLE} to the folder that holds {folder}/{file}{otherwise}."
    root = os.environ.get(FOLDER_VARIABLE)
    if not root:
        raise DatasetError(
            f"{dataset}: the file {folder}/{file} was not looked for, as the environment variable "
            f"{FOLDER_VARIABLE} is not set. {remedy}"
        )
    path = Path(root).expanduser() / folder / file
    if not path.is_file():
        raise DatasetError(
            f"{dataset}: there is no file {file}; it was looked for at {str(path)!r} "
            f"({FOLDER_VARIABLE}={root}). {remedy}"
        )
    return path
