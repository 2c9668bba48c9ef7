"""Forward passes whose derivative is asked for many times: what can be computed once is.

A Jacobian in reverse mode takes as many backward passes as there are features, at the same inputs.
The slopes of activation functions, and the factors of BatchNorm in eval mode, are then the same in
each; computing them in the forward pass leaves a multiplication.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["FixedSlopes"]

#: Elementwise functions whose derivative costs more than a multiplication.
_ELEMENTWISE: Final[frozenset[Any]] = frozenset(
    {
        functional.celu,
        functional.elu,
        functional.gelu,
        functional.mish,
        functional.selu,
        functional.silu,
        functional.softplus,
    }
)

_BATCH_NORM: Final = inspect.signature(functional.batch_norm)


class FixedSlopes(TorchFunctionMode):
    """Within it, activations keep their slopes and BatchNorm its factors for the backward passes.

    First derivatives in reverse mode are those of the plain functions; there are no second ones.

    Examples
    --------
    >>> z = torch.tensor([-1.0, 2.0], requires_grad=True)
    >>> with FixedSlopes():
    ...     y = functional.elu(z).sum()
    >>> [round(value, 6) for value in torch.autograd.grad(y, z)[0].tolist()]  # e^-1 and 1
    [0.367879, 1.0]
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Replace the calls that are known; everything else is left as it is."""
        named = dict(kwargs or {})
        if func in _ELEMENTWISE and not named.get("inplace", False) and len(args) == 1:
            return _Scaled.apply(args[0], partial(func, **named))  # type: ignore[no-untyped-call]
        if func is functional.batch_norm:
            given = _BATCH_NORM.bind(*args, **named)
            given.apply_defaults()
            if not given.arguments["training"]:
                return _affine(**given.arguments)
        return func(*args, **named)


class _Scaled(torch.autograd.Function):
    """An elementwise function, differentiated in the forward pass."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.enable_grad():
            leaf = z.detach().requires_grad_()
            values = function(leaf)
            (slope,) = torch.autograd.grad(values, leaf, torch.ones_like(values))
        ctx.save_for_backward(slope)
        return values.detach()

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return cotangents[0] * slope, None


def _affine(
    input: Tensor,  # noqa: A002 - torch's names
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    **_unused: Any,
) -> Tensor:
    """BatchNorm in eval mode, as a factor and a shift per channel."""
    factor = (running_var + eps).rsqrt()
    factor = factor if weight is None else weight * factor
    shift = -running_mean * factor
    shift = shift if bias is None else bias + shift
    shape = (1, -1) + (1,) * (input.ndim - 2)
    return torch.addcmul(shift.view(shape), input, factor.view(shape))
