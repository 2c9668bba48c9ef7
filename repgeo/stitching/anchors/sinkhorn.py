"""Entropic optimal transport between two finite sets."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from repgeo.errors import InputError

__all__ = ["sinkhorn"]

_BLOCK = 10  # scalings between two passes to logarithms


def sinkhorn(
    cost: Tensor, *, temperature: float, tolerance: float = 1e-3, iterations: int = 200
) -> Tensor:
    r"""The transport plan of smallest cost plus temperature times negative entropy.

    Minimises <P, cost> + temperature * sum P log P over matrices P >= 0 with row sums 1/n and
    column sums 1/m. It is P = diag(a) exp(-cost / temperature) diag(b); the scalings a and b are
    found by turns. As the temperature falls, the plan of a square cost tends to the best assignment
    (over n).

    Parameters
    ----------
    cost
        `(n, m)`, finite.
    temperature
        Positive, in units of the cost.
    tolerance
        The scalings end when the row sums are off by at most this in total (of 1).
    iterations
        They end after so many turns at the latest; column sums are exact then, row sums nearly.

    Returns
    -------
    Tensor
        P, `(n, m)`, float64.

    Raises
    ------
    InputError
        If the shape does not fit, a value is NaN or infinite, or the temperature is not positive.

    Notes
    -----
    O(n m) per turn. Every tenth turn the scalings move into the exponent, so that no temperature
    overflows: after each normalisation a row or column keeps at least 1/max(n, m) of its mass.
    Source: Cuturi 2013 (arXiv 1306.0895).

    Examples
    --------
    Two points that may swap at a cost of log 3: three quarters of the mass stay.

    >>> swap = torch.tensor([[0.0, math.log(3)], [math.log(3), 0.0]])
    >>> sinkhorn(swap, temperature=1.0)
    tensor([[0.3750, 0.1250],
            [0.1250, 0.3750]], dtype=torch.float64)
    """
    if cost.ndim != 2 or cost.numel() == 0 or not bool(torch.isfinite(cost).all()):
        raise InputError(
            f"The cost must be finite, of shape (n, m) and not empty, got {tuple(cost.shape)}."
        )
    if not 0.0 < temperature < float("inf"):
        raise InputError(f"The temperature must be positive, got {temperature}.")
    n, m = cost.shape
    kernel = cost.detach().double() / -temperature
    rows = -math.log(n) - torch.logsumexp(kernel, dim=1)
    columns = -math.log(m) - torch.logsumexp(kernel + rows[:, None], dim=0)
    for _ in range(-(-iterations // _BLOCK)):
        plan = (kernel + rows[:, None] + columns).exp()
        left, right = plan.new_ones(n), plan.new_ones(m)
        if float((plan.sum(dim=1) - 1 / n).abs().sum()) <= tolerance:
            break
        for _ in range(_BLOCK):
            left = 1 / n / (plan @ right)
            right = 1 / m / (plan.T @ left)
        rows, columns = rows + left.log(), columns + right.log()
    return (kernel + rows[:, None] + columns).exp()
