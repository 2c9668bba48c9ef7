"""Networks of one hidden layer, whose geometry has closed forms."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.geometry.determinants import log_determinants, rank_tolerance
from repgeo.geometry.feature_map import MEMORY_BUDGET, samples_within
from repgeo.geometry.layerwise import Step
from repgeo.geometry.moments import Activation, activation_named

__all__ = ["ShallowNetwork"]

_MOST_SUBSETS = 1_000_000
_MOST_INPUTS = 16  # of which third powers of the weights are kept: n d^3 numbers
_MOST_CONDITION = 1e4  # of a metric that is factorised as it is: twelve digits stay
_CACHED = 1 << 16  # numbers of one array of units


class ShallowNetwork:
    """The map Phi_j(x) = phi(w_j . x + b_j), its metric, volume and curvature in closed form.

    The metric is g = sum_j phi'(z_j)^2 w_j w_j^T, without division by the number of units n (which
    would shift log-volumes by -(d/2) log n and multiply curvatures by n). It is the Hessian of a
    potential, so its derivative, T_ijk = 2 sum_l phi'(z_l) phi''(z_l) w_li w_lj w_lk, is symmetric
    and

        R = (|T|_g^2 - |tr_g T|_g^2) / 4.

    Parameters
    ----------
    weight
        w, `(n, d)`.
    bias
        b, `(n,)`; zero by default.
    activation
        A name or `Activation` (see `kernel_geometry`), or any elementwise callable in torch.

    Raises
    ------
    InputError
        If shapes do not fit.

    References
    ----------
    J. A. Zavatone-Veth, S. Yang, J. A. Rubinfien, C. Pehlevan, "Neural networks learn to magnify
    areas near decision boundaries" (2023), arXiv:2301.11375: metric and volume. Curvature: with
    the factor 1/4 of the Gauss equation, where their code has 3/4.

    Examples
    --------
    >>> weight = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    >>> net = ShallowNetwork(weight, activation="tanh")
    >>> round(float(net.log_volume(torch.zeros(1, 2, dtype=torch.float64)).exp()), 12)
    2.0
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        *,
        activation: str | Activation | Callable[[Tensor], Tensor] = "erf_sqrt2",
    ) -> None:
        if weight.ndim != 2 or weight.numel() == 0 or not weight.is_floating_point():
            raise InputError(f"weight must be floating point (n, d), got {tuple(weight.shape)}.")
        if bias is not None and bias.shape != weight.shape[:1]:
            raise InputError(
                f"bias must be ({len(weight)},) for {len(weight)} units, got {tuple(bias.shape)}."
            )
        self.weight = weight.detach()
        self.bias = torch.zeros_like(weight[:, 0]) if bias is None else bias.detach().to(weight)
        named = isinstance(activation, str | Activation)
        function = activation_named(activation).function if named else activation  # type: ignore[arg-type]
        self._step = Step(function=function)  # type: ignore[arg-type]

    def __call__(self, x: Tensor) -> Tensor:
        """The features `(B, n)` of inputs `(B, d)`."""
        return self._step(self._inputs_to_units(x))

    def metric(self, x: Tensor) -> Tensor:
        """G `(B, d, d)` at inputs `(B, d)`."""
        scaled = self._scaled(x)
        return scaled.mT @ scaled

    def log_volume(self, x: Tensor) -> Tensor:
        """(1/2) log det g at inputs `(B, d)`, nats, float64; minus infinity where g is singular."""
        return torch.cat(
            [log_determinants(self._scaled(part)).values for part in self._parts(x, 1)]
        )

    def log_volume_by_subsets(self, x: Tensor) -> Tensor:
        """The same by the Cauchy-Binet formula, `(B,)`, nats, float64: for checks and small nets.

        det g = sum over subsets S of d units of det(w_S)^2 prod_{j in S} phi'(z_j)^2.

        Raises
        ------
        InputError
            If there are more than a million subsets.
        """
        n, d = self.weight.shape
        if math.comb(n, d) > _MOST_SUBSETS:
            raise InputError(
                f"{n} units have {math.comb(n, d)} subsets of {d}: too many. Use log_volume."
            )
        subsets = torch.tensor(
            list(itertools.combinations(range(n), d)), dtype=torch.int64, device=self.weight.device
        ).reshape(-1, d)
        minors = torch.linalg.slogdet(self.weight.double()[subsets]).logabsdet  # (subsets,)
        found = []
        for part in self._parts(x, len(subsets) * (d + 1)):
            slopes = self._step.slope(self._inputs_to_units(part)).double().abs().log()  # (b, n)
            terms = 2 * (minors + slopes[:, subsets].sum(dim=2))
            found.append(0.5 * torch.logsumexp(terms, dim=1))
        return torch.cat(found)

    def scalar_curvature(self, x: Tensor) -> Tensor:
        """R `(B,)` at inputs `(B, d)`, in their dtype, computed in float64.

        NaN where g is singular. Cost: O(n d^3) for each input.
        """
        n, d = self.weight.shape
        if n < d:
            raise InputError(f"{n} units of {d} inputs have a degenerate metric: no curvature.")
        # Parts that fit into a processor's cache are several times faster than larger ones.
        size = max(1, min(len(x), _CACHED // n))
        return torch.cat([self._curvature(part) for part in torch.split(x, size)]).to(x.dtype)

    def _curvature(self, x: Tensor) -> Tensor:
        """R `(b,)` from sums over units of outer powers of the weights, where that is safe."""
        d = self.weight.shape[1]
        z = self._inputs_to_units(x)
        slopes, bends = (part.double() for part in self._step.slope_and_bend(z))  # (b, n)
        if d > _MOST_INPUTS:
            return self._curvature_by_frames(slopes, bends)
        (pairs, squares), (triples, cubes) = self._squares, self._cubes
        metric = (slopes.square() @ squares)[:, pairs]  # (b, d, d)
        factor, fault = torch.linalg.cholesky_ex(metric)
        # The condition number is below (2 / det g) (|g|_F^2 / d)^(d/2) (Guggenheimer, Edelman,
        # Johnson 1995). The metric squares what it was made of: beyond the limit, by QR.
        size = metric.square().sum(dim=(1, 2)).div(d).pow(d / 2)
        determinant = factor.diagonal(dim1=1, dim2=2).prod(dim=1).square()
        safe = (fault == 0) & (2 * size <= _MOST_CONDITION * determinant)
        third = (2 * (slopes * bends) @ cubes)[:, triples]  # (b, d, d, d)
        one = torch.eye(d, dtype=metric.dtype, device=metric.device)
        inverse = torch.linalg.solve_triangular(
            factor.where(safe[:, None, None], one), one.expand(len(x), d, d), upper=False
        )
        for _ in range(3):  # each index in turn, in a frame in which the metric is the identity
            third = (inverse @ third.reshape(-1, d, d * d)).view(-1, d, d, d).permute(0, 2, 3, 1)
        curvature = _contracted(third)
        if not bool(safe.all()):
            curvature[~safe] = self._curvature_by_frames(slopes[~safe], bends[~safe])
        return curvature

    @cached_property
    def _squares(self) -> tuple[Tensor, Tensor]:
        return _powers(self.weight.double(), 2)

    @cached_property
    def _cubes(self) -> tuple[Tensor, Tensor]:
        return _powers(self.weight.double(), 3)

    def _curvature_by_frames(self, slopes: Tensor, bends: Tensor) -> Tensor:
        """R `(b,)` by QR of the Jacobians, which does not square their condition numbers."""
        n, d = self.weight.shape
        size = samples_within(MEMORY_BUDGET, 24 * n * d * d, slopes.device)
        parts = zip(torch.split(slopes, size), torch.split(bends, size), strict=True)
        return torch.cat([self._by_frames(*part) for part in parts])

    def _by_frames(self, slopes: Tensor, bends: Tensor) -> Tensor:
        d = self.weight.shape[1]
        scaled = slopes[:, :, None] * self.weight.double()
        triangle = torch.linalg.qr(scaled, mode="r")[1]
        values = torch.linalg.svdvals(triangle)
        tolerance = rank_tolerance(scaled.to(self.weight.dtype), values.norm(dim=1))
        full = values[:, -1] > tolerance
        one = torch.eye(d, dtype=triangle.dtype, device=triangle.device)
        triangle = torch.where(full[:, None, None], triangle, one)
        # The weights in a frame in which the metric is the identity.
        frame = torch.linalg.solve_triangular(
            triangle, self.weight.double().expand(len(slopes), -1, -1), upper=True, left=False
        )  # (b, n, d)
        pairs = (frame[:, :, :, None] * frame[:, :, None, :]).flatten(2)  # (b, n, d^2)
        third = (2 * (slopes * bends)[:, :, None] * pairs).mT @ frame  # (b, d^2, d)
        return _contracted(third.reshape(-1, d, d, d)).where(full, torch.nan)

    def _inputs_to_units(self, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.weight.shape[1]:
            raise InputError(f"Inputs must be (B, {self.weight.shape[1]}), got {tuple(x.shape)}.")
        return torch.nn.functional.linear(x.to(self.weight), self.weight, self.bias)

    def _scaled(self, x: Tensor) -> Tensor:
        """The Jacobian `(B, n, d)`."""
        return self._step.slope(self._inputs_to_units(x))[:, :, None] * self.weight

    def _parts(self, x: Tensor, numbers: int) -> tuple[Tensor, ...]:
        """Chunks of inputs, for so many numbers of working memory each."""
        held = 8 * max(numbers, 3 * self.weight.numel())
        return torch.split(x, samples_within(MEMORY_BUDGET, held, x.device))


def _contracted(third: Tensor) -> Tensor:
    """(|T|^2 - |tr T|^2) / 4 `(b,)` of T `(b, d, d, d)` in an orthonormal frame."""
    trace = third.diagonal(dim1=1, dim2=2).sum(dim=2)  # (b, d)
    return 0.25 * (third.square().sum(dim=(1, 2, 3)) - trace.square().sum(dim=1))


def _powers(weight: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Outer powers of the rows of `(n, d)`: where each entry is kept `(d, ...)`, the kept `(n, m)`.

    They are symmetric: each product of entries is kept once.
    """
    d = weight.shape[1]
    kept = list(itertools.combinations_with_replacement(range(d), order))
    number = {index: place for place, index in enumerate(kept)}
    every = itertools.product(range(d), repeat=order)
    places = torch.tensor([number[tuple(sorted(index))] for index in every], device=weight.device)
    powers = weight[:, torch.tensor(kept, device=weight.device)].prod(dim=2)
    return places.view((d,) * order), powers
