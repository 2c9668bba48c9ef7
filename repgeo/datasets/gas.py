"""The ideal gas: temperature from volume and pressure, whose classes are isotherms."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import DatasetError
from repgeo.identity import derive_generator

__all__ = ["ideal_gas", "ideal_gas_law"]

_CONSTANT: Final = 8.314  # J / (mol K)
_VOLUME: Final = (0.025, 0.075)  # m^3 of one mole
_PRESSURE: Final = (1e5, 2e5)  # Pa
_LOWEST: Final = _VOLUME[0] * _PRESSURE[0] / _CONSTANT  # K
_HIGHEST: Final = _VOLUME[1] * _PRESSURE[1] / _CONSTANT


def ideal_gas_law(x: Tensor) -> Tensor:
    """The scaled temperature of scaled volumes and pressures.

    T = P V / 8.314; each quantity is scaled so that its range becomes [0, 1].

    Parameters
    ----------
    x
        Scaled volume and pressure, `(n, 2)`.

    Returns
    -------
    Tensor
        `(n,)`; 1 stands for 1503.5 K.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]], dtype=torch.float64)
    >>> ideal_gas_law(x).tolist()
    [0.0, 0.4, 1.0]
    """
    volume = _VOLUME[0] + (_VOLUME[1] - _VOLUME[0]) * x[:, 0]
    pressure = _PRESSURE[0] + (_PRESSURE[1] - _PRESSURE[0]) * x[:, 1]
    kelvin = volume * pressure / _CONSTANT
    return (kelvin - _LOWEST) / (_HIGHEST - _LOWEST)


def ideal_gas(*, seed: int, train_size: int = 5000, test_size: int = 1000) -> Dataset:
    """One mole of an ideal gas: volume and pressure, and the temperature that they give.

    V is uniform on (0.025, 0.075) m^3, P on (1e5, 2e5) Pa, T = P V / 8.314 lies between 300.7 and
    1804.2 K. `x` is `(n, 2)`, float32, and `y` is `(n,)`, float32, each scaled to [0, 1] by these
    bounds. `meta["law"]` gives y from any x; `meta["truth"]` holds the bounds. Points of one y are
    an isotherm.

    Parameters
    ----------
    seed
        Decides the points.
    train_size, test_size
        Numbers of points.

    Raises
    ------
    DatasetError
        If a size is not positive.

    References
    ----------
    A. Benfenati, A. Marta, "A singular Riemannian geometry approach to deep neural networks II.
    Reconstruction of 1-D equivalence classes" (2023), arXiv 2112.10583: 5,000 points.

    Examples
    --------
    >>> data = ideal_gas(seed=0)
    >>> bool((data.meta["law"](data.train.x.double()) - data.train.y).abs().max() < 1e-7)
    True
    """
    splits = []
    first = 0
    for name, size in (("train", train_size), ("test", test_size)):
        if size < 1:
            raise DatasetError(f"ideal_gas: {name}_size must be at least 1, got {size}.")
        # Each split has its own stream: a larger train split leaves the test points as they are.
        generator = derive_generator("ideal_gas", name, seed)
        x = torch.rand(size, 2, generator=generator, dtype=torch.float64).float()
        ids = torch.arange(first, first + size)
        splits.append(Split(x, ideal_gas_law(x.double()).float(), ids))
        first += size
    truth = {
        "law": "temperature = pressure * volume / 8.314",
        "volume": _VOLUME,
        "pressure": _PRESSURE,
        "temperature": (_LOWEST, _HIGHEST),
    }
    return Dataset("ideal_gas", splits[0], splits[1], {"truth": truth, "law": ideal_gas_law})
