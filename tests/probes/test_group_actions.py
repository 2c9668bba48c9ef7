"""Groups, actions and representations as data, models and task files write them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.groups import Cyclic, Dihedral, Permutations, RegularImages, named_acting_group
from repgeo.models.loaded import load_model
from repgeo.probes.group_actions import (
    action_of,
    group_of,
    layer_representations_of,
    output_representation_of,
    representation_of,
)
from repgeo.probes.subject import Subject


def dataset(x: Any, **meta: Any) -> Dataset:
    return Dataset("", Split(x), Split(x), meta)


@pytest.mark.parametrize(
    ("name", "order", "shape"),
    [
        ("SO2", None, (2, 2)),
        ("SO(3)", None, (3, 3)),
        ("O3", None, (3, 3)),
        ("SE3", None, (4, 4)),
        ("C4", 4, ()),
        ("D4", 8, ()),
        ("S5", 120, (5,)),
        ("O", 24, (3, 3)),
        ("T", 12, (3, 3)),
        ("R2", None, (2,)),
        ("T2", None, (2,)),
        ("C4xC2", 8, (2,)),
    ],
)
def test_names_of_groups_that_act(name: str, order: int | None, shape: tuple[int, ...]) -> None:
    group = named_acting_group(name)
    assert (group.order, group.element_shape) == (order, shape)
    assert bool(group.contains(group.sample(3)).all())


def test_names_that_are_no_group_that_acts() -> None:
    with pytest.raises(InputError, match=r"no group that acts named 'A4'.*SE3, C<n>"):
        named_acting_group("A4")
    with pytest.raises(InputError, match="a torus"):
        named_acting_group("SO3", period=2.0)


def test_group_is_given_or_told_by_the_data() -> None:
    data = dataset(torch.zeros(2, 3), group="SO3")
    assert group_of(data).name == "SO(3)"
    assert group_of(data, "C4") == Cyclic(4)
    assert group_of(data, Cyclic(5)) == Cyclic(5)
    with pytest.raises(InputError, match=r"none in meta\['group'\]"):
        group_of(dataset(torch.zeros(2, 3)))


def test_torus_has_the_period_of_the_data() -> None:
    assert group_of(dataset(torch.zeros(2, 8, 8), group="T2", action="shift")).period == 8.0  # type: ignore[attr-defined]
    assert group_of(dataset(torch.zeros(2, 8), group="T1", period=3)).period == 3.0  # type: ignore[attr-defined]
    assert group_of(dataset(torch.zeros(2, 3, 3), group="T", action="voxels")).order == 12


@pytest.mark.parametrize(
    ("group", "action", "shape"),
    [
        ("SO3", "points", (2, 4, 3)),
        ("SO2", "image", (2, 1, 6, 6)),
        ("SO2", "image:cubic", (2, 1, 6, 6)),
        ("D4", "image", (2, 1, 6, 6)),
        ("O", "voxels", (2, 1, 4, 4, 4)),
        ("SO3", "voxels:linear", (2, 1, 4, 4, 4)),
        ("T2", "shift", (2, 5, 5)),
        ("T2", "image", (2, 1, 5, 5)),
        ("S5", "tokens", (2, 5, 3)),
        ("S3", "tokens:2", (2, 5, 3)),
        ("S4", "graph", (2, 4, 4)),
        ("SO3", "2x0e+1o", (2, 5)),
        ("D4", "regular_image", (2, 3, 8, 6, 6)),
        ("C4", "regular", (2, 3, 4)),
        ("SO2", "frequencies:1,2,0", (2, 6)),
    ],
)
def test_actions_keep_shapes_and_the_identity_moves_nothing(
    group: str, action: str, shape: tuple[int, ...]
) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    data = dataset(x, group=group, action=action)
    acting = group_of(data)
    rho = action_of(data, acting)
    moved = rho(torch.stack([acting.identity(), *acting.sample(2)]), x)
    assert isinstance(moved, Tensor)
    assert moved.shape == (3, *shape)
    torch.testing.assert_close(moved[0], x, rtol=0, atol=1e-12)


def test_fields_have_actions_of_their_own() -> None:
    x = {"positions": torch.randn(2, 4, 3), "numbers": torch.ones(2, 4)}
    data = dataset(x, group="SO3", action={"positions": "points", "numbers": "invariant"})
    group = group_of(data)
    moved = action_of(data, group)(group.sample(2), x)
    assert isinstance(moved, dict)
    assert torch.equal(moved["numbers"][1], x["numbers"])
    assert not torch.allclose(moved["positions"][1], x["positions"])


def test_images_need_not_say_how_planar_groups_act() -> None:
    data = dataset(torch.zeros(2, 1, 4, 4))
    assert action_of(data, Dihedral(4)).exact
    with pytest.raises(InputError, match=r"not known how S4 acts.*meta\['action'\]"):
        action_of(data, Permutations(4))
    with pytest.raises(InputError, match="not known how C4 acts"):
        action_of(dataset(torch.zeros(2, 4)), Cyclic(4))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("picture", r"Cannot read the action 'picture'. Known: 'invariant'"),
        ("image:nearest", "exact, fourier, cubic or linear, got 'nearest'"),
        ("frequencies", "takes a number after the colon, got ''"),
        ("graph:2", "nothing after a colon"),
        ("tokens:x", "takes a number after the colon"),
        (3.5, "got float"),
    ],
)
def test_what_cannot_be_read_is_told(given: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        representation_of(given, Cyclic(4))


@pytest.mark.parametrize("group", [Cyclic(4), Dihedral(4)])
def test_regular_images_compose(group: Cyclic | Dihedral) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, 2, group.order, 5, 5, generator=generator)
    rho = RegularImages(group)
    listed = group.elements()
    once = rho(listed, x)
    assert isinstance(once, Tensor)
    for h in listed:
        twice = rho.apply(listed, rho(h[None], x))
        assert isinstance(twice, Tensor)
        assert torch.equal(twice, once[group.compose(listed, h)])


def test_regular_images_of_a_subgroup_are_those_of_its_elements() -> None:
    x = torch.randn(2, 3, 8, 4, 4, generator=torch.Generator().manual_seed(2))
    whole = RegularImages(Dihedral(4))(torch.arange(4), x)
    part = representation_of("regular_image:D4", Cyclic(4))(torch.arange(4), x)
    assert isinstance(whole, Tensor)
    assert isinstance(part, Tensor)
    assert torch.equal(whole, part)
    with pytest.raises(InputError, match="Element 0 of D4, 4, is not in C4, whose elements"):
        representation_of("regular_image:C4", Dihedral(4))(torch.tensor([4]), x[:, :, :4])


def test_regular_images_refuse_other_shapes() -> None:
    with pytest.raises(InputError, match=r"\(n, channels, 4, height, width\)"):
        RegularImages(Cyclic(4))(torch.tensor([0]), torch.zeros(1, 2, 3, 5, 5))


class Telling(nn.Module):
    def __init__(self, told: object) -> None:
        super().__init__()
        self.told = told

    def layer_representations(self) -> object:
        return self.told


def test_layers_as_the_model_tells_them() -> None:
    subject = Subject(load_model(Telling({"outputs": "vector", "0": "1o"}), "net"), samples=None)
    assert layer_representations_of(subject) == {"output": "vector", "0": "1o"}
    wrong = Subject(load_model(Telling("vector"), "net"), samples=None)
    with pytest.raises(InputError, match="mapping of names of layers, got str"):
        layer_representations_of(wrong)


def test_outputs_as_the_data_tell_them() -> None:
    data = dataset(torch.zeros(2, 3), rep_out="vector")
    assert output_representation_of(data) == "vector"
    assert output_representation_of(data, "1o") == "1o"
    assert output_representation_of(dataset(torch.zeros(2, 3))) == "invariant"
