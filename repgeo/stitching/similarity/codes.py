"""Codes of two sides, checked and centred: what every measure of similarity begins with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

from repgeo.errors import InputError, SampleMismatchError

__all__ = ["blocks", "centred", "check_pair", "require_equal_ids", "shared_dtype"]

#: Bytes of one block of a matrix between samples.
_BLOCK_BYTES: Final = 1 << 25


def check_pair(a: Tensor, b: Tensor, *, samples: int) -> None:
    """Refuse codes that no similarity is defined for.

    Costs O(nd) time and no memory of the size of the codes.

    Parameters
    ----------
    a, b
        Codes `(n, features)`.
    samples
        The least number of samples.

    Raises
    ------
    InputError
        If the shapes do not fit, there are too few samples, a value is NaN or infinite, or the
        codes of a side are the same for all samples.
    """
    for which, codes in (("first", a), ("second", b)):
        if codes.ndim != 2 or codes.shape[1] == 0:
            raise InputError(
                f"Codes must have the shape (n, features), the {which} side has "
                f"{tuple(codes.shape)}. Flatten them: codes.flatten(1)."
            )
        if not codes.is_floating_point():
            raise InputError(f"Codes must be floating point, the {which} side is {codes.dtype}.")
    if a.shape[0] != b.shape[0]:
        raise InputError(
            f"Both sides need codes of the same samples, got {a.shape[0]} and {b.shape[0]} rows."
        )
    if a.shape[0] < samples:
        named = {2: "two", 3: "three", 4: "four"}.get(samples, str(samples))
        raise InputError(f"At least {named} samples are needed, got {a.shape[0]}.")
    for which, codes in (("first", a), ("second", b)):
        low, high = codes.amin(dim=0), codes.amax(dim=0)  # a NaN is in both
        if not bool((torch.isfinite(low) & torch.isfinite(high)).all()):
            raise InputError(f"The codes of the {which} side hold NaN or infinite values.")
        if torch.equal(low, high):
            raise InputError(
                f"The codes of the {which} side are the same for all samples: "
                "their similarity to others is undefined."
            )


def centred(codes: Tensor) -> Tensor:
    """The codes `(n, features)` in float64, centred, the largest of them 1 before that.

    Centring first keeps digits where codes have a large common offset; squares of very large or
    very small codes stay in the range of numbers.

    Examples
    --------
    >>> centred(torch.tensor([[0.0], [4.0]]))[:, 0].tolist()
    [-0.5, 0.5]
    """
    wide = codes.double() / codes.abs().max().double()
    wide = wide - wide.mean(dim=0)
    return wide - wide.mean(dim=0)  # what rounding left of the mean


def shared_dtype(a: Tensor, b: Tensor) -> torch.dtype:
    """The dtype in which a similarity of the two is given."""
    return torch.promote_types(a.dtype, b.dtype)


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of rows, so that a float64 block of a matrix `(rows, columns)` takes 32 MiB at most.

    Blocks are multiples of 64 rows (a block of 64 may take more).

    Examples
    --------
    >>> [(block.start, block.stop) for block in blocks(100, 65536)]
    [(0, 64), (64, 100)]
    """
    size = max(64, _BLOCK_BYTES // (8 * max(columns, 1)) // 64 * 64)
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def require_equal_ids(ids: Tensor, ids_b: Tensor, n: int) -> None:
    """Refuse sides whose rows are not the same samples in the same order.

    Parameters
    ----------
    ids, ids_b
        Sample ids `(n,)` of the two sides.
    n
        How many rows each side has.

    Raises
    ------
    SampleMismatchError
        If the ids differ, or are not one per row.

    Examples
    --------
    >>> require_equal_ids(torch.tensor([3, 1]), torch.tensor([1, 3]), 2)
    Traceback (most recent call last):
        ...
    repgeo.errors.SampleMismatchError: The two sides hold other samples, or in another order: \
2 of 2 ids differ. Bring both into one order; rows are compared one by one.
    """
    if ids.shape != (n,) or ids_b.shape != (n,):
        raise SampleMismatchError(
            f"Ids must be one per row, ({n},); got {tuple(ids.shape)} and {tuple(ids_b.shape)}."
        )
    differing = int((ids.cpu() != ids_b.cpu()).sum())
    if differing:
        raise SampleMismatchError(
            f"The two sides hold other samples, or in another order: {differing} of {n} ids "
            "differ. Bring both into one order; rows are compared one by one."
        )
