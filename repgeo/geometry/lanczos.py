"""The largest singular values of Jacobians that are never formed (Golub-Kahan-Lanczos)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from repgeo.errors import NonFiniteError
from repgeo.geometry.feature_map import FeatureMap

__all__ = ["Product", "jacobian_products", "largest_singular_values"]

Product: TypeAlias = Callable[[Tensor], Tensor]

_EVERY = 4  # steps between looks at the residuals
_EXTRA = 8  # steps beyond k before the first look, and after a restart


def largest_singular_values(
    multiply: Product,
    multiply_back: Product,
    start: Tensor,
    *,
    features: int,
    k: int,
    tolerance: float = 1e-9,
) -> tuple[Tensor, int]:
    """The k largest singular values of matrices A `(B, n, d)` known by their products.

    Golub-Kahan bidiagonalisation with full reorthogonalisation, all matrices in step, until the
    error bound of each of the k values (residual, or squared residual over the gap) is below
    `tolerance` times the largest one. Where a Krylov space is exhausted, a new direction is drawn,
    so that repeated singular values are found as often as they occur.

    Parameters
    ----------
    multiply, multiply_back
        From v `(B, d)` to A v `(B, n)`, and from u `(B, n)` to A^T u `(B, d)`.
    start
        Random directions `(B, d)`, float64.
    features
        n.
    k
        How many, at most min(n, d).
    tolerance
        Relative to the largest singular value.

    Returns
    -------
    Tensor, int
        `(B, k)` in descending order, float64; and the number of steps, one product of each kind.

    Raises
    ------
    NonFiniteError
        If a product is NaN or infinite.

    Notes
    -----
    Heavy-tailed spectra take little more than 2 k steps, evenly spaced ones up to min(n, d).

    References
    ----------
    G. Golub, W. Kahan, "Calculating the singular values and pseudo-inverse of a matrix" (1965).

    Examples
    --------
    >>> A = torch.diag(torch.tensor([1.0, 3.0, 3.0, 2.0], dtype=torch.float64))
    >>> start = torch.ones(1, 4, dtype=torch.float64)
    >>> product = lambda v: v @ A
    >>> values, _ = largest_singular_values(product, product, start, features=4, k=2)
    >>> [round(value, 12) for value in values[0].tolist()]
    [3.0, 3.0]
    """
    d = start.shape[1]
    most = min(features, d)
    draws = torch.Generator().manual_seed(0)  # of restarts: they only need to be generic
    right = [_unit(start)]  # v_1, v_2, ...: each (B, d)
    product = multiply(right[0]).double()
    scale = product.norm(dim=1)  # (B,): below rounding of it, a new direction is drawn
    left: list[Tensor] = []
    diagonal: list[Tensor] = []
    above: list[Tensor] = []
    earliest = k + _EXTRA
    for step in range(1, most + 1):
        if not bool(torch.isfinite(product).all()):
            raise NonFiniteError("Products with the Jacobian are NaN or infinite.")
        u, alpha, _ = _next(product, left, scale, draws)
        left.append(u)
        diagonal.append(alpha)
        scale = torch.maximum(scale, alpha)
        back = multiply_back(u).double() - alpha[:, None] * right[-1]
        v, beta, restarted = _next(back, right, scale, draws, room=step < d)
        if restarted:
            earliest = max(earliest, step + k + _EXTRA)
        last = step == most
        if last:
            # All features are spanned, or all inputs (then beta is 0): the factorisation is exact.
            return torch.linalg.svdvals(_bidiagonal(diagonal, [*above, beta]))[:, :k], step
        if step >= earliest and (step - k) % _EVERY == 0:
            values, errors = _ritz(diagonal, above, beta, k)
            if bool((errors <= tolerance * values[:, :1]).all()):
                return values, step
        right.append(v)
        above.append(beta)
        product = multiply(v).double() - beta[:, None] * u
    raise AssertionError("the loop returns at its last step")


def _unit(rows: Tensor) -> Tensor:
    length: Tensor = rows.norm(dim=1, keepdim=True)
    return rows / length


def _orthogonalised(rows: Tensor, basis: list[Tensor]) -> Tensor:
    """Rows `(B, m)` without their parts along the basis; twice, which is enough."""
    if basis:
        columns = torch.stack(basis, dim=2)  # (B, m, steps)
        for _ in range(2):
            rows = rows - (columns @ (columns.mT @ rows[:, :, None])).squeeze(2)
    return rows


def _next(
    rows: Tensor,
    basis: list[Tensor],
    scale: Tensor,
    draws: torch.Generator,
    *,
    room: bool = True,
) -> tuple[Tensor, Tensor, bool]:
    """The next basis vectors, their norms, and whether a new direction had to be drawn."""
    rows = _orthogonalised(rows, basis)
    norms = rows.norm(dim=1)
    exhausted = norms <= 1e-13 * scale
    restarted = bool(exhausted.any()) and room and len(basis) < rows.shape[1]
    if restarted:
        fresh = torch.randn(rows.shape[1], generator=draws, dtype=torch.float64).to(rows.device)
        fresh = _orthogonalised(fresh.expand_as(rows), basis)
        rows = torch.where(exhausted[:, None], fresh, rows)
    length = rows.norm(dim=1).clamp(min=torch.finfo(torch.float64).tiny)
    return rows / length[:, None], norms.where(~exhausted, 0.0), restarted


def _bidiagonal(diagonal: list[Tensor], above: list[Tensor]) -> Tensor:
    """`(B, steps, steps)`, or one column more where there are as many entries above."""
    steps = len(diagonal)
    made = torch.zeros(len(diagonal[0]), steps, len(above) + 1, dtype=torch.float64)
    made = made.to(diagonal[0].device)
    for j, values in enumerate(diagonal):
        made[:, j, j] = values
    for j, values in enumerate(above):
        made[:, j, j + 1] = values
    return made


def _ritz(
    diagonal: list[Tensor], above: list[Tensor], beta: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """The k largest singular values of the bidiagonal matrix, and bounds of their errors."""
    left, values, _ = torch.linalg.svd(_bidiagonal(diagonal, above))
    residuals = beta[:, None] * left[:, -1, :].abs()
    gaps = torch.full_like(values, torch.inf)
    steps = values[:, :-1] - values[:, 1:]
    gaps[:, :-1] = steps
    gaps[:, 1:] = torch.minimum(gaps[:, 1:], steps)
    tiny = torch.finfo(torch.float64).tiny
    errors = torch.minimum(residuals, residuals.square() / gaps.clamp(min=tiny))
    return values[:, :k], errors[:, :k]


def jacobian_products(feature_map: FeatureMap, x: Tensor) -> tuple[Product, Product]:
    """The products with the Jacobians at rows `(b, d)`, and with their transposes.

    The features are computed once for all transposed products; each forward product is one pass
    that carries a tangent.
    """
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        features = feature_map(leaf)

    def multiply(v: Tensor) -> Tensor:
        with torch.no_grad():
            made: Tensor = torch.func.jvp(feature_map, (x,), (v.to(x.dtype),))[1]
        return made

    def multiply_back(u: Tensor) -> Tensor:
        if not features.requires_grad:
            return torch.zeros_like(x)
        (slope,) = torch.autograd.grad(
            features, leaf, u.to(features.dtype), retain_graph=True, allow_unused=True
        )
        return torch.zeros_like(x) if slope is None else slope

    return multiply, multiply_back
