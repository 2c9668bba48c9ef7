"""The regions on which a piecewise linear network is affine, and the way from one to the next.

While the network runs, its ReLUs and max-pools are replaced by the piece of them that is remembered
for each unit. So the affine map of a region is at hand everywhere, also on the region's boundary,
where derivatives of the network itself are a matter of convention.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.geometry.feature_map import MEMORY_BUDGET, FeatureMap, full_precision, rows_within
from repgeo.geometry.walks.kinks import Kink, WithPieces

__all__ = ["Ahead", "LinearRegions"]

_ROUNDING = 64.0  # eps; what rounding of a forward pass may add up to, with room
_FAR = 1e3  # norms of an input: so far away nearly every unit is on another piece
_BENT = 1e4  # eps; relative to the features, beyond it a map is not affine
_ROWS = 32  # of a backward pass, which carries as many copies of the samples

#: Frequent operations that are neither affine nor made of pieces, to be named when a map bends.
_BENDING: Final = frozenset(
    {
        "amax",
        "elu",
        "gelu",
        "group_norm",
        "layer_norm",
        "log_softmax",
        "max",
        "maximum",
        "min",
        "minimum",
        "pow",
        "scaled_dot_product_attention",
        "selu",
        "sigmoid",
        "silu",
        "softmax",
        "softplus",
        "tanh",
    }
)


@dataclass(frozen=True, eq=False)
class Ahead:
    """The kink that each walker comes to next.

    Attributes
    ----------
    time
        When, `(b,)`; infinite if there is none.
    site
        Which operation, in the order of calls, `(b,)`; -1 if none.
    unit
        Which kink of it, `(b,)`.
    """

    time: Tensor
    site: Tensor
    unit: Tensor


class LinearRegions:
    """Where walkers are: the region of each, its affine map and its boundary.

    Parameters
    ----------
    f
        A map whose kinks all come from known operations and that is affine between them.
    x
        Flattened points `(b, d)`.

    Attributes
    ----------
    states
        The pieces of each operation, `(b, ...)` each.
    kinds
        The operations, in the order of calls.

    Raises
    ------
    InputError
        If the map is not affine between its kinks, or kinks do not keep the sample axis first.

    Examples
    --------
    >>> x = torch.tensor([[-1.0, 2.0]])
    >>> regions = LinearRegions(FeatureMap(torch.relu, x), x)
    >>> regions.features(torch.tensor([[5.0, -7.0]])).tolist()  # the map of this region
    [[0.0, -7.0]]
    >>> ahead = regions.ahead(x, torch.tensor([[1.0, 1.0]]))
    >>> ahead.time.tolist(), ahead.unit.tolist()
    ([1.0], [0])
    """

    def __init__(self, f: FeatureMap, x: Tensor) -> None:
        self.kinds: list[Kink] = []
        self.states: list[Tensor] = []
        self._f = f
        self._eps = torch.finfo(x.dtype).eps

        def record(kink: Kink, z: Tensor) -> Tensor:
            if z.ndim < 2 or len(z) != len(x):
                raise InputError(
                    "Operations with kinks must keep the sample axis first, and another one: "
                    f"{len(x)} samples gave one an argument of shape {tuple(z.shape)}."
                )
            self.kinds.append(kink)
            self.states.append(kink.state(z))
            return kink.values(z, self.states[-1])

        watch = WithPieces(record)
        with torch.no_grad(), full_precision(x.device), watch:
            features = f(x)
        self._scales = self._check(x, features, watch.others)

    def _check(self, x: Tensor, features: Tensor, others: set[str]) -> list[float]:
        """Sizes of the arguments of each operation on the unit ball, if f is affine here."""
        # Along all inputs in ratios that have no pattern; nothing is estimated by it.
        along = torch.linspace(1.0, 40.0, x.shape[1], dtype=x.dtype, device=x.device).sin()
        along = (along / along.norm()).expand_as(x)
        scales: list[float] = []

        def note(site: int, z: Tensor, rate: Tensor) -> None:
            scales.append(float(rate.abs().max()) * x.shape[1] ** 0.5 + float(z.abs().max()))

        self._rates(torch.zeros_like(x), along, note)
        features, rates = self._rates(x, along, lambda site, z, rate: None)
        far = _FAR * (1 + x.norm(dim=1, keepdim=True))
        with torch.no_grad(), full_precision(x.device):
            plain = self._f(x)
            bent = (plain - features).abs().amax(dim=1)
            allowed = features.abs().amax(dim=1) + rates.abs().amax(dim=1)
            for step in (far, -far, far / _FAR):
                expected = features + step * rates
                bent = torch.maximum(
                    bent,
                    (self.features(x + step * along) - expected).abs().amax(dim=1)
                    / step[:, 0].abs(),
                )
        if not bool((bent <= _BENT * self._eps * allowed.clamp(min=max(scales, default=0))).all()):
            named = ", ".join(sorted(others & _BENDING)) or ", ".join(sorted(others))
            raise InputError(
                "The map is not affine between its kinks. Known kinks are ReLU, leaky ReLU, PReLU, "
                "hardtanh, ReLU6, hardsigmoid, abs, clamp and max-pool, all else must be affine "
                f"(BatchNorm in eval mode is). It calls: {named}. Walk with `null_walk` instead."
            )
        return scales

    def select(self, rows: Tensor) -> None:
        """Keep these walkers only."""
        self.states = [state[rows] for state in self.states]

    def restore(self, rows: Tensor, states: list[Tensor]) -> None:
        """Put these walkers back into the regions that `states` held before."""
        for site, held in enumerate(states):
            state = self.states[site].clone()
            state[rows] = held[rows].to(state.dtype)
            self.states[site] = state

    def _run(self, x: Tensor, note: Callable[[int, Tensor], None] | None = None) -> Tensor:
        """Features at x; `note` is given the argument of each operation."""
        site = -1

        def remembered(kink: Kink, z: Tensor) -> Tensor:
            nonlocal site
            site += 1
            if note is not None:
                note(site, z)
            state = self.states[site]
            copies = len(z) // len(state)
            if copies > 1:
                state = state.repeat(copies, *(1,) * (state.ndim - 1))
            return kink.values(z, state)

        with WithPieces(remembered):
            return self._f(x)

    def features(self, x: Tensor) -> Tensor:
        """The affine maps of the walkers' regions, `(b, m)`, at any points `(b, d)`."""
        with torch.no_grad(), full_precision(x.device):
            return self._run(x)

    def _rates(
        self, x: Tensor, v: Tensor, note: Callable[[int, Tensor, Tensor], None]
    ) -> tuple[Tensor, Tensor]:
        """Features and their rates along v; `note` gets arguments of operations and their rates.

        Of an affine map the rates are its values at v less those at 0. Forward-mode derivatives
        would have fewer rows, but take ten times as long on small layers with a bias.
        """
        b = len(x)

        def split(site: int, z: Tensor) -> None:
            note(site, z[:b], z[b : 2 * b] - z[2 * b :])

        with torch.no_grad(), full_precision(x.device):
            features = self._run(torch.cat([x, v, torch.zeros_like(x)]), split)
        return features[:b], features[b : 2 * b] - features[2 * b :]

    def _least(self, site: int) -> float:
        """Rates of arguments, along a unit vector, that may be nothing but rounding."""
        return _ROUNDING * self._eps * self._scales[site]

    def ahead(self, x: Tensor, v: Tensor) -> Ahead:
        """The next kink of each walker at points `(b, d)` with velocities `(b, d)`."""
        time = torch.full_like(x[:, 0], torch.inf)
        found, unit = torch.full_like(time, -1, dtype=torch.long), torch.zeros_like(time).long()

        def note(site: int, z: Tensor, rate: Tensor) -> None:
            nonlocal time, found, unit
            times = self.kinds[site].times(z, rate, self.states[site], self._least(site))
            if times[0].numel() == 0:
                return
            soonest, number = times.flatten(1).min(dim=1)
            sooner = soonest < time
            time = torch.where(sooner, soonest, time)
            found = torch.where(sooner, site, found)
            unit = torch.where(sooner, number, unit)

        self._rates(x, v, note)
        return Ahead(time, found, unit)

    def cross(self, x: Tensor, v: Tensor, ahead: Ahead) -> None:
        """Enter the regions beyond the kinks, reached at x with velocity v.

        Other kinks that lie at x are crossed too, if the map's own directional derivative at x
        along v crosses them.
        """
        size = x.norm(dim=1)
        self.states = list(self.states)  # whoever holds the old list keeps the old states

        def note(site: int, z: Tensor, rate: Tensor) -> None:
            kink, state = self.kinds[site], self.states[site]
            near = (
                _ROUNDING * self._eps * (z.flatten(1).abs().amax(dim=1) + self._scales[site] * size)
            )
            going = torch.isfinite(ahead.time).view(-1, *(1,) * (state.ndim - 1))
            beyond = kink.ahead(z, rate, state, near, self._least(site))
            state = torch.where(going, beyond, state)
            # The kink ahead is at x, though rounding may say otherwise. Whether it is crossed
            # depends on the other ones: earlier operations may have turned the rate around.
            rows = torch.nonzero(ahead.site == site)[:, 0]
            if len(rows):
                held = self.states[site]
                crossed = kink.crossed(z, rate, held, rows, ahead.unit[rows])[rows]
                state[rows] = torch.where(state[rows] == held[rows], crossed, state[rows])
            self.states[site] = state

        self._rates(x, v, note)

    def normal(self, x: Tensor, ahead: Ahead) -> Tensor:
        """Gradients `(b, d)` of what is constant on the kinks ahead; zero where there is none."""
        heights: list[Tensor] = []
        with torch.enable_grad(), full_precision(x.device):
            leaf = x.clone().requires_grad_()

            def note(site: int, z: Tensor) -> None:
                rows = torch.nonzero(ahead.site == site)[:, 0]
                if len(rows) and z.requires_grad:
                    state = self.states[site][rows]
                    heights.append(self.kinds[site].height(z[rows], state, ahead.unit[rows]).sum())

            self._run(leaf, note)
            if not heights:
                return torch.zeros_like(x)
            slope: Tensor = torch.autograd.grad(torch.stack(heights).sum(), leaf)[0]
        return slope

    def jacobian(self, x: Tensor) -> Tensor:
        """The Jacobians `(b, m, d)` of the affine maps of the walkers' regions."""
        (batch, d), m = x.shape, self._f.features
        most = rows_within(MEMORY_BUDGET, self._f.bytes_per_sample * batch)
        copies = max(1, min(m, most, _ROWS))
        made = x.new_zeros(batch, m, d)
        with torch.enable_grad(), full_precision(x.device):
            leaf = x.repeat(copies, 1).requires_grad_()
            features = self._run(leaf)
            if not features.requires_grad:  # a constant map
                return made
            for start in range(0, m, copies):
                stop = min(start + copies, m)
                weight = torch.zeros_like(features).view(copies, batch, m)
                for row in range(start, stop):
                    weight[row - start, :, row] = 1.0
                (slope,) = torch.autograd.grad(
                    features, leaf, weight.view_as(features), retain_graph=stop < m
                )
                made[:, start:stop] = slope.view(copies, batch, d)[: stop - start].transpose(0, 1)
        return made
