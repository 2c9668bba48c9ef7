"""What a study ran on and with: versions and the kind of machine, without names of hosts."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from repgeo.version import __version__

__all__ = ["machine_kind", "versions"]

_PACKAGES = ("torch", "numpy", "scipy", "pandas", "scikit-learn", "e3nn", "gudhi")


def versions() -> dict[str, str]:
    """Versions of Python, repgeo and what the numbers come from."""
    found = {"python": platform.python_version(), "repgeo": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine_kind() -> dict[str, Any]:
    """Processor, number of cores and system."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
