"""Lie derivatives: the equivariance error of a function for infinitely small elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from repgeo.equivariance.forward_mode import push_forward
from repgeo.equivariance.moving import require_frozen
from repgeo.errors import InputError
from repgeo.groups.acting import Group
from repgeo.groups.conversion import as_representation
from repgeo.groups.representations import Data, Representation

__all__ = [
    "Cut",
    "CutDerivative",
    "LayerDerivative",
    "lie_derivative",
    "lie_derivative_cuts",
    "lie_derivative_layers",
    "local_equivariance_error",
]


@dataclass(frozen=True)
class LayerDerivative:
    """What one layer adds to the Lie derivative of a chain of layers.

    Attributes
    ----------
    name
        The layer.
    own
        The Lie derivative of the layer by itself, at its input, `(n, ...)`.
    contribution
        The same carried through the layers behind it, to the output of the chain, `(n, ...)`.
        Contributions of all layers add up to the Lie derivative of the chain.
    """

    name: str
    own: Tensor = field(repr=False)
    contribution: Tensor = field(repr=False)


@dataclass(frozen=True)
class Cut:
    """A network cut at a layer, x -> z -> outputs.

    Attributes
    ----------
    name
        The layer.
    encode
        The network up to the layer, from samples to codes `(n, ...)`.
    rep
        How the group acts on the codes.
    head
        The rest of the network, from codes to outputs `(n, ...)`; where it is None, what the layer
        contributes is not computed. Of the last layer it is the identity.
    """

    name: str
    encode: Callable[[Data], Tensor]
    rep: object = "invariant"
    head: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class CutDerivative:
    """The Lie derivative of a network up to a layer.

    Attributes
    ----------
    name
        The layer.
    codes
        z(x), `(n, ...)`.
    expected
        dρ(X) z(x): how the codes would change if the network up to here were equivariant.
    derivative
        L_X z(x), `(n, ...)`: how they change, less `expected`.
    contribution
        What the network between the cut before and this one adds to the Lie derivative of the
        outputs; None without a head. Over cuts up to the output they add up to it.
    """

    name: str
    codes: Tensor = field(repr=False)
    expected: Tensor = field(repr=False)
    derivative: Tensor = field(repr=False)
    contribution: Tensor | None = field(repr=False, default=None)


def lie_derivative(
    f: Callable[[Data], Tensor],
    x: Data,
    generator: Tensor,
    *,
    rep_in: object,
    rep_out: object = "invariant",
    group: Group | None = None,
) -> Tensor:
    """L_X f(x) = d/dt ρ_out(exp(-t X)) f(ρ_in(exp(t X)) x) at t = 0.

    That is Df(x) (dρ_in(X) x) - dρ_out(X) f(x): one forward-mode derivative of f in the direction
    in which X moves the sample. 0 for all X where f is equivariant under the connected group.

    Parameters
    ----------
    f
        From samples `(n, ...)` to `(n, ...)`, sample by sample; a module in eval mode.
    x
        Samples; derivatives are taken in the floating point fields of a mapping.
    generator
        X as coordinates in the Lie algebra, `(group.dimension,)`.
    rep_in, rep_out
        How the group acts on inputs and outputs, as for `equivariance_error`.
    group
        The group; that of `rep_in` where it is a `Representation`.

    Returns
    -------
    Tensor
        `(n, ...)`, of the shape and dtype of f(x).

    Raises
    ------
    InputError
        If no group is given, it is discrete, or shapes do not fit.

    Notes
    -----
    The cost of about two evaluations of f, without a backward pass. Source: Gruver, Finzi,
    Goldblum and Wilson 2022 (the Lie derivative for measuring learned equivariance,
    arXiv:2210.02984), there by double backward passes.

    Examples
    --------
    >>> from repgeo.groups import SO2
    >>> x = torch.tensor([[3.0, 4.0]])
    >>> quarter = torch.ones(1)  # the counter-clockwise turn moves (3, 4) along (-4, 3)
    >>> lie_derivative(lambda x: x[:, 0], x, quarter, rep_in="vector", group=SO2())
    tensor([-4.])
    >>> lie_derivative(lambda x: x.square().sum(1), x, quarter, rep_in="vector", group=SO2())
    tensor([0.])
    """
    require_frozen(f)
    acting = _group_of(rep_in, group)
    action, response = (as_representation(rep, acting) for rep in (rep_in, rep_out))
    outputs, change = push_forward(f, x, action.derivative(generator, x))
    expected = response.derivative(generator, outputs)
    assert isinstance(expected, Tensor)
    return change - expected


def local_equivariance_error(
    f: Callable[[Data], Tensor],
    x: Data,
    *,
    rep_in: object,
    rep_out: object = "invariant",
    group: Group | None = None,
    generators: Tensor | None = None,
) -> Tensor:
    """Mean square of the Lie derivatives over generators and outputs, for each sample.

    LEE(x) = mean over X and output coordinates of (L_X f(x))^2.

    Parameters
    ----------
    f, x, rep_in, rep_out, group
        As for `lie_derivative`.
    generators
        Coordinates of the X, `(k, group.dimension)`; by default the basis of the Lie algebra.

    Returns
    -------
    Tensor
        `(n,)`, float64; in units of f squared, per unit of the generator (radians, pixels) squared.

    Raises
    ------
    InputError
        As `lie_derivative`.

    Notes
    -----
    k forward-mode derivatives.

    Examples
    --------
    >>> from repgeo.groups import SO2
    >>> local_equivariance_error(lambda x: x[:, 0], torch.tensor([[3.0, 4.0]]),
    ...                          rep_in="vector", group=SO2())
    tensor([16.], dtype=torch.float64)
    """
    acting = _group_of(rep_in, group)
    first = x if isinstance(x, Tensor) else next(iter(x.values()))
    if generators is None:
        generators = torch.eye(acting.dimension, dtype=torch.float64, device=first.device)
    found = [
        lie_derivative(f, x, X, rep_in=rep_in, rep_out=rep_out, group=acting)
        .double()
        .reshape(len(first), -1)
        .square()
        .mean(dim=1)
        for X in generators
    ]
    return torch.stack(found).mean(dim=0)


def lie_derivative_layers(
    layers: Sequence[tuple[str, Callable[[Tensor], Tensor]]],
    x: Tensor,
    generator: Tensor,
    *,
    representations: Sequence[object],
    group: Group | None = None,
) -> tuple[LayerDerivative, ...]:
    """The Lie derivative of a chain of layers, layer by layer.

    By the chain rule L_X (f h) = (L_X f)(h) + Df(h) (L_X h): what each layer adds by itself is
    carried through the layers behind it, and the sum is the Lie derivative of the whole chain.

    Parameters
    ----------
    layers
        `(name, function)` in order, each from `(n, ...)` to `(n, ...)`.
    x
        Samples, `(n, ...)`.
    generator
        X, `(group.dimension,)`.
    representations
        How the group acts on the inputs and then on the output of each layer,
        `len(layers) + 1` of them. After a layer that keeps every second sample of a signal, shifts
        by t are shifts by t/2: `PeriodicShift(group, scale=0.5)`.
    group
        The group; that of the first representation where it is a `Representation`.

    Returns
    -------
    tuple of LayerDerivative
        In the order of the layers.

    Raises
    ------
    InputError
        If there is no layer, or not one representation for each place between them.

    Notes
    -----
    Layer i carries i directions in one batch: O(layers^2) forward-mode derivatives in all.
    Source: Gruver et al. 2022, arXiv:2210.02984.

    Examples
    --------
    >>> from repgeo.groups import SO2
    >>> layers = [("square", lambda x: x**2), ("sum", lambda x: x.sum(dim=1))]
    >>> found = lie_derivative_layers(layers, torch.tensor([[3.0, 4.0]]), torch.ones(1),
    ...                               representations=["vector", "vector", "invariant"],
    ...                               group=SO2())
    >>> [layer.contribution.tolist() for layer in found]  # of a sum of squares: 0 in all
    [[7.0], [-7.0]]
    """
    if not layers or len(representations) != len(layers) + 1:
        raise InputError(
            f"{len(layers)} layers need {len(layers) + 1} representations (of the inputs, and of "
            f"each output), got {len(representations)}."
        )
    acting = _group_of(representations[0], group)
    reps = [as_representation(rep, acting) for rep in representations]
    n, at = len(x), x
    own: list[Tensor] = []
    carried = x.new_zeros(0, *x.shape)  # (layers so far, n, ...)
    for place, (_, layer) in enumerate(layers):
        require_frozen(layer)
        tangent = reps[place].derivative(generator, at)
        assert isinstance(tangent, Tensor)
        directions = torch.cat([carried, tangent[None]])
        k = len(directions)
        repeated = at.repeat(k, *[1] * (at.ndim - 1))
        outputs, pushed = push_forward(layer, repeated, directions.reshape(repeated.shape))
        pushed = pushed.reshape(k, n, *pushed.shape[1:])
        after = outputs[:n]
        expected = reps[place + 1].derivative(generator, after)
        assert isinstance(expected, Tensor)
        own.append(pushed[-1] - expected)
        carried = torch.cat([pushed[:-1], own[-1][None]])
        at = after
    return tuple(
        LayerDerivative(name, alone, contribution)
        for (name, _), alone, contribution in zip(layers, own, carried, strict=True)
    )


def lie_derivative_cuts(
    cuts: Sequence[Cut],
    x: Data,
    generator: Tensor,
    *,
    rep_in: object,
    group: Group | None = None,
) -> tuple[CutDerivative, ...]:
    """The Lie derivatives of a network up to each of several layers, and what is added between.

    With z_l the codes at cut l and h_l the network behind it, T_l = Dh_l(z_l) (L_X z_l) is the
    error at cut l as it reaches the outputs, and T_l - T_(l-1) what was added between the cuts: by
    the chain rule the Lie derivative of that part of the network, carried through the rest, the
    `contribution` of `lie_derivative_layers`. This form needs no function for the part alone.

    Parameters
    ----------
    cuts
        In the order in which the layers run.
    x
        Samples `(n, ...)`, or a mapping.
    generator
        X, `(group.dimension,)`.
    rep_in, group
        As for `lie_derivative`.

    Returns
    -------
    tuple of CutDerivative
        In the order of the cuts.

    Raises
    ------
    InputError
        As `lie_derivative`.

    Notes
    -----
    One forward-mode derivative up to each cut, and one of each head. Source: Gruver et al. 2022,
    arXiv:2210.02984.

    Examples
    --------
    >>> from repgeo.groups import SO2
    >>> cuts = [Cut("square", lambda x: x**2, "vector", lambda z: z.sum(dim=1)),
    ...         Cut("sum", lambda x: (x**2).sum(dim=1), "invariant", lambda z: z)]
    >>> found = lie_derivative_cuts(cuts, torch.tensor([[3.0, 4.0]]), torch.ones(1),
    ...                             rep_in="vector", group=SO2())
    >>> [cut.contribution.tolist() for cut in found]
    [[7.0], [-7.0]]
    """
    acting = _group_of(rep_in, group)
    tangent = as_representation(rep_in, acting).derivative(generator, x)
    before: Tensor | None = None
    found: list[CutDerivative] = []
    for cut in cuts:
        require_frozen(cut.encode)
        codes, change = push_forward(cut.encode, x, tangent)
        expected = as_representation(cut.rep, acting).derivative(generator, codes)
        assert isinstance(expected, Tensor)
        derivative, contribution = change - expected, None
        if cut.head is not None:
            reached = push_forward(cut.head, codes, derivative)[1]
            contribution = reached if before is None else reached - before
            before = reached
        found.append(CutDerivative(cut.name, codes, expected, derivative, contribution))
    return tuple(found)


def _group_of(rep: object, group: Group | None) -> Group:
    if group is not None:
        return group
    if isinstance(rep, Representation):
        return rep.group
    raise InputError("Which group acts is not said: give group=, or a Representation as rep_in.")
