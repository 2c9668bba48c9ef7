"""What every pair probe must check."""

from __future__ import annotations

from torch import Tensor

from repgeo.errors import SampleMismatchError

__all__ = ["require_same_ids"]


def require_same_ids(mine: Tensor, other: Tensor, what: str = "samples") -> None:
    """Refuse a pair whose two sides do not hold the same samples in the same order.

    Rows of the two sides are compared one by one: a similarity or a stitch of shuffled rows is
    meaningless and looks like a number.

    Raises
    ------
    SampleMismatchError
        If the ids differ.

    Examples
    --------
    >>> import torch
    >>> require_same_ids(torch.tensor([3, 1]), torch.tensor([1, 3]))
    Traceback (most recent call last):
        ...
    repgeo.errors.SampleMismatchError: The two sides of the pair were measured on different \
samples (their ids differ). Prepare both on the same dataset and task seed.
    """
    if mine.shape != other.shape or not bool((mine.cpu() == other.cpu()).all()):
        raise SampleMismatchError(
            f"The two sides of the pair were measured on different {what} (their ids differ). "
            "Prepare both on the same dataset and task seed."
        )
