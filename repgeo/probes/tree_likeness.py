"""How tree-like codes are, and how well their distances follow those of a known tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.hyperbolic.tree_likeness import gromov_delta
from repgeo.probes.context import Context
from repgeo.probes.latent_distances import (
    AskedSpace,
    latent_distances,
    space_of,
    tree_correlations,
)
from repgeo.probes.metric import Metric
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject

__all__ = ["TreeLikeness"]


class TreeLikeness(Probe):
    """Correlation of latent and tree distances, and the hyperbolicity of the latent distances.

    `pearson` and `spearman` are taken over all pairs i < j of test samples, against the array
    `tree` of the dataset; without that array only the hyperbolicity is measured. `delta` is
    Gromov's (see `repgeo.hyperbolic.gromov_delta`), the maximum over `bases` base points among
    `points` of the samples, which are the same for all models; `relative_delta` is 2 delta over the
    diameter of these points: 0 for a tree, 1 at most.

    No interval: pairs share their samples, and delta is a maximum.

    Parameters
    ----------
    layer
        Where the model is cut.
    space
        What the codes are: "euclidean", or coordinates of hyperbolic space of the given curvature
        ("poincare", "klein", "lorentz", "tangent"), or "model": what its attribute `latent_space`
        says.
    curvature
        Of hyperbolic space.
    tree
        The array `(n, nodes)` of distances in the tree; its columns are the nodes with the ids 0,
        1, ..., so that it goes along when samples are reordered or left out.
    points, bases
        How many samples and base points delta is taken over.

    Raises
    ------
    InputError
        If there are fewer than three samples, codes lie outside of their space, or the codes are
        all the same.

    Examples
    --------
    >>> x = torch.arange(5.0)[:, None]  # points on a line: a tree
    >>> frame = TreeLikeness(space="euclidean", bases=5)(lambda x: x, x)
    >>> dict(zip(frame["metric"], frame["value"]))
    {'delta': 0.0, 'relative_delta': 0.0}
    """

    name: ClassVar[str] = "tree_likeness"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "pearson": Metric(
            direction="higher",
            range=(-1.0, 1.0),
            chance=0.0,
            invariant_to={"samples:permutation"},
            summary="correlation of latent and tree distances",
        ),
        "spearman": Metric(
            direction="higher",
            range=(-1.0, 1.0),
            chance=0.0,
            invariant_to={"samples:permutation"},
            summary="rank correlation of latent and tree distances",
        ),
        "delta": Metric(
            direction="none", unit="distance", summary="Gromov's hyperbolicity of the codes"
        ),
        "relative_delta": Metric(
            direction="lower", range=(0.0, 1.0), summary="2 delta over the diameter"
        ),
    }

    layer: str = "encoder"
    space: AskedSpace = "euclidean"
    curvature: float = Field(default=-1.0, lt=0)
    tree: str = Field(default="tree_distance", min_length=1)
    points: int = Field(default=256, ge=3)
    bases: int = Field(default=8, ge=1)

    def invariances(self, metric: str) -> frozenset[str]:
        """Isometries of the space that move codes as vectors; scaling where it is Euclidean."""
        moves = {"codes:permutation", "codes:orthogonal"}
        if self.space == "euclidean":
            moves.add("codes:translation")
            if metric != "delta":
                moves.add("codes:scaling")
        if self.space in {"lorentz", "model"}:  # the first coordinate is time, or may be
            moves = set()
        return super().invariances(metric) | moves

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield the correlations, where the tree is known, and the hyperbolicity."""
        codes = subject.encode(data.test.x)
        n = len(codes)
        if n < 3:
            raise InputError(f"{self.name} needs at least three samples, got {n}.")
        distances = latent_distances(codes, space_of(subject, self.space), self.curvature)
        if not distances.max() > 0:
            raise InputError(f"All codes of {subject.label!r} are the same: there is no distance.")
        if self.tree in data.test.arrays:
            pearson, spearman = tree_correlations(distances, data.test, self.tree)
            yield Reading("pearson", pearson)
            yield Reading("spearman", spearman)
        count = min(n, self.points)
        order = torch.argsort(data.test.ids, stable=True)
        order = order[torch.randperm(n, generator=context.shared("gromov points"))]
        chosen = order[:count].numpy()
        among = distances[np.ix_(chosen, chosen)]
        delta = gromov_delta(among, bases=np.arange(min(self.bases, count)))
        yield Reading("delta", delta)
        yield Reading("relative_delta", 2 * delta / float(among.max()))

    def oracles(self) -> Iterable[Case]:
        """A line, which is a tree; and a square, whose products are known."""
        if self.space != "euclidean":
            return
        line = torch.arange(6.0, dtype=torch.float64)[:, None]
        apart = (line - line.T).abs()
        split = Split(line, arrays={self.tree: apart})
        yield Case(
            lambda x: 2 * x,
            Dataset("", split, split),
            {"pearson": 1.0, "spearman": 1.0, "delta": 0.0, "relative_delta": 0.0},
            1e-12,
        )
        square = Split(torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]).double())
        root = 2**0.5
        yield Case(
            lambda x: x,
            Dataset("", square, square),
            {"delta": root - 1, "relative_delta": 2 - root},
            1e-12,
        )
