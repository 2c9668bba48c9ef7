"""A network with one hidden layer in the scaling of the infinite-width limit."""

from __future__ import annotations

import math

from torch import Tensor, nn

from repgeo.models.activations import make_activation
from repgeo.models.encoder_head import EncoderHead, require_positive

__all__ = ["shallow"]


class _Scale(nn.Module):
    """Multiplies by a fixed number."""

    elementwise = True  # Jacobians are taken layer by layer then, see repgeo.geometry.layerwise

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def shallow(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    width: int = 250,
    activation: str = "sigmoid",
) -> nn.Module:
    """One hidden layer with standard normal weights and codes divided by the root of their number.

    z = phi(W x + b) / sqrt(n), f(x) = V z + c / sqrt(n), all entries of W, b, V and c drawn from
    N(0, 1). The metric of the codes has a limit as the width n grows
    (`repgeo.geometry.kernel_geometry`).

    Parameters
    ----------
    input_shape
        The shape of one input.
    classes
        The number of outputs.
    width
        The number n of hidden units.
    activation
        Name of phi, see `repgeo.models.activations`.

    Raises
    ------
    ConfigurationError
        For an unknown activation, or a width below 1.

    References
    ----------
    J. A. Zavatone-Veth, S. Yang, J. A. Rubinfien, C. Pehlevan, "Neural networks learn to magnify
    areas near decision boundaries" (2023), arXiv:2301.11375.

    Examples
    --------
    >>> net = shallow((2,), 2, width=3)
    >>> sum(parameter.numel() for parameter in net.parameters())  # 3 (2 + 1) + 2 (3 + 1)
    17
    """
    inputs = math.prod(input_shape)
    require_positive("shallow", input_shape=inputs, classes=classes, width=width)
    encoder = nn.Sequential()
    encoder.add_module("flatten", nn.Flatten())
    encoder.add_module("linear", _standard_normal(nn.Linear(inputs, width)))
    encoder.add_module("activation", make_activation(activation))
    encoder.add_module("scale", _Scale(width**-0.5))
    return EncoderHead(encoder, _standard_normal(_ScaledBias(width, classes, width**-0.5)))


class _ScaledBias(nn.Linear):
    """W x + s b, with a fixed factor s: it scales the learning rate of b too."""

    def __init__(self, inputs: int, outputs: int, bias_scale: float) -> None:
        super().__init__(inputs, outputs)
        self.bias_scale = bias_scale

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight, self.bias_scale * self.bias)


def _standard_normal(layer: nn.Linear) -> nn.Linear:
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    return layer
