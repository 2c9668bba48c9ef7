"""Networks of one hidden layer, whose geometry has closed forms."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.geometry.determinants import log_determinants, rank_tolerance
from repgeo.geometry.feature_map import MEMORY_BUDGET, samples_within
from repgeo.geometry.layerwise import Step
from repgeo.geometry.moments import Activation, activation_named

__all__ = ["ShallowNetwork"]

_MOST_SUBSETS = 1_000_000


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
        found = [self._curvature(part) for part in self._parts(x, 3 * n * d * d)]
        return torch.cat(found).to(x.dtype)

    def _curvature(self, x: Tensor) -> Tensor:
        d = self.weight.shape[1]
        z = self._inputs_to_units(x)
        slopes, bends = (part.double() for part in self._step.slope_and_bend(z))  # (b, n)
        scaled = slopes[:, :, None] * self.weight.double()
        triangle = torch.linalg.qr(scaled, mode="r")[1]
        values = torch.linalg.svdvals(triangle)
        tolerance = rank_tolerance(scaled.to(self.weight.dtype), values.norm(dim=1))
        full = values[:, -1] > tolerance
        one = torch.eye(d, dtype=triangle.dtype, device=triangle.device)
        triangle = torch.where(full[:, None, None], triangle, one)
        # The weights in a frame in which the metric is the identity.
        frame = torch.linalg.solve_triangular(
            triangle, self.weight.double().expand(len(x), -1, -1), upper=True, left=False
        )  # (b, n, d)
        pairs = (frame[:, :, :, None] * frame[:, :, None, :]).flatten(2)  # (b, n, d^2)
        third = (2 * (slopes * bends)[:, :, None] * pairs).mT @ frame  # (b, d^2, d)
        third = third.reshape(len(x), d, d, d)
        trace = third.diagonal(dim1=1, dim2=2).sum(dim=2)  # (b, d)
        square = third.flatten(1).square().sum(dim=1)
        curvature: Tensor = 0.25 * (square - trace.square().sum(dim=1))
        return curvature.where(full, torch.nan)

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
