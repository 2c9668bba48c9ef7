"""The sites of a Delaunay graph: distinct points in coordinates in which the graph is decided."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.hyperbolic.containers import double
from repgeo.hyperbolic.coordinates import from_spatial, gap, to_spatial, unit_scale

__all__ = ["Float", "Int", "Sites", "Space", "sites_of"]

Float: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Int: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

#: A model of hyperbolic space, or flat space.
Space: TypeAlias = Literal["poincare", "klein", "lorentz", "tangent", "euclidean"]


@dataclass(frozen=True, eq=False)
class Sites:
    r"""Distinct points: Poincaré coordinates of curvature -1, or flat ones.

    Seen from a site a the others have *polar points*

        w_k = (1 - \|a\|^2) (y_k - a) / \|y_k - a\|^2 - a,

    in the direction of k and of norm coth(r/2) for a site at distance r: in Klein coordinates
    around a, the cell of a is the part of the ball with <x, w_k> <= 1 for all k. In flat space
    w_k = (y_k - a) / \|y_k - a\|^2, the cell is that of 2x, and there is no ball.

    Attributes
    ----------
    points
        `(sites, d)`, float64.
    first
        For each site the row of the first point given there `(sites,)`.
    place
        For each point given its site `(n,)`.
    hyperbolic
        Whether the space is curved.
    """

    points: Float
    first: Int
    place: Int
    hyperbolic: bool

    def __len__(self) -> int:
        return len(self.points)

    @property
    def dimension(self) -> int:
        """Of the space."""
        return int(self.points.shape[1])

    @cached_property
    def gap(self) -> Float:
        """1 - |y|^2 `(sites,)` without cancellation; 1 in flat space."""
        if not self.hyperbolic:
            return np.ones(len(self))
        made: Float = gap(torch.from_numpy(self.points)).numpy()
        return made

    def normals(self, site: int, others: Int | None = None) -> Float:
        """The unit vectors (-1, w_k) / |(-1, w_k)| `(k, 1 + d)` seen from a site.

        The row of the site itself is 0. Each is exact to a few units of rounding.
        """
        a = self.points[site]
        apart = (self.points if others is None else self.points[others]) - a
        square = np.einsum("kd,kd->k", apart, apart)
        rows = np.empty((len(apart), 1 + self.dimension))
        rows[:, 0] = -square
        if self.hyperbolic:
            np.multiply(apart, self.gap[site], out=rows[:, 1:])
            rows[:, 1:] -= square[:, None] * a
        else:
            rows[:, 1:] = apart * self.unit_of_length
            rows[:, 0] /= self.unit_of_length
        norm = np.sqrt(np.einsum("kd,kd->k", rows, rows))
        norm[norm == 0] = 1.0
        made: Float = rows / norm[:, None]
        return made

    @cached_property
    def unit_of_length(self) -> float:
        """In which flat polar points are measured: the extent of the set."""
        return float(np.abs(self.points - self.points.mean(axis=0)).max()) or 1.0

    def chords(self, site: int) -> Float:
        """sinh(d/2), or flat distances, from one site to all `(sites,)`."""
        apart = self.points - self.points[site]
        square = np.einsum("kd,kd->k", apart, apart)
        made: Float = np.sqrt(square / (self.gap[site] * self.gap))
        return made


def sites_of(points: Tensor | np.ndarray, space: Space, curvature: float = -1.0) -> Sites:
    """The distinct points among those given, in the coordinates of `Sites`.

    Coordinates are compared as float64 Poincaré (or flat) ones; points with equal ones are one
    site. Nothing is rescaled: a Poincaré point is taken as the rational numbers that its floating
    point coordinates are.

    Raises
    ------
    InputError
        If points are no matrix, lie outside of the model, or so far out that the Poincaré ball
        cannot hold them in float64.

    Examples
    --------
    >>> found = sites_of(np.array([[0.0, 0.1], [0.3, 0.2], [0.0, 0.1]]), "poincare")
    >>> found.first.tolist(), found.place.tolist()
    ([0, 1], [0, 1, 0])
    """
    wide = double(points).detach().cpu()
    if wide.ndim != 2:
        raise InputError(f"Points must have the shape (n, coordinates), got {tuple(wide.shape)}.")
    if space != "euclidean":
        wide = wide * unit_scale(curvature) if curvature != -1.0 else wide
        spatial = to_spatial(wide, space, dtype=points.dtype)
        if space != "poincare":
            wide = from_spatial(spatial, "poincare")
            if not bool((gap(wide) > 0).all()):
                radius = float(spatial.norm(dim=1).asinh().max())
                raise InputError(
                    f"A point at radius {radius:.3g} rounds onto the boundary of the ball: "
                    "Delaunay graphs are decided in Poincaré coordinates, which hold radii up to "
                    "about 37. Take such points out, or rescale them knowingly: nothing is clipped."
                )
    coordinates = np.ascontiguousarray(wide.numpy()) + 0.0  # -0.0 and 0.0 are the same place
    first, place = _distinct(coordinates)
    kept = coordinates if len(first) == len(coordinates) else coordinates[first]
    return Sites(kept, first, place, space != "euclidean")


def _distinct(points: Float) -> tuple[Int, Int]:
    """Rows that occur first, in order, and for each row which of them it equals."""
    everything = np.arange(len(points), dtype=np.int64)
    column = np.sort(points[:, 0])
    if not (column[1:] == column[:-1]).any():
        return everything, everything
    _, first, place = np.unique(points, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order].astype(np.int64), rank[place.reshape(-1)].astype(np.int64)
