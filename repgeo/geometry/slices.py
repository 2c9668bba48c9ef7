"""Lines and planes through inputs, for looking at maps along them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from repgeo.errors import InputError

__all__ = [
    "Slice",
    "line_slice",
    "normalised_entropy",
    "plane_slice",
    "principal_plane",
    "random_plane",
]

_DENSE = 512  # coordinates up to which the covariance is decomposed as a whole


@dataclass(frozen=True)
class Slice:
    """A grid of inputs on a line or plane through some of them.

    x = origin + axes @ coordinates. The axes of a plane are neither orthogonal nor of equal length
    in general: a volume per unit of coordinates is exp(log_area) times one per unit of input.

    Attributes
    ----------
    points
        The inputs, `(m, ...)`.
    coordinates
        Of each point, `(m, k)`: k = 1 for a line, 2 for a plane.
    axes
        What one unit of each coordinate is, `(d, k)`.
    subspace
        An orthonormal basis of the same directions, `(d, k)`, for `log_volume(subspace=...)`.
    log_area
        (1/2) log det of the Gram matrix of the axes: log of the input length or area that one unit
        of coordinates covers.
    anchors
        Coordinates of the inputs that the slice goes through, `(2 or 3, k)`.
    """

    points: Tensor
    coordinates: Tensor
    axes: Tensor
    subspace: Tensor
    log_area: float
    anchors: Tensor


def line_slice(start: Tensor, end: Tensor, *, steps: int = 65) -> Slice:
    """Inputs at equal steps from `start` to `end`, both included.

    Parameters
    ----------
    start, end
        Inputs of one shape.
    steps
        How many points.

    Raises
    ------
    InputError
        If the shapes differ, the two are the same, or there are fewer than two steps.

    Examples
    --------
    >>> made = line_slice(torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0]), steps=3)
    >>> made.points.tolist(), round(made.log_area, 6) == round(math.log(5), 6)
    ([[0.0, 0.0], [1.5, 2.0], [3.0, 4.0]], True)
    """
    _require_alike(steps, start, end)
    coordinates = torch.linspace(0.0, 1.0, steps, dtype=start.dtype, device=start.device)[:, None]
    axes = (end - start).reshape(-1, 1)
    anchors = coordinates.new_tensor([[0.0], [1.0]])
    return _slice(start, axes, coordinates, anchors)


def plane_slice(
    first: Tensor, second: Tensor, third: Tensor, *, steps: int = 60, extent: float = 1.0
) -> Slice:
    """A square grid on the plane through three inputs, which form a triangle in its middle.

    With the origin at their mean, the axes are e_1 = second - first and
    e_2 = 2 sqrt 3 ((first + second) / 2 - origin), so that the three are at (-1/2, 1/(2 sqrt 3)),
    (1/2, 1/(2 sqrt 3)) and (0, -1/sqrt 3): an equilateral triangle of coordinates.

    Parameters
    ----------
    first, second, third
        Inputs of one shape, not on a line.
    steps
        Points along each axis.
    extent
        Coordinates run from -extent to extent.

    Raises
    ------
    InputError
        If the shapes differ, the three lie on a line, or there are fewer than two steps.

    References
    ----------
    The chart of J. A. Zavatone-Veth et al. (2023), arXiv:2301.11375.

    Examples
    --------
    >>> corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    >>> made = plane_slice(*corners, steps=3)
    >>> [round(value, 6) for value in made.points[4].tolist()]  # the middle: the mean of the three
    [0.333333, 0.333333]
    """
    _require_alike(steps, first, second, third)
    origin = (first + second + third) / 3
    axes = torch.stack(
        [
            (second - first).flatten(),
            (2 * math.sqrt(3) * ((first + second) / 2 - origin)).flatten(),
        ],
        dim=1,
    )
    ticks = torch.linspace(-extent, extent, steps, dtype=first.dtype, device=first.device)
    coordinates = torch.cartesian_prod(ticks, ticks)
    height = 1 / (2 * math.sqrt(3))
    anchors = ticks.new_tensor([[-0.5, height], [0.5, height], [0.0, -2 * height]])
    return _slice(origin, axes, coordinates, anchors)


def _slice(origin: Tensor, axes: Tensor, coordinates: Tensor, anchors: Tensor) -> Slice:
    subspace, triangle = torch.linalg.qr(axes.double())
    lengths = triangle.diagonal().abs()
    if float(lengths.min()) <= 1e-7 * float(axes.double().norm()):
        raise InputError("A slice needs inputs that are different, and not on one line.")
    points = origin.flatten() + coordinates @ axes.T
    return Slice(
        points.reshape(-1, *origin.shape),
        coordinates,
        axes,
        subspace.to(axes.dtype),
        float(lengths.log().sum()),
        anchors,
    )


def _require_alike(steps: int, *inputs: Tensor) -> None:
    if len({tuple(point.shape) for point in inputs}) != 1 or not inputs[0].is_floating_point():
        shapes = ", ".join(str(tuple(point.shape)) for point in inputs)
        raise InputError(f"A slice needs floating-point inputs of one shape, got {shapes}.")
    if steps < 2:
        raise InputError(f"A slice needs at least 2 steps, got {steps}.")


def normalised_entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax over its largest possible value, `(B,)` in [0, 1].

    Parameters
    ----------
    logits
        `(B, classes)`, at least two classes.

    Raises
    ------
    InputError
        If the shape is another.

    Examples
    --------
    >>> normalised_entropy(torch.tensor([[0.0, 0.0], [1000.0, 0.0]])).tolist()
    [1.0, 0.0]
    """
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise InputError(f"Logits must be (B, classes >= 2), got {tuple(logits.shape)}.")
    shares = logits.softmax(dim=1)
    entropy: Tensor = torch.special.entr(shares).sum(dim=1)
    return entropy / math.log(logits.shape[1])


def random_plane(inputs: int, generator: torch.Generator) -> Tensor:
    """An orthonormal basis `(inputs, 2)` of a uniformly random plane, float64.

    Raises
    ------
    InputError
        If there are fewer than two inputs.

    Examples
    --------
    >>> plane = random_plane(5, torch.Generator().manual_seed(0))
    >>> bool(torch.allclose(plane.T @ plane, torch.eye(2, dtype=torch.float64)))
    True
    """
    if inputs < 2:
        raise InputError(f"A plane needs inputs of at least 2 coordinates, got {inputs}.")
    drawn = torch.randn(inputs, 2, generator=generator, dtype=torch.float64)
    basis: Tensor = torch.linalg.qr(drawn)[0]
    return basis


def principal_plane(x: Tensor) -> Tensor:
    """An orthonormal basis `(d, 2)` of the two directions of largest variance, float64.

    Parameters
    ----------
    x
        Inputs `(n, ...)`, d numbers each.

    Raises
    ------
    InputError
        If there are fewer than two coordinates, or the inputs vary along fewer than two directions.

    Notes
    -----
    The basis within the plane is that of the two principal components, up to signs. Cost: n d^2
    operations and a decomposition of d x d up to 512 coordinates, Lanczos iterations beyond.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.5], [0.0, 0.0, -0.5]])
    >>> principal_plane(x).abs().tolist()
    [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
    """
    rows = x.detach().flatten(1).double()
    d = rows.shape[1]
    if d < 2:
        raise InputError(f"A plane needs inputs of at least 2 coordinates, got {d}.")
    if d == 2:
        return torch.eye(2, dtype=torch.float64, device=x.device)
    rows = rows - rows.mean(dim=0)
    if d <= _DENSE:
        values, vectors = torch.linalg.eigh(rows.T @ rows)
        values = values.flip(0)
        basis: Tensor = vectors.flip(1)[:, :2]
    else:
        centred = rows.cpu().numpy()
        covariance = LinearOperator(
            (d, d), matvec=lambda v: centred.T @ (centred @ v), dtype=np.float64
        )
        start = np.random.default_rng(0).standard_normal(d)  # only needs to be generic
        found, directions = eigsh(covariance, k=2, v0=start, tol=1e-10)
        values = torch.from_numpy(found[::-1].copy())
        basis = torch.from_numpy(directions[:, ::-1].copy()).to(x.device)
    if not float(values[1]) > 1e-12 * float(values[0]):
        raise InputError("The inputs vary along fewer than two directions: there is no plane.")
    return basis
