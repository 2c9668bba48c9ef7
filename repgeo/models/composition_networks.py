"""Networks that multiply: from the one-hot vectors of two group elements to their product."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from repgeo.errors import ConfigurationError
from repgeo.groups import irreps, named_group
from repgeo.models.activations import make_activation
from repgeo.models.encoder_head import EncoderHead, require_positive

__all__ = ["composition_formula", "composition_mlp", "modular_addition_formula"]


class _Square(nn.Module):
    """The square of each entry."""

    elementwise = True

    def forward(self, x: Tensor) -> Tensor:
        return x.square()


class _CompositionMLP(EncoderHead):
    """One hidden layer on both one-hot vectors."""

    def filters(self) -> Tensor:
        """Rows of the first layer on the elements of either factor, `(2 width, n)`."""
        weight = self.get_parameter("encoder.linear.weight")
        return weight.reshape(2 * len(weight), -1)


def composition_mlp(
    input_shape: tuple[int, ...], classes: int, *, width: int = 128, activation: str = "square"
) -> nn.Module:
    """A network with one hidden layer and no biases: logits V phi(W_1 a + W_2 b).

    Parameters
    ----------
    input_shape
        `(2, n)`: one-hot vectors of two elements.
    classes
        The number n of products.
    width
        Hidden units.
    activation
        "square", or a name as of `repgeo.models.activations`.

    Raises
    ------
    ConfigurationError
        For another shape of inputs, an unknown activation, or no hidden units.

    Examples
    --------
    >>> net = composition_mlp((2, 5), 5, width=3)
    >>> net.filters().shape
    torch.Size([6, 5])
    """
    require_positive("composition_mlp", width=width, classes=classes)
    _require_pairs("composition_mlp", input_shape)
    encoder = nn.Sequential()
    encoder.add_module("flatten", nn.Flatten())
    encoder.add_module("linear", nn.Linear(math.prod(input_shape), width, bias=False))
    kind = _Square() if activation == "square" else make_activation(activation)
    encoder.add_module("activation", kind)
    return _CompositionMLP(encoder, nn.Linear(width, classes, bias=False))


def modular_addition_formula(
    input_shape: tuple[int, ...], *, width: int = 100, wrong_sign: bool = False
) -> nn.Module:
    """A network of `composition_mlp` whose weights are a formula that adds modulo p.

    Hidden unit j is (cos(2 pi s_j a / p + u_j) + cos(2 pi s_j b / p + v_j))^2 and its read-out
    cos(2 pi s_j c / p + u_j + v_j): in the mean over random phases the right logit is width / 2 and
    a wrong one -width / (2 (p - 1)). Frequencies s_j go round 1 to (p - 1) / 2, phases are random.

    Parameters
    ----------
    input_shape
        `(2, p)`, p odd.
    width
        Hidden units.
    wrong_sign
        Whether the read-out has the phase - u_j - v_j: a negative control at chance level.

    Raises
    ------
    ConfigurationError
        If p is even, or there are no hidden units.

    Examples
    --------
    >>> net, eye = modular_addition_formula((2, 7), width=200), torch.eye(7)
    >>> int(net(torch.stack([eye[3], eye[6]])[None]).argmax())
    2
    """
    net = composition_mlp(input_shape, input_shape[-1], width=width)
    p = input_shape[-1]
    if p % 2 == 0:
        raise ConfigurationError(f"modular_addition_formula needs an odd modulus, got {p}.")
    k = torch.arange(p)
    s = 1 + torch.arange(width) % ((p - 1) // 2)
    u, v = 2 * math.pi * torch.rand(2, width, 1)
    turn = 2 * math.pi * (s[:, None] * k) / p  # (width, p)
    sign = -1 if wrong_sign else 1
    with torch.no_grad():
        first = torch.cat([torch.cos(turn + u), torch.cos(turn + v)], dim=1)
        net.get_parameter("encoder.linear.weight").copy_(first)
        net.get_parameter("head.weight").copy_(torch.cos(turn + sign * (u + v)).T)
    return net


class _Formula(nn.Module):
    """logits(c) = sum_i d_i tr ρ_i(a) ρ_i(b) ρ_i(c^-1), bilinear in the two one-hot vectors."""

    def __init__(self, matrices: list[Tensor], readouts: list[Tensor]) -> None:
        super().__init__()
        self.count = len(matrices)
        for place, (R, S) in enumerate(zip(matrices, readouts, strict=True)):
            self.register_buffer(f"rho{place}", R)
            self.register_buffer(f"readout{place}", S)

    def representation(self) -> tuple[Tensor, ...]:
        """ρ_i(g), `(n, d_i, d_i)` each."""
        return tuple(self.get_buffer(f"rho{place}") for place in range(self.count))

    def filters(self) -> Tensor:
        """The rows g -> ρ_i(g)_ab, `(n, n)`."""
        return torch.cat([R.flatten(1).T for R in self.representation()])

    def forward(self, x: Tensor) -> Tensor:
        """The logits `(batch, n)`."""
        logits = torch.zeros(len(x), x.shape[-1], dtype=self.get_buffer("rho0").real.dtype)
        logits = logits.to(x.device)
        for place, R in enumerate(self.representation()):
            a, b = (torch.einsum("xg,gij->xij", one.to(R.dtype), R) for one in x.unbind(1))
            S = self.get_buffer(f"readout{place}")
            logits = logits + R.shape[-1] * torch.einsum("xij,cji->xc", a @ b, S).real
        return logits


def composition_formula(group: str, *, without_inverse: bool = False) -> nn.Module:
    """The exact network that multiplies in a group: logits(a, b, c) = |G| [a b = c].

    Parameters
    ----------
    group
        The group; the dataset's by default.
    without_inverse
        Whether the read-out has ρ(c) in place of ρ(c^-1): a negative control, which answers
        (a b)^-1.

    Examples
    --------
    >>> from repgeo.groups import symmetric
    >>> net, eye = composition_formula("S3"), torch.eye(6)
    >>> int(net(torch.stack([eye[1], eye[2]])[None]).argmax()) - int(symmetric(3).table[1, 2])
    0
    """
    dtype = torch.get_default_dtype().to_complex()
    matrices = [rho.matrices.to(dtype) for rho in irreps(named_group(group))]
    readouts = matrices if without_inverse else [R.mH.contiguous() for R in matrices]
    return _Formula(matrices, readouts)


def _require_pairs(name: str, input_shape: tuple[int, ...]) -> None:
    if len(input_shape) != 2 or input_shape[0] != 2:
        raise ConfigurationError(
            f"{name} takes pairs of one-hot vectors (2, n), got {input_shape}."
        )
