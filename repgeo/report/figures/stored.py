"""The rows of one metric by model and checkpoint, and the arrays stored with them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from repgeo.identity import canonical_json
from repgeo.report.figures.epochs import Epoch, epoch_of, in_order, without_epoch
from repgeo.report.labels import short_json

if TYPE_CHECKING:
    import pandas as pd

    from repgeo.report.figures import Arrays

__all__ = ["Group", "beside_twins", "groups", "is_twin", "reading"]

#: What tells rows of the same model apart, where it varies.
_VARIED: Final = ("dataset", "layer", "params", "at")

#: What the label of an untrained twin says.
_TWIN_WORDS: Final = ("untrained", "init", "random")


@dataclass(frozen=True)
class Group:
    """The rows of one metric that differ in nothing but their seed.

    Attributes
    ----------
    model
        The model.
    label
        The model, and what else tells it apart from the other groups (but the checkpoint).
    epoch
        The checkpoint.
    params
        Parameters of the probe, as JSON.
    rows
        The rows, with the index of the table.
    """

    model: str
    label: str
    epoch: Epoch
    params: str
    rows: pd.DataFrame


def groups(frame: pd.DataFrame, metric: str, *, untold: Collection[str] = ()) -> list[Group]:
    """The rows of a metric by model, checkpoint, and whatever else varies.

    Models are in the order of the table, their checkpoints from the first to the last.

    Parameters
    ----------
    frame
        Finished rows of one probe.
    metric
        Of which metric.
    untold
        Parameters of the probe that labels do not tell, since the figure shows them otherwise.
    """
    rows = frame.loc[frame["metric"] == metric]
    if not len(rows):
        return []
    epochs = {index: epoch_of(str(at)) for index, at in rows["at"].items()}
    rows = rows.assign(at=[without_epoch(str(at)) for at in rows["at"]])
    varied = [name for name in _VARIED if rows[name].nunique() > 1]
    told = rows["params"].map(lambda text: _without(str(text), untold))
    found = []
    for key, part in rows.groupby(["model", *varied], sort=False):
        words = [str(key[0])]
        for name, value in zip(varied, key[1:], strict=True):
            among = [str(text) for text in (told if name == "params" else rows[name]).unique()]
            text = _without(str(value), untold) if name == "params" else str(value)
            words.append(short_json(text, among) if name in ("params", "at") else text)
        label = " ".join(word for word in words if word)
        params = str(part["params"].iloc[0])
        for epoch in in_order(epochs[index] for index in part.index):
            same = [index for index in part.index if epochs[index] == epoch]
            found.append(Group(str(key[0]), label, epoch, params, part.loc[same]))
    return found


def _without(params: str, names: Collection[str]) -> str:
    if not params or not names:
        return params
    return canonical_json({k: v for k, v in json.loads(params).items() if k not in names})


def reading(frame: pd.DataFrame, index: object, arrays: Arrays) -> Mapping[str, np.ndarray]:
    """The arrays stored with a row: "samples", "ids", and artifacts by their names.

    Parameters
    ----------
    frame
        All finished rows of the probe, in the order of the table.
    index
        Of the row.
    arrays
        Gives the stored arrays of a cell.
    """
    cell = str(frame.at[index, "cell"])
    # The position of a reading is its place among the rows of its cell.
    position = list(frame.index[frame["cell"] == cell]).index(index)
    start = f"{position}/"
    return {
        name.removeprefix(start).removeprefix("artifact/"): array
        for name, array in arrays(cell).items()
        if name.startswith(start)
    }


def is_twin(model: str) -> bool:
    """Whether a model is called untrained."""
    return any(word in model.lower() for word in _TWIN_WORDS)


def beside_twins(models: Sequence[str]) -> Iterator[int]:
    """The places of models such that an untrained twin follows what it is a twin of.

    Replicas, whose labels end in "#" and a number, stand together.

    Examples
    --------
    >>> list(beside_twins(["mlp#0", "cnn", "mlp-untrained", "mlp#1"]))
    [0, 3, 2, 1]
    """
    found: dict[str, list[int]] = {}
    for place in sorted(range(len(models)), key=lambda p: is_twin(models[p])):
        name = models[place].partition("#")[0]
        if is_twin(name):
            name = max((g for g in found if name.startswith(g)), key=len, default=name)
        found.setdefault(name, []).append(place)
    return (place for places in found.values() for place in places)
