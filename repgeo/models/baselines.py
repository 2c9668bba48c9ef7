"""Baselines: networks that learned nothing, to compare others with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from repgeo.errors import CheckpointError, ConfigurationError, nearest
from repgeo.models.checkpoints import load_state
from repgeo.models.encoder_head import EncoderHead

__all__ = ["constant", "identity", "weights"]


class _Flatten(nn.Module):
    """From `(batch, ...)` to `(batch, features)`; a batch of numbers becomes `(batch, 1)`."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), -1)


class _Identity(nn.Module):
    """A network whose output are its codes, and these its flattened inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _Flatten()

    def forward(self, x: Tensor) -> Tensor:
        codes: Tensor = self.encoder(x)
        return codes


def identity() -> nn.Module:
    """Codes and outputs that are the flattened data, `(batch, features)`.

    Examples
    --------
    >>> identity()(torch.ones(2, 1, 1, 3)).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    return _Identity()


class _ConstantCode(nn.Module):
    """The code 1 for every input, `(batch, 1)`."""

    code: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("code", torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.code.expand(len(x), 1)


class _Multiple(nn.Module):
    """From the code c `(batch, 1)` to c times a fixed vector, `(batch, classes)`."""

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)

    def forward(self, z: Tensor) -> Tensor:
        return z * self.value


def constant(classes: int, *, value: tuple[float, ...] | None = None) -> nn.Module:
    """The same output for every input; the code is 1 for every input, `(batch, 1)`.

    Parameters
    ----------
    classes
        The number of outputs.
    value
        The output; by default 1 for class 0 and 0 for the others.

    Raises
    ------
    ConfigurationError
        If `value` has another length than `classes`.

    Examples
    --------
    >>> constant(3)(torch.zeros(2, 5)).tolist()
    [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    if value is None:
        value = (1.0,) + (0.0,) * (classes - 1)
    if len(value) != classes:
        raise ConfigurationError(
            f"constant: value has {len(value)} numbers, and there are {classes} classes."
        )
    head = _Multiple(torch.tensor(value, dtype=torch.get_default_dtype()))
    return EncoderHead(_ConstantCode(), head)


class _LinearEncoder(nn.Module):
    def __init__(self, owner: _LinearMap) -> None:
        super().__init__()
        # In a tuple, so that the owner is not taken for a part; the matrix has one place, and one
        # name in the state.
        self._owner = (owner,)

    def forward(self, x: Tensor) -> Tensor:
        weight = self._owner[0].weight
        return x.reshape(len(x), -1).to(weight.dtype) @ weight.T


class _LinearMap(nn.Module):
    """A fixed matrix `weight`, `(features, inputs)`, as a network whose output are its codes."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.encoder = _LinearEncoder(self)

    def forward(self, x: Tensor) -> Tensor:
        codes: Tensor = self.encoder(x)
        return codes


def weights(path: Path, name: str | None = None) -> nn.Module:
    """A matrix from a file as the linear map z = W x, x flattened.

    The matrix is stored as `(features, inputs)` and taken over in the default dtype (complex ones
    in the complex dtype of that precision); it is the buffer `weight`.

    Parameters
    ----------
    path
        A `.safetensors` file, or a `.npy` file without pickled objects.
    name
        Which tensor of a safetensors file; not needed where it holds only one.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or holds no such matrix.
    """
    path = Path(path).expanduser()
    if path.suffix == ".npy":
        matrix = _array(path)
        if name is not None:
            raise CheckpointError(f"{str(path)!r} holds one array, which has no name: {name!r}.")
    else:
        tensors = load_state(path)
        if name is None and len(tensors) != 1:
            raise CheckpointError(
                f"{str(path)!r} holds {len(tensors)} tensors: choose one with `name`. "
                f"{nearest('', tensors)}"
            )
        name = next(iter(tensors)) if name is None else name
        if name not in tensors:
            raise CheckpointError(f"{str(path)!r} has no tensor {name!r}. {nearest(name, tensors)}")
        matrix = tensors[name]
    if matrix.ndim != 2 or not matrix.numel():
        raise CheckpointError(f"{str(path)!r}: a matrix is needed, got {tuple(matrix.shape)}.")
    if not bool(torch.isfinite(matrix).all()):
        raise CheckpointError(f"{str(path)!r}: the matrix holds NaN or infinite values.")
    dtype = torch.get_default_dtype()
    return _LinearMap(matrix.to(dtype.to_complex() if matrix.is_complex() else dtype))


def _array(path: Path) -> Tensor:
    try:
        array = np.load(path, allow_pickle=False)
        return torch.from_numpy(np.array(array))
    except FileNotFoundError:
        raise CheckpointError(f"There is no file {str(path)!r}.") from None
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise CheckpointError(f"{str(path)!r} is not a .npy file of numbers: {error}") from None
