"""Singular values of the Jacobians of a feature map: all of them, or the largest few."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from repgeo.errors import InputError, nearest
from repgeo.geometry.determinants import singular_values
from repgeo.geometry.feature_map import MEMORY_BUDGET, FeatureMap, Map, full_precision, rows_within
from repgeo.geometry.jacobians import jacobian_chunks, subspace_columns
from repgeo.geometry.lanczos import Product, jacobian_products, largest_singular_values

__all__ = ["SpectrumSolver", "largest_chunks", "volume_spectrum"]

SpectrumSolver: TypeAlias = Literal["auto", "dense", "lanczos"]

_SOLVERS: Final[tuple[str, ...]] = get_args(SpectrumSolver)
_TOLERANCE = 1e-9  # of Lanczos values against the largest; rounding of the products where coarser


def volume_spectrum(
    f: Map, x: Tensor, *, k: int | None = None, solver: SpectrumSolver = "auto"
) -> Tensor:
    """The singular values of the Jacobians, in descending order.

    Their squares are the eigenvalues of the pullback metric J^T J (without its d - n zeros where
    n < d); the sum of their logarithms is the log-volume.

    Parameters
    ----------
    f
        A batched map from `(B, ...)` to `(B, n)`, see `jacobian`.
    x
        Inputs `(B, ...)`, d numbers each.
    k
        Only the largest k; all min(n, d) by default.
    solver
        "dense" (forms the Jacobians), "lanczos" (products with them only, for k << min(n, d);
        values to 1e-9 of the largest in float64), or "auto": what takes fewer passes.

    Returns
    -------
    Tensor
        `(B, k)`, float64, in units of features per unit of input.

    Raises
    ------
    InputError
        If shapes do not fit, k is not between 1 and min(n, d), or the solver is unknown.
    NonFiniteError
        If a derivative is NaN or infinite.

    Notes
    -----
    Dense: the Jacobian (see `jacobian`) and about 4 max(n, d) min(n, d)^2 operations for each
    input. Lanczos: about 3 k + 16 passes forward and as many back, more for flat spectra.

    Examples
    --------
    >>> volume_spectrum(lambda x: x * torch.tensor([1.0, 4.0]), torch.zeros(1, 2)).tolist()
    [[4.0, 1.0]]
    """
    if solver not in _SOLVERS:
        raise InputError(f"Unknown solver {solver!r}. {nearest(solver, _SOLVERS)}")
    if solver == "lanczos" and k is None:
        raise InputError("solver='lanczos' finds the largest singular values: give k.")
    if k is not None and solver != "dense":
        made = [part for part, _, _ in largest_chunks(f, x, k, solver=solver)]
        if made:
            return torch.cat(made)
    parts = []
    for _, jacobians in jacobian_chunks(f, x):
        most = min(jacobians.shape[1:])
        _require_within(k or most, most)
        parts.append(singular_values(jacobians)[:, : k or most])
    return torch.cat(parts)


def largest_chunks(
    f: Map,
    x: Tensor,
    k: int,
    *,
    subspace: Tensor | None = None,
    solver: SpectrumSolver = "auto",
    memory_budget: int = MEMORY_BUDGET,
) -> Iterator[tuple[Tensor, torch.dtype, tuple[int, int]]]:
    """The k largest singular values `(b, k)` by Lanczos, a chunk of samples at a time.

    With "auto" nothing is yielded where forming the Jacobians takes fewer passes.

    Yields
    ------
    Tensor, dtype, (int, int)
        Singular values in float64, the dtype of the products that they come from, and (n, d).

    Raises
    ------
    InputError, NonFiniteError
        As `volume_spectrum`.
    """
    feature_map = FeatureMap(f, x)
    columns = subspace_columns(subspace, feature_map)
    n = feature_map.features
    d = feature_map.inputs if columns is None else columns.shape[-1]
    _require_within(k, min(n, d))
    # A step is one product forward, which costs two passes, and one back. Passes for a Jacobian are
    # taken several at a time, which makes them four times cheaper or so.
    if solver == "auto" and 12 * (3 * k + 16) > min(n, 2 * d):
        return
    dtype = feature_map.x.dtype
    tolerance = max(_TOLERANCE, 4 * torch.finfo(dtype).eps)
    held = feature_map.bytes_per_sample + 8 * (3 * k + 16) * (n + d)
    size = rows_within(memory_budget, held)
    draws = torch.Generator().manual_seed(0)  # a generic direction, the same for all inputs
    start = torch.randn(d, generator=draws, dtype=torch.float64).to(feature_map.x.device)
    for first in range(0, len(feature_map.x), size):
        rows = feature_map.x[first : first + size]
        with full_precision(rows.device):
            multiply, multiply_back = jacobian_products(feature_map, rows)
            if columns is not None:
                part = columns[first : first + size] if columns.ndim == 3 else columns
                multiply, multiply_back = _restricted(multiply, multiply_back, part)
            values, _ = largest_singular_values(
                multiply,
                multiply_back,
                start.repeat(len(rows), 1),
                features=n,
                k=k,
                tolerance=tolerance,
            )
        yield values, dtype, (n, d)


def _restricted(
    multiply: Product, multiply_back: Product, columns: Tensor
) -> tuple[Product, Product]:
    """The products with J V, for V `(d, k)` or `(b, d, k)`."""
    return (
        lambda v: multiply((columns @ v.to(columns)[:, :, None]).squeeze(2)),
        lambda u: (columns.mT @ multiply_back(u)[:, :, None]).squeeze(2),
    )


def _require_within(k: int, most: int) -> None:
    if not 1 <= k <= most:
        raise InputError(f"k must be between 1 and {most}, got {k}.")
