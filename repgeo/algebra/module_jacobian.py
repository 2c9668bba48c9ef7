"""The derivatives of any module's outputs by its parameters, in float64."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, jacfwd, jacrev

from repgeo.errors import InputError, NonFiniteError

__all__ = ["module_jacobian"]


def module_jacobian(
    module: nn.Module,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    *,
    dtype: torch.dtype = torch.float64,
) -> NDArray[np.float64]:
    """The derivatives of all outputs at all inputs by all parameters, `(parameters, n outputs)`.

    Parameters
    ----------
    module
        The network, which is not changed; it is evaluated in eval mode.
    parameters
        All its parameters by name: the point at which it is differentiated.
    x
        Inputs `(n, ...)`.
    dtype
        In which it is differentiated. Only a comparison of precisions asks for less than float64,
        in which the result comes in any case.

    Raises
    ------
    InputError
        If parameters are missing or have other shapes.
    NonFiniteError
        If a derivative is not finite.

    Notes
    -----
    Reverse mode where there are fewer outputs than parameters, else forward mode.

    Examples
    --------
    >>> net = nn.Linear(2, 1, bias=False)
    >>> module_jacobian(net, {"weight": torch.ones(1, 2)}, torch.tensor([[3.0, 4.0]])).tolist()
    [[3.0], [4.0]]
    """
    shapes = {name: tuple(value.shape) for name, value in module.named_parameters()}
    given = {name: tuple(value.shape) for name, value in parameters.items()}
    if given != shapes:
        raise InputError(f"The module has the parameters {shapes}, given were {given}.")
    net = copy.deepcopy(module).to(dtype).eval().requires_grad_(False)
    point = {name: parameters[name].detach().to(dtype) for name in shapes}
    inputs = x.to(dtype) if x.is_floating_point() else x

    def outputs(values: dict[str, Tensor]) -> Tensor:
        made: Tensor = functional_call(net, values, (inputs,))
        return made.reshape(-1)

    count = sum(value.numel() for value in point.values())
    with torch.no_grad():
        size = outputs(point).numel()
    derivative = jacrev(outputs) if size < count else jacfwd(outputs)
    parts = derivative(point)
    found = torch.cat([parts[name].reshape(size, -1) for name in shapes], dim=1)
    if not bool(torch.isfinite(found).all()):
        raise NonFiniteError("A derivative by the parameters is NaN or infinite.")
    return np.ascontiguousarray(found.T.double().cpu().numpy())
