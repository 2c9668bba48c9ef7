"""Walks within the sets of inputs that a map does not tell apart, and across them.

The names are offered by `repgeo.geometry`.
"""

from __future__ import annotations

__all__: list[str] = []
