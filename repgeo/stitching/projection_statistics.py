"""Means, variances and covariances of codes, and the normalisation that they define."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from repgeo.errors import InputError

__all__ = ["CodeStatistics", "Normaliser"]

_ENTRIES = 1 << 20  # of a block that statistics take in at once: 8 MiB in float64
_DEAD = 8  # units of rounding up to which a spread is nothing but rounding


@dataclass(frozen=True, eq=False)
class CodeStatistics:
    """Mean, variance and, where asked for, covariance of a set of codes, in float64.

    Attributes
    ----------
    mean, variance
        `(features,)`; the variance is the biased one.
    rounding
        The unit of rounding of the codes that they were taken from.
    factor
        A matrix `(r, features)` with factor^T factor the biased covariance, or None. Its singular
        values are the standard deviations along the principal axes, with all digits; those of the
        covariance itself would have half of them.

    Examples
    --------
    >>> found = CodeStatistics.of(torch.tensor([[0.0, 1.0], [2.0, 1.0]]))
    >>> found.mean.tolist(), found.variance.tolist()
    ([1.0, 1.0], [1.0, 0.0])
    """

    mean: Tensor
    variance: Tensor
    rounding: float
    factor: Tensor | None = None

    @staticmethod
    def of(codes: Tensor, *, covariance: bool = False) -> CodeStatistics:
        """The exact statistics of codes `(n, features)`.

        Two passes in float64 over blocks of the codes, so that a common offset costs no digits
        and no float64 copy of all codes is made. Gradients flow through mean and variance; the
        factor of the covariance is taken as constant.

        Raises
        ------
        InputError
            If there are fewer than two codes, or a variance is beyond the range of float64.

        Notes
        -----
        O(n d), with the covariance O(n d^2): the triangular factor of a QR decomposition that
        takes in block after block.
        """
        n, features = codes.shape
        if n < 2:
            raise InputError(f"Statistics need at least two codes, got {n}.")
        mean = torch.stack([part.sum(dim=0) for part in _blocks(codes)]).sum(dim=0) / n
        squares = [(part - mean).square().sum(dim=0) for part in _blocks(codes)]
        variance = torch.stack(squares).sum(dim=0) / n
        if not bool(torch.isfinite(variance).all()):
            raise InputError(
                "The variance of the codes exceeds the range of float64. Divide the codes by a "
                "number of their size first."
            )
        factor = None
        if covariance:
            factor = mean.new_zeros(0, features)
            with torch.no_grad():
                for part in _blocks(codes, rows=4 * features):
                    factor = _triangle(torch.cat([factor, part - mean]))
                factor = factor / n**0.5
        return CodeStatistics(mean, variance, torch.finfo(codes.dtype).eps, factor)

    @staticmethod
    def initial(codes: Tensor, *, covariance: bool = False) -> CodeStatistics:
        """Where running statistics start: mean 0, variance 1, no covariances.

        Of the codes `(n, features)` only features, dtype and device count.
        """
        ones = codes.new_ones(codes.shape[1], dtype=torch.float64)
        rounding = torch.finfo(codes.dtype).eps
        return CodeStatistics(0 * ones, ones, rounding, ones.diag() if covariance else None)

    def moved_towards(self, codes: Tensor, momentum: float) -> CodeStatistics:
        """New running statistics, one update with codes `(n, features)` on from these.

        (1 - momentum) times the old plus momentum times the new mean and *unbiased* variance (and
        covariance), as batch normalisation does. No gradient flows through running statistics.
        """
        with torch.no_grad():
            n = len(codes)
            new = CodeStatistics.of(codes, covariance=self.factor is not None)
            unbiased = momentum * n / (n - 1)
            factor = None
            if self.factor is not None and new.factor is not None:
                old = (1 - momentum) ** 0.5 * self.factor
                factor = _triangle(torch.cat([old, unbiased**0.5 * new.factor]))
            return CodeStatistics(
                torch.lerp(self.mean, new.mean, momentum),
                (1 - momentum) * self.variance + unbiased * new.variance,
                max(self.rounding, new.rounding),
                factor,
            )

    def dead(self) -> Tensor:
        """Which coordinates `(features,)` are constant up to rounding.

        Their standard deviation is at most 8 units of rounding of their own root mean square.
        """
        spread = self.variance.detach()
        size = (spread + self.mean.detach().square()).sqrt()
        return spread.sqrt() <= _DEAD * self.rounding * size


@dataclass(frozen=True, eq=False)
class Normaliser:
    """The affine map z -> ((z - mean) * weight) matrix of codes.

    Attributes
    ----------
    mean, weight
        `(features,)`, float64: zeros where codes are not centred, ones where they are not scaled,
        and weight 0 for a dead coordinate.
    matrix
        `(features, r)` or None where codes are not whitened.
    rank
        How many directions are alive.
    floor
        The norm up to which a normalised code is nothing but the rounding of the mean.
    """

    mean: Tensor
    weight: Tensor
    matrix: Tensor | None
    rank: int
    floor: float

    @staticmethod
    def identity(codes: Tensor) -> Normaliser:
        """The normaliser that leaves codes `(n, features)` as they are."""
        ones = codes.new_ones(codes.shape[1], dtype=torch.float64)
        return Normaliser(torch.zeros_like(ones), ones, None, len(ones), 0.0)

    @staticmethod
    def of(
        found: CodeStatistics,
        *,
        center: bool,
        scale: bool,
        ridge: float | None = None,
        symmetric: bool = False,
    ) -> Normaliser:
        """Subtract the mean, divide by the standard deviations, whiten; each where asked for.

        With C the covariance of the scaled coordinates, V and l its eigenvectors and eigenvalues,
        the matrix of whitening is V diag(l + ridge m)^(-1/2), with m the mean of the eigenvalues;
        the `symmetric` one is that times V^T. Both give the same products. Dead directions, in
        which the codes have no spread but rounding, are left out, of the mean m too. `ridge`
        None does not whiten.
        """
        mean, weight = torch.zeros_like(found.mean), torch.ones_like(found.mean)
        if center:
            mean = found.mean
        if scale:
            dead = found.dead()
            weight = torch.where(dead, 0.0, torch.where(dead, 1.0, found.variance).rsqrt())
        rank, matrix = int((weight != 0).sum()), None
        offset = (mean * weight).abs().detach()
        if ridge is not None:
            matrix, rank = _whitening(found, weight.detach(), ridge, symmetric=symmetric)
            offset = offset @ matrix.abs()
        floor = _DEAD * torch.finfo(torch.float64).eps * float(offset.norm())
        return Normaliser(mean, weight, matrix, rank, floor)

    def __call__(self, codes: Tensor, *, overwrite: bool = False) -> Tensor:
        """Normalised codes `(n, r)` of codes `(n, features)`, both float64.

        With `overwrite` the memory of the codes is used for what comes on the way.
        """
        device = codes.device
        mean, weight = self.mean.to(device), self.weight.to(device)
        moved = codes.sub_(mean).mul_(weight) if overwrite else (codes - mean) * weight
        return moved if self.matrix is None else moved @ self.matrix.to(device)


def _whitening(
    found: CodeStatistics, weight: Tensor, ridge: float, *, symmetric: bool
) -> tuple[Tensor, int]:
    """The matrix of whitening `(features, r)` and the number of directions that are alive."""
    if found.factor is None:
        raise InputError("Whitening needs statistics with their covariance.")
    _, spreads, axes = torch.linalg.svd(found.factor * weight, full_matrices=False)
    sizes = (found.variance.detach() + found.mean.detach().square()).sqrt() * weight
    # Two kinds of rounding leave a spread where there is none: of the codes, and of the SVD.
    rounding = _DEAD * found.rounding * float(sizes.norm())
    accuracy = max(found.factor.shape) * torch.finfo(torch.float64).eps * float(spreads.max())
    alive = spreads > max(rounding, accuracy)
    axes, variances = axes[alive].T, spreads[alive].square()  # (features, r), (r,)
    matrix = axes
    if len(variances):
        matrix = axes * (variances + ridge * variances.mean()).rsqrt()
    return (matrix @ axes.T if symmetric else matrix), len(variances)


def _blocks(codes: Tensor, rows: int = 1) -> Iterator[Tensor]:
    """The codes in float64, some rows at a time."""
    for part in torch.split(codes, max(rows, _ENTRIES // codes.shape[1], 1)):
        yield part.double()


def _triangle(rows: Tensor) -> Tensor:
    """The triangular matrix R of a QR decomposition, R^T R = rows^T rows."""
    triangle: Tensor = torch.linalg.qr(rows, mode="r")[1]
    return triangle
