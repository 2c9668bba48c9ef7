"""Classical distances between sets of points of hyperbolic or flat space."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from repgeo.errors import InputError, MissingExtraError
from repgeo.hyperbolic.alignment import both
from repgeo.hyperbolic.containers import double
from repgeo.hyperbolic.distances import distance_matrix
from repgeo.hyperbolic.sites import Float, Space

__all__ = [
    "assignment_distance",
    "chamfer_distance",
    "hausdorff_distance",
    "transport_distance",
]


def chamfer_distance(
    a: Tensor | np.ndarray,
    b: Tensor | np.ndarray,
    *,
    squared: bool = False,
    model: Space = "poincare",
    curvature: float = -1.0,
) -> float:
    """The mean distance to the nearest point of the other set, averaged over both directions.

        [mean_i min_j d(a_i, b_j) + mean_j min_i d(a_i, b_j)] / 2,

    or the same of squares: the form which the code of HyperDGA calls Chamfer.

    Parameters
    ----------
    a, b
        Points `(n_a, d)`, `(n_b, d)`.
    squared
        Whether distances are squared first.
    model, curvature
        Of both; "euclidean" for flat space.

    Raises
    ------
    InputError
        If the sets do not fit, or points lie outside of the model.

    Notes
    -----
    O(n_a n_b d).

    Examples
    --------
    >>> a, b = np.array([[0.0]]), np.array([[0.5], [0.0]])
    >>> round(float(np.exp(4 * chamfer_distance(a, b))), 9)
    3.0
    """
    d = _distances(a, b, model, curvature)
    d = d**2 if squared else d
    return float(d.min(axis=1).mean() + d.min(axis=0).mean()) / 2


def hausdorff_distance(
    a: Tensor | np.ndarray,
    b: Tensor | np.ndarray,
    *,
    squared: bool = False,
    model: Space = "poincare",
    curvature: float = -1.0,
) -> float:
    """The largest distance from a point of either set to the nearest of the other.

    Parameters
    ----------
    a, b
        Points `(n_a, d)`, `(n_b, d)`.
    squared
        Whether it is squared, as in the code of HyperDGA.
    model, curvature
        Of both; "euclidean" for flat space.

    Raises
    ------
    InputError
        If the sets do not fit, or points lie outside of the model.

    Notes
    -----
    O(n_a n_b d).

    Examples
    --------
    >>> a, b = np.array([[0.0]]), np.array([[0.5], [0.0]])
    >>> round(float(np.exp(hausdorff_distance(a, b))), 9)
    3.0
    """
    d = _distances(a, b, model, curvature)
    worst = max(float(d.min(axis=1).max()), float(d.min(axis=0).max()))
    return worst**2 if squared else worst


def transport_distance(
    a: Tensor | np.ndarray,
    b: Tensor | np.ndarray,
    *,
    order: int = 1,
    model: Space = "poincare",
    curvature: float = -1.0,
) -> float:
    """The Wasserstein distance of two sets with equal weights: optimal transport.

        (min over couplings P of sum_ij P_ij d(a_i, b_j)^order)^(1/order),

    with marginals 1/n_a and 1/n_b, so that sets of different sizes are compared as laws.

    Parameters
    ----------
    a, b
        Points `(n_a, d)`, `(n_b, d)`.
    order
        1 or 2.
    model, curvature
        Of both; "euclidean" for flat space.

    Raises
    ------
    InputError
        If the sets do not fit, points lie outside of the model, or the order is another one.
    MissingExtraError
        If POT is not installed (extra `hyperbolic`).

    Notes
    -----
    The network simplex of POT, about O((n_a + n_b)^3). Source: Flamary et al. 2021, J. Mach.
    Learn. Res. 22.

    Examples
    --------
    >>> a, b = np.array([[0.0]]), np.array([[0.5], [0.0]])
    >>> round(float(np.exp(2 * transport_distance(a, b))), 9)
    3.0
    """
    if order not in (1, 2):
        raise InputError(f"The order of a transport distance is 1 or 2, got {order}.")
    costs = _distances(a, b, model, curvature) ** order
    weights = [np.full(count, 1 / count) for count in costs.shape]
    total = float(_pot().emd2(*weights, costs, numItermax=10_000_000))
    return float(max(total, 0.0) ** (1 / order))


def assignment_distance(
    a: Tensor | np.ndarray,
    b: Tensor | np.ndarray,
    *,
    model: Space = "poincare",
    curvature: float = -1.0,
) -> float:
    """The mean distance of the best matching of the smaller set into the larger.

    For sets of one size this is the Wasserstein distance of order 1. For others it is not: points
    of the larger set without a partner cost nothing. It is what the code of HyperDGA calls
    Wasserstein (there as a sum).

    Parameters
    ----------
    a, b
        Points `(n_a, d)`, `(n_b, d)`.
    model, curvature
        Of both; "euclidean" for flat space.

    Raises
    ------
    InputError
        If the sets do not fit, or points lie outside of the model.

    Notes
    -----
    O(min(n_a, n_b)^2 max(n_a, n_b)).

    Examples
    --------
    >>> assignment_distance(np.array([[0.0]]), np.array([[0.5], [0.0]]))
    0.0
    """
    d = _distances(a, b, model, curvature)
    return float(d[linear_sum_assignment(d)].mean())


def _distances(
    a: Tensor | np.ndarray, b: Tensor | np.ndarray, model: Space, curvature: float
) -> Float:
    points = double(both(a, b)).detach().cpu()
    if model == "euclidean":
        exact = "donot_use_mm_for_euclid_dist"
        flat: Float = torch.cdist(points[: len(a)], points[len(a) :], compute_mode=exact).numpy()
        return flat
    made: Float = distance_matrix(
        points[: len(a)], points[len(a) :], model=model, curvature=curvature
    ).numpy()
    return made


def _pot() -> Any:
    try:
        import ot
    except ImportError:
        raise MissingExtraError("POT", "hyperbolic", "Optimal transport") from None
    return ot
