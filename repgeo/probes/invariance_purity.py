"""Invariance of single neurons |<w, x>|^2 to a group, and the purity of their weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from repgeo.datasets.dataset import Dataset, Split
from repgeo.groups import invariance_purity
from repgeo.probes.context import Context
from repgeo.probes.fourier_features import PlantedRows
from repgeo.probes.metric import Metric
from repgeo.probes.probe import Case, Probe
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject
from repgeo.probes.weight_rows import group_of, rows_on_group

__all__ = ["InvariancePurity"]

_OF_ROWS = frozenset({"weights:row_permutation", "weights:row_scale"})


class InvariancePurity(Probe):
    """How far neurons |<w, x>|^2 are from invariance, and how pure their weights are.

    defect = mean over rows of mean_g δ_g^2, δ_g the largest change of |<w, x>|^2 under g over unit
    x, for ||w|| = 1; purity = sum_ρ ||A_ρ||_F^2 / d_ρ by the Fourier transform of w. They sum to 1
    up to rounding, for every group and every w (`gap`): invariance and Fourier purity of a scalar
    neuron are one number. `slack` is the least of max_ρ p_ρ / d_ρ - (1 - defect), which is never
    negative: a bound on the purest component by the measured invariance.

    Attributes
    ----------
    group
        Of which group; that of the data by default.
    weight
        As for `fourier_features`.

    References
    ----------
    G. L. Marchetti, C. Hillar, D. Kragic, S. Sanborn, "Harmonics of learning: universal Fourier
    features emerge in invariant networks" (2023), arXiv:2312.08550.

    Examples
    --------
    >>> wave = torch.exp(2j * torch.pi * torch.arange(5) / 5)[None]
    >>> frame = InvariancePurity(group="C5")(PlantedRows(wave), torch.zeros(1, 5))
    >>> frame.set_index("metric")["value"].abs().round(6).tolist()
    [0.0, 1.0, 0.0, 0.0]
    """

    name: ClassVar[str] = "invariance_purity"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "defect": Metric(
            unit="1",
            direction="lower",
            range=(0.0, 1.0),
            invariant_to=_OF_ROWS,
            summary="mean squared largest change under the group",
        ),
        "purity": Metric(
            unit="1",
            direction="higher",
            range=(0.0, 1.0),
            invariant_to=_OF_ROWS,
            summary="concentration of the weights in Fourier space",
        ),
        "gap": Metric(unit="1", direction="lower", summary="largest |1 - defect - purity|"),
        "slack": Metric(
            unit="1", invariant_to=_OF_ROWS, summary="least slack of the bound on the purest part"
        ),
    }

    group: str | None = Field(default=None, min_length=1)
    weight: str | None = Field(default=None, min_length=1)

    def measure(self, subject: Subject, data: Dataset, context: Context) -> Iterable[Reading]:
        """Yield the defect, the purity, their gap and the slack of the bound."""
        group = group_of(data, self.group, self.name)
        found = invariance_purity(rows_on_group(subject, group, self.weight), group)
        ids = np.arange(len(found.defect))
        yield Reading("defect", samples=np.clip(found.defect, 0, 1), ids=ids)
        chance = 2 / (group.order + 1)
        yield Reading("purity", samples=found.purity, ids=ids, chance=chance)
        yield Reading("gap", float(found.gap.max()))
        yield Reading("slack", float((found.largest - (1 - found.defect)).min()))

    def oracles(self) -> Iterable[Case]:
        """A character; a delta, which is as far from invariance as can be."""
        k = torch.arange(5, dtype=torch.float64)
        character = torch.exp(2j * torch.pi * k / 5)[None]
        split = Split(torch.eye(5, dtype=torch.float64))
        data = Dataset("planted", split, split, {"group": "C5"})
        expected = {"defect": 0.0, "purity": 1.0, "gap": 0.0, "slack": 0.0}
        yield Case(PlantedRows(character), data, expected, 1e-12)
        # <L_g w, w> is 1 at the identity only: four of five elements change everything.
        delta = torch.eye(5, dtype=torch.float64)[:1]
        yield Case(PlantedRows(delta), data, {"defect": 0.8, "purity": 0.2, "slack": 0.0}, 1e-12)
        wave = torch.cos(2 * torch.pi * k / 5)[None]  # half in each of two conjugate characters
        yield Case(PlantedRows(wave), data, {"defect": 0.5, "purity": 0.5}, 1e-12)
