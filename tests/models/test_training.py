"""The training loop, with real trainings of small networks."""

from __future__ import annotations

import copy
import itertools
import math
import random
from dataclasses import replace
from functools import cache, partial
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from repgeo.datasets import Dataset, Split
from repgeo.datasets.digits import digits
from repgeo.datasets.planar import sinusoid
from repgeo.errors import ConfigurationError, InputError, TrainingError
from repgeo.models.baselines import identity
from repgeo.models.building import build
from repgeo.models.cnn import cnn
from repgeo.models.mlp import mlp
from repgeo.models.recipe import parse_recipe
from repgeo.models.resnet import resnet
from repgeo.models.training import train, train_with_restarts
from repgeo.objectives import CrossEntropy, MeanSquaredError, Objective

plane = cache(partial(sinusoid, seed=0, train_size=60, test_size=40))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(seed: int = 0, **parameters) -> nn.Module:
    return build(mlp, {"hidden": [8], **parameters}, seed=seed, input_shape=(2,), classes=2)


def trained(module: nn.Module, table: dict, data: Dataset | None = None, seed: int = 0, **options):
    recipe, objective, _ = parse_recipe(table)
    data = plane() if data is None else data
    return train(module, recipe, objective, data, generator=generator(seed), **options)


def states_of(module: nn.Module) -> dict:
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def accuracy(module: nn.Module, data: Dataset) -> float:
    with torch.no_grad():
        return float((module(data.test.x).argmax(1) == data.test.y).double().mean())


@pytest.mark.parametrize(
    ("factory", "table"),
    [
        (mlp, {"epochs": 20, "lr": 0.01, "schedule": "cosine"}),
        (cnn, {"epochs": 15, "lr": 0.01, "schedule": "cosine"}),
        (resnet, {"epochs": 4, "lr": 0.01, "schedule": "cosine"}),
    ],
)
def test_digits_are_learned(factory, table):
    data = digits(seed=0)
    net = build(factory, {}, seed=0, input_shape=data.input_shape, classes=data.classes)
    before = accuracy(net.eval(), data)
    history = trained(net, table, data)
    assert before < 0.3
    assert accuracy(net, data) >= 0.95
    assert history.losses[-1] < 0.1 < history.losses[0]
    assert len(history.losses) == table["epochs"]
    assert history.steps == table["epochs"] * math.ceil(len(data.train) / 64)
    assert not net.training


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_one_seed_one_set_of_bits(optimizer):
    def weights(model_seed: int, order_seed: int) -> dict:
        net = small(model_seed)
        trained(net, {"epochs": 2, "optimizer": optimizer, "batch_size": 10}, seed=order_seed)
        return states_of(net)

    assert equal(weights(0, 0), weights(0, 0))
    assert not equal(weights(0, 0), weights(0, 1))
    assert not equal(weights(0, 0), weights(1, 0))


def test_the_loop_is_plain_gradient_descent():
    data = plane()
    table = {"epochs": 3, "lr": 0.5, "optimizer": "sgd", "batch_size": 1000, "momentum": 0.0}
    net = small()
    twin = copy.deepcopy(net)
    history = trained(net, table)
    losses = []
    for _ in range(3):
        loss = nn.functional.cross_entropy(twin(data.train.x), data.train.y)
        losses.append(float(loss.detach()))
        gradients = torch.autograd.grad(loss, list(twin.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(twin.parameters(), gradients, strict=True):
                parameter.sub_(0.5 * gradient)
    assert history.losses == pytest.approx(losses, rel=1e-5)
    for mine, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_the_gradient_is_clipped_and_the_rate_is_scheduled():
    # With sgd and a small enough limit every update has the length lr * factor * limit.
    net = small()
    table = {"steps": 4, "lr": 1.0, "optimizer": "sgd", "gradient_clip": 1e-3}
    places = []

    def keep(epoch, state) -> None:
        places.append(torch.cat([value.flatten() for value in state.values()]).double())

    trained(net, {**table, "schedule": "linear", "keep": ["init", 1, 2, 3, 4]}, on_checkpoint=keep)
    lengths = [float((b - a).norm()) for a, b in itertools.pairwise(places[:5])]
    assert lengths == pytest.approx([1e-3 * factor for factor in (1, 0.75, 0.5, 0.25)], rel=1e-3)


class Dropping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(2, 16), nn.Dropout(0.5))
        self.head = nn.Linear(16, 2)

    def forward(self, x):
        return self.head(self.encoder(x))


def test_dropout_is_seeded_and_the_callers_generators_are_not_touched():
    def run(seed: int, disturb: int) -> dict:
        net = build(Dropping, {}, seed=0)
        torch.manual_seed(disturb)
        before = (random.getstate(), str(np.random.get_state()), torch.get_rng_state())  # noqa: NPY002
        trained(net, {"epochs": 2}, seed=seed)
        after = (random.getstate(), str(np.random.get_state()), torch.get_rng_state())  # noqa: NPY002
        assert before[:2] == after[:2]
        assert torch.equal(before[2], after[2])
        return states_of(net)

    state = torch.get_rng_state()
    try:
        assert equal(run(0, disturb=1), run(0, disturb=2))
        assert not equal(run(0, disturb=1), run(1, disturb=1))
    finally:
        torch.set_rng_state(state)


def test_checkpoints_of_epochs():
    net, kept = small(), {}
    start = states_of(net)
    trained(net, {"epochs": 3, "keep": ["init", 1, 3]}, on_checkpoint=kept.__setitem__)
    assert list(kept) == ["init", 1, 3, "final"]
    assert equal(kept["init"], start)
    assert equal(kept["final"], states_of(net))
    assert equal(kept[3], kept["final"])
    shorter = small()
    trained(shorter, {"epochs": 1})
    assert equal(kept[1], states_of(shorter))


def test_checkpoints_of_steps():
    net, kept, seen = small(), {}, []
    history = trained(
        net,
        {"steps": 5, "batch_size": 20, "keep": [2, 4]},
        on_checkpoint=kept.__setitem__,
        progress=seen.append,
    )
    assert list(kept) == [2, 4, "final"]
    assert history.steps == 5
    assert len(history.losses) == 2  # three batches, then two
    shorter = small()
    trained(shorter, {"steps": 4, "batch_size": 20})
    assert equal(kept[4], states_of(shorter))
    assert seen == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_progress_ends_at_one():
    seen: list[float] = []
    trained(small(), {"epochs": 4}, progress=seen.append)
    assert seen == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_the_data_follow_the_networks_dtype():
    net = build(mlp, {}, seed=0, dtype="float64", input_shape=(2,), classes=2)
    data = plane()
    trained(net, {"epochs": 1})
    assert {p.dtype for p in net.parameters()} == {torch.float64}
    assert data.train.x.dtype == torch.float32


class Poisoned(CrossEntropy):
    """A loss or a gradient that goes wrong at one step."""

    name: ClassVar[str] = "poisoned"
    seen: ClassVar[list[int]] = []
    step: int = 41
    where: str = "loss"

    def loss(self, model, batch, generator):
        self.seen.append(1)
        loss = super().loss(model, batch, generator)
        if len(self.seen) < self.step:
            return loss
        if self.where == "loss":
            return loss * math.nan
        if self.where == "infinite":
            return loss * math.inf
        # The square root of zero is finite, and its slope is not.
        return loss + (next(model.parameters()).sum() * 0).abs().sqrt()


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("loss", "The loss is NaN at epoch 3, step 41. Lower lr"),
        ("infinite", "The loss is infinite at epoch 3, step 41"),
        ("gradient", "The gradient is not finite at epoch 3, step 41"),
    ],
)
def test_what_is_not_finite_ends_the_training(where, message):
    Poisoned.seen.clear()
    recipe, _, _ = parse_recipe({"epochs": 100, "batch_size": 3})
    kept: list = []
    with pytest.raises(TrainingError, match=message):
        train(
            small(),
            recipe,
            Poisoned(where=where),
            plane(),
            generator=generator(),
            on_checkpoint=lambda epoch, state: kept.append(epoch),
        )
    assert kept == []
    assert len(Poisoned.seen) == 41


def test_a_rate_that_is_too_high_is_reported():
    with pytest.raises(TrainingError, match=r"not finite|is NaN|is infinite"):
        trained(small(), {"epochs": 50, "optimizer": "sgd", "lr": 1e30})


def test_missing_labels_and_misfits_are_reported():
    split = Split(torch.zeros(4, 2))
    with pytest.raises(InputError, match="needs integer class labels"):
        trained(small(), {"epochs": 1}, Dataset("toy", split, split))
    labelled = Split(torch.zeros(4, 2), torch.tensor([0, 1, 2, 3]))
    with pytest.raises(InputError, match=r"gives \(4, 2\), the labels are 0 to 3"):
        trained(small(), {"epochs": 1}, Dataset("toy", labelled, labelled))


class Odd(Objective):
    """An objective that does one thing wrong."""

    name: ClassVar[str] = "odd"
    fault: str = ""

    def batches(self, data, batch_size, generator):
        return iter([]) if self.fault == "empty" else iter([data.train])

    def loss(self, model, batch, generator):
        if self.fault == "vector":
            return model(batch.x).sum(1)
        if self.fault == "number":
            return 1.0
        return torch.ones(())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("empty", "'odd' gave no batches"),
        ("vector", r"must be one number, got \(60,\) at epoch 1, step 1"),
        ("number", "must be one number, got float"),
        ("constant", "does not depend on the model's parameters"),
    ],
)
def test_faulty_objectives_are_named(fault, message):
    recipe, _, _ = parse_recipe({"epochs": 1})
    with pytest.raises(TrainingError, match=message):
        train(small(), recipe, Odd(fault=fault), plane(), generator=generator())


def test_a_model_without_parameters_cannot_be_trained():
    with pytest.raises(ConfigurationError, match="no parameters to train: leave out"):
        trained(identity(), {"epochs": 1})


def test_frozen_parameters_stay():
    net = small()
    net.encoder.requires_grad_(False)
    before = states_of(net)
    trained(net, {"epochs": 1})
    after = states_of(net)
    assert torch.equal(before["encoder.linear1.weight"], after["encoder.linear1.weight"])
    assert not torch.equal(before["head.weight"], after["head.weight"])


def normalised() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_batch_normalisation_skips_a_batch_of_one():
    data = plane()
    odd = replace(data, train=data.train.take(torch.arange(21)))
    history = trained(build(normalised, {}, seed=0), {"epochs": 2, "batch_size": 10}, odd)
    assert history.steps == 4
    assert trained(small(), {"epochs": 2, "batch_size": 10}, odd).steps == 6
    single = replace(data, train=data.train.take(torch.arange(1)))
    with pytest.raises(TrainingError, match="batch normalisation needs two samples"):
        trained(build(normalised, {}, seed=0), {"epochs": 1}, single)


class Projected(CrossEntropy):
    """Its own optimizer, and weights of norm one after each step."""

    name: ClassVar[str] = "projected"

    def optimizer(self, model):
        return torch.optim.SGD(model.parameters(), lr=0.1)

    def after_step(self, model):
        with torch.no_grad():
            model.head.weight /= model.head.weight.norm()


def test_objectives_may_project_and_bring_an_optimizer():
    recipe, _, _ = parse_recipe({"steps": 3, "lr": 100.0})
    net = small()
    history = train(net, recipe, Projected(), plane(), generator=generator())
    assert float(net.head.weight.detach().norm()) == pytest.approx(1.0, abs=1e-6)
    assert max(history.losses) < 5  # the recipe's rate of 100 was not used


def test_an_autoencoder_by_mean_squared_error():
    data = plane()
    table = {"objective": "mean_squared_error", "target": "x", "epochs": 200, "lr": 0.03}
    net = build(mlp, {"hidden": [2], "activation": "identity"}, seed=0, input_shape=(2,), classes=2)
    trained(net, table)
    aside = float(MeanSquaredError(target="x").loss(net, data.test, generator()).detach())
    assert aside < 1e-3


class Fitted(nn.Module):
    """The class means, found without a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Flatten()
        self.register_buffer("means", torch.zeros(2, 2))
        self.register_buffer("draw", torch.zeros(2))

    def forward(self, x):
        return -torch.cdist(self.encoder(x), self.means)

    def fit(self, data, generator) -> None:
        rows = [data.train.x[data.train.y == label].mean(0) for label in (0, 1)]
        self.means.copy_(torch.stack(rows))
        self.draw[0] = torch.rand((), generator=generator)
        self.draw[1] = torch.rand(())


def test_a_model_may_train_itself():
    kept: dict = {}
    net = Fitted()
    before = torch.get_rng_state()
    history = trained(net, {"epochs": 1, "keep": ["init"]}, on_checkpoint=kept.__setitem__)
    assert torch.equal(torch.get_rng_state(), before)
    assert list(kept) == ["init", "final"]
    assert kept["init"]["means"].abs().max() == 0
    assert equal(kept["final"], states_of(net))
    assert history.losses == ()
    assert accuracy(net, plane()) > 0.7
    again = Fitted()
    trained(again, {"epochs": 1})
    assert torch.equal(again.draw, net.draw)
    assert bool((net.draw > 0).all())


@pytest.mark.parametrize("select", ["train_loss", "validation_loss"])
def test_the_best_restart_is_kept(select):
    recipe, objective, _ = parse_recipe(
        {"epochs": 3, "restarts": 4, "select": select, "keep": ["init", 2]}
    )
    made, kept, seen = [], [], []

    def make(restart: int) -> nn.Module:
        made.append(small(restart))
        return made[-1]

    net, history = train_with_restarts(
        make,
        recipe,
        objective,
        plane(),
        generator=generator(),
        progress=seen.append,
        on_checkpoint=lambda epoch, state: kept.append((epoch, state)),
    )
    assert len(made) == 4
    assert net is made[history.restart]
    assert history.scores[history.restart] == min(history.scores)
    assert len(set(history.scores)) == 4
    assert [epoch for epoch, _ in kept] == ["init", 2, "final"]
    assert equal(kept[0][1], states_of(small(history.restart)))
    assert equal(kept[2][1], states_of(net))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    if select == "train_loss":
        assert history.scores[history.restart] == history.losses[-1]
    else:  # a tenth of the train split was held out: one batch of 54 in each of three epochs
        assert history.steps == 3
        assert history.scores[history.restart] != history.losses[-1]


def test_restarts_are_reproducible_and_one_is_plain_training():
    recipe, objective, _ = parse_recipe({"epochs": 1, "restarts": 3})

    def best() -> dict:
        net, _ = train_with_restarts(small, recipe, objective, plane(), generator=generator())
        return states_of(net)

    assert equal(best(), best())
    single = recipe.model_copy(update={"restarts": 1})
    net, history = train_with_restarts(small, single, objective, plane(), generator=generator())
    plain = small(0)
    assert train(plain, single, objective, plane(), generator=generator()) == history
    assert equal(states_of(net), states_of(plain))


def test_a_failed_restart_is_passed_over():
    recipe, objective, _ = parse_recipe({"epochs": 1, "restarts": 3})

    def make(restart: int) -> nn.Module:
        net = small(restart)
        if restart == 0:
            net.head.weight.data.fill_(math.nan)
        return net

    _, history = train_with_restarts(make, recipe, objective, plane(), generator=generator())
    assert history.scores[0] is None
    assert history.restart in (1, 2)

    with pytest.raises(TrainingError, match=r"None of 3 restarts.*The loss is NaN at epoch 1"):
        train_with_restarts(
            lambda restart: make(0), recipe, objective, plane(), generator=generator()
        )
