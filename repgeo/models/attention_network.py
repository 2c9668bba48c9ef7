"""Self-attention alone: lightning and softmax, deep, with several heads, residuals, causal."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.algebra.self_attention import Attention
from repgeo.algebra.self_attention import attention as attention_formula
from repgeo.errors import ConfigurationError, InputError
from repgeo.models.formula_network import FormulaNetwork

__all__ = ["attention"]


class _AttentionNetwork(FormulaNetwork):
    """Layers of attention on `(batch, tokens, width)`."""

    def __init__(self, formula: Attention) -> None:
        super().__init__(formula)
        self._network = formula

    def hidden(self, x: Tensor) -> Tensor:
        if x.shape[1:] != self._network.input_shape:
            raise InputError(
                f"The network reads tokens {self._network.input_shape}, got {tuple(x.shape[1:])}."
            )
        for layer in range(1, self._network.layers):
            x = self._attended(x, layer)
        return x

    def last(self, z: Tensor) -> Tensor:
        width = self._network.widths[-2]
        tokens = z.reshape(len(z), self._network.tokens, width)
        return self._attended(tokens, self._network.layers)

    def _attended(self, x: Tensor, layer: int) -> Tensor:
        net = self._network
        total = x if net.residual else x.new_zeros(len(x), net.tokens, net.widths[layer])
        hide = torch.ones(net.tokens, net.tokens, dtype=torch.bool, device=x.device).triu(1)
        for head in range(net.heads):
            p = {letter: getattr(self, name) for letter, name in net.names(layer, head).items()}
            scores = (x @ p["Q"].T) @ (x @ p["K"].T).transpose(-1, -2)  # (batch, query, key)
            if net.causal:
                scores = scores.masked_fill(hide, float("-inf") if net.normalized else 0.0)
            if net.normalized:
                scores = scores.softmax(dim=-1)
            out = scores @ (x @ p["V" if net.value_rank is None else "W"].T)
            total = total + (out if net.value_rank is None else out @ p["O"].T)
        return total


def attention(
    widths: tuple[int, ...],
    ranks: tuple[int, ...] | int,
    *,
    softmax: bool = False,
    heads: int = 1,
    residual: bool = False,
    causal: bool = False,
    tokens: int = 3,
    value_rank: int | None = None,
) -> FormulaNetwork:
    """Layers of self-attention without biases, perceptrons or norms, from tokens to tokens.

    From `(batch, tokens, d_0)` to `(batch, tokens, d_l)`: out_m = sum_j S(x_j^T K^T Q x_m) V x_j,
    with S(s) = s (lightning attention) or softmax over the keys j. Weights are drawn from
    N(0, 1 / columns). `spec()` gives `repgeo.algebra.Attention`.

    Parameters
    ----------
    widths
        d_0, ..., d_l.
    ranks
        The rows of queries and keys for each layer, or for all.
    softmax
        Softmax in place of the scores themselves.
    heads, residual, causal
        Heads that are added; x_m added to the output; keys j <= m only.
    tokens
        t.
    value_rank
        Values as a product O W of that inner dimension.

    Raises
    ------
    ConfigurationError
        If numbers do not fit (`repgeo.algebra.attention`).

    References
    ----------
    N. W. Henry, G. L. Marchetti, K. Kohn (2024), arXiv:2408.17221.

    Examples
    --------
    >>> net = attention((4, 2), (2,), softmax=True)
    >>> tuple(net(torch.zeros(5, 3, 4)).shape), net.spec().dimension
    ((5, 3, 2), 20)
    """
    chosen = (ranks,) * (len(widths) - 1) if isinstance(ranks, int) else ranks
    try:
        formula = attention_formula(
            widths,
            chosen,
            normalized=softmax,
            heads=heads,
            residual=residual,
            causal=causal,
            tokens=tokens,
            value_rank=value_rank,
        )
    except InputError as error:
        raise ConfigurationError(f"attention: {error}") from None
    return _AttentionNetwork(formula)
