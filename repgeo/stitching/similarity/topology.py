"""Representation topology divergence: clusters and loops that only one of two sides has."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching.similarity.codes import centred, check_pair, shared_dtype

__all__ = ["cross_barcode", "topology_divergence"]

#: The quantile of its distances that each side is scaled by.
_QUANTILE: Final = 0.9


def topology_divergence(
    a: Tensor,
    b: Tensor,
    *,
    samples: int = 100,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Representation topology divergence (RTD): how differently two sides connect their samples.

    Each side's distances are divided by their 0.9 quantile over all pairs. The R-cross-barcode of
    a against b holds, scale by scale, what appears when the samples within that distance on
    *either* side are connected and not yet when those on side a are: clusters of a that are one
    in b, loops of b that a has not. RTD is the total length of its bars, the mean of both orders.
    0 where both sides have the same distances up to one factor; there is no upper bound, and the
    value grows with the number of samples that are taken.

    Invariant to orthogonal maps, isotropic scaling and translation of either side. There is no
    closed chance level: `permutation_chance` gives it for the codes at hand.

    Parameters
    ----------
    a, b
        Codes `(n, features)`, the number of features may differ. Row i of both is one sample.
    samples
        With more samples than this, so many are drawn, the same of both sides. Values for
        different numbers do not compare.
    generator
        What draws them: a CPU generator. Not needed where all are taken.

    Returns
    -------
    Tensor
        A scalar of the codes' (common) dtype, on their device.

    Raises
    ------
    InputError
        If the shapes do not fit, there are fewer than two samples, a value is NaN or infinite,
        the codes of a side are the same for all (drawn) samples, or samples are to be drawn and
        there is no generator.

    Notes
    -----
    Persistence of O(s^3) triangles for s samples: about a second at 100, ten at 200.
    Published with ten draws of 500 and the quantile taken over the matrix with its diagonal.
    Source: Barannikov et al. 2022 (arXiv 2201.00058).

    Examples
    --------
    >>> t = torch.arange(4.0)[:, None]
    >>> topology_divergence(t, 3 - 2 * t).item()
    0.0
    """
    check_pair(a, b, samples=2)
    if len(a) > samples:
        if generator is None:
            raise InputError(
                f"{samples} of {len(a)} samples are to be drawn: give a generator, or "
                f"samples={len(a)} to take all."
            )
        drawn = torch.randperm(len(a), generator=generator)[:samples].to(a.device)
        a, b = a[drawn], b[drawn]
        check_pair(a, b, samples=2)
    left, right = (_scaled_distances(codes) for codes in (a, b))
    lengths = [
        float((bars[:, 1] - bars[:, 0]).sum())
        for bars in (cross_barcode(left, right), cross_barcode(right, left))
    ]
    return torch.tensor(sum(lengths) / 2, dtype=shared_dtype(a, b), device=a.device)


def cross_barcode(distances_a: np.ndarray, distances_b: np.ndarray) -> np.ndarray:
    """The first R-cross-barcode of one matrix of distances against another.

    The bars of the relative homology H_1(VR(min(A, B)), VR(A)), scale by scale: VR is the
    Vietoris-Rips complex of a matrix of distances. It is computed as H_1 of the mapping cone: an
    apex is joined at scale 0 to every sample, and to every edge at its length in A, so that what
    is connected in A is contracted to the apex. (The definition doubles all samples instead,
    which gives the same bars from eight times as many triangles.)

    Parameters
    ----------
    distances_a, distances_b
        `(n, n)`, symmetric, not negative, zero on the diagonal.

    Returns
    -------
    numpy.ndarray
        Births and deaths `(bars, 2)`, float64, bars of length zero left out; sorted.

    Raises
    ------
    InputError
        If the matrices have different shapes, are not square, or are not distances.

    Notes
    -----
    O(n^3) simplices. Source: Barannikov et al. 2022 (arXiv 2201.00058).

    Examples
    --------
    Two clusters of A at distance 3, which are one in B from distance 1 on:

    >>> cross_barcode(np.array([[0.0, 3.0], [3.0, 0.0]]), np.array([[0.0, 1.0], [1.0, 0.0]]))
    array([[1., 3.]])
    """
    first, second = (np.asarray(given, dtype=np.float64) for given in (distances_a, distances_b))
    for which, matrix in (("first", first), ("second", second)):
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
            raise InputError(f"Distances must be (n, n), the {which} matrix is {matrix.shape}.")
        if not (np.isfinite(matrix).all() and (matrix >= 0).all()):
            raise InputError(f"Distances of the {which} matrix must be finite and not negative.")
        if np.diagonal(matrix).any() or not np.array_equal(matrix, matrix.T):
            raise InputError(
                f"The {which} matrix must be symmetric with a zero diagonal, as distances are."
            )
    if first.shape != second.shape:
        raise InputError(
            f"Both matrices must be of the same samples, got {first.shape} and {second.shape}."
        )
    return _relative_bars(first, np.minimum(first, second))


def _relative_bars(own: np.ndarray, either: np.ndarray) -> np.ndarray:
    """H_1 of the cone over VR(own) in VR(either), with own >= either entry by entry."""
    import gudhi  # takes a while, and is not needed by the other measures

    n = len(own)
    # From this scale on one sample is joined to all on either side: nothing is left to tell apart.
    enclosing = own.max(axis=1).min()
    i, j = np.triu_indices(n, 1)
    near, contracted = either[i, j] <= enclosing, own[i, j] <= enclosing
    apex = np.full(int(contracted.sum()), n)
    tree = gudhi.SimplexTree()
    tree.insert_batch(np.arange(n + 1)[None, :], np.zeros(n + 1))
    tree.insert_batch(np.stack([np.arange(n), np.full(n, n)]), np.zeros(n))
    tree.insert_batch(np.stack([i, j])[:, near], either[i, j][near])
    i, j = i[contracted], j[contracted]
    tree.insert_batch(np.stack([i, j, apex]), own[i, j])
    for first in range(n - 2):
        p, q = (places + first + 1 for places in np.triu_indices(n - first - 1, 1))
        longest = np.maximum(np.maximum(either[first, p], either[first, q]), either[p, q])
        kept = longest <= enclosing
        tree.insert_batch(np.stack([np.full(len(p), first), p, q])[:, kept], longest[kept])
    tree.compute_persistence(homology_coeff_field=2)
    bars = np.asarray(tree.persistence_intervals_in_dimension(1), dtype=np.float64).reshape(-1, 2)
    bars = bars[bars[:, 1] > bars[:, 0]]
    return bars[np.lexsort((bars[:, 1], bars[:, 0]))]


def _scaled_distances(codes: Tensor) -> np.ndarray:
    """Euclidean distances `(n, n)` over their 0.9 quantile."""
    moved = centred(codes)
    exact = "donot_use_mm_for_euclid_dist"
    found = torch.cdist(moved, moved, compute_mode=exact).cpu().numpy()
    distances: np.ndarray = np.maximum(found, found.T)  # rounding may differ between the halves
    np.fill_diagonal(distances, 0.0)
    scale = float(np.quantile(distances[np.triu_indices(len(distances), 1)], _QUANTILE))
    # Nine in ten pairs at distance zero leave only the largest to scale by.
    return distances / (scale if scale > 0 else float(distances.max()))
