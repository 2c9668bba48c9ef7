"""Networks on relative coordinates, and the twin in intertwined coordinates."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from repgeo.datasets import Dataset, Split
from repgeo.errors import ConfigurationError, InputError
from repgeo.models.building import build
from repgeo.models.cutting import run_from, run_to
from repgeo.models.intertwined import Intertwiner, intertwined_mlp
from repgeo.models.mlp import mlp
from repgeo.models.recipe import parse_recipe
from repgeo.models.relative import RelativeCoordinates, RelativeNetwork, relative_mlp
from repgeo.models.training import train
from repgeo.stitching import RelativeProjection

SIZES = {"input_shape": (6,), "classes": 3}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def blobs(n: int = 60, seed: int = 0) -> Dataset:
    centres = 3 * normal(3, 6, seed=5).float()
    y = torch.arange(n) % 3
    x = centres[y] + torch.randn(n, 6, generator=seeded(seed))
    split = Split(x, y, torch.arange(n) + 10)
    return Dataset("blobs", split, split)


def trained(factory, recipe: dict, *, seed: int = 0, **parameters):
    net = build(factory, parameters, seed=seed, **SIZES)
    parsed, objective, _ = parse_recipe(recipe)
    kept: dict = {}
    train(
        net,
        parsed,
        objective,
        blobs(),
        generator=seeded(seed),
        on_checkpoint=lambda epoch, state: kept.update({epoch: state}),
    )
    return net.eval(), kept


@pytest.mark.parametrize(
    ("statistics", "options"),
    [
        ("cosine", {}),
        ("centered", {"center": True}),
        ("robust", {"center": True, "scale": True}),
    ],
)
def test_the_layer_is_the_projection_of_the_same_name(statistics, options):
    codes, anchors = normal(20, 5), 2 + 3 * normal(8, 5, seed=1)
    anchors[:, 2] = 0.1  # a dead coordinate
    expected = RelativeProjection("cosine", **options).fit(anchors).transform(codes)
    found = RelativeCoordinates(statistics)(codes, anchors)
    torch.testing.assert_close(found, expected, atol=1e-13, rtol=0)


@pytest.mark.parametrize("statistics", ["cosine", "centered", "robust"])
def test_gradients_of_the_layer_are_right_in_codes_and_anchors(statistics):
    codes, anchors = normal(4, 3).requires_grad_(), normal(5, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(RelativeCoordinates(statistics), (codes, anchors))


@pytest.mark.parametrize("statistics", ["cosine", "centered", "robust"])
def test_codes_without_a_direction_have_no_gradient_and_no_nan(statistics):
    codes = torch.zeros(2, 3, requires_grad=True)
    anchors = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    found = RelativeCoordinates(statistics)(codes, anchors)
    assert found.abs().max() == 0
    found.sum().backward()
    assert codes.grad.abs().max() == 0
    assert torch.isfinite(anchors.grad).all()


def test_coordinates_do_not_depend_on_the_batch():
    net = build(relative_mlp, {"anchors": 5, "statistics": "robust"}, seed=0, **SIZES)
    x = normal(7, 6).float()
    torch.testing.assert_close(net(x)[:2], net(x[:2]), atol=1e-6, rtol=0)


def test_anchors_before_training_are_noise_that_all_networks_share():
    nets = [build(relative_mlp, {"anchors": 4}, seed=seed, **SIZES) for seed in (0, 1)]
    assert torch.equal(nets[0].anchor_inputs, nets[1].anchor_inputs)
    assert not torch.equal(nets[0].anchor_codes, nets[1].anchor_codes)
    torch.testing.assert_close(nets[0].anchor_codes, nets[0].encoder(nets[0].anchor_inputs))


@pytest.mark.parametrize("layer", ["encoder", "encoder.activation1", "relative"])
def test_the_network_can_be_cut(layer):
    net = build(relative_mlp, {"anchors": 4, "hidden": [5, 3]}, seed=0, **SIZES).eval()
    x = normal(6, 6).float()
    z = run_to(net, [layer], x)[layer]
    torch.testing.assert_close(run_from(net, layer, z, x[:1]), net(x), atol=1e-6, rtol=0)


def test_training_places_the_same_training_samples_in_all_networks():
    recipe = {"objective": "relative_cross_entropy", "anchors": 8, "epochs": 2, "batch_size": 16}
    nets = [trained(relative_mlp, recipe, seed=seed, anchors=8)[0] for seed in (0, 1)]
    assert torch.equal(nets[0].anchor_inputs, nets[1].anchor_inputs)
    rows = blobs().train.x
    assert all(bool((rows == anchor).all(dim=1).any()) for anchor in nets[0].anchor_inputs)
    other = trained(relative_mlp, {**recipe, "anchor_seed": 1}, anchors=8)[0]
    assert not torch.equal(other.anchor_inputs, nets[0].anchor_inputs)


@pytest.mark.parametrize("statistics", ["cosine", "centered", "robust"])
def test_training_learns_and_stores_the_codes_of_the_final_anchors(statistics):
    recipe = {"objective": "relative_cross_entropy", "anchors": 12, "epochs": 12, "lr": 1e-2}
    recipe |= {"batch_size": 16, "keep": ["init", 3, "final"]}
    net, kept = trained(relative_mlp, recipe, anchors=12, statistics=statistics)
    data = blobs().train
    assert (net(data.x).argmax(1) == data.y).double().mean() > 0.9
    torch.testing.assert_close(net.anchor_codes, net.encode_anchors())
    # A kept checkpoint is complete: its codes are those of its own weights.
    earlier = copy.deepcopy(net)
    earlier.load_state_dict(kept[3])
    torch.testing.assert_close(earlier.anchor_codes, earlier.encode_anchors())
    assert not torch.equal(kept[3]["anchor_codes"], kept["final"]["anchor_codes"])


def test_the_same_seed_trains_to_the_same_bits():
    recipe = {"objective": "relative_cross_entropy", "anchors": 8, "epochs": 2, "batch_size": 16}
    one, two = (trained(relative_mlp, recipe, anchors=8)[0].state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_anchors_are_encoded_anew_when_they_are_due():
    recipe = {"objective": "relative_cross_entropy", "anchors": 8, "steps": 7, "batch_size": 16}
    recipe["keep"] = [1, 2, 3, 6]

    def codes(refresh: int) -> dict:
        _, kept = trained(relative_mlp, {**recipe, "refresh": refresh}, anchors=8)
        return {step: state["anchor_codes"] for step, state in kept.items()}

    third = codes(3)
    assert torch.equal(third[1], third[2])
    assert not torch.equal(third[2], third[3])
    assert torch.equal(third[6], third["final"])
    frozen = codes(0)
    assert torch.equal(frozen[1], frozen["final"])
    assert torch.equal(frozen[1], third[1])
    always = codes(1)
    assert not torch.equal(always[1], always[2])


def test_gradients_flow_through_anchors_only_where_they_are_encoded_with_the_batch():
    for refresh, flows in ((1, True), (2, False)):
        _, objective, _ = parse_recipe(
            {"objective": "relative_cross_entropy", "anchors": 4, "refresh": refresh, "epochs": 1}
        )
        net = build(relative_mlp, {"anchors": 4}, seed=0, **SIZES).train()
        batch = next(objective.batches(blobs(), 16, seeded()))
        loss = objective.loss(net, batch, seeded())
        # With constant anchors the same loss comes from stored codes.
        by_hand = nn.functional.cross_entropy(net(batch.x), batch.y)
        torch.testing.assert_close(loss, by_hand)
        weight = net.encoder.linear1.weight
        (own,) = torch.autograd.grad(loss, weight)
        (constant,) = torch.autograd.grad(by_hand, weight)
        assert bool((own == constant).all()) != flows


def test_what_relative_training_refuses():
    recipe = {"objective": "relative_cross_entropy", "anchors": 8, "epochs": 1}
    with pytest.raises(ConfigurationError, match="has no anchors"):
        trained(mlp, recipe)
    with pytest.raises(InputError, match="the same number of anchors"):
        trained(relative_mlp, recipe, anchors=9)
    with pytest.raises(InputError, match="Ask for fewer anchors"):
        trained(relative_mlp, {**recipe, "anchors": 61}, anchors=61)
    with pytest.raises(ConfigurationError, match="statistics must be"):
        RelativeCoordinates("whitened")
    with pytest.raises(ConfigurationError, match=r"codes \(batch, features\)"):
        RelativeNetwork(nn.Identity(), nn.Identity(), (1, 2, 2), anchors=2)


# ------------------------------------------------------------------------------ intertwined twins


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "identity"])
def test_a_trained_twin_is_equal_to_the_last_bit(activation):
    recipe = {"epochs": 3, "batch_size": 16}
    plain, _ = trained(mlp, recipe, activation=activation)
    twin, _ = trained(intertwined_mlp, recipe, activation=activation)
    x = blobs(seed=1).test.x
    assert torch.equal(plain(x), twin(x))
    twist = twin.encoder.intertwiner
    assert torch.equal(twin.encoder(x), twist(plain.encoder(x)))
    assert len(torch.unique(twist.scale)) > 2
    assert bool((twist.scale > 0).all())
    plain_codes = run_to(twin, ["head.undo"], x)["head.undo"]
    assert torch.equal(plain_codes, plain.encoder(x))
    # As weights: P D W before the last activation.
    weight = plain.encoder.linear2.weight
    pre = run_to(twin, ["encoder.intertwiner"], x)["encoder.intertwiner"]
    twisted = (twist.scale[:, None] * weight)[twist.order]
    hidden = run_to(plain, ["encoder.activation1"], x)["encoder.activation1"]
    bias = (twist.scale * plain.encoder.linear2.bias)[twist.order]
    torch.testing.assert_close(pre, hidden @ twisted.T + bias, atol=1e-5, rtol=0)


def test_a_twin_survives_copies_and_other_dtypes():
    twin = build(intertwined_mlp, {}, seed=0, **SIZES)
    x = normal(4, 6)
    copied = copy.deepcopy(twin).double()
    copied.encoder.intertwiner.scale.mul_(2)  # the copy's head undoes the copy's intertwiner
    torch.testing.assert_close(copied(x), twin(x.float()).double(), atol=1e-6, rtol=1e-6)
    assert [name for name in twin.state_dict() if "scale" in name] == ["encoder.intertwiner.scale"]


def test_what_an_intertwiner_refuses():
    for activation in ("gelu", "tanh"):
        with pytest.raises(ConfigurationError, match="go along with rescaled units"):
            intertwined_mlp((6,), 3, activation=activation)
    with pytest.raises(ConfigurationError, match="needs a hidden layer"):
        intertwined_mlp((6,), 3, hidden=())
    with pytest.raises(ConfigurationError, match="octaves"):
        intertwined_mlp((6,), 3, octaves=-1)
    assert torch.equal(Intertwiner(4, octaves=0).scale, torch.ones(4))
