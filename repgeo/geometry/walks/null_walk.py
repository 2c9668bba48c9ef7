"""Walks through the inputs that a map does not tell apart."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.geometry.feature_map import Map
from repgeo.geometry.walks.stepping import Walkers
from repgeo.geometry.walks.walk import Walk, WalkSpec

__all__ = ["null_walk"]


def null_walk(
    f: Map, x: Tensor, walk: WalkSpec, *, generator: torch.Generator | None = None
) -> Walk:
    """Walk within the classes of inputs that have the output of their start (SiMEC, corrected).

    Each step goes along the kernel of the Jacobian, that is of the singular pullback metric
    J^T G J, and is then brought back to the output f(x_0) of the start, not to that of the step
    before: drift does not accumulate.

    Parameters
    ----------
    f
        A batched map from `(B, ...)` to `(B, m)` in which samples do not act on each other: a
        module in eval mode, computed in float64, on a copy where it is of another dtype; or any
        callable of torch operations, computed in the dtype of `x`.
    x
        Starts of B walkers, `(B, ...)`, d numbers each.
    walk
        Steps, direction, corrector, box.
    generator
        For the draws, which do not depend on what stops other walkers; None: a new one with a
        fixed seed.

    Returns
    -------
    Walk
        Points, drift, lengths and a verdict for each walker, in the dtype of the computation.

    Raises
    ------
    InputError
        If shapes do not fit, a start lies outside the box, `step_size` is 0, or a module is in
        training mode where that matters.
    NonFiniteError
        If an output at the start, or a Jacobian on the way, is NaN or infinite.

    Notes
    -----
    All walkers take their step together. Cost of one: a Jacobian, 2 d m^2 operations for its QR
    decomposition (once more for each round of bounds that a step meets), and about three forward
    passes. Without box, with the corrector "newton" and the direction "persistent", the walk is
    reversible: with the negated `Walk.velocity` it leads back to its start.

    References
    ----------
    A. Benfenati, A. Marta, "A singular Riemannian geometry approach to deep neural networks III.
    Piecewise differentiable layers and random walks on n-dimensional classes" (2024), arXiv
    2404.06104. H. Andersen, "Rattle: a velocity version of the Shake algorithm" (1983). E. Zappa,
    M. Holmes-Cerfon, J. Goodman, "Monte Carlo on manifolds" (2018), arXiv 1702.08446.

    Examples
    --------
    >>> def f(x):
    ...     return x.square().sum(dim=1, keepdim=True)
    >>> start = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    >>> made = null_walk(f, start, WalkSpec(steps=20, step_size=0.5, direction="persistent"))
    >>> made.status, bool(made.drift.max() < 1e-12), round(float(made.length[-1]), 3)
    (('ok',), True, 10.013)
    """
    if walk.step_size == 0:
        raise InputError("A walk within a class needs a step_size above 0.")
    return Walkers(f, x, walk, generator).run()
