"""In how many directions independent walkers spread."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.errors import InputError

__all__ = ["inverse_effective_dimension"]

_STILL = 1e-8  # of the largest displacement: below it the direction is rounding


def inverse_effective_dimension(displacements: Tensor) -> Tensor:
    """One over the participation ratio of displacements, corrected for their small number.

    The participation ratio of a covariance S is (tr S)^2 / tr S^2: n for a spread that is the same
    in n directions and none in others. The plain estimate from B walkers is n / (1 + n / B). With
    the Gram matrix G of the displacements,

        sum_(i != j) G_ij^2 / sum_(i != j) G_ii G_jj

    has an unbiased numerator, tr S^2, and an unbiased denominator, (tr S)^2, for independent
    walkers of mean zero (S is their second moment). Average it over starts before inverting it:
    of few walkers it is noisy (relative standard deviation 2 / B where all lengths are alike).

    Endpoints of independent walkers are meant. Points along one path are not independent: whatever
    the class, the participation ratio of a random walk's path is about 2.5.

    Parameters
    ----------
    displacements
        From the common start, `(..., B, d)`, with B at least 2.

    Returns
    -------
    Tensor
        `(...)`, float64; NaN where fewer than two walkers moved (by 1e-8 of the farthest).

    Raises
    ------
    InputError
        If there are fewer than two walkers.

    Notes
    -----
    B^2 d operations.

    Examples
    --------
    Walkers along the same line, and along two axes:

    >>> line = torch.tensor([[1.0, 0.0], [-2.0, 0.0], [3.0, 0.0]])
    >>> cross = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> [round(float(inverse_effective_dimension(one)), 6) for one in (line, cross)]  # 4 / 12
    [1.0, 0.333333]
    """
    if displacements.ndim < 2 or displacements.shape[-2] < 2:
        raise InputError(
            "An effective dimension needs displacements (..., B, d) of at least two walkers; got "
            f"{tuple(displacements.shape)}."
        )
    moved = displacements.double()
    size = moved.norm(dim=-1).amax(dim=-1, keepdim=True)[..., None]
    moved = moved / size.where(size > 0, 1.0)  # so that fourth powers neither under- nor overflow
    gram = moved @ moved.mT  # (..., B, B)
    squares = gram.diagonal(dim1=-2, dim2=-1)  # (..., B)
    others = ~torch.eye(moved.shape[-2], dtype=torch.bool, device=moved.device)
    product = (squares[..., :, None] * squares[..., None, :] * others).sum(dim=(-2, -1))
    off = (gram.square() * others).sum(dim=(-2, -1))
    some = (squares > _STILL**2).sum(dim=-1) >= 2
    return torch.where(some, off / product, torch.nan)
