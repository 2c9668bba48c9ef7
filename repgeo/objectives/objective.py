"""What an objective is: batches of the data, and a loss of a model on a batch."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset
from repgeo.errors import ConfigurationError

__all__ = ["Objective"]


class Objective(BaseModel):
    """What a model is trained for.

    Subclass it, set `name`, add fields (they are its keys in `[models.train]`), and write `loss`.
    Where batches are not plain minibatches of the train split, write `batches` too. The training
    loop moves the data to the model's device and dtype before it asks for batches.

    Class attributes
    ----------------
    name
        What messages call it.
    version
        Raise it when the same fields train to other weights: it is part of the identity.

    Examples
    --------
    >>> from typing import ClassVar
    >>> class Norm(Objective):
    ...     name: ClassVar[str] = "norm"
    ...     power: float = 2.0
    ...
    ...     def loss(self, model, batch, generator):
    ...         return model(batch.x).norm(dim=1).pow(self.power).mean()
    >>> from repgeo.datasets import Split
    >>> float(Norm().loss(nn.Identity(), Split(torch.ones(3, 4)), torch.Generator()))
    4.0
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    name: ClassVar[str]
    version: ClassVar[int | str] = 1

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse an objective without a name, when its class is made."""
        super().__pydantic_init_subclass__(**kwargs)
        name = getattr(cls, "name", None)
        if not inspect.isabstract(cls) and not (isinstance(name, str) and name):
            raise ConfigurationError(
                f'The objective {cls.__qualname__} needs a name: `name: ClassVar[str] = "..."`.'
            )

    def batches(self, data: Dataset, batch_size: int, generator: torch.Generator) -> Iterator[Any]:
        """One pass over the data: shuffled minibatches of the train split, the last one partial.

        Parameters
        ----------
        data
            On the model's device, in its dtype.
        batch_size
            Samples per batch.
        generator
            A CPU generator; all of the order must come from it.

        Yields
        ------
        Split
            A batch (an objective that overrides this may yield what its `loss` takes).
        """
        order = torch.randperm(len(data.train), generator=generator)
        for index in torch.split(order, batch_size):
            yield data.train.take(index.to(data.train.ids.device))

    def batches_per_epoch(self, data: Dataset, batch_size: int) -> int:
        """The number of batches of one pass; learning rate schedules are laid out by it."""
        return -(-len(data.train) // batch_size)

    def loss(self, model: nn.Module, batch: Any, generator: torch.Generator) -> Tensor:
        """The scalar to minimise, a mean over the batch.

        Parameters
        ----------
        model
            In training mode.
        batch
            One of `batches`.
        generator
            A CPU generator for noise, augmentations, negatives.
        """
        raise NotImplementedError(f"{type(self).__qualname__} does not define loss().")

    def at(self, progress: float) -> Self:
        """The objective at a finished share of the training, 0 <= progress < 1.

        For terms whose weight changes on the way: return a copy with other fields
        (`self.model_copy(update=...)`); an objective is frozen and counts no updates itself.
        """
        return self

    def after_step(self, model: nn.Module) -> None:
        """Called after each update: project weights, move a target network, ... (nothing here)."""

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer | None:
        """An optimizer in place of the recipe's, or None; schedules still scale its rates."""
        return None

    def parameters(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return self.model_dump(mode="json")
