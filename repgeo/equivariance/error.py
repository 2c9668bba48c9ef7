"""Invariance error: how far the codes move when the inputs are moved."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from repgeo.errors import InputError

__all__ = ["invariance_error", "relative_change", "typical_distance"]

_ROUNDING = 16  # units of rounding, relative to the codes' size, below which a spread is none


def typical_distance(codes: Tensor) -> Tensor:
    """Root mean square of the distances between the codes of different samples.

    sqrt(mean over i != j of |z_i - z_j|^2) = sqrt(2 tr C), with C the unbiased covariance.

    Parameters
    ----------
    codes
        `(n, features)` or `(n, ...)`, n >= 2.

    Returns
    -------
    Tensor
        A scalar, float64.

    Raises
    ------
    InputError
        If there are fewer than two samples, or a value is NaN or infinite.

    Notes
    -----
    O(n features), accumulated in float64.

    Examples
    --------
    >>> typical_distance(torch.tensor([[0.0, 0.0], [3.0, 4.0]])).item()
    5.0
    """
    wide = _rows(codes, "Codes")
    if len(wide) < 2:
        raise InputError("The distance between samples needs at least two of them, got one.")
    centred = wide - wide.mean(dim=0)
    return (2 * centred.square().sum() / (len(wide) - 1)).sqrt()


def relative_change(moved: Tensor, codes: Tensor) -> Tensor:
    """The distance between codes and their moved versions, over that between different samples.

    |z'_i - z_i| / `typical_distance`(z). 0: unchanged; 1: as different as two samples are from
    each other. The mean of its square is exactly 1, in expectation, where the moved versions are
    codes of other samples drawn at random: that is chance.

    Where all codes are the same (up to rounding: a spread of less than 16 units of rounding of the
    dtype, relative to their size) and the moved ones are the same too, the change is 0.

    Parameters
    ----------
    moved, codes
        `(n, ...)`, of the same shape, n >= 2.

    Returns
    -------
    Tensor
        `(n,)`, float64.

    Raises
    ------
    InputError
        If the shapes differ, there are fewer than two samples, a value is NaN or infinite, or all
        codes are the same while moved ones are not (there is then nothing to compare with).

    Notes
    -----
    O(n features), accumulated in float64.

    Examples
    --------
    >>> codes = torch.tensor([[0.0], [2.0]])
    >>> relative_change(codes + 1, codes)
    tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    if moved.shape != codes.shape:
        raise InputError(
            f"Moved codes must have the shape of the codes, {tuple(codes.shape)}, got "
            f"{tuple(moved.shape)}."
        )
    scale = typical_distance(codes)
    wide = _rows(codes, "Codes")
    change = (_rows(moved, "Moved codes") - wide).square().sum(dim=1).sqrt()
    rounding = torch.finfo(codes.dtype).eps if codes.is_floating_point() else 0.0
    size = wide.square().sum(dim=1).sqrt().max()
    nothing = _ROUNDING * rounding * size
    if bool(scale > nothing):
        return change / scale
    if bool((change <= nothing).all()):
        return torch.zeros_like(change)
    raise InputError(
        "All samples have the same codes, but moved samples have others: a change relative to the "
        "distance between samples is undefined. Measure on samples with different codes."
    )


def invariance_error(
    f: Callable[[Tensor], Tensor], x: Tensor, actions: Sequence[Callable[[Tensor], Tensor]]
) -> Tensor:
    """The relative change of f under each action, |f(g x) - f(x)| / typical distance of f(x).

    The normalisation is `typical_distance` of the codes f(x): an error of 1 means that moving a
    sample changes its code as much as taking another sample does. It does not change when f is
    rotated, shifted or scaled. A constant f has error 0: read the error beside one that says
    whether f tells samples apart.

    For a group with the identity left out of `actions`: with m elements, the mean of the squared
    errors is m/(m-1) (1 - s), s the share of the variance of f that its average over each orbit
    keeps, where the inputs are as likely as their moved versions.

    Parameters
    ----------
    f
        From a batch `(n, ...)` to codes `(n, ...)`.
    x
        The inputs, n >= 2.
    actions
        Transformations of batches.

    Returns
    -------
    Tensor
        `(n, actions)`, float64, on the codes' device.

    Raises
    ------
    InputError
        As `relative_change`, or if there is no action.

    Notes
    -----
    len(actions) + 1 evaluations of f. Source: the equivariance error of Kvinge et al. 2022 (in what
    ways are deep neural networks invariant and how should we measure this?), with the trivial
    action on the codes and normalised by the spread of the codes.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 2.0], [5.0, 2.0]])
    >>> swap = [lambda x: x.flip(1)]
    >>> invariance_error(lambda x: x.sum(dim=1), x, swap)  # a sum does not see the order
    tensor([[0.],
            [0.]], dtype=torch.float64)
    >>> invariance_error(lambda x: x[:, 0], x, swap)  # 1 -> 2 and 5 -> 2, at a distance of 4
    tensor([[0.2500],
            [0.7500]], dtype=torch.float64)
    """
    if not actions:
        raise InputError("At least one action is needed.")
    codes = f(x)
    return torch.stack([relative_change(f(action(x)), codes) for action in actions], dim=1)


def _rows(codes: Tensor, what: str) -> Tensor:
    """Codes `(n, features)` in float64."""
    if codes.ndim == 0 or codes.is_complex():
        raise InputError(f"{what} must be real, of shape (n, ...), got {tuple(codes.shape)}.")
    wide = codes.double().reshape(len(codes), -1)
    if not bool(torch.isfinite(wide).all()):
        raise InputError(f"{what} hold NaN or infinite values.")
    return wide
