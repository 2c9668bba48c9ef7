"""The Cayley table that blocks of weights hold, with its errors and its certificate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.finite_group import FiniteGroup

__all__ = [
    "Certificate",
    "Recovery",
    "associativity_rate",
    "certify",
    "decode_table",
    "homomorphism_error",
    "latin_rate",
    "recover_table",
]

Metric = Literal["plancherel", "published"]
Indices = NDArray[np.int64]

#: Numbers of a chunk of products.
_CHUNK = 1 << 24


@dataclass(frozen=True)
class Certificate:
    """How near blocks are to exact representations, and whether decoding is then exact.

    Attributes
    ----------
    eta
        The largest ||R(g) - ρ(g)||_P / sqrt(n), in the norm ||A||_P^2 = sum_i d_i ||A_i||_F^2.
    epsilon
        The largest operator norm of R_i(g) - ρ_i(g).
    certified
        Whether (3 + epsilon) eta < 1 / sqrt 2, which is enough for a table without errors.
    """

    eta: float
    epsilon: float

    @property
    def certified(self) -> bool:
        """Whether the sufficient bound holds."""
        return (3 + self.epsilon) * self.eta < 1 / math.sqrt(2)


@dataclass(frozen=True, eq=False)
class Recovery:
    """A table that was read off blocks of weights.

    Attributes
    ----------
    table
        `(n, n)`; row g, column h.
    cell_accuracy
        Share of cells that agree with the known table, None without one.
    latin
        Share of rows and columns that hold every element once.
    associativity
        Share of triples with (a b) c = a (b c).
    margin
        How much nearer each decoded element is than the next, relative to the distance of exact
        elements, `(n, n)`; 1 for exact blocks in the Plancherel metric.
    homomorphism_error
        max ||R_i(g) R_i(h) - R_i(gh)||_F, gh by the known table, or else by the recovered one.
    unitarity_error
        max ||R_i(g) R_i(g)^† - I||_F.
    group
        The recovered group, None if the table is none's.
    certificate
        Distances to exact representations (of the known group, or else of the recovered one); None
        where there is no group, or its representations have other dimensions, and in the published
        metric, of which the bound says nothing.
    """

    table: Indices
    cell_accuracy: float | None
    latin: float
    associativity: float
    margin: NDArray[np.float64]
    homomorphism_error: float
    unitarity_error: float
    group: FiniteGroup | None
    certificate: Certificate | None

    @property
    def certified(self) -> bool:
        """Whether the sufficient bound for exact decoding holds."""
        return self.certificate is not None and self.certificate.certified


def recover_table(
    blocks: Sequence[Tensor], *, metric: Metric = "plancherel", known: FiniteGroup | None = None
) -> Recovery:
    """The Cayley table by nearest neighbours, T(g, h) = argmin_k ||R(g) R(h) - R(k)||.

    Parameters
    ----------
    blocks
        R_i(g) for each representation, `(n, d_i, d_i)`.
    metric
        "plancherel": sum_i d_i ||.||_F^2, in which exact elements are all sqrt(2 n) apart;
        "published": the sum of mean squared entries, weights 1 / d_i^2.
    known
        The group that the table is compared with.

    Returns
    -------
    Recovery
        The table, its errors, and the certificate.

    Raises
    ------
    InputError
        If the blocks are not square or of different numbers of elements.

    References
    ----------
    G. L. Marchetti, C. Hillar, D. Kragic, S. Sanborn, "Harmonics of learning: universal Fourier
    features emerge in invariant networks" (2023), arXiv:2312.08550.

    Examples
    --------
    >>> from repgeo.groups import irreps, quaternion
    >>> group = quaternion()
    >>> found = recover_table([rho.matrices for rho in irreps(group)], known=group)
    >>> found.cell_accuracy, found.certified, round(float(found.margin.min()), 6)
    (1.0, True, 1.0)
    """
    stacked = _checked_blocks(blocks)
    n = len(stacked[0])
    if known is not None and known.order != n:
        raise InputError(f"Blocks of {n} elements do not fit {known!r}.")
    table, margin = decode_table(stacked, metric=metric)
    group = _group_of(table)
    reference = known if known is not None else group
    return Recovery(
        table=table,
        cell_accuracy=None if known is None else float((table == known.table).mean()),
        latin=latin_rate(table),
        associativity=1.0 if group is not None else associativity_rate(table),
        margin=margin,
        homomorphism_error=homomorphism_error(stacked, table if known is None else known.table),
        unitarity_error=max(
            float((R @ R.mH - torch.eye(R.shape[-1])).norm(dim=(1, 2)).max()) for R in stacked
        ),
        group=group,
        certificate=certify(stacked, reference) if reference and metric == "plancherel" else None,
    )


def decode_table(
    blocks: Sequence[Tensor], *, metric: Metric = "plancherel"
) -> tuple[Indices, NDArray[np.float64]]:
    """The nearest element of each product R(g) R(h), and by how much it is nearest.

    Parameters
    ----------
    blocks, metric
        As for `recover_table`.

    Returns
    -------
    tuple
        The table `(n, n)`, and the margins `(n, n)`: the difference between the distances to the
        second and the first, over sqrt(2 sum_i c_i d_i), c_i being the weights of the metric.

    Raises
    ------
    InputError
        As for `recover_table`.

    Notes
    -----
    Cost: n^2 sum_i d_i^3 for the products and one real matrix product of 2 n^3 sum_i d_i^2
    multiplications.

    Examples
    --------
    >>> from repgeo.groups import cyclic, irreps
    >>> decode_table([rho.matrices for rho in irreps(cyclic(3))])[0].tolist()
    [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    """
    stacked = _checked_blocks(blocks)
    if metric not in ("plancherel", "published"):
        raise InputError(f"The metric is 'plancherel' or 'published', got {metric!r}.")
    n = len(stacked[0])
    factors = [R.shape[-1] if metric == "plancherel" else R.shape[-1] ** -2.0 for R in stacked]
    scaled = [math.sqrt(c) * R for c, R in zip(factors, stacked, strict=True)]
    codes = _as_real(scaled)  # (n, 2 sum d^2)
    lengths = codes.square().sum(dim=1)
    scale = math.sqrt(2 * sum(c * R.shape[-1] for c, R in zip(factors, stacked, strict=True)))
    rows = max(1, _CHUNK // max(1, n * max(n, codes.shape[1])))
    tables, margins = [], []
    for part in torch.split(torch.arange(n), rows):
        products = [
            S[part, None] @ R[None] for S, R in zip(scaled, stacked, strict=True)
        ]  # (g, h, d, d)
        P = _as_real([p.flatten(0, 1) for p in products])
        squared = torch.addmm(lengths, P, codes.T, alpha=-2)
        nearest, places = squared.topk(min(2, n), largest=False)
        distances = (nearest + P.square().sum(dim=1, keepdim=True)).clamp(min=0).sqrt()
        tables.append(places[:, 0].view(-1, n))
        gap = distances[:, -1] - distances[:, 0] if n > 1 else torch.ones(len(P))
        margins.append((gap / (scale if n > 1 else 1)).view(-1, n))
    return torch.cat(tables).numpy(), torch.cat(margins).double().numpy()


def _as_real(blocks: Sequence[Tensor]) -> Tensor:
    flat = torch.cat([block.flatten(1) for block in blocks], dim=1)
    return torch.view_as_real(flat).flatten(1)


def homomorphism_error(blocks: Sequence[Tensor], table: Indices) -> float:
    """The largest ||R_i(g) R_i(h) - R_i(T(g, h))||_F over g, h and blocks.

    Examples
    --------
    >>> from repgeo.groups import irreps, symmetric
    >>> group = symmetric(3)
    >>> homomorphism_error([rho.matrices for rho in irreps(group)], group.table) < 1e-14
    True
    """
    at = torch.tensor(table)
    worst = 0.0
    for R in _checked_blocks(blocks):
        rows = max(1, _CHUNK // R[:, None].numel())
        for part in torch.split(torch.arange(len(R)), max(1, rows // len(R))):
            gap = R[part, None] @ R[None] - R[at[part]]
            worst = max(worst, float(gap.abs().square().sum((-2, -1)).max().sqrt()))
    return worst


def latin_rate(table: Indices) -> float:
    """Share of the rows and columns of a table that hold every element once.

    Examples
    --------
    >>> latin_rate(np.array([[0, 1], [1, 1]]))
    0.5
    """
    n = len(table)
    whole = np.arange(n)
    rows = (np.sort(table, axis=1) == whole).all(axis=1)
    columns = (np.sort(table, axis=0) == whole[:, None]).all(axis=0)
    return float(np.concatenate([rows, columns]).mean())


def associativity_rate(table: Indices) -> float:
    """Share of triples of a table with (a b) c = a (b c).

    Examples
    --------
    >>> associativity_rate(np.array([[0, 1], [1, 0]]))
    1.0
    """
    agreeing = sum(int((table[table[a]] == table[a][table]).sum()) for a in range(len(table)))
    return agreeing / len(table) ** 3


def certify(blocks: Sequence[Tensor], group: FiniteGroup) -> Certificate | None:
    """How near blocks are to exact irreducible representations of a group, one of each class.

    Each block is matched with the representation whose character it correlates with most, and that
    is turned by the unitary U that comes nearest to intertwining them.

    Parameters
    ----------
    blocks
        `(n, d_i, d_i)`.
    group
        The group.

    Returns
    -------
    Certificate or None
        None if the dimensions are not those of the group's representations.

    Examples
    --------
    >>> from repgeo.groups import alternating, irreps
    >>> group = alternating(4)
    >>> certify([rho.matrices for rho in irreps(group)], group).eta < 1e-12
    True
    """
    given = _checked_blocks(blocks)
    exact = group.irreps
    if sorted(R.shape[-1] for R in given) != [rho.dimension for rho in exact]:
        return None
    fit = np.full((len(given), len(exact)), -1e9)
    for i, R in enumerate(given):
        character = torch.einsum("gii->g", R)
        for j, rho in enumerate(exact):
            if rho.dimension == R.shape[-1]:
                fit[i, j] = float((character * rho.character.conj()).mean().real)
    distances = torch.zeros(group.order, dtype=torch.float64)
    epsilon = 0.0
    matched = linear_sum_assignment(-fit)
    for i, j in zip(matched[0].tolist(), matched[1].tolist(), strict=True):
        E = given[i] - _aligned(exact[j].matrices, given[i])
        distances += E.shape[-1] * E.abs().square().sum((-2, -1))
        epsilon = max(epsilon, float(torch.linalg.matrix_norm(E, ord=2).max()))
    return Certificate(float((distances.max() / group.order).sqrt()), epsilon)


def _aligned(rho: Tensor, R: Tensor) -> Tensor:
    """U ρ(g) U^† for the unitary U that best intertwines a representation with a block."""
    d = R.shape[-1]
    # X -> mean_g R(g) X ρ(g)^†, whose leading singular vector is U for blocks that are equivalent.
    average = torch.einsum("gij,gkl->ikjl", R, rho.conj()).reshape(d * d, d * d) / len(R)
    leading = torch.linalg.svd(average)[0][:, 0].reshape(d, d)
    left, _, right = torch.linalg.svd(leading)
    U = left @ right
    aligned: Tensor = torch.matmul(torch.matmul(U, rho), U.mH)
    return aligned


def _group_of(table: Indices) -> FiniteGroup | None:
    try:
        return FiniteGroup(table)
    except InputError:
        return None  # what was decoded need not be a group


def _checked_blocks(blocks: Sequence[Tensor]) -> list[Tensor]:
    """Blocks as complex128 on the CPU."""
    if not blocks:
        raise InputError("At least one block (n, d, d) is needed.")
    for R in blocks:
        if R.ndim != 3 or R.shape[1] != R.shape[2] or len(R) != len(blocks[0]) or not R.numel():
            shapes = [tuple(R.shape) for R in blocks]
            raise InputError(f"Blocks have shapes (n, d, d) with one n, got {shapes}.")
        if not bool(torch.isfinite(R.abs()).all()):
            raise InputError("The blocks hold NaN or infinite values.")
    return [R.detach().to("cpu", torch.complex128) for R in blocks]
