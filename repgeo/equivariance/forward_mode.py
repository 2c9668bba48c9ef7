"""Derivatives of functions in one direction, in forward mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import batch_norm
from torch.overrides import TorchFunctionMode

from repgeo.groups.representations import Data

__all__ = ["push_forward"]

_CONVOLUTIONS = frozenset(
    {
        torch.conv1d,
        torch.conv2d,
        torch.conv3d,
        torch.conv_transpose1d,
        torch.conv_transpose2d,
        torch.conv_transpose3d,
    }
)


class _ConstantWeights(TorchFunctionMode):
    """Layers that are affine in their input, with constant weights: tangents take the linear part.

    PyTorch's own formula for a convolution convolves the input with the tangent of the kernel as
    well, also where it is zero: three convolutions in place of two; that for a normalisation by
    running statistics makes many passes over what is one product. Where a mode like this one is
    active, PyTorch also leaves out its fused attention, which has no forward-mode derivative.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        options = kwargs or {}
        known = func is batch_norm or func in _CONVOLUTIONS
        if not known or not args or not _moves(args[0]):
            return func(*args, **options)
        x, *constants = args
        if any(map(_moves, [*constants, *options.values()])):
            return func(*args, **options)
        primal, tangent = _dual_parts(x)
        assert tangent is not None
        if func is batch_norm:
            change = _normalised_change(tangent, *constants, **options)
        else:
            change = _filtered_change(func, tangent, constants, options)
        if change is None:
            return func(*args, **options)
        return forward_ad.make_dual(func(primal, *args[1:], **options), change)  # type: ignore[no-untyped-call]


def _filtered_change(
    convolve: Any, tangent: Tensor, constants: list[Any], options: dict[str, Any]
) -> Tensor:
    """The tangent, convolved without the bias."""
    if "bias" in options:
        options = {**options, "bias": None}
    else:
        constants = [*constants[:1], *([None] if len(constants) > 1 else []), *constants[2:]]
    change: Tensor = convolve(tangent, *constants, **options)
    return change


def _normalised_change(
    tangent: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    """The tangent of `batch_norm`, which has these arguments; None where the batch decides it."""
    if training or variance is None:
        return None
    slope = (variance + eps).rsqrt()
    if weight is not None:
        slope = slope * weight
    return tangent * slope.reshape(-1, *[1] * (tangent.ndim - 2))


def _dual_parts(x: Tensor) -> tuple[Tensor, Tensor | None]:
    """A dual number's value and tangent (None of a constant)."""
    primal, tangent = forward_ad.unpack_dual(x)  # type: ignore[no-untyped-call]
    return primal, tangent


def _moves(argument: object) -> bool:
    return isinstance(argument, Tensor) and _dual_parts(argument)[1] is not None


def push_forward(f: Callable[[Any], Tensor], x: Data, tangent: Data) -> tuple[Tensor, Tensor]:
    """f(x) and the derivative Df(x) v, in one pass in forward mode.

    The same as `torch.func.jvp`, with less work in convolutions and normalisations whose weights
    are constant.

    Parameters
    ----------
    f
        From samples to `(n, ...)`, of operations that PyTorch differentiates in forward mode.
    x, tangent
        Samples and v, of the same shapes; of a mapping only floating point fields move.

    Returns
    -------
    tuple of Tensor
        f(x) and Df(x) v, both `(n, ...)`.

    Notes
    -----
    About twice the cost of f, without a backward pass and without storing activations.

    Examples
    --------
    >>> push_forward(lambda x: x**2, torch.tensor([3.0]), torch.tensor([1.0]))
    (tensor([9.]), tensor([6.]))
    """
    with torch.no_grad(), _ConstantWeights():
        if isinstance(x, Tensor):
            # Expanded tensors, whose entries share memory, cannot be made dual numbers.
            outputs, change, *_ = torch.func.jvp(f, (x.contiguous(),), (tangent,))
            return outputs, change
        assert not isinstance(tangent, Tensor)
        moving = {name: each.contiguous() for name, each in x.items() if each.is_floating_point()}
        fixed = {name: each for name, each in x.items() if name not in moving}
        outputs, change, *_ = torch.func.jvp(
            lambda part: f({**fixed, **part}),
            (moving,),
            ({name: tangent[name] for name in moving},),
        )
        return outputs, change
