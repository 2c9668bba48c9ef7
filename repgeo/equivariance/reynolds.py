"""The share of a function that is equivariant: its projection by the Reynolds operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from repgeo.equivariance.moving import (
    choose_elements,
    moved_outputs,
    require_frozen,
    rows_of,
    sample_count,
)
from repgeo.errors import InputError
from repgeo.groups.acting import Group
from repgeo.groups.conversion import as_representation
from repgeo.groups.representations import Data
from repgeo.groups.wigner import WignerCache

__all__ = ["ReynoldsScore", "reynolds_score"]


@dataclass(frozen=True)
class ReynoldsScore:
    """Energies of a function and of its equivariant part.

    Attributes
    ----------
    projected
        Estimates of |Π f(x)|^2 for each sample, `(n,)`, float64; an unbiased estimate may be
        negative.
    energy
        Means over elements of |f(g x)|^2, `(n,)`, float64.
    """

    projected: Tensor = field(repr=False)
    energy: Tensor = field(repr=False)

    @property
    def score(self) -> float:
        """Mean of `projected` over mean of `energy`: 1 equivariant, 0 no equivariant part."""
        return float(self.projected.mean() / self.energy.mean())


def reynolds_score(
    f: Callable[[Data], Tensor],
    x: Data,
    group: Group,
    *,
    rep_in: object,
    rep_out: object = "invariant",
    n_elements: int = 32,
    generator: torch.Generator | None = None,
) -> ReynoldsScore:
    """The share |Π f|^2 / |f|^2 of a function that is equivariant.

    Π f(x) = mean over g of g^-1 f(g x) is the equivariant function nearest to f. Its energy is
    estimated by the mean over pairs of different elements of <g^-1 f(g x), g'^-1 f(g' x)>, which
    is unbiased (the squared mean is too large by the variance over m); over all pairs where the
    elements are a whole finite group, which is exact.

    For inputs as likely as their moved versions, mean |f(g x) - g f(x)|^2 = 2 (|f|^2 - |Π f|^2).

    Parameters
    ----------
    f, x, group, rep_in, rep_out, n_elements, generator
        As for `repgeo.equivariance.equivariance_error`; `rep_out` must be orthogonal.

    Returns
    -------
    ReynoldsScore
        The score in [0, 1] up to the error of the estimate; chance is 0.

    Raises
    ------
    InputError
        As `equivariance_error`, if there are fewer than two elements, or f is 0.

    Notes
    -----
    m evaluations of f for each sample, memory of one chunk: the sum over pairs is that of sums.

    Examples
    --------
    >>> from repgeo.groups import Cyclic
    >>> x = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    >>> roll = lambda k, x: x.roll(int(k), dims=1)
    >>> found = reynolds_score(lambda x: x[:, 0], x, Cyclic(3), rep_in=roll)
    >>> found.projected  # squares of the means over the orbits, 1/3 and 1
    tensor([0.1111, 1.0000], dtype=torch.float64)
    """
    require_frozen(f)
    cache = WignerCache()
    action, response = (as_representation(rep, group, cache) for rep in (rep_in, rep_out))
    first = x if isinstance(x, Tensor) else next(iter(x.values()))
    elements, complete = choose_elements(group, n_elements, generator, device=first.device)
    m, n = len(elements), sample_count(x)
    if m < 2 and not complete:
        raise InputError("Pairs of different elements are needed: n_elements must be at least 2.")
    total: Tensor | None = None
    squares = torch.zeros(n, dtype=torch.float64, device=first.device)
    for chunk, moved in moved_outputs(f, x, elements, action):
        back = response.apply(group.inverse(chunk), moved[""])
        assert isinstance(back, Tensor)
        rows = rows_of(back)  # (chunk, n, features)
        total = rows.sum(dim=0) if total is None else total + rows.sum(dim=0)
        squares += rows.square().sum(dim=(0, 2))
    assert total is not None
    sums = total.square().sum(dim=1)
    projected = sums / m**2 if complete else (sums - squares) / (m * (m - 1))
    if not bool(squares.any()):
        raise InputError("f is 0 on all samples: the share of it that is equivariant is undefined.")
    return ReynoldsScore(projected, squares / m)
