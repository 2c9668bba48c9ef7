"""Networks that are trained end to end on relative coordinates: encoder, anchors, head."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from repgeo.errors import ConfigurationError, InputError
from repgeo.identity import derive_generator
from repgeo.models.encoder_head import EncoderHead, require_positive
from repgeo.models.mlp import mlp

__all__ = ["RelativeCoordinates", "RelativeNetwork", "Statistics", "relative_mlp"]

#: What is done to codes before their cosines to the anchors are taken.
Statistics: TypeAlias = Literal["cosine", "centered", "robust"]


class RelativeCoordinates(nn.Module):
    """The layer r(z)_j = <z', a_j'> / (|z'| |a_j'|), differentiable in codes and anchors.

    z' and a' are the codes as they are ("cosine"), less the anchors' mean ("centered"), or less
    that mean and divided by the anchors' standard deviation (biased, per coordinate; "robust").
    Statistics are those of the anchors alone: the coordinates of a sample do not depend on its
    batch, in training as in evaluation. These are the presets of the same names of
    `repgeo.stitching.RelativeProjection`, in the dtype of the codes and with gradients. A
    coordinate that is constant over the anchors up to rounding is left out where it would be
    divided by; a code without a direction (zero up to rounding) has the coordinates 0.

    Parameters
    ----------
    statistics
        "cosine", "centered" or "robust".

    Notes
    -----
    O(n k d). Sources: Moschella et al. 2023 (arXiv 2209.15430); García-Castellanos et al. 2024
    (arXiv 2409.10967).

    Examples
    --------
    >>> layer = RelativeCoordinates("cosine")
    >>> layer(torch.tensor([[3.0, 4.0]]), torch.eye(2)).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """

    def __init__(self, statistics: Statistics = "cosine") -> None:
        super().__init__()
        if statistics not in ("cosine", "centered", "robust"):
            raise ConfigurationError(
                f"statistics must be 'cosine', 'centered' or 'robust', got {statistics!r}."
            )
        self.statistics = statistics

    def forward(self, codes: Tensor, anchors: Tensor) -> Tensor:
        """The coordinates `(n, k)` of codes `(n, d)` relative to anchors `(k, d)`."""
        if self.statistics != "cosine":
            mean = anchors.mean(dim=0)
            noise = 8 * torch.finfo(anchors.dtype).eps * mean.abs().amax()
            codes, anchors = codes - mean, anchors - mean
        else:
            noise = codes.new_zeros(())
        if self.statistics == "robust":
            variance = anchors.square().mean(dim=0)  # (d,)
            dead = variance <= noise.square()
            weight = torch.where(dead, 0.0, torch.where(dead, 1.0, variance).rsqrt())
            codes, anchors = codes * weight, anchors * weight
            noise = noise.new_zeros(())
        return _directions(codes, noise) @ _directions(anchors, noise).T


def _directions(rows: Tensor, noise: Tensor) -> Tensor:
    """Rows `(n, d)` divided by their norms; 0, and no gradient, where there is none."""
    largest = rows.detach().abs().amax(dim=1, keepdim=True)
    nothing = largest <= noise
    rows = rows / torch.where(nothing, 1.0, largest)  # squares stay in the range of the dtype
    norm = torch.where(nothing, 1.0, rows.square().sum(dim=1, keepdim=True)).sqrt()
    return torch.where(nothing, 0.0, rows / norm)


class RelativeNetwork(nn.Module):
    """The network f(x) = head(r(encoder(x))), r being the coordinates relative to k anchors.

    Two such networks with the same anchors, trained apart, have heads that read the same
    coordinates: the head of one can be put behind the relative layer of the other (cut both at the
    layer `relative`). The inputs of the anchors and their codes are buffers, and so part of the
    state: a stored checkpoint is complete, and evaluation is one pass through the encoder.

    Until `place_anchors` is called, the anchors are noise of the unit normal distribution, drawn
    from `anchor_seed` alone: the same for all networks. The objective `relative_cross_entropy` puts
    training samples in their place.

    Parameters
    ----------
    encoder
        From inputs `(batch, ...)` to codes `(batch, d)`.
    head
        From relative coordinates `(batch, k)` to outputs.
    input_shape
        The shape of one input.
    anchors
        k.
    statistics
        What is done to codes first, see `RelativeCoordinates`.
    anchor_seed
        Of the noise.

    Examples
    --------
    >>> net = RelativeNetwork(nn.Flatten(), nn.Identity(), (2,), anchors=2)
    >>> net.place_anchors(torch.eye(2))
    >>> net(torch.tensor([[0.0, 5.0]])).tolist()
    [[0.0, 1.0]]
    """

    anchor_inputs: Tensor
    anchor_codes: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        head: nn.Module,
        input_shape: tuple[int, ...],
        *,
        anchors: int,
        statistics: Statistics = "cosine",
        anchor_seed: int = 0,
    ) -> None:
        super().__init__()
        require_positive("RelativeNetwork", anchors=anchors)
        self.encoder = encoder
        self.relative = RelativeCoordinates(statistics)
        self.head = head
        self._updates = 0  # since the anchors were placed
        generator = derive_generator("noise anchors", anchor_seed)
        noise = torch.randn(anchors, *input_shape, generator=generator, dtype=torch.float64)
        inputs = noise.to(torch.get_default_dtype())
        self.register_buffer("anchor_inputs", inputs)
        self.register_buffer("anchor_codes", self._encoded(inputs))

    def forward(self, x: Tensor, anchors: Tensor | None = None) -> Tensor:
        """The outputs `(batch, ...)`.

        Parameters
        ----------
        x
            Inputs.
        anchors
            Codes of the anchors `(k, d)` in place of the stored ones: gradients flow into them.
        """
        codes = self.encoder(x)  # (batch, d)
        coordinates = self.relative(codes, self.anchor_codes if anchors is None else anchors)
        outputs: Tensor = self.head(coordinates)
        return outputs

    def encode_anchors(self) -> Tensor:
        """The codes of the anchors `(k, d)` under the present weights, with gradients."""
        codes: Tensor = self.encoder(self.anchor_inputs)
        return codes

    def place_anchors(self, x: Tensor) -> None:
        """Put the inputs `x`, `(k, ...)`, in the place of the anchors, and encode them.

        Raises
        ------
        InputError
            If their number or shape is not that of the anchors at hand.
        """
        if x.shape != self.anchor_inputs.shape:
            raise InputError(
                f"This network has anchors of the shape {tuple(self.anchor_inputs.shape)}, got "
                f"{tuple(x.shape)}. Give model and objective the same number of anchors."
            )
        self.anchor_inputs.copy_(x)
        self._updates = 0
        self.refresh_anchors()

    def refresh_anchors(self) -> None:
        """Store the codes of the anchors under the present weights, as in evaluation."""
        self.anchor_codes.copy_(self._encoded(self.anchor_inputs))

    def count_update(self, refresh: int) -> None:
        """Count an update of the weights; after every `refresh` of them, refresh the anchors."""
        self._updates += 1
        if self._updates % refresh == 0:
            self.refresh_anchors()

    @torch.no_grad()
    def _encoded(self, inputs: Tensor) -> Tensor:
        modes = {part: part.training for part in self.encoder.modules()}
        self.encoder.eval()
        try:
            codes: Tensor = self.encoder(inputs)
        finally:
            for part, mode in modes.items():
                part.training = mode
        if codes.ndim != 2:
            raise ConfigurationError(
                f"Relative coordinates need codes (batch, features), got {tuple(codes.shape)}."
            )
        return codes


def relative_mlp(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    hidden: tuple[int, ...] = (128, 32),
    activation: str = "relu",
    anchors: int = 64,
    statistics: Statistics = "cosine",
    layer_norm: bool = True,
) -> nn.Module:
    """A multi-layer perceptron whose head reads relative coordinates.

    The encoder is that of `mlp`; its codes become cosines to `anchors` anchors; the head is a
    linear layer, after a layer normalisation of the coordinates unless `layer_norm` is off. Train
    it with the objective `relative_cross_entropy`.

    Parameters
    ----------
    input_shape
        The shape of one input.
    classes
        The number of outputs.
    hidden, activation
        As of `mlp`.
    anchors
        Their number; the objective must draw as many.
    statistics
        "cosine", "centered" or "robust", see `RelativeCoordinates`.
    layer_norm
        Whether coordinates are normalised over the anchors of each sample.

    Raises
    ------
    ConfigurationError
        For an unknown activation or statistics, or a size below 1.

    Notes
    -----
    Source: Moschella et al. 2023 (arXiv 2209.15430), training end to end.

    Examples
    --------
    >>> net = relative_mlp((1, 8, 8), 10, anchors=16)
    >>> tuple(net(torch.zeros(5, 1, 8, 8)).shape)
    (5, 10)
    """
    require_positive("relative_mlp", anchors=anchors)
    base = mlp(input_shape, classes, hidden=hidden, activation=activation)
    assert isinstance(base, EncoderHead)
    head: nn.Module = nn.Linear(anchors, classes)
    if layer_norm:
        head = nn.Sequential(nn.LayerNorm(anchors), head)
    return RelativeNetwork(base.encoder, head, input_shape, anchors=anchors, statistics=statistics)
