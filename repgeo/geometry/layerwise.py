"""Plain chains of layers: their Jacobians and second derivatives without automatic differentiation.

For f = phi_L(W_L ... phi_1(W_1 x + b_1) ...) the Jacobian is the product D_L W_L ... D_1 W_1 with
D_l = diag(phi_l'(z_l)), which a few matrix products give for all samples at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

__all__ = ["Chain", "Step", "recorded_chain"]

_ELEMENTWISE: Final[frozenset[type[nn.Module]]] = frozenset(
    {
        nn.CELU,
        nn.ELU,
        nn.GELU,
        nn.Hardsigmoid,
        nn.Hardswish,
        nn.Hardtanh,
        nn.LeakyReLU,
        nn.LogSigmoid,
        nn.Mish,
        nn.ReLU,
        nn.ReLU6,
        nn.SELU,
        nn.SiLU,
        nn.Sigmoid,
        nn.Softplus,
        nn.Softsign,
        nn.Tanh,
    }
)
_UNCHANGED: Final[frozenset[type[nn.Module]]] = frozenset(
    {nn.Dropout, nn.Dropout1d, nn.Flatten, nn.Identity}
)


@dataclass(frozen=True)
class Step:
    """A linear map, or an elementwise function.

    Attributes
    ----------
    weight
        `(outputs, inputs)`, of a linear map.
    bias
        `(outputs,)`, of a linear map, or None.
    function
        The elementwise function otherwise.
    """

    weight: Tensor | None = None
    bias: Tensor | None = None
    function: Callable[[Tensor], Tensor] | None = None

    def __call__(self, z: Tensor) -> Tensor:
        """The values `(b, outputs)` at `(b, inputs)`."""
        if self.weight is not None:
            return torch.nn.functional.linear(z, self.weight, self.bias)
        assert self.function is not None  # it is one or the other
        return self.function(z)

    def slope(self, z: Tensor) -> Tensor:
        """The derivative of the elementwise function, `(b, units)`."""
        with torch.enable_grad():
            leaf = z.detach().requires_grad_()
            return _gradient(self(leaf), leaf)

    def slope_and_bend(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The first two derivatives of the elementwise function, `(b, units)` each."""
        with torch.enable_grad():
            leaf = z.detach().requires_grad_()
            slope = _gradient(self(leaf), leaf, again=True)
            return slope.detach(), _gradient(slope, leaf)


def _gradient(values: Tensor, leaf: Tensor, *, again: bool = False) -> Tensor:
    """The derivative of elementwise values, zero where they do not depend on the leaf."""
    if not values.requires_grad:
        return torch.zeros_like(leaf)
    made: Tensor | None = torch.autograd.grad(
        values, leaf, torch.ones_like(values), create_graph=again, allow_unused=True
    )[0]
    return torch.zeros_like(leaf) if made is None else made


@dataclass(frozen=True)
class Chain:
    """A composition of steps on rows `(b, d)`."""

    steps: tuple[Step, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """The values `(b, n)`."""
        for step in self.steps:
            x = step(x)
        return x

    @cached_property
    def width(self) -> int:
        """The largest number of units of a layer, inputs not counted."""
        return max((len(step.weight) for step in self.steps if step.weight is not None), default=1)

    def jacobian(self, x: Tensor, columns: Tensor | None = None) -> Tensor:
        """J `(b, n, d)` at rows `(b, d)`, or J V `(b, n, k)` for V `(d, k)` or `(b, d, k)`.

        The factors are multiplied in the order that takes the fewest operations.
        """
        factors: list[_Factor] = [] if columns is None else [_Factor(columns)]
        with torch.no_grad():
            for step in self.steps:
                if step.weight is not None:
                    factors.append(_Factor(step.weight))
                elif factors and factors[-1].rows is not columns:
                    factors[-1] = factors[-1].scaled(step.slope(x))
                else:
                    factors.append(_Factor(torch.diag_embed(step.slope(x))))
                x = step(x)
            if not factors:
                return torch.eye(x.shape[1], dtype=x.dtype, device=x.device).repeat(len(x), 1, 1)
            product = _product(factors).dense()
        return product if product.ndim == 3 else product.expand(len(x), *product.shape).clone()

    def derivatives(self, x: Tensor, columns: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """J V `(b, n, k)` and the second derivatives along pairs of columns `(b, n, pairs)`.

        The pairs are those of `torch.triu_indices(k, k)`.
        """
        d = x.shape[1]
        if columns is None:
            columns = torch.eye(d, dtype=x.dtype, device=x.device)
        k = columns.shape[-1]
        # Units last, so that each layer is one matrix product for all samples and directions.
        slopes = columns.mT.expand(len(x), k, d)
        bends: Tensor | None = None  # (b, pairs, units), zero up to the first activation
        with torch.no_grad():
            for step in self.steps:
                if step.weight is not None:
                    slopes = slopes @ step.weight.T
                    bends = None if bends is None else bends @ step.weight.T
                else:
                    first, second = (part[:, None] for part in step.slope_and_bend(x))
                    made = torch.cat(
                        [slopes[:, i : i + 1] * slopes[:, i:] for i in range(k)], dim=1
                    )
                    made.mul_(second)
                    bends = made if bends is None else made.addcmul_(first, bends)
                    slopes = first * slopes
                x = step(x)
        if bends is None:
            bends = slopes.new_zeros(len(x), k * (k + 1) // 2, slopes.shape[-1])
        return slopes.mT, bends.mT


@dataclass(frozen=True)
class _Factor:
    """diag(slope) rows, a factor of a Jacobian: rows `(n, m)` or `(b, n, m)`, slope `(b, n)`."""

    rows: Tensor
    slope: Tensor | None = None

    def dense(self) -> Tensor:
        return self.rows if self.slope is None else self.slope[:, :, None] * self.rows

    def scaled(self, slope: Tensor) -> _Factor:
        """The product diag(slope) @ self."""
        return _Factor(self.rows, slope if self.slope is None else slope * self.slope)

    def after(self, earlier: _Factor) -> _Factor:
        """The product self @ earlier."""
        # The diagonal between the two goes to the side that has the samples already, or is smaller.
        if earlier.slope is None:
            return _Factor(self.rows @ earlier.rows, self.slope)
        to_left = self.rows.ndim == 3 or (
            earlier.rows.ndim == 2 and self.rows.shape[-2] < earlier.rows.shape[-1]
        )
        if to_left:
            return _Factor((self.rows * earlier.slope[:, None, :]) @ earlier.rows, self.slope)
        return _Factor(self.rows @ earlier.dense(), self.slope)


def _product(factors: Sequence[_Factor]) -> _Factor:
    """factors[-1] @ ... @ factors[0], in the cheapest order (dynamic programming over splits)."""
    sizes = [factors[0].rows.shape[-1], *(factor.rows.shape[-2] for factor in factors)]
    count = len(factors)
    cost = {(i, i): 0 for i in range(count)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            options = {
                s: cost[i, s] + cost[s + 1, j] + sizes[i] * sizes[s + 1] * sizes[j + 1]
                for s in range(i, j)
            }
            split[i, j] = min(options, key=options.__getitem__)
            cost[i, j] = options[split[i, j]]

    def multiply(i: int, j: int) -> _Factor:
        if i == j:
            return factors[i]
        s = split[i, j]
        return multiply(s + 1, j).after(multiply(i, s))

    return multiply(0, count - 1)


def recorded_chain(f: Callable[[Tensor], Tensor], rows: Tensor) -> Chain | None:
    """What `f` does to rows `(b, d)`, if that is a chain of plain layers and nothing else.

    One forward pass is watched: each leaf module must be of a known kind (or of a class that says
    `elementwise = True`), and must get exactly the tensor that the one before it gave. The chain
    must then reproduce the values of `f`.

    Returns
    -------
    Chain or None
        None where `f` does anything else: then automatic differentiation is needed.
    """
    seen: list[tuple[Step | None, Tensor, int, Tensor, int] | None] = []
    thread = threading.get_ident()

    def watch(module: nn.Module, args: Any, output: Any) -> None:
        if threading.get_ident() != thread or next(module.children(), None) is not None:
            return
        plain = len(args) == 1 and isinstance(args[0], Tensor) and isinstance(output, Tensor)
        known = type(module) is nn.Linear or type(module) in _UNCHANGED or _is_elementwise(module)
        random = module.training and isinstance(module, nn.modules.dropout._DropoutNd)
        if not (plain and known) or random:
            seen.append(None)
            return
        seen.append((_step(module), args[0], args[0]._version, output, output._version))

    rows = rows.detach().clone().requires_grad_()
    handle = register_module_forward_hook(watch)
    try:
        with torch.enable_grad():
            features = f(rows)
    finally:
        handle.remove()
    steps: list[Step] = []
    held, version = rows, rows._version
    for entry in seen:
        if entry is None:
            return None
        step, given, given_version, output, output_version = entry
        if not _same(held, version, given, given_version):
            return None
        if step is not None:
            steps.append(step)
        held, version = output, output_version
    if not steps or not _same(held, version, features, features._version):
        return None
    chain = Chain(tuple(steps))
    with torch.no_grad():
        again = chain(rows)
    same = again.shape == features.shape and torch.allclose(again, features, rtol=1e-4, atol=1e-6)
    return chain if same else None


def _step(module: nn.Module) -> Step | None:
    """The step of a layer, None where it changes nothing (it runs in eval mode)."""
    if type(module) is nn.Linear:
        bias = None if module.bias is None else module.bias.detach()
        return Step(weight=module.weight.detach(), bias=bias)
    return Step(function=module) if _is_elementwise(module) else None


def _is_elementwise(module: nn.Module) -> bool:
    """Whether each output depends on the input at its place alone.

    Classes of one's own say so by an attribute of the class, `elementwise = True`. Subclasses of
    known ones may do anything.
    """
    kind = type(module)
    return kind in _ELEMENTWISE or kind.__dict__.get("elementwise") is True


def _same(a: Tensor, version: int, b: Tensor, other: int) -> bool:
    """Whether two tensors hold the same rows: one memory, in one order, not written to between.

    Nor may gradients be cut between the two.
    """
    return (
        a.data_ptr() == b.data_ptr()
        and a.requires_grad
        and b.requires_grad
        and a.numel() == b.numel()
        and a.dtype == b.dtype
        and a.is_contiguous()
        and b.is_contiguous()
        and version == other
    )
