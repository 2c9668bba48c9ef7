"""Retrieval of moved samples by their codes: hit rate, mean reciprocal rank, rollouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.representations import Representation

__all__ = [
    "Retrieval",
    "class_pose_distances",
    "harmonic",
    "retrieval",
    "retrieval_of_distances",
    "rollout",
    "rollout_retrieval",
]

Distances = Callable[[Tensor, Tensor], Tensor]


def harmonic(n: int) -> float:
    """The harmonic number H_n = 1 + 1/2 + ... + 1/n.

    Examples
    --------
    >>> harmonic(2)
    1.5
    """
    return float((1 / torch.arange(1, n + 1, dtype=torch.float64)).sum())


@dataclass(frozen=True)
class Retrieval:
    """How well the right code is found among candidates.

    Attributes
    ----------
    hits
        The probability that the right candidate is among the k nearest, ties in random order,
        `(n,)`, float64.
    reciprocal_ranks
        The mean of 1 / rank, ties in random order, `(n,)`, float64.
    candidates
        How many candidates each query has.
    k
        How many of the nearest count as a hit.
    """

    hits: Tensor = field(repr=False)
    reciprocal_ranks: Tensor = field(repr=False)
    candidates: int
    k: int

    @property
    def hit_rate(self) -> float:
        """Mean of `hits`, H@k."""
        return float(self.hits.mean())

    @property
    def mean_reciprocal_rank(self) -> float:
        """Mean of `reciprocal_ranks`."""
        return float(self.reciprocal_ranks.mean())

    @property
    def chance_hit_rate(self) -> float:
        """Share of the candidates that count, k / n."""
        return self.k / self.candidates

    @property
    def chance_mean_reciprocal_rank(self) -> float:
        """H_n / n for n candidates."""
        return harmonic(self.candidates) / self.candidates


def retrieval_of_distances(distances: Tensor, k: int = 1) -> Retrieval:
    """Hits and reciprocal ranks of the diagonal of matrices of distances.

    Candidates at the same distance are ordered at random, in expectation: codes that are all the
    same give exactly the chance level, and no credit is taken for a tie.

    Parameters
    ----------
    distances
        From query i to candidate j, the right one being j = i, `(n, n)` or `(batches, n, n)`.
    k
        How many of the nearest count as a hit.

    Raises
    ------
    InputError
        If the matrices are not square, a distance is NaN, or k is not from 1 to n.

    Notes
    -----
    O(n^2) for each matrix.

    Examples
    --------
    >>> found = retrieval_of_distances(torch.zeros(4, 4))
    >>> found.hit_rate, found.chance_hit_rate
    (0.25, 0.25)
    """
    batches = distances[None] if distances.ndim == 2 else distances
    n = batches.shape[-1]
    if batches.ndim != 3 or batches.shape[1] != n or n == 0:
        raise InputError(f"Distances are (n, n) or (batches, n, n), got {tuple(distances.shape)}.")
    if not 1 <= k <= n:
        raise InputError(f"k must be from 1 to the number of candidates, {n}; got {k}.")
    if bool(torch.isnan(batches).any()):
        raise InputError("A distance is NaN.")
    right = batches.diagonal(dim1=1, dim2=2)[:, :, None]
    nearer = (batches < right).sum(dim=2).flatten()
    tied = (batches == right).sum(dim=2).flatten()  # with the right one itself
    hits = ((k - nearer).double() / tied).clamp(0, 1)
    terms = 1 / torch.arange(1, n + 1, dtype=torch.float64, device=batches.device)
    sums = torch.nn.functional.pad(terms.cumsum(0), (1, 0))  # H_0 to H_n
    reciprocal = (sums[nearer + tied] - sums[nearer]) / tied
    return Retrieval(hits, reciprocal, n, k)


def retrieval(
    predicted: Tensor,
    targets: Tensor,
    *,
    candidates: int = 32,
    k: int = 1,
    distances: Distances | None = None,
) -> Retrieval:
    """H@k and mean reciprocal rank of targets among those of other samples.

    Samples are cut into batches of `candidates` in their order (what is left over is dropped);
    each prediction looks for its own target among those of its batch. The number of candidates
    decides the chance level: compare only results with the same one.

    Parameters
    ----------
    predicted
        ρ(g) f(x), `(n, ...)`.
    targets
        f(g x), `(n, ...)`.
    candidates
        The size of a batch.
    k
        How many of the nearest count as a hit.
    distances
        From batches `(b, ...)` and `(b, ...)` to `(b, b)`; squared Euclidean distances by default.

    Raises
    ------
    InputError
        If the shapes differ, or there are fewer samples than candidates.

    Notes
    -----
    O(n candidates features). Source: Kipf, van der Pol and Welling 2020 (hit rate and mean
    reciprocal rank of world models); with batches of 32, Marchetti, Tegner, Varava and Kragic 2023
    (arXiv:2207.03116).

    Examples
    --------
    >>> codes = torch.arange(8.0)[:, None]
    >>> retrieval(codes + 0.1, codes, candidates=4).hit_rate
    1.0
    """
    if predicted.shape != targets.shape:
        raise InputError(
            f"Predictions and targets have the same shape, got {tuple(predicted.shape)} and "
            f"{tuple(targets.shape)}."
        )
    if candidates < 1 or len(predicted) < candidates:
        raise InputError(
            f"Batches of {candidates} candidates need as many samples, got {len(predicted)}."
        )
    measure = _squared_distances if distances is None else distances
    starts = range(0, len(predicted) - candidates + 1, candidates)
    found = [measure(predicted[s : s + candidates], targets[s : s + candidates]) for s in starts]
    return retrieval_of_distances(torch.stack(found), k)


def class_pose_distances(
    predicted: tuple[Tensor, Tensor], targets: tuple[Tensor, Tensor]
) -> Tensor:
    """Distances of codes made of a pose and a class: |P - P'|^2 + 1 - cos(e, e').

    Parameters
    ----------
    predicted, targets
        Poses `(n, ...)` and classes `(n, features)`; a class that is 0 has cosine 0 with all.

    Returns
    -------
    Tensor
        `(n, n)`, float64.

    Notes
    -----
    Source: the evaluation of Marchetti, Tegner, Varava and Kragic 2023 (arXiv:2207.03116).

    Examples
    --------
    >>> one = torch.eye(2)[None], torch.tensor([[1.0, 0.0]])
    >>> other = -torch.eye(2)[None], torch.tensor([[-1.0, 0.0]])
    >>> class_pose_distances(one, other).round(decimals=9).item()
    10.0
    """
    (P, e), (Q, f) = predicted, targets
    tiny = torch.finfo(torch.float64).tiny
    unit_e, unit_f = (
        each.double() / each.double().norm(dim=1, keepdim=True).clamp(min=tiny) for each in (e, f)
    )
    cosines: Tensor = unit_e @ unit_f.mT
    return _squared_distances(P, Q) + 1 - cosines


def rollout(
    step: Representation | Callable[[Tensor, Tensor], Tensor], start: Tensor, actions: Tensor
) -> Tensor:
    """Codes after 0 to T actions, one after another.

    Parameters
    ----------
    step
        A representation, or a learned transition (actions `(n, ...)`, codes `(n, ...)`) ->
        `(n, ...)`.
    start
        Codes, `(n, ...)`.
    actions
        `(T, n, ...)`: at each time an action for each sample; elements of the group for a
        representation.

    Returns
    -------
    Tensor
        `(T + 1, n, ...)`, the start first.

    Raises
    ------
    InputError
        If there is not one action for each sample, or an element is not in the group.

    Examples
    --------
    >>> from repgeo.groups import Cyclic, as_representation
    >>> turn = as_representation("vector", Cyclic(4))
    >>> start = torch.tensor([[1.0, 0.0]])
    >>> (rollout(turn, start, torch.ones(2, 1, dtype=torch.int64))[:, 0] + 0.0).tolist()
    [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]
    """
    if actions.ndim < 2 or actions.shape[1] != len(start):
        raise InputError(
            f"Actions are (T, n, ...) with one for each of {len(start)} samples, got "
            f"{tuple(actions.shape)}."
        )
    found = [start]
    for action in actions:
        if isinstance(step, Representation):
            moved = step.apply(step.group.require(action), found[-1][:, None])
            assert isinstance(moved, Tensor)
            found.append(moved[:, 0])
        else:
            found.append(step(action, found[-1]))
    return torch.stack(found)


def rollout_retrieval(
    step: Representation | Callable[[Tensor, Tensor], Tensor],
    codes: Tensor,
    actions: Tensor,
    *,
    times: Sequence[int] = (1, 10, 20),
    candidates: int = 32,
    k: int = 1,
) -> dict[int, Retrieval]:
    """Retrieval after T actions in the space of codes, for several T.

    A representation composes exactly, so that the hit rate does not depend on T, up to sampling;
    errors of a learned transition add up.

    Parameters
    ----------
    step, actions
        As for `rollout`.
    codes
        f(x_0), f(x_1), ... along the trajectories, `(T + 1, n, ...)`.
    times
        The T.
    candidates, k
        As for `retrieval`.

    Returns
    -------
    dict
        T -> retrieval.

    Raises
    ------
    InputError
        As `rollout`, or if a time is not from 0 to T.

    Examples
    --------
    >>> from repgeo.groups import Translations, PointCloudAction
    >>> line = torch.arange(4.0)[None, :, None] + torch.arange(3.0)[:, None, None]  # (3, 4, 1)
    >>> right = PointCloudAction(Translations(1))
    >>> found = rollout_retrieval(right, line, torch.ones(2, 4, 1), times=(1, 2), candidates=4)
    >>> {time: each.hit_rate for time, each in found.items()}
    {1: 1.0, 2: 1.0}
    """
    if len(codes) != len(actions) + 1 or not all(0 <= t < len(codes) for t in times):
        raise InputError(
            f"Codes at {len(codes)} times go with {len(codes) - 1} actions, and times from 0 to "
            f"{len(codes) - 1}; got {len(actions)} actions, and times {list(times)}."
        )
    predicted = rollout(step, codes[0], actions[: max(times, default=0)])
    return {t: retrieval(predicted[t], codes[t], candidates=candidates, k=k) for t in times}


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """`(n, m)`, float64; by differences, which are exact where codes are the same."""
    a, b = (each.detach().double().reshape(len(each), -1) for each in (a, b))
    squares: Tensor = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square()
    return squares
