"""A known space, transformed in a known way: what measures of similarity are tried on."""

from __future__ import annotations

import math
from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from repgeo.errors import ConfigurationError, nearest
from repgeo.models.encoder_head import require_positive

__all__ = ["Transformation", "transformed"]

Transformation: TypeAlias = Literal[
    "rotation",
    "scaling",
    "translation",
    "axis_scaling",
    "invertible",
    "dropped",
    "repeated",
    "warp",
    "noise",
    "independent",
]

_KINDS: Final[tuple[str, ...]] = get_args(Transformation)

#: What a product is multiplied with before its fraction is taken: inputs that differ by more than
#: about one part of it get unrelated noise.
_FINENESS: Final = 1e4


def transformed(
    input_shape: tuple[int, ...], *, kind: Transformation, strength: float = 1.0, seed: int = 0
) -> nn.Module:
    """Codes that are a known map of the flattened data x `(batch, d)`; nothing is trained.

    With s the strength, Q a random rotation (or reflection), u uniform in (-1, 1) per axis, g
    standard normal:

    ============ ======================================== ==========================================
    kind         codes                                    features
    ============ ======================================== ==========================================
    rotation     Q x                                      d
    scaling      s x                                      d
    translation  x + s g                                  d, g the same for all samples
    axis_scaling x_j exp(s u_j)                           d
    invertible   Q' diag(exp(s u)) Q x                    d, condition number up to exp(2s)
    dropped      (Q x) without its last coordinates       d less a share s of them
    repeated     x, and s copies of a random direction    d + s
    warp         tanh(s Q x)                              d
    noise        x + s xi(x)                              d, xi(x) standard normal
    independent  xi(x)                                    d
    ============ ======================================== ==========================================

    The noise xi is a function of the sample, so that a network can have it: the normal quantiles
    of the fractions of 10^4 times random projections of x. Different samples get independent
    values, the same sample always the same, duplicates too. Computed in float64 and given in the
    default dtype. The output are the codes.

    Parameters
    ----------
    input_shape
        The shape of one input.
    kind
        Which of these.
    strength
        s; not used by rotation and independent.
    seed
        Of Q, u, g and xi.

    Raises
    ------
    ConfigurationError
        If the kind is unknown, or its strength is out of range: not finite, zero for scaling and
        warp, no share in (0, 1) for dropped, no whole number from 1 on for repeated, negative
        for noise.

    Examples
    --------
    >>> x = torch.tensor([[3.0, 4.0]])
    >>> round(transformed((2,), kind="rotation")(x).norm().item(), 5)
    5.0
    >>> transformed((2,), kind="scaling", strength=-2.0)(x).tolist()
    [[-6.0, -8.0]]
    >>> tuple(transformed((2,), kind="repeated", strength=3)(x).shape)
    (1, 5)
    """
    size = math.prod(input_shape)
    require_positive("transformed", input_shape=size)
    if kind not in _KINDS:
        raise ConfigurationError(f"transformed: unknown kind {kind!r}. {nearest(kind, _KINDS)}")
    _check_strength(kind, strength, size)
    return _Transformed(_Map(kind, float(strength), size, seed))


def _check_strength(kind: str, strength: float, size: int) -> None:
    fits = {
        "scaling": strength != 0,
        "warp": strength != 0,
        "dropped": 0 < strength < 1 and round(strength * size) < size,
        "repeated": strength >= 1 and float(strength).is_integer(),
        "noise": strength >= 0,
    }
    if not math.isfinite(strength) or not fits.get(kind, True):
        raise ConfigurationError(
            f"transformed: the strength {strength} is out of range for {kind!r}: a finite number, "
            "not zero for scaling and warp, a share of the dimensions that leaves some for "
            "dropped, a whole number from 1 on for repeated, from 0 on for noise."
        )


class _Map(nn.Module):
    """From x `(batch, ...)` to its codes."""

    matrix: Tensor
    shift: Tensor
    projections: Tensor

    def __init__(self, kind: str, strength: float, size: int, seed: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self._kind, self._strength = kind, strength
        self._dtype = torch.get_default_dtype()
        matrix, shift = torch.eye(size, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
        if kind == "scaling":
            matrix = strength * matrix
        elif kind == "translation":
            shift = strength * torch.randn(size, generator=draw, dtype=torch.float64)
        elif kind == "axis_scaling":
            matrix = torch.diag(_factors(size, strength, draw))
        elif kind in ("rotation", "warp", "dropped", "invertible"):
            matrix = _rotation(size, draw)
            if kind == "dropped":
                matrix = matrix[: size - round(strength * size)]
            if kind == "invertible":
                stretch = torch.diag(_factors(size, strength, draw))
                matrix = _rotation(size, draw) @ stretch @ matrix
        elif kind == "repeated":
            direction = _rotation(size, draw)[:1].expand(int(strength), size)
            matrix = torch.cat([matrix, direction])
        self.register_buffer("matrix", matrix)
        self.register_buffer("shift", shift)
        noisy = kind in ("noise", "independent")
        projections = torch.randn(size, size, generator=draw, dtype=torch.float64)
        self.register_buffer("projections", projections if noisy else projections[:0])

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(len(x), -1).double()
        if self._kind == "independent":
            codes = self._noise(flat)
        else:
            codes = flat @ self.matrix.double().T + self.shift.double()
        if self._kind == "noise":
            codes = codes + self._strength * self._noise(flat)
        if self._kind == "warp":
            codes = torch.tanh(self._strength * codes)
        return codes.to(self._dtype)

    def _noise(self, flat: Tensor) -> Tensor:
        phases = _FINENESS * (flat @ self.projections.double().T)
        fractions = (phases - phases.floor()).clamp(1e-12, 1 - 1e-12)
        noise: Tensor = torch.special.ndtri(fractions)
        return noise


class _Transformed(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        codes: Tensor = self.encoder(x)
        return codes


def _factors(size: int, strength: float, draw: torch.Generator) -> Tensor:
    uniform = 2 * torch.rand(size, generator=draw, dtype=torch.float64) - 1
    return (strength * uniform).exp()


def _rotation(size: int, draw: torch.Generator) -> Tensor:
    """Uniform over rotations and reflections, `(size, size)`."""
    factor, triangle = torch.linalg.qr(torch.randn(size, size, generator=draw, dtype=torch.float64))
    uniform: Tensor = factor * triangle.diagonal().sign()
    return uniform
