"""Wigner matrices: the irreducible representations of rotations, exact in float64."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from repgeo.errors import InputError

__all__ = ["WignerCache", "rotation_generators", "wigner_matrices"]


def rotation_generators(degree: int) -> Tensor:
    """The generators of rotations about x, y and z in the real irrep of degree l.

    In the basis of e3nn (real spherical harmonics with y as polar axis; for l = 1 the Cartesian
    x, y, z): the matrices X_i with D(exp(Σ v_i L_i)) = exp(Σ v_i X_i). They are made in float64
    whatever the default dtype is, and are antisymmetric.

    Parameters
    ----------
    degree
        l >= 0.

    Returns
    -------
    Tensor
        `(3, 2l + 1, 2l + 1)`, float64.

    Raises
    ------
    InputError
        If the degree is negative.

    Examples
    --------
    >>> rotation_generators(1)[2].round() + 0.0  # about z: x goes to y
    tensor([[ 0., -1.,  0.],
            [ 1.,  0.,  0.],
            [ 0.,  0.,  0.]], dtype=torch.float64)
    """
    if degree < 0:
        raise InputError(f"The degree of an irrep is not negative, got {degree}.")
    return _constants(degree)[0].clone()


def wigner_matrices(degree: int, rotations: Tensor) -> Tensor:
    """The Wigner matrices D^l(R) of rotations, real, orthogonal, in the basis of e3nn.

    By R = R_y(α) R_x(β) R_y(γ): rotations about y are cosines and sines of multiples of the angle,
    and R_x = J R_y J^T with a constant J. The angles are found so that no rotation, however near to
    the identity or to a half turn, loses digits: D is a homomorphism to rounding.

    Parameters
    ----------
    degree
        l >= 0.
    rotations
        `(n, 3, 3)`, of determinant 1.

    Returns
    -------
    Tensor
        `(n, 2l + 1, 2l + 1)`, float64.

    Raises
    ------
    InputError
        If the degree is negative, or the matrices are not `(n, 3, 3)`.

    Notes
    -----
    O(n l^3). Source: Pinchon and Hoggan 2007 (rotation matrices for real spherical harmonics).

    Examples
    --------
    >>> R = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    >>> bool(torch.allclose(wigner_matrices(1, R), R.double(), atol=1e-15))
    True
    """
    if degree < 0:
        raise InputError(f"The degree of an irrep is not negative, got {degree}.")
    if rotations.ndim != 3 or rotations.shape[1:] != (3, 3):
        raise InputError(f"Rotations have shape (n, 3, 3), got {tuple(rotations.shape)}.")
    return _from_angles(degree, _euler_angles(rotations.double()))


class WignerCache:
    """The Wigner matrices of one batch of rotations, computed once for each degree.

    Representations that share a cache (those of the layers of a network) compute each matrix once.
    The batch is recognised by its values; another batch takes its place.

    Examples
    --------
    >>> cache = WignerCache()
    >>> turns = torch.eye(3).repeat(2, 1, 1)
    >>> first = cache.matrices(2, turns)
    >>> cache.matrices(2, turns.clone()) is first
    True
    """

    def __init__(self) -> None:
        self._rotations: Tensor | None = None
        self._angles: tuple[Tensor, Tensor, Tensor] | None = None
        self._found: dict[int, Tensor] = {}

    def matrices(self, degree: int, rotations: Tensor) -> Tensor:
        """`wigner_matrices(degree, rotations)`; not to be written to, and not differentiated.

        Raises
        ------
        InputError
            If the rotations require a gradient.
        """
        if rotations.requires_grad:
            raise InputError(
                "Kept Wigner matrices do not depend on their rotations in a derivative: use "
                "wigner_matrices, or the derivative of the representation (its generators)."
            )
        kept = self._rotations
        if kept is None or kept.shape != rotations.shape or not _same(kept, rotations):
            self._rotations, self._found = rotations.detach().double().clone(), {}
            self._angles = _euler_angles(self._rotations)
        if degree not in self._found:
            assert self._angles is not None
            self._found[degree] = _from_angles(degree, self._angles)
        return self._found[degree]


def _same(kept: Tensor, rotations: Tensor) -> bool:
    return kept.device == rotations.device and torch.equal(kept, rotations.detach().double())


def _euler_angles(R: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """α, β, γ with R = R_y(α) R_x(β) R_y(γ), each `(n,)`.

    By arctangents, exact also where β is small or near π; γ is read from what R_y(α) R_x(β) leaves
    of R, so that an α that is not determined does no harm.
    """
    alpha = torch.atan2(R[:, 0, 1], R[:, 2, 1])
    beta = torch.atan2(torch.hypot(R[:, 0, 1], R[:, 2, 1]), R[:, 1, 1])
    # The first column of R_y(α) R_x(β) is (cos α, 0, -sin α); R_y(γ) has rows (cos γ, 0, sin γ).
    c, s = alpha.cos(), alpha.sin()
    first_row = c[:, None] * R[:, 0] - s[:, None] * R[:, 2]  # (n, 3): (cos γ, 0, sin γ)
    return alpha, beta, torch.atan2(first_row[:, 2], first_row[:, 0])


def _from_angles(degree: int, angles: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    alpha, beta, gamma = angles
    if degree == 0:
        return torch.ones(len(alpha), 1, 1, dtype=torch.float64, device=alpha.device)
    _, J, orders, signs = (each.to(alpha.device) for each in _constants(degree))

    def turn_rows(angle: Tensor, M: Tensor) -> Tensor:
        """D(R_y(angle)) M: row m with cos(m angle), and row -m with sin."""
        phases = angle[:, None, None] * orders[:, None]  # (n, 2l+1, 1)
        return phases.cos() * M + signs[:, None] * phases.sin() * M.flip(-2)

    inner = J @ turn_rows(beta, J.mT.expand(len(beta), -1, -1))  # D(R_x(β))
    turned = turn_rows(alpha, inner)
    # M D(R_y(γ)) = (D(R_y(-γ)) M^T)^T
    return turn_rows(-gamma, turned.mT).mT.contiguous()


@lru_cache(maxsize=64)
def _constants(degree: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Generators; J = D of the rotation that takes y to x; |m| and signs of the y-generator."""
    l = degree  # noqa: E741 - its name in physics
    m = torch.arange(-l, l + 1, dtype=torch.float64)
    ladder = (l * (l + 1) - m[:-1] * (m[:-1] + 1)).sqrt()
    raising, lowering = -torch.diag(ladder, -1), torch.diag(ladder, 1)
    complex_generators = torch.stack(
        [
            0.5 * (raising + lowering).to(torch.complex128),
            torch.diag(1j * m),
            -0.5j * (raising - lowering),
        ]
    )
    Q = _real_to_complex(l)
    X = (Q.mH @ complex_generators @ Q).real
    X = (X - X.mT) / 2
    # The rotation by -π/2 about z takes y to x. i X_z has the eigenvalues -l to l exactly.
    values, vectors = torch.linalg.eigh(1j * X[2].to(torch.complex128))
    phases = torch.exp(1j * (torch.pi / 2) * values.round())
    J = (vectors @ torch.diag(phases) @ vectors.mH).real
    return X, J, m.abs(), X[1].flip(-1).diagonal().sign()


def _real_to_complex(degree: int) -> Tensor:
    """The change of basis from real to complex spherical harmonics, with e3nn's phase."""
    l = degree  # noqa: E741
    Q = torch.zeros(2 * l + 1, 2 * l + 1, dtype=torch.complex128)
    root = 0.5**0.5
    Q[l, l] = 1
    for m in range(1, l + 1):
        Q[l - m, l + m], Q[l - m, l - m] = root, -1j * root
        Q[l + m, l + m], Q[l + m, l - m] = (-1) ** m * root, 1j * (-1) ** m * root
    return (-1j) ** l * Q
