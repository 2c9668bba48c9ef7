"""Periodic images of a bump: two circle factors, the places down and across."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import DatasetError
from repgeo.identity import derive_generator

__all__ = ["torus_signals"]


def torus_signals(
    *, seed: int, side: int = 12, angles: int = 12, train_size: int = 1000, sharpness: float = 2.0
) -> Dataset:
    """A bump on a periodic image, at every place of a grid of two angles.

    x(u, v) = exp(κ (cos(u - a) + cos(v - b) - 2)) at the angles u, v of the pixels, `x` is
    `(n, 1, side, side)`, float32; `y` is (cos a, sin a, cos b, sin b), `(n, 4)`. The test split is
    the full grid of `angles` times `angles` pairs (a, b), ids are places in it, and `factors`
    `(n, 2)`, int64, says which angles: what `disentanglement` is measured on. The train split has
    angles drawn uniformly, off the grid. The torus "T2" shifts the images, periodically.

    Parameters
    ----------
    seed
        Decides the train split.
    side
        Height and width in pixels.
    angles
        How many angles each factor has.
    train_size
        How many images are trained on.
    sharpness
        κ; the bump is about 1/√κ radians wide.

    Raises
    ------
    DatasetError
        If there are fewer than 3 pixels or angles along a factor, or no train sample.

    Examples
    --------
    >>> data = torus_signals(seed=0, angles=4, train_size=10)
    >>> data.test.x.shape, data.test.factors[-1].tolist(), data.meta["group"]
    (torch.Size([16, 1, 12, 12]), [3, 3], 'T2')
    """
    if side < 3 or angles < 3 or train_size < 1:
        raise DatasetError(
            f"torus_signals needs at least 3 pixels and 3 angles along each factor, and a train "
            f"sample; got side={side}, angles={angles}, train_size={train_size}."
        )
    places = torch.cartesian_prod(torch.arange(angles), torch.arange(angles))
    on_grid = 2 * torch.pi * places.double() / angles
    generator = derive_generator("torus_signals", seed)
    drawn = 2 * torch.pi * torch.rand(train_size, 2, generator=generator, dtype=torch.float64)
    ids = torch.arange(angles * angles)
    test = Split(_images(on_grid, side, sharpness), _targets(on_grid), ids, {"factors": places})
    # Ids of train samples go on where those of the grid end; off the grid they have no factors.
    later = torch.arange(train_size) + len(ids)
    train = Split(_images(drawn, side, sharpness), _targets(drawn), later)
    meta = {"group": "T2", "action": "shift", "period": side, "truth": {"grid": (angles, angles)}}
    return Dataset("torus_signals", train, test, meta)


def _images(places: Tensor, side: int, sharpness: float) -> Tensor:
    """Bumps at angles `(n, 2)`, `(n, 1, side, side)`, float32."""
    pixels = 2 * torch.pi * torch.arange(side, dtype=torch.float64) / side
    down, across = (
        torch.exp(sharpness * ((pixels - each[:, None]).cos() - 1)) for each in places.unbind(dim=1)
    )
    return (down[:, None, :, None] * across[:, None, None, :]).float()


def _targets(places: Tensor) -> Tensor:
    return torch.stack([places.cos(), places.sin()], dim=2).flatten(1).float()
