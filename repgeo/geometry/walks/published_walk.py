"""Walks by the rules of the published scripts, for comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from repgeo.errors import InputError, nearest
from repgeo.geometry.feature_map import FeatureMap, Map, full_precision
from repgeo.geometry.jacobians import jacobian
from repgeo.geometry.walks.correction import Tangent
from repgeo.geometry.walks.direction import Bounds, generator_or_default
from repgeo.geometry.walks.double_precision import in_double_precision
from repgeo.geometry.walks.journal import Journal
from repgeo.geometry.walks.null_space import NullSpace
from repgeo.geometry.walks.walk import Box, Walk, box_bounds

__all__ = ["PublishedRule", "published_walk"]

Chosen: TypeAlias = Literal["smallest", "largest", "first", "below"]
Sign: TypeAlias = Literal["tracked", "solver", "parity", "ternary"]
AtBox: TypeAlias = Literal["clamp", "stop"]


@dataclass(frozen=True, eq=False)
class PublishedRule:
    """A rule of the published scripts: an eigenvector of J^T J, its sign, and a step without more.

    Attributes
    ----------
    steps
        K, at least 1.
    step_size
        Of one step, in units of input. With the sign "parity" half of it is made.
    eigenvector
        "smallest", whatever its eigenvalue is (SiMEC-1D), or "largest" (SiMExp-1D); "first": one of
        the first `count`, drawn uniformly (MNIST); "below": one of those with eigenvalues below
        `threshold`, drawn uniformly (power plant, ReLU).
    sign
        "tracked": as in the step before, at first the solver's (SiMEC-1D); "solver": the solver's
        in every step (SiMExp-1D); "parity": minus for even places in the spectrum, plus for odd
        ones, and half a step (MNIST, power plant); "ternary": one of -1, 0, 1 (ReLU in 3-D).
    count
        Of "first"; None: d - m.
    threshold
        Of "below", absolute.
    output_change
        Stop where the output is this far (Euclidean) from that of the start, of SiMExp-1D; None:
        make all steps.
    reverse
        The other direction.
    box
        Bounds, or None.
    at_box
        "clamp" the point and go on, or "stop" there.

    Raises
    ------
    InputError
        If a value is not allowed.
    """

    steps: int
    step_size: float
    eigenvector: Chosen = "smallest"
    sign: Sign = "tracked"
    count: int | None = None
    threshold: float = 1e-5
    output_change: float | None = None
    reverse: bool = False
    box: Box | None = None
    at_box: AtBox = "clamp"

    def __post_init__(self) -> None:
        """Check the values."""
        for name, kind in (("eigenvector", Chosen), ("sign", Sign), ("at_box", AtBox)):
            known = get_args(kind)
            given = getattr(self, name)
            if given not in known:
                raise InputError(f"Unknown {name} {given!r}. {nearest(str(given), known)}")
        if self.steps < 1 or not (math.isfinite(self.step_size) and self.step_size > 0):
            raise InputError(
                "A published walk needs at least one step of a positive size; got "
                f"steps={self.steps}, step_size={self.step_size}."
            )
        if self.count is not None and self.count < 1:
            raise InputError(f"count must be at least 1, got {self.count}.")


def published_walk(
    f: Map, x: Tensor, rule: PublishedRule, *, generator: torch.Generator | None = None
) -> Walk:
    """Walk by a rule of the published scripts (SiMEC, SiMExp): what `null_walk` is compared with.

    In each step x <- x + s delta v with an eigenvector v of the d x d metric J^T J by the solver;
    nothing is corrected. The rules are known to drift (in proportion to delta at fixed length), to
    depend on the solver's signs and basis, and with "parity" to walk ballistically along its basis.

    Parameters
    ----------
    f, x
        As for `null_walk`.
    rule
        Which vector, which sign, which box.
    generator
        For the draws; None: a new one with a fixed seed.

    Returns
    -------
    Walk
        As of `null_walk`; lengths and energy are those of the definitions, not of the scripts,
        which add up |lambda| delta. "point": no eigenvalue lies below the threshold. "stuck": the
        box was met and the rule stops there. "arrived": the output has changed by as much as asked
        for.

    Raises
    ------
    InputError, NonFiniteError
        As `null_walk`; and if `count` is larger than d.

    Notes
    -----
    9 d^3 operations and d^2 numbers for each walker and step.

    References
    ----------
    A. Benfenati, A. Marta, "A singular Riemannian geometry approach to deep neural networks II"
    (2023), arXiv 2112.10583, and III (2024), arXiv 2404.06104, with the code published along.

    Examples
    --------
    >>> def f(x):
    ...     return x.square().sum(dim=1, keepdim=True)
    >>> start = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    >>> made = published_walk(f, start, PublishedRule(steps=20, step_size=0.5))
    >>> round(float(made.drift[-1]), 9)  # each step adds 0.25 to the squared norm
    5.0
    """
    f, x = in_double_precision(f, x)
    feature_map = FeatureMap(f, x)
    given = box_bounds(rule.box, feature_map.x.view(x.shape))
    bounds = None if given is None else Bounds(*given)
    draws = generator_or_default(generator)
    at = feature_map.x.clone()
    tangent = _tangent(feature_map, at)
    journal = Journal(rule.steps, at, _features(feature_map, at), tangent)
    before = torch.zeros_like(at)
    for step in range(rule.steps):
        chance = torch.rand(2, len(at), generator=draws, dtype=torch.float64, device=draws.device)
        index = journal.walking()
        if len(index) == 0:
            break
        places, vectors = _eigenvectors(rule, tangent.J[index], chance[0].to(at)[index])
        journal.stop(index[places < 0], "point")
        sign = _signs(rule, places, vectors, before[index], chance[1].to(at)[index])
        before[index] = vectors = sign * vectors
        size = rule.step_size * (0.5 if rule.sign == "parity" else 1.0)
        going = places >= 0
        if not bool(going.any()):
            break
        index, vectors = index[going], vectors[going]
        moved = at[index] + (-size if rule.reverse else size) * vectors
        inside = moved if bounds is None else bounds.rows(index).clip(moved)
        outputs = _features(feature_map, inside)
        start = journal.outputs[0][index]
        after = _tangent(feature_map, inside)
        journal.record(step, index, inside, outputs, start, tangent.rows(index), after)
        tangent = tangent.replaced(index, after)
        at[index] = inside
        if rule.at_box == "stop":
            journal.stop(index[(inside != moved).any(dim=1)], "stuck")
        if rule.output_change is not None:
            journal.stop(index[(outputs - start).norm(dim=1) >= rule.output_change], "arrived")
    return journal.walk(before, x.shape)


def _features(feature_map: FeatureMap, x: Tensor) -> Tensor:
    with torch.no_grad(), full_precision(x.device):
        return feature_map(x)


def _tangent(feature_map: FeatureMap, x: Tensor) -> Tangent:
    J = jacobian(feature_map, x)
    return Tangent(J, NullSpace.of(J))


def _eigenvectors(rule: PublishedRule, J: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
    """Places in the ascending spectrum `(b,)`, -1 where there is none; and eigenvectors `(b, d)`.

    The metric is formed, as published.
    """
    d = J.shape[2]
    values, vectors = torch.linalg.eigh(J.mT @ J)
    if rule.eigenvector == "smallest":
        places = torch.zeros_like(chance, dtype=torch.int64)
    elif rule.eigenvector == "largest":
        places = torch.full_like(chance, d - 1, dtype=torch.int64)
    elif rule.eigenvector == "first":
        count = d - J.shape[1] if rule.count is None else rule.count
        if not 1 <= count <= d:
            raise InputError(f"count must be 1 to {d}, the number of inputs; got {count}.")
        places = (chance * count).long()
    else:
        below = (values < rule.threshold).sum(dim=1)
        places = torch.where(below > 0, (chance * below).long(), -1)
    chosen = vectors.mT[torch.arange(len(J), device=J.device), places.clamp(min=0)]
    return places, chosen


def _signs(
    rule: PublishedRule, places: Tensor, vectors: Tensor, before: Tensor, chance: Tensor
) -> Tensor:
    """Factors of the eigenvectors, `(b, 1)`."""
    if rule.sign == "tracked":
        same = (vectors * before).sum(dim=1) >= 0
        sign = torch.where(same, 1.0, -1.0)
    elif rule.sign == "parity":
        sign = torch.where(places % 2 == 1, 1.0, -1.0)
    elif rule.sign == "ternary":
        sign = (3.0 * chance).floor() - 1.0
    else:
        sign = torch.ones_like(chance)
    return sign.to(vectors)[:, None]
