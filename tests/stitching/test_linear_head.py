from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching import fit_linear_head
from repgeo.stitching.linear_head import (
    DescentRecipe,
    LinearHead,
    descend_linear_head,
    normalized,
)


def problem(seed: int = 0, n: int = 120, d: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    centres = 2 * torch.randn(3, d, dtype=torch.float64, generator=generator)
    noise = torch.randn(n, d, dtype=torch.float64, generator=generator)
    return centres[labels] + noise + 1, labels


def test_agrees_with_scikit_learn() -> None:
    codes, labels = problem()
    penalty = 0.02
    head = fit_linear_head(codes, labels, penalty=penalty)
    centred = (codes - codes.mean(dim=0)).numpy()
    scaled = centred / np.sqrt((centred**2).mean())
    # Its loss is C sum CE + |V|^2 / 2.
    reference = LogisticRegression(C=1 / (penalty * len(codes)), tol=1e-10, max_iter=10000)
    reference.fit(scaled, labels.numpy())
    expected = reference.decision_function(scaled)
    found = head.logits(codes).numpy()
    # Softmax does not see a common constant per sample.
    found = found - found.mean(axis=1, keepdims=True)
    expected = expected - expected.mean(axis=1, keepdims=True)
    # Gradients below 1e-5 and curvature of at least `penalty` along the weights: 1e-5/0.02 each.
    assert np.abs(found - expected).max() < 5e-3


def test_the_gradient_at_the_answer_vanishes() -> None:
    codes, labels = problem(1)
    head = fit_linear_head(codes, labels, penalty=0.01)
    centred = codes - codes.mean(dim=0)
    spread = centred.square().mean().sqrt()
    weight = (head.weight * spread).requires_grad_(True)
    bias = (head.bias + head.weight @ codes.mean(dim=0)).requires_grad_(True)
    logits = centred / spread @ weight.T + bias
    loss = torch.nn.functional.cross_entropy(logits, labels) + 0.005 * weight.square().sum()
    gradients = torch.autograd.grad(loss, (weight, bias))
    assert max(float(g.abs().max()) for g in gradients) < 2e-5


def test_goes_along_with_similarities_of_the_space() -> None:
    codes, labels = problem(2)
    q = torch.linalg.qr(codes[:5])[0]
    before = fit_linear_head(codes, labels, penalty=0.01).logits(codes)
    moved = 7 * codes @ q + 100
    after = fit_linear_head(moved, labels, penalty=0.01).logits(moved)
    assert torch.allclose(before, after, atol=5e-3)
    assert torch.equal(before.argmax(dim=1), after.argmax(dim=1))


def test_is_reproducible_and_keeps_labels() -> None:
    codes, labels = problem(3)
    renamed = torch.tensor([11, 2, 5])[labels]
    first, second = (fit_linear_head(codes.float(), renamed) for _ in range(2))
    assert torch.equal(first.weight, second.weight)
    assert first.classes.tolist() == [2, 5, 11]
    assert first.weight.dtype == torch.float64
    right = (first.predict(codes.float()) == renamed).double().mean()
    assert float(right) > 0.9


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1])
def test_constant_codes_answer_the_commonest_class(value: float) -> None:
    head = fit_linear_head(torch.full((5, 2), value), torch.tensor([4, 4, 4, 1, 1]))
    assert float(head.weight.abs().max()) == 0.0
    assert head.predict(torch.tensor([[100.0, -3.0]])).tolist() == [4]
    probabilities = head.logits(torch.ones(1, 2)).softmax(dim=1)
    assert torch.allclose(probabilities, torch.tensor([[0.4, 0.6]]).double(), atol=1e-4)


def test_one_class_is_always_answered() -> None:
    head = fit_linear_head(torch.randn(4, 2), torch.full((4,), 3))
    assert head.predict(torch.randn(2, 2)).tolist() == [3, 3]


def test_bad_input() -> None:
    codes, labels = problem()
    with pytest.raises(InputError, match="one per code"):
        fit_linear_head(codes, labels[1:])
    with pytest.raises(InputError, match="integer labels"):
        fit_linear_head(codes, labels.double())
    with pytest.raises(InputError, match="penalty must be positive"):
        fit_linear_head(codes, labels, penalty=0.0)
    with pytest.raises(InputError, match="NaN"):
        fit_linear_head(codes * torch.nan, labels)
    with pytest.raises(InputError, match=r"\(n, features\)"):
        fit_linear_head(codes[0], labels)
    with pytest.raises(InputError, match=r"takes codes \(n, 5\)"):
        fit_linear_head(codes, labels).predict(codes[:, :2])


# ------------------------------------------------------------------------------ by gradient descent


def test_descent_ends_where_the_convex_fit_does() -> None:
    codes, labels = problem()
    recipe = DescentRecipe(lr=0.05, epochs=300, batch_size=len(codes), weight_decay=0.0)
    head = descend_linear_head(codes, labels, recipe=recipe, generator=torch.Generator())
    convex = fit_linear_head(codes, labels, penalty=1e-4)
    agreement = (head.predict(codes) == convex.predict(codes)).double().mean()
    assert agreement > 0.97


def test_a_short_descent_depends_on_the_size_of_the_codes_and_the_convex_fit_does_not() -> None:
    codes, labels = problem()
    recipe = DescentRecipe(lr=1e-3, epochs=5, batch_size=len(codes), weight_decay=0.0)

    def logits(factor: float) -> Tensor:
        head = descend_linear_head(
            factor * codes, labels, recipe=recipe, generator=torch.Generator()
        )
        return head.logits(factor * codes)

    # Adam's steps do not see the size of a gradient: weights are alike, so logits scale along.
    ratio = logits(0.01).abs().mean() / logits(1.0).abs().mean()
    assert 0.002 < ratio < 0.2
    sizes = [fit_linear_head(f * codes, labels).logits(f * codes) for f in (0.01, 1.0)]
    torch.testing.assert_close(*sizes, atol=1e-3, rtol=1e-3)


def test_the_first_step_of_descent_is_that_of_adam() -> None:
    codes = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    head = descend_linear_head(
        codes,
        torch.tensor([0, 1]),
        recipe=DescentRecipe(lr=0.1, epochs=1, batch_size=2),
        generator=torch.Generator(),
    )
    # From zero weights Adam moves each weight by lr against the sign of its gradient.
    torch.testing.assert_close(
        head.weight, torch.tensor([[-0.1, 0.1], [0.1, -0.1]]).double(), atol=1e-6, rtol=0
    )


def test_descent_is_that_of_torch() -> None:
    codes, labels = problem()
    recipe = DescentRecipe(lr=0.02, epochs=4, batch_size=50, weight_decay=0.3)
    head = descend_linear_head(
        codes, labels, recipe=recipe, generator=torch.Generator().manual_seed(3)
    )
    layer = torch.nn.utils.skip_init(torch.nn.Linear, codes.shape[1], 3).double()
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.02, weight_decay=0.3)
    generator = torch.Generator().manual_seed(3)
    for _ in range(4):
        for batch in torch.split(torch.randperm(len(codes), generator=generator), 50):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(layer(codes[batch]), labels[batch]).backward()
            optimizer.step()
    torch.testing.assert_close(head.weight, layer.weight.detach(), atol=1e-10, rtol=0)
    torch.testing.assert_close(head.bias, layer.bias.detach(), atol=1e-10, rtol=0)


def test_descent_goes_along_with_relabelling_and_repeats() -> None:
    codes, labels = problem()
    recipe = DescentRecipe(epochs=3)

    def trained(labels: Tensor, seed: int = 0) -> LinearHead:
        generator = torch.Generator().manual_seed(seed)
        return descend_linear_head(codes, labels, recipe=recipe, generator=generator)

    assert torch.equal(trained(labels).weight, trained(labels).weight)
    assert not torch.equal(trained(labels).weight, trained(labels, seed=1).weight)
    order = torch.tensor([2, 0, 1])
    moved = trained(order[labels])
    torch.testing.assert_close(moved.weight[order], trained(labels).weight, atol=1e-9, rtol=0)


def test_what_descent_refuses() -> None:
    codes, labels = problem()
    with pytest.raises(InputError, match="must be positive"):
        descend_linear_head(
            codes, labels, recipe=DescentRecipe(lr=0.0), generator=torch.Generator()
        )


# ------------------------------------------------------------------------------ layer normalisation


def test_normalised_codes_are_those_of_layer_norm() -> None:
    codes = 3 + torch.randn(9, 12, generator=torch.Generator().manual_seed(0)).double()
    expected = torch.nn.functional.layer_norm(codes, (12,), eps=0.0)
    torch.testing.assert_close(normalized(codes), expected, atol=1e-13, rtol=0)


def test_normalisation_does_not_see_the_size_of_a_code() -> None:
    codes = torch.randn(9, 12, generator=torch.Generator().manual_seed(0)).double()
    sizes = torch.logspace(-8, 8, 9).double()[:, None]
    torch.testing.assert_close(normalized(sizes * codes), normalized(codes), atol=1e-10, rtol=0)
    assert normalized(torch.full((2, 3), 0.1)).abs().max() == 0
    with pytest.raises(InputError, match="floating point"):
        normalized(torch.zeros(2, 3, dtype=torch.int64))
