"""The kernel of a Jacobian, and the projection onto it, without a matrix of its size squared."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from repgeo.errors import InputError, NonFiniteError
from repgeo.geometry.determinants import PrecisionWarning
from repgeo.geometry.feature_map import FeatureMap, Map, full_precision
from repgeo.geometry.jacobians import jacobian
from repgeo.geometry.lanczos import jacobian_products
from repgeo.geometry.walks.double_precision import in_double_precision

__all__ = ["NullSpace", "null_space", "project_to_null_space", "spectral_gap"]


@dataclass(frozen=True, eq=False)
class NullSpace:
    """The kernels of matrices J `(B, m, d)`, by what is orthogonal to them; p = min(m, d).

    J = U diag(s) V^T with the columns of V in `basis` and those of U in `images`.

    Attributes
    ----------
    rank
        Singular values that count, `(B,)`, int64.
    basis
        Orthonormal basis of the row space, `(B, d, p)`; columns beyond the rank are zero.
    images
        The left singular vectors that belong to the columns, `(B, m, p)`.
    singular_values
        All of them in descending order, `(B, p)`, in units of output per unit of input.

    Examples
    --------
    >>> found = NullSpace.of(torch.tensor([[[3.0, 4.0, 0.0]]]))
    >>> found.rank.tolist(), found.null_dim.tolist(), found.singular_values.tolist()
    ([1], [2], [[5.0]])
    >>> found.project(torch.tensor([[0.0, 0.0, 2.0]])).tolist()
    [[0.0, 0.0, 2.0]]
    """

    rank: Tensor
    basis: Tensor
    images: Tensor
    singular_values: Tensor

    @classmethod
    def of(cls, J: Tensor, *, tol: float | None = None) -> NullSpace:
        """The kernels of matrices `(B, m, d)`.

        By a QR decomposition of J^T and the singular values of its triangular factor: J^T J,
        which would square the condition number, is not formed. 2 d p^2 operations each.

        Parameters
        ----------
        J
            `(B, m, d)`, finite.
        tol
            Singular values up to this count as zero; None: max(m, d) eps times the largest.

        Raises
        ------
        InputError
            If the shape does not fit or `tol` is negative.
        """
        if J.ndim != 3 or not J.is_floating_point():
            raise InputError(f"Jacobians are (B, m, d), floating point; got {tuple(J.shape)}.")
        if tol is not None and not tol >= 0:
            raise InputError(f"tol must not be negative, got {tol!r}.")
        Q, R = torch.linalg.qr(J.mT)  # (B, d, p), (B, p, m)
        inner, values, images = torch.linalg.svd(R, full_matrices=False)
        eps = torch.finfo(J.dtype).eps
        largest = values[:, :1]
        limit = max(J.shape[1:]) * eps * largest if tol is None else torch.full_like(largest, tol)
        counts = values > limit  # (B, p)
        rank = counts.sum(dim=1)
        return cls(rank, torch.bmm(Q, inner * counts[:, None, :]), images.mT, values)

    @property
    def gap(self) -> Tensor:
        """How clear the ranks are, `(B,)`: `spectral_gap` of the singular values."""
        return spectral_gap(self.singular_values, self.rank)

    @property
    def null_dim(self) -> Tensor:
        """Dimensions of the kernels, `(B,)`, int64."""
        return self.basis.shape[1] - self.rank

    def project(self, v: Tensor) -> Tensor:
        """The parts of vectors `(B, d)` in the kernels.

        Projected twice: the second time takes away what rounding left of the row space.
        """
        columns, across = v[:, :, None], self.basis.mT
        for _ in range(2):
            columns = torch.baddbmm(columns, self.basis, torch.bmm(across, columns), alpha=-1)
        return columns.squeeze(2)

    def lift(self, change: Tensor) -> Tensor:
        """The shortest moves `(B, d)` that change outputs by `(B, m)` to first order: J^+ dy.

        Of a change that no move gives, the part that one gives is lifted.
        """
        return torch.bmm(self.basis, torch.bmm(self.inverse(), change[:, :, None])).squeeze(2)

    def inverse(self) -> Tensor:
        """The pseudo-inverses of J in terms of the basis, `(B, p, m)`: J^+ = basis @ inverse."""
        counts = torch.arange(self.basis.shape[2], device=self.rank.device) < self.rank[:, None]
        weights = torch.where(counts, 1.0 / self.singular_values, 0.0)
        return weights[:, :, None] * self.images.mT

    def rows(self, index: Tensor) -> NullSpace:
        """Those of some of the matrices."""
        if len(index) == len(self.rank):
            return self
        return NullSpace(*(getattr(self, field.name)[index] for field in fields(self)))

    def replaced(self, index: Tensor, others: NullSpace) -> NullSpace:
        """The same with those of some matrices replaced."""
        if len(index) == len(self.rank):
            return others
        made = []
        for field in fields(self):
            values = getattr(self, field.name).clone()
            values[index] = getattr(others, field.name)
            made.append(values)
        return NullSpace(*made)


def spectral_gap(values: Tensor, rank: Tensor) -> Tensor:
    """The smallest singular value that counts over the largest that does not, `(...)`.

    The latter is taken to be at least eps times the largest of all; infinite where the rank is 0.

    Parameters
    ----------
    values
        Singular values in descending order, `(..., p)`.
    rank
        How many count, `(...)`, int64.

    Examples
    --------
    >>> spectral_gap(torch.tensor([[4.0, 2.0, 0.5]]), torch.tensor([2])).tolist()
    [4.0]
    """
    largest = values[..., :1]
    padded = torch.cat([largest, values, torch.zeros_like(largest)], dim=-1)
    kept = padded.gather(-1, rank[..., None])
    eps = torch.finfo(values.dtype).eps
    dropped = torch.maximum(padded.gather(-1, rank[..., None] + 1), eps * largest)
    return torch.where(rank > 0, (kept / dropped).squeeze(-1), torch.inf)


def null_space(f: Map, x: Tensor, *, tol: float | None = None) -> NullSpace:
    """The kernel of the Jacobian of a map at each input: where it does not tell inputs apart.

    The kernel of J(x) is that of the pullback metric J^T G J for every positive definite G.

    Parameters
    ----------
    f
        A batched map from `(B, ...)` to `(B, m)`. A module is computed in float64, on a copy where
        it is of another dtype; a callable in the dtype of `x`.
    x
        Inputs `(B, ...)`, d numbers each.
    tol
        Singular values up to this, in units of output per unit of input, count as zero; None:
        max(m, d) eps times the largest.

    Returns
    -------
    NullSpace
        Rank, orthonormal basis of the row space, singular values; `.project(v)` projects.

    Raises
    ------
    InputError, NonFiniteError
        As `jacobian`; and if `tol` is negative.

    Notes
    -----
    Cost: the Jacobian, and 2 d m^2 operations for each input. A matrix of size d x d is not formed.

    References
    ----------
    A. Benfenati, A. Marta, "A singular Riemannian geometry approach to deep neural networks I.
    Theoretical foundations" (2023), arXiv 2201.09656.

    Examples
    --------
    >>> x = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    >>> kernel = null_space(lambda x: x.square().sum(dim=1, keepdim=True), x)
    >>> kernel.rank.tolist(), kernel.singular_values.tolist()
    ([1], [[10.0]])
    >>> [round(v, 12) for v in kernel.project(torch.tensor([[1.0, 0.0]]).double())[0].tolist()]
    [0.64, -0.48]
    """
    f, x = in_double_precision(f, x)
    return NullSpace.of(jacobian(f, x), tol=tol)


def project_to_null_space(
    f: Map, x: Tensor, v: Tensor, *, tolerance: float | None = None, iterations: int | None = None
) -> Tensor:
    """The parts of vectors in the kernels of Jacobians that are never formed.

    P v = v - J^T u with the u that makes this shortest, by conjugate gradients on that
    least-squares problem (CGLS): for maps with many outputs.

    Parameters
    ----------
    f, x
        As for `null_space`.
    v
        Vectors `(B, ...)` of the shape of `x`.
    tolerance
        |J P v| is at most this times |J| |v|; None: 100 eps.
    iterations
        Most iterations; None: 4 min(m, d) + 20.

    Returns
    -------
    Tensor
        P v, `(B, ...)`, float64 where `f` is a module.

    Raises
    ------
    InputError
        If the shapes do not fit.
    NonFiniteError
        If a product with the Jacobian is NaN or infinite.

    Warns
    -----
    PrecisionWarning
        If the tolerance was not reached.

    Notes
    -----
    One pass that carries a tangent and one backward pass for each iteration; as many as there are
    distinct singular values, or fewer, of a well-conditioned Jacobian.

    References
    ----------
    M. Hestenes, E. Stiefel, "Methods of conjugate gradients for solving linear systems" (1952).

    Examples
    --------
    >>> x = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    >>> v = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    >>> found = project_to_null_space(lambda x: x.square().sum(dim=1, keepdim=True), x, v)
    >>> [round(value, 12) for value in found[0].tolist()]
    [0.64, -0.48]
    """
    if v.shape != x.shape:
        raise InputError(f"Vectors must have the inputs' shape {tuple(x.shape)}: {tuple(v.shape)}.")
    f, x = in_double_precision(f, x)
    feature_map = FeatureMap(f, x)
    rows = feature_map.x
    tolerance = 100 * torch.finfo(rows.dtype).eps if tolerance is None else tolerance
    most = 4 * min(feature_map.features, feature_map.inputs) + 20
    with full_precision(rows.device):
        multiply, multiply_back = jacobian_products(feature_map, rows)
        rest = v.detach().flatten(1).to(rows)  # v - J^T u, (B, d)
        length = rest.norm(dim=1)
        image = multiply(rest)  # J (v - J^T u), (B, m): to vanish
        step, size = image, torch.zeros_like(length)
        for _ in range(most if iterations is None else iterations):
            square = image.square().sum(dim=1)
            back = multiply_back(step)
            # |J| from below: by what it does to the vectors at hand
            seen = back.norm(dim=1) / step.norm(dim=1)
            size = torch.maximum(size, seen.nan_to_num(0.0))
            going = square.sqrt() > tolerance * size * length
            if not bool(going.any()):
                break
            weight = torch.where(going, square / back.square().sum(dim=1), 0.0)
            rest = rest - weight[:, None] * back
            image = multiply(rest)
            if not bool(torch.isfinite(image).all()):
                raise NonFiniteError("Products with the Jacobian are NaN or infinite.")
            ratio = torch.where(going, image.square().sum(dim=1) / square, 0.0)
            step = image + ratio[:, None] * step
        else:
            warnings.warn(
                "The projection onto the kernel did not converge: the Jacobian is ill-conditioned. "
                "Use null_space, which decomposes it, or more iterations.",
                PrecisionWarning,
                stacklevel=2,
            )
    return rest.view(x.shape)
