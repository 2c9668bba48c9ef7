"""Scalar curvature of the metric that a feature map pulls back to its inputs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from repgeo.errors import InputError, NonFiniteError
from repgeo.geometry.determinants import PrecisionWarning, rank_tolerance
from repgeo.geometry.feature_map import (
    MEMORY_BUDGET,
    FeatureMap,
    Map,
    full_precision,
    rows_within,
    samples_within,
)
from repgeo.geometry.jacobians import forward_slopes, subspace_columns
from repgeo.geometry.volume import require_orthonormal

__all__ = ["CurvatureReport", "curvature_report", "gauss_curvature", "scalar_curvature"]

_COPIES = 4  # of a chunk's second derivatives: as made, in float64, normal parts, contracted


@dataclass(frozen=True)
class CurvatureReport:
    """Scalar curvatures with what is needed to read them.

    Attributes
    ----------
    scalar_curvature
        `(B,)`, in 1 / (units of features)^2; NaN where the metric is degenerate.
    condition
        Condition number of the metric, `(B,)`: curvature grows like the inverse square of its
        smallest eigenvalue. Infinite where the metric is degenerate.
    piecewise_linear
        Whether all second derivatives are exactly zero there, as in networks of ReLUs, `(B,)`: the
        curvature is then 0, and what bends is concentrated on the kinks between linear pieces.
    """

    scalar_curvature: Tensor
    condition: Tensor
    piecewise_linear: Tensor


def scalar_curvature(f: Map, x: Tensor, *, subspace: Tensor | None = None) -> Tensor:
    r"""Scalar curvature of the pullback metric g = J^T J at each input.

    By the Gauss equation: with II the second fundamental form of the image (the part of the second
    derivatives that is normal to it, in an orthonormal frame of the tangent space),

        R = |sum_m II(e_m, e_m)|^2 - sum_{m, o} |II(e_m, e_o)|^2.

    The sign is that of the textbooks: the unit sphere of dimension d has R = d (d - 1), in every
    chart. It does not change under isometries of the features or under a change of coordinates of
    the inputs; features scaled by c divide it by c^2.

    Parameters
    ----------
    f
        A batched map from `(B, ...)` to `(B, n)`, twice differentiable, see `jacobian`.
    x
        Inputs `(B, ...)`, d numbers each.
    subspace
        V `(d, k)` with orthonormal columns, or one per input `(B, d, k)`: the curvature of the
        image of the plane x + V t. Needed where n < d.

    Returns
    -------
    Tensor
        `(B,)`, in 1 / (units of features)^2, in the dtype of the Jacobian; 0 for networks that are
        linear in pieces (`curvature_report` flags them), and NaN where the metric is degenerate.

    Raises
    ------
    InputError
        If shapes do not fit, or the metric is degenerate everywhere because n < d.
    NonFiniteError
        If a derivative is NaN or infinite.

    Warns
    -----
    PrecisionWarning
        If the metric is degenerate at some inputs: there is no curvature there.

    Notes
    -----
    Second derivatives along k (k + 1) / 2 pairs of directions, by layerwise products for chains of
    plain layers and by nested forward mode else; then n k^3 operations for each input.

    References
    ----------
    M. P. do Carmo, "Riemannian Geometry" (1992), chapter 6. The metric is that of
    J. A. Zavatone-Veth et al. (2023), arXiv:2301.11375, there divided by n (which multiplies the
    curvature by n); the curvature of shallow networks in their code is three times this one.

    Examples
    --------
    >>> def sphere(x):
    ...     polar, azimuth = x.unbind(dim=1)
    ...     circle = torch.stack([azimuth.cos(), azimuth.sin()], dim=1)
    ...     return torch.cat([polar.sin()[:, None] * circle, polar.cos()[:, None]], dim=1)
    >>> round(float(scalar_curvature(sphere, torch.tensor([[1.0, 0.3]], dtype=torch.float64))), 12)
    2.0
    """
    return curvature_report(f, x, subspace=subspace).scalar_curvature


def curvature_report(
    f: Map, x: Tensor, *, subspace: Tensor | None = None, memory_budget: int = MEMORY_BUDGET
) -> CurvatureReport:
    """Scalar curvatures, with the condition of the metric and a flag for piecewise-linear maps.

    Parameters
    ----------
    f, x, subspace
        As for `scalar_curvature`.
    memory_budget
        Bytes for what is computed at a time.

    Raises
    ------
    InputError, NonFiniteError
        As `scalar_curvature`.

    Warns
    -----
    PrecisionWarning
        As `scalar_curvature`.

    Examples
    --------
    >>> report = curvature_report(torch.relu, torch.ones(1, 2))
    >>> report.scalar_curvature.tolist(), report.piecewise_linear.tolist()
    ([0.0], [True])
    """
    if subspace is not None:
        require_orthonormal(subspace)
    parts: list[CurvatureReport] = []
    for slopes, bends in _derivatives(f, x, subspace, memory_budget):
        curvature, condition = gauss_curvature(slopes, bends)
        flat = (bends == 0).flatten(1).all(dim=1)
        parts.append(CurvatureReport(curvature, condition, flat))
    curvature, condition, flat = (
        torch.cat([getattr(part, name) for part in parts])
        for name in ("scalar_curvature", "condition", "piecewise_linear")
    )
    degenerate = int(curvature.isnan().sum())
    if degenerate:
        warnings.warn(
            f"The metric is degenerate at {degenerate} of {len(curvature)} inputs: there is no "
            "curvature there (NaN). Restrict it to a subspace, or leave these inputs out.",
            PrecisionWarning,
            stacklevel=2,
        )
    return CurvatureReport(curvature, condition, flat)


def gauss_curvature(slopes: Tensor, bends: Tensor) -> tuple[Tensor, Tensor]:
    """Scalar curvature and condition number of the metric, from first and second derivatives.

    Parameters
    ----------
    slopes
        J `(B, n, k)`, n >= k.
    bends
        Second derivatives `(B, n, k (k + 1) / 2)`, along the pairs of `torch.triu_indices(k, k)`.

    Returns
    -------
    Tensor, Tensor
        `(B,)` and `(B,)`, computed in float64, in the dtype of `slopes`; NaN and infinity where J
        has not full rank.

    Examples
    --------
    The paraboloid (a, b, (a^2 + b^2) / 2) at its apex, with both principal curvatures 1:

    >>> slopes = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]])
    >>> bends = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]])
    >>> gauss_curvature(slopes, bends)[0].tolist()
    [2.0]
    """
    k = slopes.shape[-1]
    frame, triangle = torch.linalg.qr(slopes.double())
    values = torch.linalg.svdvals(triangle)  # (B, k)
    full = values[:, -1] > rank_tolerance(slopes, values.norm(dim=1))
    one = torch.eye(k, dtype=triangle.dtype, device=triangle.device)
    triangle = torch.where(full[:, None, None], triangle, one)
    left, right = torch.triu_indices(k, k, device=bends.device)
    wide = bends.double()
    normal = wide - frame @ (frame.mT @ wide)  # (B, n, pairs)
    # In an orthonormal frame of the tangent space: triangle^-T form triangle^-1, on the pairs.
    inverse = torch.linalg.solve_triangular(triangle, one.expand_as(triangle), upper=True)
    change = inverse[:, left][:, :, left] * inverse[:, right][:, :, right]
    swapped = inverse[:, right][:, :, left] * inverse[:, left][:, :, right]
    form = normal @ (change + swapped * (left != right)[:, None])  # (B, n, pairs)
    mean = form[..., left == right].sum(dim=-1)  # (B, n)
    square = (form.square().sum(dim=1) * (1 + (left != right).double())).sum(dim=-1)
    curvature = mean.square().sum(dim=-1) - square
    condition = (values[:, 0] / values[:, -1]).square()
    return (
        curvature.where(full, torch.nan).to(slopes.dtype),
        condition.where(full, torch.inf).to(slopes.dtype),
    )


def _derivatives(
    f: Map, x: Tensor, subspace: Tensor | None, memory_budget: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """First derivatives `(b, n, k)` and second ones `(b, n, pairs)`, a chunk at a time."""
    feature_map = FeatureMap(f, x)
    columns = subspace_columns(subspace, feature_map)
    n, d = feature_map.features, feature_map.inputs
    k = d if columns is None else columns.shape[-1]
    if n < k:
        raise InputError(
            f"{n} features of {k} inputs have a metric that is degenerate everywhere: it has no "
            "curvature. Restrict it to a subspace of at most as many dimensions as features: "
            "scalar_curvature(f, x, subspace=V)."
        )
    pairs = k * (k + 1) // 2
    held = 8 * _COPIES * n * (k * k + pairs) + feature_map.bytes_per_sample
    if feature_map.chain is not None:
        held += 8 * _COPIES * feature_map.chain.width * pairs
    size = samples_within(memory_budget, held, feature_map.x.device)
    for start in range(0, len(feature_map.x), size):
        rows = feature_map.x[start : start + size]
        part = columns
        if part is None:
            part = torch.eye(d, dtype=rows.dtype, device=rows.device)
        elif part.ndim == 3:
            part = part[start : start + size]
        with full_precision(rows.device):
            if feature_map.chain is not None:
                slopes, bends = feature_map.chain.derivatives(rows, part)
            else:
                slopes = forward_slopes(feature_map, rows, part, memory_budget)
                bends = _second_derivatives(feature_map, rows, part, memory_budget)
        if not bool(torch.isfinite(slopes).all() and torch.isfinite(bends).all()):
            raise NonFiniteError(
                f"Derivatives of the map are NaN or infinite at samples {start} to "
                f"{start + len(rows) - 1}: it is not twice differentiable there."
            )
        yield slopes, bends


def _second_derivatives(
    feature_map: FeatureMap, x: Tensor, columns: Tensor, memory_budget: int
) -> Tensor:
    """Second derivatives along pairs of columns, `(b, n, pairs)`, by nested forward mode."""
    batch, d = x.shape
    k = columns.shape[-1]
    tangents = columns.expand(batch, d, k).movedim(-1, 0)  # (k, b, d)
    left, right = torch.triu_indices(k, k)
    at_once = rows_within(memory_budget, 4 * feature_map.bytes_per_sample * batch)
    parts = []

    def bend(rows: Tensor, one: Tensor, other: Tensor) -> Tensor:
        def slope(rows: Tensor) -> Tensor:
            made: Tensor = torch.func.jvp(feature_map, (rows,), (one,))[1]
            return made

        made: Tensor = torch.func.jvp(slope, (rows,), (other,))[1]
        return made

    with torch.no_grad():
        for start in range(0, len(left), at_once):
            some = slice(start, start + at_once)
            one = tangents[left[some]].reshape(-1, d)
            other = tangents[right[some]].reshape(-1, d)
            made = bend(x.repeat(len(left[some]), 1), one, other)
            parts.append(made.reshape(-1, batch, made.shape[1]))
    return torch.cat(parts).permute(1, 2, 0)
