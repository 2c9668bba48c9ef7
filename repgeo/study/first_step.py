"""Importing this takes an optimizer's first step, which is slow once per process.

The forkserver does it for the processes it starts, where there is something to train.
"""

from __future__ import annotations

import torch

__all__: list[str] = []

_parameter = torch.nn.Parameter(torch.zeros(1))
_parameter.grad = torch.ones(1)
_optimizer = torch.optim.SGD([_parameter], lr=0.1)
_optimizer.step()
_optimizer.zero_grad()
