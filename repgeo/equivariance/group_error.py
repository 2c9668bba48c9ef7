"""Equivariance error of a function over a group, layer by layer, and whether it is rounding."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from repgeo.equivariance.moving import (
    choose_elements,
    evaluate,
    moved_outputs,
    require_frozen,
    rows_of,
    sample_count,
)
from repgeo.errors import InputError
from repgeo.groups.acting import Group
from repgeo.groups.conversion import as_representation
from repgeo.groups.representations import Data, map_fields
from repgeo.groups.wigner import WignerCache

__all__ = [
    "Exactness",
    "GroupError",
    "action_error",
    "equivariance_error",
    "exactness",
    "layerwise_equivariance_error",
]

_EXACT = 0.1  # ratio of the errors in float64 and float32 below which an error is rounding


@dataclass(frozen=True)
class GroupError:
    """Errors |f(g x) - g f(x)| for elements g and samples x.

    Attributes
    ----------
    values
        `(m, n)`, float64, divided by `scale`.
    elements
        The elements, `(m, *element_shape)`.
    scale
        Root mean square of |f(x)| over the samples; 1 for absolute errors.
    complete
        Whether the elements are all of a finite group.
    """

    values: Tensor
    elements: Tensor = field(repr=False)
    scale: float
    complete: bool

    #: The root mean square of relative errors of a function without any equivariant part.
    chance: float = 2**0.5

    @property
    def mean(self) -> float:
        """Mean over elements and samples."""
        return float(self.values.mean())

    @property
    def mean_square(self) -> float:
        """Mean of the squares: 2 (1 - `reynolds_score`) for relative errors, at chance 2."""
        return float(self.values.square().mean())

    @property
    def root_mean_square(self) -> float:
        """Square root of `mean_square`, at chance sqrt 2 for relative errors."""
        return float(self.values.square().mean().sqrt())

    @property
    def per_element(self) -> Tensor:
        """Means over samples, `(m,)`."""
        return self.values.mean(dim=1)

    @property
    def per_sample(self) -> Tensor:
        """Means over elements, `(n,)`."""
        return self.values.mean(dim=0)

    @property
    def worst(self) -> float:
        """The largest of `per_element`."""
        return float(self.per_element.max())

    @property
    def worst_element(self) -> Tensor:
        """The element with the largest error."""
        return self.elements[int(self.per_element.argmax())]


@dataclass(frozen=True)
class Exactness:
    """Whether an equivariance error is rounding.

    Attributes
    ----------
    single, double
        The mean errors in float32 and in float64.
    ratio
        double / single; 0 where both are 0.
    exact
        Whether the ratio is below 0.1: rounding shrinks by nine digits, or by one where constants
        of the model were rounded to float32; a broken equivariance stays.
    """

    single: float
    double: float

    @property
    def ratio(self) -> float:
        """The quotient double / single; 0 where both are 0, infinite where only single is."""
        if self.single == 0:
            return 0.0 if self.double == 0 else float("inf")
        return self.double / self.single

    @property
    def exact(self) -> bool:
        """Whether the ratio is below 0.1."""
        return self.ratio < _EXACT


def equivariance_error(
    f: Callable[[Data], Tensor],
    x: Data,
    group: Group,
    *,
    rep_in: object,
    rep_out: object = "invariant",
    relative: bool = True,
    n_elements: int = 32,
    generator: torch.Generator | None = None,
    elements: Tensor | None = None,
) -> GroupError:
    """How far f is from equivariant: |f(g x) - g f(x)| over elements g and samples x.

    Relative errors are divided by the root mean square of |f(x)|. For orthogonal representations
    and inputs as likely as their moved versions, the mean of the squares of relative errors is
    2 (1 - s), s the share of f that is equivariant (`reynolds_score`): 0 for an equivariant f and
    2, chance, for an f without an equivariant part. A constant f is invariant: read the error
    beside one that says whether f tells samples apart.

    Parameters
    ----------
    f
        From a batch of samples `(n, ...)` (or a mapping of tensors) to `(n, ...)`, sample by
        sample. A module must be in eval mode. All elements are given to it in large batches,
        without gradients.
    x
        Samples.
    group
        The group; elements are drawn from its law, or all taken where they are at most
        `n_elements`.
    rep_in, rep_out
        How it acts on inputs and on outputs: whatever `repgeo.groups.as_representation` accepts.
    relative
        Whether errors are divided by the size of f.
    n_elements
        How many elements are drawn.
    generator
        For the draw; by default one with seed 0.
    elements
        These elements instead, `(m, *element_shape)`.

    Returns
    -------
    GroupError
        Errors by element and sample, their mean, and the worst element.

    Raises
    ------
    InputError
        If an element is not in the group, the module is in training mode, shapes do not fit, or
        errors are relative to an f that is 0.

    Notes
    -----
    m + 1 evaluations of f for each sample. Source: Kvinge et al. 2022 (in what ways are deep neural
    networks invariant and how should we measure this?).

    Examples
    --------
    >>> from repgeo.groups import SO3
    >>> x = torch.randn(10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> norm = equivariance_error(lambda x: x.norm(dim=1), x, SO3(), rep_in="vector")
    >>> norm.worst < 1e-14
    True
    >>> same = equivariance_error(lambda x: x, x, SO3(), rep_in="vector", rep_out="vector")
    >>> same.worst
    0.0
    """

    def named(inputs: Data) -> Mapping[str, Tensor]:
        return {"": f(inputs)}

    require_frozen(f)
    return layerwise_equivariance_error(
        named,
        x,
        group,
        rep_in=rep_in,
        reps_out={"": rep_out},
        relative=relative,
        n_elements=n_elements,
        generator=generator,
        elements=elements,
    )[""]


def layerwise_equivariance_error(
    f: Callable[[Data], Mapping[str, Tensor]],
    x: Data,
    group: Group,
    *,
    rep_in: object,
    reps_out: Mapping[str, object],
    relative: bool = True,
    n_elements: int = 32,
    generator: torch.Generator | None = None,
    elements: Tensor | None = None,
) -> dict[str, GroupError]:
    """`equivariance_error` of several layers from the same passes through a network.

    Parameters
    ----------
    f
        From a batch to the outputs of layers, name -> `(n, ...)`.
    x, group, rep_in, relative, n_elements, generator, elements
        As for `equivariance_error`.
    reps_out
        How the group acts on each layer: name -> representation. Other outputs are left out.

    Returns
    -------
    dict
        Name -> errors, in the order of `reps_out`.

    Raises
    ------
    InputError
        As `equivariance_error`, or if f does not give a layer that is named.

    Notes
    -----
    Wigner matrices are computed once for all layers.

    Examples
    --------
    >>> from repgeo.groups import SO2
    >>> x = torch.eye(2, dtype=torch.float64)
    >>> layers = lambda x: {"square": x**2, "sum": (x**2).sum(dim=1)}
    >>> found = layerwise_equivariance_error(
    ...     layers, x, SO2(), rep_in="vector", reps_out={"square": "invariant", "sum": "invariant"})
    >>> found["square"].mean > 0.1, found["sum"].mean < 1e-14
    (True, True)
    """
    require_frozen(f)
    cache = WignerCache()
    action = as_representation(rep_in, group, cache)
    responses = {name: as_representation(rep, group, cache) for name, rep in reps_out.items()}
    g, complete = _elements(x, group, n_elements, generator, elements)
    n = sample_count(x)
    codes = evaluate(f, map_fields(x, lambda each: each[None]), 1, n)
    missing = sorted(set(responses) - set(codes))
    if missing:
        raise InputError(f"The network gives no output {missing[0]!r}; it has {sorted(codes)}.")
    found: dict[str, list[Tensor]] = {name: [] for name in responses}
    for chunk, moved in moved_outputs(f, x, g, action):
        for name, response in responses.items():
            expected = response.apply(chunk, codes[name])
            assert isinstance(expected, Tensor)
            if expected.shape != moved[name].shape:
                raise InputError(
                    f"Outputs have shape {tuple(moved[name].shape[1:])} for moved samples and "
                    f"{tuple(expected.shape[1:])} for the samples: the action changes their shape."
                )
            found[name].append((rows_of(moved[name]) - rows_of(expected)).norm(dim=2))
    return {
        name: _group_error(torch.cat(values), codes[name], g, complete, relative)
        for name, values in found.items()
    }


def exactness(
    f: Callable[[Data], Tensor],
    x: Data,
    group: Group,
    *,
    rep_in: object,
    rep_out: object = "invariant",
    n_elements: int = 32,
    generator: torch.Generator | None = None,
) -> Exactness:
    """Whether an equivariance error is rounding: the ratio of the errors in float64 and float32.

    An equivariant network has an error of about 1e-6 in float32 and 1e-15 in float64 (1e-8 where
    its constants were made in float32); one that is not has the same error in both.

    Parameters
    ----------
    f
        A module, copied and cast to each dtype, or a function that computes in the dtype it is
        given.
    x, group, rep_in, rep_out, n_elements, generator
        As for `equivariance_error`. Floating point fields of x are cast.

    Raises
    ------
    InputError
        As `equivariance_error`, or if f computes in float32 whatever it is given.

    Notes
    -----
    Twice the cost of `equivariance_error`. Representations must not depend on the dtype: those of
    this package are computed in float64.

    Examples
    --------
    >>> from repgeo.groups import SO3
    >>> x = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    >>> exactness(lambda x: x.norm(dim=1), x, SO3(), rep_in="vector").exact
    True
    >>> exactness(lambda x: x[:, 0], x, SO3(), rep_in="vector").exact
    False
    """
    g, _ = _elements(x, group, n_elements, generator, None)
    errors = []
    for dtype in (torch.float32, torch.float64):
        cast = copy.deepcopy(f).to(dtype) if isinstance(f, nn.Module) else f

        def checked(
            inputs: Data, cast: Callable[[Data], Tensor] = cast, dtype: torch.dtype = dtype
        ) -> Tensor:
            outputs = cast(inputs)
            if outputs.is_floating_point() and outputs.dtype != dtype:
                raise InputError(
                    f"f gives {outputs.dtype} for inputs of {dtype}: rounding cannot be told from "
                    "a broken equivariance. Hand over the module itself, or a function that keeps "
                    "the dtype."
                )
            return outputs

        data = map_fields(x, partial(_cast, dtype=dtype))
        require_frozen(cast)
        found = equivariance_error(checked, data, group, rep_in=rep_in, rep_out=rep_out, elements=g)
        errors.append(found.mean)
    return Exactness(*errors)


def action_error(
    x: Data,
    group: Group,
    *,
    rep_in: object,
    n_elements: int = 32,
    generator: torch.Generator | None = None,
) -> GroupError:
    """The error of an action on data itself, |g (h x) - (g h) x|, relative to the size of x.

    0, up to rounding, for an action; the error of interpolation for images and voxels that are
    turned by angles that move no pixel onto another. An equivariance error that is not larger says
    nothing about the network.

    Parameters
    ----------
    x, group, rep_in, n_elements, generator
        As for `equivariance_error`; g and h are drawn independently.

    Returns
    -------
    GroupError
        Errors by pair (g, h) and sample; `elements` are the g.

    Raises
    ------
    InputError
        If the data are a mapping (ask for one field), or 0.

    Examples
    --------
    >>> from repgeo.groups import SO2, ImageRotations
    >>> line = torch.linspace(-3, 3, 17, dtype=torch.float64)
    >>> image = torch.exp(-2 * ((line - 1) ** 2 + line[:, None] ** 2))[None, None]
    >>> turned = {method: action_error(image, SO2(), rep_in=ImageRotations(SO2(), method)).mean
    ...           for method in ("fourier", "cubic", "linear")}
    >>> 0 < turned["fourier"] < turned["cubic"] < turned["linear"]
    True
    """
    if not isinstance(x, Tensor):
        raise InputError("The error of an action is measured on one tensor; give one field.")
    action = as_representation(rep_in, group)
    if n_elements < 1:
        raise InputError(f"At least one element of the group is needed, got {n_elements}.")
    drawn = group.sample(2 * n_elements, generator=generator, device=x.device)
    g, h = drawn[:n_elements], drawn[n_elements:]
    with torch.no_grad():
        twice = action.apply(g, action(h, x))
        at_once = action(group.compose(g, h), x)
    assert isinstance(twice, Tensor)
    assert isinstance(at_once, Tensor)
    values = (rows_of(twice) - rows_of(at_once)).norm(dim=2)
    return _group_error(values, x[None], g, False, True)


def _cast(each: Tensor, dtype: torch.dtype) -> Tensor:
    return each.to(dtype) if each.is_floating_point() else each


def _elements(
    x: Data,
    group: Group,
    n_elements: int,
    generator: torch.Generator | None,
    elements: Tensor | None,
) -> tuple[Tensor, bool]:
    if elements is not None:
        return group.require(elements), False
    first = x if isinstance(x, Tensor) else next(iter(x.values()))
    return choose_elements(group, n_elements, generator, device=first.device)


def _group_error(
    values: Tensor, codes: Tensor, elements: Tensor, complete: bool, relative: bool
) -> GroupError:
    """Errors divided by the root mean square of |codes|, codes `(1, n, ...)`."""
    if not relative:
        return GroupError(values, elements, 1.0, complete)
    scale = float(rows_of(codes).square().sum(dim=2).mean().sqrt())
    if scale == 0:
        if bool((values == 0).all()):
            return GroupError(values, elements, 1.0, complete)
        raise InputError(
            "All outputs are 0, but those of moved samples are not: there is no size to compare "
            "errors with. Ask for absolute errors, relative=False."
        )
    return GroupError(values / scale, elements, scale, complete)
