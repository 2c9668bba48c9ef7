from __future__ import annotations

import math

import pytest
import torch

from repgeo.datasets.group_signals import composition, orbit_pairs
from repgeo.errors import ConfigurationError, DatasetError, InputError
from repgeo.groups import (
    bispectrum,
    cyclic,
    expected_invariance_loss,
    fourier_score,
    irreps,
    named_group,
    recover_table,
    spectral_regulariser,
)
from repgeo.models import build, parse_recipe, train
from repgeo.models.commutant import commutant
from repgeo.models.composition_networks import (
    composition_formula,
    composition_mlp,
    modular_addition_formula,
)
from repgeo.models.power_spectral import planted_representation, power_spectral
from repgeo.models.scalar_neurons import Bispectral, bispectral, energies


def trained(group, *, starts=8, steps=300, seed=0, **objective):
    data = orbit_pairs(seed=seed, group=group, train_size=400)
    parameters = {"starts": starts}
    if objective.pop("search", False):
        parameters["dimensions"] = "search"
    net = build(power_spectral, parameters, seed=seed, input_shape=data.input_shape, group=group)
    table = {"objective": "power_spectrum", "lr": 0.05, "schedule": "cosine", "steps": steps}
    recipe, fitted, _ = parse_recipe(table | objective)
    train(net, recipe, fitted, data, generator=torch.Generator().manual_seed(seed))
    return net


def test_a_network_becomes_the_fourier_transform():
    net = trained("S3")
    found = recover_table(net.representation(), known=named_group("S3"))
    assert found.homomorphism_error < 0.05
    assert found.certified
    assert fourier_score(net.filters().detach(), named_group("S3")).score.min() > 0.999


def test_the_published_regulariser_is_not_minimal_there():
    net = trained("S3", regulariser="published")
    found = recover_table(net.representation(), known=named_group("S3"))
    assert found.cell_accuracy == 1  # the table is right, and the weights are no representation
    assert found.homomorphism_error > 0.3


def test_groups_that_are_not_told():
    net = trained("Q8", expectation="pairs", search=True, starts=6)
    assert net.candidates == ((1,) * 8, (1, 1, 1, 1, 2))
    assert net.chosen[0] == 1
    assert recover_table(net.representation(), known=named_group("Q8")).homomorphism_error < 0.05


def test_the_published_recipe_draws_batches():
    net = trained("C2xC2", expectation="sampled", batch_size=4, starts=2, steps=60)
    assert bool(torch.isfinite(net.scores).all())
    start = trained("C2xC2", expectation="sampled", batch_size=4, starts=2, steps=1)
    assert net.scores.min() < start.scores.min()


def test_starts_train_as_if_alone():
    together = trained("S3", starts=3, steps=30)
    data = orbit_pairs(seed=0, group="S3", train_size=400)
    alone = build(power_spectral, {"starts": 3}, seed=0, input_shape=(6,), group="S3")
    single = power_spectral((6,), group="S3")
    for name, block in single.blocks.items():
        block.data.copy_(alone.blocks[name][1:2])
    table = {"objective": "power_spectrum", "lr": 0.05, "schedule": "cosine", "steps": 30}
    recipe, objective, _ = parse_recipe(table)
    train(single, recipe, objective, data, generator=torch.Generator().manual_seed(0))
    for name, block in single.blocks.items():
        assert torch.allclose(block[0], together.blocks[name][1], atol=1e-4)


def test_scores_are_the_losses_of_each_start():
    net = power_spectral((6,), group="S3", starts=4)
    recipe, objective, _ = parse_recipe({"objective": "power_spectrum", "steps": 1})
    draws = torch.Generator()
    batch = next(objective.batches(orbit_pairs(seed=0, group="S3"), 1, draws))
    total = objective.loss(net, batch, draws)
    group = named_group("S3")
    stacks = net.stacks()
    slow = sum(
        expected_invariance_loss(stack, group).sum(dim=1) for stack in stacks
    ) / 3 + 10 * spectral_regulariser(stacks, "plancherel")
    assert torch.allclose(net.scores[0], slow)
    assert torch.allclose(total, slow.sum())
    assert net.chosen == (0, int(slow.argmin()))
    assert recipe.steps == 1


def test_outputs_are_those_of_the_chosen_start():
    net = power_spectral((6,), group="S3", starts=3)
    net.scores.copy_(torch.tensor([[3.0, 1.0, 2.0]]))
    x = torch.randn(4, 6, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    expected = []
    for W in (stack[1, k] for stack in net.stacks() for k in range(stack.shape[1])):
        M = torch.einsum("xh,hab->xab", x, W)
        expected.append((M @ M.mH).flatten(1))
    joined = torch.cat(expected, dim=1)
    assert torch.allclose(net(x), torch.cat([joined.real, joined.imag], dim=1), atol=1e-5)
    pinned = [block[0] for block in net.representation()]
    assert all(torch.equal(R, torch.eye(len(R), dtype=R.dtype)) for R in pinned)
    assert net.filters().shape == (6, 6)
    assert len(net.all_representations()) == 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "needs a group, or dimensions"),
        ({"dimensions": (1, 1, 1)}, "squares sum to the 6 inputs"),
        ({"dimensions": (2, 1, 1)}, "dimensions ascend"),
        ({"group": "S3", "starts": 0}, "starts"),
        ({"group": "S4"}, "squares sum to the 6 inputs"),
    ],
)
def test_networks_that_cannot_be(parameters, message):
    with pytest.raises(ConfigurationError, match=message):
        power_spectral((6,), **parameters)


def test_objectives_say_what_they_lack():
    data = composition(seed=0, group="S3")
    draws = torch.Generator()
    _, objective, _ = parse_recipe(
        {"objective": "power_spectrum", "steps": 1, "expectation": "pairs"}
    )
    with pytest.raises(InputError, match="needs the array 'moved'"):
        next(objective.batches(data, 4, draws))
    _, exact, _ = parse_recipe({"objective": "power_spectrum", "steps": 1})
    batch = next(exact.batches(data, 4, draws))
    with pytest.raises(ConfigurationError, match="trains power-spectral networks, got Linear"):
        exact.loss(torch.nn.Linear(2, 2), batch, draws)
    _, orbit, _ = parse_recipe({"objective": "orbit_invariance", "steps": 1})
    with pytest.raises(InputError, match="needs the array 'moved'"):
        next(orbit.batches(data, 4, draws))
    with pytest.raises(ConfigurationError, match="complex weights"):
        orbit.loss(torch.nn.Linear(2, 2), data.train, draws)


def test_planted_noise_has_the_size_that_was_asked_for():
    net = planted_representation("A4", eta=0.3, draws=5)
    exact = [rho.matrices for rho in irreps(named_group("A4"))]
    for draw in net.all_representations():
        squared = sum(
            R.shape[-1] * (R - E).abs().square().sum((-2, -1))
            for R, E in zip(draw, exact, strict=True)
        )
        assert torch.allclose(squared, torch.full((12,), 0.09 * 12, dtype=torch.float64))
    shuffled = recover_table(
        planted_representation("A4", shuffled=True).representation(), known=named_group("A4")
    )
    assert shuffled.cell_accuracy < 0.5
    assert shuffled.group is not None
    assert shuffled.group.isomorphic_to(named_group("A4")) is not None
    for wrong in ({"eta": -1.0}, {"draws": 0}):
        with pytest.raises(ConfigurationError):
            planted_representation("S3", **wrong)


@pytest.mark.parametrize("name", ["S3", "Q8"])
def test_the_commutant_of_pairs(name):
    data = orbit_pairs(seed=1, group=name, train_size=300)
    net = commutant(data.input_shape)
    net.fit(data, torch.Generator())
    assert recover_table(net.representation(), known=named_group(name)).certified
    with pytest.raises(InputError, match="'moved'"):
        net.fit(composition(seed=0, group=name), torch.Generator())
    with pytest.raises(ConfigurationError, match="at most 40"):
        commutant((41,))


def test_a_table_that_is_none_is_a_block_of_its_rows():
    net = commutant((3,))
    (block,) = net.representation()
    assert block.shape == (3, 3, 3)
    assert recover_table([block]).group is None


@pytest.mark.parametrize(("p", "width"), [(11, 100), (11, 400), (23, 2000)])
def test_modular_addition_by_formula(p, width):
    data = composition(seed=0, group=f"C{p}")
    torch.manual_seed(0)
    net = modular_addition_formula((2, p), width=width).double()
    logits = net(data.test.x.double()).detach()
    assert (logits.argmax(dim=1) == data.test.y).all()
    right = logits.gather(1, data.test.y[:, None]).mean()
    wrong = (logits.sum() - logits.gather(1, data.test.y[:, None]).sum()) / (p**2 * (p - 1))
    # Means over random phases: the tolerance is ten standard errors of a mean over width.
    assert float(right) == pytest.approx(width / 2, rel=10 / math.sqrt(width))
    assert float(wrong) == pytest.approx(-width / (2 * (p - 1)), rel=10 / math.sqrt(width))
    score = fourier_score(net.filters().detach(), named_group(f"C{p}"))
    assert score.score.min() > 1 - 1e-9
    torch.manual_seed(0)
    control = modular_addition_formula((2, p), width=width, wrong_sign=True)
    share = (control(data.test.x).argmax(dim=1) == data.test.y).double().mean()
    assert share < 0.35
    with pytest.raises(ConfigurationError, match="odd modulus"):
        modular_addition_formula((2, 6))


@pytest.mark.parametrize("name", ["C5", "S3", "Q8", "A4"])
def test_the_exact_network_of_a_group(name):
    data = composition(seed=0, group=name)
    group = named_group(name)
    logits = composition_formula(name)(data.test.x)
    expected = group.order * torch.nn.functional.one_hot(data.test.y, group.order)
    assert (logits - expected).abs().max() < 1e-4
    control = composition_formula(name, without_inverse=True)(data.test.x)
    share = float((control.argmax(dim=1) == data.test.y).double().mean())
    assert share == pytest.approx(float((group.element_orders <= 2).mean()))


def test_composition_networks_and_data():
    data = composition(seed=0, group="S3", train_share=0.75)
    assert len(data.train) == 27
    assert set(data.train.ids.tolist()).isdisjoint(data.test.ids.tolist())
    table = torch.tensor(named_group("S3").table)
    a, b = data.train.x.argmax(dim=2).T
    assert torch.equal(table[a, b], data.train.y)
    net = composition_mlp((2, 6), 6, width=7)
    assert net(data.test.x).shape == (9, 6)
    assert net.filters().shape == (14, 6)
    for share in (0.0, 1.1, 0.999):
        with pytest.raises(DatasetError, match="train_share"):
            composition(seed=0, group="S3", train_share=share)
    with pytest.raises(ConfigurationError, match="pairs of one-hot"):
        composition_mlp((6,), 6)


def test_orbit_pairs_are_translates():
    data = orbit_pairs(seed=3, group="A4", train_size=20, test_size=5)
    table = torch.tensor(named_group("A4").table)
    moved = torch.gather(data.train.x, 1, table[data.train.element])
    assert torch.equal(moved, data.train.moved)
    assert float(orbit_pairs(seed=0, group="C6", noise=0.5).train.x.abs().square().mean()) == (
        pytest.approx(1.0, abs=0.05)
    )
    # One order, two groups: their data differ, so that studies tell them apart.
    assert orbit_pairs(seed=0, group="D4").digest != orbit_pairs(seed=0, group="Q8").digest
    for wrong in ({"train_size": 0}, {"noise": -1.0}):
        with pytest.raises(DatasetError):
            orbit_pairs(seed=0, group="S3", **wrong)


def test_bispectral_networks_of_the_fourier_transform():
    n = 7
    k = torch.arange(n, dtype=torch.float64)
    W = torch.exp(-2j * torch.pi * torch.outer(k, k) / n)
    x = torch.randn(3, n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    net = Bispectral(W)
    found = net(x)
    third = bispectrum(x, cyclic(n))
    pairs = [(int(i), int(j)) for i, j in torch.triu_indices(n, n).T]
    beta = torch.stack([third[pair][:, 0, 0] for pair in pairs], dim=1)
    beta = beta - beta.mean(dim=1, keepdim=True)
    beta = beta / beta.norm(dim=1, keepdim=True)
    assert torch.allclose(found, torch.cat([beta.real, beta.imag], dim=1), atol=1e-10)
    assert torch.allclose(net(x.roll(2, dims=1)), found, atol=1e-10)
    control = bispectral((n,)).double()
    assert (control(x.roll(2, dims=1)) - control(x)).abs().max() > 1e-3


def test_energies_are_squared_responses():
    net = energies((2, 3), features=4)
    x = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))
    expected = (x.reshape(5, 6).to(torch.complex64) @ net.filters().T).abs().square()
    assert torch.allclose(net(x), expected, atol=1e-5)


def test_rows_return_to_unit_norm():
    _, objective, _ = parse_recipe(
        {"objective": "orbit_invariance", "steps": 1, "retain": "reconstruction"}
    )
    net = bispectral((6,), features=4)
    with torch.no_grad():
        net.parts *= 3
    objective.after_step(net)
    assert torch.allclose(net.weight.abs().square().sum(dim=1), torch.ones(4))
    data = orbit_pairs(seed=0, group="C6")
    x = data.train.x.real.float()
    W = net.weight
    rebuilt = torch.stack([(W.mH @ (W @ row.to(W.dtype))).real for row in x[:3]])
    expected = (rebuilt - x[:3]).square().mean()
    assert torch.allclose(objective._kept(W, x[:3]), expected)
