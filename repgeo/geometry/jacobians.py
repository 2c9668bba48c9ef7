"""Jacobians of feature maps, sample by sample, in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from repgeo.errors import InputError, NonFiniteError, nearest
from repgeo.geometry.feature_map import (
    MEMORY_BUDGET,
    FeatureMap,
    Map,
    full_precision,
    rows_within,
    samples_within,
)
from repgeo.geometry.fixed_slopes import FixedSlopes

__all__ = ["Mode", "forward_slopes", "jacobian", "jacobian_chunks", "subspace_columns"]

Mode: TypeAlias = Literal["auto", "forward", "reverse", "layerwise"]

_MODES: Final[tuple[str, ...]] = get_args(Mode)
_ROWS = 32  # of a backward pass on a CPU: fewer leave it waiting for the next call
_FILL = 1 << 22  # bytes of activations of such a pass, where samples are small
_COPIES = 3  # of a chunk of Jacobians: itself, in float64, factorised


def jacobian(f: Map, x: Tensor, *, mode: Mode = "auto", chunk: int | None = None) -> Tensor:
    """The Jacobians of a feature map at each input.

    J[b, i, j] = d f_i / d x_j at x[b], with the axes of one input flattened.

    Parameters
    ----------
    f
        A batched map from `(B, ...)` to `(B, n)`, in which samples do not act on each other: a
        module in eval mode, or any callable of torch operations.
    x
        Inputs `(B, ...)`, d numbers each.
    mode
        "layerwise" (products of the weights; for maps that are a chain of linear layers and
        elementwise activation modules), "forward" (d passes that carry a tangent, no memory of
        activations), "reverse" (n backward passes), or "auto": layerwise where possible, else what
        costs less, and reverse where an operation of `f` has no forward-mode derivative.
    chunk
        How many samples are treated at a time; None chooses by memory. The values depend on it by
        rounding only.

    Returns
    -------
    Tensor
        `(B, n, d)`, on the device of `x`, in the common dtype of inputs and features.

    Raises
    ------
    InputError
        If shapes do not fit, `mode` is unknown or not possible, or samples act on each other
        (BatchNorm in training mode).
    NonFiniteError
        If a derivative is NaN or infinite.

    Notes
    -----
    Parameters are frozen and no graph for second derivatives is kept. Cost: about min(2 d, n)
    forward passes of each sample; layerwise the cheapest order of matrix products (a shallow
    network costs one scaling of its weights). Memory: that of the result.

    Examples
    --------
    >>> jacobian(lambda x: x**2, torch.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[[2.0, 0.0], [0.0, 4.0]], [[6.0, 0.0], [0.0, 8.0]]]
    """
    made: Tensor | None = None
    for where, part in jacobian_chunks(f, x, mode=mode, chunk=chunk):
        if made is None:
            made = part.new_empty(len(x), *part.shape[1:])
        made[where] = part
    assert made is not None  # there is at least one sample
    return made


def jacobian_chunks(
    f: Map,
    x: Tensor,
    *,
    subspace: Tensor | None = None,
    mode: Mode = "auto",
    chunk: int | None = None,
    memory_budget: int = MEMORY_BUDGET,
) -> Iterator[tuple[slice, Tensor]]:
    """Jacobians J `(b, n, d)`, or J V `(b, n, k)` on a subspace, one chunk of samples at a time.

    Parameters
    ----------
    f, x, mode, chunk
        As for `jacobian`.
    subspace
        V `(d, k)`, or one per sample `(B, d, k)`; forward mode then costs k tangents.
    memory_budget
        Bytes for what a chunk needs.

    Yields
    ------
    slice, Tensor
        Which samples, and their Jacobians.

    Raises
    ------
    InputError, NonFiniteError
        As `jacobian`.
    """
    if mode not in _MODES:
        raise InputError(f"Unknown mode {mode!r}. {nearest(mode, _MODES)}")
    if chunk is not None and chunk < 1:
        raise InputError(f"chunk must be at least 1, got {chunk}.")
    feature_map = f.at(x) if isinstance(f, FeatureMap) else FeatureMap(f, x)
    columns = subspace_columns(subspace, feature_map)
    directions = feature_map.inputs if columns is None else columns.shape[-1]
    way = _way(mode, feature_map, directions)
    held = _COPIES * 8 * feature_map.features * directions + feature_map.bytes_per_sample
    if way == "layerwise" and feature_map.chain is not None:
        held += 2 * 8 * feature_map.chain.width * directions
    if way == "reverse" and columns is not None:
        held += 8 * feature_map.features * feature_map.inputs
    size = chunk or samples_within(memory_budget, held, feature_map.x.device)
    for start in range(0, len(feature_map.x), size):
        where = slice(start, min(start + size, len(feature_map.x)))
        rows = feature_map.x[where]
        part = columns[where] if columns is not None and columns.ndim == 3 else columns
        with full_precision(rows.device):
            if way == "forward":
                try:
                    made = forward_slopes(feature_map, rows, part, memory_budget)
                except NotImplementedError:  # an operation without forward-mode derivative
                    if mode == "forward":
                        raise
                    way = "reverse"
            if way == "layerwise" and feature_map.chain is not None:
                made = feature_map.chain.jacobian(rows, part)
            elif way == "reverse":
                made = _reverse(feature_map, rows, memory_budget)
                made = made if part is None else made @ part
        bad = ~torch.linalg.vector_norm(made, ord=torch.inf, dim=(1, 2)).isfinite()
        if bool(bad.any()):
            raise NonFiniteError(
                f"The Jacobians of {int(bad.sum())} of the samples {start} to {where.stop - 1} "
                "hold NaN or infinite values: the map is not differentiable there."
            )
        yield where, made


def _way(mode: Mode, feature_map: FeatureMap, directions: int) -> Mode:
    """How Jacobians are to be computed; cost decides where the mode does not."""
    if mode == "layerwise" and feature_map.chain is None:
        raise InputError(
            "mode='layerwise' needs a map that is nothing but a chain of nn.Linear and elementwise "
            "activation modules. Use mode='auto'."
        )
    if mode != "auto":
        return mode
    if feature_map.chain is not None:
        return "layerwise"
    return "forward" if 2 * directions <= feature_map.features else "reverse"


def subspace_columns(subspace: Tensor | None, feature_map: FeatureMap) -> Tensor | None:
    """The subspace in the inputs' dtype, checked."""
    if subspace is None:
        return None
    batch, d = feature_map.x.shape
    fits = subspace.shape[-2:-1] == (d,) and subspace.shape[-1] >= 1
    if not (fits and (subspace.ndim == 2 or (subspace.ndim == 3 and len(subspace) == batch))):
        raise InputError(
            f"A subspace is (d, k) or (B, d, k), here ({d}, k) or ({batch}, {d}, k); got "
            f"{tuple(subspace.shape)}."
        )
    return subspace.detach().to(feature_map.x)


def forward_slopes(
    feature_map: FeatureMap, x: Tensor, columns: Tensor | None, memory_budget: int
) -> Tensor:
    """J V `(b, n, k)` by tangents, several at once: each on a copy of the samples."""
    batch, d = x.shape
    if columns is None:
        columns = torch.eye(d, dtype=x.dtype, device=x.device)
    k = columns.shape[-1]
    tangents = columns.movedim(-1, 0)  # (k, d) or (k, b, d)
    tangents = tangents[:, None].expand(k, batch, d) if columns.ndim == 2 else tangents
    at_once = rows_within(memory_budget, 2 * feature_map.bytes_per_sample * batch)
    parts = []
    with torch.no_grad():
        for start in range(0, k, at_once):
            some = tangents[start : start + at_once]
            rows = x.repeat(len(some), 1)
            slopes: Tensor = torch.func.jvp(feature_map, (rows,), (some.reshape(-1, d),))[1]
            parts.append(slopes.reshape(len(some), batch, -1))
    return torch.cat(parts).permute(1, 2, 0)  # (b, n, k)


def _reverse(feature_map: FeatureMap, x: Tensor, memory_budget: int) -> Tensor:
    """J `(b, n, d)`, several rows at a time, each on a copy of the samples.

    On a GPU as many as memory allows, to fill it; on a CPU so many that each pass has something to
    do: more only costs the copies.
    """
    batch, d = x.shape
    n = feature_map.features
    most = rows_within(memory_budget, feature_map.bytes_per_sample * batch)
    if x.device.type == "cpu":
        most = min(most, max(_ROWS, _FILL // feature_map.bytes_per_sample) // batch)
    copies = max(1, min(n, most))
    jacobians = x.new_empty(batch, n, d)
    with torch.enable_grad():
        leaf = x.repeat(copies, 1).requires_grad_()
        with FixedSlopes():
            features = feature_map(leaf)
        if not features.requires_grad:  # a constant map
            return jacobians.zero_()
        for start in range(0, n, copies):
            stop = min(start + copies, n)
            weight = torch.zeros_like(features).view(copies, batch, n)
            for row in range(start, stop):
                weight[row - start, :, row] = 1.0
            (slope,) = torch.autograd.grad(
                features, leaf, weight.view_as(features), retain_graph=stop < n, allow_unused=True
            )
            if slope is None:
                return jacobians.zero_()
            rows = slope.view(copies, batch, d)[: stop - start]
            jacobians[:, start:stop] = rows.transpose(0, 1)
    return jacobians
