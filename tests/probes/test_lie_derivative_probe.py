"""The probe of Lie derivatives against the maths, layer by layer, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.equivariance import (
    Cut,
    lie_derivative,
    lie_derivative_cuts,
    lie_derivative_layers,
    local_equivariance_error,
)
from repgeo.errors import InputError, LayerError
from repgeo.groups import (
    SE3,
    SO3,
    ImageShifts,
    PeriodicShift,
    PointCloudAction,
    Product,
    Translations,
)
from repgeo.models.loaded import load_model
from repgeo.probes import LieDerivative
from repgeo.probes.context import Context
from repgeo.probes.lie_derivative import generator_names
from repgeo.probes.subject import Subject

T2 = Translations(2)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class Halved(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[..., ::2, ::2]


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class Network(nn.Module):
    """A small convolutional network that says how its layers change."""

    def __init__(self) -> None:
        super().__init__()
        circular = {"padding": 1, "padding_mode": "circular"}
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 3, 3, **circular), nn.Tanh(), Halved(), nn.Conv2d(3, 2, 3, **circular),
            nn.ReLU(), Mean(),
        )  # fmt: skip
        self.head = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.encoder(x))
        return outputs

    def layer_representations(self) -> dict[str, str]:
        whole = {f"encoder.{place}": "image" for place in (0, 1)}
        return whole | {f"encoder.{place}": "image:0.5" for place in (2, 3, 4)}


NAMED = {"activation": "encoder.1", "half": "encoder.2", "again": "encoder.4"}


def network() -> Network:
    torch.manual_seed(0)
    return Network().double()


def images(n: int = 6) -> Dataset:
    split = Split(normal(n, 1, 8, 8), None, torch.arange(n) + 10)
    return Dataset("images", split, split, {"group": "T2", "action": "image"})


def measured(net: nn.Module, data: Dataset, named: dict[str, str] | None = None, **fields):
    subject = Subject(load_model(net, "net", named), "encoder", samples=data.test.x)
    found = {}
    for reading in LieDerivative(**fields).measure(subject, data, Context("", 0)):
        assert reading.samples is not None
        key = (reading.metric, reading.layer, reading.at.get("generator", "all"))
        assert key not in found
        found[key] = reading
    return found


def value(found, *key: str) -> float:
    return float(torch.as_tensor(found[key].samples).mean())


def test_errors_agree_with_the_maths_at_each_layer() -> None:
    net, data = network(), images()
    found = measured(net, data, NAMED)
    layers = dict.fromkeys(layer for _, layer, _ in found)
    assert list(layers) == ["input", "activation", "half", "again", "encoder", "output"]
    whole, half = ImageShifts(T2), ImageShifts(T2, 0.5)
    parts = {"activation": (2, whole), "half": (3, half), "again": (5, half), "encoder": (6, None)}
    x = data.test.x
    assert isinstance(x, Tensor)
    variance = (x - x.mean(dim=0)).square().sum() / 6
    for direction, name in enumerate(("shift_down", "shift_right")):
        X = torch.eye(2, dtype=torch.float64)[direction]
        change = whole.derivative(X, x)
        assert isinstance(change, Tensor)
        rates = change.flatten(1).square().sum(dim=1) / variance
        assert torch.allclose(found["input_change", "input", name].samples, rates)
        for layer, (depth, rep) in parts.items():
            part = net.encoder[:depth]
            local = local_equivariance_error(
                part, x, rep_in=whole, rep_out=rep or "invariant", generators=X[None]
            )
            assert torch.allclose(found["local_error", layer, name].samples, local)
            codes = part(x).flatten(1)
            spread = (codes - codes.mean(dim=0)).square().sum() / 6
            relative = local * codes.shape[1] / spread / rates.mean()
            assert torch.allclose(found["relative_error", layer, name].samples, relative)
            assert (found["relative_error", layer, name].chance is None) == (rep is None)
        assert found["local_error", "output", name].ids.tolist() == list(range(10, 16))
    for layer in ("encoder", "output"):
        both = [found["relative_error", layer, f"shift_{way}"].samples for way in ("down", "right")]
        assert torch.allclose(found["mean_error", layer, "all"].samples, sum(both) / 2)
    assert ("mean_error", "half", "all") not in found


def test_contributions_are_those_of_the_chain_rule() -> None:
    net, data = network(), images()
    x, X = data.test.x, torch.tensor([0.0, 1.0], dtype=torch.float64)
    whole, half = ImageShifts(T2), ImageShifts(T2, 0.5)
    chain = [("activation", net.encoder[:2]), ("half", net.encoder[2]), ("again", net.encoder[3:5]),
             ("encoder", net.encoder[5]), ("output", net.head)]  # fmt: skip
    reps = [whole, whole, half, half, "invariant", "invariant"]
    slow = lie_derivative_layers(chain, x, X, representations=reps)
    depths = {"activation": 2, "half": 3, "again": 5, "encoder": 6}
    cuts = [
        Cut(name, net.encoder[:depth], rep, nn.Sequential(net.encoder[depth:], net.head))
        for (name, depth), rep in zip(depths.items(), reps[1:], strict=False)
    ]
    cuts.append(Cut("output", net, "invariant", lambda z: z))
    fast = lie_derivative_cuts(cuts, x, X, rep_in=whole)
    total = lie_derivative(net, x, X, rep_in=whole)
    assert torch.allclose(sum(cut.contribution for cut in fast), total, rtol=0, atol=1e-14)
    found = measured(net, data, NAMED)
    outputs = net(x)
    spread = (outputs - outputs.mean(dim=0)).square().sum() / 6
    rate = value(found, "input_change", "input", "shift_right")
    for one, two in zip(slow, fast, strict=True):
        assert torch.allclose(one.contribution, two.contribution, rtol=0, atol=1e-14)
        squares = one.contribution.square().sum(dim=1)
        reading = found["contribution", one.name, "shift_right"]
        assert torch.allclose(reading.samples, squares / spread / rate, rtol=1e-9, atol=1e-20)
    # The mean over pixels and the linear head are equivariant; what aliases is not.
    blamed = {name: value(found, "contribution", name, "shift_right") for name in layers_of(found)}
    assert blamed["encoder"] < 1e-25
    assert blamed["output"] < 1e-25
    assert min(blamed["activation"], blamed["half"], blamed["again"]) > 1e-6


def layers_of(found) -> list[str]:
    wanted = ("contribution", "shift_right")
    return [layer for metric, layer, name in found if (metric, name) == wanted]


def test_more_samples_than_are_differentiated_at_once() -> None:
    net, data = network(), images(150)
    X = torch.tensor([1.0, 0.0], dtype=torch.float64)
    found = measured(net, data)
    local = lie_derivative(net, data.test.x, X, rep_in=ImageShifts(T2)).square().mean(dim=1)
    assert torch.allclose(found["local_error", "output", "shift_down"].samples, local)
    few = measured(net, data, samples=20)
    assert len(few["local_error", "output", "shift_down"].samples) == 20
    same = measured(network(), data, samples=20)
    assert torch.equal(few["local_error", "output", "shift_down"].ids,
                       same["local_error", "output", "shift_down"].ids)  # fmt: skip


def test_points_are_turned_and_moved() -> None:
    cloud = normal(12, 5, 3)
    split = Split(cloud)
    data = Dataset("points", split, split, {"group": "SE3", "action": "points"})
    names = generator_names(SE3())
    assert names[:4] == ("rotation_x", "rotation_y", "rotation_z", "shift_x")

    def heights(x: Tensor) -> Tensor:
        return x[..., 2].mean(dim=1, keepdim=True)

    found = measured(load_model(heights, "heights").module, data)
    errors = {name: value(found, "local_error", "output", name) for name in names}
    # The height of the centre (a, b, c) changes at the rates b, -a, 0 and 0, 0, 1.
    centre = cloud.mean(dim=1).square().mean(dim=0)
    expected = [float(centre[1]), float(centre[0]), 0.0, 0.0, 0.0, 1.0]
    assert list(errors.values()) == pytest.approx(expected, abs=1e-12)
    equivariant = measured(
        load_model(lambda x: x - x.mean(dim=1, keepdim=True), "centred").module,
        data, group="SO3", rep="points", rep_out="points",
    )  # fmt: skip
    assert value(equivariant, "relative_error", "output", "rotation_x") < 1e-28
    chance = equivariant["relative_error", "output", "rotation_x"].chance
    rotated = PointCloudAction(SO3()).derivative(torch.tensor([1.0, 0, 0]).double(), cloud)
    assert isinstance(rotated, Tensor)
    centred = cloud - cloud.mean(dim=1, keepdim=True)
    turned = rotated - rotated.mean(dim=1, keepdim=True)
    share = turned.square().sum() / (centred - centred.mean(dim=0)).square().sum()
    rate = rotated.square().sum() / (cloud - cloud.mean(dim=0)).square().sum()
    assert chance == pytest.approx(2 * float(share / rate), abs=1e-12)


def test_fields_of_mappings_that_move() -> None:
    x = {"positions": normal(8, 4, 3), "kinds": torch.arange(32).reshape(8, 4)}
    split = Split(x)
    action = {"positions": "points", "kinds": "invariant"}
    data = Dataset("molecules", split, split, {"group": "SO3", "action": action})

    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Linear(3, 2)

        def forward(self, x: dict[str, Tensor]) -> Tensor:
            return (self.encoder(x["positions"]) * x["kinds"][..., None]).sum(dim=1)

    net = Weighted()
    found = measured(net, data, contributions=False)
    assert not any(metric == "contribution" for metric, _, _ in found)
    rate = value(found, "input_change", "input", "rotation_z")
    p = x["positions"]
    spread = (p - p.mean(dim=0)).square().sum()
    assert rate == pytest.approx(float(p[..., :2].square().sum() / spread), rel=1e-12)
    assert value(found, "local_error", "output", "rotation_z") > 0


def test_baselines() -> None:
    data = images()
    from repgeo.models.baselines import constant, identity

    same = measured(identity(), data)
    still = measured(constant(3), data)
    for name in ("shift_down", "shift_right"):
        for layer in ("encoder", "output"):
            assert value(same, "relative_error", layer, name) == pytest.approx(1.0, abs=1e-12)
            for metric in ("local_error", "relative_error", "contribution"):
                assert value(still, metric, layer, name) == 0.0


def test_the_same_codes_for_all_samples_that_yet_move_are_refused() -> None:
    s = torch.arange(8, dtype=torch.float64) * (2 * torch.pi / 8)
    x = torch.stack([torch.cos(s), 2 * torch.cos(s)])[:, None]
    split = Split(x)
    data = Dataset("waves", split, split, {"group": "T1", "action": "shift"})

    def unit(x: Tensor) -> Tensor:
        return x / x.square().mean(dim=2, keepdim=True).sqrt()

    with pytest.raises(InputError, match="the same for all samples, yet they change"):
        measured(load_model(unit, "unit").module, data, rep="invariant")
    exact = measured(load_model(unit, "unit").module, data, rep="shift", rep_out="shift")
    assert value(exact, "relative_error", "output", "shift") == 0.0


@pytest.mark.parametrize(
    ("fields", "meta", "message"),
    [
        ({"layer": "*"}, {"group": "T2", "action": "image"}, r'leave layer = "\*" out'),
        ({"group": "C4"}, {}, "C4 is discrete: it has no Lie derivatives"),
        ({}, {}, "A group is needed"),
        ({"group": "T2"}, {}, "not known how T\\^2 acts"),
    ],
)
def test_what_cannot_be_differentiated_is_refused(fields, meta, message) -> None:
    split = Split(normal(4, 1, 6, 6))
    with pytest.raises(InputError, match=message):
        measured(network(), Dataset("", split, split, meta), **fields)


def test_one_sample_and_equal_samples_are_refused() -> None:
    one = normal(1, 1, 6, 6)
    refused = {"give two or more": one, "All samples are the same": one.repeat(3, 1, 1, 1)}
    for message, x in refused.items():
        split = Split(x)
        data = Dataset("", split, split, {"group": "T2", "action": "image"})
        with pytest.raises(InputError, match=message):
            measured(network(), data)


def test_a_layer_that_does_not_cut_the_network_contributes_nothing_that_is_known() -> None:
    class Skipped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            outputs: Tensor = (self.encoder(x) + x).mean(dim=(2, 3))
            return outputs

    data = images()
    found = measured(Skipped(), data)
    assert value(found, "local_error", "encoder", "shift_right") > 0
    assert ("contribution", "encoder", "shift_right") not in found
    whole = value(found, "relative_error", "output", "shift_right")
    assert value(found, "contribution", "output", "shift_right") == pytest.approx(whole)
    with pytest.raises(LayerError, match="has no layer 'encodr'"):
        measured(Skipped(), data, layers=("encodr",))


def test_names_of_generators() -> None:
    assert generator_names(T2, ImageShifts(T2)) == ("shift_down", "shift_right")
    assert generator_names(T2, PointCloudAction(T2)) == ("shift_x", "shift_y")
    assert generator_names(Translations(1), PeriodicShift(Translations(1))) == ("shift",)
    assert generator_names(Translations(4)) == tuple(f"generator_{i}" for i in range(1, 5))
    assert generator_names(Product((SO3(), Translations(1))))[-1] == "generator_4"
