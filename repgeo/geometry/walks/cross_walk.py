"""Walks from one class of inputs to another, along a prescribed course of outputs."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.geometry.feature_map import Map
from repgeo.geometry.walks.stepping import Course, Walkers
from repgeo.geometry.walks.walk import Walk, WalkSpec

__all__ = ["cross_walk"]

_NORMALISED = 1e-6  # how far log-probabilities may be from summing to one


def cross_walk(
    f: Map,
    x: Tensor,
    walk: WalkSpec,
    *,
    target_output: Tensor | None = None,
    target_class: int | Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Walk:
    """Walk across the classes of inputs, to a given output in a straight line (SiMExp, corrected).

    At step k of K the output is f_0 + (k / K) (target - f_0), reached by the horizontal lift
    dx = J^+ dy and then corrected to lie there. In each step a move of `step_size` along the kernel
    is mixed in; with a `step_size` of 0 the walk is the horizontal lift of the line. The
    pseudolength of the path is then at least, and for small steps nearly, the length of the line.

    Parameters
    ----------
    f, x
        As for `null_walk`.
    walk
        Steps, direction, corrector, box. `step_size` is that of the null moves alone, and may be
        0.
    target_output
        The outputs to reach, `(m,)` or `(B, m)`.
    target_class
        Or a class, or one per walker `(B,)`: the output to reach is that of the start with its
        largest entry exchanged with that of this class. Of walkers that are there already nothing
        is asked.
    generator
        For the draws; None: a new one with a fixed seed.

    Returns
    -------
    Walk
        As of `null_walk`; `drift` is the difference from the prescribed output. Where a step was
        halved, the steps after it catch up.

    Raises
    ------
    InputError
        If not exactly one target is given, its shape does not fit, or as `null_walk`.
    NonFiniteError
        As `null_walk`.

    Notes
    -----
    Log-probabilities (outputs whose exponentials sum to one, at the start and at the target) have
    no straight lines among them: there the line is one of logits, normalised at each point.
    A target that f does not take leaves a walker "stuck".

    References
    ----------
    A. Benfenati, A. Marta, "A singular Riemannian geometry approach to deep neural networks II.
    Reconstruction of 1-D equivalence classes" (2023), arXiv 2112.10583.

    Examples
    --------
    >>> def f(x):
    ...     return x.square().sum(dim=1, keepdim=True)
    >>> start = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    >>> made = cross_walk(
    ...     f, start, WalkSpec(steps=10, step_size=0.0), target_output=torch.tensor([100.0])
    ... )
    >>> [round(value, 9) for value in made.points[-1, 0].tolist()]
    [6.0, 8.0]
    """
    walkers = Walkers(f, x, walk, generator)
    start = walkers.outputs.clone()
    target = _target(start, target_output, target_class)
    return walkers.run(_course(start, target))


def _target(start: Tensor, output: Tensor | None, class_: int | Tensor | None) -> Tensor:
    if (output is None) == (class_ is None):
        raise InputError("Give either target_output or target_class, and not both.")
    walkers, m = start.shape
    if output is not None:
        if output.shape not in ((m,), (walkers, m)) or not bool(output.isfinite().all()):
            raise InputError(
                f"target_output is ({m},) or ({walkers}, {m}), finite; got {tuple(output.shape)}."
            )
        return output.detach().to(start).expand(walkers, m)
    chosen = torch.as_tensor(class_, device=start.device)
    if chosen.is_floating_point() or chosen.shape not in ((), (walkers,)):
        raise InputError(
            f"target_class is an integer, or one per walker ({walkers},); got "
            f"{tuple(chosen.shape)}, {chosen.dtype}."
        )
    if bool((chosen < 0).any()) or bool((chosen >= m).any()):
        raise InputError(f"The map has the classes 0 to {m - 1}; target_class is {class_}.")
    chosen = chosen.long().expand(walkers)[:, None]
    now = start.argmax(dim=1, keepdim=True)
    target = start.scatter(1, now, start.gather(1, chosen))
    return target.scatter(1, chosen, start.gather(1, now))


def _course(start: Tensor, target: Tensor) -> Course:
    """Lines from the starts to the targets."""
    sums = torch.cat([start, target]).logsumexp(dim=1)
    logarithms = start.shape[1] > 1 and bool((sums.abs() <= _NORMALISED).all())

    def course(index: Tensor, share: Tensor) -> Tensor:
        line = torch.lerp(start[index], target[index], share[:, None])
        return line.log_softmax(dim=1) if logarithms else line

    return course
