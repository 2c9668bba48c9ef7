"""Procrustes and angular distance: metrics on shapes, which obey the triangle inequality."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.stitching.similarity.codes import centred, check_pair, shared_dtype

__all__ = ["angular_distance", "procrustes_distance"]


def procrustes_distance(a: Tensor, b: Tensor) -> Tensor:
    r"""Distance of two clouds of unit size after the best rotation of one onto the other.

        min_Q \|A - B Q\|_F = sqrt(2 - 2 \|A^T B\|_*),

    over orthogonal Q, with A and B the codes, centred and divided by their Frobenius norm, and
    \|.\|_* the sum of the singular values. Codes of different sizes are filled up with zeros,
    which changes nothing in the right-hand side.

    A metric on shapes (classes of clouds up to rotation, reflection, translation and scaling):
    symmetric, 0 only for equal shapes, and d(a, c) <= d(a, b) + d(b, c). From 0 to sqrt(2), which
    codes reach that are uncorrelated in every pair of features; for independent codes
    `procrustes_chance(n, d_a, d_b)`.

    Parameters
    ----------
    a, b
        Codes `(n, features)`, the number of features may differ. Row i of both is one sample.

    Returns
    -------
    Tensor
        A scalar in [0, sqrt(2)] of the codes' (common) dtype, on their device.

    Raises
    ------
    InputError
        If the shapes do not fit, there are fewer than two samples, a value is NaN or infinite, or
        the codes of a side are the same for all samples.

    Notes
    -----
    O(n d min(n, d)), no n x n matrix unless d > n. The distance is taken from A - B Q itself: near
    0 the difference of singular values would keep half the digits.
    Source: Williams et al. 2021 (arXiv 2110.14739).

    Examples
    --------
    >>> square = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> round(procrustes_distance(square, 3 - 2 * square.flip(1)).item(), 6)
    0.0
    >>> round(procrustes_distance(square[:, :1], square[:, 1:]).item() ** 2, 6)
    2.0
    """
    left, right = _unit_clouds(a, b)
    return _chord(left, right).to(shared_dtype(a, b))


def angular_distance(a: Tensor, b: Tensor) -> Tensor:
    r"""Angle between two clouds of unit size after the best rotation of one onto the other.

    arccos \|A^T B\|_* with A and B as for `procrustes_distance`: the great-circle distance on
    the sphere of clouds of unit size, in radian. The metric of the same shapes: from 0 to pi/2,
    and equal to 2 arcsin(p / 2), p being the Procrustes distance.

    Parameters
    ----------
    a, b
        Codes `(n, features)`, the number of features may differ. Row i of both is one sample.

    Returns
    -------
    Tensor
        A scalar in [0, pi/2], in radian, of the codes' (common) dtype, on their device.

    Raises
    ------
    InputError
        As `procrustes_distance` does.

    Notes
    -----
    O(n d min(n, d)). Source: Williams et al. 2021 (arXiv 2110.14739).

    Examples
    --------
    >>> square = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> round(angular_distance(square, square[:, :1]).item() * 4 / torch.pi, 6)
    1.0
    """
    left, right = _unit_clouds(a, b)
    # 2 arcsin(chord / 2) keeps the digits of small angles, which arccos of nearly 1 loses.
    return (2 * (_chord(left, right) / 2).clamp(max=0.5**0.5).arcsin()).to(shared_dtype(a, b))


def _unit_clouds(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Centred codes of Frobenius norm 1, `(n, min(n, d))`."""
    check_pair(a, b, samples=2)
    left, right = (_narrow(centred(codes)) for codes in (a, b))
    return left / torch.linalg.matrix_norm(left), right / torch.linalg.matrix_norm(right)


def _narrow(codes: Tensor) -> Tensor:
    """The same cloud in coordinates of its own span, where features outnumber samples."""
    if codes.shape[1] <= len(codes):
        return codes
    triangle: Tensor = torch.linalg.qr(codes.T, mode="r")[1]
    return triangle.T  # codes = R^T Q^T: the same Gram matrix


def _chord(a: Tensor, b: Tensor) -> Tensor:
    left, _, right = torch.linalg.svd(a.T @ b, full_matrices=False)
    turned, target = b @ right.T, a @ left  # (n, min(d_a, d_b)): in axes that belong together
    # Where the other side has fewer features, the rest of a cloud meets zeros.
    beyond: Tensor = (a - target @ left.T).square().sum() + (b - turned @ right).square().sum()
    squared: Tensor = (target - turned).square().sum() + beyond
    return squared.sqrt().clamp(max=2**0.5)
