"""Ridge functions: a fixed direction and a kink, whose classes of inputs are known."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from repgeo.errors import ConfigurationError
from repgeo.models.encoder_head import EncoderHead

__all__ = ["ridge"]


class _Direction(nn.Module):
    """From x `(batch, d)` to a fixed product w^T x, `(batch, 1)`."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x.flatten(1), self.weight)


def ridge(direction: tuple[float, ...], *, negative_slope: float = 0.0) -> nn.Module:
    """The ridge function f(x) = phi(w^T x), with phi(t) = t for t > 0 and a t below.

    Nothing of it is trained. With a = 0 phi is ReLU, f is flat on half of the space, and each other
    class is a hyperplane w^T x = c > 0. With a > 0 (leaky ReLU) all classes are hyperplanes; with
    a < 0 all but one are pairs of them. The code is w^T x, `(batch, 1)`.

    Parameters
    ----------
    direction
        w, `(d,)`.
    negative_slope
        a.

    Raises
    ------
    ConfigurationError
        If the direction is empty or zero, or a number is not finite.

    References
    ----------
    A. Benfenati, A. Marta, "A singular Riemannian geometry approach to deep neural networks III.
    Piecewise differentiable layers and random walks on n-dimensional classes" (2024), arXiv
    2404.06104, with the code published along: relu(x1 - x2), relu(x1 - x2 + x3), and the same with
    a = -0.01, which is called leaky there.

    Examples
    --------
    >>> net = ridge((1.0, -1.0), negative_slope=0.01)
    >>> [round(value, 6) for value in net(torch.tensor([[3.0, 1.0], [1.0, 3.0]]))[:, 0].tolist()]
    [2.0, -0.02]
    """
    if not all(map(math.isfinite, (*direction, negative_slope))) or not any(direction):
        raise ConfigurationError(
            "ridge: direction must be a vector of finite numbers that is not zero, and "
            f"negative_slope finite; got {direction} and {negative_slope}."
        )
    weight = torch.tensor([direction], dtype=torch.get_default_dtype())  # (1, d)
    phi = nn.LeakyReLU(negative_slope) if negative_slope else nn.ReLU()
    return EncoderHead(_Direction(weight), phi)
