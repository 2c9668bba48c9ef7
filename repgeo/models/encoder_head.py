"""A network in two parts: an encoder that ends in the codes, and a head on them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from repgeo.errors import ConfigurationError

__all__ = ["EncoderHead", "require_image_shape", "require_positive"]


class EncoderHead(nn.Module):
    """The network f(x) = head(encoder(x)).

    Parameters
    ----------
    encoder
        From inputs `(batch, ...)` to codes `(batch, features)`.
    head
        From codes to outputs `(batch, classes)`.

    Examples
    --------
    >>> import torch
    >>> net = EncoderHead(nn.Flatten(), nn.Linear(4, 3))
    >>> tuple(net(torch.zeros(2, 1, 2, 2)).shape)
    (2, 3)
    """

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, x: Any) -> Tensor:
        """The outputs, `(batch, classes)`."""
        outputs: Tensor = self.head(self.encoder(x))
        return outputs


def require_image_shape(model: str, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height and width of one input.

    Raises
    ------
    ConfigurationError
        If the inputs are not images.
    """
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise ConfigurationError(
            f"{model} needs images of shape (channels, height, width), got inputs of shape "
            f"{tuple(input_shape)}. Use mlp for other inputs."
        )
    return input_shape[0], input_shape[1], input_shape[2]


def require_positive(model: str, **sizes: int | tuple[int, ...]) -> None:
    """Refuse sizes below one, and empty lists of them.

    Raises
    ------
    ConfigurationError
        Naming the parameter.
    """
    for name, size in sizes.items():
        values = size if isinstance(size, tuple) else (size,)
        if not values or min(values) < 1:
            raise ConfigurationError(f"{model}: {name} must be at least 1, got {size}.")
