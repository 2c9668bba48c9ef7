"""Rotations and reflections of images about their centre, by any angle."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.acting import Group
from repgeo.groups.data_actions import PeriodicShift
from repgeo.groups.representations import Data, Representation
from repgeo.groups.resampling import Interpolation, resample

__all__ = ["ImageMethod", "ImageRotations", "ImageShifts"]

ImageMethod: TypeAlias = Literal["exact", "fourier", "cubic", "linear"]

_ROUNDING = 1e-6  # radians by which an exact turn may be off


class ImageRotations(Representation):
    """Rotations and reflections of images `(n, ..., height, width)` about their centre.

    (ρ(g) x)(p) = x(g^-1 p), with p = (x, y), x to the right and y upwards: a positive angle turns
    the picture counter-clockwise, as `quarter_turns` do; the reflection (x, y) -> (x, -y) of D_n
    exchanges top and bottom, and comes before the turn.

    Parameters
    ----------
    group
        One whose matrices are 2 x 2 and orthogonal: SO(2), C_n, D_n.
    method
        "exact": pixels change places; only quarter turns, of square images. "fourier": three
        shears by the Fourier transform after the nearest quarter turn; exactly undone by the
        opposite turn up to the highest frequency, periodic at the border. "cubic", "linear":
        interpolation, zeros outside.

    Raises
    ------
    InputError
        If the group does not act on the plane; when called: for an element that is no quarter turn
        under "exact", naming it, and for images that are not square where a quarter turn is needed.

    Notes
    -----
    Only "exact" is an action of the group; the others are to the accuracy of the interpolation,
    which `repgeo.equivariance.action_error` measures. Sources: Unser, Thévenaz and Yaroslavsky 1995
    (convolution-based interpolation for fast, high-quality rotation of images); Keys 1981.

    Examples
    --------
    >>> from repgeo.groups import Cyclic
    >>> image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> ImageRotations(Cyclic(4))(torch.tensor([1]), image)[0, 0, 0]
    tensor([[2., 4.],
            [1., 3.]])
    """

    def __init__(self, group: Group, method: ImageMethod = "exact") -> None:
        if group.matrix(group.identity()).shape[-1] != 2:
            raise InputError(f"Images are turned by planar rotations, not by {group.name}.")
        if method not in ("exact", "fourier", "cubic", "linear"):
            raise InputError(
                f"Images are turned by exact, fourier, cubic or linear, got {method!r}."
            )
        self.group = group
        self.method = method
        self.exact = method == "exact"

    def apply(self, elements: Tensor, x: Data) -> Data:
        """`(m, *element_shape)` and `(m or 1, n, ..., height, width)` to `(m, n, ...)`."""
        if not isinstance(x, Tensor) or x.ndim < 4:
            given = tuple(x.shape[1:]) if isinstance(x, Tensor) else "a mapping"
            raise InputError(f"Images have shape (n, ..., height, width), got {given}.")
        planar = self.group.matrix(elements).to(device=x.device)
        if self.method in ("cubic", "linear"):
            return _interpolated(planar, x, "cubic" if self.method == "cubic" else "linear")
        angle = torch.atan2(planar[:, 1, 0], planar[:, 0, 0])  # (m,)
        flipped = torch.linalg.det(planar.detach()) < 0
        quarters = torch.round(angle.detach() / (torch.pi / 2))
        rest = angle - quarters * (torch.pi / 2)
        if self.method == "exact":
            self._require_quarters(rest.detach())
        turned = _quarter_turned(x, quarters.long(), flipped)
        return turned if self.method == "exact" else _sheared(turned, rest.to(x.dtype))

    def _require_quarters(self, rest: Tensor) -> None:
        wrong = torch.nonzero(rest.abs() > _ROUNDING)
        if len(wrong):
            place = int(wrong[0])
            raise InputError(
                f"Element {place} of {self.group.name} is {abs(float(rest[place])):.3g} radians "
                "off a quarter turn, which moves no pixel onto another: use method='fourier' or "
                "'cubic', or the group C4 or D4."
            )


class ImageShifts(PeriodicShift):
    """Circular shifts of images by (down, right), in pixels, by the Fourier transform.

    `PeriodicShift` of `Translations(2)`.

    Examples
    --------
    >>> from repgeo.groups import Translations
    >>> image = torch.tensor([[[[1.0, 2.0, 0.0], [3.0, 4.0, 0.0], [0.0, 0.0, 0.0]]]])
    >>> ImageShifts(Translations(2))(torch.tensor([[1.0, 0.0]]), image)[0, 0, 0].round().abs()
    tensor([[0., 0., 0.],
            [1., 2., 0.],
            [3., 4., 0.]])
    """


def _quarter_turned(x: Tensor, quarters: Tensor, flipped: Tensor) -> Tensor:
    m = len(quarters)
    if bool((quarters % 2 != 0).any()) and x.shape[-1] != x.shape[-2]:
        raise InputError(
            f"A quarter turn needs square images, got {x.shape[-2]}x{x.shape[-1]}. Crop or pad "
            "them."
        )
    kinds = (quarters % 4 + 4 * flipped.long()).tolist()
    whole = x.expand(m, *x.shape[1:])
    if not any(kinds):
        return whole
    made = []
    for i, kind in enumerate(kinds):
        image = whole[i].flip(-2) if kind >= 4 else whole[i]
        made.append(torch.rot90(image, kind % 4, dims=(-2, -1)))
    return torch.stack(made)


def _sheared(x: Tensor, angle: Tensor) -> Tensor:
    """Rotations by angles `(m,)` within 45 degrees: x by -tan(a/2) y, y by sin(a) x, x again."""
    height, width = x.shape[-2:]
    up = (height - 1) / 2 - torch.arange(height, dtype=x.dtype, device=x.device)
    right = torch.arange(width, dtype=x.dtype, device=x.device) - (width - 1) / 2
    along = -(angle / 2).tan()[:, None] * up  # (m, height): shift of each row to the right
    down = -angle.sin()[:, None] * right  # (m, width): shift of each column down
    x = _rows_shifted(x, along)
    x = _rows_shifted(x.mT, down).mT
    return _rows_shifted(x, along)


def _rows_shifted(x: Tensor, shifts: Tensor) -> Tensor:
    """Row r of `x[i]` moved by `shifts[i, r]` pixels to the right, periodically."""
    width = x.shape[-1]
    k = torch.fft.rfftfreq(width, dtype=x.dtype, device=x.device)
    angle = -2 * torch.pi * shifts[..., None] * k  # (m, rows, frequencies)
    phases = torch.complex(angle.cos(), angle.sin())
    lead = [1] * (x.ndim - 3)
    # Of the highest frequency of an even width `irfft` keeps the real part: the cosine.
    spectrum = torch.fft.rfft(x) * phases.view(len(shifts), *lead, *phases.shape[1:])
    moved: Tensor = torch.fft.irfft(spectrum, n=width)
    return moved


def _interpolated(planar: Tensor, x: Tensor, method: Interpolation) -> Tensor:
    height, width = x.shape[-2:]
    dtype = x.dtype
    up = (height - 1) / 2 - torch.arange(height, dtype=dtype, device=x.device)
    right = torch.arange(width, dtype=dtype, device=x.device) - (width - 1) / 2
    p = torch.stack(torch.meshgrid(right, up, indexing="xy"), dim=-1).reshape(-1, 2)  # (P, 2)
    source = p @ planar.to(dtype)  # g^-1 p = g^T p, as rows
    rows, columns = (height - 1) / 2 - source[..., 1], source[..., 0] + (width - 1) / 2
    return resample(x, torch.stack([rows, columns], dim=-1), dimensions=2, method=method)
