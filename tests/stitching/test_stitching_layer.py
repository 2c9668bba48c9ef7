from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from repgeo.errors import InputError, NonFiniteError
from repgeo.stitching import (
    LeastSquaresTranslator,
    OrthogonalTranslator,
    StitchingLayer,
    fit_linear_head,
    stitching_penalty,
)

KINDS = ["linear", "affine", "orthogonal"]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def rotation(d: int, seed: int) -> Tensor:
    return torch.linalg.qr(normal(d, d, seed=seed))[0]


def classes(n: int = 90, d: int = 6, noise: float = 1.0) -> tuple[Tensor, Tensor]:
    """Codes of three classes that overlap, and their labels."""
    labels = torch.arange(n) % 3
    return 1.5 * normal(3, d, seed=0)[labels] + noise * normal(n, d, seed=1) + 1, labels


def linear_head(codes: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
    return fit_linear_head(codes, labels, penalty=0.01).logits


def deep_head(codes: Tensor, labels: Tensor) -> nn.Module:
    """A small network with a smooth activation, trained a little."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = nn.Sequential(nn.Linear(codes.shape[1], 12), nn.Tanh(), nn.Linear(12, 3)).double()
    optimiser = torch.optim.Adam(head.parameters(), lr=0.03)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(head(codes), labels).backward()
        optimiser.step()
    return head.eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_untrained_identity_has_no_penalty_at_all(kind: str, dtype: torch.dtype) -> None:
    codes, labels = classes()
    codes, head = codes.to(dtype), deep_head(codes, labels).to(dtype)
    layer = StitchingLayer(kind, iterations=0).fit(codes, labels, head)
    assert torch.equal(layer.transform(codes), codes)
    assert float(stitching_penalty(head, layer.transform(codes), codes, labels).abs().max()) == 0.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [linear_head, deep_head])
def test_a_trained_self_stitch_is_not_worse(
    kind: str, make: Callable[[Tensor, Tensor], Callable[[Tensor], Tensor]]
) -> None:
    codes, labels = classes()
    head = make(codes, labels)
    layer = StitchingLayer(kind, iterations=40).fit(codes, labels, head)
    penalty = float(stitching_penalty(head, layer.transform(codes), codes, labels).mean())
    assert penalty <= 0.0
    assert layer.loss_ <= layer.start_loss_
    assert penalty == pytest.approx(layer.loss_ - layer.start_loss_, abs=1e-12)


@pytest.mark.parametrize("start", ["identity", "random"])
def test_a_turned_space_is_stitched_back(start: str) -> None:
    own, labels = classes()
    head = linear_head(own, labels)
    # The head reads two directions of six: orthogonal and affine layers can undo any rotation.
    codes = (own - 1) @ rotation(6, 3)
    plain = float(stitching_penalty(head, codes, own, labels).mean())
    for kind in KINDS:
        layer = StitchingLayer(kind, start=start, iterations=100)
        layer.fit(codes, labels, head, generator=generator(1))
        penalty = float(stitching_penalty(head, layer.transform(codes), own, labels).mean())
        assert penalty < 0.02 < 0.3 < plain, kind
        assert layer.loss_ < layer.start_loss_


@pytest.mark.parametrize("kind", ["linear", "affine"])
def test_the_answer_of_a_convex_problem_does_not_depend_on_the_start(kind: str) -> None:
    own, labels = classes(noise=2.0)
    head, codes = linear_head(own, labels), own @ rotation(6, 3)
    losses = []
    for start in ("identity", "random", "least_squares"):
        layer = StitchingLayer(kind, start=start, iterations=2000, gradient=1e-7)
        layer.fit(codes, labels, head, target=own, generator=generator(1))
        assert layer.converged_
        losses.append(layer.loss_)
    assert max(losses) - min(losses) < 1e-7


@pytest.mark.parametrize("kind", KINDS)
def test_the_least_squares_start_is_the_translator(kind: str) -> None:
    own, labels = classes()
    head, codes = linear_head(own, labels), own @ normal(6, 4, seed=3)
    layer = StitchingLayer(kind, start="least_squares", iterations=0)
    layer.fit(codes, labels, head, target=own)
    translator = {
        "linear": LeastSquaresTranslator(center=False),
        "affine": LeastSquaresTranslator(),
        "orthogonal": OrthogonalTranslator(),
    }[kind].fit(codes, own)
    assert torch.allclose(layer.transform(codes), translator.transform(codes), atol=1e-12)


def test_random_codes_leave_the_head_at_chance() -> None:
    own, labels = classes(n=600)
    head = linear_head(own, labels)
    noise = normal(1200, 6, seed=9)
    layer = StitchingLayer("affine").fit(noise[:600], labels, head)
    answers = head(layer.transform(noise[600:])).argmax(dim=1)
    right = float((answers == labels).double().mean())
    assert right == pytest.approx(1 / 3, abs=4 * (2 / 9 / 600) ** 0.5)
    # Without information about the label no answer has a smaller expected loss than log 3; over
    # 600 samples the mean strays by a few hundredths.
    losses = stitching_penalty(head, layer.transform(noise[600:]), own, labels)
    loss = float(losses.mean() + nn.functional.cross_entropy(head(own), labels))
    assert loss > float(torch.tensor(3.0).log()) - 0.1


@pytest.mark.parametrize(("d1", "d2"), [(6, 6), (4, 6), (6, 4)])
def test_orthogonal_layers_stay_orthogonal(d1: int, d2: int) -> None:
    own, labels = classes(d=d2)
    head = linear_head(own, labels)
    codes = torch.nn.functional.pad(own, (0, max(0, d1 - d2)))[:, :d1] @ rotation(d1, 2)
    layer = StitchingLayer("orthogonal", start="random", iterations=30)
    layer.fit(codes, labels, head, target=d2, generator=generator(0))
    assert layer.loss_ < layer.start_loss_
    gram = layer.weight_.T @ layer.weight_ if d1 > d2 else layer.weight_ @ layer.weight_.T
    assert torch.allclose(gram, torch.eye(min(d1, d2)).double(), atol=1e-12)


@pytest.mark.parametrize("kind", ["linear", "affine"])
def test_every_small_step_from_the_answer_is_worse(kind: str) -> None:
    own, labels = classes()
    head = deep_head(own, labels)
    codes = own @ rotation(6, 4)
    layer = StitchingLayer(kind, penalty=0.1, iterations=2000, gradient=1e-6)
    layer.fit(codes, labels, head)
    assert layer.converged_
    mean = codes.mean(dim=0) if kind == "affine" else torch.zeros(6).double()
    spread = (codes - mean).square().mean()

    def objective(weight: Tensor, bias: Tensor) -> float:
        with torch.no_grad():
            loss = nn.functional.cross_entropy(head(codes @ weight + bias), labels)
        shift = bias + mean @ weight - mean  # of the image of the mean
        move = spread * (weight - torch.eye(6)).square().sum()
        return float(loss + 0.05 * (move + shift.square().sum()))

    best = objective(layer.weight_, layer.bias_)
    for seed in range(5):
        step = 1e-3 * normal(6, 6, seed=seed)
        lift = torch.zeros(6).double() if kind == "linear" else 1e-3 * normal(6, seed=seed + 50)
        for sign in (1, -1):
            assert objective(layer.weight_ + sign * step, layer.bias_ + sign * lift) > best


def test_every_small_turn_from_an_orthogonal_answer_is_worse() -> None:
    own, labels = classes(noise=2.0)
    head, codes = linear_head(own, labels), own @ rotation(6, 4)
    layer = StitchingLayer("orthogonal", iterations=2000, gradient=1e-6).fit(codes, labels, head)
    assert layer.converged_
    best = layer.loss_
    for seed in range(8):
        skew = 1e-2 * normal(6, 6, seed=seed)
        turn = torch.matrix_exp(skew - skew.T)
        moved = (codes @ layer.weight_ + layer.bias_) @ turn
        assert float(nn.functional.cross_entropy(head(moved), labels)) > best - 1e-9


def test_the_penalty_holds_the_layer_at_its_start() -> None:
    own, labels = classes()
    head, codes = linear_head(own, labels), own @ rotation(6, 4)
    gaps = [
        float((StitchingLayer(penalty=p).fit(codes, labels, head).transform(codes) - codes).norm())
        for p in (0.01, 1.0, 1e6)
    ]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1e-3


def test_is_reproducible_and_touches_nothing() -> None:
    own, labels = classes()
    head = deep_head(own, labels)
    kept = [p.clone() for p in head.parameters()]
    before = own.clone()
    first, second = (
        StitchingLayer("affine", start="random", iterations=20).fit(
            own, labels, head, generator=generator(4)
        )
        for _ in range(2)
    )
    assert torch.equal(first.weight_, second.weight_)
    assert torch.equal(first.bias_, second.bias_)
    assert torch.equal(own, before)
    for now, then in zip(head.parameters(), kept, strict=True):
        assert torch.equal(now, then)
        assert now.grad is None or not bool(now.grad.isnan().any())


def test_layer_takes_arrays_and_keeps_dtypes() -> None:
    own, labels = classes()
    head = deep_head(own, labels).float()
    layer = StitchingLayer(iterations=5).fit(own.float().numpy(), labels, head)
    found = layer.transform(own.float().numpy())
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    assert layer.transform(own.float()).dtype == torch.float32


def test_many_codes_pass_the_head_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    own, labels = classes()
    head, codes = linear_head(own, labels), own @ rotation(6, 4)
    whole = StitchingLayer(iterations=10).fit(codes, labels, head)
    monkeypatch.setattr("repgeo.stitching.stitching_layer._ROWS", 16)
    parts = StitchingLayer(iterations=10).fit(codes, labels, head)
    assert torch.allclose(whole.weight_, parts.weight_, atol=1e-6)
    penalty = stitching_penalty(head, codes, own, labels)
    assert penalty.shape == (90,)


def test_layer_refuses_what_does_not_fit() -> None:
    own, labels = classes()
    head = linear_head(own, labels)
    with pytest.raises(InputError, match="Did you mean 'affine'"):
        StitchingLayer("afine")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Did you mean 'identity'"):
        StitchingLayer(start="identiy")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="penalty must be 0 or positive"):
        StitchingLayer(penalty=-1.0)
    with pytest.raises(InputError, match="iterations must be 0 or more"):
        StitchingLayer(iterations=-1)
    with pytest.raises(InputError, match="Call fit"):
        StitchingLayer().transform(own)
    with pytest.raises(InputError, match="needs a generator"):
        StitchingLayer(start="random").fit(own, labels, head)
    with pytest.raises(InputError, match="needs the target's codes"):
        StitchingLayer(start="least_squares").fit(own, labels, head, target=6)
    with pytest.raises(InputError, match="one per code"):
        StitchingLayer().fit(own, labels[1:], head)
    with pytest.raises(InputError, match="columns of the head's 3 logits"):
        StitchingLayer().fit(own, labels + 1, head)
    with pytest.raises(InputError, match=r"logits \(90, classes\)"):
        StitchingLayer().fit(own, labels, lambda z: z.sum(dim=1))
    with pytest.raises(InputError, match="got none"):
        StitchingLayer().fit(own[:0], labels[:0], head)
    with pytest.raises(NonFiniteError, match="Start nearer"):
        StitchingLayer().fit(own, labels, lambda z: z / 0)
    with pytest.raises(InputError, match=r"takes codes \(n, 6\)"):
        StitchingLayer(iterations=1).fit(own, labels, head).transform(own[:, :2])
