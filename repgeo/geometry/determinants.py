"""Log-volumes of matrices: sums of logarithms of singular values, with rank and rounding error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from repgeo.errors import InputError, nearest

__all__ = [
    "LogDeterminants",
    "PrecisionWarning",
    "Solver",
    "log_determinants",
    "rank_tolerance",
    "rounding_floor",
    "singular_values",
]

Solver: TypeAlias = Literal["auto", "cholesky", "qr", "svd"]

SOLVERS: Final[tuple[str, ...]] = get_args(Solver)

_DOUBLE_EPS = torch.finfo(torch.float64).eps
_ACCEPTED_ERROR = 1e-11  # nats; what the Gram route may cost where the entries are exact
_GRAM_ERROR = 1e-3  # nats; beyond it the Gram matrix has no digits of the smallest values left
_PROBES = 16  # random vectors for the size of an inverse
_RANK_SAFETY = 4.0  # singular values below this multiple of the expected rounding count as zero


class PrecisionWarning(UserWarning):
    """Values that rounding of the network's own arithmetic leaves uncertain."""


@dataclass(frozen=True)
class LogDeterminants:
    """Log-volumes of a batch of matrices.

    Attributes
    ----------
    values
        Sum of the logarithms of all min(n, d) singular values, `(B,)`, nats; minus infinity where
        the rank is not full.
    ranks
        Numerical ranks `(B,)`, int64.
    errors
        Expected errors `(B,)`, nats: of rounding the entries, or of the solver where that is more.
        Infinite where the rank is not full.
    """

    values: Tensor
    ranks: Tensor
    errors: Tensor


def rank_tolerance(matrices: Tensor, norms: Tensor) -> Tensor:
    """Singular values below this cannot be told from zero, `(B,)`.

    Entries `(B, n, d)` with independent relative errors eps move singular values by about
    eps |J|_F (sqrt n + sqrt d) / sqrt(n d): the norm of a random matrix. Four times that is taken,
    and for the decomposition itself, which is done in float64, sqrt(max(n, d)) eps_64 |J|_F.

    Parameters
    ----------
    matrices
        Tells shape and dtype.
    norms
        Their Frobenius norms `(B,)`.
    """
    n, d = matrices.shape[-2:]
    eps = torch.finfo(matrices.dtype).eps
    entries = _RANK_SAFETY * eps * (n**-0.5 + d**-0.5)
    tolerance: Tensor = norms * (entries + math.sqrt(max(n, d)) * _DOUBLE_EPS)
    return tolerance


def rounding_floor(matrices: Tensor, norms: Tensor, inverse_norms: Tensor) -> Tensor:
    """Expected error of a log-volume when the entries are rounded once, `(B,)`, nats.

    With independent errors of the entries, d log vol = tr(J^+ dJ) has the standard deviation
    0.3 eps |J|_F |J^+|_F / sqrt(n d) (0.3 eps is that of one rounding).

    Parameters
    ----------
    matrices
        Tells shape and dtype.
    norms, inverse_norms
        Frobenius norms of J and of its pseudo-inverse, `(B,)`.
    """
    n, d = matrices.shape[-2:]
    scale = 0.3 * torch.finfo(matrices.dtype).eps / math.sqrt(n * d)
    return norms * inverse_norms * scale


def singular_values(matrices: Tensor) -> Tensor:
    """All min(n, d) singular values in descending order, `(B, min(n, d))`, float64.

    From the triangular factor of the tall orientation, which is small and keeps digits that a
    decomposition of the wide one loses.

    Examples
    --------
    >>> singular_values(torch.tensor([[[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]]])).tolist()
    [[4.0, 3.0]]
    """
    tall = _tall(matrices.double())
    if tall.shape[-2] > tall.shape[-1]:
        tall = torch.linalg.qr(tall, mode="r")[1]
    values: Tensor = torch.linalg.svdvals(tall)
    return values


def log_determinants(matrices: Tensor, *, solver: Solver = "auto") -> LogDeterminants:
    """Sums of the logarithms of all singular values of `(B, n, d)` matrices.

    Half the log-determinant of J^T J (d <= n) or of J J^T (n < d), computed in float64 whatever
    the dtype of the entries, which decides what counts as rank deficient.

    Parameters
    ----------
    matrices
        `(B, n, d)`, finite.
    solver
        "cholesky" of the Gram matrix (fastest; squares the condition number; matrices of which it
        cannot tell the rank are treated as by "svd"), "qr", "svd", or "auto": Cholesky where its
        error stays below that of rounding the entries (or 1e-11), else "svd" of the triangular
        factor.

    Raises
    ------
    InputError
        If the solver is unknown.

    Notes
    -----
    With p >= m the sides: 2 p m^2 operations for the Gram matrix and m^3 for the factor and its
    error; QR and SVD about four times that.

    Examples
    --------
    >>> found = log_determinants(torch.tensor([[[2.0, 0.0], [0.0, 0.5]], [[1.0, 1.0], [1.0, 1.0]]]))
    >>> found.values.tolist(), found.ranks.tolist()
    ([0.0, -inf], [2, 1])
    """
    if solver not in SOLVERS:
        raise InputError(f"Unknown solver {solver!r}. {nearest(solver, SOLVERS)}")
    tall = _tall(matrices.double())
    scales = torch.linalg.vector_norm(tall, ord=torch.inf, dim=(-2, -1))  # (B,)
    scales = scales.where((scales > 0) & ~_squares_in_range(scales), 1.0)
    if bool((scales != 1.0).any()):
        tall = tall / scales[:, None, None]
    if solver in {"auto", "cholesky"}:
        found, accepted = _by_cholesky(tall, matrices, forced=solver == "cholesky")
    elif solver == "qr":
        found, accepted = _by_qr(tall, matrices)
    else:
        found, accepted = _by_spectrum(tall, matrices), tall.new_ones(len(tall), dtype=torch.bool)
    if not bool(accepted.all()):
        again = torch.nonzero(~accepted).squeeze(1)
        better = _by_spectrum(tall[again], matrices)
        found.values[again] = better.values
        found.ranks[again] = better.ranks
        found.errors[again] = better.errors
    shift = tall.shape[-1] * scales.log()
    return LogDeterminants(found.values + shift, found.ranks, found.errors)


def _squares_in_range(scales: Tensor) -> Tensor:
    """Whether squares and their sums neither overflow nor lose digits, float64."""
    return (scales > 1e-100) & (scales < 1e100)


def _tall(matrices: Tensor) -> Tensor:
    return matrices if matrices.shape[-2] >= matrices.shape[-1] else matrices.mT


def _by_cholesky(tall: Tensor, matrices: Tensor, *, forced: bool) -> tuple[LogDeterminants, Tensor]:
    """From the Gram matrix; and which of the results are to be kept."""
    p, m = tall.shape[-2:]
    gram = tall.mT @ tall
    factor, info = torch.linalg.cholesky_ex(gram)
    diagonal = factor.diagonal(dim1=-2, dim2=-1)
    norms = gram.diagonal(dim1=-2, dim2=-1).sum(dim=-1).sqrt()
    inverse_norms = _inverse_norms(factor, upper=False)
    floor = rounding_floor(matrices, norms, inverse_norms)
    own = 0.3 * _DOUBLE_EPS / (math.sqrt(p) * m) * (norms * inverse_norms) ** 2
    full = (info == 0) & (inverse_norms * rank_tolerance(matrices, norms) < 1.0)
    accepted = full & (own <= floor.clamp(min=_ACCEPTED_ERROR))
    values = diagonal.log().sum(dim=-1)
    ranks = torch.full((len(tall),), m, device=tall.device)
    kept = full & (own <= _GRAM_ERROR) if forced else accepted
    return LogDeterminants(values, ranks, torch.maximum(floor, own)), kept


def _by_qr(tall: Tensor, matrices: Tensor) -> tuple[LogDeterminants, Tensor]:
    """From the triangular factor; where that is nearly singular the rank is looked at closely."""
    m = tall.shape[-1]
    factor = torch.linalg.qr(tall, mode="r")[1]
    diagonal = factor.diagonal(dim1=-2, dim2=-1).abs()
    norms = factor.flatten(1).norm(dim=1)
    inverse_norms = _inverse_norms(factor, upper=True)
    kept = inverse_norms * rank_tolerance(matrices, norms) < 1.0  # False where it is NaN
    ranks = torch.full((len(tall),), m, device=tall.device)
    floor = rounding_floor(matrices, norms, inverse_norms)
    return LogDeterminants(diagonal.log().sum(dim=-1), ranks, floor), kept


def _inverse_norms(triangles: Tensor, *, upper: bool) -> Tensor:
    """Frobenius norms of the inverses of `(B, m, m)` triangles, estimated within about a third.

    E |T^-1 z|^2 = |T^-1|_F^2 for z of independent standard normal entries; small ones are exact.
    """
    m = triangles.shape[-1]
    if m <= _PROBES:
        right = torch.eye(m, dtype=triangles.dtype, device=triangles.device)
    else:
        draws = torch.Generator().manual_seed(0)  # the same for all: an estimate of a size
        right = torch.randn(m, _PROBES, generator=draws, dtype=triangles.dtype)
        right = right.to(triangles.device) / math.sqrt(_PROBES)
    solved = torch.linalg.solve_triangular(
        triangles, right.expand(len(triangles), *right.shape), upper=upper
    )
    norms: Tensor = solved.flatten(1).norm(dim=1)
    return norms


def _by_spectrum(tall: Tensor, matrices: Tensor) -> LogDeterminants:
    values = singular_values(tall)
    norms = values.norm(dim=-1)
    tolerance = rank_tolerance(matrices, norms)
    ranks = (values > tolerance[:, None]).sum(dim=-1)
    full = ranks == tall.shape[-1]
    floor = rounding_floor(matrices, norms, (1.0 / values).norm(dim=-1))
    return LogDeterminants(
        torch.where(full, values.log().sum(dim=-1), -torch.inf),
        ranks,
        torch.where(full, floor, torch.inf),
    )
