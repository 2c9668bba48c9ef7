"""Lightning and normalised self-attention: the dimension of what they can express."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from repgeo.algebra.arithmetic import REAL, Arithmetic, Numbers
from repgeo.algebra.attention_symmetry import attention_symmetries
from repgeo.algebra.dual import Dual
from repgeo.algebra.network import Network, Parameters, Symmetry
from repgeo.errors import InputError

__all__ = ["Attention", "attention", "effective_weights"]


@dataclass(frozen=True)
class Attention(Network):
    """Layers of self-attention on tokens x_1, ..., x_t, without biases or perceptrons between.

    One head: out_m = sum_j S(x_j^T K^T Q x_m) V x_j, with S(s) = s (lightning attention), or with
    S = exp, divided by its sum over the keys j (softmax; over a prime field another function that
    is not even). Heads are added. With `residual` x_m is added; with `causal` only keys j <= m
    count.

    Attributes
    ----------
    widths
        d_0, ..., d_l: the sizes of tokens.
    ranks
        a_1, ..., a_l: the rows of the queries Q_i and keys K_i, `(a_i, d_{i-1})`.
    normalized, heads, residual, causal, tokens
        As above; t tokens.
    value_rank
        If given, V = O W with O `(d_i, value_rank)` and W `(value_rank, d_{i-1})`.

    References
    ----------
    N. W. Henry, G. L. Marchetti, K. Kohn, "Geometry of lightning self-attention: identifiability
    and dimension" (2024), arXiv:2408.17221.
    """

    widths: tuple[int, ...]
    ranks: tuple[int, ...]
    normalized: bool = False
    heads: int = 1
    residual: bool = False
    causal: bool = False
    tokens: int = 3
    value_rank: int | None = None

    @property
    def layers(self) -> int:
        """The number l of layers."""
        return len(self.ranks)

    def names(self, layer: int, head: int) -> dict[str, str]:
        """What the arrays of one head are called, by their letters; layers count from 1."""
        letters = "QKV" if self.value_rank is None else "QKOW"
        suffix = "" if self.heads == 1 else f"_{head}"
        return {letter: f"{letter}{layer}{suffix}" for letter in letters}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Q1, K1, V1, Q2, ... (`Q1_0`, `Q1_1`, ... with several heads)."""
        found: dict[str, tuple[int, ...]] = {}
        for layer, a in enumerate(self.ranks, start=1):
            into, out = self.widths[layer - 1], self.widths[layer]
            v = self.value_rank or 0
            sizes = {
                "Q": (a, into),
                "K": (a, into),
                "V": (out, into),
                "O": (out, v),
                "W": (v, into),
            }
            for head in range(self.heads):
                for letter, name in self.names(layer, head).items():
                    found[name] = sizes[letter]
        return found

    @property
    def input_shape(self) -> tuple[int, ...]:
        """`(tokens, d_0)`."""
        return self.tokens, self.widths[0]

    def evaluate(self, parameters: Mapping[str, Dual], x: Dual) -> Dual:
        """The tokens `(n, t, d_l)` at tokens `(n, t, d_0)`."""
        mask = np.tril(np.ones((self.tokens, self.tokens), dtype=x.arithmetic.dtype))
        for layer in range(1, self.layers + 1):
            total = x if self.residual else None
            for head in range(self.heads):
                p = {k: parameters[name] for k, name in self.names(layer, head).items()}
                scores = (x @ p["Q"].transposed()) @ (x @ p["K"].transposed()).transposed()
                if self.normalized:
                    scores = scores.normalised()
                if self.causal:
                    scores = scores * Dual(mask, x.arithmetic)
                last = "V" if self.value_rank is None else "W"
                out = scores @ (x @ p[last].transposed())
                if self.normalized:
                    out = out * scores.sum_last().inverse()
                if self.value_rank is not None:
                    out = out @ p["O"].transposed()
                total = out if total is None else total + out
            assert total is not None  # there is at least one head
            x = total
        return x

    @property
    def dimension(self) -> int | None:
        """The dimension by formula; None where none is known.

        Known: one head, any widths, no residual, with at least two tokens; one layer with one
        token; several heads in one layer; one head with residuals and equal widths. The number does
        not depend on tokens (from two on), nor on a causal mask.
        """
        if self.tokens == 1:
            plain = self.layers == self.heads == 1 and not self.residual
            return self._of_one_token() if plain and self.value_rank is None else None
        if self.residual:
            return self._with_residual()
        if self.heads > 1 or self.value_rank is not None:
            return self._with_heads() if self.layers == 1 else None
        return self._of_chain()

    def _of_one_token(self) -> int | None:
        """Only the symmetric part of K^T Q is seen; a normaliser leaves x -> V x."""
        d, out = self.widths
        if self.normalized:
            return d * out
        rho = min(2 * self.ranks[0], d)
        return rho * (2 * d - rho + 1) // 2 + d * out - 1

    def _of_chain(self) -> int:
        """One head: the effective weights M_1, ..., M_l of their ranks, and L, a product.

        r_i = min(d_0, ..., d_i), b_i = min(a_i, r_{i-1}); s_i = min(r_i, 2 b_{i+1} + s_{i+1}) are
        the dimensions of tokens that later layers read. The sum of b_i (2 s_{i-1} - b_i) and of
        s_{i-1} s_i, without that of s_i^2 for 0 < i < l, minus l without a normaliser. Then, behind
        a layer with b = 1, whose tokens are all on one line, later layers read the symmetric part
        of M_i only.
        """
        layers, d = self.layers, self.widths
        r = [min(d[: i + 1]) for i in range(layers + 1)]
        b = [min(a, r[i]) for i, a in enumerate(self.ranks)]
        s = [d[0], *r[1:layers], d[layers]]
        for i in range(layers - 1, 0, -1):
            s[i] = min(r[i], 2 * b[i] + s[i + 1])
        total = sum(s[i] * s[i + 1] for i in range(layers)) - sum(n * n for n in s[1:layers])
        collinear = False
        for i in range(layers):
            if collinear:
                rho = min(2 * b[i], s[i])
                total += rho * (2 * s[i] - rho + 1) // 2
            else:
                total += b[i] * (2 * s[i] - b[i])
            collinear = collinear or (b[i] == 1 and not self.normalized)
        return total if self.normalized else total - layers

    def _with_heads(self) -> int | None:
        """One layer: each head by itself, and without a normaliser at most all coefficients."""
        d, out = self.widths
        a = min(self.ranks[0], d)
        v = min(self.value_rank or min(d, out), d, out)
        each = a * (2 * d - a) + v * (d + out - v)
        if self.normalized:
            return self.heads * each
        bounds = [self.heads * (each - 1), d * d * (d + 1) // 2 * out]
        if a == d and v == min(d, out):
            rank = min(self.heads, d * d, d * out)  # of the matrix sum_h (K_h^T Q_h) (x) V_h
            bounds.append(rank * (d * d + d * out - rank))
        return min(bounds)

    @property
    def ambient_dimension(self) -> int | None:
        """The d d (d + 1) / 2 d' coefficients of one layer without normaliser or residuals."""
        if self.layers > 1 or self.normalized or self.residual:
            return None
        d, out = self.widths
        return d * d * (d + 1) // 2 * out

    def _with_residual(self) -> int | None:
        """Equal widths: no change of basis between layers is left."""
        d = self.widths[0]
        if self.heads > 1 or self.value_rank is not None or set(self.widths) != {d}:
            return None
        total = sum(a * (2 * d - a) for a in (min(a, d) for a in self.ranks))
        total += self.layers * d * d
        return total if self.normalized else total - self.layers

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """See `repgeo.algebra.attention_symmetry`."""
        return attention_symmetries(self)


def attention(
    widths: Sequence[int],
    ranks: Sequence[int],
    *,
    normalized: bool = False,
    heads: int = 1,
    residual: bool = False,
    causal: bool = False,
    tokens: int = 3,
    value_rank: int | None = None,
) -> Attention:
    """A network of self-attention as a formula.

    Parameters
    ----------
    widths
        d_0, ..., d_l.
    ranks
        a_1, ..., a_l.
    normalized, heads, residual, causal, tokens, value_rank
        As for `Attention`.

    Raises
    ------
    InputError
        If there are not as many ranks as layers, a number is below 1, or a residual connects
        tokens of different widths.

    Examples
    --------
    >>> net = attention([3, 3, 3], [2, 2])
    >>> net.dimension, net.parameter_count, net.fibre_dimension
    (23, 42, 19)
    >>> attention([3, 3, 3], [2, 2], normalized=True).dimension
    25
    """
    if len(widths) != len(ranks) + 1 or len(ranks) < 1:
        raise InputError(f"{len(widths)} widths make {len(widths) - 1} layers: {len(ranks)} ranks.")
    if min(*widths, *ranks, heads, tokens, value_rank or 1) < 1:
        raise InputError("widths, ranks, heads, tokens and value_rank must be at least 1.")
    if residual and len(set(widths)) > 1:
        raise InputError(f"Residuals need tokens of one width, got {list(widths)}.")
    return Attention(
        tuple(widths), tuple(ranks), normalized, heads, residual, causal, tokens, value_rank
    )


def effective_weights(
    network: Attention, parameters: Parameters, arithmetic: Arithmetic = REAL
) -> tuple[Numbers, tuple[Numbers, ...]]:
    """What the function of one head without residuals depends on: L and M_1, ..., M_l.

    With P_0 = 1, P_i = V_i ... V_1: M_i = P_{i-1}^T K_i^T Q_i P_{i-1}, `(d_0, d_0)`, and L = P_l,
    `(d_l, d_0)`. Lightning attention determines them up to one factor for each layer.

    Parameters
    ----------
    network
        The network.
    parameters
        By name.
    arithmetic
        Of the parameters.

    Raises
    ------
    InputError
        For several heads, residuals or factored values.

    Examples
    --------
    >>> net = attention([1, 1], [1])
    >>> L, M = effective_weights(net, {name: np.array([[3.0]]) for name in net.shapes})
    >>> L.tolist(), M[0].tolist()
    ([[3.0]], [[9.0]])
    """
    if network.heads > 1 or network.residual or network.value_rank is not None:
        raise InputError("Effective weights are those of one head, without residuals.")
    product = np.eye(network.widths[0], dtype=arithmetic.dtype)
    found = []
    for layer in range(1, network.layers + 1):
        query, key, value = (
            arithmetic.matmul(parameters[f"{letter}{layer}"], product) for letter in "QKV"
        )
        found.append(arithmetic.matmul(np.ascontiguousarray(key.T), query))
        product = value
    return product, tuple(found)
