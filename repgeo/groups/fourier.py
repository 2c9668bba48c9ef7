"""The Fourier transform on finite groups, its inverse, power spectrum and bispectrum."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.finite_group import FiniteGroup
from repgeo.groups.irreducible import require_signal

__all__ = [
    "FourierCoefficients",
    "bispectrum",
    "fourier_transform",
    "inverse_fourier_transform",
    "power_spectrum",
]


@dataclass(frozen=True, eq=False)
class FourierCoefficients:
    """One matrix for each irreducible representation, in the order of `irreps`.

    Attributes
    ----------
    stacks
        Those of equal dimension d together, `(..., count, d, d)`, dimensions ascending.
    """

    stacks: tuple[Tensor, ...]

    @property
    def blocks(self) -> tuple[Tensor, ...]:
        """One tensor `(..., d, d)` for each representation."""
        return tuple(block for stack in self.stacks for block in stack.unbind(-3))

    @property
    def energies(self) -> Tensor:
        """Squared Frobenius norms, `(..., representations)`."""
        return torch.cat([stack.abs().square().sum((-2, -1)) for stack in self.stacks], dim=-1)


def fourier_transform(signal: Tensor, group: FiniteGroup) -> FourierCoefficients:
    """The Plancherel-normalised Fourier transform of signals on a group.

    f^(ρ) = sqrt(d / n) sum_g f(g) ρ(g)^†; the squared norms of the coefficients sum to that of the
    signal. A translation, f(g .) in place of f, multiplies f^(ρ) by ρ(g) from the right. On cyclic
    groups this is the unitary discrete Fourier transform.

    Parameters
    ----------
    signal
        `(..., n)`, real or complex.
    group
        The group.

    Returns
    -------
    FourierCoefficients
        In the precision and on the device of the signal.

    Raises
    ------
    InputError
        If the last axis is not the group's.

    Notes
    -----
    Cost for each signal: O(n log n) on cyclic groups and products of them, O(n (n_1 + n_2)) on a
    product of two groups of orders n_1 and n_2, O(n^2) otherwise.

    References
    ----------
    P. Diaconis, "Group representations in probability and statistics" (1988), chapter 2.

    Examples
    --------
    >>> from repgeo.groups import cyclic, symmetric
    >>> delta = torch.eye(6, dtype=torch.float64)[0]
    >>> fourier_transform(delta, cyclic(6)).energies.mul(6).round().tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    >>> fourier_transform(delta, symmetric(3)).energies.mul(6).round().tolist()  # d^2 of them
    [1.0, 1.0, 4.0]
    """
    return FourierCoefficients(_forward(require_signal(signal, group), group))


def inverse_fourier_transform(coefficients: FourierCoefficients, group: FiniteGroup) -> Tensor:
    """The signal of Fourier coefficients, f(g) = sum_ρ sqrt(d / n) tr(f^(ρ) ρ(g)).

    Parameters
    ----------
    coefficients
        As `fourier_transform` gives them.
    group
        The group.

    Returns
    -------
    Tensor
        `(..., n)`, complex.

    Raises
    ------
    InputError
        If the shapes are not those of the group's representations.

    Examples
    --------
    >>> from repgeo.groups import alternating
    >>> group = alternating(4)
    >>> signal = torch.randn(3, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> again = inverse_fourier_transform(fourier_transform(signal, group), group)
    >>> bool((again - signal).abs().max() < 1e-12)
    True
    """
    wanted = [(count, d, d) for d, count in dimensions(group)]
    given = [tuple(stack.shape[-3:]) for stack in coefficients.stacks]
    if given != wanted:
        raise InputError(f"The coefficients of {group!r} have shapes {wanted}, got {given}.")
    return _backward(coefficients.stacks, group)


def power_spectrum(signal: Tensor, group: FiniteGroup) -> FourierCoefficients:
    """f^(ρ) f^(ρ)^† for each representation: unchanged by translations f(g .).

    Examples
    --------
    >>> from repgeo.groups import quaternion
    >>> group = quaternion()
    >>> signal = torch.randn(8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> moved = signal[torch.tensor(group.table[5])]
    >>> both = [power_spectrum(x, group).blocks for x in (signal, moved)]
    >>> bool(max((a - b).abs().max() for a, b in zip(*both, strict=True)) < 1e-12)
    True
    """
    stacks = fourier_transform(signal, group).stacks
    return FourierCoefficients(tuple(stack @ stack.mH for stack in stacks))


def bispectrum(signal: Tensor, group: FiniteGroup) -> dict[tuple[int, int], Tensor]:
    """The bispectrum: (F(ρ_i) ⊗ F(ρ_j)) F(ρ_i ⊗ ρ_j)^† for i <= j, F(ρ) = sum_g f(g) ρ(g)^†.

    Unchanged by translations f(g .), and complete for signals whose F(ρ) are all invertible. On
    cyclic groups it is F_i F_j conj(F_{i+j}).

    Parameters
    ----------
    signal
        `(..., n)`, real or complex.
    group
        The group.

    Returns
    -------
    dict
        (i, j), places in `irreps(group)`, to `(..., d_i d_j, d_i d_j)`.

    Raises
    ------
    InputError
        If the last axis is not the group's.

    Notes
    -----
    Cost: O(n d_i^2 d_j^2) for each pair; O(1) for each pair on a cyclic group, after one fft.

    References
    ----------
    R. Kakarala, "The bispectrum as a source of phase-sensitive invariants for Fourier descriptors:
    a group-theoretic approach" (2012), arXiv:0902.0196.

    Examples
    --------
    >>> from repgeo.groups import cyclic
    >>> x = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    >>> found = bispectrum(x, cyclic(3))
    >>> F = torch.fft.fft(x)
    >>> bool((found[1, 1] - F[1] * F[1] * F[2].conj()).abs().max() < 1e-12)
    True
    """
    x = require_signal(signal, group)
    pairs = list(itertools.combinations_with_replacement(range(len(group.irreps)), 2))
    if group.structure is not None and group.structure.family == "cyclic":
        F = torch.fft.fft(x)
        i, j = torch.tensor(pairs, device=x.device).T
        products = F[..., i] * F[..., j] * F[..., (i + j) % group.order].conj()
        return {pair: products[..., k, None, None] for k, pair in enumerate(pairs)}
    matrices = [rho.matrices.to(x) for rho in group.irreps]
    F = [torch.einsum("...g,gba->...ab", x, m.conj()) for m in matrices]
    found = {}
    for i, j in pairs:
        both = _kron_each(matrices[i], matrices[j])
        together = torch.einsum("...g,gba->...ab", x, both.conj())
        found[i, j] = _kron_each(F[i], F[j]) @ together.mH
    return found


def dimensions(group: FiniteGroup) -> list[tuple[int, int]]:
    """The dimensions of the irreducible representations, ascending, and how many have each.

    Examples
    --------
    >>> from repgeo.groups import dihedral
    >>> dimensions(dihedral(5))
    [(1, 2), (2, 2)]
    """
    if group.is_abelian:
        return [(1, group.order)]
    counts: dict[int, int] = {}
    for rho in group.irreps:
        counts[rho.dimension] = counts.get(rho.dimension, 0) + 1
    return sorted(counts.items())


def _kron_each(a: Tensor, b: Tensor) -> Tensor:
    d, e = a.shape[-1], b.shape[-1]
    product = torch.einsum("...ij,...kl->...ikjl", a, b)
    joined: Tensor = product.reshape(*product.shape[:-4], d * e, d * e)
    return joined


def _kernel(group: FiniteGroup, like: Tensor) -> list[Tensor]:
    """sqrt(d / n) ρ(g) for the representations of each dimension, `(count, n, d, d)`."""
    stacks = []
    for d, _ in dimensions(group):
        matrices = torch.stack([rho.matrices for rho in group.irreps if rho.dimension == d])
        stacks.append((math.sqrt(d / group.order) * matrices).to(like))
    return stacks


def _forward(x: Tensor, group: FiniteGroup) -> tuple[Tensor, ...]:
    made = group.structure
    if made is not None and made.family == "cyclic":
        return (torch.fft.fft(x, norm="ortho")[..., None, None],)
    if made is not None and made.family == "product":
        g, h = made.factors
        pieces = []
        for inner in _forward(x.reshape(*x.shape[:-1], g.order, h.order), h):
            # (..., g, count, e, e) -> (..., count, e, e, g)
            for outer in _forward(inner.movedim(-4, -1), g):
                # (..., q, e, f, p, d, c) -> (..., p, q, d, e, c, f)
                joined = torch.einsum("...qefpdc->...pqdecf", outer)
                p, q, d, e = joined.shape[-6:-2]
                pieces.append(joined.reshape(*x.shape[:-1], p * q, d * e, d * e))
        return _by_dimension(pieces, made.factors)
    flat = x.reshape(-1, group.order)
    stacks = []
    for kernel in _kernel(group, x):  # (count, n, d, d)
        count, n, d, _ = kernel.shape
        matrix = kernel.mH.movedim(1, 0).reshape(n, -1)
        stacks.append((flat @ matrix).reshape(*x.shape[:-1], count, d, d))
    return tuple(stacks)


def _backward(stacks: Sequence[Tensor], group: FiniteGroup) -> Tensor:
    made = group.structure
    if made is not None and made.family == "cyclic":
        signal: Tensor = torch.fft.ifft(stacks[0][..., 0, 0], norm="ortho")
        return signal
    if made is not None and made.family == "product":
        g, h = made.factors
        pieces = _apart(stacks, made.factors)
        of_h = []
        for e, q in dimensions(h):
            of_g = []
            for d, p in dimensions(g):
                piece = pieces[d, e]  # (..., p q, d e, d e)
                split = piece.reshape(*piece.shape[:-3], p, q, d, e, d, e)
                of_g.append(torch.einsum("...pqdecf->...qefpdc", split))
            of_h.append(_backward(of_g, g).movedim(-1, -4))
        joined = _backward(of_h, h)
        return joined.reshape(*joined.shape[:-2], group.order)
    parts = [
        torch.einsum("...mab,mgba->...g", stack, kernel)
        for stack, kernel in zip(stacks, _kernel(group, stacks[0]), strict=True)
    ]
    return torch.stack(parts).sum(dim=0)


def _places(factors: Sequence[FiniteGroup]) -> list[tuple[int, int, Tensor]]:
    """For each pair of dimensions (d, e) of two factors: where its blocks stand among all.

    Blocks of a product are in the order of `irreps`: by dimension, then by the representation of
    the first factor, then by that of the second.
    """
    g, h = factors
    of_g = [d for d, count in dimensions(g) for _ in range(count)]
    of_h = [e for e, count in dimensions(h) for _ in range(count)]
    pairs = sorted(itertools.product(of_g, of_h), key=lambda pair: pair[0] * pair[1])
    first: dict[int, int] = {}
    places: dict[tuple[int, int], list[int]] = {}
    for place, (d, e) in enumerate(pairs):
        start = first.setdefault(d * e, place)
        places.setdefault((d, e), []).append(place - start)
    return [(d, e, torch.tensor(at)) for (d, e), at in places.items()]


def _by_dimension(pieces: Sequence[Tensor], factors: Sequence[FiniteGroup]) -> tuple[Tensor, ...]:
    order = [(d, e) for e, _ in dimensions(factors[1]) for d, _ in dimensions(factors[0])]
    at = {(d, e): places for d, e, places in _places(factors)}
    stacks = []
    for size in sorted({d * e for d, e in order}):
        same = [k for k, (d, e) in enumerate(order) if d * e == size]
        joined = torch.cat([pieces[k] for k in same], dim=-3)
        back = torch.argsort(torch.cat([at[order[k]] for k in same]))
        stacks.append(joined.index_select(joined.ndim - 3, back.to(joined.device)))
    return tuple(stacks)


def _apart(
    stacks: Sequence[Tensor], factors: Sequence[FiniteGroup]
) -> dict[tuple[int, int], Tensor]:
    by_size = {int(stack.shape[-1]): stack for stack in stacks}
    return {
        (d, e): by_size[d * e].index_select(by_size[d * e].ndim - 3, at.to(stacks[0].device))
        for d, e, at in _places(factors)
    }
