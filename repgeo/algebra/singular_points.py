"""Where the set of functions of a network is not smooth, or is reached from several sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from repgeo.algebra.arithmetic import EXACT, Arithmetic, Numbers
from repgeo.algebra.network import Parameters
from repgeo.algebra.polynomial_convolution import PolynomialCNN
from repgeo.algebra.self_attention import Attention
from repgeo.errors import InputError

__all__ = ["AttentionPoint", "attention_point", "nodal_partner"]

PointKind: TypeAlias = Literal[
    "regular", "low rank", "rank one", "crossing", "ramification", "zero"
]


def nodal_partner(network: PolynomialCNN, parameters: Parameters) -> dict[str, Numbers] | None:
    """Other filters with the same function, that no scaling leads to: a node of the neuromanifold.

    Filters of a subnetwork, with zeros at their ends, can be moved: if w_l ends in s_l zeros and
    w_{l+1} begins with one, w_l may go s_l places to the right, which moves its outputs by one, and
    w_{l+1} one place to the left; and the other way round.

    Parameters
    ----------
    network
        A polynomial convolutional network with r > 1.
    parameters
        Its filters.

    Returns
    -------
    dict or None
        The other filters; None where no zeros allow it.

    Examples
    --------
    >>> from repgeo.algebra import polynomial_cnn
    >>> other = nodal_partner(
    ...     polynomial_cnn([3, 3], 2), {"w0": np.array([1, 2, 0]), "w1": np.array([0, 3, 4])}
    ... )
    >>> other["w0"].tolist(), other["w1"].tolist()
    ([0, 1, 2], [3, 4, 0])
    """
    for layer, stride in enumerate(network.strides[:-1]):
        first, second = parameters[f"w{layer}"], parameters[f"w{layer + 1}"]
        if not first.any() or not second.any() or stride >= len(first) or len(second) < 2:
            continue
        if not first[-stride:].any() and not second[0]:
            places = stride, -1
        elif not first[:stride].any() and not second[-1]:
            places = -stride, 1
        else:
            continue
        moved = dict(parameters)
        moved[f"w{layer}"] = np.roll(first, places[0])
        moved[f"w{layer + 1}"] = np.roll(second, places[1])
        return moved
    return None


@dataclass(frozen=True)
class AttentionPoint:
    """One lightning attention layer at given weights A = K^T Q and V.

    Attributes
    ----------
    kind
        "regular". "low rank": rank A below the rank a that is allowed, where a < d (determinantal).
        "rank one": A or V of rank one where more is allowed; the boundary of the set of functions
        is said to be among these. "crossing": both, A = k q^T and V = o v^T: exchanging k and
        v gives the same function. "ramification": both, with k and v parallel, where these two
        meet. "zero": A or V is zero.
    score_rank, value_rank
        The ranks of A and V.
    kernel_dimension
        Of the derivative of the coefficients of the layer by A and V; 1 is the rescaling.
    """

    kind: PointKind
    score_rank: int
    value_rank: int
    kernel_dimension: int


def attention_point(
    network: Attention, parameters: Parameters, arithmetic: Arithmetic = EXACT
) -> AttentionPoint:
    """Classify the weights of one lightning attention layer.

    Its function has the coefficients A_{kq} V_{ov}, made symmetric in k and v.

    Parameters
    ----------
    network
        One layer, one head, no normaliser or residual, at least two tokens.
    parameters
        Q1, K1 and V1, as residues or reals.
    arithmetic
        `EXACT` (ranks without tolerances) or `REAL`.

    Raises
    ------
    InputError
        For another network.

    References
    ----------
    N. W. Henry, G. L. Marchetti, K. Kohn (2024), arXiv:2408.17221.

    Examples
    --------
    >>> from repgeo.algebra import attention
    >>> one = np.array([[1, 2, 3]])
    >>> rows = {"Q1": np.array([[1, 0, 2]]), "K1": one, "V1": np.array([[1], [4], [0]]) * one}
    >>> point = attention_point(attention([3, 3], [1]), rows)
    >>> point.kind, point.kernel_dimension
    ('ramification', 3)
    """
    plain = network.layers == network.heads == 1 and network.value_rank is None
    if not plain or network.normalized or network.residual or network.tokens < 2:
        raise InputError("Only one layer of lightning attention with one head can be classified.")
    normal = {n: arithmetic.normal_form(np.asarray(p)) for n, p in parameters.items()}
    key = np.ascontiguousarray(normal["K1"].T)
    scores, values = arithmetic.matmul(key, normal["Q1"]), normal["V1"]
    ranks = arithmetic.rank(scores), arithmetic.rank(values)
    kernel = _kernel_dimension(scores, values, arithmetic)
    d, out = network.widths
    allowed = min(network.ranks[0], d)
    kind: PointKind = "regular"
    if 0 in ranks:
        kind = "zero"
    elif ranks == (1, 1):
        both = np.concatenate([scores.T, values])  # rows are multiples of k and of v
        kind = "ramification" if arithmetic.rank(both) == 1 else "crossing"
    elif (ranks[0] == 1 < allowed) or (ranks[1] == 1 < min(d, out)):
        kind = "rank one"
    elif ranks[0] < allowed < d:
        kind = "low rank"
    return AttentionPoint(kind, *ranks, kernel)


def _kernel_dimension(scores: Numbers, values: Numbers, arithmetic: Arithmetic) -> int:
    """Of (dA, dV) -> dA (x) V + A (x) dV, symmetric in the indices of keys and of values."""
    d, out = scores.shape[0], values.shape[0]
    rows = []
    for k, q in np.ndindex(d, d):
        part = np.zeros((d, d, out, d), dtype=scores.dtype)  # (k, q, o, v)
        part[k, q] = values
        rows.append(part)
    for o, v in np.ndindex(out, d):
        part = np.zeros((d, d, out, d), dtype=scores.dtype)
        part[:, :, o, v] = scores
        rows.append(part)
    whole = np.array(rows)
    symmetric = arithmetic.normal_form(whole + whole.transpose(0, 4, 2, 3, 1))
    return len(rows) - arithmetic.rank(symmetric.reshape(len(rows), -1))
