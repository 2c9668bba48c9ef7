"""The volume element of a feature map: by how much it stretches volumes at each input."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from repgeo.errors import InputError, nearest
from repgeo.geometry.determinants import (
    SOLVERS,
    LogDeterminants,
    PrecisionWarning,
    log_determinants,
    rank_tolerance,
    singular_values,
)
from repgeo.geometry.feature_map import MEMORY_BUDGET, Map
from repgeo.geometry.jacobians import jacobian_chunks
from repgeo.geometry.spectrum import largest_chunks

__all__ = ["VolumeKind", "VolumeReport", "log_volume", "require_orthonormal", "volume_report"]

VolumeSolver: TypeAlias = Literal["auto", "cholesky", "qr", "svd", "lanczos"]
VolumeKind: TypeAlias = Literal["volume", "coarea", "truncated"]

_UNCERTAIN = 1e-3  # nats: values whose expected error is larger are warned of


@dataclass(frozen=True)
class VolumeReport:
    """Log-volumes of a feature map with what is needed to read them.

    Attributes
    ----------
    log_volume
        `(B,)`, nats, float64; minus infinity where the rank is below `directions`.
    rank
        Numerical rank of J (or of J V), `(B,)`, int64; of truncated sums by Lanczos at most
        `directions`, since no further singular values are known.
    error
        Expected rounding error `(B,)`, nats; infinite where the rank is deficient.
    kind
        "volume" (d <= n: the volume element), "coarea" (n < d: the normal Jacobian, which is not a
        density on the inputs and shifts under a change of input coordinates by log |det A| only
        for multiples of orthogonal A), or "truncated" (the largest `directions` singular values).
    directions
        How many singular values were summed.
    """

    log_volume: Tensor
    rank: Tensor
    error: Tensor
    kind: VolumeKind
    directions: int


def log_volume(
    f: Map,
    x: Tensor,
    *,
    subspace: Tensor | None = None,
    rank: int | None = None,
    solver: VolumeSolver = "auto",
) -> Tensor:
    r"""Logarithm of the volume element of the metric that a feature map pulls back to its inputs.

    With J the Jacobian `(n, d)` at an input and s_1 >= s_2 >= ... its singular values,

        log_volume = sum_{i <= min(n, d)} log s_i,

    which for d <= n is (1/2) log det J^T J, the volume element, and for n < d is
    (1/2) log det J J^T, the coarea factor (`volume_report` says which).

    Parameters
    ----------
    f
        A batched map from `(B, ...)` to `(B, n)`, see `jacobian`.
    x
        Inputs `(B, ...)`, d numbers each.
    subspace
        V `(d, k)` with orthonormal columns, or one per input `(B, d, k)`: J V takes the place of J.
        A plane costs two forward-mode passes, whatever d is.
    rank
        Sum the `rank` largest singular values only. The sum rises with `rank` while s > 1 and
        falls once s < 1: compare only values of the same `rank`.
    solver
        "cholesky", "qr", "svd", or "auto" (see `repgeo.geometry.determinants`); with `rank` also
        "lanczos", which does not form the Jacobians, and which "auto" takes where that is faster.

    Returns
    -------
    Tensor
        `(B,)` in nats. Always float64: in float32 a sum of hundreds of logarithms would lose more
        to rounding than the Jacobian has. Minus infinity where the rank is deficient.

    Raises
    ------
    InputError
        If shapes do not fit, the subspace is not orthonormal, or `rank` exceeds min(n, d).
    NonFiniteError
        If a derivative is NaN or infinite.

    Warns
    -----
    PrecisionWarning
        If values are uncertain by more than 0.001 nats, because the smallest singular values are
        close to what rounding of the network's arithmetic adds: evaluate it in float64.

    Notes
    -----
    Memory does not grow with B. Cost: the Jacobian (see `jacobian`), and 2 max(n, d) min(n, d)^2
    operations for each input.

    References
    ----------
    J. A. Zavatone-Veth, S. Yang, J. A. Rubinfien, C. Pehlevan, "Neural networks learn to magnify
    areas near decision boundaries" (2023), arXiv:2301.11375. There the metric is divided by n: a
    shift of -(d/2) log n.

    Examples
    --------
    >>> stretch = torch.tensor([[3.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    >>> round(float(log_volume(lambda x: x @ stretch.T, torch.zeros(1, 2)).exp()), 12)
    6.0
    """
    return volume_report(f, x, subspace=subspace, rank=rank, solver=solver).log_volume


def volume_report(
    f: Map,
    x: Tensor,
    *,
    subspace: Tensor | None = None,
    rank: int | None = None,
    solver: VolumeSolver = "auto",
    memory_budget: int = MEMORY_BUDGET,
) -> VolumeReport:
    """Log-volumes with ranks, expected errors, and what kind of volume they are.

    Parameters
    ----------
    f, x, subspace, rank, solver
        As for `log_volume`.
    memory_budget
        Bytes for what is computed at a time.

    Raises
    ------
    InputError, NonFiniteError
        As `log_volume`.

    Warns
    -----
    PrecisionWarning
        As `log_volume`.

    Examples
    --------
    >>> report = volume_report(torch.relu, torch.tensor([[1.0, 2.0], [1.0, -2.0]]))
    >>> report.log_volume.tolist(), report.rank.tolist(), report.kind
    ([0.0, -inf], [2, 1], 'volume')
    """
    allowed = (*SOLVERS, "lanczos")
    if solver not in allowed:
        raise InputError(f"Unknown solver {solver!r}. {nearest(solver, allowed)}")
    if subspace is not None:
        require_orthonormal(subspace)
    if rank is None and solver == "lanczos":
        raise InputError("solver='lanczos' finds the largest singular values: give rank.")
    if rank is not None and solver in {"auto", "lanczos"}:
        found = _by_lanczos(f, x, rank, subspace, solver, memory_budget)
        if found is not None:
            return found
    parts: list[LogDeterminants] = []
    shape = torch.Size()
    for _, jacobians in jacobian_chunks(f, x, subspace=subspace, memory_budget=memory_budget):
        shape, dtype = jacobians.shape[1:], jacobians.dtype
        if rank is None or rank == min(shape):
            exact = "auto" if solver == "lanczos" else solver
            parts.append(log_determinants(jacobians, solver=exact))
        else:
            parts.append(_truncated(jacobians, rank))
    directions = min(shape) if rank is None else rank
    return _report(parts, dtype, _kind(shape, directions), directions)


def _report(
    parts: list[LogDeterminants], dtype: torch.dtype, kind: VolumeKind, directions: int
) -> VolumeReport:
    values, ranks, errors = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("values", "ranks", "errors")
    )
    uncertain = (errors > _UNCERTAIN) & errors.isfinite()
    if bool(uncertain.any()):
        warnings.warn(
            f"{int(uncertain.sum())} of {len(errors)} log-volumes are uncertain by more than "
            f"{_UNCERTAIN} nats (up to {float(errors[uncertain].max()):.2g}): the smallest "
            f"singular values are near the rounding of {dtype}. Evaluate the map in float64.",
            PrecisionWarning,
            stacklevel=4,
        )
    return VolumeReport(values, ranks, errors, kind, directions)


def _by_lanczos(
    f: Map,
    x: Tensor,
    rank: int,
    subspace: Tensor | None,
    solver: Literal["auto", "lanczos"],
    memory_budget: int,
) -> VolumeReport | None:
    """Sums over the largest singular values without Jacobians; None where forming them is faster.

    The rank is then known up to `rank` only.
    """
    parts: list[LogDeterminants] = []
    kind: VolumeKind = "truncated"
    for values, dtype, shape in largest_chunks(
        f, x, rank, subspace=subspace, solver=solver, memory_budget=memory_budget
    ):
        # Products are rounded to dtype: so are values, relative to the largest.
        tolerance = 4 * torch.finfo(dtype).eps * values[:, 0]
        parts.append(_summed(values, tolerance, rank))
        kind = _kind(shape, rank)
    return _report(parts, dtype, kind, rank) if parts else None


def _kind(shape: tuple[int, ...], directions: int) -> VolumeKind:
    if directions < min(shape):
        return "truncated"
    return "volume" if shape[1] <= shape[0] else "coarea"


def require_orthonormal(subspace: Tensor) -> None:
    """Refuse a subspace `(..., d, k)` whose columns are not orthonormal.

    Raises
    ------
    InputError
        Saying what to do.
    """
    columns = subspace.detach().double()
    gram = columns.mT @ columns
    one = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    slack = 64 * torch.finfo(subspace.dtype).eps * math.sqrt(max(columns.shape[-2], 1))
    if gram.shape[-1] > columns.shape[-2] or float((gram - one).abs().max()) > slack:
        raise InputError(
            f"The columns of the subspace {tuple(subspace.shape)} must be orthonormal, else the "
            "volume is in other units than the inputs'. Use torch.linalg.qr(subspace).Q."
        )


def _truncated(jacobians: Tensor, rank: int) -> LogDeterminants:
    """Sums over the largest singular values."""
    if not 1 <= rank <= min(jacobians.shape[1:]):
        raise InputError(
            f"rank must be between 1 and {min(jacobians.shape[1:])} for Jacobians "
            f"{tuple(jacobians.shape[1:])}, got {rank}."
        )
    values = singular_values(jacobians)
    return _summed(values, rank_tolerance(jacobians, values.norm(dim=-1)), rank)


def _summed(values: Tensor, tolerance: Tensor, rank: int) -> LogDeterminants:
    """Sums of logarithms of the first `rank` of singular values `(B, k)`; `tolerance` is zero."""
    ranks = (values > tolerance[:, None]).sum(dim=-1)
    top = values[:, :rank]
    reached = ranks >= rank
    # Rounding moves each singular value by about tolerance / 4 at the most: relative errors add.
    errors = (tolerance[:, None] / 4 / top).norm(dim=-1)
    return LogDeterminants(
        torch.where(reached, top.log().sum(dim=-1), -torch.inf),
        ranks,
        torch.where(reached, errors, torch.inf),
    )
