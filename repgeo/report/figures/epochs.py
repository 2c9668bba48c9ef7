"""Kept checkpoints in figures: which one a row is of, their order, names and colours."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from repgeo.identity import canonical_json
from repgeo.report.figures.style import MAP

__all__ = [
    "Epoch",
    "epoch_colours",
    "epoch_name",
    "epoch_of",
    "in_order",
    "spread",
    "without_epoch",
]

#: An epoch's number, "init", "final", or None for a model measured as it is.
Epoch: TypeAlias = int | str | None

_Item = TypeVar("_Item")

#: The part of the colour map that is dark enough for lines on white, early to late.
_EARLY, _LATE = 0.78, 0.0

_WORDS: Final = {"init": "init", "final": "final", None: "as it is"}


def epoch_of(at: str) -> Epoch:
    """The checkpoint in the coordinates of a row.

    Examples
    --------
    >>> epoch_of('{"epoch":50,"kind":"volume"}'), epoch_of('{"epoch":"init"}'), epoch_of("")
    (50, 'init', None)
    """
    found: Epoch = _members(at).get("epoch")
    return found


def without_epoch(at: str) -> str:
    """The other coordinates of a row.

    Examples
    --------
    >>> without_epoch('{"epoch":50,"kind":"volume"}'), without_epoch('{"epoch":"init"}')
    ('{"kind":"volume"}', '')
    """
    others = {name: value for name, value in _members(at).items() if name != "epoch"}
    return canonical_json(others) if others else ""


def _members(at: str) -> dict[str, Any]:
    found = json.loads(at) if at else {}
    return found if isinstance(found, dict) else {}


def in_order(epochs: Iterable[Epoch]) -> list[Epoch]:
    """Each checkpoint once, from the first to the last.

    Examples
    --------
    >>> in_order(["final", 10, "init", 2, 10])
    ['init', 2, 10, 'final']
    """
    return sorted(set(epochs), key=_time)


def _time(epoch: Epoch) -> tuple[int, int]:
    if isinstance(epoch, int):
        return 1, epoch
    return (0 if epoch == "init" else 2 if epoch == "final" else 3), 0


def spread(listed: Sequence[_Item], most: int) -> list[_Item]:
    """At most so many of them: the first, the last, and others evenly between.

    Examples
    --------
    >>> spread(["init", 1, 2, 3, "final"], 3)
    ['init', 2, 'final']
    """
    if len(listed) <= most:
        return list(listed)
    step = (len(listed) - 1) / (most - 1)
    return [listed[round(place * step)] for place in range(most)]


def epoch_name(epoch: Epoch) -> str:
    """What a checkpoint is called.

    Examples
    --------
    >>> epoch_name("init"), epoch_name(50)
    ('init', 'epoch 50')
    """
    return f"epoch {epoch}" if isinstance(epoch, int) else _WORDS.get(epoch, str(epoch))


def epoch_colours(count: int) -> list[str]:
    """Colours from early (pale) to late (dark), as hexadecimal codes; a single one is dark."""
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    step = (_EARLY - _LATE) / max(1, count - 1)
    return [to_hex(mpl.colormaps[MAP](_LATE + step * place)) for place in reversed(range(count))]
