"""A feature map as the other parts of this room see it: checked, frozen, its memory measured."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from repgeo.errors import InputError
from repgeo.geometry.layerwise import Chain, recorded_chain

__all__ = [
    "MEMORY_BUDGET",
    "FeatureMap",
    "Map",
    "full_precision",
    "plain_attention",
    "rows_within",
    "samples_within",
]

Map: TypeAlias = Callable[[Tensor], Tensor]

#: Bytes that intermediate results of one chunk may take.
MEMORY_BUDGET = 1 << 28

_CACHED = 1 << 25  # bytes of a chunk on a CPU; measured: larger ones are slower, and take memory


class FeatureMap:
    """A batched map from inputs `(B, ...)` to features `(B, n)`, on flattened inputs `(B, d)`.

    It is looked at once, at the first inputs: how many features it has, how much memory a sample
    takes, and that samples do not act on each other.

    Parameters
    ----------
    f
        The map: a module or any callable. Of a module the parameters are detached, so that no
        gradient for them is computed; the module itself is left as it is.
    x
        Inputs `(B, ...)` with B >= 1, floating point.

    Attributes
    ----------
    x
        The inputs, detached and flattened `(B, d)`, in the common dtype of inputs and features.
    features
        n.
    bytes_per_sample
        Memory of what reverse mode keeps of one sample.
    chain
        The map as a chain of plain layers, where it is one.

    Raises
    ------
    InputError
        If the shapes do not fit, a module is in training mode where that matters, or the features
        of one sample depend on another sample.
    """

    def __init__(self, f: Map, x: Tensor) -> None:
        if x.ndim < 2 or x.shape[0] == 0 or x.numel() == 0 or not x.is_floating_point():
            raise InputError(
                "Inputs must be floating point with a sample axis and at least one other, "
                f"(B, ...), and not empty; got {tuple(x.shape)}, {x.dtype}."
            )
        self._function = _frozen(f)
        self._sample_shape = x.shape[1:]
        self._layout = torch.contiguous_format
        self.x = x.detach().flatten(1)
        with torch.enable_grad():
            pair = self.x[:2] if len(self.x) > 1 else self.x.repeat(2, 1)
            both, large = self._trial(pair, alone=True)
            one, small = self._trial(self.x[:1])
        self.features = one.shape[1]
        self.x = self.x.to(torch.promote_types(x.dtype, one.dtype))
        own = self.x.element_size() * (self.x.shape[1] + self.features)
        self.bytes_per_sample = max(large - small, 0) + 2 * own
        self.chain: Chain | None = recorded_chain(self, self.x[:2])
        # Measured: with a single channel the other layout is up to a third slower.
        image = len(self._sample_shape) == 3 and self._sample_shape[0] > 1
        if self.chain is None and image and x.device.type == "cpu":
            self._layout = self._preferred_layout(pair, both)

    def at(self, x: Tensor) -> FeatureMap:
        """The same map at other inputs `(B, ...)`, of which nothing is looked at again."""
        other = copy.copy(self)
        other.x = x.detach().flatten(1).to(self.x)
        return other

    @property
    def inputs(self) -> int:
        """The number of coordinates d of one input."""
        return self.x.shape[1]

    def __call__(self, rows: Tensor) -> Tensor:
        """Features `(b, n)` of flattened inputs `(b, d)`."""
        samples = rows.reshape(len(rows), *self._sample_shape)
        with plain_attention():
            return self._function(samples.contiguous(memory_format=self._layout))

    def _preferred_layout(self, rows: Tensor, expected: Tensor) -> torch.memory_format:
        """Channels last, in which convolutions run faster, where the map takes it."""
        self._layout = torch.channels_last
        try:
            with torch.no_grad():
                found = self(rows)
        except RuntimeError:  # a `view` inside that needs contiguous rows
            return torch.contiguous_format
        close = torch.allclose(found, expected, rtol=1e-3, atol=1e-5)
        return torch.channels_last if close else torch.contiguous_format

    def _trial(self, rows: Tensor, *, alone: bool = False) -> tuple[Tensor, int]:
        """Features, and bytes that reverse mode keeps; `alone`: check that samples are."""
        leaf = rows.clone().requires_grad_()
        kept: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            features = self(leaf)
        if features.ndim != 2 or len(features) != len(rows) or not features.is_floating_point():
            raise InputError(
                f"The map must give floating-point features (B, n): from {len(rows)} inputs it "
                f"gave {tuple(features.shape)}, {features.dtype}. Flatten them: "
                "lambda x: f(x).flatten(1)."
            )
        if alone and features.requires_grad:
            weight = torch.zeros_like(features)
            weight[0] = torch.linspace(1.0, 2.0, features.shape[1]).to(features)
            (slope,) = torch.autograd.grad(features, leaf, weight, allow_unused=True)
            if slope is not None and bool((slope[1].nan_to_num() != 0).any()):
                raise InputError(
                    "The features of one sample depend on another sample of the batch, so they "
                    "have no Jacobian per sample. Put BatchNorm in eval mode: module.eval()."
                )
        return features.detach(), sum(kept.values())


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention computed by differentiable operations.

    The fused kernels have no forward-mode derivative, and in eval mode `nn.MultiheadAttention`
    takes a path without any.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Products in full float32 on GPUs, whose convolutions otherwise round to ten bits (TF32).

    Small singular values of a Jacobian would drown in that.
    """
    if device.type != "cuda":
        yield
        return
    convolutions, matrices = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.backends.cuda.matmul.allow_tf32 = matrices


def _frozen(f: Map) -> Map:
    if not isinstance(f, nn.Module):
        return f
    for name, module in f.named_modules():
        mixes = isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd)
        if module.training and mixes:
            raise InputError(
                f"The module's {name or type(module).__name__!r} is in training mode, where its "
                "output is not a function of one sample. Call module.eval() first."
            )
    if not any(parameter.requires_grad for parameter in f.parameters()):
        return f
    fixed = {name: parameter.detach() for name, parameter in f.named_parameters()}

    def frozen(x: Tensor) -> Tensor:
        features: Any = torch.func.functional_call(f, fixed, (x,))
        return features  # type: ignore[no-any-return]  # checked where it is used

    return frozen


def rows_within(budget: int, bytes_per_row: int) -> int:
    """How many rows fit into a memory budget, at least one."""
    return max(1, math.floor(budget / max(1, bytes_per_row)))


def samples_within(budget: int, bytes_per_sample: int, device: torch.device) -> int:
    """How many samples to treat at a time: what fits into the budget, on a CPU also into caches."""
    fitting = budget if device.type == "cuda" else min(budget, _CACHED)
    return rows_within(fitting, bytes_per_sample)
