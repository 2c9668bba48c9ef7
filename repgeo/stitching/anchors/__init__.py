"""Anchors: the samples that relative representations compare all others with."""

from __future__ import annotations

from repgeo.stitching.anchors.choice import AnchorMethod, choose_anchors

__all__ = ["AnchorMethod", "choose_anchors"]
