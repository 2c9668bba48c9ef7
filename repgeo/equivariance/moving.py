"""Batches moved by many elements at once: what all measures over a group share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

from repgeo.errors import InputError
from repgeo.groups.acting import Group
from repgeo.groups.representations import Data, Representation, map_fields

__all__ = [
    "Outputs",
    "choose_elements",
    "evaluate",
    "moved_outputs",
    "require_frozen",
    "rows_of",
    "sample_count",
]

#: What a network gives: one tensor `(n, ...)`, or those of several layers by name.
Outputs: TypeAlias = Tensor | Mapping[str, Tensor]

_MOST_SAMPLES = 2048  # given to a network in one call


def sample_count(x: Data) -> int:
    """The number n of samples of a batch.

    Raises
    ------
    InputError
        If there is no sample, or tensors of a mapping have different numbers of them.

    Examples
    --------
    >>> sample_count(torch.zeros(3, 2))
    3
    """
    if isinstance(x, Tensor):
        counts = {len(x)} if x.ndim else {0}
    else:
        counts = {len(each) if each.ndim else 0 for each in x.values()} or {0}
    if len(counts) > 1 or not min(counts):
        raise InputError(f"A batch has the same number of samples in all fields, got {counts}.")
    return counts.pop()


def choose_elements(
    group: Group,
    n_elements: int,
    generator: torch.Generator | None = None,
    *,
    device: torch.device | None = None,
) -> tuple[Tensor, bool]:
    """All elements of a finite group of at most `n_elements`, or that many drawn from its law.

    Returns
    -------
    tuple
        Elements `(m, *element_shape)`, float64 or int64, and whether they are the whole group, so
        that their mean is the mean over the group.

    Raises
    ------
    InputError
        If `n_elements` is not positive.

    Examples
    --------
    >>> from repgeo.groups import Cyclic, SO3
    >>> choose_elements(Cyclic(4), 32)
    (tensor([0, 1, 2, 3]), True)
    >>> choose_elements(SO3(), 32)[0].shape
    torch.Size([32, 3, 3])
    """
    if n_elements < 1:
        raise InputError(f"At least one element of the group is needed, got {n_elements}.")
    if group.order is not None and group.order <= n_elements:
        return group.elements(device=device), True
    return group.sample(n_elements, generator=generator, device=device), False


def require_frozen(f: object) -> None:
    """Raise where a module would give other outputs, or change, at each call.

    Raises
    ------
    InputError
        If a dropout or batch normalisation layer of the module is in training mode.
    """
    if not isinstance(f, nn.Module):
        return
    random = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    for name, module in f.named_modules():
        if module.training and isinstance(module, random):
            raise InputError(
                f"The layer {name or type(module).__name__!r} is in training mode: its outputs "
                "depend on chance or on the batch. Call model.eval() first."
            )


def rows_of(outputs: Tensor) -> Tensor:
    """Outputs `(m, n, ...)` as `(m, n, features)` in float64.

    Raises
    ------
    InputError
        If they are complex, or not finite.

    Examples
    --------
    >>> rows_of(torch.zeros(2, 3, 4, 5)).shape
    torch.Size([2, 3, 20])
    """
    if outputs.is_complex():
        raise InputError("Outputs must be real; give real and imaginary parts as channels.")
    rows = outputs.detach().double().reshape(*outputs.shape[:2], -1)
    if not bool(torch.isfinite(rows).all()):
        raise InputError("Outputs hold NaN or infinite values.")
    return rows


def evaluate(f: Callable[[Data], Outputs], moved: Data, m: int, n: int) -> dict[str, Tensor]:
    """Outputs f(x) for data `(m, n, ...)` in one call, by name ("" for a tensor).

    Gradients are off while f runs: a function that differentiates (forces) turns them on itself.

    Raises
    ------
    InputError
        If f does not give one output for each sample.
    """
    with torch.no_grad():
        outputs = f(map_fields(moved, lambda each: each.reshape(m * n, *each.shape[2:])))
    named = {"": outputs} if isinstance(outputs, Tensor) else dict(outputs)
    found = {}
    for name, output in named.items():
        if not isinstance(output, Tensor) or output.ndim == 0 or len(output) != m * n:
            given = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise InputError(
                f"A network gives a tensor (n, ...) for n samples; for {m * n} samples it gave "
                f"{given}{f' as {name!r}' if name else ''}."
            )
        found[name] = output.reshape(m, n, *output.shape[1:])
    return found


def moved_outputs(
    f: Callable[[Data], Outputs], x: Data, elements: Tensor, rep_in: Representation
) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Chunks of elements, and the outputs f(ρ(g) x) for them, `(chunk, n, ...)` by name.

    As many elements at once as make about 2,048 samples.
    """
    n = sample_count(x)
    for chunk in torch.split(elements, max(1, _MOST_SAMPLES // n)):
        yield chunk, evaluate(f, rep_in(chunk, x), len(chunk), n)
