"""How purely weights on image patches hold one angular frequency, against chance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.groups import cyclic, fourier_score
from repgeo.probes.context import Context
from repgeo.probes.fourier_features import PlantedRows
from repgeo.probes.metric import Metric
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject

__all__ = ["CircularHarmonics", "polar_samples"]

_KEPT = 64


class CircularHarmonics(Probe):
    """The largest share of a patch filter's energy in one angular frequency.

    Filters are sampled bilinearly on circles about the centre of the patch, each circle weighted by
    its length; the share of angular frequency m is that of exp(i m θ) (and exp(-i m θ), for real
    filters) in the energy on all circles. The null is that of Gaussian filters of the same kind,
    `draws` of them through the same sampling: p is the rank of a row's score among them, corrected
    over rows (Benjamini-Hochberg).

    Attributes
    ----------
    weight
        Name of the weight; by default what the model offers as `filters`. Rows on whitened
        components are taken back to pixels by `data.meta["pixels"]`.
    angles, radii
        Points of a circle, and circles, up to the patch's inscribed one.
    purity
        The share from which on a row counts as pure.
    alpha
        The rate of false discoveries.
    draws
        Random filters of the null.

    References
    ----------
    G. L. Marchetti, C. Hillar, D. Kragic, S. Sanborn, "Harmonics of learning: universal Fourier
    features emerge in invariant networks" (2023), arXiv:2312.08550, figure 1.

    Examples
    --------
    >>> rows = torch.ones(1, 64)  # a constant patch has the angular frequency 0 alone
    >>> frame = CircularHarmonics()(PlantedRows(rows), torch.zeros(1, 64))
    >>> round(float(frame["value"].iloc[0]), 6)
    1.0
    """

    name: ClassVar[str] = "circular_harmonics"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "score": Metric(
            unit="1",
            direction="higher",
            range=(0.0, 1.0),
            invariant_to={"weights:row_permutation", "weights:row_scale"},
            summary="largest share of a filter's energy in one angular frequency, mean over rows",
        ),
        "significant": Metric(
            unit="1",
            direction="higher",
            range=(0.0, 1.0),
            summary="share of rows that chance does not explain",
        ),
        "pure": Metric(
            unit="1",
            direction="higher",
            range=(0.0, 1.0),
            summary="share of rows with almost all energy in one angular frequency",
        ),
        "distinct": Metric(
            direction="higher", summary="number of angular frequencies that some pure row holds"
        ),
    }

    weight: str | None = Field(default=None, min_length=1)
    angles: int = Field(default=32, ge=4)
    radii: int = Field(default=8, ge=1)
    purity: float = Field(default=0.9, gt=0.0, le=1.0)
    alpha: float = Field(default=0.01, gt=0.0, lt=1.0)
    draws: int = Field(default=2000, ge=100)

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield the score with its null, and the shares of significant and of pure rows."""
        rows = self._rows(subject)
        basis = None if data is None else data.meta.get("pixels")
        basis = basis if isinstance(basis, Tensor) and len(basis) == rows.shape[1] else None
        null = torch.randn(
            self.draws, rows.shape[1], dtype=rows.dtype, generator=context.shared("null filters")
        )
        found, chance = (self._scores(part, basis) for part in (rows, null))
        ids = np.arange(len(rows))
        pixels = rows if basis is None else rows @ basis.to(rows.dtype)
        kept = pixels[:_KEPT]
        artifact = {
            "filters": torch.stack([kept.real, kept.imag], dim=-1).float().numpy()
            if kept.is_complex()
            else kept[..., None].float().numpy(),
            "scores": found[0],
            "frequencies": found[1],
            "null": chance[0],
        }
        yield Reading(
            "score",
            samples=found[0],
            ids=ids,
            chance=float(chance[0].mean()),
            artifact=artifact,
        )
        above = (chance[0][None] >= found[0][:, None]).sum(axis=1)
        p = (1 + above) / (1 + self.draws)
        ordered = np.sort(p)
        passing = np.flatnonzero(ordered <= self.alpha * np.arange(1, len(p) + 1) / len(p))
        hits = (p <= ordered[passing[-1]]) if len(passing) else np.zeros(len(p), dtype=bool)
        yield Reading(
            "significant", samples=hits.astype(float), ids=ids, statistic="proportion", chance=0.0
        )
        pure = found[0] >= self.purity
        yield Reading(
            "pure",
            samples=pure.astype(float),
            ids=ids,
            statistic="proportion",
            chance=float((chance[0] >= self.purity).mean()),
        )
        yield Reading("distinct", len(set(found[1][pure].tolist())))

    def _rows(self, subject: Subject) -> Tensor:
        if self.weight is not None and self.weight not in subject.weights:
            raise InputError(f"The model {subject.label!r} has no weight {self.weight!r}.")
        if self.weight is not None:
            found = subject.weights[self.weight]
        elif subject.offers("filters"):
            found = subject.use("filters")
        else:
            matrices = [tensor for tensor in subject.weights.values() if tensor.ndim == 2]
            if len(matrices) != 1:
                raise InputError(
                    f"The model {subject.label!r} offers no filters and has {len(matrices)} "
                    "matrices. Choose one with weight = '...'."
                )
            found = matrices[0]
        wide = torch.complex128 if found.is_complex() else torch.float64
        rows = found.detach().cpu().flatten(1).to(wide)
        return rows[rows.abs().sum(dim=1) > 0]

    def _scores(self, rows: Tensor, basis: Tensor | None) -> tuple[np.ndarray, np.ndarray]:
        """The largest share of each row, and its angular frequency."""
        pixels = rows if basis is None else rows @ basis.to(rows.dtype)
        score = fourier_score(
            polar_samples(pixels, angles=self.angles, radii=self.radii), cyclic(self.angles)
        )
        first = np.array([component.irreps[0] for component in score.components])
        signed = np.where(first > self.angles // 2, first - self.angles, first)
        return score.score, signed[score.best]

    def oracles(self) -> Iterable[Case]:
        """A patch that turns with the angle; one that is half of two angular frequencies."""
        side = 32
        at = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
        y, x = torch.meshgrid(at, at, indexing="ij")
        split = Split(torch.zeros(1, side * side, dtype=torch.float64))
        data = Dataset("planted", split, split)
        z = torch.complex(x, y) / side
        yield Case(PlantedRows(z.reshape(1, -1)), data, {"score": 1.0, "pure": 1.0}, 1e-9)
        both = (z + z.conj()).reshape(1, -1)  # x: a half in each of two frequencies
        yield Case(PlantedRows(both), data, {"score": 0.5, "pure": 0.0, "distinct": 0.0}, 1e-9)
        yield Case(PlantedRows(x.reshape(1, -1)), data, {"score": 1.0, "distinct": 1.0}, 1e-9)


def polar_samples(rows: Tensor, *, angles: int, radii: int) -> Tensor:
    """Filters on square patches, sampled bilinearly on circles about the centre.

    Parameters
    ----------
    rows
        `(rows, side^2)`, real or complex.
    angles, radii
        Points of a circle; circles, of radii up to that of the inscribed one.

    Returns
    -------
    Tensor
        `(rows, radii, angles)`, each circle times the root of its length.

    Raises
    ------
    InputError
        If a row is not a square patch.

    Examples
    --------
    >>> polar_samples(torch.ones(1, 16), angles=4, radii=2).shape
    torch.Size([1, 2, 4])
    """
    side = math.isqrt(rows.shape[1])
    if side * side != rows.shape[1] or side < 2:
        raise InputError(f"Filters must be square patches, got {rows.shape[1]} pixels.")
    if rows.is_complex():
        parts = [polar_samples(part, angles=angles, radii=radii) for part in (rows.real, rows.imag)]
        return torch.complex(*parts)
    # The outermost circle runs through the centres of the outermost pixels.
    radius = torch.arange(1, radii + 1, dtype=rows.dtype) / radii
    turn = 2 * math.pi * torch.arange(angles, dtype=rows.dtype) / angles
    x, y = (radius[:, None] * f(turn) for f in (torch.cos, torch.sin))
    grid = torch.stack([x, y], dim=-1).expand(1, -1, -1, -1)
    image = rows.reshape(1, -1, side, side)
    sampled: Tensor = functional.grid_sample(image, grid, align_corners=True)[0]
    return sampled * radius.sqrt()[:, None]
