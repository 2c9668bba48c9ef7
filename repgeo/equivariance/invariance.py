"""What moved inputs change in the answers of a classifier, and in distances between codes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from repgeo.equivariance.moving import (
    choose_elements,
    moved_outputs,
    require_frozen,
    rows_of,
)
from repgeo.errors import InputError
from repgeo.groups.acting import Group
from repgeo.groups.conversion import as_representation
from repgeo.groups.representations import Data

__all__ = ["distance_invariance", "flip_rate", "predictive_invariance", "saliency_invariance"]


def predictive_invariance(
    f: Callable[[Data], Tensor],
    x: Data,
    group: Group,
    *,
    rep_in: object,
    n_elements: int = 32,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The Kullback-Leibler divergence KL(p(x) | p(g x)) of predicted classes.

    Parameters
    ----------
    f
        From samples to logits `(n, classes)`.
    x, group, rep_in, n_elements, generator
        As for `repgeo.equivariance.equivariance_error`.

    Returns
    -------
    Tensor
        `(m, n)`, nats, float64; 0 for an invariant f. It is small for any f with small outputs:
        read it beside the flip rate.

    Raises
    ------
    InputError
        As `equivariance_error`, or if outputs are no logits.

    Notes
    -----
    Source: after Moskalev, Sepliarskaia, Bekkers and Smeulders 2023 (on genuine invariance
    learning without weight-tying, arXiv:2308.03904).

    Examples
    --------
    >>> from repgeo.groups import Cyclic
    >>> x = torch.log(torch.tensor([[3.0, 1.0]]))
    >>> swap = lambda k, x: x.roll(int(k), dims=1)
    >>> kl = predictive_invariance(lambda x: x, x, Cyclic(2), rep_in=swap)
    >>> [round(v, 6) for v in kl[:, 0].tolist()]  # (3/4 - 1/4) log 3
    [0.0, 0.549306]
    """
    logits, moved = _logits(f, x, group, rep_in, n_elements, generator)
    log_p, log_q = (each.log_softmax(dim=-1) for each in (logits, moved))
    # Rounding may leave a divergence just below 0.
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1).clamp(min=0)


def flip_rate(
    f: Callable[[Data], Tensor],
    x: Data,
    group: Group,
    *,
    rep_in: object,
    n_elements: int = 32,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Whether g changes the answer, the class with the largest logit.

    Several equally large logits are an answer of their own.

    Parameters
    ----------
    f, x, group, rep_in, n_elements, generator
        As for `predictive_invariance`.

    Returns
    -------
    Tensor
        `(m, n)`, 0 or 1, float64; the mean is the flip rate. Chance is how often two different
        samples have different answers.

    Raises
    ------
    InputError
        As `predictive_invariance`.

    Examples
    --------
    >>> from repgeo.groups import Cyclic
    >>> swap = lambda k, x: x.roll(int(k), dims=1)
    >>> flip_rate(lambda x: x, torch.tensor([[2.0, 1.0], [1.0, 1.0]]), Cyclic(2), rep_in=swap)
    tensor([[0., 0.],
            [1., 0.]], dtype=torch.float64)
    """
    logits, moved = _logits(f, x, group, rep_in, n_elements, generator)
    answers, after = (each == each.amax(dim=-1, keepdim=True) for each in (logits, moved))
    return (answers != after).any(dim=-1).double()


def saliency_invariance(
    f: Callable[[Tensor], Tensor],
    x: Tensor,
    group: Group,
    *,
    rep_in: object,
    n_elements: int = 32,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The cosine of the saliency S(x) and of g^-1 S(g x): whether f looks at the same parts.

    S(x) is the gradient with respect to x of the logit of the class that f gives to x (to x also
    for moved samples). For an invariant f and an orthogonal linear action it is 1.

    Parameters
    ----------
    f, x, group, rep_in, n_elements, generator
        As for `predictive_invariance`; x is one tensor, the action linear and orthogonal.

    Returns
    -------
    Tensor
        `(m, n)`, in [-1, 1], float64; 0 where a saliency is 0. Chance is about 0.

    Raises
    ------
    InputError
        As `predictive_invariance`.

    Notes
    -----
    m + 1 evaluations with a backward pass each. Source: after Moskalev et al. 2023,
    arXiv:2308.03904.

    Examples
    --------
    >>> from repgeo.groups import Cyclic
    >>> roll = lambda k, x: x.roll(int(k), dims=1)
    >>> first = lambda x: x[:, :1]  # looks at the first place, wherever the sample is
    >>> saliency_invariance(first, torch.ones(1, 3), Cyclic(3), rep_in=roll)[:, 0]
    tensor([1., 0., 0.], dtype=torch.float64)
    """
    require_frozen(f)
    action = as_representation(rep_in, group)
    elements, _ = choose_elements(group, n_elements, generator, device=x.device)
    with torch.no_grad():
        answers = _require_logits(f(x)).argmax(dim=1)

    def saliency(batch: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = batch.detach().clone().requires_grad_()
            chosen = f(leaf).gather(1, answers[:, None]).sum()
            (gradient,) = torch.autograd.grad(chosen, leaf)
        return gradient

    here = rows_of(saliency(x)[None])
    found = []
    for g in elements[:, None]:
        moved = action(g, x)
        assert isinstance(moved, Tensor)
        back = action.apply(group.inverse(g), saliency(moved[0])[None])
        assert isinstance(back, Tensor)
        found.append(torch.nn.functional.cosine_similarity(here, rows_of(back), dim=2)[0])
    return torch.stack(found)


def distance_invariance(
    f: Callable[[Data], Tensor],
    x: Data,
    group: Group,
    *,
    rep_in: object,
    n_elements: int = 32,
    generator: torch.Generator | None = None,
) -> Tensor:
    """How much distances between codes change when all inputs are moved by the same element.

    | |f(g x) - f(g x')| - |f(x) - f(x')| | for neighbours x, x' in the batch (the last with the
    first), over the mean of |f(x)|. 0 where g acts on the codes by some isometry, also one that is
    not linear or not known.

    Parameters
    ----------
    f, x, group, rep_in, n_elements, generator
        As for `repgeo.equivariance.equivariance_error`; at least two samples.

    Returns
    -------
    Tensor
        `(m, n)`, float64.

    Raises
    ------
    InputError
        As `equivariance_error`, or if f is 0 or there is one sample only.

    Notes
    -----
    Source: the distance invariance error of Park, Biza, Zhao, van de Meent and Walters 2022
    (learning symmetric embeddings for equivariant world models, arXiv:2204.11371).

    Examples
    --------
    >>> from repgeo.groups import Translations
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> moved = distance_invariance(lambda x: x + 1, x, Translations(1), rep_in="points")
    >>> bool(moved.max() < 1e-6)
    True
    """
    require_frozen(f)
    action = as_representation(rep_in, group)
    first = x if isinstance(x, Tensor) else next(iter(x.values()))
    if len(first) < 2:
        raise InputError("Distances between samples need at least two of them, got one.")
    elements, _ = choose_elements(group, n_elements, generator, device=first.device)
    with torch.no_grad():
        codes = rows_of(f(x)[None])
    size = codes.norm(dim=2).mean()
    if not bool(size > 0):
        raise InputError("f is 0 on all samples: there is no size to compare distances with.")
    before = (codes - codes.roll(1, dims=1)).norm(dim=2)
    found = []
    for _, outputs in moved_outputs(f, x, elements, action):
        rows = rows_of(outputs[""])
        after = (rows - rows.roll(1, dims=1)).norm(dim=2)
        found.append((after - before).abs() / size)
    return torch.cat(found)


def _logits(
    f: Callable[[Data], Tensor],
    x: Data,
    group: Group,
    rep_in: object,
    n_elements: int,
    generator: torch.Generator | None,
) -> tuple[Tensor, Tensor]:
    """Logits of the samples `(n, classes)` and of moved ones `(m, n, classes)`, float64."""
    require_frozen(f)
    action = as_representation(rep_in, group)
    first = x if isinstance(x, Tensor) else next(iter(x.values()))
    elements, _ = choose_elements(group, n_elements, generator, device=first.device)
    with torch.no_grad():
        logits = _require_logits(f(x))
    moved = [rows_of(each[""]) for _, each in moved_outputs(f, x, elements, action)]
    return rows_of(logits[None])[0], torch.cat(moved)


def _require_logits(outputs: Tensor) -> Tensor:
    if outputs.ndim != 2 or not outputs.is_floating_point():
        raise InputError(f"Logits have shape (n, classes), got {tuple(outputs.shape)}.")
    return outputs
