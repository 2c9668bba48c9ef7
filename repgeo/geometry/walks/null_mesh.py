"""All ways at once: a mesh of points of the class of an input, along every null direction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from repgeo.errors import InputError, NonFiniteError
from repgeo.geometry.feature_map import FeatureMap, Map, full_precision
from repgeo.geometry.jacobians import jacobian
from repgeo.geometry.walks.correction import Precision, Tangent, corrected
from repgeo.geometry.walks.double_precision import in_double_precision
from repgeo.geometry.walks.null_space import NullSpace

__all__ = ["NullMesh", "mesh_size", "null_mesh"]

_ROUNDING = 50  # eps; what the correction leaves
_ITERATIONS = 15  # of one correction


@dataclass(frozen=True, eq=False)
class NullMesh:
    """N points of one class, each but the first reached from another by one step.

    Attributes
    ----------
    points
        `(N, ...)`, in units of input; the first is the start.
    parent
        The point that each was reached from, `(N,)`, int64; -1 for the start.
    depth
        Steps from the start, `(N,)`, int64, in ascending order.
    edges
        Pairs of points one step apart, the smaller number first, `(E, 2)`, int64. A tree has N - 1;
        where points are merged there are more.
    drift
        Largest absolute difference from the output at the start, `(N,)`, in units of output.
    rank
        Rank of the Jacobian at each point that the mesh was continued from, `(N,)`, int64; -1 at
        the others, which are those of the last step. Where it is not that of the start the mesh
        ends.
    failed
        Steps that could not be brought back to the class.
    """

    points: Tensor
    parent: Tensor
    depth: Tensor
    edges: Tensor
    drift: Tensor
    rank: Tensor
    failed: int


def mesh_size(null_dim: int, steps: int, *, tree: bool) -> int:
    """How many points a mesh has on a flat class.

    A tree with 2 n branches at each point has sum_k (2 n)^k points. The points of a lattice that
    are up to K steps from the origin are sum_j C(n, j) C(K, j) 2^j.

    Parameters
    ----------
    null_dim
        n.
    steps
        K.
    tree
        Whether points that are reached in several ways count each time.

    Examples
    --------
    >>> mesh_size(2, 3, tree=False), mesh_size(3, 2, tree=False), mesh_size(4, 3, tree=False)
    (25, 25, 129)
    >>> mesh_size(1, 3, tree=True)
    15
    """
    if tree:
        return sum((2 * null_dim) ** k for k in range(steps + 1))
    both = range(min(null_dim, steps) + 1)
    return sum(math.comb(null_dim, j) * math.comb(steps, j) * 2**j for j in both)


def null_mesh(
    f: Map,
    x: Tensor,
    *,
    step_size: float,
    steps: int,
    merge: float | None = 0.5,
    most: int = 10_000,
) -> NullMesh:
    """Spread over the class of one input: from each point both ways along every null direction.

    The directions are an orthonormal basis of the kernel of the Jacobian; at the start it is the
    solver's, and each point takes over that of the point it was reached from, as the nearest
    orthonormal basis of its own kernel. Each step is brought back to the output of the start.

    Parameters
    ----------
    f
        A batched map from `(B, ...)` to `(B, m)`. A module is computed in float64, on a copy where
        it is of another dtype; a callable in the dtype of `x`.
    x
        One input, `(1, ...)`.
    step_size
        Length of a step before it is corrected, in units of input.
    steps
        K: how many steps from the start, at least 1.
    merge
        Points nearer to each other than this many steps are one; it must be below 1. None: a tree,
        in which also what is reached in two ways is there twice.
    most
        Points beyond which nothing is computed.

    Returns
    -------
    NullMesh
        Points and what they were reached from.

    Raises
    ------
    InputError
        If shapes or values do not fit, the class is a point, or there would be too many points:
        `mesh_size` tells how many. On a class that is not flat there may be more, which is found
        out on the way.
    NonFiniteError
        If the output at the start, or a Jacobian on the way, is NaN or infinite.

    Notes
    -----
    Cost: for each point a Jacobian, 2 d m^2 + 2 d n^2 operations for the kernel of dimension n and
    its basis, and 2 n corrections of about four forward passes. The number of points grows like
    (2 K)^n / n!, or (2 n)^K as a tree: it is for few dimensions. A walk costs one of them.

    References
    ----------
    A. Benfenati, A. Marta, "A singular Riemannian geometry approach to deep neural networks III.
    Piecewise differentiable layers and random walks on n-dimensional classes" (2024), arXiv
    2404.06104, who spread along eigenvectors without correction.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
    >>> made = null_mesh(lambda x: x.sum(dim=1, keepdim=True), x, step_size=0.1, steps=3)
    >>> len(made.points), len(made.edges), bool(made.drift.max() < 1e-14)
    (25, 36, True)
    """
    _check(step_size, steps, merge, most)
    f, x = in_double_precision(f, x)
    if x.ndim < 2 or len(x) != 1:
        raise InputError(f"A mesh starts from one input, (1, ...); got {tuple(x.shape)}.")
    mesh = _Mesh(FeatureMap(f, x), step_size, merge, most)
    n = mesh.null_dim
    count = mesh_size(n, steps, tree=merge is None)
    if count > most:
        raise InputError(
            f"A mesh of {steps} steps both ways along {n} null directions has {count} points, and "
            f"most={most} are allowed. Take fewer steps, "
            + ("merge points, " if merge is None else "")
            + "or walk: null_walk and uniform_walk cost one point per step in any dimension."
        )
    for _ in range(steps):
        mesh.grow()
    return mesh.result(x.shape[1:])


def _check(step_size: float, steps: int, merge: float | None, most: int) -> None:
    if not (math.isfinite(step_size) and step_size > 0):
        raise InputError(f"step_size must be a positive, finite number, got {step_size!r}.")
    for name, value in (("steps", steps), ("most", most)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name} must be an integer of at least 1, got {value!r}.")
    if merge is not None and not 0 < merge < 1:
        raise InputError(
            f"merge must lie between 0 and 1 steps, or be None for a tree; got {merge!r}."
        )


class _Mesh:
    """A mesh as it grows, ring by ring."""

    def __init__(self, f: FeatureMap, step_size: float, merge: float | None, most: int) -> None:
        self.f, self.step_size, self.most = f, step_size, most
        self.apart = None if merge is None else merge * step_size
        self.points = f.x.clone()  # (N, d)
        self.wanted = self._features(f.x)  # (1, m)
        if not bool(self.wanted.isfinite().all()):
            raise NonFiniteError("The map gives NaN or infinite values where the mesh starts.")
        self.parent, self.depth, self.rank = [-1], [0], [-1]
        self.edges: set[tuple[int, int]] = set()
        self.failed = 0
        self.tangent = self._tangents(f.x)  # of the points to be continued from
        self.null_dim = int(self.tangent.space.null_dim)
        if self.null_dim == 0:
            raise InputError(
                "The Jacobian has full column rank: the class is a point, there is no mesh on it."
            )
        rows = self.tangent.space.basis[:, :, : int(self.tangent.space.rank)]
        complete = torch.linalg.qr(rows, mode="complete").Q  # (1, d, d)
        self.bases = complete[:, :, rows.shape[2] :]  # (F, d, n)
        self.ring = torch.zeros(1, dtype=torch.long)  # numbers of the points to be continued from
        size = torch.maximum(
            self.wanted.abs().amax(), (self.tangent.J[0].abs() @ self.points[0].abs()).amax()
        )
        self.limit = _ROUNDING * torch.finfo(self.points.dtype).eps * size

    def _features(self, x: Tensor) -> Tensor:
        with torch.no_grad(), full_precision(x.device):
            return self.f(x)

    def _tangents(self, x: Tensor) -> Tangent:
        J = jacobian(self.f, x)
        return Tangent(J, NullSpace.of(J))

    def grow(self) -> None:
        """One more step from all points of the last ring at which the rank has not changed."""
        if len(self.ring) == 0:  # the class is covered
            return
        for place, number in enumerate(self.ring.tolist()):
            self.rank[number] = int(self.tangent.space.rank[place])
        same = self.tangent.space.null_dim == self.null_dim
        going = torch.nonzero(same)[:, 0]
        if len(going) == 0:
            self.ring = self.ring[:0]
            return
        ring, bases, n = self.ring[going.cpu()], self.bases[going], self.null_dim
        moves = self.step_size * torch.cat([bases, -bases], dim=2).mT  # (F, 2 n, d)
        start = (self.points[ring][:, None] + moves).flatten(0, 1)
        owner = going.repeat_interleave(2 * n)
        limit = self.limit.expand(len(start))
        found = corrected(
            self._features,
            self._tangents,
            start,
            self.wanted.expand(len(start), -1),
            self.tangent.rows(owner),
            bounds=None,
            precision=Precision(limit, limit, _ITERATIONS, None),
            corrector="newton",
        )
        self.failed += int((~found.reached).sum())
        children, origins = self._take(found.x.view(len(ring), 2 * n, -1), found.reached, ring)
        self.ring = torch.arange(len(self.points) - len(children), len(self.points))
        self.bases = bases[origins]
        if len(children):
            self._continue(children)

    def _take(self, found: Tensor, reached: Tensor, ring: Tensor) -> tuple[Tensor, Tensor]:
        """Add what is new of the points `(F, 2 n, d)`: which, and where they come from."""
        reached = reached.view(found.shape[:2])
        origins: list[int] = []
        for place, number in enumerate(ring.tolist()):
            some = found[place][reached[place]]
            fresh = torch.ones(len(some), dtype=torch.bool, device=some.device)
            if self.apart is not None and len(some):
                # Not by matrix products: those would lose the digits of small distances.
                away = torch.cdist(some, self.points, compute_mode="donot_use_mm_for_euclid_dist")
                least, nearest = away.min(dim=1)
                fresh = least >= self.apart
                for other in nearest[~fresh].tolist():
                    self._link(number, other)
            added = some[fresh]
            first = len(self.points)
            if first + len(added) > self.most:
                raise InputError(
                    f"The class is not flat, and the mesh has more than most={self.most} points "
                    f"after {self.depth[-1]} steps. Take fewer or longer steps, or walk."
                )
            self.points = torch.cat([self.points, added])
            for child in range(first, len(self.points)):
                self._link(number, child)
                self.parent.append(number)
                self.depth.append(self.depth[number] + 1)
                self.rank.append(-1)
                origins.append(place)
        made = torch.tensor(origins, dtype=torch.long, device=found.device)
        return self.points[len(self.points) - len(origins) :], made

    def _link(self, one: int, other: int) -> None:
        if one != other:
            self.edges.add((min(one, other), max(one, other)))

    def _continue(self, children: Tensor) -> None:
        """The kernels of new points, and what the bases of their parents become there."""
        self.tangent = self._tangents(children)
        rows = self.tangent.space.basis  # (F, d, p)
        inside = self.bases - rows @ (rows.mT @ self.bases)
        left, _, right = torch.linalg.svd(inside, full_matrices=False)
        self.bases = left @ right  # the nearest orthonormal basis

    def result(self, shape: torch.Size) -> NullMesh:
        """What has grown."""
        drift = (self._features(self.points) - self.wanted).abs().amax(dim=1)
        device = self.points.device
        edges = torch.tensor(sorted(self.edges), dtype=torch.long, device=device)
        return NullMesh(
            points=self.points.view(-1, *shape),
            parent=torch.tensor(self.parent, device=device),
            depth=torch.tensor(self.depth, device=device),
            edges=edges.view(-1, 2),
            drift=drift,
            rank=torch.tensor(self.rank, device=device),
            failed=self.failed,
        )
