"""Poses predicted as rotations: errors up to the gauge of each class, and retrieval of views."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.continuous import nearest_rotation

__all__ = [
    "PoseError",
    "pose_error",
    "prediction_retrieval_error",
    "rotation_angles",
]


@dataclass(frozen=True)
class PoseError:
    """Angles between predicted and true poses, after the gauge of each class.

    Attributes
    ----------
    angles
        `(n,)`, radians, float64.
    gauges
        The constant rotation of each class, `(classes, d, d)`.
    chance
        The mean angle of a random rotation: π/2 in the plane, π/2 + 2/π in space; a little less
        where a class has few samples, to which its gauge is fitted.
    """

    angles: Tensor = field(repr=False)
    gauges: Tensor = field(repr=False)
    chance: float

    @property
    def mean(self) -> float:
        """Mean angle, radians."""
        return float(self.angles.mean())

    @property
    def median(self) -> float:
        """Median angle, radians."""
        return float(self.angles.median())


def rotation_angles(a: Tensor, b: Tensor) -> Tensor:
    """Angles of the rotations a^-1 b, in [0, π], exact for small angles and near half turns.

    Parameters
    ----------
    a, b
        Rotations `(..., d, d)` of the plane or of space.

    Returns
    -------
    Tensor
        `(...)`, radians, float64.

    Raises
    ------
    InputError
        If d is neither 2 nor 3.

    Examples
    --------
    >>> from repgeo.groups import SO3
    >>> turn = SO3().exp(torch.tensor([0.0, 0.0, 1e-9], dtype=torch.float64))
    >>> f"{rotation_angles(torch.eye(3), turn).item():.3e}"
    '1.000e-09'
    """
    if a.shape[-2:] not in ((2, 2), (3, 3)) or a.shape[-2:] != b.shape[-2:]:
        raise InputError(
            f"Rotations of the plane or of space are compared, got {tuple(a.shape)} and "
            f"{tuple(b.shape)}."
        )
    between = a.double().mT @ b.double()
    skew = (between - between.mT) / 2
    sine = skew.square().sum(dim=(-2, -1)).div(2).sqrt()
    trace = between.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    cosine = trace / 2 if between.shape[-1] == 2 else (trace - 1) / 2
    return torch.atan2(sine, cosine)


def pose_error(
    predicted: Tensor,
    true: Tensor,
    classes: Tensor | None = None,
    *,
    side: Literal["right", "left"] = "right",
) -> PoseError:
    """Angles between predicted and true poses, up to one constant rotation for each class.

    A representation that is equivariant on a free orbit is unique up to the right multiplication
    of each class by a constant, φ(x) = g c: the poses of different classes cannot be compared. The
    constant is fitted by least squares (orthogonal Procrustes), c = the rotation nearest to the
    mean of g^-1 φ(x).

    Parameters
    ----------
    predicted, true
        Rotations `(n, d, d)`, d = 2 or 3.
    classes
        `(n,)`, integers; all of one class by default.
    side
        "right": φ(x) = g c, for encoders that are equivariant by left multiplication; "left":
        φ(x) = c g.

    Returns
    -------
    PoseError
        Angles, gauges and chance.

    Raises
    ------
    InputError
        If the shapes do not fit.

    Notes
    -----
    O(n). Source: the uniqueness of Marchetti, Tegner, Varava and Kragic 2023 (arXiv:2207.03116).

    Examples
    --------
    >>> from repgeo.groups import SO3
    >>> true, gauge = SO3().sample(10), SO3().sample(1)
    >>> pose_error(true @ gauge, true).mean < 1e-7, pose_error(gauge @ true, true).mean > 0.5
    (True, True)
    """
    if predicted.shape != true.shape or predicted.ndim != 3:
        raise InputError(
            f"Predicted and true poses are (n, d, d), got {tuple(predicted.shape)} and "
            f"{tuple(true.shape)}."
        )
    if classes is None:
        classes = torch.zeros(len(true), dtype=torch.int64, device=true.device)
    if classes.shape != (len(true),):
        raise InputError(f"Classes are ({len(true)},), got {tuple(classes.shape)}.")
    P, G = predicted.double(), true.double()
    between = G.mT @ P if side == "right" else P @ G.mT
    names, place = torch.unique(classes, return_inverse=True)
    sums = torch.zeros(len(names), *P.shape[1:], dtype=torch.float64, device=P.device)
    gauges = nearest_rotation(sums.index_add(0, place, between))
    fitted = G @ gauges[place] if side == "right" else gauges[place] @ G
    chance = math.pi / 2 if P.shape[-1] == 2 else math.pi / 2 + 2 / math.pi
    return PoseError(rotation_angles(fitted, P), gauges, chance)


def prediction_retrieval_error(
    predicted: Tensor, candidates: Tensor, quaternions: Tensor, targets: Tensor
) -> Tensor:
    """How far the pose of the view that a prediction retrieves is from the pose it should have.

    For each query 1 - <q_target, q_nearest>^2, with the unit quaternions of the target and of the
    candidate whose code is nearest to the predicted one; sin^2 of half the angle between them.

    Parameters
    ----------
    predicted
        Predicted codes, `(n, features)`.
    candidates
        Codes of all views, `(m, features)`.
    quaternions
        Of the views, `(m, 4)`, of any sign; they are normalised.
    targets
        Quaternions that the predictions should have, `(n, 4)`.

    Returns
    -------
    Tensor
        `(n,)`, in [0, 1], float64. The mean for views at random is 3/4, chance.

    Raises
    ------
    InputError
        If the shapes do not fit.

    Notes
    -----
    O(n m features). Source: prediction retrieval error, Garrido, Najman and LeCun 2023
    (self-supervised learning of split invariant equivariant representations, arXiv:2302.10283).

    Examples
    --------
    >>> views = torch.eye(4)
    >>> prediction_retrieval_error(views + 0.1, views, views, -views)
    tensor([0., 0., 0., 0.], dtype=torch.float64)
    """
    if quaternions.shape != (len(candidates), 4) or targets.shape != (len(predicted), 4):
        raise InputError(
            f"Quaternions ({len(candidates)}, 4) and targets ({len(predicted)}, 4) are needed, got "
            f"{tuple(quaternions.shape)} and {tuple(targets.shape)}."
        )
    if predicted.shape[1:] != candidates.shape[1:] or predicted.ndim != 2:
        raise InputError(
            f"Codes have the same features, got {tuple(predicted.shape)} and "
            f"{tuple(candidates.shape)}."
        )
    nearest = torch.cdist(predicted.double(), candidates.double()).argmin(dim=1)
    unit = torch.nn.functional.normalize
    found = unit(quaternions.double(), dim=1)[nearest]
    return 1 - (found * unit(targets.double(), dim=1)).sum(dim=1).square()
