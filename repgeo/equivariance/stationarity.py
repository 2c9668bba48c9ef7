"""Whether a group acts linearly on the codes of an orbit, without knowing how."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.finite_group import FiniteGroup

__all__ = ["Stationarity", "stationarity_defect"]

_RANK = 1e-10  # singular values below this share of the largest are rounding


@dataclass(frozen=True)
class Stationarity:
    """The stationarity defect of a kernel on a group.

    Attributes
    ----------
    defect
        In [0, 1]; 0 if and only if some linear representation acts on the codes.
    rank
        Of the centred codes.
    chance
        What codes drawn at random give, as the quotient of expectations: 0 where the rank reaches
        |G| - 1 and the codes are whitened, the defect is then 0 for any codes.
    """

    defect: float
    rank: int
    chance: float


def stationarity_defect(codes: Tensor, group: FiniteGroup, *, whiten: bool = True) -> Stationarity:
    """How far the kernel of the codes of an orbit is from being invariant under the group.

    With Z the centred codes of g x, one row for each g, K = Z Z^T and
    P K(g, h) = mean over u of K(u g, u h): 1 - |P K|^2 / |K|^2. It is 0 if and only if K(g, h) is a
    function of g^-1 h, that is if f(g x) = ρ(g) f(x) (centred) for some orthogonal ρ; with
    whitening, for some linear ρ. No representation is fitted.

    Parameters
    ----------
    codes
        f(g x) for all g, `(|G|, features)`, numbered as the elements of the group.
    group
        A finite group.
    whiten
        Whether Z is replaced by an orthonormal basis of its columns, so that an invertible linear
        map of the codes changes nothing.

    Returns
    -------
    Stationarity
        The defect, the rank it is of, and its chance level.

    Raises
    ------
    InputError
        If there is not one code for each element, or all are the same.

    Notes
    -----
    O(|G|^2 features). The chance level of whitened codes is
    (1 - r/N) (1 - (s - 1) / (N (N + 1) / 2 - 1)), with N = |G| - 1, r the rank and s the number of
    orbits of pairs {q, q^-1}, q != e: the projection onto a subspace in uniform position. That of
    Gaussian codes is 1 - (N d + 2 s) / (N (N + d + 1)) for d features.

    Examples
    --------
    >>> from repgeo.groups import cyclic
    >>> angle = 2 * torch.pi * torch.arange(5, dtype=torch.float64) / 5
    >>> circle = torch.stack([angle.cos(), 3 * angle.sin()], dim=1)
    >>> round(stationarity_defect(circle, cyclic(5)).defect, 12) + 0.0
    0.0
    >>> stationarity_defect(circle, cyclic(5), whiten=False).defect > 0.1
    True
    """
    if codes.ndim != 2 or len(codes) != group.order:
        raise InputError(
            f"One code for each of the {group.order} elements is needed, (n, features), got "
            f"{tuple(codes.shape)}."
        )
    Z = codes.detach().double()
    if not bool(torch.isfinite(Z).all()):
        raise InputError("Codes hold NaN or infinite values.")
    size = Z.abs().max()
    Z = Z - Z.mean(dim=0)
    U, S, _ = torch.linalg.svd(Z, full_matrices=False)
    rounding = _RANK * max(float(S[0]), float(size))
    rank = int((rounding < S).sum())
    if rank == 0:
        raise InputError("All elements have the same code: the kernel of the centred codes is 0.")
    if whiten:
        Z = U[:, :rank]
    K = Z @ Z.mT
    quotients = torch.from_numpy(np.array(group.quotients)).to(K.device).flatten()
    # P K(g, h) is the mean of K over the pairs with the same g^-1 h, of which there are |G|.
    means = torch.zeros(group.order, dtype=K.dtype, device=K.device)
    means = means.index_add(0, quotients, K.flatten()) / group.order
    kept = group.order * means.square().sum() / K.square().sum()
    defect = max(0.0, 1.0 - float(kept))
    return Stationarity(defect, rank, _chance(group, rank, codes.shape[1], whiten))


def _chance(group: FiniteGroup, rank: int, features: int, whiten: bool) -> float:
    N = group.order - 1
    own_inverse = int((group.inverses == np.arange(group.order)).sum()) - 1
    s = (N + own_inverse) // 2  # invariant symmetric kernels on centred functions
    if whiten:
        symmetric = N * (N + 1) // 2 - 1
        invariant = (s - 1) / symmetric if symmetric else 1.0
        return (1 - rank / N) * (1 - invariant)
    return 1 - (N * features + 2 * s) / (N * (N + features + 1))
