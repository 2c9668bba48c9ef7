"""A multi-layer perceptron whose codes are batch-normalised."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from repgeo.errors import ConfigurationError
from repgeo.models.encoder_head import EncoderHead
from repgeo.models.mlp import mlp

__all__ = ["batch_norm_mlp"]


def batch_norm_mlp(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    hidden: tuple[int, ...] = (128, 32),
    activation: str = "relu",
    affine: bool = True,
) -> nn.Module:
    """A multi-layer perceptron with batch normalisation as the last layer of its encoder.

    z_0 = x flattened, z_l = phi(W_l z_{l-1} + b_l) for l < L, z_L = BN(W_L z_{L-1} + b_L),
    f(x) = V z_L + c: the codes are z_L, normalised and not activated, so that the scale of
    distances between them is the same at the start of every training. Layers are
    `encoder.linear1`, `encoder.activation1`, ..., `encoder.normalisation`, `head`.

    Parameters
    ----------
    input_shape
        The shape of one input.
    classes
        The number of outputs.
    hidden
        Widths of the hidden layers, one or more; the last is the number of features.
    activation
        Name of phi, see `repgeo.models.activations`.
    affine
        Whether the normalisation has a learned scale and shift for each feature.

    Raises
    ------
    ConfigurationError
        Without a hidden layer, for an unknown activation, or a width below 1.

    Notes
    -----
    Source: Hofer et al. 2020 (arXiv 2002.04805), who normalise before the linear classifier.

    Examples
    --------
    >>> import torch
    >>> net = batch_norm_mlp((1, 8, 8), 10)
    >>> codes = net.encoder(torch.rand(50, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    >>> tuple(codes.shape), bool(codes.mean(dim=0).abs().max() < 1e-5)
    ((50, 32), True)
    """
    if not hidden:
        raise ConfigurationError("batch_norm_mlp needs at least one hidden layer.")
    base = mlp(input_shape, classes, hidden=hidden, activation=activation)
    assert isinstance(base, EncoderHead)
    layers = OrderedDict(base.encoder.named_children())
    layers.pop(f"activation{len(hidden)}")
    layers["normalisation"] = nn.BatchNorm1d(hidden[-1], affine=affine)
    return EncoderHead(nn.Sequential(layers), base.head)
