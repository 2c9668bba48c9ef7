"""Networks of irreps are exact, plain ones are not, and what each of them is made of."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.pair_potential import pair_energy_and_forces
from repgeo.datasets.tetris import tetris
from repgeo.equivariance import equivariance_error, exactness, layerwise_equivariance_error
from repgeo.errors import ConfigurationError
from repgeo.groups import (
    O3,
    SE3,
    SO3,
    FieldsAction,
    Octahedral,
    PointCloudAction,
    VoxelAction,
)
from repgeo.models import build, parse_recipe, train
from repgeo.models.cutting import run_to
from repgeo.models.equivariant_layers import EdgeConvolution, gate, harmonics, radial_basis
from repgeo.models.molecule_networks import (
    molecule_constant,
    molecule_coordinates,
    molecule_mlp,
    molecule_network,
    molecule_point_net,
    molecule_potential,
)
from repgeo.models.point_networks import density_network, point_mlp, point_net, sorted_radii
from repgeo.models.tetris_networks import tetris_formula, tetris_network
from repgeo.models.voxel_networks import radial_histogram, voxel_cnn

SMALL = {"hidden": "4x0e+2x0o+2x1o+2x1e+2x2e+2x2o"}
TINY_MOLECULES = {"atoms": 4, "hidden": "4x0e+2x1o+2x2e", "features": 8, "basis": 4}


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def clouds(points: int = 4) -> Tensor:
    return normal(6, points, 3)


def molecules_of(atoms: int = 4) -> dict[str, Tensor]:
    numbers = torch.tensor([[6, 1, 8, 7], [8, 1, 1, 0], [9, 9, 0, 0]])[:, :atoms]
    positions = 1.3 * normal(3, atoms, 3, seed=2) * (numbers > 0)[..., None]
    return {"positions": positions, "numbers": numbers}


def made(factory: Callable[..., nn.Module], dtype: str = "float64", **parameters: Any) -> nn.Module:
    told = {"input_shape": parameters.pop("input_shape", None), "classes": 8}
    return build(factory, parameters, seed=0, dtype=dtype, **told).eval()  # type: ignore[arg-type]


def grids(side: int = 8) -> Tensor:
    return torch.rand(3, 1, side, side, side, generator=torch.Generator().manual_seed(0)).double()


class Energy(nn.Module):
    """The energy of a force field alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Any) -> Tensor:
        found: Tensor = self.model.energy(x)
        return found


EXACT = {
    "tetris_network": (tetris_network, SMALL, SE3(), "points", clouds),
    "tetris_formula": (tetris_formula, {}, SE3(), "points", clouds),
    "density_network": (density_network, {"hidden": "4x0e+2x1o+2x2e"}, SE3(), "points", clouds),
    "sorted_radii": (sorted_radii, {"input_shape": (4, 3)}, SE3(), "points", clouds),
    "voxel_cnn, averaged": (
        voxel_cnn,
        {"input_shape": (1, 8, 8, 8), "channels": [2, 4], "average": True},
        Octahedral(),
        VoxelAction(Octahedral()),
        grids,
    ),
    "radial_histogram": (
        radial_histogram,
        {"input_shape": (1, 8, 8, 8)},
        Octahedral(),
        VoxelAction(Octahedral()),
        grids,
    ),
}
BROKEN = {
    "point_mlp": (point_mlp, {"input_shape": (4, 3)}, SO3(), "points", clouds),
    "point_net": (point_net, {"input_shape": (4, 3)}, SO3(), "points", clouds),
    "voxel_cnn": (
        voxel_cnn,
        {"input_shape": (1, 8, 8, 8), "channels": [2, 4]},
        Octahedral(),
        VoxelAction(Octahedral()),
        grids,
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_networks_of_irreps_and_averages_are_exact(name):
    factory, parameters, group, action, data = EXACT[name]
    built = made(factory, **dict(parameters))
    found = equivariance_error(built, data(), group, rep_in=action, n_elements=24)
    assert found.worst < 1e-12
    single = made(factory, "float32", **dict(parameters))
    told = exactness(single, data(), group, rep_in=action, n_elements=24)
    assert told.exact, told
    assert told.ratio < 0.05


@pytest.mark.parametrize("name", BROKEN)
def test_plain_networks_are_not(name):
    factory, parameters, group, action, data = BROKEN[name]
    built = made(factory, **dict(parameters))
    assert equivariance_error(built, data(), group, rep_in=action, n_elements=24).mean > 1e-3
    told = exactness(made(factory, "float32", **dict(parameters)), data(), group, rep_in=action)
    assert not told.exact
    assert told.ratio == pytest.approx(1.0, abs=1e-2)


RIGID = FieldsAction({"positions": PointCloudAction(SE3())})


@pytest.mark.parametrize(
    ("factory", "parameters", "exact"),
    [
        (molecule_network, TINY_MOLECULES, True),
        (molecule_potential, {"atoms": 4}, True),
        (molecule_coordinates, {"atoms": 4}, True),
        (molecule_constant, {"atoms": 4}, True),
        (molecule_mlp, {"atoms": 4, "hidden": [8]}, False),
        (molecule_point_net, {"atoms": 4, "width": 8, "features": 8}, False),
    ],
)
def test_energies_and_forces(factory, parameters, exact):
    x, built = molecules_of(), made(factory, **dict(parameters))
    rep = built.layer_representations()["outputs"]
    assert rep == "0e+4x1o"
    found = equivariance_error(built, x, SE3(), rep_in=RIGID, rep_out=rep)
    assert (found.worst < 1e-12) == exact
    single = made(factory, "float32", **dict(parameters))
    assert exactness(single, x, SE3(), rep_in=RIGID, rep_out=rep).exact == exact


@pytest.mark.parametrize(
    ("factory", "parameters"),
    [
        (molecule_network, TINY_MOLECULES),
        (molecule_mlp, {"atoms": 4, "hidden": [8]}),
        (molecule_point_net, {"atoms": 4, "width": 8, "features": 8, "pooling": "max"}),
        (molecule_potential, {"atoms": 4}),
    ],
)
def test_forces_are_minus_the_slope_of_the_energy(factory, parameters):
    x, net, step = molecules_of(), made(factory, **dict(parameters)), 1e-5
    energy, forces = net.energy_and_forces(x)
    torch.testing.assert_close(energy, net.energy(x), atol=1e-12, rtol=0)
    torch.testing.assert_close(forces, net.forces(x), atol=0, rtol=0)
    direction = normal(3, 4, 3, seed=9) * (x["numbers"] > 0)[..., None]
    ahead, behind = (
        net.energy({**x, "positions": x["positions"] + sign * step * direction}) for sign in (1, -1)
    )
    slope = ((ahead - behind) / (2 * step))[:, 0]
    work = (forces * direction).sum(dim=(1, 2))
    torch.testing.assert_close(work.detach(), -slope.detach(), atol=1e-6, rtol=1e-6)
    with torch.no_grad():  # gradients are taken whatever mode the caller is in
        torch.testing.assert_close(net(x)[:, 1:], forces.flatten(1), atol=1e-12, rtol=0)
    assert float(forces.detach()[x["numbers"] == 0].abs().max()) == 0.0


def test_atoms_of_the_network_may_be_exchanged_and_are_added_up():
    net, x = made(molecule_network, **TINY_MOLECULES, cutoff=3.0), molecules_of()
    order = torch.tensor([2, 0, 3, 1])
    moved = {name: each[:, order] for name, each in x.items()}
    torch.testing.assert_close(net.energy(moved), net.energy(x), atol=1e-12, rtol=0)
    torch.testing.assert_close(net.forces(moved), net.forces(x)[:, order], atol=1e-12, rtol=0)
    # Two atoms beyond the cutoff do not see each other.
    far = torch.tensor([[[0.0, 0, 0], [9.0, 0, 0], [0, 0, 0], [0, 0, 0]]]).double()
    both = net.energy({"positions": far, "numbers": torch.tensor([[6, 8, 0, 0]])})
    alone = [
        net.energy({"positions": 0 * far, "numbers": torch.tensor([[z, 0, 0, 0]])}) for z in (6, 8)
    ]
    bias = net.head.bias
    torch.testing.assert_close(both, alone[0] + alone[1] - bias, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("net", "group", "data"),
    [
        (lambda: made(tetris_network, **SMALL), O3(), clouds),
        (lambda: made(density_network, hidden="4x0e+2x1o+2x2e"), O3(), lambda: clouds(9)),
        (lambda: made(tetris_formula), O3(), clouds),
    ],
)
def test_layers_change_as_they_say(net, group, data):
    model, x = net(), data()
    told = {name: rep for name, rep in model.layer_representations().items() if name != "outputs"}

    def layers(batch: Tensor) -> dict[str, Tensor]:
        return run_to(model, list(told), batch)

    found = layerwise_equivariance_error(layers, x, group, rep_in="points", reps_out=told)
    assert set(found) == set(told) >= {"encoder"}
    assert max(each.worst for each in found.values()) < 1e-12
    # The same layers taken for invariant are not, where they are no scalars.
    turned = dict.fromkeys(told, "invariant")
    wrong = layerwise_equivariance_error(layers, x, group, rep_in="points", reps_out=turned)
    for name, rep in told.items():
        assert (wrong[name].mean > 1e-4) == (rep != "invariant"), name


def test_layers_of_molecules_change_as_they_say():
    model, x = made(molecule_network, **TINY_MOLECULES), molecules_of()
    told = model.layer_representations()
    named = {name: rep for name, rep in told.items() if name != "outputs"}
    found = layerwise_equivariance_error(
        lambda batch: run_to(model, list(named), batch),
        x,
        SE3(),
        rep_in=RIGID,
        reps_out=named,
    )
    assert max(each.worst for each in found.values()) < 1e-12


def test_a_reflection_changes_the_sign_of_the_odd_scalar():
    net = made(tetris_network)
    pair = tetris(seed=0).train.x[:2].double()
    codes, logits = net.encoder(pair), net(pair)
    assert abs(float(codes[0, 0].detach())) > 1e-4
    torch.testing.assert_close(codes[1, 0], -codes[0, 0], atol=1e-14, rtol=0)
    torch.testing.assert_close(codes[1, 1:], codes[0, 1:], atol=1e-14, rtol=0)
    torch.testing.assert_close(logits[1], logits[0][[1, 0, *range(2, 8)]], atol=1e-14, rtol=0)


def trained(factory: Callable[..., nn.Module], data: Dataset, table: dict[str, Any]) -> nn.Module:
    net = build(factory, {}, seed=0, input_shape=data.input_shape, classes=data.classes)
    recipe, objective, _ = parse_recipe(table)
    train(net, recipe, objective, data, generator=torch.Generator().manual_seed(0))
    return net


def accuracy(net: nn.Module, split: Split) -> float:
    with torch.no_grad():
        return float((net(split.x).argmax(dim=1) == split.y).double().mean())


def test_one_pose_is_enough_for_irreps_and_not_for_a_perceptron():
    data = tetris(seed=0)
    irreps = trained(tetris_network, data, {"steps": 150, "batch_size": 8, "lr": 1e-2})
    assert accuracy(irreps, data.test) == 1.0
    swapped = data.train.x[:1] * torch.tensor([1.0, -1.0, 1.0])
    assert int(irreps(data.train.x[:1]).argmax()) == 0
    assert int(irreps(swapped).argmax()) == 1
    plain = trained(point_mlp, data, {"steps": 400, "batch_size": 8, "lr": 1e-2})
    assert accuracy(plain, data.train) == 1.0
    assert accuracy(plain, data.test) < 0.35
    assert accuracy(tetris_formula(), data.test) == 1.0


def test_point_networks_are_their_formulas():
    x = clouds(5)
    net = made(point_mlp, input_shape=(5, 3), hidden=[7], centred=True)
    shifted = x + torch.tensor([3.0, -1.0, 2.0]).double()
    torch.testing.assert_close(net(shifted), net(x), atol=1e-12, rtol=0)
    raw = made(point_mlp, input_shape=(5, 3), hidden=[7], centred=False)
    assert float((raw(shifted) - raw(x)).abs().max().detach()) > 0.01
    W, b = net.encoder.linear1.weight, net.encoder.linear1.bias
    flat = (x - x.mean(dim=1, keepdim=True)).flatten(1)
    expected = torch.nn.functional.silu(flat @ W.T + b)
    torch.testing.assert_close(net.encoder(x), expected, atol=1e-14, rtol=0)
    order = torch.tensor([3, 1, 4, 0, 2])
    for pooling in ("max", "mean"):
        pooled = made(point_net, input_shape=(5, 3), pooling=pooling)
        torch.testing.assert_close(pooled(x[:, order]), pooled(x), atol=1e-14, rtol=0)
    assert float((net(x[:, order]) - net(x)).abs().max().detach()) > 0.01


def test_the_average_is_the_mean_over_the_group():
    net, x = made(voxel_cnn, input_shape=(1, 8, 8, 8), channels=[2, 4], average=True), grids()
    listed = VoxelAction(Octahedral())(Octahedral().elements(), x)
    expected = torch.stack([net.encoder.features(moved) for moved in listed]).mean(dim=0)
    torch.testing.assert_close(net.encoder(x), expected, atol=1e-14, rtol=0)


def test_shells_are_means_over_distances():
    net, x = made(radial_histogram, input_shape=(1, 4, 4, 4)), grids(4)
    at = torch.arange(4).double() - 1.5
    grid = torch.stack(torch.meshgrid(at, at, at, indexing="ij"), dim=-1)
    shell = grid.norm(dim=-1).floor()
    expected = torch.stack([x[:, 0][:, shell == k].mean(dim=1) for k in shell.unique()], dim=1)
    torch.testing.assert_close(net.encoder(x), expected, atol=1e-14, rtol=0)


def test_the_potential_takes_over_constants_of_the_data():
    x = molecules_of()
    energy, forces = pair_energy_and_forces(**x)
    constants = {"1": 1.0, "6": 2.0, "7": 3.0, "8": 4.0, "9": 5.0}
    counts = torch.tensor([[1, 1, 1, 1, 0], [2, 0, 0, 1, 0], [0, 0, 0, 0, 2]]).double()
    y = energy - counts @ torch.tensor(list(constants.values())).double()
    data = Dataset("", Split(x, y), Split(x, y), {"atom_energies": constants})
    net = made(molecule_potential, atoms=4)
    recipe, objective, _ = parse_recipe({"epochs": 1})
    train(net, recipe, objective, data, generator=torch.Generator())
    torch.testing.assert_close(net.energy(x)[:, 0], y, atol=1e-12, rtol=0)
    torch.testing.assert_close(net(x)[:, 1:], forces.flatten(1), atol=1e-12, rtol=0)


def test_harmonics_and_radial_functions():
    x = normal(7, 3)
    Y = harmonics(2, x, normalise=True)
    for degree, part in enumerate(Y.split([1, 3, 5], dim=1)):
        squares = part.square().sum(dim=1)
        assert squares.tolist() == pytest.approx([2 * degree + 1] * 7, abs=1e-12)
    r2 = x.square().sum(dim=1, keepdim=True)
    polynomials = harmonics(2, x, normalise=False)
    torch.testing.assert_close(polynomials[:, 4:], Y[:, 4:] * r2, atol=1e-12, rtol=1e-12)
    r = torch.linspace(0, 4, 9).double().requires_grad_(True)
    basis = radial_basis(r, 3.0, 5)
    assert tuple(basis.shape) == (9, 5)
    assert float(basis[r >= 3.0].abs().max().detach()) == 0.0
    at_cutoff = torch.tensor([3.0]).double().requires_grad_(True)
    (slope,) = torch.autograd.grad(radial_basis(at_cutoff, 3.0, 5).sum(), at_cutoff)
    assert float(slope) == 0.0


def test_messages_are_sums_over_edges():
    layer = EdgeConvolution("2x0e", "3x0e+1o", degree=1, basis=4, neighbours=4.0).double()
    features, gaps = normal(3, 2), normal(4, 3, seed=1)
    receivers, senders = torch.tensor([0, 0, 1, 2]), torch.tensor([1, 2, 0, 0])
    edges = (receivers, senders, harmonics(1, gaps, normalise=True), normal(4, 4, seed=5).abs())
    found = layer(features, edges)
    alone = [layer(features, tuple(each[i : i + 1] for each in edges)) for i in range(4)]
    torch.testing.assert_close(found, sum(alone), atol=1e-6, rtol=1e-6)


def test_models_are_checked():
    with pytest.raises(ConfigurationError, match="clouds of shape"):
        point_mlp((3,), 2)
    with pytest.raises(ConfigurationError, match="clouds of shape"):
        point_net((4, 2), 2)
    with pytest.raises(ConfigurationError, match="degree must be at least 1"):
        tetris_network(degree=0)
    with pytest.raises(ConfigurationError, match="cutoff must be positive"):
        molecule_network(cutoff=0.0)
    with pytest.raises(ConfigurationError, match="needs cubes of voxels"):
        radial_histogram((1, 8, 8), 2)
    with pytest.raises(ConfigurationError, match="cannot be halved 3 times"):
        voxel_cnn((1, 4, 4, 4), 2)
    with pytest.raises(ConfigurationError, match="needs scalars"):
        gate("2x1o")
    with pytest.raises(ConfigurationError, match="places for 4 atoms, the molecules 3"):
        molecule_mlp(atoms=4)(molecules_of(3))


def test_e3nn_is_imported_when_a_network_is_built():
    code = (
        "import sys; import repgeo.models.tetris_networks, repgeo.models.molecule_networks, "
        "repgeo.models.point_networks, repgeo.models.voxel_networks; "
        "assert 'e3nn' not in sys.modules; "
        "repgeo.models.molecule_networks.molecule_mlp(atoms=2); assert 'e3nn' not in sys.modules; "
        "repgeo.models.equivariant_layers.irreps_module(); assert 'e3nn' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
