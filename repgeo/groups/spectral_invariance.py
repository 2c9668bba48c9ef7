"""What power-spectral networks are trained for: invariance of W_i(x) W_i(x)^†, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.finite_group import FiniteGroup

__all__ = [
    "Regulariser",
    "expected_invariance_loss",
    "pairs_invariance_loss",
    "spectral_outputs",
    "spectral_regulariser",
]

Regulariser = Literal["published", "plancherel"]


def spectral_outputs(stack: Tensor, x: Tensor) -> Tensor:
    """M M^† with M = sum_h x(h) W(h), for each block.

    Parameters
    ----------
    stack
        Blocks W of one dimension, `(..., n, d, d)`.
    x
        Signals `(batch, n)`.

    Returns
    -------
    Tensor
        `(batch, ..., d, d)`.

    Examples
    --------
    >>> W = torch.ones(3, 1, 1, dtype=torch.complex128)
    >>> spectral_outputs(W, torch.tensor([[1.0, 2.0, 3.0]]).to(W)).real.flatten().tolist()
    [36.0]
    """
    *many, n, d, _ = stack.shape
    flat = stack.movedim(-3, 0).reshape(n, -1)
    M = (x.to(stack.dtype) @ flat).reshape(len(x), *many, d, d)
    return M @ M.mH


def expected_invariance_loss(stack: Tensor, group: FiniteGroup) -> Tensor:
    """The mean squared change of M M^† under translations, over Gaussian signals, exactly.

    E mean_ab |(M M^†)(x) - (M M^†)(g x)|^2_ab over g uniform and x of independent standard complex
    normal entries (E |x_h|^2 = 1). With the Gram kernel G(h, k) = W(h) W(k)^† and its mean
    K(u) = mean_h G(h, h u), it is 2 / d^2 sum_hu ||G(h, h u) - K(u)||_F^2: the loss that sampling
    estimates, without the noise.

    Parameters
    ----------
    stack
        Blocks of one dimension, `(..., n, d, d)`, complex.
    group
        The group that numbers their axis n.

    Returns
    -------
    Tensor
        `(...)`, one loss for each block.

    Notes
    -----
    Cost: O(n^2 d^3) for each block.

    Examples
    --------
    >>> from repgeo.groups import irreps, symmetric
    >>> group = symmetric(3)
    >>> W = irreps(group)[2].matrices.mH
    >>> bool(expected_invariance_loss(W, group).abs() < 1e-12)
    True
    """
    *many, n, d, _ = stack.shape
    if n != group.order:
        raise InputError(f"Blocks of {n} elements do not fit {group!r}.")
    rows = stack.reshape(*many, n * d, d)
    gram = rows.mH @ rows  # sum_h W(h)^† W(h), whose norm is that of the kernel G
    table = torch.tensor(group.table.T.reshape(-1), device=stack.device)  # (u, h) -> h u
    moved = stack.index_select(stack.ndim - 3, table).reshape(*many, n, n, d, d)
    columns = moved.transpose(-3, -2).reshape(*many, n * d, n * d)  # (u b, h c)
    K = stack.movedim(-3, -2).reshape(*many, d, n * d) @ columns.mH  # n K(u)_ab as (a, u b)
    return 2 / d**2 * (_squared_norm(gram) - _squared_norm(K) / n)


def _squared_norm(matrices: Tensor) -> Tensor:
    return (matrices.real.square() + matrices.imag.square()).sum((-2, -1))


def pairs_invariance_loss(stack: Tensor, moments: Tensor) -> Tensor:
    """The variance over observed pairs of the change of M M^†: of pairs only their moments count.

    Parameters
    ----------
    stack
        Blocks of one dimension, `(..., n, d, d)`, complex.
    moments
        S of `pair_moments`, `(n^2, n^2)`.

    Returns
    -------
    Tensor
        Mean over the entries of d x d matrices, `(...)`.

    Notes
    -----
    Cost: O(n^4 d^2) for each block, whatever the number of pairs.

    Examples
    --------
    >>> from repgeo.groups import cyclic, irreps, pair_moments
    >>> x = torch.randn(9, 3, generator=torch.Generator().manual_seed(0)).to(torch.complex128)
    >>> S, _ = pair_moments(x, x.roll(1, dims=1))
    >>> bool(pairs_invariance_loss(irreps(cyclic(3))[1].matrices.mH, S).abs() < 1e-14)
    True
    """
    *many, n, d, _ = stack.shape
    rows = stack.reshape(*many, n * d, d)
    G = (rows @ rows.mH).reshape(*many, n, d, n, d)  # (h, a, k, b)
    # (M M^†)_ab = sum_hk x_h conj(x_k) G(h, k)_ab, and moments take conj(x_h) x_k.
    vectors = G.movedim((-3, -1), (-4, -3)).reshape(*many, d * d, n * n).conj()
    S = moments.to(vectors)
    quadratic = torch.einsum("...ax,...ax->...a", vectors.conj(), vectors @ S.T)
    return quadratic.real.mean(dim=-1)


def spectral_regulariser(stacks: Sequence[Tensor], regulariser: Regulariser) -> Tensor:
    """How far all blocks together are from a unitary map, mean squared over n x n entries.

    "published": |d_tot I - W W^†|^2 with W of shape (n, sum d_i^2) and d_tot = sum d_i, which at
    the Fourier transform is 0 for abelian groups only. "plancherel": |n I - W~ W~^†|^2 with blocks
    scaled by sqrt(d_i), which is 0 there for every group.

    Parameters
    ----------
    stacks
        Blocks by dimension, each `(..., count, n, d, d)`.
    regulariser
        "published" or "plancherel".

    Returns
    -------
    Tensor
        `(...)`.

    Examples
    --------
    >>> from repgeo.groups import irreps, symmetric
    >>> W = [rho.matrices.mH[None] for rho in irreps(symmetric(3))]
    >>> [round(float(spectral_regulariser(W, name)), 4) for name in ("published", "plancherel")]
    [0.3333, 0.0]
    """
    if regulariser not in ("published", "plancherel"):
        raise InputError(f"The regulariser is 'published' or 'plancherel', got {regulariser!r}.")
    n = stacks[0].shape[-3]
    total: Tensor | float = 0.0
    target = 0
    for stack in stacks:
        count, d = stack.shape[-4], stack.shape[-1]
        flat = stack.transpose(-4, -3).reshape(*stack.shape[:-4], n, count * d * d)
        weight = d if regulariser == "plancherel" else 1
        total = total + weight * (flat @ flat.mH)
        target += weight * d * count
    scale = n if regulariser == "plancherel" else target
    E = total - scale * torch.eye(n, dtype=stacks[0].dtype, device=stacks[0].device)
    return (E.real.square() + E.imag.square()).mean((-2, -1))
