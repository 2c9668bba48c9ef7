"""Small studies that are really measured in this process: tables with their stored arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.models.loaded import LoadedModel
from repgeo.probes.probe import Probe
from repgeo.probes.rows import probe_columns, rows, to_frame
from repgeo.probes.standalone import measure_loaded
from repgeo.probes.subject import MemoryCodes


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    """Standard normal numbers, float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Network(nn.Module):
    """A hidden layer of smooth units, with random weights by seed."""

    def __init__(self, seed: int, *, inputs: int = 2, classes: int = 2, scale: float = 1.0) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(inputs, 8), nn.Tanh()).double()
        self.head = nn.Linear(8, classes).double()
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters()):
                parameter.copy_(scale * normal(*parameter.shape, seed=100 * seed + number))
        self.eval().requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(x))


def kept(label: str, networks: Mapping[int | str, nn.Module]) -> LoadedModel:
    """A model with checkpoints, the last of which it is."""
    states = {epoch: network.state_dict() for epoch, network in networks.items()}
    return LoadedModel(
        list(networks.values())[-1],
        label,
        load_checkpoint=lambda epoch: dict(states[epoch]),
        checkpoints=tuple(states),
    )


def answered_by(network: nn.Module, n: int, *, inputs: int = 2, seed: int = 5) -> Dataset:
    """Random points with a network's own answers as labels."""
    x = normal(n, inputs, seed=seed)
    with torch.no_grad():
        split = Split(x, network(x).argmax(dim=1))
    return Dataset("points", split, split)


@dataclass
class Study:
    """A table, and the arrays stored with its cells."""

    frame: pd.DataFrame
    cells: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def arrays(self, cell: str) -> Mapping[str, np.ndarray]:
        """The arrays of a cell, by its id."""
        return self.cells[cell]

    def stored(self, name: str, **where: object) -> np.ndarray:
        """The only stored array of that name among rows that match: {column: value}."""
        chosen = self.frame
        for column, value in where.items():
            chosen = chosen[chosen[column] == value]
        (index,) = chosen.index
        cell = self.frame.at[index, "cell"]
        place = list(self.frame.index[self.frame["cell"] == cell]).index(index)
        return self.cells[cell][f"{place}/{name}"]


def measured(
    probe: Probe, models: Sequence[LoadedModel], data: Dataset, seeds: Sequence[int] = (0,)
) -> Study:
    """A probe measured on every model at every seed."""
    records, cells = [], {}
    for model in models:
        for seed in seeds:
            found = measure_loaded(probe, [model], data, seed, MemoryCodes())
            cell = f"{probe.name}/{probe.parameters()}/{model.label}/{seed}"
            shared = {"model": model.label, "seed": seed, "cell": cell, "dataset": data.name}
            records += rows(shared | probe_columns(probe), found.values)
            cells[cell] = dict(found.arrays)
    return Study(to_frame(records), cells)


def together(*studies: Study) -> Study:
    """Several studies as one."""
    frame = pd.concat([study.frame for study in studies], ignore_index=True)
    return Study(frame, {name: cell for study in studies for name, cell in study.cells.items()})
