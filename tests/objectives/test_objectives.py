"""The objectives: their values, their batches, and what they refuse."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest
import torch
from torch import nn

from repgeo import registry
from repgeo.datasets import Dataset, Split
from repgeo.errors import ConfigurationError, InputError
from repgeo.objectives import CrossEntropy, MeanSquaredError, Objective


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dataset(n: int = 10, **arrays) -> Dataset:
    x = torch.randn(n, 4, generator=generator())
    split = Split(x, torch.arange(n) % 3, arrays=arrays)
    return Dataset("toy", split, split)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_its_formula(smoothing):
    logits = torch.randn(6, 3, generator=generator(), dtype=torch.float64)
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    loss = CrossEntropy(label_smoothing=smoothing).loss(
        nn.Identity(), Split(logits, y), generator()
    )
    total = 0.0
    for row, label in zip(logits.tolist(), y.tolist(), strict=True):
        normaliser = math.log(sum(math.exp(value) for value in row))
        for position, value in enumerate(row):
            q = smoothing / 3 + (1 - smoothing) * (position == label)
            total -= q * (value - normaliser)
    assert float(loss) == pytest.approx(total / 6, rel=1e-12)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "the dataset 'toy' has none"),
        (torch.zeros(4), r"has torch.float32 of shape \(4,\)"),
        (torch.zeros(4, 2, dtype=torch.int64), r"torch.int64 of shape \(4, 2\)"),
    ],
)
def test_cross_entropy_needs_labels(y, message):
    split = Split(torch.zeros(4, 2), y)
    with pytest.raises(InputError, match=message):
        next(CrossEntropy().batches(Dataset("toy", split, split), 2, generator()))


def test_cross_entropy_needs_outputs_that_fit():
    batch = Split(torch.zeros(2, 3), torch.tensor([0, 3]))
    with pytest.raises(InputError, match=r"the model gives \(2, 3\), the labels are 0 to 3"):
        CrossEntropy().loss(nn.Identity(), batch, generator())
    with pytest.raises(InputError, match="the labels are -1 to 3"):
        CrossEntropy().loss(nn.Identity(), Split(torch.zeros(2, 4), torch.tensor([-1, 3])), None)


def test_mean_squared_error_against_y_x_and_a_named_array():
    x = torch.randn(5, 2, 3, generator=generator(), dtype=torch.float64)
    pose = torch.randn(5, 6, generator=generator(1), dtype=torch.float64)
    y = torch.randn(5, generator=generator(2), dtype=torch.float64)
    batch = Split(x, y, arrays={"pose": pose})

    def loss(target: str, model: nn.Module) -> float:
        return float(MeanSquaredError(target=target).loss(model, batch, generator()).detach())

    assert loss("x", nn.Identity()) == 0
    assert loss("pose", nn.Identity()) == pytest.approx(float((x.flatten(1) - pose).pow(2).mean()))
    first = nn.Sequential(nn.Flatten(), nn.Linear(6, 1, bias=False).double())
    found = first(x).detach()
    expected = sum((float(found[i, 0]) - float(y[i])) ** 2 for i in range(5)) / 5
    assert loss("y", first) == pytest.approx(expected, rel=1e-12)


def test_mean_squared_error_refuses_what_does_not_fit():
    with pytest.raises(InputError, match=r"'pose', which the dataset 'toy' does not have.*x, y"):
        next(MeanSquaredError(target="pose").batches(dataset(), 2, generator()))
    batch = dataset().train
    with pytest.raises(InputError, match="gives 4 numbers per sample, the target has 1"):
        MeanSquaredError().loss(nn.Identity(), batch, generator())


def test_batches_are_one_seeded_pass():
    data = dataset(10)
    batches = list(CrossEntropy().batches(data, 4, generator()))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert len(batches) == CrossEntropy().batches_per_epoch(data, 4)
    ids = torch.cat([batch.ids for batch in batches])
    assert torch.equal(ids.sort().values, torch.arange(10))
    for batch in batches:
        assert torch.equal(batch.x, data.train.x[batch.ids])
        assert torch.equal(batch.y, data.train.y[batch.ids])

    def order(seed: int) -> list[int]:
        return torch.cat([b.ids for b in CrossEntropy().batches(data, 4, generator(seed))]).tolist()

    assert order(0) == ids.tolist()
    assert order(1) != order(0)


def test_objectives_are_strict():
    with pytest.raises(ValueError, match="less than 1"):
        CrossEntropy(label_smoothing=1.0)
    with pytest.raises(ValueError, match="Extra inputs"):
        CrossEntropy(smoothing=0.1)
    with pytest.raises(ValueError, match="frozen"):
        CrossEntropy().label_smoothing = 0.5
    assert CrossEntropy(label_smoothing=0.1).parameters() == {"label_smoothing": 0.1}


def test_an_objective_needs_a_name_and_a_loss():
    with pytest.raises(ConfigurationError, match="Nameless needs a name"):

        class Nameless(Objective):
            pass

    class Lossless(Objective):
        name: ClassVar[str] = "lossless"

    with pytest.raises(NotImplementedError, match=r"Lossless does not define loss\(\)"):
        Lossless().loss(nn.Identity(), None, generator())


def test_the_catalogue_leads_to_them():
    for record in registry.records("objectives"):
        if record.origin == "repgeo":
            found = registry.load("objectives", record.name).object
            assert issubclass(found, Objective)
            assert found.name == record.name
