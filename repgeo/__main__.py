"""`python -m repgeo`: the command line."""

from __future__ import annotations

from repgeo.cli import console

__all__: list[str] = []

if __name__ == "__main__":
    console()
