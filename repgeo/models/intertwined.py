"""The same network in other coordinates: its last hidden layer permuted and rescaled."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from repgeo.errors import ConfigurationError
from repgeo.identity import derive_generator
from repgeo.models.encoder_head import EncoderHead
from repgeo.models.mlp import mlp

__all__ = ["Intertwiner", "intertwined_mlp"]

_HOMOGENEOUS = ("relu", "leaky_relu", "identity")


class Intertwiner(nn.Module):
    """The map z -> P D z of codes `(batch, d)`, a diagonal D > 0 followed by a permutation P.

    The entries of D are powers of two, 2^k with k uniform on -octaves, ..., octaves, so that
    floating-point numbers are rescaled without rounding.

    Parameters
    ----------
    features
        d.
    octaves
        The largest |k|.
    seed
        Of P and D.

    Examples
    --------
    >>> twist = Intertwiner(5, octaves=2, seed=0)
    >>> z = torch.rand(3, 5)
    >>> bool((twist.undo(twist(z)) == z).all())
    True
    """

    order: Tensor
    scale: Tensor

    def __init__(self, features: int, *, octaves: int = 2, seed: int = 0) -> None:
        super().__init__()
        generator = derive_generator("intertwiner", seed, features, octaves)
        order = torch.randperm(features, generator=generator)
        exponents = torch.randint(-octaves, octaves + 1, (features,), generator=generator)
        self.register_buffer("order", order)
        self.register_buffer("scale", torch.pow(2.0, exponents.to(torch.get_default_dtype())))

    def forward(self, z: Tensor) -> Tensor:
        """P D z."""
        return (z * self.scale)[:, self.order]

    def undo(self, z: Tensor) -> Tensor:
        """D^-1 P^T z."""
        return z[:, torch.argsort(self.order)] / self.scale


class _Undo(nn.Module):
    """The inverse of an intertwiner; the intertwiner's buffers stay its own."""

    def __init__(self, twist: Intertwiner) -> None:
        super().__init__()
        self._twist = (twist,)  # in a tuple, so that it is registered, and stored, once

    def forward(self, z: Tensor) -> Tensor:
        return self._twist[0].undo(z)


def intertwined_mlp(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    hidden: tuple[int, ...] = (128, 32),
    activation: str = "relu",
    octaves: int = 2,
    intertwiner_seed: int = 0,
) -> nn.Module:
    """The network of `mlp` with its last hidden layer in other coordinates: the function is kept.

    With W, b the weights before the last activation and V, c those after it, this is the network of
    the weights P D W, P D b and V (P D)^-1, c. As phi(P D t) = P D phi(t) for D > 0 and phi = ReLU
    (P D is an intertwiner of phi), it has the codes P D z where `mlp` has z, and the same outputs;
    D holds powers of two, so they are the same to the last bit. W, b, V and c are the parameters, P
    and D constants, and (P D)^-1 a layer of its own. So one trained network can be cut where its
    codes are P D z, at `encoder`, and where they are z, at `head.undo`: an encoder and its exact
    twin. Trained apart on the same batches, `mlp` itself goes through the same weights.

    Parameters
    ----------
    input_shape, classes, hidden, activation
        As of `mlp`; at least one hidden layer, and an activation with phi(c t) = c phi(t) for
        c > 0: "relu", "leaky_relu" or "identity".
    octaves
        The entries of D are 2^k, |k| at most this.
    intertwiner_seed
        Of P and D.

    Raises
    ------
    ConfigurationError
        For another activation, no hidden layer, or octaves below 0.

    Notes
    -----
    Source: Godfrey, Brown, Emerson, Kvinge 2022 (arXiv 2205.14258), the intertwiner groups of
    activations; as a test of relative representations: García-Castellanos et al. 2024
    (arXiv 2409.10967).

    Examples
    --------
    >>> from repgeo.models.building import build
    >>> sizes = {"input_shape": (4,), "classes": 3}
    >>> plain, twin = (build(make, {}, seed=0, **sizes) for make in (mlp, intertwined_mlp))
    >>> x = torch.rand(5, 4)
    >>> bool((plain(x) == twin(x)).all()), bool((plain.encoder(x) == twin.encoder(x)).all())
    (True, False)
    """
    if activation not in _HOMOGENEOUS:
        raise ConfigurationError(
            f"intertwined_mlp: only {', '.join(_HOMOGENEOUS)} go along with rescaled units, got "
            f"activation = {activation!r}."
        )
    if not hidden or octaves < 0:
        raise ConfigurationError(
            "intertwined_mlp needs a hidden layer and octaves of at least 0, got "
            f"hidden = {hidden} and octaves = {octaves}."
        )
    base = mlp(input_shape, classes, hidden=hidden, activation=activation)
    assert isinstance(base, EncoderHead)
    assert isinstance(base.encoder, nn.Sequential)
    twist = Intertwiner(hidden[-1], octaves=octaves, seed=intertwiner_seed)
    parts = dict(base.encoder.named_children())
    last = parts.popitem()
    encoder = nn.Sequential()
    for name, part in [*parts.items(), ("intertwiner", twist), last]:
        encoder.add_module(name, part)
    head = nn.Sequential()
    head.add_module("undo", _Undo(twist))
    head.add_module("linear", base.head)
    return EncoderHead(encoder, head)
