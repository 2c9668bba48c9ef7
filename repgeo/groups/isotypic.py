"""How purely weights hold one representation each, against what chance gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import subspace_angles
from scipy.special import betainc
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.finite_group import FiniteGroup
from repgeo.groups.fourier import fourier_transform

__all__ = [
    "Component",
    "FourierScore",
    "InvariancePurity",
    "SharedSubspace",
    "fourier_score",
    "invariance_purity",
    "isotypic_components",
    "principal_angles",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Component:
    """An isotypic component of the signals on a group.

    Attributes
    ----------
    name
        Of its representation; of a conjugate pair both, "1|4".
    irreps
        Places in `irreps(group)`.
    dimension
        d of the representation.
    size
        Its dimension as a space: d^2, and 2 d^2 for a conjugate pair.
    """

    name: str
    irreps: tuple[int, ...]
    dimension: int
    size: int


def isotypic_components(group: FiniteGroup, *, real: bool) -> tuple[Component, ...]:
    """The isotypic components of complex signals, or of real ones.

    Among real signals a representation and its conjugate cannot be told apart: they are one.

    Examples
    --------
    >>> from repgeo.groups import cyclic
    >>> [c.name for c in isotypic_components(cyclic(5), real=True)]
    ['0', '1|4', '2|3']
    """
    found = group.irreps
    if not real:
        return tuple(
            Component(rho.name, (i,), rho.dimension, rho.dimension**2)
            for i, rho in enumerate(found)
        )
    characters = torch.stack([rho.character for rho in found])  # (irreps, n)
    partners = (characters @ characters.T).abs().argmax(dim=1).tolist()  # <χ_i, conj χ_j>
    components = []
    for i, j in enumerate(partners):
        if i <= j:
            both = (i,) if i == j else (i, j)
            name = "|".join(found[k].name for k in both)
            d = found[i].dimension
            components.append(Component(name, both, d, len(both) * d**2))
    return tuple(components)


@dataclass(frozen=True, eq=False)
class FourierScore:
    """Energies of rows of weights by isotypic component, against their exact null laws.

    Attributes
    ----------
    components
        The components.
    fractions
        Share of a row's energy in each component, `(rows, components)`.
    null_mean, null_std
        Of the share of a row of independent Gaussian entries, `(components,)`.
    z
        (share - null_mean) / null_std.
    p
        Probability of a share at least as large under the null.
    q
        p corrected over the rows of each component (Benjamini-Hochberg).
    """

    components: tuple[Component, ...]
    fractions: Floats
    null_mean: Floats
    null_std: Floats
    z: Floats
    p: Floats
    q: Floats

    @property
    def score(self) -> Floats:
        """The largest share of each row, `(rows,)`."""
        return np.asarray(self.fractions.max(axis=1))

    @property
    def best(self) -> NDArray[np.int64]:
        """The component with the largest share, `(rows,)`."""
        return np.asarray(self.fractions.argmax(axis=1))

    @property
    def row_p(self) -> Floats:
        """The smallest p of each row times the number of components, at most 1, `(rows,)`."""
        smallest: Floats = np.minimum(1.0, self.p.min(axis=1) * len(self.components))
        return smallest

    @property
    def row_q(self) -> Floats:
        """`row_p` corrected over the rows (Benjamini-Hochberg), `(rows,)`."""
        corrected: Floats = false_discovery(self.row_p[:, None]).ravel()
        return corrected

    def columns(self) -> dict[str, list[Any]]:
        """A tidy table: one entry for each row and component; `pandas.DataFrame(columns())`."""
        rows, count = self.fractions.shape
        names = [component.name for component in self.components]
        dims = [component.dimension for component in self.components]
        return {
            "row": np.repeat(np.arange(rows), count).tolist(),
            "component": names * rows,
            "dimension": dims * rows,
            "fraction": self.fractions.ravel().tolist(),
            "null_mean": np.tile(self.null_mean, rows).tolist(),
            "z": self.z.ravel().tolist(),
            "p": self.p.ravel().tolist(),
            "q": self.q.ravel().tolist(),
        }


def fourier_score(weights: Tensor, group: FiniteGroup) -> FourierScore:
    """Energy of each row of weights by isotypic component, against its exact null law.

    Of a row with independent Gaussian entries the share in a component of dimension m among n is
    Beta(m / 2, (n - m) / 2) for real weights (m = d^2, or 2 d^2 for a conjugate pair), and
    Beta(m, n - m) for complex ones. The largest share of a row is far from 0 by chance: 0.72 on
    average on S3.

    Parameters
    ----------
    weights
        `(rows, n)`, real or complex; `(rows, copies, n)` where each row acts on several signals.
    group
        The group whose elements number the last axis.

    Returns
    -------
    FourierScore
        Shares, null laws, z, p and p corrected over rows.

    Raises
    ------
    InputError
        If the shape does not fit the group, or a row is zero.

    Examples
    --------
    >>> from repgeo.groups import cyclic
    >>> row = torch.cos(2 * torch.pi * torch.arange(8) * 3 / 8)[None]
    >>> score = fourier_score(row, cyclic(8))
    >>> score.components[score.best[0]].name, round(float(score.score[0]), 6)
    ('3|5', 1.0)
    """
    rows = _rows(weights, group)
    copies = rows.shape[1]
    components = isotypic_components(group, real=not weights.is_complex())
    energies = fourier_transform(rows, group).energies.sum(dim=1)  # (rows, irreps)
    total = energies.sum(dim=1, keepdim=True)
    if bool((total == 0).any()):
        empty = torch.nonzero(total[:, 0] == 0)[:, 0].tolist()
        raise InputError(f"Rows {empty[:5]} of the weights are zero: leave them out.")
    shares = (energies / total).numpy()
    fractions = np.stack([shares[:, list(c.irreps)].sum(axis=1) for c in components], axis=1)
    degrees = copies * (1.0 if weights.is_complex() else 0.5)
    a = degrees * np.array([c.size for c in components])
    b = degrees * group.order - a
    mean = a / (a + b)
    std = np.sqrt(a * b / ((a + b) ** 2 * (a + b + 1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(std > 0, (fractions - mean) / std, 0.0)
    # I_{1-x}(b, a) is the upper tail, without cancellation; a group of one element has no null.
    p = np.where(b > 0, betainc(np.maximum(b, 1e-300), a, np.clip(1 - fractions, 0, 1)), 1.0)
    return FourierScore(components, fractions, mean, std, z, p, false_discovery(p))


def false_discovery(p: Floats) -> Floats:
    """p-values `(rows, k)` corrected over rows by Benjamini and Hochberg's procedure.

    Examples
    --------
    >>> false_discovery(np.array([[0.01], [0.02], [0.9]])).ravel().tolist()
    [0.03, 0.03, 0.9]
    """
    rows = len(p)
    order = np.argsort(p, axis=0)
    ranked = np.take_along_axis(p, order, axis=0) * (rows / np.arange(1, rows + 1))[:, None]
    smallest = np.minimum.accumulate(ranked[::-1], axis=0)[::-1]
    corrected = np.empty_like(p)
    np.put_along_axis(corrected, order, np.minimum(smallest, 1.0), axis=0)
    return corrected


@dataclass(frozen=True, eq=False)
class SharedSubspace:
    """How the space spanned by rows of weights meets an isotypic component.

    Attributes
    ----------
    component
        The component, of complex signals.
    rank
        The dimension of the rows' projection to it; d^2 where they fill it.
    angles
        Principal angles between the two spaces in radians, ascending, as many as the smaller
        dimension.
    """

    component: Component
    rank: int
    angles: Floats


def principal_angles(weights: Tensor, group: FiniteGroup) -> tuple[SharedSubspace, ...]:
    """Principal angles of the rows' span to each isotypic component, and ranks.

    Parameters
    ----------
    weights
        `(rows, n)`, real or complex.
    group
        The group.

    Returns
    -------
    tuple of SharedSubspace
        One for each representation.

    Raises
    ------
    InputError
        If the shape does not fit the group.

    Examples
    --------
    >>> from repgeo.groups import irreps, symmetric
    >>> group = symmetric(3)
    >>> filters = irreps(group)[2].matrices.reshape(6, 4).T  # (4, 6): the entries of a block
    >>> [(shared.rank, shared.component.size) for shared in principal_angles(filters, group)]
    [(0, 1), (0, 1), (4, 4)]
    """
    rows = _rows(weights, group)[:, 0]
    _, values, basis = torch.linalg.svd(rows, full_matrices=False)
    tolerance = 1e-9 * float(values[0]) if len(values) else 0.0
    span = basis[values > tolerance].T.numpy()  # (n, rank)
    stacks = fourier_transform(rows, group).blocks
    found = []
    for component, coefficients in zip(isotypic_components(group, real=False), stacks, strict=True):
        flat = coefficients.reshape(len(rows), -1)
        rank = int((torch.linalg.svdvals(flat) > 1e-6 * float(values[0])).sum())
        rho = group.irreps[component.irreps[0]].matrices
        # Rows are read without a conjugate: <w, conj ρ> is what the transform of w takes.
        functions = rho.reshape(group.order, -1).numpy()
        angles = np.sort(subspace_angles(span, functions)) if span.size else np.zeros(0)
        found.append(SharedSubspace(component, rank, angles))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class InvariancePurity:
    """Invariance of single neurons |<w, x>|^2, and the purity of their weights.

    Attributes
    ----------
    defect
        mean_g δ_g^2, δ_g = sup over unit x of | |<w, gx>|^2 - |<w, x>|^2 |, `(rows,)`.
    purity
        sum_ρ ||A_ρ||_F^2 / d_ρ with A = F F^†, F the Fourier blocks of w / ||w||, `(rows,)`; on
        abelian groups the sum of squared shares of energy.
    largest
        The largest p_ρ / d_ρ, p_ρ the share of energy, `(rows,)`: at least 1 - defect.
    """

    defect: Floats
    purity: Floats
    largest: Floats

    @property
    def gap(self) -> Floats:
        """|1 - defect - purity|, which is 0 up to rounding, `(rows,)`."""
        return np.abs(1 - self.defect - self.purity)


def invariance_purity(weights: Tensor, group: FiniteGroup) -> InvariancePurity:
    """How far neurons |<w, x>|^2 are from invariance, in the space of inputs and in Fourier space.

    δ_g = sqrt(1 - |<L_g w, w>|^2) for ||w|| = 1, and 1 - mean_g δ_g^2 = sum_ρ ||A_ρ||_F^2 / d_ρ.
    Hence max_ρ p_ρ / d_ρ >= 1 - mean_g δ_g^2: a neuron that is nearly invariant is nearly one
    character, and none is invariant through a representation with d > 1.

    Parameters
    ----------
    weights
        `(rows, n)`, real or complex.
    group
        The group.

    Returns
    -------
    InvariancePurity
        The defect by translating the weights, the purity by their Fourier transform.

    Raises
    ------
    InputError
        If the shape does not fit the group, or a row is zero.

    Notes
    -----
    Cost: O(rows n^2).

    Examples
    --------
    >>> from repgeo.groups import cyclic
    >>> character = torch.exp(2j * torch.pi * torch.arange(5) / 5)[None]
    >>> found = invariance_purity(character, cyclic(5))
    >>> bool(abs(found.defect[0]) < 1e-6), round(float(found.purity[0]), 6)
    (True, 1.0)
    """
    rows = _rows(weights, group)[:, 0]
    norms = rows.norm(dim=1, keepdim=True)
    if bool((norms == 0).any()):
        empty = torch.nonzero(norms[:, 0] == 0)[:, 0].tolist()
        raise InputError(f"Rows {empty[:5]} of the weights are zero: leave them out.")
    unit = rows / norms
    table = torch.tensor(group.table)
    overlaps = torch.stack(
        [(unit[:, table[g]] * unit.conj()).sum(dim=1) for g in range(group.order)], dim=1
    )
    squared = overlaps.abs().square()
    defect = (1 - squared).mean(dim=1)
    purity = torch.zeros(len(unit), dtype=torch.float64)
    shares = []
    for F in fourier_transform(unit, group).blocks:
        d = F.shape[-1]
        purity = purity + (F @ F.mH).abs().square().sum((-2, -1)) / d
        shares.append(F.abs().square().sum((-2, -1)) / d)
    largest = torch.stack(shares, dim=1).max(dim=1).values
    return InvariancePurity(defect.numpy(), purity.numpy(), largest.numpy())


def _rows(weights: Tensor, group: FiniteGroup) -> Tensor:
    """Weights as `(rows, copies, n)`, complex128, on the CPU."""
    if not isinstance(weights, Tensor) or weights.ndim not in (2, 3) or not weights.numel():
        given = tuple(weights.shape) if isinstance(weights, Tensor) else type(weights).__name__
        raise InputError(f"Weights are a tensor (rows, n) or (rows, copies, n), got {given}.")
    if weights.shape[-1] != group.order:
        raise InputError(
            f"Weights of {weights.shape[-1]} columns do not fit {group!r}: a column is an element."
        )
    rows = weights.detach().to("cpu", torch.complex128)
    if not bool(torch.isfinite(torch.view_as_real(rows)).all()):
        raise InputError("The weights hold NaN or infinite values.")
    return rows if rows.ndim == 3 else rows[:, None]
