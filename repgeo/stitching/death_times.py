"""Reading death times: wanted scales for densification, and how much two distributions overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.integrate import trapezoid
from torch import Tensor

from repgeo.errors import InputError

__all__ = ["BETA_FACTORS", "beta_candidates", "overlap_coefficient"]

#: By which death times are multiplied for a first guess of beta.
BETA_FACTORS: Final = (0.3, 0.5, 0.6)

_GRID: Final = 2048
_REACH: Final = 6.0  # bandwidths beyond the outermost samples; what lies outside is below 1e-9


def beta_candidates(
    deaths: Tensor, factors: Sequence[float] = BETA_FACTORS
) -> dict[tuple[str, float], float]:
    """Values of beta to try in `densification_loss`, from death times without densification.

    f times the mean of all deaths ("mean"), and f times the mean over clouds of the largest death
    ("mean_of_max"), for each factor f. They ask classes to become denser by 1 / f.

    Parameters
    ----------
    deaths
        Death times of clouds `(clouds, n - 1)` with as many points as sub-batches will have.
    factors
        f.

    Returns
    -------
    dict
        (of, factor) -> beta, in the units of the deaths.

    Raises
    ------
    InputError
        If there are no deaths.

    Notes
    -----
    Source: the heuristic grid of García-Castellanos, "Topological regularization of relative
    representations" (2023), Master's thesis.

    Examples
    --------
    >>> import torch
    >>> beta_candidates(torch.tensor([[1.0, 3.0], [2.0, 6.0]]), [0.5])
    {('mean', 0.5): 1.5, ('mean_of_max', 0.5): 2.25}
    """
    if deaths.ndim != 2 or not deaths.numel():
        raise InputError(f"Death times must be (clouds, deaths), got {tuple(deaths.shape)}.")
    means = {"mean": float(deaths.mean()), "mean_of_max": float(deaths.amax(dim=1).mean())}
    return {(of, factor): factor * mean for of, mean in means.items() for factor in factors}


def overlap_coefficient(a: Tensor | np.ndarray, b: Tensor | np.ndarray) -> float:
    r"""Overlap of two distributions of numbers: the integral of the smaller of their densities.

    eta = integral of min(p, q): 1 for equal distributions, 0 for disjoint ones. The densities are
    kernel estimates with Gaussian kernels whose bandwidth is 1.06 s n^(-1/5), s the sample's
    standard deviation. Estimated densities are wider than true ones, so that eta is somewhat too
    large for distributions that lie apart; and noisy, so that it is below 1 for equal ones.

    Invariant to one translation and scaling of both.

    Parameters
    ----------
    a, b
        Samples of two real quantities, of any shapes; two numbers each at least.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    InputError
        If a sample has fewer than two different values, or one that is not finite.

    Notes
    -----
    O((n + m) grid), the grid having 2,048 points.

    Source: the coefficient: Inman and Bradley, Communications in Statistics 18 (1989); the
    bandwidth: Silverman, "Density estimation for statistics and data analysis" (1986).

    Examples
    --------
    Normal distributions two standard deviations apart overlap by 2 Phi(-1) = 0.317:

    >>> from statistics import NormalDist
    >>> normal = np.array([NormalDist().inv_cdf((k + 0.5) / 2000) for k in range(2000)])
    >>> overlap_coefficient(normal, normal), round(overlap_coefficient(normal, normal + 2), 2)
    (1.0, 0.33)
    """
    first, second = (_sample(values) for values in (a, b))
    if np.array_equal(np.sort(first), np.sort(second)):
        return 1.0
    widths = [_bandwidth(values) for values in (first, second)]
    reach = _REACH * max(widths)
    low = min(first.min(), second.min()) - reach
    high = max(first.max(), second.max()) + reach
    grid = np.linspace(low, high, _GRID)
    densities = [
        _density(values, width, grid) for values, width in zip((first, second), widths, strict=True)
    ]
    eta = float(trapezoid(np.minimum(*densities), grid))
    return min(1.0, max(0.0, eta))


def _sample(values: Tensor | np.ndarray) -> np.ndarray:
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    flat: np.ndarray = array.astype(np.float64).reshape(-1)
    if not np.isfinite(flat).all() or len(np.unique(flat)) < 2:
        raise InputError(
            f"A distribution needs two different finite values at least, got {len(flat)} numbers."
        )
    return flat


def _bandwidth(values: np.ndarray) -> float:
    width: float = 1.06 * float(values.std(ddof=1)) * float(len(values)) ** -0.2
    return width


def _density(values: np.ndarray, width: float, grid: np.ndarray) -> np.ndarray:
    total = np.zeros_like(grid)
    for part in np.array_split(values, -(-len(values) // 512)):  # (grid, part) numbers at a time
        total += np.exp(-0.5 * ((grid[:, None] - part) / width) ** 2).sum(axis=1)
    density: np.ndarray = total / (len(values) * width * np.sqrt(2 * np.pi))
    return density
