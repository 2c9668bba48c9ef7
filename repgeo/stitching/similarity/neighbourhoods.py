"""How far two representations agree on who is near whom."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.stitching.similarity.codes import blocks, check_pair, shared_dtype
from repgeo.stitching.similarity.neighbours import (
    NeighbourMetric,
    nearest_neighbours,
    ready_for_products,
)

__all__ = ["cycle_knn", "mutual_knn", "neighbour_jaccard", "second_order_cosine"]


def mutual_knn(
    a: Tensor, b: Tensor, *, neighbours: int = 10, metric: NeighbourMetric = "cosine"
) -> Tensor:
    """The share of a sample's k nearest neighbours that are the same on both sides, on average.

    mean_i |N_a(i) & N_b(i)| / k, with N(i) the k nearest of the other samples (see
    `nearest_neighbours` for ties). Under a shuffle of the rows of one side its mean is exactly
    k / (n - 1): `mutual_knn_chance`.

    Invariant to orthogonal maps and isotropic scaling of either side, and with "euclidean" to
    translations.

    Parameters
    ----------
    a, b
        Codes `(n, features)`, the number of features may differ. Row i of both is one sample.
    neighbours
        k, from 1 to n - 1.
    metric
        "cosine" (the codes are L2-normalised, as published), or "euclidean".

    Returns
    -------
    Tensor
        A scalar in [0, 1] of the codes' (common) dtype, on their device.

    Raises
    ------
    InputError
        If the shapes do not fit, a value is NaN or infinite, the codes of a side are the same for
        all samples, or there are not more samples than neighbours.

    Notes
    -----
    O(n^2 d) time; memory beside the codes: blocks of 32 MiB and O(n k).
    Source: Huh et al. 2024 (arXiv 2405.07987), there with k = 10.

    Examples
    --------
    >>> a = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    >>> b = torch.tensor([[0.0], [1.0], [3.0], [4.0]])
    >>> mutual_knn(a, b, neighbours=1, metric="euclidean").item()
    0.75
    """
    shared = _shared(*_both(a, b, neighbours, metric))
    return (shared / neighbours).mean().to(shared_dtype(a, b))


def neighbour_jaccard(
    a: Tensor, b: Tensor, *, neighbours: int = 10, metric: NeighbourMetric = "cosine"
) -> Tensor:
    """The mean Jaccard index of a sample's neighbours on both sides.

    mean_i |N_a(i) & N_b(i)| / |N_a(i) | N_b(i)|. The mean under a shuffle of the rows of one side
    is `neighbour_jaccard_chance`. Invariances and ties as for `mutual_knn`.

    Parameters
    ----------
    a, b, neighbours, metric
        As for `mutual_knn`.

    Returns
    -------
    Tensor
        A scalar in [0, 1] of the codes' (common) dtype, on their device.

    Raises
    ------
    InputError
        As `mutual_knn` does.

    Notes
    -----
    Costs what `mutual_knn` does. Source: Schumacher et al. 2021 (arXiv 2005.10039).

    Examples
    --------
    >>> a = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    >>> b = torch.tensor([[0.0], [1.0], [3.0], [4.0]])
    >>> round(neighbour_jaccard(a, b, neighbours=2, metric="euclidean").item(), 6)
    0.833333
    """
    shared = _shared(*_both(a, b, neighbours, metric))
    return (shared / (2 * neighbours - shared)).mean().to(shared_dtype(a, b))


def cycle_knn(
    a: Tensor, b: Tensor, *, neighbours: int = 10, metric: NeighbourMetric = "cosine"
) -> Tensor:
    """The share of samples to which a step to a neighbour in b and one in a can lead back.

    mean_i [some j in N_b(i) has i in N_a(j)]. Not symmetric in its sides. For identical sides it
    is the share of samples that are a neighbour of one of their neighbours, which is below 1 where
    some samples are nobody's neighbours. `cycle_knn_chance` is its mean for neighbourhoods without
    hubs. Invariances and ties as for `mutual_knn`.

    Parameters
    ----------
    a, b, neighbours, metric
        As for `mutual_knn`.

    Returns
    -------
    Tensor
        A scalar in [0, 1] of the codes' (common) dtype, on their device.

    Raises
    ------
    InputError
        As `mutual_knn` does.

    Notes
    -----
    Costs what `mutual_knn` does, and O(n k^2). Source: the code of Huh et al. 2024
    (arXiv 2405.07987).

    Examples
    --------
    >>> a = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    >>> cycle_knn(a, a, neighbours=1, metric="euclidean").item()
    0.5
    """
    left, right = _both(a, b, neighbours, metric)
    own = torch.arange(len(a), device=a.device)
    back = torch.zeros(len(a), dtype=torch.float64, device=a.device)
    for rows in blocks(len(a), neighbours**2):
        two_steps = left[right[rows]].flatten(1)  # (rows, k^2)
        back[rows] = (two_steps == own[rows, None]).any(dim=1).double()
    return back.mean().to(shared_dtype(a, b))


def second_order_cosine(a: Tensor, b: Tensor, *, neighbours: int = 10) -> Tensor:
    """How alike a sample's cosines to its neighbours are on both sides.

    mean_i cos(u_i, v_i), with u_i and v_i the cosines between sample i and each of the samples in
    N_a(i) | N_b(i), on the first and on the second side; 0 where one of them is zero. There is no
    closed chance level: codes far from the origin have large cosines throughout, and then
    unrelated sides are alike too. `permutation_chance` gives it for the codes at hand.

    Invariant to orthogonal maps and isotropic scaling of either side. Ties as for
    `nearest_neighbours`.

    Parameters
    ----------
    a, b, neighbours
        As for `mutual_knn`.

    Returns
    -------
    Tensor
        A scalar in [-1, 1] of the codes' (common) dtype, on their device.

    Raises
    ------
    InputError
        As `mutual_knn` does.

    Notes
    -----
    O(n^2 d) time for the neighbours; blocks of 32 MiB. Source: Hamilton et al. 2016
    (arXiv 1606.02821), where u and v are cosines as here, not distances.

    Examples
    --------
    >>> angles = torch.tensor([0.0, 0.5, 1.1, 2.0])
    >>> a = torch.stack([angles.cos(), angles.sin()], dim=1)
    >>> round(second_order_cosine(a, -5 * a, neighbours=2).item(), 6)
    1.0
    """
    left, right = _both(a, b, neighbours, "cosine")
    units = [ready_for_products(codes, "cosine")[0] for codes in (a, b)]
    means = torch.zeros(len(a), dtype=torch.float64, device=a.device)
    for rows in blocks(len(a), 2 * neighbours * max(a.shape[1], b.shape[1])):
        members = torch.cat([left[rows], right[rows]], dim=1).sort(dim=1).values  # (rows, 2k)
        repeated = torch.zeros_like(members, dtype=torch.bool)
        repeated[:, 1:] = members[:, 1:] == members[:, :-1]
        u, v = (
            torch.einsum("rd,rkd->rk", unit[rows], unit[members]).masked_fill_(repeated, 0.0)
            for unit in units
        )
        sizes = (u.square().sum(dim=1) * v.square().sum(dim=1)).sqrt()
        products = (u * v).sum(dim=1)
        means[rows] = torch.where(sizes > 0, products / torch.where(sizes > 0, sizes, 1.0), 0.0)
    return means.mean().clamp(-1.0, 1.0).to(shared_dtype(a, b))


def _both(a: Tensor, b: Tensor, neighbours: int, metric: NeighbourMetric) -> tuple[Tensor, Tensor]:
    check_pair(a, b, samples=2)
    left = nearest_neighbours(a, neighbours, metric=metric)
    return left, nearest_neighbours(b, neighbours, metric=metric)


def _shared(left: Tensor, right: Tensor) -> Tensor:
    """How many neighbours `(n, k)` of each sample both sides have, `(n,)`, float64."""
    together = torch.cat([left, right], dim=1).sort(dim=1).values
    return (together[:, 1:] == together[:, :-1]).sum(dim=1).double()
