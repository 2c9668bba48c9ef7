"""Whether each circle factor of a group turns a plane of its own in the codes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.equivariance.disentanglement import d_lsbd, plane_entanglement
from repgeo.equivariance.moving import evaluate
from repgeo.errors import InputError
from repgeo.groups.acting import Group
from repgeo.groups.continuous import SO2, Translations, nearest_rotation
from repgeo.groups.discrete import Cyclic
from repgeo.groups.products import Product
from repgeo.probes.context import Context
from repgeo.probes.group_actions import action_of, group_of
from repgeo.probes.group_equivariance import some_samples
from repgeo.probes.metric import Metric
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading, Scalar
from repgeo.probes.subject import Subject

__all__ = ["DisentanglementOfFactors"]

_INVARIANT = frozenset(
    {"codes:orthogonal", "codes:permutation", "codes:scaling", "codes:translation"}
)
_MOST_FEATURES = 16  # up to which rotations are taken apart into planes
_NEAR = 0.01  # of the typical distance, below which codes are the same


class DisentanglementOfFactors(Probe):
    """Linear symmetry-based disentanglement of codes on full grids of angles, and injectivity.

    The codes lie on a grid of angles of K circle factors: that of the test split, where the data
    have an array `factors`, `(n, K)` (which angle of each factor a sample has, every combination
    once); else the orbits of test samples under a group of circles that acts on the inputs (SO2,
    C<n>, a torus T<d>, products of them).

    - `d_lsbd`: mean over factors of the variance of exp(-i w a) c for the best frequency w, c the
      factor's part of the codes on its first two whitened principal components; of each factor,
      `factor_d_lsbd` (`at.factor`, from 1). 0: each factor turns a plane of its own, and nothing
      else does; codes without structure approach 1, chance. Directions beyond the two are not
      seen: the pixels of a shifted bump score 0 too.
    - `frequency` (`at.factor`): that w, up to sign and modulo the number of angles.
    - `plane_entanglement` (`at.factor`): of the rotation nearest to one step of the factor, the sum
      of the squares of its angles in all planes of coordinates but the largest; 0 where the factor
      turns one plane of coordinates. For codes of at most 16 features.
    - `margin`, `collapsed`: the least distance of codes of different angles over their typical
      distance, and the share of pairs of different angles nearer than 1 % of it. A map that wraps a
      factor k times has a perfect `d_lsbd` and is not injective; only these tell.

    A factor that moves the codes in fewer than two directions has no plane: of such codes, constant
    ones among them, only `margin` and `collapsed` are told. Of orbits, values are means over
    samples with a Student-t interval; a grid is one measurement.

    Parameters
    ----------
    layer
        Where the codes are taken.
    group, action
        The group and its action on inputs where the data have no `factors`, as for
        `equivariance_error`.
    angles
        How many angles SO2 and each circle of a torus have on the grid of an orbit.
    samples
        How many test samples have their orbits measured, at most.

    Raises
    ------
    InputError
        If `factors` are no full grid, or the group is none of circles.

    Notes
    -----
    Sources: Tonnaer, Perez Rey, Menkovski, Holenderski and Portegies 2022 (arXiv:2011.06070), in
    the fast form of `repgeo.equivariance.d_lsbd`; Quessard, Barrett and Clements 2020
    (arXiv:2002.06991).

    Examples
    --------
    >>> line = torch.arange(8) * 2 * torch.pi / 8
    >>> x = torch.stack([line.cos(), line.sin()], dim=1)[:1]
    >>> probe = DisentanglementOfFactors(group="SO2", action="vector")
    >>> frame = probe(lambda x: x, x)
    >>> [round(abs(v), 6) for v in frame.loc[frame["metric"] == "d_lsbd", "value"]]
    [0.0]
    """

    name: ClassVar[str] = "disentanglement"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "d_lsbd": Metric(
            direction="lower",
            range=(0.0, float("inf")),
            chance=1.0,
            invariant_to=_INVARIANT | {"samples:permutation"},
            summary="variance of codes turned back by the best frequency",
        ),
        "factor_d_lsbd": Metric(
            direction="lower",
            range=(0.0, float("inf")),
            chance=1.0,
            invariant_to=_INVARIANT | {"samples:permutation"},
            summary="d_lsbd of one factor",
        ),
        "frequency": Metric(
            range=(0.0, float("inf")),
            summary="how many times a factor turns its plane",
        ),
        "plane_entanglement": Metric(
            unit="radian^2",
            direction="lower",
            range=(0.0, float("inf")),
            invariant_to={"samples:permutation", "codes:translation", "codes:scaling"},
            summary="squared angles of a factor's step beyond its largest plane",
            tolerance=1e-5,
        ),
        "margin": Metric(
            direction="higher",
            range=(0.0, float("inf")),
            chance=0.0,
            invariant_to=_INVARIANT | {"samples:permutation"},
            summary="least distance of codes of different angles over the typical one",
        ),
        "collapsed": Metric(
            direction="lower",
            range=(0.0, 1.0),
            summary="share of pairs of different angles with the same code",
        ),
    }

    layer: str = "encoder"
    group: str | None = None
    action: str | dict[str, str] | None = None
    angles: int = Field(default=16, ge=3)
    samples: int = Field(default=32, ge=1)

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield the scores of the grid, or their means over orbits."""
        split = data.test
        if "factors" in split.arrays and self.group is None:
            yield from _readings(_in_grid(subject.encode(split.x), split)[None], None)
        else:
            some = some_samples(split, self.samples, context)
            yield from _readings(self._orbits(subject, data, some), some.ids)

    def _orbits(self, subject: Subject, data: Dataset, split: Split) -> Tensor:
        """Codes of orbits, `(samples, n_1, ..., n_K, features)`."""
        group = group_of(data, self.group)
        elements, shape = _grid_of(group, self.angles)
        moved = action_of(data, group, self.action)(elements, split.x)

        def encode(x: object) -> Tensor:
            return subject.codes_and_output(x)[0]  # type: ignore[arg-type]

        codes = evaluate(encode, moved, len(elements), len(split))[""]
        return codes.transpose(0, 1).reshape(len(split), *shape, -1)

    @classmethod
    def variants(cls) -> Iterable[Probe]:
        """Grids of the data, and orbits of quarter turns."""
        yield cls()
        yield cls(group="C4")

    def invariances(self, metric: str) -> frozenset[str]:
        """Of a grid, what moves codes; of orbits of four angles, not the planes of coordinates."""
        declared = super().invariances(metric)
        if self.group is None:  # samples that are repeated are no grid
            return declared - {"samples:permutation"}
        return frozenset() if metric == "plane_entanglement" else declared

    def oracles(self) -> Iterable[Case]:
        """An exact torus, one that wraps its factors, and a constant."""
        if self.group is not None:
            return
        data, n = _torus(12), 144
        nearest, typical = 2 * math.sin(math.pi / 12), (4 * n / (n - 1)) ** 0.5
        exact = {"d_lsbd": 0.0, "margin": nearest / typical, "collapsed": 0.0}
        yield Case(_Circles(1, 1), data, exact, 1e-12)
        plane = {"factor_d_lsbd": 0.0, "plane_entanglement": 0.0, "frequency": 1.0}
        yield Case(_Circles(1, 1), data, plane, 1e-12, {"factor": 2})
        # Each code is that of 3 x 4 places: 11 of the other 143.
        wrapped = {"d_lsbd": 0.0, "margin": 0.0, "collapsed": 11 / 143}
        yield Case(_Circles(3, 4), data, wrapped, 1e-12)
        yield Case(_Circles(3, 4), data, {"frequency": 4.0}, 0.0, {"factor": 2})
        yield Case(_Circles(0, 0), data, {"margin": 0.0, "collapsed": 1.0}, 0.0)


class _Circles(nn.Module):
    """(cos k a, sin k a, cos l b, sin l b) of angles `(n, 2)`."""

    def __init__(self, *frequencies: int) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.encoder = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        turned = x * x.new_tensor(self.frequencies)
        codes: Tensor = self.encoder(torch.stack([turned.cos(), turned.sin()], dim=2))
        return codes


def _torus(angles: int) -> Dataset:
    places = torch.cartesian_prod(torch.arange(angles), torch.arange(angles))
    split = Split(2 * torch.pi * places.double() / angles, None, None, {"factors": places})  # type: ignore[arg-type]
    return Dataset("", split, split)


def _in_grid(codes: Tensor, split: Split) -> Tensor:
    """Codes `(n, features)` in the order of their factors, `(n_1, ..., n_K, features)`.

    Raises
    ------
    InputError
        If the factors are not every combination of angles once.
    """
    factors = split.arrays["factors"]
    if not isinstance(factors, Tensor) or factors.ndim != 2 or factors.is_floating_point():
        raise InputError("The array 'factors' says which angles samples have: integers (n, K).")
    shape = [int(column.max()) + 1 for column in factors.unbind(dim=1)]
    place = torch.zeros(len(factors), dtype=torch.int64)
    for column, size in zip(factors.unbind(dim=1), shape, strict=True):
        place = place * size + column
    order = place.argsort()
    if not torch.equal(place[order], torch.arange(math.prod(shape))) or min(shape) < 3:
        raise InputError(
            f"Disentanglement is measured on a full grid of at least 3 angles for each factor: "
            f"every combination once, {math.prod(shape)} samples for factors of {shape} angles; "
            f"got {len(factors)} samples."
        )
    return codes[order.to(codes.device)].reshape(*shape, -1)


def _grid_of(group: Group, angles: int) -> tuple[Tensor, tuple[int, ...]]:
    """A full grid of elements `(n_1 ... n_K, *element_shape)` of a group of circles, its shape."""
    if isinstance(group, SO2):
        turns = 2 * torch.pi * torch.arange(angles, dtype=torch.float64) / angles
        return group.exp(turns[:, None]), (angles,)
    if isinstance(group, Cyclic) and group.n >= 3:
        return group.elements(), (group.n,)
    if isinstance(group, Translations) and group.period is not None:
        line = group.period * torch.arange(angles, dtype=torch.float64) / angles
        places = torch.cartesian_prod(*[line] * group.d).reshape(-1, group.d)
        return places, (angles,) * group.d
    if isinstance(group, Product):
        grids = [_grid_of(factor, angles) for factor in group.factors]
        every = [torch.arange(len(elements)) for elements, _ in grids]
        places = torch.cartesian_prod(*every).reshape(-1, len(grids))
        parts = [elements[places[:, k]] for k, (elements, _) in enumerate(grids)]
        return group.join(*parts), tuple(size for _, shape in grids for size in shape)
    raise InputError(
        f"Disentanglement is that of circles, SO2, C<n> with n >= 3, T<d> and products of them; "
        f"got {group.name}."
    )


def _readings(grids: Tensor, ids: Tensor | None) -> Iterator[Reading]:
    """All metrics of codes `(m, n_1, ..., n_K, features)`: a grid, or the orbits of samples."""
    planes = torch.tensor([_has_planes(codes) for codes in grids])
    if bool(planes.any()):
        turned = [d_lsbd(codes) for codes in grids[planes]]
        own = None if ids is None else ids[planes]
        yield _reading("d_lsbd", [each.score for each in turned], own)
        for factor in range(grids.ndim - 2):
            at = {"factor": factor + 1}
            scores = [float(each.per_factor[factor]) for each in turned]
            yield _reading("factor_d_lsbd", scores, own, at)
            orders = [float(each.frequencies[factor]) for each in turned]
            yield _reading("frequency", orders, own, at)
            if grids.shape[-1] <= _MOST_FEATURES:
                angles = [_entanglement(codes, factor) for codes in grids[planes]]
                yield _reading("plane_entanglement", angles, own, at)
    apart = [_separation(codes) for codes in grids]
    yield _reading("margin", [margin for margin, _ in apart], ids)
    yield _reading("collapsed", [share for _, share in apart], ids)


def _reading(
    metric: str, values: list[float], ids: Tensor | None, at: Mapping[str, Scalar] | None = None
) -> Reading:
    if ids is None:
        return Reading(metric, values[0], at=at or {})
    samples = torch.tensor(values, dtype=torch.float64)
    return Reading(metric, samples=samples, ids=ids, at=at or {})


def _has_planes(codes: Tensor) -> bool:
    """Whether each factor moves codes `(n_1, ..., n_K, d)` in two directions, beyond rounding."""
    if codes.shape[-1] < 2:
        return False
    rounding = 64 * torch.finfo(codes.dtype).eps * float(codes.abs().max())
    wide = codes.double()
    for factor in range(codes.ndim - 1):
        part = (wide - wide.mean(dim=factor, keepdim=True)).reshape(-1, codes.shape[-1])
        if float(torch.linalg.svdvals(part)[1]) <= rounding * len(part) ** 0.5:
            return False
    return True


def _entanglement(codes: Tensor, factor: int) -> float:
    """`plane_entanglement` of the rotation nearest to one step of a factor."""
    d = codes.shape[-1]
    centred = codes.double() - codes.double().reshape(-1, d).mean(dim=0)
    z, after = centred.reshape(-1, d), centred.roll(-1, dims=factor).reshape(-1, d)
    moment = after.mT @ z
    # Directions that codes do not reach are left alone rather than turned by rounding.
    still = 1e-9 * z.square().sum() * torch.eye(d, dtype=torch.float64, device=z.device)
    return float(plane_entanglement(nearest_rotation(moment + still)[None])[0])


def _separation(codes: Tensor) -> tuple[float, float]:
    """Least distance of codes over their typical one, and the share of pairs that coincide."""
    rows = codes.double().reshape(-1, codes.shape[-1])
    gaps = torch.pdist(rows)
    typical = float(gaps.square().mean().sqrt())
    if typical == 0:
        return 0.0, 1.0
    return float(gaps.min()) / typical, float((gaps <= _NEAR * typical).double().mean())
