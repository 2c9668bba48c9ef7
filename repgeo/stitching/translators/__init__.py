"""Translators: maps from one model's codes into another's, fitted on paired samples.

The names are offered by `repgeo.stitching`.
"""
