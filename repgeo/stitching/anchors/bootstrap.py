"""Growing a correspondence between two spaces from a few seed anchors."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching.anchors.sinkhorn import sinkhorn
from repgeo.stitching.codes import as_codes, directions

__all__ = ["AnchorBootstrap", "GrownAnchors"]

_DIGITS = 6  # certainties that agree so far are ties, which the generator breaks


@dataclass(frozen=True, eq=False)
class GrownAnchors:
    """Anchors in correspondence, and how far to trust them.

    Attributes
    ----------
    source, target
        Indices into the two sides' codes, `(anchors,)` each, int64; the seeds come first. There are
        fewer than asked for where no more pairs choose each other.
    seeds
        How many of them are seeds.
    confidence
        Per pair, `(anchors,)`, in [0, 1]: the share of the regrowths without the pair among their
        seeds that find it again. It says that the answer does not hinge on some seeds; a wrong
        answer that every seed leads to looks certain.
    seed_recall
        The share of the seeds whose partner was found by a regrowth from other seeds: the one
        number that is compared with the truth. None with a single seed.
    chance
        What `seed_recall` is for spaces that have nothing to do with each other: one over the
        number of target codes.
    rounds
        How many rounds the growth took.
    settled
        Whether the last round confirmed all pairs; else the rounds ran out.
    """

    source: Tensor
    target: Tensor
    seeds: int
    confidence: Tensor
    seed_recall: float | None
    chance: float
    rounds: int
    settled: bool


@dataclass(frozen=True, eq=False)
class AnchorBootstrap:
    r"""Finds further parallel anchors from a few, by matching relative representations.

    Both sides' codes are centred by their own mean (`center`). One round, with the present
    anchors: the relative representation of every code (cosines to its side's anchors; each
    coordinate centred over the samples, each row then divided by its norm), the squared distances
    between all rows of both sides as cost, and the entropic transport plan P of that cost
    (`sinkhorn`), its temperature a share of the median over rows of the second smallest cost: of
    the scale on which neighbours differ. Two samples that choose each other, each the other's
    largest entry of P, are a pair; its certainty is P_ij^2 / (sum_k P_ik sum_k P_kj). The seeds
    and the most certain pairs, twice as many as before, are the anchors of the next round; a pair
    is kept only as long as it is found again. Growth ends when there are `count` anchors and a
    round confirms all of them, when a round changes nothing, or after `rounds` rounds.

    Then it is grown again from the seeds without one of `folds` parts of them, part by part: see
    `GrownAnchors` for what that says of the result.

    This is one answer to the question of the source, which optimises the target's anchors as free
    points by gradient descent through Sinkhorn's scalings; here they are samples, and nothing is
    differentiated.

    Parameters
    ----------
    center
        Subtract each side's mean over all its codes. Both sides should then be samples of the same
        population.
    temperature
        Of the transport, relative to the median second smallest cost.
    folds
        In how many parts the seeds are left out; at most one part per seed.
    rounds
        The largest number of rounds.

    Raises
    ------
    InputError
        If a parameter is out of its range.

    Notes
    -----
    (1 + folds) growths of at most `rounds` rounds, each of which costs O(n m (k + turns)) for n
    and m codes, k anchors and the turns of `sinkhorn`, and holds three n x m matrices: give
    samples of thousands, not millions. Source: Cannistraci et al. 2023 (arXiv 2303.00721).

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> source = torch.randn(40, 3, dtype=torch.float64, generator=generator)
    >>> target = source.flip(1).flip(0)  # features and samples in reverse order
    >>> seeds = torch.tensor([[0, 39], [1, 38], [2, 37], [3, 36]])
    >>> grown = AnchorBootstrap().grow(source, target, seeds, count=20, generator=generator)
    >>> bool((grown.source + grown.target == 39).all()), grown.seed_recall
    (True, 1.0)
    """

    _: KW_ONLY
    center: bool = True
    temperature: float = 0.1
    folds: int = 5
    rounds: int = 20

    def __post_init__(self) -> None:
        if not 0.0 < self.temperature < float("inf"):
            raise InputError(f"The temperature must be positive, got {self.temperature}.")
        if self.folds < 2 or self.rounds < 1:
            raise InputError(
                f"There must be two folds and one round at least, got folds={self.folds} and "
                f"rounds={self.rounds}."
            )

    def grow(
        self,
        source: Tensor | np.ndarray,
        target: Tensor | np.ndarray,
        seeds: Tensor,
        *,
        count: int,
        generator: torch.Generator,
    ) -> GrownAnchors:
        """Anchors in correspondence, the seeds among them.

        Parameters
        ----------
        source, target
            Codes `(n, source features)` and `(m, target features)`; rows need not correspond.
        seeds
            `(k, 2)`, integers: indices of source and target codes that are known to correspond.
        count
            How many anchors, seeds included: at most as many as the smaller side has codes.
        generator
            A CPU generator. It breaks ties between pairs of equal certainty, and deals the seeds
            into folds.

        Raises
        ------
        InputError
            If shapes do not fit, values are NaN or infinite, seeds are no indices or repeat one,
            or `count` is out of range.
        """
        sides = []
        for codes, name in ((source, "source codes"), (target, "target codes")):
            wide = as_codes(codes, name).detach().cpu().double()
            sides.append(directions(wide - wide.mean(dim=0) if self.center else wide))
        _check(seeds, sides, count)
        seeds = seeds.cpu().long()
        priority = torch.randperm(len(sides[0]), generator=generator)
        pairs, _, rounds, settled = self._grown(sides, seeds, count, priority)
        part = torch.randperm(len(seeds), generator=generator) % self.folds
        hits, trials = torch.zeros(2, len(pairs), dtype=torch.float64)
        for fold in range(min(self.folds, len(seeds)) if len(seeds) > 1 else 0):
            kept = part != fold
            _, again, _, _ = self._grown(sides, seeds[kept], count, priority)
            counted = torch.ones(len(pairs), dtype=torch.float64)
            counted[: len(seeds)][kept] = 0.0
            trials += counted
            hits += counted * (again[pairs[:, 0]] == pairs[:, 1])
        confidence = hits / trials.clamp_min(1.0)
        return GrownAnchors(
            source=pairs[:, 0],
            target=pairs[:, 1],
            seeds=len(seeds),
            confidence=confidence,
            seed_recall=float(confidence[: len(seeds)].mean()) if len(seeds) > 1 else None,
            chance=1.0 / len(sides[1]),
            rounds=rounds,
            settled=settled,
        )

    def _grown(
        self, sides: list[Tensor], seeds: Tensor, count: int, priority: Tensor
    ) -> tuple[Tensor, Tensor, int, bool]:
        """Pairs `(anchors, 2)`; each source code's match by the last round; rounds; settled."""
        pairs = seeds
        match = torch.full((len(sides[0]),), -1)
        for number in range(1, self.rounds + 1):
            match, certainty = self._matched(sides, pairs)
            confirmed = bool((match[pairs[len(seeds) :, 0]] == pairs[len(seeds) :, 1]).all())
            if len(pairs) == count and confirmed:
                return pairs, match, number, True
            free = match >= 0
            free[seeds[:, 0]] = False
            free &= ~torch.isin(match, seeds[:, 1])
            found = free.nonzero()[:, 0]
            found = found[torch.argsort(priority[found])]
            certain = certainty[found].round(decimals=_DIGITS)
            found = found[torch.argsort(certain, descending=True, stable=True)]
            found = found[: min(2 * len(pairs), count) - len(seeds)]
            grown = torch.cat([seeds, torch.stack([found, match[found]], dim=1)])
            if torch.equal(grown, pairs):  # nothing more to find
                return pairs, match, number, True
            pairs = grown
        return pairs, match, self.rounds, False

    def _matched(self, sides: list[Tensor], pairs: Tensor) -> tuple[Tensor, Tensor]:
        """For every source code the target that it and only it chooses, or -1; its certainty."""
        rows = []
        for j, codes in enumerate(sides):
            relative = codes @ codes[pairs[:, j]].T
            rows.append(directions(relative - relative.mean(dim=0)))
        cost = (2.0 - 2.0 * rows[0] @ rows[1].T).clamp_min(0.0)
        second = cost.kthvalue(min(2, cost.shape[1]), dim=1).values.median()
        # Spaces in which neighbours coincide have no scale of their own.
        scale = float(second) if float(second) > 0.0 else 1.0
        plan = sinkhorn(cost, temperature=self.temperature * scale)
        forward, backward = plan.argmax(dim=1), plan.argmax(dim=0)
        own = torch.arange(len(plan))
        largest = plan[own, forward]
        certainty = largest.square() / (plan.sum(dim=1) * plan.sum(dim=0)[forward])
        return torch.where(backward[forward] == own, forward, -1), certainty


def _check(seeds: Tensor, sides: list[Tensor], count: int) -> None:
    if seeds.ndim != 2 or seeds.shape[1] != 2 or seeds.is_floating_point() or not len(seeds):
        raise InputError(
            f"Seeds must be pairs of indices (k, 2), one at least, got {seeds.dtype} "
            f"{tuple(seeds.shape)}."
        )
    for j, name in enumerate(("source", "target")):
        column = seeds[:, j]
        if int(column.min()) < 0 or int(column.max()) >= len(sides[j]):
            raise InputError(
                f"The seeds name {name} codes from {int(column.min())} to {int(column.max())}, "
                f"there are {len(sides[j])}."
            )
        if len(torch.unique(column)) < len(column):
            raise InputError(f"The seeds name a {name} code twice: they must be a bijection.")
    most = min(len(side) for side in sides)
    if not len(seeds) <= count <= most:
        raise InputError(
            f"There can be from {len(seeds)} (the seeds) to {most} (the smaller side) anchors, got "
            f"count={count}."
        )
