"""Stars of sites in any dimension: which others a site is joined to, without a triangulation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import nnls
from scipy.spatial.distance import cdist

from repgeo.hyperbolic.referee import referee
from repgeo.hyperbolic.sites import Float, Int, Sites

__all__ = ["Decisions", "StarBuilder", "star_edges"]

#: Decisions with a smaller margin (of quantities of order 1) are left to rational arithmetic.
MARGIN = 1e-9

#: Far above the rounding of a constraint: what a weight of 1 contributes to the doubt.
_ROUNDING = 1e-14

#: Constraints whose Gram matrix has a smaller eigenvalue are taken for dependent.
_DEPENDENT = 1e-10

#: With how many constraints of known neighbours a pair begins.
_FIRST = 24

#: Nearest sites that are tried as what separates a pair.
_BLOCKERS = 32

#: Pairs of this many chords are compared at once.
_CHUNK = 2**22

UNKNOWN, APART, JOINED = 0, -1, 1


@dataclass
class Decisions:
    """How pairs were decided.

    Attributes
    ----------
    margin
        The smallest distance of a decision in floating point from being another one.
    exact
        Pairs decided in rational arithmetic.
    """

    margin: float = float("inf")
    exact: int = 0


@dataclass(eq=False)
class StarBuilder:
    r"""Decides pairs of sites.

    i and j are joined if and only if there is x in the (open) unit ball with <x, w_j> = 1 and
    <x, w_k> <= 1 for all k (see `Sites` for w). With g = (-1, w) / \|(-1, w)\| this asks whether
    the projection p of the first unit vector onto {<g_j, p> = 0, <g_k, p> <= 0} has p_0 > 1/2,
    and it is a problem of non-negative least squares. Only a few constraints are given to it; its
    solution is shown to all sites, and the one that it violates most joins the constraints. A
    projection that is not long enough certifies that the pair is apart whatever the others do; one
    that violates nothing is a witness that they are joined.

    Attributes
    ----------
    sites
        All of them.
    weak
        Whether a common point of two cells is enough.
    decisions
        How pairs were decided so far.

    Notes
    -----
    O(n d) for each problem, a few problems for each pair. Source of the scheme: Clarkson 1994,
    More output-sensitive geometric algorithms.
    """

    sites: Sites
    weak: bool = False
    decisions: Decisions = field(default_factory=Decisions)

    @property
    def threshold(self) -> float:
        """What p_0 must exceed."""
        return 0.5 if self.sites.hyperbolic else 0.0

    @property
    def _escape(self) -> float:
        """What <u, w> of a ray must exceed to leave the cell."""
        return 1.0 if self.sites.hyperbolic else 0.0

    def star(self, i: int, state: np.ndarray | None = None) -> np.ndarray:
        """The row of decisions of a site `(sites,)`: 1 joined, -1 apart (itself too).

        Parameters
        ----------
        i
            The site.
        state
            What is known: 1, -1, or 0 where the pair is open. Nothing by default.
        """
        known = np.zeros(len(self.sites), dtype=np.int8) if state is None else state.copy()
        known[i] = APART
        if not (known == UNKNOWN).any():
            return known
        normals = self.sites.normals(i)
        chords = self.sites.chords(i)
        chords[i] = np.inf
        nearest = int(chords.argmin())
        if (chords <= chords[nearest] * (1 + MARGIN)).sum() == 1:
            known[nearest] = JOINED
        if state is None:
            self._seed(known, normals, chords)
        # what a site is apart from does not bound its cell: it need not be looked at again
        kept = np.flatnonzero(known != APART)
        rows, status = normals[kept], known[kept]
        for place in np.argsort(chords[kept], kind="stable"):
            if status[place] == UNKNOWN:
                status[place] = self._decide(i, kept, rows, status, int(place))
        known[kept] = status
        return known

    def joined(self, i: int, j: int) -> bool:
        """Whether one pair is joined."""
        kept = np.delete(np.arange(len(self.sites)), i)
        status = np.full(len(kept), UNKNOWN, dtype=np.int8)
        return self._decide(i, kept, self.sites.normals(i)[kept], status, j - (j > i)) == JOINED

    def _seed(self, known: np.ndarray, normals: Float, chords: Float) -> None:
        """Neighbours in the directions of near sites, and what they separate from the site."""
        near = np.argpartition(chords, min(4 * _BLOCKERS, len(chords) - 1))[: 4 * _BLOCKERS]
        polar = normals[:, 1:] / np.where(normals[:, :1] == 0, -1.0, -normals[:, :1])
        reach = polar[near] @ polar.T
        top = np.partition(reach, -2, axis=1)[:, -2:]
        clear = top[:, 1] > top[:, 0] + MARGIN * np.abs(top[:, 1])
        known[reach.argmax(axis=1)[clear & (top[:, 1] > self._escape + MARGIN)]] = JOINED
        if not self.sites.hyperbolic:
            return
        joined = np.flatnonzero(known == JOINED)
        open_ = np.flatnonzero(known == UNKNOWN)
        gaps, points = self.sites.gap, self.sites.points
        size = max(1, _CHUNK // max(1, len(joined)))
        for low in range(0, len(open_), size):
            part = open_[low : low + size]
            apart = cdist(points[part], points[joined])
            way = chords[joined] + apart / np.sqrt(gaps[part, None] * gaps[joined])
            known[part[(way <= chords[part, None] * (1 - MARGIN)).any(axis=1)]] = APART

    def _decide(self, i: int, kept: Int, normals: Float, status: np.ndarray, place: int) -> int:
        """Decide a pair of i: JOINED or APART.

        Parameters
        ----------
        i
            The site.
        kept
            The other sites that may bound its cell `(k,)`.
        normals
            Of these, seen from i `(k, 1 + d)`.
        status
            What is known of them `(k,)`.
        place
            Which of them is the other site.
        """
        own = normals[place]
        joined = np.flatnonzero(status == JOINED)
        if len(joined) > _FIRST:
            joined = joined[np.argpartition(-(normals[joined] @ own), _FIRST)[:_FIRST]]
        chosen: list[int] = joined.tolist()
        target = -own[0] * own
        target[0] += 1.0
        while True:
            rows = normals[chosen]
            rows = rows - (rows @ own)[:, None] * own
            weights = _weights(rows, target)
            p = target - weights @ rows
            room = float(p @ p) - self.threshold
            doubt = MARGIN + _ROUNDING * float(weights.sum())
            active = np.flatnonzero(weights)
            if not self.sites.hyperbolic and room <= MARGIN and _spanned(rows[active], weights):
                return APART
            if abs(room) <= doubt:
                break
            if room < 0:
                self.decisions.margin = min(self.decisions.margin, -room)
                return APART
            excess = normals @ p
            excess[place] = -np.inf
            tight = [chosen[k] for k in active]
            excess[tight] = -np.inf
            worst = int(excess.argmax())
            slack = -float(excess[worst])
            if slack > doubt and _flexible(rows[active]):
                self.decisions.margin = min(self.decisions.margin, room, slack)
                return JOINED
            if slack >= -doubt or worst in chosen:
                break
            chosen.append(worst)
        self.decisions.exact += 1
        tight = [int(kept[chosen[k]]) for k in active]
        joins = referee(self.sites, i, int(kept[place]), tight, weak=self.weak)
        return JOINED if joins else APART


def _weights(rows: Float, target: Float) -> Float:
    """The weights >= 0 of rows that bring their sum nearest to a target."""
    if not len(rows):
        return np.zeros(0)  # SciPy does not survive a matrix without columns
    made: Float = nnls(rows.T, target)[0]
    return made


def _spanned(active: Float, weights: Float) -> bool:
    """Whether the target is a combination of as many rows as there are dimensions, all needed.

    It then stays one when everything moves a little.
    """
    if len(active) < active.shape[1] - 1:
        return False
    return float(weights[weights > 0].min()) > MARGIN and _flexible(active)


def _flexible(rows: Float) -> bool:
    """Whether constraints are far from dependent: p can leave all of them without a long way.

    Rounding moves them by some 1e-15, and p by that divided by the root of the eigenvalue.
    """
    return not len(rows) or bool(np.linalg.eigvalsh(rows @ rows.T)[0] > _DEPENDENT)


def star_edges(sites: Sites, *, weak: bool = False) -> tuple[Int, Decisions]:
    """The Delaunay edges `(m, 2)` of sites in any dimension, from the stars of all of them.

    Pairs that one near site separates (`s_ik + s_jk <= s_ij` with s = sinh(d/2)) are dismissed
    first; the others are decided once, beginning with the sites that have the fewest of them.

    Returns
    -------
    (ndarray, Decisions)
        Pairs i < j, sorted, and how they were decided.

    Notes
    -----
    O(n^2) chords and 32 n^2 additions, then O(n d) for each pair that no near site separates.
    Memory: 10 bytes for each pair of sites; `sampled_hyperdga` needs none of that.
    """
    n = len(sites)
    builder = StarBuilder(sites, weak)
    if n < 2:
        return np.empty((0, 2), dtype=np.int64), builder.decisions
    state = _separated(sites) if sites.hyperbolic else np.zeros((n, n), dtype=np.int8)
    np.fill_diagonal(state, APART)
    for i in np.argsort((state == UNKNOWN).sum(axis=1), kind="stable"):
        row = builder.star(int(i), state[i])
        state[i], state[:, i] = row, row
    return np.argwhere(np.triu(state == JOINED, 1)).astype(np.int64), builder.decisions


def _separated(sites: Sites) -> np.ndarray:
    """-1 for pairs that one of the near sites separates `(n, n)`, 0 for the others."""
    n = len(sites)
    chords = cdist(sites.points, sites.points)
    root = np.sqrt(sites.gap)
    chords /= root
    chords /= root[:, None]
    np.fill_diagonal(chords, np.inf)
    count = min(_BLOCKERS, n - 1)
    state = np.zeros((n, n), dtype=np.int8)
    for i, row in enumerate(chords):
        near = np.argpartition(row, count - 1)[:count]
        way = (row[near][:, None] + chords[near]).min(axis=0)
        state[i, way <= row * (1 - MARGIN)] = APART
    return np.minimum(state, state.T)
