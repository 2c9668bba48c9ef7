"""Linear actions fitted to pairs of codes: Wahba's problem, Gram matrices, and homomorphisms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from repgeo.equivariance.moving import evaluate, require_frozen, rows_of, sample_count
from repgeo.errors import InputError
from repgeo.groups.acting import Group
from repgeo.groups.conversion import as_representation
from repgeo.groups.representations import Data

__all__ = ["FittedRotation", "gram_defect", "homomorphism_defect", "wahba"]


@dataclass(frozen=True)
class FittedRotation:
    """The orthogonal map that takes codes nearest to moved codes.

    Attributes
    ----------
    matrix
        R in O(d), `(d, d)`, float64.
    residual
        Mean of |R z - z'|^2, over the mean of |z'|^2; 0 where one orthogonal map explains the
        move, about 2 for moved codes that have nothing to do with the codes, if there are many.
    """

    matrix: Tensor = field(repr=False)
    residual: float


def wahba(codes: Tensor, moved: Tensor) -> FittedRotation:
    """The R in O(d) with the least mean of |R z_i - z'_i|^2 (Wahba's problem, Procrustes).

    Parameters
    ----------
    codes
        f(x_i), `(n, d)`.
    moved
        f(a x_i) for one element a, the same for all samples, `(n, d)`.

    Returns
    -------
    FittedRotation
        R, and the relative residual.

    Raises
    ------
    InputError
        If the shapes differ, or moved codes are 0.

    Notes
    -----
    O(n d^2 + d^3). Sources: Wahba 1965; the evaluation of Gupta, Robinson, Lim, Villar and Jegelka
    2023 (structuring representation geometry with rotationally equivariant contrastive learning,
    arXiv:2306.13924).

    Examples
    --------
    >>> z = torch.eye(2)
    >>> found = wahba(z, z.flip(0))
    >>> found.matrix.round() + 0.0, round(found.residual, 12)
    (tensor([[0., 1.],
            [1., 0.]], dtype=torch.float64), 0.0)
    """
    z, w = _pairs(codes, moved)
    size = w.square().sum()
    if not bool(size > 0):
        raise InputError("All moved codes are 0: no rotation can be told from another.")
    U, _, Vh = torch.linalg.svd(w.mT @ z)
    R = U @ Vh
    residual = (z @ R.mT - w).square().sum() / size
    return FittedRotation(R, float(residual))


def gram_defect(codes: Tensor, moved: Tensor) -> float:
    """How much inner products of codes change when all inputs are moved by the same element.

    Mean over pairs i != j of (<z'_i, z'_j> - <z_i, z_j>)^2, z' = f(a x): 0 if and only if some
    orthogonal map takes all z to z' (for pairs; with i = j, exactly).

    Parameters
    ----------
    codes, moved
        As for `wahba`; at least two samples.

    Returns
    -------
    float
        In units of the codes to the fourth power; normalise codes first to compare models.

    Raises
    ------
    InputError
        As `wahba`, or if there is one sample only.

    Notes
    -----
    O(n^2 d). Source: the equivariance loss of Gupta et al. 2023, arXiv:2306.13924.

    Examples
    --------
    >>> z = torch.eye(2)
    >>> gram_defect(z, z.flip(0)), gram_defect(z, torch.ones(2, 2))
    (0.0, 4.0)
    """
    z, w = _pairs(codes, moved)
    if len(z) < 2:
        raise InputError("Inner products of different samples need at least two, got one.")
    change = (w @ w.mT - z @ z.mT).square()
    n = len(z)
    return float((change.sum() - change.diagonal().sum()) / (n * (n - 1)))


def homomorphism_defect(
    f: Callable[[Data], Tensor],
    x: Data,
    group: Group,
    *,
    rep_in: object,
    n_elements: int = 32,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Whether the rotations fitted to the codes compose as the elements do: |R_ab - R_a R_b|^2.

    R_a is the orthogonal map nearest to f(x) -> f(a x) (`wahba`). An equivariant f by an orthogonal
    representation has 0, whatever the representation is.

    Parameters
    ----------
    f, x, group, rep_in, generator
        As for `repgeo.equivariance.equivariance_error`; f gives `(n, d)`. Where codes do not span
        their space the maps are not unique: give at least d samples.
    n_elements
        The number of pairs (a, b), drawn independently.

    Returns
    -------
    Tensor
        `(m,)`, squared Frobenius distances, float64. Chance, for independent random orthogonal
        maps, is 2 d.

    Raises
    ------
    InputError
        As `equivariance_error`, or if codes are no vectors, or fewer than their dimension.

    Notes
    -----
    4 m evaluations of f for each sample, and 3 m singular value decompositions.

    Examples
    --------
    >>> from repgeo.groups import SO3
    >>> x = torch.randn(10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> bool(homomorphism_defect(lambda x: 2 * x, x, SO3(), rep_in="vector").max() < 1e-20)
    True
    """
    require_frozen(f)
    action = as_representation(rep_in, group)
    if n_elements < 1:
        raise InputError(f"At least one pair of elements is needed, got {n_elements}.")
    first = x if isinstance(x, Tensor) else next(iter(x.values()))
    drawn = group.sample(2 * n_elements, generator=generator, device=first.device)
    a, b = drawn[:n_elements], drawn[n_elements:]
    with torch.no_grad():
        codes = f(x)
    if codes.ndim != 2 or len(codes) < codes.shape[1]:
        raise InputError(
            f"Rotations of codes (n, d) are fitted to at least d of them, got {tuple(codes.shape)}."
        )
    n = sample_count(x)

    def fitted(g: Tensor) -> Tensor:
        moved = rows_of(evaluate(f, action(g[None], x), 1, n)[""])[0]
        return wahba(codes, moved).matrix

    pairs = zip(a, b, group.compose(a, b), strict=True)
    return torch.stack([(fitted(ab) - fitted(g) @ fitted(h)).square().sum() for g, h, ab in pairs])


def _pairs(codes: Tensor, moved: Tensor) -> tuple[Tensor, Tensor]:
    if codes.ndim != 2 or codes.shape != moved.shape:
        raise InputError(
            f"Codes and moved codes have the same shape (n, d), got {tuple(codes.shape)} and "
            f"{tuple(moved.shape)}."
        )
    return rows_of(codes[None])[0], rows_of(moved[None])[0]
