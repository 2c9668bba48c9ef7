"""Group convolutional networks: exact under the turns they are made for, layer by layer."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from repgeo.datasets.turned_mnist import turned_mnist
from repgeo.equivariance import equivariance_error, exactness
from repgeo.errors import ConfigurationError, DatasetError
from repgeo.groups import (
    Cyclic,
    Dihedral,
    Group,
    ImageRotations,
    ImageShifts,
    RegularImages,
    Translations,
    representation_of,
)
from repgeo.models.amplitude_spectrum import amplitude_spectrum
from repgeo.models.cutting import run_to
from repgeo.models.image_group_cnn import GroupConvolution, LiftingConvolution, image_group_cnn
from repgeo.models.radial_profile import radial_profile


def network(group: str = "C4") -> nn.Module:
    torch.manual_seed(0)
    return image_group_cnn((2, 8, 8), 3, group=group, channels=(2, 3), features=5).eval()


def images(n: int = 6) -> Tensor:
    return torch.randn(n, 2, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("group", [Cyclic(4), Dihedral(4), Dihedral(2)])
def test_convolutions_commute_with_the_regular_representation(group: Group) -> None:
    torch.manual_seed(0)
    lift = LiftingConvolution(group, 2, 3, 3, padding=1).double()
    found = equivariance_error(
        lift, images().double(), group, rep_in=ImageRotations(group), rep_out=RegularImages(group)
    )
    assert found.worst < 1e-14
    inner = GroupConvolution(group, 3, 2, 3, padding=1).double()
    x = lift(images().double()).detach()
    rho = RegularImages(group)
    found = equivariance_error(inner, x, group, rep_in=rho, rep_out=rho)
    assert found.worst < 1e-14
    broken = equivariance_error(inner, x, group, rep_in=rho, rep_out="invariant")
    assert broken.mean > 0.1


def test_lifting_convolution_is_that_of_turned_filters() -> None:
    torch.manual_seed(0)
    lift = LiftingConvolution(Cyclic(4), 2, 3, 3)
    x = images()
    y = lift(x)
    for k in range(4):
        turned = lift.weight.rot90(k, (2, 3))
        expected = nn.functional.conv2d(x, turned, lift.bias)
        torch.testing.assert_close(y[:, :, k], expected)


@pytest.mark.parametrize("group", ["C4", "D4"])
def test_every_layer_changes_as_the_network_says(group: str) -> None:
    net, acting = network(group), Cyclic(4) if group == "C4" else Dihedral(4)
    for name, rep in net.layer_representations().items():
        path = "" if name == "outputs" else name

        def layer(x: Tensor, path: str = path) -> Tensor:
            return run_to(net.double(), [path], x)[path]

        found = equivariance_error(
            layer,
            images().double(),
            acting,
            rep_in=ImageRotations(acting),
            rep_out=representation_of(rep, acting),
        )
        assert found.worst < 1e-13, name


def test_network_is_exact_in_its_own_precision_and_sees_other_groups() -> None:
    net = network("C4")
    told = exactness(net, images(), Cyclic(4), rep_in=ImageRotations(Cyclic(4)))
    assert told.exact
    assert told.double < 1e-14
    other = exactness(net, images(), Dihedral(4), rep_in=ImageRotations(Dihedral(4)))
    assert not other.exact


def test_states_are_weights_only_and_of_one_copy() -> None:
    state = network().state_dict()
    assert not [name for name in state if "places" in name]
    assert state["encoder.conv1.weight"].shape == (2, 2, 3, 3)
    assert state["encoder.conv2.weight"].shape == (3, 2, 4, 3, 3)


def test_wrong_groups_and_images_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"group is one of C1, C2, C4.*'C8'"):
        image_group_cnn((1, 8, 8), 3, group="C8")
    with pytest.raises(ConfigurationError, match="square, with a side that can be halved 2 times"):
        image_group_cnn((1, 8, 6), 3)
    with pytest.raises(ConfigurationError, match="got 6x6"):
        image_group_cnn((1, 6, 6), 3)


def test_rings_are_means_at_one_distance() -> None:
    net = radial_profile((1, 4, 4), 2, rings=2)
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 1:3, 1:3] = 1.0  # the four pixels at the centre
    assert net.encoder(x).tolist() == [[1.0, 0.0]]
    turned = images()
    assert torch.allclose(
        radial_profile((2, 8, 8), 2).encoder(turned),
        radial_profile((2, 8, 8), 2).encoder(turned.rot90(1, (2, 3)).flip(2)),
        atol=1e-6,
    )


def test_powers_are_those_of_waves_wherever_they_start() -> None:
    net = amplitude_spectrum((1, 8, 8), 3).double()
    phases = 2 * math.pi * 2 * torch.arange(8, dtype=torch.float64) / 8
    wave = torch.cos(phases).expand(1, 1, 8, 8).contiguous()  # two periods across
    powers = net.encoder(wave).reshape(8, 5)
    wanted = torch.zeros(8, 5, dtype=torch.float64)
    wanted[0, 2] = math.log(1 + 32**2)  # half of the 64 pixels
    assert torch.allclose(powers, wanted, atol=1e-12)
    half_a_pixel = torch.tensor([[0.0, 0.5]], dtype=torch.float64)
    shifted = ImageShifts(Translations(2))(half_a_pixel, wave)
    assert isinstance(shifted, torch.Tensor)
    assert not torch.allclose(shifted[0], wave, atol=0.1)
    assert torch.allclose(net.encoder(shifted[0]), net.encoder(wave), atol=1e-12)


@pytest.mark.skipif(
    not (Path(os.environ.get("REPGEO_DATA", "")) / "mnist" / "mnist.npz").is_file(),
    reason="REPGEO_DATA has no mnist",
)
def test_digits_tell_the_group_that_turns_them() -> None:
    data = turned_mnist(seed=0, train_size=20, test_size=10)
    assert data.meta["group"] == "SO2"
    assert data.meta["action"] == "image"
    assert data.test.x.shape == (10, 1, 28, 28)  # type: ignore[union-attr]
    small = turned_mnist(seed=0, train_size=20, test_size=10, side=16)
    assert small.test.x.shape == (10, 1, 16, 16)  # type: ignore[union-attr]
    assert float(small.test.x.sum()) == pytest.approx(float(data.test.x.sum()) / 4, rel=1e-5)  # type: ignore[union-attr]
    with pytest.raises(DatasetError, match="28 or 16 pixels, got 14"):
        turned_mnist(seed=0, side=14)  # type: ignore[arg-type]
