"""What the figure of lines and planes shows: stored slices, their names and colours."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from repgeo.report.figures.epochs import Epoch
from repgeo.report.figures.stored import Group, groups, reading
from repgeo.report.figures.style import PALETTE, axis_label

if TYPE_CHECKING:
    import pandas as pd

    from repgeo.report.figures import Arrays

__all__ = ["Slice", "class_colours", "level_text", "log_spectrum", "slices_of"]

#: Parameters of the probe that the figure shows by itself.
_SHOWN: Final = ("classes", "steps", "epochs", "along", "top")

#: Share of the colour in the fill of a class, the rest white: six classes, then six paler ones.
_FILLS: Final = (0.75, 0.35)

#: The fill of classes beyond these.
_OTHER: Final = "#bdbdbd"


@dataclass(frozen=True)
class Slice:
    """One line or plane of one model at one seed, with its checkpoints.

    Attributes
    ----------
    name
        The model, and what else tells it apart.
    seed
        The task seed.
    classes
        Of the samples it goes through.
    quantity
        What the values are, with their unit.
    epochs
        The checkpoints `(e,)`.
    stored
        The stored arrays of each: "grid" `(m, k)`, "values", "prediction", "entropy" `(m,)`,
        "anchors" `(k + 1, k)`, "log_area" `()`, "spectra" `(k + 1, r)`.
    """

    name: str
    seed: int
    classes: tuple[int, ...]
    quantity: str
    epochs: tuple[Epoch, ...]
    stored: tuple[Mapping[str, np.ndarray], ...]

    @property
    def is_line(self) -> bool:
        """Whether it is a line and not a plane."""
        return len(self.classes) == 2

    def levels(self) -> list[float]:
        """The median over the grid at each checkpoint, as in the table.

        Where it is minus infinity, that of the points of full rank; 0 where there are none.
        """
        found = []
        for one in self.stored:
            middle = np.sort(one["values"])[
                [(len(one["values"]) - 1) // 2, len(one["values"]) // 2]
            ]
            finite = one["values"][np.isfinite(one["values"])]
            whole = bool(np.isfinite(middle).all())
            kept = middle if whole else finite if len(finite) else np.zeros(1)
            found.append(float(np.median(kept)))
        return found

    def centred(self) -> list[np.ndarray]:
        """The values less these medians, `(m,)` each, NaN where the rank is deficient."""
        return [
            np.where(np.isfinite(one["values"]), one["values"] - level, np.nan)
            for one, level in zip(self.stored, self.levels(), strict=True)
        ]

    @property
    def loses_rank(self) -> bool:
        """Whether there are points of deficient rank."""
        return not all(bool(np.isfinite(one["values"]).all()) for one in self.stored)


def slices_of(frame: pd.DataFrame, arrays: Arrays) -> tuple[list[Slice], int]:
    """The stored slices in the order of the table, and how many replicas were passed over.

    Each is that of the first seed; of replicas ("mlp#0", "mlp#1") there is the first.
    """
    same: dict[tuple[str, str], list[Group]] = {}
    for group in groups(frame, "log_volume", untold=_SHOWN):
        same.setdefault((group.label, group.params), []).append(group)
    found: dict[tuple[str, str], Slice] = {}
    replicas = 0
    for (label, params), members in same.items():
        family = re.sub(r"#\d+", "", label), params
        if family in found:
            replicas += 1
            continue
        seed = min(int(number) for number in members[0].rows["seed"])
        epochs, stored = [], []
        for group in members:
            for index in group.rows.index[group.rows["seed"] == seed]:
                one = reading(frame, index, arrays)
                if "values" in one:
                    epochs.append(group.epoch)
                    stored.append(one)
        if stored:
            classes, quantity = _told(params, str(members[0].rows["unit"].iloc[0]), stored[0])
            name = label.strip()
            found[family] = Slice(name, seed, classes, quantity, tuple(epochs), tuple(stored))
    return list(found.values()), replicas


def _told(params: str, unit: str, stored: Mapping[str, np.ndarray]) -> tuple[tuple[int, ...], str]:
    """The classes of the samples, and what the values are called."""
    given = json.loads(params) if params else {}
    samples = len(stored["anchors"])
    classes = tuple(given.get("classes", range(samples)))
    name = "log-volume"
    if given.get("along") == "slice":
        name = "log-length along the line" if samples == 2 else "log-area along the plane"
    if given.get("top"):
        name += f" of the {given['top']} largest directions"
    return classes, axis_label(name, unit)


def class_colours(slices: Sequence[Slice]) -> dict[int, str]:
    """The fill of every answer: those of the samples first, then the most frequent."""
    from matplotlib.colors import to_hex, to_rgb

    counts: Counter[int] = Counter()
    for one in slices:
        for stored in one.stored:
            counts.update(stored["prediction"].tolist())
    own = sorted({label for one in slices for label in one.classes})
    others = sorted(set(counts) - set(own), key=lambda label: (-counts[label], label))
    strong = [to_rgb(code) for code in PALETTE if code != "#000000"]
    fills = [
        to_hex((share * r + 1 - share, share * g + 1 - share, share * b + 1 - share))
        for share in _FILLS
        for r, g, b in strong
    ]
    shown = [*own, *others]
    fills += [_OTHER] * max(0, len(shown) - len(fills))
    return dict(zip(shown, fills, strict=False))


def level_text(level: float) -> str:
    """A median, to four figures.

    Examples
    --------
    >>> level_text(86.5731)
    '86.57'
    """
    return f"{level:.4g}".replace("-", "\N{MINUS SIGN}")


def log_spectrum(values: np.ndarray) -> np.ndarray:
    """The logarithms to base 10 of singular values, NaN for zeros.

    Examples
    --------
    >>> log_spectrum(np.array([100.0, 0.0])).tolist()
    [2.0, nan]
    """
    logarithms: np.ndarray = np.log10(np.where(values > 0, values, np.nan))
    return logarithms
