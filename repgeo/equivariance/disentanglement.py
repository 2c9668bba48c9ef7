"""Disentanglement with respect to a product of groups: D_LSBD and rotations by planes."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from repgeo.errors import InputError

__all__ = ["Disentanglement", "d_lsbd", "plane_angles", "plane_entanglement"]


@dataclass(frozen=True)
class Disentanglement:
    """D_LSBD of codes on a torus.

    Attributes
    ----------
    per_factor
        Of each factor, `(K,)`, float64.
    frequencies
        With which frequency each factor turns its plane, up to sign, modulo the number of angles;
        a factor that is k-fold has frequency k or a divisor.
    chance
        1, what codes without structure approach (their mean approaches it from below).
    """

    per_factor: Tensor = field(repr=False)
    frequencies: tuple[int, ...]
    chance: float = 1.0

    @property
    def score(self) -> float:
        """Mean over factors: 0 for linearly disentangled codes."""
        return float(self.per_factor.mean())


def d_lsbd(codes: Tensor) -> Disentanglement:
    """D_LSBD: how far codes on a torus are from being linearly disentangled.

    For each circle factor: codes minus their mean along the factor are projected onto their first
    two principal components, each divided by its standard deviation times √2, c = p_1 + i p_2. If
    the factor turns this plane by a frequency w and nothing else does, exp(-i w a) c is constant:
    the score is its variance for the best w, mean|c|^2 - max_w |mean of exp(-i w a) c|^2.

    The mean over the other factors comes before the modulus, so that one Fourier transform of one
    period is the whole search over w; frequencies are modulo the number of angles.

    A score of 0 does not say that codes are different for different angles: a map that wraps a
    factor several times has it too. Read it beside `orbit_separation`.

    Parameters
    ----------
    codes
        On the full grid of regular angles, `(n_1, ..., n_K, features)`.

    Returns
    -------
    Disentanglement
        The mean over factors, the factors, and frequencies.

    Raises
    ------
    InputError
        If there is no factor, one has fewer than 3 angles, codes are not finite, or a factor moves
        them in fewer than two directions (constant codes: 0/0).

    Notes
    -----
    O(N features^2) for N codes: the search over frequencies costs nothing beside it, where the
    published one tries all tuples of them. Source: Tonnaer, Perez Rey, Menkovski, Holenderski and
    Portegies 2022 (quantifying and learning linear symmetry-based disentanglement,
    arXiv:2011.06070); principal components and the mean over factors as in the authors' code.

    Examples
    --------
    >>> angle = 2 * torch.pi * torch.arange(8, dtype=torch.float64) / 8
    >>> a, b = torch.meshgrid(angle, angle, indexing="ij")
    >>> torus = torch.stack([a.cos(), a.sin(), (2 * b).cos(), (2 * b).sin()], dim=-1)
    >>> found = d_lsbd(torus)
    >>> round(found.score, 12) + 0.0, found.frequencies
    (0.0, (1, 2))
    """
    if codes.ndim < 2 or min(codes.shape[:-1]) < 3 or codes.shape[-1] < 2:
        raise InputError(
            "Codes are (n_1, ..., n_K, features) with at least 3 angles for each factor and 2 "
            f"features, got {tuple(codes.shape)}."
        )
    wide = codes.detach().double()
    if not bool(torch.isfinite(wide).all()):
        raise InputError("Codes hold NaN or infinite values.")
    scores, frequencies = [], []
    for factor in range(codes.ndim - 1):
        c = _principal_plane(wide, factor)
        others = [axis for axis in range(c.ndim) if axis != factor]
        circle = c.mean(dim=others) if others else c
        energies = (torch.fft.fft(circle) / len(circle)).abs().square()
        best = int(energies.argmax())
        scores.append(c.abs().square().mean() - energies[best])
        frequencies.append(min(best, len(circle) - best))
    return Disentanglement(torch.stack(scores), tuple(frequencies))


def _principal_plane(codes: Tensor, factor: int) -> Tensor:
    """The first two whitened principal components of a factor's part, complex `(n_1, ..., n_K)`."""
    part = codes - codes.mean(dim=factor, keepdim=True)
    rows = part.reshape(-1, part.shape[-1])
    # An SVD of the codes themselves: their squares would lose half of the digits.
    U, S, _ = torch.linalg.svd(rows, full_matrices=False)
    rounding = torch.finfo(torch.float64).eps * max(rows.shape) * codes.abs().max()
    if bool(S[1] <= rounding * len(rows) ** 0.5):
        raise InputError(
            f"Factor {factor} moves the codes in fewer than two directions: its plane, and with it "
            "D_LSBD, is undefined."
        )
    # p = U S / (S / sqrt(N - 1) sqrt 2)
    plane = U[:, :2] * ((len(rows) - 1) / 2) ** 0.5
    return torch.complex(plane[:, 0], plane[:, 1]).reshape(codes.shape[:-1])


def plane_angles(rotations: Tensor) -> Tensor:
    """The angles of rotations as products of rotations by planes.

    R = Π_{i<j} R_ij(θ_ij), planes in lexicographic order from left to right, with R_ij(θ) turning
    axis i towards axis j; angles in (-π, π]. Found by undoing the planes one after another.

    Parameters
    ----------
    rotations
        `(m, d, d)`, of determinant 1.

    Returns
    -------
    Tensor
        `(m, d (d - 1) / 2)`, radians, float64.

    Raises
    ------
    InputError
        If the matrices are no rotations.

    Notes
    -----
    O(d^3) for each. Source: the parametrisation of Quessard, Barrett and Clements 2020 (learning
    disentangled representations and group structure of dynamical environments, arXiv:2002.06991).

    Examples
    --------
    >>> from repgeo.groups import SO3
    >>> plane_angles(SO3().exp(torch.tensor([[0.0, 0.0, 0.5]])))  # planes xy, xz, yz
    tensor([[0.5000, 0.0000, 0.0000]], dtype=torch.float64)
    """
    R = rotations.double()
    if R.ndim != 3 or R.shape[1] != R.shape[2]:
        raise InputError(f"Rotations are (m, d, d), got {tuple(rotations.shape)}.")
    d = R.shape[1]
    eye = torch.eye(d, dtype=torch.float64, device=R.device)
    off = (R.mT @ R - eye).abs().amax(dim=(1, 2)) + (torch.linalg.det(R) - 1).abs()
    wrong = torch.nonzero(~(off < 1e-5))  # also where it is NaN
    if len(wrong):
        raise InputError(
            f"Matrix {int(wrong[0])} is no rotation (defect {float(off[wrong[0]]):.3g})."
        )
    angles = []
    for i in range(d):
        for j in range(i + 1, d):
            # R_ij(-θ) from the left turns entry (j, i) to zero, and (i, i) to a positive number.
            theta = torch.atan2(R[:, j, i], R[:, i, i])
            c, s = theta.cos()[:, None], theta.sin()[:, None]
            row_i, row_j = c * R[:, i] + s * R[:, j], -s * R[:, i] + c * R[:, j]
            R = R.clone()
            R[:, i], R[:, j] = row_i, row_j
            angles.append(theta)
    return torch.stack(angles, dim=1) + 0.0


def plane_entanglement(rotations: Tensor) -> Tensor:
    """The sum of the squares of all plane angles of a rotation but the largest.

    0 for a rotation by one plane of coordinates: an element of a factor that acts on two
    coordinates only.

    Parameters
    ----------
    rotations
        `(m, d, d)`, of determinant 1.

    Returns
    -------
    Tensor
        `(m,)`, radians squared, float64.

    Raises
    ------
    InputError
        As `plane_angles`.

    Notes
    -----
    Source: the penalty of Quessard, Barrett and Clements 2020, arXiv:2002.06991.

    Examples
    --------
    >>> from repgeo.groups import SO3
    >>> bool(plane_entanglement(SO3().exp(torch.tensor([[0.0, 0.7, 0.0]]))) < 1e-12)
    True
    """
    squares = plane_angles(rotations).square()
    if not squares.shape[1]:
        return squares.sum(dim=1)
    return squares.sum(dim=1) - squares.amax(dim=1)
