"""One thread for all numerical libraries, also for those that are loaded later."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["one_thread"]

#: What the libraries read when they are loaded.
_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread, whatever the engine: more would change the last bits, and fight for cores.

    Libraries that are there are told; those that come during a step find it in the environment.
    Afterwards all may use what they could before.
    """
    import torch
    from threadpoolctl import ThreadpoolController

    libraries = ThreadpoolController()
    known = {library.filepath for library in libraries.lib_controllers}
    usual = max((library.num_threads for library in libraries.lib_controllers), default=1)
    threads = torch.get_num_threads()
    environment = {name: os.environ.get(name) for name in _VARIABLES}
    torch.set_num_threads(1)
    os.environ.update(dict.fromkeys(_VARIABLES, "1"))
    try:
        with libraries.limit(limits=1):
            yield
    finally:
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        for library in ThreadpoolController().lib_controllers:
            if library.filepath not in known:
                library.set_num_threads(usual)
        torch.set_num_threads(threads)
