"""Architectures as formulas: what is refused, and what the options do."""

from __future__ import annotations

import numpy as np
import pytest

from repgeo.algebra import attention, effective_weights, group_cnn, monomial_mlp, polynomial_cnn
from repgeo.algebra.arithmetic import REAL
from repgeo.errors import InputError


def draws():
    return np.random.default_rng(0)


def test_a_convolution_step_by_step():
    net = polynomial_cnn([3, 2], 2, strides=[2, 1], outputs=2)
    assert net.sizes == (7, 3, 2)
    w0, w1, x = np.array([1.0, 2.0, -1.0]), np.array([3.0, 1.0]), draws().standard_normal((1, 7))
    hidden = [(w0 @ x[0, 2 * i : 2 * i + 3]) ** 2 for i in range(3)]
    wanted = [w1 @ hidden[i : i + 2] for i in range(2)]
    assert np.allclose(net.apply({"w0": w0, "w1": w1}, x)[0], wanted, rtol=1e-14)


def test_a_group_convolution_commutes_with_the_group():
    table = symmetric_group()
    net = group_cnn(table, 2, 2)
    parameters = net.draw(REAL, draws())
    x = draws().standard_normal((3, 6))
    for a in table:  # x'(g) = x(a g)
        moved = net.apply(parameters, x[:, a])
        assert np.allclose(moved, net.apply(parameters, x)[:, a], rtol=1e-13)


def symmetric_group():
    import itertools

    elements = list(itertools.permutations(range(3)))
    place = {g: n for n, g in enumerate(elements)}
    return [[place[tuple(g[i] for i in h)] for h in elements] for g in elements]


@pytest.mark.parametrize("normalized", [False, True])
def test_attention_head_by_head(normalized):
    net = attention([3, 2], [2], normalized=normalized, heads=2, causal=True)
    p = net.draw(REAL, draws())
    x = draws().standard_normal((1, 3, 3))
    wanted = np.zeros((3, 2))
    for head in range(2):
        A = p[f"K1_{head}"].T @ p[f"Q1_{head}"]
        for m in range(3):
            scores = np.array([x[0, j] @ A @ x[0, m] for j in range(m + 1)])
            if normalized:
                scores = np.exp(scores) / np.exp(scores).sum()
            wanted[m] += sum(s * (p[f"V1_{head}"] @ x[0, j]) for j, s in enumerate(scores))
    assert np.allclose(net.apply(p, x)[0], wanted, rtol=1e-13)


def test_effective_weights_decide_the_function():
    """A deep network is one without changes of basis, made of M_i and L."""
    net = attention([3, 3, 3], [2, 2])
    p, x = net.draw(REAL, draws()), draws().standard_normal((2, 3, 3))
    L, M = effective_weights(net, p)
    hidden = np.einsum("nje,ef,nmf,njc->nmc", x, M[0], x, x)  # before V_1
    scores = np.einsum("nje,ef,nmf->nmj", hidden, M[1], hidden)
    wanted = np.einsum("nmj,nje,fe->nmf", scores, hidden, L)
    assert np.allclose(net.apply(p, x), wanted, rtol=1e-11)
    with pytest.raises(InputError, match="one head, without residuals"):
        effective_weights(attention([3, 3], [2], heads=2), p)


def test_two_tokens_with_skew_scores_collapse_under_softmax():
    """Both tokens become equal, whatever the values."""
    net = attention([2, 2], [2], normalized=True, tokens=2)
    p = net.draw(REAL, draws())
    x = draws().standard_normal((1, 2, 2))
    scores = np.array([[0.0, 1.0], [-1.0, 0.0]])
    p["K1"], p["Q1"] = np.eye(2), scores
    # x_1^T A x_1 = x_2^T A x_2 = 0 and x_1^T A x_2 = - x_2^T A x_1: the same weights for both.
    out = net.apply(p, x)[0]
    assert np.abs(out[0] - out[1]).max() < 1e-15 * np.abs(out).max() * 10


def test_tokens_behind_a_lightning_layer_of_rank_one_lie_on_one_line():
    for normalized, rank in ((False, 1), (True, 3)):
        net = attention([4, 4], [1], normalized=normalized)
        out = net.apply(net.draw(REAL, draws()), draws().standard_normal((1, 3, 4)))[0]
        values = np.linalg.svd(out, compute_uv=False)
        assert (values > 1e-12 * values[0]).sum() == rank


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: polynomial_cnn([], 2), "must be at least 1"),
        (lambda: polynomial_cnn([2, 0], 2), "must be at least 1"),
        (lambda: polynomial_cnn([2, 2], 2, strides=[1]), "2 filters need as many strides, got 1"),
        (lambda: polynomial_cnn([2, 2], 1).variety_degree, "powers r > 1, not for r = 1"),
        (lambda: polynomial_cnn([2], 1).euclidean_distance_degree, "Euclidean distance degree"),
        (lambda: group_cnn([[0, 1], [0, 1]], 2, 2), "not that of a group"),
        (lambda: group_cnn([[0, 1]], 2, 2), "square of whole numbers"),
        (lambda: group_cnn([[0]], 0, 2), "layers and degree must be at least 1"),
        (lambda: monomial_mlp([3], 2), "widths must be two or more"),
        (lambda: attention([3, 3], [2, 2]), "2 widths make 1 layers: 2 ranks"),
        (lambda: attention([3, 3], [0]), "must be at least 1"),
        (lambda: attention([3, 2], [1], residual=True), "Residuals need tokens of one width"),
    ],
)
def test_what_is_no_architecture_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_loop_that_is_not_associative_is_refused():
    """The smallest Latin squares with a unit that are no groups have five elements."""
    loop = [[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]]
    with pytest.raises(InputError, match="not that of a group"):
        group_cnn(loop, 2, 2)
