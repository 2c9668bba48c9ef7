"""The wrapped normal distribution on hyperbolic space."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, Generic

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.hyperbolic.containers import Points, double, like
from repgeo.hyperbolic.coordinates import Model, from_spatial, to_spatial, unit_scale
from repgeo.hyperbolic.isometries import boosted, unboosted

__all__ = ["WrappedNormal"]


@dataclass(frozen=True, eq=False)
class WrappedNormal(Generic[Points]):
    r"""A normal distribution of tangent vectors, carried to a mean and onto hyperbolic space.

    A vector v ~ N(0, diag(scale^2)) in the tangent space of the origin is transported along the
    geodesic to the mean and mapped by the exponential. Against the volume of hyperbolic space of
    curvature -c the density of z is

        log p(z) = log N(v; 0, diag(scale^2)) - (d - 1) log(sinh(sqrt(c) \|v\|) / (sqrt(c) \|v\|)),

    where v is what the inverse of these maps makes of z, and \|v\| its distance to the mean.

    Parameters
    ----------
    mean
        `(..., d)`, or `(..., d+1)` in the Lorentz model.
    scale
        Standard deviations `(..., d)` in units of distance, positive; broadcasts with the mean.
    model, curvature
        Of the mean and of all points.

    Raises
    ------
    InputError
        If the mean lies outside of the model, or scales are not positive or do not fit.

    Notes
    -----
    O(n d), differentiable in mean, scale and points for tensors. Source: Nagano et al. 2019
    (arXiv 1902.02992).

    Examples
    --------
    In one dimension there is no volume to correct: the density at the mean is that of a normal.

    >>> import numpy as np
    >>> law = WrappedNormal(np.array([0.3]), np.array([1.0]))
    >>> float(np.exp(law.log_density(np.array([0.3]))).round(6))
    0.398942
    >>> law.sample(4, generator=np.random.default_rng(0)).shape
    (4, 1)
    """

    mean: Points
    scale: Points
    _: KW_ONLY
    model: Model = "poincare"
    curvature: float = -1.0

    def __post_init__(self) -> None:
        scale = double(self.scale, "scale")
        if not bool((scale > 0).all()):
            raise InputError(f"Scales must be positive, the smallest is {float(scale.min()):.4g}.")
        spatial = self._spatial(self.mean, "the mean")
        if scale.shape[-1] not in (1, spatial.shape[-1]):
            raise InputError(
                f"A mean in dimension {spatial.shape[-1]} needs scales (..., "
                f"{spatial.shape[-1]}), got {tuple(scale.shape)}."
            )

    def sample(self, count: int | None = None, *, generator: Any) -> Points:
        """Points `(count, ..., d)` (or d+1) in the model, or one per mean without `count`.

        Parameters
        ----------
        count
            How many for each mean.
        generator
            A `torch.Generator` where mean and scale are tensors, a `numpy.random.Generator` where
            they are arrays.

        Returns
        -------
        Tensor or ndarray
            A differentiable function of mean and scale for tensors.

        Raises
        ------
        InputError
            If the generator is of the wrong kind, or points lie so far out that the model cannot
            hold them.
        """
        to, scale = self._spatial(self.mean, "the mean"), double(self.scale, "scale")
        shape: tuple[int, ...] = np.broadcast_shapes(tuple(to.shape), tuple(scale.shape))
        if count is not None:
            shape = (count, *shape)
        if isinstance(self.mean, Tensor) and isinstance(generator, torch.Generator):
            draws = torch.randn(
                shape, generator=generator, dtype=torch.float64, device=generator.device
            ).to(to.device)
        elif isinstance(self.mean, np.ndarray) and isinstance(generator, np.random.Generator):
            draws = torch.from_numpy(generator.standard_normal(shape))
        else:
            raise InputError(
                "Tensors need a torch.Generator and arrays a numpy.random.Generator, got "
                f"{type(generator).__name__}."
            )
        root = unit_scale(self.curvature)
        moved = boosted(to_spatial(draws * scale * root, "tangent"), to)
        out = like(from_spatial(moved, self.model) / root, self.mean, self.scale)
        self._spatial(out, "samples")  # refuses what rounding put on the boundary
        return out

    def log_density(self, points: Points) -> Points:
        """Log densities `(...)` of points, in nats, against the volume of hyperbolic space.

        Parameters
        ----------
        points
            `(..., d)` or `(..., d+1)`, a shape that broadcasts with that of the mean.

        Returns
        -------
        Tensor or ndarray
            Finite also where the points are the mean.

        Raises
        ------
        InputError
            If points lie outside of the model.
        """
        root = unit_scale(self.curvature)
        seen = unboosted(self._spatial(points, "points"), self._spatial(self.mean, "the mean"))
        tangent = from_spatial(seen, "tangent")
        scale = double(self.scale, "scale").expand(tangent.shape)
        standard = (tangent / (scale * root)).square() / 2 + scale.log() + math.log(2 * math.pi) / 2
        d = tangent.shape[-1]
        return like(
            -standard.sum(dim=-1) - (d - 1) * _log_stretch(tangent), points, self.mean, self.scale
        )

    def _spatial(self, points: Points, name: str) -> Tensor:
        wide = double(points, name) * unit_scale(self.curvature)
        return to_spatial(wide, self.model, dtype=points.dtype)


def _log_stretch(tangent: Tensor) -> Tensor:
    """log(sinh(r) / r) of the norms r of vectors `(..., d)`, without overflow or cancellation."""
    square = tangent.square().sum(dim=-1)
    near = square < 1e-3
    r = torch.where(near, 1.0, square).sqrt()
    far = r - math.log(2.0) + torch.log1p(-torch.exp(-2 * r)) - r.log()
    series = square / 6 - square.square() / 180 + square**3 / 2835
    return torch.where(near, series, far)
