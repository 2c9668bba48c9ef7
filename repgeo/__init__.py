"""repgeo: measurements of trained networks' representations, as tidy pandas tables.

Three ways in: a comparative study (`repgeo.run("tasks/digits.toml")`, or the command line), a probe
in someone else's project (`from repgeo.probes import PullbackVolume`), and the mathematics alone
(`from repgeo.geometry import log_volume`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports
from repgeo.version import __version__

if TYPE_CHECKING:
    from repgeo.study import evaluate, read, run

__all__ = ["__version__", "evaluate", "read", "run"]

__getattr__, __dir__ = lazy_exports(
    __name__, {"evaluate": "repgeo.study", "read": "repgeo.study", "run": "repgeo.study"}
)
