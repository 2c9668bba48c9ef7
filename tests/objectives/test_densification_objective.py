"""Class-pure sub-batches, statistics of batch normalisation, positions and the ramp."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from repgeo import registry
from repgeo.datasets import Dataset, Split
from repgeo.errors import ConfigurationError, InputError
from repgeo.models.batch_norm_mlp import batch_norm_mlp
from repgeo.models.building import build
from repgeo.models.recipe import parse_recipe
from repgeo.models.relative import relative_mlp
from repgeo.models.training import train
from repgeo.objectives import CrossEntropy, Densification, RelativeDensification
from repgeo.objectives.densification import PureBatch
from repgeo.stitching import densification_loss, h0_deaths


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def blobs(n=60, classes=3, seed=0):
    draws = generator(seed)
    y = torch.arange(n) % classes
    centres = 3 * torch.randn(classes, 5, generator=draws)
    x = centres[y] + torch.randn(n, 5, generator=draws)
    split = Split(x, y, torch.arange(n) + 1000)
    return Dataset("blobs", split, split)


def net(seed=0):
    return build(batch_norm_mlp, {"hidden": (16, 4)}, seed=seed, input_shape=(5,), classes=3)


def relative_net(seed=0):
    sizes = {"hidden": (16, 4), "anchors": 6}
    return build(relative_mlp, sizes, seed=seed, input_shape=(5,), classes=3)


@pytest.mark.parametrize("replacement", [False, True])
def test_sub_batches_are_pure_and_every_sample_is_a_seed_once(replacement):
    data = blobs()
    objective = Densification(draws=4, replacement=replacement, statistics_draws=7)
    batches = list(objective.batches(data, 20, generator()))
    assert len(batches) == objective.batches_per_epoch(data, 20) == 12
    seeds = []
    for batch in batches:
        assert isinstance(batch, PureBatch)
        assert len(batch) == 20
        assert len(batch.random) == 7
        for number in range(5):
            own = batch.cloud == number
            assert int(own.sum()) == 4
            assert len(batch.y[own].unique()) == 1
            ids = batch.ids[own].tolist()
            seeds.append(ids[0])
            assert replacement or len(set(ids)) == 4
            torch.testing.assert_close(batch.x[own], data.train.x[batch.ids[own] - 1000])
    assert sorted(seeds) == sorted(data.train.ids.tolist())


def test_draws_are_shuffled_anew_in_every_epoch_and_repeatable():
    data, objective, draws = blobs(), Densification(draws=4), generator()
    first, second = (
        torch.cat([batch.ids for batch in objective.batches(data, 20, draws)]) for _ in range(2)
    )
    again = torch.cat([batch.ids for batch in objective.batches(data, 20, generator())])
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    companions = {}
    for ids in (first, second):
        for row in ids.reshape(-1, 4).tolist():
            companions.setdefault(row[0], []).append(set(row[1:]))
    assert sum(a != b for a, b in companions.values()) > 50


def test_with_replacement_samples_repeat():
    objective = Densification(draws=30, replacement=True)
    batch = next(objective.batches(blobs(n=12), 30, generator()))
    assert len(batch.ids.unique()) <= 4


def test_the_last_batch_has_fewer_sub_batches():
    objective = Densification(draws=4)
    sizes = [len(batch) for batch in objective.batches(blobs(n=15), 28, generator())]
    assert sizes == [28, 28, 4]


def test_loss_is_cross_entropy_and_weighted_deviation():
    model = net().train()
    objective = Densification(beta=0.8, weight=0.3, draws=4, statistics="mixed")
    batch = next(objective.batches(blobs(), 20, generator()))
    found = objective.loss(model, batch, generator())
    codes = model.encoder(batch.x)
    expected = nn.functional.cross_entropy(model.head(codes), batch.y)
    deviation = sum((h0_deaths(codes[batch.cloud == k]) - 0.8).abs().sum() for k in range(5)) / 5
    torch.testing.assert_close(found, expected + 0.3 * deviation)
    plain = Densification(weight=0.0, draws=4, statistics="mixed").loss(model, batch, generator())
    torch.testing.assert_close(plain, expected)


def statistics_of(model):
    return [b.clone() for name, b in model.named_buffers() if "running" in name or "num" in name]


def test_statistics_of_batch_normalisation_see_the_random_sub_batch_only():
    data, objective = blobs(), Densification(draws=4, weight=1.0)
    batch = next(objective.batches(data, 20, generator()))
    model, twin = net().train(), net().train()
    objective.loss(model, batch, generator()).backward()
    with torch.no_grad():
        twin(batch.random)
    for mine, other in zip(statistics_of(model), statistics_of(twin), strict=True):
        assert torch.equal(mine, other)
    assert int(model.encoder.normalisation.num_batches_tracked) == 1
    # All parts are in training mode again.
    assert all(part.training for part in model.modules())


def test_the_random_sub_batch_has_no_gradient_and_pure_ones_are_normalised_by_running_statistics():
    data, objective = blobs(), Densification(draws=4, weight=0.5)
    batch = next(objective.batches(data, 20, generator()))
    model, twin = net().train(), net().train()
    objective.loss(model, batch, generator()).backward()
    with torch.no_grad():
        twin(batch.random)
    twin.eval()
    codes = twin.encoder(batch.x)
    loss = nn.functional.cross_entropy(twin.head(codes), batch.y)
    deviation = densification_loss(codes, batch.cloud, 1.0, reduction="sum")
    (loss + 0.5 * deviation).backward()
    for mine, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


def test_without_the_trick_statistics_are_those_of_classes():
    data = blobs()
    updates = {}
    for statistics in ("mixed", "pure"):
        model = net().train()
        objective = Densification(draws=4, statistics=statistics)
        batch = next(objective.batches(data, 20, generator()))
        assert batch.random is None
        objective.loss(model, batch, generator())
        updates[statistics] = int(model.encoder.normalisation.num_batches_tracked)
    assert updates == {"mixed": 1, "pure": 5}


def test_pure_passes_are_sub_batches_by_themselves():
    model = net().train()
    objective = Densification(draws=4, statistics="pure", beta=0.3)
    batch = next(objective.batches(blobs(), 12, generator()))
    losses = []
    for number in range(3):
        own = batch.cloud == number
        codes = model.encoder(batch.x[own])
        deviation = (h0_deaths(codes) - 0.3).abs().sum()
        logits = model.head(codes)
        losses.append(nn.functional.cross_entropy(logits, batch.y[own]) + 0.1 * deviation)
    found = objective.loss(net().train(), batch, generator())
    torch.testing.assert_close(found, torch.stack(losses).mean())


@pytest.mark.parametrize(
    ("progress", "factor"),
    [(0.0, 0.0), (0.09375, 0.5), (0.1875, 1.0), (0.24, 1.0), (0.25, 0.0), (0.9, 0.8)],
)
def test_the_weight_rises_over_three_quarters_of_each_cycle(progress, factor):
    objective = Densification(weight=0.2, ramp="cycles")
    assert objective.at(progress).weight == pytest.approx(0.2 * factor)
    assert objective.weight == 0.2
    assert Densification(weight=0.2).at(progress).weight == 0.2


def test_training_follows_the_ramp(monkeypatch):
    seen = []
    whole = Densification.loss

    def loss(self, model, batch, draws):
        seen.append(round(self.weight, 6))
        return whole(self, model, batch, draws)

    monkeypatch.setattr(Densification, "loss", loss)
    table = {"objective": "densification", "draws": 4, "ramp": "cycles", "cycles": 1}
    recipe, objective, _ = parse_recipe({**table, "weight": 0.3, "epochs": 2, "batch_size": 40})
    train(net(), recipe, objective, blobs(), generator=generator())
    assert seen == [round(0.3 * min(1, step / 12 / 0.75), 6) for step in range(12)]


def test_training_moves_deaths_towards_beta():
    data = blobs()
    deaths = {}
    for beta, weight in ((0.0, 0.3), (1.0, 0.0), (1.0, 0.3)):
        table = {"objective": "densification", "draws": 8, "beta": beta, "weight": weight}
        recipe, objective, _ = parse_recipe({**table, "epochs": 5, "batch_size": 64, "lr": 1e-2})
        model = net()
        train(model, recipe, objective, data, generator=generator())
        codes = model.encoder(data.train.x).detach()
        own = [h0_deaths(codes[data.train.y == label][:8]) for label in range(3)]
        deaths[beta, weight] = float(torch.cat(own).mean())
    free = deaths[1.0, 0.0]
    assert deaths[0.0, 0.3] < 0.8 * free
    assert 1.2 * free < deaths[1.0, 0.3] < 1.2


@pytest.mark.parametrize("position", ["pre", "post", "both"])
def test_positions_of_a_network_on_relative_coordinates(position):
    objective = RelativeDensification(
        position=position, draws=4, anchors=6, beta=0.5, beta_post=0.2, weight=0.7, refresh=10
    )
    batch = next(objective.batches(blobs(), 20, generator()))
    model = relative_net().train()
    found = objective.loss(model, batch, generator())
    assert torch.equal(model.anchor_inputs, batch.anchors)
    codes = model.encoder(batch.x)
    coordinates = model.relative(codes, model.anchor_codes)
    pre = densification_loss(codes, batch.cloud, 0.5, reduction="sum")
    post = densification_loss(coordinates, batch.cloud, 0.2, reduction="sum")
    deviation = {"pre": pre, "post": post, "both": 0.1 * pre + 0.9 * post}[position]
    expected = nn.functional.cross_entropy(model.head(coordinates), batch.y) + 0.7 * deviation
    torch.testing.assert_close(found, expected)


def test_one_beta_for_both_positions_by_default():
    objective = RelativeDensification(beta=3.0)
    assert [objective.beta_of(layer) for layer in objective.positions()] == [3.0, 3.0]


def test_gradients_flow_through_anchors_where_they_are_encoded_with_every_batch():
    data = blobs()
    gradients = {}
    for refresh in (1, 5):
        objective = RelativeDensification(position="post", draws=4, anchors=6, refresh=refresh)
        model = relative_net().train()
        batch = next(objective.batches(data, 20, generator()))
        objective.loss(model, batch, generator()).backward()
        gradients[refresh] = model.encoder.linear1.weight.grad.clone()
    assert not torch.allclose(gradients[1], gradients[5])


def test_a_relative_network_is_trained_to_the_end():
    table = {"objective": "relative_densification", "draws": 4, "anchors": 6, "epochs": 3}
    recipe, objective, _ = parse_recipe({**table, "batch_size": 20, "lr": 0.01})
    history = train(relative_net(), recipe, objective, blobs(), generator=generator())
    assert history.losses[-1] < history.losses[0]


def test_bad_fields_and_data_are_refused():
    data = blobs()
    with pytest.raises(ConfigurationError, match="multiple of it, got 10"):
        Densification(draws=4).batches_per_epoch(data, 10)
    with pytest.raises(InputError, match="Class 0 of 'blobs' has 20 training samples"):
        next(Densification(draws=21).batches(data, 21, generator()))
    unlabelled = Dataset("bare", Split(data.train.x), Split(data.train.x))
    with pytest.raises(InputError, match="needs integer class labels"):
        next(Densification(draws=4).batches(unlabelled, 8, generator()))
    batch = next(Densification(draws=4).batches(data, 8, generator()))
    with pytest.raises(ConfigurationError, match=r"no layer 'encodr' to densify\. Did you mean"):
        Densification(draws=4, layer="encodr").loss(net(), batch, generator())
    with pytest.raises(ConfigurationError, match="has no anchors"):
        RelativeDensification(draws=4, position="pre").loss(net(), batch, generator())
    with pytest.raises(ConfigurationError, match="train: weight"):
        parse_recipe({"objective": "densification", "weight": -1.0, "epochs": 1})


def test_a_layer_that_does_not_run_is_refused():
    model = net()
    model.spare = nn.Linear(2, 2)
    objective = Densification(draws=4, layer="spare")
    batch = next(objective.batches(blobs(), 8, generator()))
    with pytest.raises(ConfigurationError, match="'spare' does not run"):
        objective.loss(model, batch, generator())


def test_they_are_registered_and_inherit_the_cross_entropy():
    for name, kind in (
        ("densification", Densification),
        ("relative_densification", RelativeDensification),
    ):
        assert registry.load("objectives", name).object is kind
        assert issubclass(kind, CrossEntropy)
    objective = Densification(label_smoothing=0.1, weight=0.0, draws=4, statistics="mixed")
    batch = next(objective.batches(blobs(), 8, generator()))
    model = net().train()
    expected = nn.functional.cross_entropy(model(batch.x), batch.y, label_smoothing=0.1)
    torch.testing.assert_close(objective.loss(model, batch, generator()), expected)


def test_codes_of_batch_norm_mlp_need_a_hidden_layer():
    with pytest.raises(ConfigurationError, match="at least one hidden layer"):
        batch_norm_mlp((4,), 3, hidden=())
    assert batch_norm_mlp((4,), 3, affine=False).encoder.normalisation.weight is None
