"""Symmetries of the parameters of self-attention, as actions and as directions.

What is known: a change of basis within queries and keys; one of the tokens between layers; without
a normaliser, and only then, a factor that goes from values to queries; the permutation of heads. A
network whose widths narrow has more: what never occurs may be read in any way, and what is never
read may be written in any way. Behind a lightning layer of rank one, tokens lie on one line, and
queries and keys act by the symmetric part of their product only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import expm

from repgeo.algebra.arithmetic import REAL, Arithmetic, Numbers
from repgeo.algebra.network import Parameters, Symmetry

if TYPE_CHECKING:
    from repgeo.algebra.self_attention import Attention

__all__ = ["attention_symmetries"]

Moves = list[dict[str, Numbers]]
Action = Callable[[Parameters, np.random.Generator], dict[str, Numbers]]
Tangents = Callable[[Parameters, Arithmetic], Numbers]


def attention_symmetries(network: Attention) -> tuple[Symmetry, ...]:
    """All known symmetries of a network, and the rescaling as a control where it must break."""
    found = [_basis_change(network, "key-query basis", *pair) for pair in _inner_pairs(network)]
    merged = [_merged("key-query basis", found)]
    if network.value_rank is not None:
        values = [
            _basis_change(network, "value basis", (names["W"],), (names["O"],))
            for names in _heads(network)
        ]
        merged.append(_merged("value basis", values))
    if network.layers > 1 and not network.residual:
        hidden = [
            _basis_change(network, "token basis", *_around(network, layer))
            for layer in range(1, network.layers)
        ]
        merged.append(_merged("token basis", hidden))
    merged.append(_rescaling(network))
    if network.heads > 1:
        merged.append(_head_permutation(network))
    one = network.value_rank or 0
    pairs = zip(network.ranks, network.widths[1:], strict=True)
    single = [i for i, (a, out) in enumerate(pairs, start=1) if a == 1 == (one or out)]
    if single and network.tokens > 1:
        merged.append(_key_value_exchange(network, single))
    if network.heads == 1 and not network.residual and network.value_rank is None:
        merged += _of_one_head(network)
    return tuple(merged)


def _of_one_head(network: Attention) -> list[Symmetry]:
    found = []
    r = [min(network.widths[: i + 1]) for i in range(network.layers + 1)]
    if any(r[i] < network.widths[i] for i in range(network.layers)):
        found.append(_unseen(network, r))
    if network.layers > 1:
        unread = _unread(network)
        found += [unread] if unread.dimension else []
    if not network.normalized:
        collinear = 0 if network.tokens == 1 else _first_collinear(network, r)
        if collinear < network.layers:
            found.append(_score_rotation(network, range(collinear + 1, network.layers + 1)))
    return found


def _first_collinear(network: Attention, r: Sequence[int]) -> int:
    """How many layers there are up to the first of rank one (all, if there is none)."""
    for layer in range(1, network.layers):
        if min(network.ranks[layer - 1], r[layer - 1]) == 1:
            return layer
    return network.layers


def _heads(network: Attention) -> list[dict[str, str]]:
    return [
        network.names(layer, head)
        for layer in range(1, network.layers + 1)
        for head in range(network.heads)
    ]


def _inner_pairs(network: Attention) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Arrays that meet in an inner index: Q takes G, K takes its inverse transposed."""
    return [((names["Q"],), (names["K"],)) for names in _heads(network)]


def _around(network: Attention, layer: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Arrays that write the tokens behind a layer, and those that read them."""
    last, first = ("V", "QKV") if network.value_rank is None else ("O", "QKW")
    write = [network.names(layer, head)[last] for head in range(network.heads)]
    read = [network.names(layer + 1, head)[k] for head in range(network.heads) for k in first]
    return tuple(write), tuple(read)


def _random_basis(size: int, generator: np.random.Generator) -> Numbers:
    """An invertible matrix with singular values between 1/2 and 2."""
    left, _ = np.linalg.qr(generator.standard_normal((size, size)))
    right, _ = np.linalg.qr(generator.standard_normal((size, size)))
    return np.asarray((left * 2.0 ** generator.uniform(-1, 1, size)) @ right)


def _basis_change(
    network: Attention, name: str, left: tuple[str, ...], right: tuple[str, ...]
) -> Symmetry:
    """G in GL(n): arrays of `left` become G A; those of `right` undo it.

    For queries and keys, whose rows meet, K becomes G^-T K; otherwise arrays of `right` read what
    those of `left` write and become A G^-1.
    """
    size = network.shapes[left[0]][0]
    by_rows = name == "key-query basis"

    def act(parameters: Parameters, generator: np.random.Generator) -> dict[str, Numbers]:
        moved, g = dict(parameters), _random_basis(size, generator)
        undo = np.linalg.inv(g)
        moved |= {key: g @ moved[key] for key in left}
        moved |= {key: undo.T @ moved[key] if by_rows else moved[key] @ undo for key in right}
        return moved

    def tangents(parameters: Parameters, arithmetic: Arithmetic) -> Numbers:
        moves: Moves = []
        for p in range(size):
            for q in range(size):  # G = 1 + e E_pq
                move = {key: np.zeros_like(parameters[key]) for key in (*left, *right)}
                for key in left:
                    move[key][p] = parameters[key][q]
                for key in right:
                    if by_rows:
                        move[key][q] = -parameters[key][p]
                    else:
                        move[key][:, q] = -parameters[key][:, p]
                moves.append(move)
        return network.directions(moves, arithmetic)

    return Symmetry(name, size * size, act, tangents)


def _merged(name: str, parts: Sequence[Symmetry]) -> Symmetry:
    """Symmetries of one kind in all layers and heads as one."""

    def act(parameters: Parameters, generator: np.random.Generator) -> dict[str, Numbers]:
        moved = dict(parameters)
        for part in parts:
            moved = part.act(moved, generator)
        return moved

    def tangents(parameters: Parameters, arithmetic: Arithmetic) -> Numbers:
        return np.concatenate([part.tangents(parameters, arithmetic) for part in parts])

    return Symmetry(name, sum(part.dimension for part in parts), act, tangents)


def _rescaling(network: Attention) -> Symmetry:
    """Q -> c Q, V -> V / c in each head: without a normaliser only."""
    last = "V" if network.value_rank is None else "O"
    heads = _heads(network)

    def act(parameters: Parameters, generator: np.random.Generator) -> dict[str, Numbers]:
        moved = dict(parameters)
        for names in heads:
            # At least 2^(1/2) away from 1, so that a network which must break it does.
            factor = 2.0 ** (generator.uniform(0.5, 1) * generator.choice([-1, 1]))
            moved[names["Q"]] = moved[names["Q"]] * factor
            moved[names[last]] = moved[names[last]] / factor
        return moved

    def tangents(parameters: Parameters, arithmetic: Arithmetic) -> Numbers:
        moves = [
            {names["Q"]: parameters[names["Q"]], names[last]: -parameters[names[last]]}
            for names in heads
        ]
        return network.directions(moves, arithmetic)

    return Symmetry("rescaling", len(heads), act, tangents, holds=not network.normalized)


def _head_permutation(network: Attention) -> Symmetry:
    def act(parameters: Parameters, generator: np.random.Generator) -> dict[str, Numbers]:
        moved = dict(parameters)
        for layer in range(1, network.layers + 1):
            for head, other in enumerate(generator.permutation(network.heads)):
                names, from_names = network.names(layer, head), network.names(layer, int(other))
                moved |= {names[k]: parameters[from_names[k]] for k in names}
        return moved

    return _finite(network, "head permutation", act)


def _finite(network: Attention, name: str, act: Action, *, holds: bool = True) -> Symmetry:
    """A finite group: it has no directions."""

    def tangents(parameters: Parameters, arithmetic: Arithmetic) -> Numbers:
        return network.directions([], arithmetic)

    return Symmetry(name, 0, act, tangents, holds)


def _key_value_exchange(network: Attention, layers: Sequence[int]) -> Symmetry:
    """K^T Q = k q^T, V = o v^T become v q^T and o k^T, where both have rank one."""
    letter = "V" if network.value_rank is None else "W"

    def act(parameters: Parameters, generator: np.random.Generator) -> dict[str, Numbers]:
        moved = dict(parameters)
        for layer in layers:
            for head in range(network.heads):
                names = network.names(layer, head)
                moved[names["K"]] = parameters[names[letter]]
                moved[names[letter]] = parameters[names["K"]]
        return moved

    return _finite(network, "key-value exchange", act, holds=not network.normalized)


def _products(network: Attention, parameters: Parameters, arithmetic: Arithmetic) -> list[Numbers]:
    """P_0 = 1, P_i = V_i ... V_1."""
    found = [np.eye(network.widths[0], dtype=arithmetic.dtype)]
    for layer in range(1, network.layers + 1):
        found.append(arithmetic.matmul(parameters[f"V{layer}"], found[-1]))
    return found


def _added(network: Attention, name: str, tangents: Tangents, dimension: int) -> Symmetry:
    """A symmetry that adds to the parameters any combination of its directions."""

    def act(parameters: Parameters, generator: np.random.Generator) -> dict[str, Numbers]:
        directions = tangents(parameters, REAL)
        change = generator.standard_normal(len(directions)) @ directions
        return {
            key: parameters[key] + change[place].reshape(parameters[key].shape)
            for key, place in network.places().items()
        }

    return Symmetry(name, dimension, act, tangents)


def _unseen(network: Attention, r: Sequence[int]) -> Symmetry:
    """Q_i, K_i and V_i plus what vanishes on all tokens that occur before layer i."""

    def tangents(parameters: Parameters, arithmetic: Arithmetic) -> Numbers:
        products, moves = _products(network, parameters, arithmetic), Moves()
        for layer in range(1, network.layers + 1):
            for row in arithmetic.left_null_space(products[layer - 1]):
                for letter in "QKV":
                    moves += _rows_of(network, f"{letter}{layer}", row)
        return network.directions(moves, arithmetic)

    rows = [2 * network.ranks[i] + network.widths[i + 1] for i in range(network.layers)]
    size = sum((network.widths[i] - r[i]) * rows[i] for i in range(network.layers))
    return _added(network, "unseen tokens", tangents, size)


def _rows_of(network: Attention, name: str, row: Numbers) -> Moves:
    """The moves that add a row vector to one row of an array."""
    moves = Moves()
    for place in range(network.shapes[name][0]):
        move = np.zeros(network.shapes[name], dtype=row.dtype)
        move[place] = row
        moves.append({name: move})
    return moves


def _unread(network: Attention) -> Symmetry:
    """V_i plus what no later layer reads."""
    read = [0] * (network.layers + 1)
    read[network.layers] = network.widths[network.layers]
    for i in range(network.layers - 1, 0, -1):
        read[i] = min(network.widths[i], 2 * network.ranks[i] + read[i + 1])

    def tangents(parameters: Parameters, arithmetic: Arithmetic) -> Numbers:
        moves = Moves()
        reads = np.eye(network.widths[-1], dtype=arithmetic.dtype)
        for layer in range(network.layers, 1, -1):
            q, k, v = (parameters[f"{letter}{layer}"] for letter in "QKV")
            reads = np.concatenate([q, k, arithmetic.matmul(reads, v)])
            for column in arithmetic.left_null_space(np.ascontiguousarray(reads.T)):
                name = f"V{layer - 1}"
                for place in range(network.shapes[name][1]):
                    move = np.zeros(network.shapes[name], dtype=arithmetic.dtype)
                    move[:, place] = column
                    moves.append({name: move})
        return network.directions(moves, arithmetic)

    size = sum(
        (network.widths[i] - read[i]) * network.widths[i - 1] for i in range(1, network.layers)
    )
    return _added(network, "unread tokens", tangents, size)


def _score_rotation(network: Attention, layers: Sequence[int]) -> Symmetry:
    """(Q, K) turned by O(a, a), which keeps Q^T K + K^T Q, where tokens lie on one line.

    The group of the quadratic form 2 <q, k>: it contains the change of basis and the exchange of
    queries with keys.
    """

    def act(parameters: Parameters, generator: np.random.Generator) -> dict[str, Numbers]:
        moved = dict(parameters)
        for layer in layers:
            q, k = parameters[f"Q{layer}"], parameters[f"K{layer}"]
            a = len(q)
            upper, lower = (0.3 * generator.standard_normal((a, a)) for _ in range(2))
            zero = np.zeros((a, a))
            turn = expm(np.block([[zero, upper - upper.T], [lower - lower.T, zero]]))
            moved[f"K{layer}"], moved[f"Q{layer}"] = np.split(turn @ np.concatenate([q, k]), 2)
        return moved

    def tangents(parameters: Parameters, arithmetic: Arithmetic) -> Numbers:
        moves = Moves()
        for layer in layers:
            names = f"Q{layer}", f"K{layer}"
            for own, other in (names, names[::-1]):
                for p, q in itertools.combinations(range(len(parameters[own])), 2):
                    move = np.zeros_like(parameters[own])
                    move[p], move[q] = parameters[other][q], -parameters[other][p]
                    moves.append({own: move})
        return network.directions(moves, arithmetic)

    size = sum(a * (a - 1) for a in (network.ranks[layer - 1] for layer in layers))
    return Symmetry("score rotation", size, act, tangents)
