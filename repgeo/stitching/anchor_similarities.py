"""Similarities of many codes to a few anchors, block by block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError

__all__ = [
    "DISTANCES",
    "SIMILARITIES",
    "SimilarityName",
    "anchor_similarities",
    "as_codes",
    "require_finite",
    "unit_rows",
]

SimilarityName: TypeAlias = Literal["cosine", "euclidean", "l1", "linf", "inner"]

SIMILARITIES: Final[tuple[str, ...]] = get_args(SimilarityName)

#: The similarities that are distances with a minus, and the order of their norm.
DISTANCES: Final = {"euclidean": 2.0, "l1": 1.0, "linf": float("inf")}

# Of a block on the CPU: so many that a product loses nothing to being cut in pieces, so few that
# what is done to a block finds it in the cache (of the third level).
_ROWS = (256, 2048)
_ENTRIES = {"cpu": 1 << 20, "other": 1 << 25}  # of a block's codes; elsewhere of all of it
_PADDING = 64  # batches are padded to multiples of it: products then keep their bits

#: Takes some codes `(rows, features)` in float64 to `(rows, r)`, and whether in their memory.
Rows: TypeAlias = Callable[[Tensor, bool], Tensor]


def as_codes(codes: Tensor | np.ndarray, what: str) -> Tensor:
    """Codes `(n, features)` as a tensor that shares their memory; not yet known to be finite.

    Raises
    ------
    InputError
        If they are no tensor or array, not two-dimensional, or not floating point.
    """
    tensor = torch.from_numpy(codes) if isinstance(codes, np.ndarray) else codes
    if not isinstance(tensor, Tensor):
        raise InputError(f"{what} must be a tensor or an array, got {type(codes).__name__}.")
    if tensor.ndim != 2 or tensor.shape[1] == 0:
        raise InputError(f"{what} must have the shape (n, features), got {tuple(tensor.shape)}.")
    if not tensor.is_floating_point():
        raise InputError(f"{what} must be floating point, got {tensor.dtype}.")
    return tensor


def require_finite(codes: Tensor, what: str) -> None:
    """Raise `InputError` where codes hold NaN or infinite values."""
    if codes.numel() and not all(
        bool(torch.isfinite(end)) for end in torch.aminmax(codes.detach())
    ):
        raise InputError(f"{what} hold NaN or infinite values.")


def unit_rows(rows: Tensor, floor: float = 0.0, *, overwrite: bool = False) -> Tensor:
    """Each row `(n, features)` divided by its Euclidean norm; zero where that is at most `floor`.

    With `overwrite` in the memory of the rows.

    Examples
    --------
    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    norm = torch.linalg.vector_norm(rows, dim=1, keepdim=True)  # (n, 1)
    nothing = norm <= floor
    extreme = ~((norm > 1e-140) & (norm < 1e140))
    if bool(extreme.any()) and rows.shape[1]:
        # Squares of very small or very large entries leave the range: those rows are divided by
        # their largest entry first.
        largest = rows.detach().abs().amax(dim=1, keepdim=True)
        factor = torch.where(extreme & (largest > 0), largest, 1.0)
        rows = rows / factor
        norm = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        nothing = norm * factor <= floor
    inverse = torch.where(nothing, 0.0, 1.0 / torch.where(nothing, 1.0, norm))
    return rows.mul_(inverse) if overwrite else rows * inverse


def anchor_similarities(
    codes: Tensor, anchors: Tensor, transformed: Rows, similarity: SimilarityName, *, unit: bool
) -> Tensor:
    """The similarities `(n, anchors)` of codes to anchors, in the dtype of the codes.

    Parameters
    ----------
    codes
        `(n, features)`, as they came.
    anchors
        `(anchors, r)`, float64, transformed already.
    transformed
        Takes some codes `(rows, features)` in float64 to `(rows, r)`, and may do so in their memory
        where its second argument says so.
    similarity
        See `RelativeProjection`.
    unit
        Whether transformed codes and anchors have norm 1 (or 0).

    Raises
    ------
    InputError
        If a code is NaN or infinite.

    Notes
    -----
    Only a block of codes at a time is held in float64. Distances and products are computed in
    float64, but for products of unit vectors of codes of lower precision: these are rounded to
    float32 and multiplied in it, which is off by at most (r + 2) 2^-24 before the result is
    rounded to the dtype of the codes.

    Blocks have the same number of rows whatever the number of codes, and the last one is padded to
    a multiple of 64 rows: on a CPU no bit of a row depends on how many others there are.

    Where gradients are wanted everything is computed in float64 at once.
    """
    anchors = anchors.to(codes.device)
    if torch.is_grad_enabled() and (codes.requires_grad or anchors.requires_grad):
        require_finite(codes, "Codes")
        found = _similarities(transformed(codes.double(), False), anchors, similarity, unit=unit)
        return found.to(codes.dtype)
    if unit and similarity not in DISTANCES and codes.dtype != torch.float64:
        anchors = anchors.float()
    found = codes.new_empty(len(codes), len(anchors))
    rows = min(_block_rows(codes, anchors), len(codes) + -len(codes) % _PADDING)
    # What is made of a block goes to the same memory every time: it stays in the cache, and no
    # time goes into new pages.
    wide = codes.new_empty(rows, codes.shape[1], dtype=torch.float64)
    narrow = anchors.new_empty(rows, anchors.shape[1])
    with torch.no_grad():
        for block, out in zip(torch.split(codes, rows), torch.split(found, rows), strict=True):
            require_finite(block, "Codes")
            padded = len(block) + -len(block) % _PADDING
            wide[: len(block)].copy_(block)
            wide[len(block) : padded].zero_()
            made = transformed(wide[:padded], True)
            if made.dtype != anchors.dtype:
                made = narrow[:padded].copy_(made)
            if padded > len(block) or out.dtype != anchors.dtype:
                out.copy_(_similarities(made, anchors, similarity, unit=unit)[: len(block)])
            else:
                _similarities(made, anchors, similarity, unit=unit, out=out)
    return found


def _similarities(
    codes: Tensor,
    anchors: Tensor,
    similarity: SimilarityName,
    *,
    unit: bool,
    out: Tensor | None = None,
) -> Tensor:
    """Similarities of transformed codes and anchors of one dtype; into `out` where it is given."""
    if similarity in DISTANCES:
        # The exact mode: through products, distances of near points lose half their digits.
        exact = "donot_use_mm_for_euclid_dist"
        gaps = torch.cdist(codes, anchors, p=DISTANCES[similarity], compute_mode=exact)
        return -gaps if out is None else torch.neg(gaps, out=out)
    if out is None:
        products = codes @ anchors.T
        return products.clamp(-1.0, 1.0) if unit else products
    torch.mm(codes, anchors.T, out=out)
    return out.clamp_(-1.0, 1.0) if unit else out


def _block_rows(codes: Tensor, anchors: Tensor) -> int:
    """How many rows a block has: a multiple of 64, whatever the number of codes."""
    if codes.device.type == "cpu":
        least, most = _ROWS
        rows = min(most, max(least, _ENTRIES["cpu"] // codes.shape[1]))
    else:
        rows = max(_PADDING, _ENTRIES["other"] // (codes.shape[1] + len(anchors)))
    return rows - rows % _PADDING
