"""How purely rows of weights hold one representation of a group, against chance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.groups import Component, fourier_score, principal_angles
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading, Scalar
from repgeo.probes.subject import Subject
from repgeo.probes.weight_rows import group_of, rows_on_group

__all__ = ["FourierFeatures", "PlantedRows"]

#: Draws of the null law of the largest share.
_DRAWS = 20_000

#: Filters kept for figures.
_KEPT = 64

#: Components of which each gets rows of its own.
_LISTED = 12

_OF_ROWS = frozenset({"weights:row_permutation", "weights:row_scale"})


class FourierFeatures(Probe):
    """The largest share of each row's energy in one isotypic component, and how unlikely it is.

    score = mean over rows of max_ρ share_ρ. Its chance level is the mean under Gaussian weights,
    from the exact law of the shares (a Dirichlet law): far above 0, and 0.72 on S3. A row is
    significant if the exact Beta tail of its largest share, times the number of components, is
    below `alpha` after correction over rows (Benjamini-Hochberg).

    Attributes
    ----------
    group
        Of which group; that of the data by default.
    weight
        Name of the weight; by default what the model offers as `filters`, or its only matrix whose
        columns are the group's elements.
    alpha
        The rate of false discoveries.
    purity
        The share from which on a row counts as pure.
    components
        Whether each component gets rows of its own with `rank` and `angle` (groups with at most
        12 representations).

    Notes
    -----
    Real rows cannot tell a representation from its conjugate: these count as one component.

    References
    ----------
    G. L. Marchetti, C. Hillar, D. Kragic, S. Sanborn, "Harmonics of learning: universal Fourier
    features emerge in invariant networks" (2023), arXiv:2312.08550.

    Examples
    --------
    >>> rows = torch.cos(2 * torch.pi * torch.outer(torch.arange(1.0, 4.0), torch.arange(8)) / 8)
    >>> frame = FourierFeatures(group="C8")(PlantedRows(rows), torch.zeros(1, 8))
    >>> frame.set_index("metric")["value"][["score", "pure"]].round(6).tolist()
    [1.0, 1.0]
    """

    name: ClassVar[str] = "fourier_features"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "score": Metric(
            unit="1",
            direction="higher",
            range=(0.0, 1.0),
            invariant_to=_OF_ROWS,
            summary="largest share of a row's energy in one component, mean over rows",
        ),
        "significant": Metric(
            unit="1",
            direction="higher",
            range=(0.0, 1.0),
            invariant_to=_OF_ROWS,
            summary="share of rows that chance does not explain",
        ),
        "pure": Metric(
            unit="1",
            direction="higher",
            range=(0.0, 1.0),
            invariant_to=_OF_ROWS,
            summary="share of rows with almost all energy in one component",
        ),
        "coverage": Metric(
            unit="1",
            direction="higher",
            range=(0.0, 1.0),
            invariant_to=_OF_ROWS,
            summary="share of the components that some pure row holds",
        ),
        "distinct": Metric(
            direction="higher", summary="number of components that some pure row holds"
        ),
        "rank": Metric(summary="dimension of the rows' projection to a component"),
        "angle": Metric(
            unit="radian",
            direction="lower",
            range=(0.0, 1.6),
            summary="largest principal angle between the rows' span and a component",
        ),
    }

    group: str | None = Field(default=None, min_length=1)
    weight: str | None = Field(default=None, min_length=1)
    alpha: float = Field(default=0.01, gt=0.0, lt=1.0)
    purity: float = Field(default=0.99, gt=0.0, le=1.0)
    components: bool = True

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield scores with their null, then ranks and angles of small groups' components."""
        group = group_of(data, self.group, self.name)
        rows = rows_on_group(subject, group, self.weight)
        found = fourier_score(rows, group)
        ids = np.arange(len(rows))
        null = largest_shares(found.components, rows.is_complex(), context.shared("null shares"))
        artifact: dict[str, np.ndarray] = {
            "fractions": found.fractions,
            "null_quantiles": np.quantile(null, np.linspace(0, 1, 101)),
            "filters": _as_real(rows[:_KEPT]),
            "names": np.array([component.name for component in found.components], dtype="U24"),
        }
        yield Reading(
            "score", samples=found.score, ids=ids, chance=float(null.mean()), artifact=artifact
        )
        hits = (found.row_q < self.alpha).astype(float)
        yield Reading("significant", samples=hits, ids=ids, statistic="proportion", chance=0.0)
        pure = found.score >= self.purity
        chance = float((null >= self.purity).mean())
        yield Reading(
            "pure", samples=pure.astype(float), ids=ids, statistic="proportion", chance=chance
        )
        held = len(set(found.best[pure].tolist()))
        yield Reading("coverage", held / len(found.components))
        yield Reading("distinct", held)
        if self.components and len(group.irreps) <= _LISTED:
            for shared in principal_angles(rows, group):
                at: dict[str, Scalar] = {
                    "irrep": shared.component.name,
                    "size": shared.component.size,
                }
                yield Reading("rank", shared.rank, at=at)
                short = min(shared.component.size, len(rows)) > len(shared.angles)
                angle = np.pi / 2 if short else float(shared.angles.max())
                yield Reading("angle", angle, at=at)

    def oracles(self) -> Iterable[Case]:
        """Rows of the discrete Fourier transform; entries of the standard representation of S3."""
        k = torch.arange(6, dtype=torch.float64)
        waves = torch.stack(
            [torch.cos(2 * torch.pi * k * f / 6 + p) for f, p in ((1, 0.3), (2, 0.0), (1, 1.0))]
        )
        data = _on_group("C6", 6)
        expected = {"score": 1.0, "pure": 1.0, "coverage": 0.5, "distinct": 2.0}
        yield Case(PlantedRows(waves), data, expected, 1e-9)
        # The first row is half in the constant component, half in a pair of conjugate ones.
        mixed = torch.stack([2**-0.5 + torch.cos(2 * torch.pi * k / 6), waves[1]])
        yield Case(PlantedRows(mixed), data, {"score": 0.75, "pure": 0.5, "distinct": 1.0}, 1e-9)
        delta = torch.eye(6, dtype=torch.float64)[:1]  # shares d^2 / 6 on S3: 1/6, 1/6, 4/6
        yield Case(PlantedRows(delta), _on_group("S3", 6), {"score": 2 / 3, "distinct": 0.0}, 1e-9)


def largest_shares(
    components: tuple[Component, ...], is_complex: bool, generator: torch.Generator
) -> NDArray[np.float64]:
    """Draws of the largest share of a Gaussian row, `(20000,)`: shares have a Dirichlet law.

    Examples
    --------
    >>> from repgeo.groups import isotypic_components, symmetric
    >>> parts = isotypic_components(symmetric(3), real=True)
    >>> round(float(largest_shares(parts, False, torch.Generator().manual_seed(0)).mean()), 2)
    0.72
    """
    energies = torch.zeros(_DRAWS, len(components), dtype=torch.float64)
    for place, component in enumerate(components):
        degrees = component.size * (2 if is_complex else 1)
        normal = torch.randn(_DRAWS, degrees, dtype=torch.float64, generator=generator)
        energies[:, place] = normal.square().sum(dim=1)
    largest: NDArray[np.float64] = (energies.amax(dim=1) / energies.sum(dim=1)).numpy()
    return largest


def _as_real(rows: Tensor) -> NDArray[np.float32]:
    """Rows with a last axis of real and imaginary part, `(rows, n, 1 or 2)`."""
    parts = torch.view_as_real(rows.resolve_conj()) if rows.is_complex() else rows[..., None]
    kept: NDArray[np.float32] = parts.detach().cpu().float().numpy()
    return kept


class PlantedRows(nn.Module):
    """A model whose only weight are given rows `(rows, n)`: a planted answer.

    Examples
    --------
    >>> PlantedRows(torch.eye(2))(torch.tensor([[3.0, 4.0]])).tolist()
    [[3.0, 4.0]]
    """

    weight: Tensor

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", rows)

    def forward(self, x: Tensor) -> Tensor:
        """The product with the rows, `(batch, rows)`."""
        return x.to(self.weight.dtype) @ self.weight.T


def _on_group(name: str, order: int) -> Dataset:
    split = Split(torch.eye(order, dtype=torch.float64))
    return Dataset("planted", split, split, {"group": name})
