"""Companions of an equivariance error: whether codes tell orbits and elements apart."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from repgeo.equivariance.moving import choose_elements, rows_of
from repgeo.errors import InputError
from repgeo.groups.acting import Group
from repgeo.groups.conversion import as_representation

__all__ = [
    "OrbitSeparation",
    "closure_defect",
    "coset_hausdorff",
    "orbit_separation",
    "stabiliser_order",
]


@dataclass(frozen=True)
class OrbitSeparation:
    """Distances between the orbits of codes.

    Attributes
    ----------
    distances
        min over g of |z_i - ρ(g) z_j|, `(n, n)`, float64, zero on the diagonal.
    typical
        Root mean square of |z_i - z_j|, i != j.
    different
        Which pairs are of different orbits, `(n, n)`, bool.
    """

    distances: Tensor = field(repr=False)
    typical: float
    different: Tensor = field(repr=False)

    @property
    def margin(self) -> float:
        """The least distance of two codes of different orbits, over `typical`; 0: they collapse."""
        return float(self.distances[self.different].min()) / self.typical if self.typical else 0.0

    @property
    def collapsed(self) -> float:
        """Share of the pairs of different orbits at less than 1 percent of `typical`."""
        near = self.distances[self.different] <= 0.01 * self.typical
        return float(near.double().mean())


def orbit_separation(
    codes: Tensor,
    group: Group,
    *,
    rep: object,
    orbits: Tensor | None = None,
    n_elements: int = 256,
    generator: torch.Generator | None = None,
) -> OrbitSeparation:
    """How far apart the orbits of codes of different orbits are.

    An equivariant f may send different orbits to the same one (a constant does): equivariance is
    injective only where this margin is positive and stabilisers have the right order.

    Parameters
    ----------
    codes
        f(x_i), `(n, ...)`.
    group
        The group.
    rep
        How it acts on codes; orthogonal. "invariant" compares the codes themselves.
    orbits
        Which orbit each sample is of, `(n,)`; all are different by default.
    n_elements
        How many elements are tried; all of a finite group of at most so many. For a continuous
        group the least distance is found up to the spacing of the elements, from above.
    generator
        For the draw.

    Returns
    -------
    OrbitSeparation
        Distances, and the margin.

    Raises
    ------
    InputError
        If no two samples are of different orbits.

    Notes
    -----
    O(n^2 m features).

    Examples
    --------
    >>> from repgeo.groups import Cyclic
    >>> codes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 0.0]])  # two of one orbit of C4
    >>> found = orbit_separation(codes, Cyclic(4), rep="vector")
    >>> found.distances.round(decimals=6)
    tensor([[0., 0., 2.],
            [0., 0., 2.],
            [2., 2., 0.]], dtype=torch.float64)
    """
    names = torch.arange(len(codes)) if orbits is None else orbits
    if names.shape != (len(codes),):
        raise InputError(f"Orbits are ({len(codes)},), got {tuple(names.shape)}.")
    different = (names[:, None] != names[None]).to(codes.device)
    if not bool(different.any()):
        raise InputError("All samples are of one orbit: there is nothing to separate.")
    elements, _ = choose_elements(group, n_elements, generator, device=codes.device)
    wide = codes.detach().double()
    turned = as_representation(rep, group)(elements, wide)
    assert isinstance(turned, Tensor)
    rows, flat = rows_of(turned), rows_of(wide[None])[0]
    least = torch.full((len(codes), len(codes)), float("inf"), dtype=torch.float64).to(rows.device)
    for each in rows:
        gaps = torch.cdist(flat, each, compute_mode="donot_use_mm_for_euclid_dist")
        least = torch.minimum(least, gaps)
    least = torch.minimum(least, least.mT).fill_diagonal_(0)
    n = len(flat)
    spread = 2 * (flat - flat.mean(dim=0)).square().sum() / (n - 1)
    return OrbitSeparation(least, float(spread.sqrt()), different)


def stabiliser_order(modes: Tensor, *, tolerance: float) -> Tensor:
    """The number of different modes of each sample: the order of the stabiliser that it shows.

    A representation that sends a sample to the N points g h c of a coset, h in its stabiliser, has
    as many different points as the stabiliser has elements, if N is enough.

    Parameters
    ----------
    modes
        N points in the group for each sample, `(n, N, ...)`: unit vectors of the circle, matrices.
    tolerance
        Distances (Euclidean, Frobenius) up to which modes are the same.

    Returns
    -------
    Tensor
        `(n,)`, int64: the least number that a greedy choice of representatives leaves.

    Raises
    ------
    InputError
        If there is no mode, or the tolerance is not positive.

    Notes
    -----
    O(n N^2). Source: Perez Rey, Marchetti, Kragic, Jarnikov and Holenderski 2023
    (arXiv:2301.05231).

    Examples
    --------
    >>> square = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [1.0, 0.0]]])
    >>> stabiliser_order(square, tolerance=0.1)
    tensor([4])
    """
    if modes.ndim < 3 or not modes.shape[1]:
        raise InputError(f"Modes are (n, N, ...), got {tuple(modes.shape)}.")
    if not tolerance > 0:
        raise InputError(f"The tolerance is positive, got {tolerance}.")
    rows = rows_of(modes)
    gaps = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")  # (n, N, N)
    chosen = torch.zeros(rows.shape[:2], dtype=torch.bool, device=rows.device)
    for place in range(rows.shape[1]):
        near = (gaps[:, place] <= tolerance) & chosen
        chosen[:, place] = ~near.any(dim=1)
    return chosen.sum(dim=1)


def coset_hausdorff(modes: Tensor, stabiliser: Tensor) -> Tensor:
    """Hausdorff distance of predicted modes from the true coset, divided by their first mode.

    With modes φ_i = g h_i c (g the pose, h_i in the stabiliser of the object, c the gauge of the
    class), φ_i φ_1^-1 = g h_i h_1^-1 g^-1 runs through the stabiliser of the sample, whatever c
    is. The distance is the larger of max_i min_k |φ_i φ_1^-1 - s_k| and max_k min_i of it.

    Parameters
    ----------
    modes
        Rotations `(n, N, d, d)`.
    stabiliser
        The stabiliser of each sample, g H g^-1, `(n, k, d, d)`, or of all, `(k, d, d)`.

    Returns
    -------
    Tensor
        `(n,)`, Frobenius distances, float64.

    Raises
    ------
    InputError
        If the shapes do not fit.

    Notes
    -----
    O(n N k d^2).

    Examples
    --------
    >>> from repgeo.groups import SO3, Tetrahedral
    >>> H, g, c = Tetrahedral().elements(), SO3().sample(1), SO3().sample(1)
    >>> modes = (g @ H @ c)[None]
    >>> bool(coset_hausdorff(modes, g @ H @ g.mT) < 1e-12)
    True
    """
    _require_matrices(modes)
    if stabiliser.shape[-2:] != modes.shape[-2:] or stabiliser.ndim not in (3, 4):
        raise InputError(
            f"A stabiliser is (k, d, d) or (n, k, d, d) with d = {modes.shape[-1]}, got "
            f"{tuple(stabiliser.shape)}."
        )
    wide = modes.detach().double()
    divided = wide @ wide[:, :1].mT
    true = stabiliser.double().expand(len(modes), *stabiliser.shape[-3:])
    gaps = (divided[:, :, None] - true[:, None]).square().sum(dim=(-2, -1)).sqrt()  # (n, N, k)
    return torch.maximum(gaps.amin(dim=2).amax(dim=1), gaps.amin(dim=1).amax(dim=1))


def closure_defect(modes: Tensor) -> Tensor:
    """How far modes divided by their first one are from being closed under products.

    With A_i = φ_1^-1 φ_i: max over i, j of min over k of |A_i A_j - A_k|^2. 0 for a coset of a
    subgroup, which needs no knowledge of the subgroup; it says nothing about its order (a single
    mode is closed).

    Parameters
    ----------
    modes
        Rotations `(n, N, d, d)`.

    Returns
    -------
    Tensor
        `(n,)`, squared Frobenius distances, float64; at most 4 d.

    Raises
    ------
    InputError
        If modes are no matrices.

    Notes
    -----
    O(n N^3 d^2), sample by sample.

    Examples
    --------
    >>> from repgeo.groups import Octahedral, SO3
    >>> coset = SO3().sample(1) @ Octahedral().elements() @ SO3().sample(1)
    >>> bool(closure_defect(coset[None]) < 1e-20)
    True
    """
    _require_matrices(modes)
    wide = modes.detach().double()
    divided = wide[:, :1].mT @ wide
    found = []
    for A in divided:
        products = (A[:, None] @ A[None]).reshape(len(A) ** 2, -1)
        gaps = torch.cdist(products, A.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
        found.append(gaps.amin(dim=1).amax().square())
    return torch.stack(found)


def _require_matrices(modes: Tensor) -> None:
    if modes.ndim != 4 or modes.shape[2] != modes.shape[3] or not modes.shape[1]:
        raise InputError(f"Modes are rotations (n, N, d, d), got {tuple(modes.shape)}.")
