"""A model that is ready to be measured: in eval mode, parameters frozen, layers named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from repgeo.errors import CheckpointError
from repgeo.models.cutting import as_module, module_device, module_dtype

__all__ = ["Epoch", "LoadedModel", "load_model"]

Epoch: TypeAlias = int | str  # an epoch's number, "init" or "final"


@dataclass(eq=False)
class LoadedModel:
    """A network with its label, named layers and kept checkpoints.

    Attributes
    ----------
    module
        The network, in eval mode, without gradients for its parameters.
    label
        Unique in a task.
    layers
        Named layers: name -> dotted module path.
    identity
        What decides the network's weights (a digest).
    load_checkpoint
        epoch -> state dict of a kept checkpoint.
    checkpoints
        The epochs that were kept.
    """

    module: nn.Module
    label: str
    layers: Mapping[str, str] = field(default_factory=dict)
    identity: str = ""
    load_checkpoint: Callable[[Epoch], dict[str, Tensor]] | None = None
    checkpoints: tuple[Epoch, ...] = ()
    _at: dict[Epoch, LoadedModel] = field(default_factory=dict, repr=False)

    @property
    def dtype(self) -> torch.dtype | None:
        """The dtype of the weights (None for a model without any)."""
        return module_dtype(self.module)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return module_device(self.module)

    @property
    def named_layers(self) -> dict[str, str]:
        """The layers that `"*"` stands for: the named ones, else `encoder` where it exists."""
        if self.layers:
            return dict(self.layers)
        return {"encoder": "encoder"} if hasattr(self.module, "encoder") else {"output": ""}

    def at(self, epoch: Epoch) -> LoadedModel:
        """The same network at a kept checkpoint.

        Raises
        ------
        CheckpointError
            If that checkpoint was not kept; the kept ones are listed.
        """
        if epoch not in self.checkpoints or self.load_checkpoint is None:
            kept = ", ".join(map(repr, self.checkpoints)) or "none"
            raise CheckpointError(
                f"The model {self.label!r} has no checkpoint {epoch!r}. Kept: {kept}. "
                "Ask for it with keep = [...] in [models.train]."
            )
        if epoch not in self._at:
            import copy

            module = copy.deepcopy(self.module)
            module.load_state_dict(self.load_checkpoint(epoch))
            freeze(module)
            self._at[epoch] = LoadedModel(
                module, self.label, self.layers, f"{self.identity}@{epoch}"
            )
        return self._at[epoch]

    def bytes(self) -> int:
        """Memory of parameters and buffers, kept checkpoints in use included."""
        own = sum(
            tensor.numel() * tensor.element_size()
            for tensor in [*self.module.parameters(), *self.module.buffers()]
        )
        return own + sum(model.bytes() for model in self._at.values())


def freeze(module: nn.Module) -> nn.Module:
    """Eval mode and no gradients for the parameters, in place."""
    return module.eval().requires_grad_(False)


@contextmanager
def frozen_view(module: nn.Module) -> Iterator[nn.Module]:
    """The module in eval mode and frozen, and put back as it was afterwards."""
    modes = {part: part.training for part in module.modules()}
    gradients = {parameter: parameter.requires_grad for parameter in module.parameters()}
    try:
        yield freeze(module)
    finally:
        for part, mode in modes.items():
            part.training = mode
        for parameter, wanted in gradients.items():
            parameter.requires_grad_(wanted)


def load_model(model: Any, label: str, layers: Mapping[str, str] | None = None) -> LoadedModel:
    """A user's module or callable as a loaded model (frozen in place: see `frozen_view`)."""
    module = as_module(model)
    freeze(module)
    return LoadedModel(module, label, dict(layers or {}))
