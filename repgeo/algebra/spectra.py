"""What singular values say of a rank: by several tolerances, and the largest gap."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from repgeo.errors import InputError, NonFiniteError

__all__ = ["NumericalRank", "numerical_rank"]


@dataclass(frozen=True, eq=False)
class NumericalRank:
    """The rank of a matrix by its singular values, in several ways.

    Attributes
    ----------
    rank
        Singular values above max(n, m) eps times the largest (the rule of `matrix_rank`).
    gap
        Decades between the last of them and the next; infinite where there is no next one, or it is
        zero.
    at_1e_6, at_1e_12
        Singular values above 1e-6 and 1e-12 times the largest.
    at_gap
        The place of the largest gap between neighbours.
    largest_gap
        Decades of it.
    values
        The singular values, from the largest on.
    """

    rank: int
    gap: float
    at_1e_6: int
    at_1e_12: int
    at_gap: int
    largest_gap: float
    values: NDArray[np.float64]

    @property
    def unanimous(self) -> bool:
        """Whether all rules give one rank."""
        return len({self.rank, self.at_1e_6, self.at_1e_12, self.at_gap}) == 1


def numerical_rank(matrix: NDArray[np.float64]) -> NumericalRank:
    """The rank of a float64 matrix by several rules: where they differ, none is to be trusted.

    Parameters
    ----------
    matrix
        `(n, m)`, float64.

    Raises
    ------
    InputError
        If it is not a float64 matrix: ranks in single precision are wrong for deep networks.
    NonFiniteError
        If an entry is not finite.

    Examples
    --------
    >>> found = numerical_rank(np.diag([1.0, 1e-2, 1e-15]))
    >>> found.rank, found.at_1e_12, found.at_gap, found.unanimous
    (3, 2, 2, False)
    """
    if matrix.ndim != 2 or matrix.dtype != np.float64:
        raise InputError(
            f"numerical_rank takes a float64 matrix, got {matrix.dtype} of shape {matrix.shape}."
        )
    if not np.isfinite(matrix).all():
        raise NonFiniteError("The matrix has entries that are NaN or infinite.")
    values: NDArray[np.float64] = np.zeros(0)
    if matrix.size:
        values = np.linalg.svd(matrix, compute_uv=False).astype(np.float64)
    largest = float(values.max(initial=0.0))
    if largest == 0.0:
        return NumericalRank(0, math.inf, 0, 0, 0, math.inf, values)

    def above(tolerance: float) -> int:
        return int((values > tolerance * largest).sum())

    rank = above(max(matrix.shape) * float(np.finfo(np.float64).eps))
    # Below the smallest number that can be told from zero beside the largest, all is one zero.
    floor = largest * float(np.finfo(np.float64).eps) * 1e-3
    logs = np.log10(np.maximum(values, floor))
    drops = np.append(logs[:-1] - logs[1:], logs[-1] - math.log10(floor))
    place = int(drops.argmax())
    gap = math.inf if rank == len(values) else float(logs[rank - 1] - logs[rank])
    return NumericalRank(
        rank, gap, above(1e-6), above(1e-12), place + 1, float(drops[place]), values
    )
