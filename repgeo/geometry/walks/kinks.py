"""Operations that are affine in pieces: which piece they are on, and when they leave it."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from repgeo.errors import InputError

__all__ = ["Kink", "Pieces", "Windows", "WithPieces", "kink_of"]


class Kink(ABC):
    """An operation that is affine on each of some pieces of its argument.

    Arguments z and their rates of change are `(b, ...)`, the states, which say for each value of
    the operation what piece it is on, `(b, ...)` too. Kinks ahead are numbered along the flattened
    axes of `times`.
    """

    @abstractmethod
    def state(self, z: Tensor) -> Tensor:
        """The pieces that the operation itself uses at z, integers."""

    @abstractmethod
    def values(self, z: Tensor, state: Tensor) -> Tensor:
        """The remembered pieces at z, whether z lies on them or not."""

    @abstractmethod
    def times(self, z: Tensor, rate: Tensor, state: Tensor, least: float) -> Tensor:
        """When z + t rate leaves its piece by each kink; infinite where it does not, `(b, ...)`.

        Rates up to `least` count as zero.
        """

    @abstractmethod
    def height(self, z: Tensor, state: Tensor, unit: Tensor) -> Tensor:
        """A function of z, `(b,)`, that is constant on one kink of each sample and crosses it."""

    @abstractmethod
    def ahead(self, z: Tensor, rate: Tensor, state: Tensor, near: Tensor, least: float) -> Tensor:
        """The pieces of z + t rate for small t > 0, where kinks up to `near` away are at z.

        `near` is `(b,)`; where no kink is at z the piece is kept.
        """

    @abstractmethod
    def crossed(self, z: Tensor, rate: Tensor, state: Tensor, rows: Tensor, unit: Tensor) -> Tensor:
        """The states after samples `rows` have come to the kinks `unit`, as their rates say."""


@dataclass(frozen=True, eq=False)
class Pieces(Kink):
    """A continuous function of one number: slopes and offsets between break points.

    Attributes
    ----------
    breaks
        In ascending order.
    slopes, offsets
        One more than breaks each; numbers, or tensors that broadcast to the argument.

    Examples
    --------
    >>> relu = Pieces((0.0,), (0.0, 1.0), (0.0, 0.0))
    >>> z = torch.tensor([[-1.0, 2.0]])
    >>> relu.state(z).tolist(), relu.values(-z, relu.state(z)).tolist()
    ([[0, 1]], [[0.0, -2.0]])
    """

    breaks: tuple[float, ...]
    slopes: tuple[float | Tensor, ...]
    offsets: tuple[float, ...]

    def state(self, z: Tensor) -> Tensor:
        """The number of break points below z."""
        return sum(
            ((z > point).to(torch.int8) for point in self.breaks), torch.zeros_like(z).char()
        )

    def values(self, z: Tensor, state: Tensor) -> Tensor:
        """Slope times z plus offset of the remembered piece."""
        made: Tensor | None = None
        for piece, (slope, offset) in enumerate(zip(self.slopes, self.offsets, strict=True)):
            line = z if not isinstance(slope, Tensor) and slope == 1 else z * slope
            line = line if offset == 0 else line + offset
            made = line if made is None else torch.where(state == piece, line, made)
        assert made is not None  # there is at least one piece
        return made

    def times(self, z: Tensor, rate: Tensor, state: Tensor, least: float) -> Tensor:
        """Until z reaches the break point above or below, whichever it moves to."""
        times = torch.full_like(z, torch.inf)
        for place, point in enumerate(self.breaks):
            rises = (state == place) & (rate > least)
            falls = (state == place + 1) & (rate < -least)
            time = ((point - z) / rate).clamp(min=0)  # past it by rounding: now
            times = torch.where(rises | falls, time, times)
        return times

    def height(self, z: Tensor, state: Tensor, unit: Tensor) -> Tensor:
        """The argument itself."""
        return z.flatten(1).gather(1, unit[:, None])[:, 0]

    def ahead(self, z: Tensor, rate: Tensor, state: Tensor, near: Tensor, least: float) -> Tensor:
        """By the sign of the rate, at a break point."""
        near = near.view(-1, *(1,) * (z.ndim - 1))
        for place, point in enumerate(self.breaks):
            at = ((state == place) | (state == place + 1)) & ((z - point).abs() <= near)
            state = torch.where(at & (rate > least), place + 1, state)
            state = torch.where(at & (rate < -least), place, state)
        return state.to(torch.int8)

    def crossed(self, z: Tensor, rate: Tensor, state: Tensor, rows: Tensor, unit: Tensor) -> Tensor:
        """On the side of the nearest break point that the rate leads to; kept where it is 0."""
        made = state.flatten(1).clone()
        at, speed = z.flatten(1)[rows, unit], rate.flatten(1)[rows, unit]
        breaks = torch.tensor(self.breaks, dtype=z.dtype, device=z.device)
        place = (at[:, None] - breaks).abs().argmin(dim=1).to(made.dtype)
        beyond = torch.where(speed > 0, place + 1, place)
        made[rows, unit] = torch.where(speed == 0, made[rows, unit], beyond)
        return made.view_as(state)


@dataclass(frozen=True, eq=False)
class Windows(Kink):
    """The maximum over windows of the last axes.

    Attributes
    ----------
    axes
        How many axes are pooled.
    table
        Places of the flattened pooled axes, `(outputs, places)`; -1 is padding.
    shape
        Shape of the pooled axes of the result.
    """

    axes: int
    table: Tensor
    shape: tuple[int, ...]

    def candidates(self, z: Tensor) -> Tensor:
        """What each maximum is taken over, `(b, channels, outputs, places)`."""
        flat = z.flatten(-self.axes)
        found = flat[..., self.table.clamp(min=0)]
        return found.masked_fill(self.table < 0, -torch.inf)

    def state(self, z: Tensor) -> Tensor:
        """Which place of its window each maximum is at, `(b, channels, outputs)`."""
        return self.candidates(z).argmax(dim=-1)

    def values(self, z: Tensor, state: Tensor) -> Tensor:
        """The values at the remembered places."""
        table = self.table.expand(*state.shape, -1)
        place = table.gather(-1, state[..., None])[..., 0]
        return z.flatten(-self.axes).gather(-1, place).reshape(*state.shape[:-1], *self.shape)

    def _lead(self, z: Tensor, state: Tensor) -> Tensor:
        """By how much each place of a window is exceeded by the remembered one."""
        found = self.candidates(z)
        return found.gather(-1, state[..., None]) - found

    def times(self, z: Tensor, rate: Tensor, state: Tensor, least: float) -> Tensor:
        """Until another place of the window draws level, one number for each place."""
        lead, change = self._lead(z, state), self._lead(rate, state)
        catches = (change < -least) & (self.table >= 0)
        return torch.where(catches, (lead / -change).clamp(min=0), torch.inf)

    def height(self, z: Tensor, state: Tensor, unit: Tensor) -> Tensor:
        """The difference of two places of a window."""
        flat = z.flatten(-self.axes).flatten(1)
        channels = flat.shape[1] // z[0, 0].numel()
        assert channels == state.shape[1]
        places = self.table.shape[1]
        window, place = unit // places, unit % places  # window counts channels and outputs
        offset = window // len(self.table) * z[0, 0].numel()
        row = window % len(self.table)
        held = state.flatten(1).gather(1, window[:, None])[:, 0]
        first = flat.gather(1, (offset + self.table[row, place])[:, None])
        second = flat.gather(1, (offset + self.table[row, held])[:, None])
        return (first - second)[:, 0]

    def ahead(self, z: Tensor, rate: Tensor, state: Tensor, near: Tensor, least: float) -> Tensor:
        """Of the places that are level, the one that rises fastest."""
        level = (self._lead(z, state) <= near.view(-1, 1, 1, 1)) & (self.table >= 0)
        rates = self.candidates(rate).masked_fill(~level, -torch.inf)
        fastest, place = rates.max(dim=-1)
        held = rates.gather(-1, state[..., None])[..., 0]
        return torch.where(fastest > held + least, place, state)

    def crossed(self, z: Tensor, rate: Tensor, state: Tensor, rows: Tensor, unit: Tensor) -> Tensor:
        """At the other place, if that rises faster."""
        made = state.flatten(1).clone()
        places = self.table.shape[1]
        rates = self.candidates(rate).flatten(1, 2)[rows, unit // places]  # (r, places)
        held = made[rows, unit // places]
        gain = rates.gather(1, (unit % places)[:, None]) - rates.gather(1, held[:, None])
        made[rows, unit // places] = torch.where(gain[:, 0] > 0, unit % places, held)
        return made.view_as(state)


class WithPieces(TorchFunctionMode):
    """Within it, operations with kinks are what `meet` makes of them.

    Parameters
    ----------
    meet
        From an operation with kinks and its argument to the values it is to have.

    Attributes
    ----------
    others
        Names of all other operations that were called.

    Examples
    --------
    >>> with WithPieces(lambda kink, z: 10 * z):
    ...     torch.relu(torch.tensor([-1.0, 2.0])).tolist()
    [-10.0, 20.0]
    """

    def __init__(self, meet: Callable[[Kink, Tensor], Tensor]) -> None:
        super().__init__()
        self._meet = meet
        self.others: set[str] = set()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Replace the calls that are known; everything else is left as it is."""
        named = dict(kwargs or {})
        name = getattr(func, "__name__", str(func))
        kink = kink_of(name, args, named)
        if kink is None:
            self.others.add(name)
            return func(*args, **named)
        z = args[0] if args else named["input"]
        if not (named.get("inplace", False) or (name.endswith("_") and name[0] != "_")):
            return self._meet(kink, z)
        return z.copy_(self._meet(kink, z.clone()))


_RELU: Final = Pieces((0.0,), (0.0, 1.0), (0.0, 0.0))
_ELEMENTWISE: Final[frozenset[str]] = frozenset(
    {
        "abs",
        "absolute",
        "clamp",
        "clamp_max",
        "clamp_min",
        "hardsigmoid",
        "hardtanh",
        "leaky_relu",
        "prelu",
        "relu",
        "relu6",
    }
)


def kink_of(name: str, args: Sequence[Any], named: Mapping[str, Any]) -> Kink | None:
    """The operation with kinks that a call of torch is, or None.

    Parameters
    ----------
    name
        Of a function of torch, of `torch.nn.functional`, or a method of a tensor.
    args, named
        What it is called with.

    Raises
    ------
    InputError
        If a max-pool does not get samples with channels.

    Examples
    --------
    >>> kink_of("leaky_relu", (torch.zeros(2), 0.5), {}).slopes
    (0.5, 1.0)
    >>> kink_of("tanh", (torch.zeros(2),), {})
    """
    name = name.removesuffix("_")
    given = args[0] if args else named.get("input")
    if not isinstance(given, Tensor) or not given.is_floating_point():
        return None
    if name in _ELEMENTWISE:
        return _pieces(name, given, args[1:], named)
    if name.removeprefix("adaptive_") in ("max_pool1d", "max_pool2d", "max_pool3d"):
        return _windows(name, given, args[1:], named)
    return None


def _pieces(name: str, z: Tensor, args: Sequence[Any], named: Mapping[str, Any]) -> Pieces | None:
    def option(place: int, key: str, default: Any) -> Any:
        return args[place] if len(args) > place else named.get(key, default)

    if name == "relu":
        return _RELU
    if name == "relu6":
        return _clipped(0.0, 6.0)
    if name == "hardtanh":
        return _clipped(float(option(0, "min_val", -1.0)), float(option(1, "max_val", 1.0)))
    if name == "leaky_relu":
        return Pieces((0.0,), (float(option(0, "negative_slope", 0.01)), 1.0), (0.0, 0.0))
    if name == "prelu":
        weight = option(0, "weight", None)
        wide = weight if z.ndim < 2 else weight.view(1, -1, *(1,) * (z.ndim - 2))
        return Pieces((0.0,), (wide, 1.0), (0.0, 0.0))
    if name == "hardsigmoid":
        return Pieces((-3.0, 3.0), (0.0, 1 / 6, 0.0), (0.0, 0.5, 1.0))
    if name in ("abs", "absolute"):
        return Pieces((0.0,), (-1.0, 1.0), (0.0, 0.0))
    low = option(0, "min", None) if name != "clamp_max" else None
    high = option(1 if name == "clamp" else 0, "max", None) if name != "clamp_min" else None
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        return None
    return _clipped(low, high)


def _clipped(low: float | None, high: float | None) -> Pieces | None:
    if low is None and high is None:
        return None
    if high is None:
        assert low is not None  # one of them is given
        return Pieces((float(low),), (0.0, 1.0), (float(low), 0.0))
    if low is None:
        return Pieces((float(high),), (1.0, 0.0), (0.0, float(high)))
    if low >= high:
        return Pieces((), (0.0,), (float(high),))
    return Pieces((float(low), float(high)), (0.0, 1.0, 0.0), (float(low), 0.0, float(high)))


def _windows(name: str, z: Tensor, args: Sequence[Any], named: Mapping[str, Any]) -> Windows | None:
    axes = int(name[-2])
    adaptive = name.startswith("adaptive_")
    keys = ("output_size", "return_indices") if adaptive else _POOL
    options = dict(zip(keys, args, strict=False)) | {
        key: value for key, value in named.items() if key in keys
    }
    if options.pop("return_indices", False):
        return None
    if z.ndim != axes + 2:
        raise InputError(
            f"{name} must get samples with channels, {axes + 2} axes; it got {tuple(z.shape)}."
        )
    spans = _adaptive_spans if adaptive else _spans
    each = tuple(spans(z.shape[2 + axis], axis, options) for axis in range(axes))
    table = torch.tensor(_table(each, tuple(z.shape[2:])), device=z.device)
    return Windows(axes, table, tuple(map(len, each)))


_Spans: TypeAlias = tuple[tuple[int, ...], ...]


@lru_cache(maxsize=64)
def _table(each: tuple[_Spans, ...], shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """The flattened places of each window, filled up with -1 to one length."""
    rows = [
        tuple(_flat(place, shape) for place in itertools.product(*window))
        for window in itertools.product(*each)
    ]
    widest = max(map(len, rows))
    return tuple(row + (-1,) * (widest - len(row)) for row in rows)


_POOL: Final = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")


def _along(value: Any, axis: int) -> int:
    """An option of a pooling along one axis."""
    if isinstance(value, Sequence):
        return int(value[axis] if len(value) > 1 else value[0])
    return int(value)


def _spans(size: int, axis: int, options: Mapping[str, Any]) -> _Spans:
    """The places of each window along one axis; -1 is padding."""
    kernel = _along(options["kernel_size"], axis)
    # Without a stride, or with an empty one, windows lie side by side.
    stride = _along(options.get("stride") or options["kernel_size"], axis)
    padding = _along(options.get("padding", 0), axis)
    dilation = _along(options.get("dilation", 1), axis)
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    count = room // stride + 1
    if options.get("ceil_mode", False) and room % stride and count * stride < size + padding:
        count += 1  # but no window lies in the padding on the right alone
    spans = []
    for start in range(-padding, -padding + count * stride, stride):
        places = range(start, start + dilation * kernel, dilation)
        spans.append(tuple(place if 0 <= place < size else -1 for place in places))
    return tuple(spans)


def _adaptive_spans(size: int, axis: int, options: Mapping[str, Any]) -> _Spans:
    """The places of each window along one axis, where the number of windows is given."""
    wanted = options["output_size"]
    wanted = wanted[axis] if isinstance(wanted, Sequence) else wanted
    count = size if wanted is None else int(wanted)
    return tuple(
        tuple(range(window * size // count, -(-(window + 1) * size // count)))
        for window in range(count)
    )


def _flat(place: Sequence[int], shape: Sequence[int]) -> int:
    """The number of a place among all, -1 if it is padding along any axis."""
    number = 0
    for at, size in zip(place, shape, strict=True):
        if at < 0:
            return -1
        number = number * size + at
    return number
