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

_EXTRA = 8  # steps beyond k before the first look at the residuals, and after a restart


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
    right, left = _Basis(start, most), _Basis(start.new_empty(len(start), features), most)
    v = _unit(start)
    right.append(v)  # v_1, v_2, ...
    product = multiply(v).double()
    scale = product.norm(dim=1)  # (B,): below rounding of it, a new direction is drawn
    diagonal: list[Tensor] = []
    above: list[Tensor] = []
    look = k + _EXTRA
    for step in range(1, most + 1):
        if not bool(torch.isfinite(product).all()):
            raise NonFiniteError("Products with the Jacobian are NaN or infinite.")
        u, alpha, _ = _next(product, left, scale, draws)
        left.append(u)
        diagonal.append(alpha)
        scale = torch.maximum(scale, alpha)
        back = multiply_back(u).double() - alpha[:, None] * v
        v, beta, restarted = _next(back, right, scale, draws, room=step < d)
        if restarted:
            look = max(look, step + k + _EXTRA)
        if step == most:
            # All features are spanned, or all inputs (then beta is 0): the factorisation is exact.
            return torch.linalg.svdvals(_bidiagonal(diagonal, [*above, beta]))[:, :k], step
        if step >= look:
            values, errors = _ritz(diagonal, above, beta, k)
            if bool((errors <= tolerance * values[:, :1]).all()):
                return values, step
            look = step + max(2, step // 10)
        right.append(v)
        above.append(beta)
        product = multiply(v).double() - beta[:, None] * u
    raise AssertionError("the loop returns at its last step")


class _Basis:
    """Orthonormal vectors `(B, steps, m)`, with room for more."""

    def __init__(self, like: Tensor, most: int) -> None:
        self._most = most
        self._rows = like.new_empty(len(like), min(32, most), like.shape[1])
        self.steps = 0

    def append(self, vectors: Tensor) -> None:
        """Take in one more vector of each matrix, `(B, m)`."""
        if self.steps == self._rows.shape[1]:
            more = min(self.steps, self._most - self.steps)
            room = self._rows.new_empty(len(self._rows), max(1, more), self._rows.shape[2])
            self._rows = torch.cat([self._rows, room], dim=1)
        self._rows[:, self.steps] = vectors
        self.steps += 1

    def without(self, vectors: Tensor) -> Tensor:
        """The vectors `(B, m)` less their parts along the basis; twice, which is enough."""
        rows = self._rows[:, : self.steps]
        for _ in range(2 if self.steps else 0):
            parts = rows @ vectors[:, :, None]  # (B, steps, 1)
            vectors = vectors - (rows.mT @ parts).squeeze(2)
        return vectors


def _unit(rows: Tensor) -> Tensor:
    length: Tensor = rows.norm(dim=1, keepdim=True)
    return rows / length


def _next(
    rows: Tensor,
    basis: _Basis,
    scale: Tensor,
    draws: torch.Generator,
    *,
    room: bool = True,
) -> tuple[Tensor, Tensor, bool]:
    """The next basis vectors, their norms, and whether a new direction had to be drawn."""
    rows = basis.without(rows)
    norms = rows.norm(dim=1)
    exhausted = norms <= 1e-13 * scale
    restarted = bool(exhausted.any()) and room and basis.steps < rows.shape[1]
    if restarted:
        fresh = torch.randn(rows.shape[1], generator=draws, dtype=torch.float64).to(rows.device)
        fresh = basis.without(fresh.expand_as(rows))
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
