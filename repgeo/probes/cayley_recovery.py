"""The multiplication table that a network's blocks of weights hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.groups import (
    FiniteGroup,
    Recovery,
    fourier_transform,
    irreps,
    quaternion,
    recover_table,
)
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject
from repgeo.probes.weight_rows import group_of

__all__ = [
    "CayleyRecovery",
    "block_contents",
    "misplaced_energy",
    "missing_representations",
]


def _share(summary: str, direction: Literal["higher", "lower", "none"] = "higher") -> Metric:
    return Metric(unit="1", direction=direction, range=(0.0, 1.0), summary=summary)


class CayleyRecovery(Probe):
    """A network's multiplication table by nearest neighbours, its errors and its certificate.

    T(g, h) = argmin_k ||R(g) R(h) - R(k)|| over the blocks R_i(g) that the model gives as its
    `representation`, compared with the table of the data's group cell by cell: coordinates are
    labelled by elements, so that nothing is left to permute. Without knowing the group:
    Latin-square and associativity rates, the smallest margin, and errors of unitarity.

    Where a model holds several trained networks (`all_representations`), rates over these "starts"
    are told too: `success` is the share whose homomorphism error is below `threshold`.

    Attributes
    ----------
    group
        The true group; that of the data by default.
    distance
        "plancherel" or "published" weights of the blocks, see `repgeo.groups.recover_table`.
    threshold
        Largest homomorphism error of a success.
    misplaced
        Share of a block's energy in representations of other dimensions from which on it counts as
        misplaced.

    Notes
    -----
    What failed starts have in common is told by two shares of them: `misplaced_failures`, a block
    holds representations of other dimensions than its own; `missing_failures`, some representation
    has more than half the energy of no block of its dimension. A start that fails with nothing
    missing has each representation in its place, but not exactly.

    References
    ----------
    G. L. Marchetti, C. Hillar, D. Kragic, S. Sanborn, "Harmonics of learning: universal Fourier
    features emerge in invariant networks" (2023), arXiv:2312.08550.

    Examples
    --------
    >>> from repgeo.models.power_spectral import planted_representation
    >>> frame = CayleyRecovery(group="Q8")(planted_representation("Q8"), torch.zeros(1, 8))
    >>> frame.set_index("metric")["value"][["cell_accuracy", "certified"]].tolist()
    [1.0, 1.0]
    """

    name: ClassVar[str] = "cayley_recovery"
    version: ClassVar[int] = 3
    requires: ClassVar[frozenset[str]] = frozenset({"representation"})
    metrics: ClassVar[Mapping[str, Metric]] = {
        "cell_accuracy": _share("share of the table's cells that are right"),
        "exact": _share("whether the whole table is right"),
        "isomorphic": _share("whether the table is a group's, isomorphic to the true one"),
        "dimensions_right": _share("whether the blocks have the true group's dimensions"),
        "latin": _share("share of rows and columns that hold each element once"),
        "associativity": _share("share of triples with (ab)c = a(bc)"),
        "margin": Metric(
            unit="1", direction="higher", summary="smallest relative margin of a decoded cell"
        ),
        "homomorphism_error": Metric(
            direction="lower",
            range=(0.0, float("inf")),
            summary="largest ||R(g)R(h) - R(gh)||_F by the true table",
        ),
        "unitarity_error": Metric(
            direction="lower", range=(0.0, float("inf")), summary="largest ||R(g)R(g)^† - I||_F"
        ),
        "certified": _share("whether a bound proves the Plancherel decoding exact"),
        "eta": Metric(
            direction="lower",
            range=(0.0, float("inf")),
            summary="distance to exact representations, relative to their norm",
        ),
        "starts": Metric(summary="networks that were trained, of which the best was kept"),
        "success": _share("share of starts with a homomorphism error below the threshold"),
        "exact_starts": _share("share of starts with the whole table right"),
        "certified_starts": _share("share of starts that the bound certifies"),
        "certified_wrong": Metric(
            direction="lower",
            range=(0.0, float("inf")),
            summary="starts that are certified and wrong (none can be)",
        ),
        "misplaced_failures": _share(
            "share of failed starts with a block that holds representations of other dimensions",
            "none",
        ),
        "misplaced_successes": _share("the same share of successful starts", "none"),
        "missing_failures": _share(
            "share of failed starts that lack a representation in blocks of its dimension", "none"
        ),
        "missing_successes": _share("the same share of successful starts", "none"),
    }

    group: str | None = Field(default=None, min_length=1)
    distance: Literal["plancherel", "published"] = "plancherel"
    threshold: float = Field(default=0.05, gt=0.0)
    misplaced: float = Field(default=0.1, gt=0.0, lt=1.0)

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield the numbers of the network, then rates over its starts."""
        group = group_of(data, self.group, self.name)
        blocks = subject.use("representation")
        found = recover_table(blocks, metric=self.distance, known=group)
        yield from self._of_network(blocks, found, group)
        if subject.offers("all_representations"):
            yield from self._of_starts(subject.use("all_representations"), group)
        else:
            yield Reading("starts", 1)

    def _of_network(
        self, blocks: Sequence[Tensor], found: Recovery, group: FiniteGroup
    ) -> Iterator[Reading]:
        artifact = {"table": found.table, "known": group.table, "margins": found.margin}
        yield Reading(
            "cell_accuracy", found.cell_accuracy, chance=1 / group.order, artifact=artifact
        )
        yield Reading("exact", float(found.cell_accuracy == 1))
        same = found.group is not None and found.group.isomorphic_to(group) is not None
        yield Reading("isomorphic", float(same))
        sizes = sorted(R.shape[-1] for R in blocks)
        yield Reading("dimensions_right", float(sizes == [r.dimension for r in irreps(group)]))
        yield Reading("latin", found.latin)
        yield Reading("associativity", found.associativity)
        yield Reading("margin", float(found.margin.min()))
        yield Reading("homomorphism_error", found.homomorphism_error)
        yield Reading("unitarity_error", found.unitarity_error)
        yield Reading("certified", float(found.certified))
        if found.certificate is not None:
            yield Reading("eta", found.certificate.eta)

    def _of_starts(
        self, starts: Sequence[Sequence[Tensor]], group: FiniteGroup
    ) -> Iterator[Reading]:
        found = [recover_table(blocks, metric=self.distance, known=group) for blocks in starts]
        errors = np.array([one.homomorphism_error for one in found])
        exact = np.array([one.cell_accuracy == 1 for one in found], dtype=float)
        certified = np.array([one.certified for one in found], dtype=float)
        contents = [block_contents(blocks, group) for blocks in starts]
        misplaced = np.array([misplaced_energy(shares, group) for shares in contents])
        missing = np.array([missing_representations(shares, group) for shares in contents])
        good = errors < self.threshold
        ids = np.arange(len(starts))
        yield Reading("starts", len(starts))
        artifact = {"errors": errors, "exact": exact, "misplaced": misplaced, "missing": missing}
        yield Reading(
            "success",
            samples=good.astype(float),
            ids=ids,
            statistic="proportion",
            artifact=artifact,
        )
        yield Reading("exact_starts", samples=exact, ids=ids, statistic="proportion")
        yield Reading("certified_starts", samples=certified, ids=ids, statistic="proportion")
        yield Reading("certified_wrong", float((certified * (1 - exact)).sum()))
        for name, found_so in (("misplaced", misplaced > self.misplaced), ("missing", missing > 0)):
            for kind, chosen in (("failures", ~good), ("successes", good)):
                if chosen.any():
                    yield Reading(
                        f"{name}_{kind}",
                        samples=found_so[chosen].astype(float),
                        ids=ids[chosen],
                        statistic="proportion",
                    )

    def oracles(self) -> Iterable[Case]:
        """The exact transform of Q8; the opposite group, right where elements commute."""
        group = quaternion()
        split = Split(torch.eye(8, dtype=torch.float64))
        data = Dataset("planted", split, split, {"group": "Q8"})
        exact = [rho.matrices for rho in irreps(group)]
        right = {"cell_accuracy": 1.0, "exact": 1.0, "isomorphic": 1.0, "latin": 1.0}
        right |= {"homomorphism_error": 0.0, "unitarity_error": 0.0, "certified": 1.0}
        right |= {"eta": 0.0, "margin": 1.0, "associativity": 1.0, "dimensions_right": 1.0}
        yield Case(_Blocks(exact), data, right, 1e-9)
        commuting = float((group.table == group.table.T).mean())  # 40 of 64 pairs
        opposite = {"cell_accuracy": commuting, "exact": 0.0, "isomorphic": 1.0, "latin": 1.0}
        yield Case(_Blocks([R.mH for R in exact]), data, opposite, 1e-9)
        # Blocks that are all trivial decode every product as the first element.
        trivial = [torch.ones(8, 1, 1, dtype=torch.complex128)] * 8
        expected = {"cell_accuracy": 1 / 8, "latin": 0.0, "isomorphic": 0.0, "certified": 0.0}
        yield Case(_Blocks(trivial), data, expected, 1e-9)


def block_contents(blocks: Sequence[Tensor], group: FiniteGroup) -> NDArray[np.float64]:
    """Shares of each block's energy in the irreducible representations, `(blocks, irreps)`.

    The first column of shares is the block's dimension; the others are in the order of
    `repgeo.groups.irreps`.

    Examples
    --------
    >>> from repgeo.groups import alternating
    >>> group = alternating(4)  # the second and third representation are conjugate
    >>> exact = [rho.matrices for rho in irreps(group)]
    >>> (block_contents([exact[2], exact[3]], group).round(9) + 0.0).tolist()
    [[1.0, 0.0, 0.0, 1.0, 0.0], [3.0, 0.0, 0.0, 0.0, 1.0]]
    """
    rows = []
    for R in blocks:
        functions = R.detach().cpu().flatten(1).T  # (d^2, n)
        energies = fourier_transform(functions, group).energies.sum(dim=0).double()
        rows.append([float(R.shape[-1]), *(energies / energies.sum()).tolist()])
    return np.array(rows)


def misplaced_energy(contents: NDArray[np.float64], group: FiniteGroup) -> float:
    """The largest share of a block's energy in representations of other dimensions than its own.

    Parameters
    ----------
    contents
        Those of the blocks, see `block_contents`.
    group
        The group.

    Examples
    --------
    >>> exact = [rho.matrices for rho in irreps(quaternion())]
    >>> misplaced_energy(block_contents(exact, quaternion()), quaternion()) < 1e-12
    True
    >>> two = torch.diag_embed(torch.stack([exact[0][:, 0, 0], exact[1][:, 0, 0]], 1))
    >>> round(misplaced_energy(block_contents([*exact[:4], two], quaternion()), quaternion()), 6)
    1.0
    """
    own = contents[:, :1] == [rho.dimension for rho in irreps(group)]  # (blocks, irreps)
    return float((contents[:, 1:] * ~own).sum(axis=1).max())


def missing_representations(contents: NDArray[np.float64], group: FiniteGroup) -> int:
    """How many representations have more than half the energy of no block of their dimension.

    Parameters
    ----------
    contents, group
        As for `misplaced_energy`.

    Examples
    --------
    >>> exact = [rho.matrices for rho in irreps(quaternion())]
    >>> missing_representations(block_contents(exact, quaternion()), quaternion())
    0
    >>> twice = [*exact[:3], exact[0], exact[4]]
    >>> missing_representations(block_contents(twice, quaternion()), quaternion())
    1
    """
    own = contents[:, :1] == [rho.dimension for rho in irreps(group)]
    return int((~(own & (contents[:, 1:] > 0.5)).any(axis=0)).sum())


class _Blocks(nn.Module):
    """A model that holds given blocks."""

    def __init__(self, blocks: Sequence[Tensor]) -> None:
        super().__init__()
        for place, block in enumerate(blocks):
            self.register_buffer(f"block{place}", block)

    def representation(self) -> tuple[Tensor, ...]:
        """The blocks."""
        return tuple(self.buffers())

    def forward(self, x: Tensor) -> Tensor:
        """The input."""
        return x
