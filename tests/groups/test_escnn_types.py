"""Field types of escnn, by stand-ins of the interface that its documentation describes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from repgeo.equivariance import equivariance_error, lie_derivative
from repgeo.errors import InputError
from repgeo.groups import SO2, SO3, Cyclic, Dihedral, Octahedral, Representation
from repgeo.groups.escnn_types import EscnnFunction, FieldTypeAction, from_escnn


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def turn(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s], [s, c]])


class Element:
    """A group element: it knows its group, and its value in a parametrisation."""

    def __init__(self, value: Any, group: Any, param: str) -> None:
        self.value, self.group, self.param = value, group, param


class Fiber:
    """A fiber group: D_n as (flip, k), C_n as k, SO(2) as radians, SO(3) and O as matrices."""

    def __init__(self, name: str, param: str, values: list[Any] | None) -> None:
        self.name, self.param = name, param
        self.elements = None if values is None else [self.element(v, param) for v in values]

    def element(self, value: Any, param: str) -> Element:
        assert param == self.param
        return Element(value, self, param)


class Space:
    """A base space of some dimensions, and how elements move it."""

    def __init__(self, fiber: Fiber, dimensionality: int, axis: float = 0.0) -> None:
        self.fibergroup, self.dimensionality, self.axis = fiber, dimensionality, axis

    def basespace_action(self, element: Element) -> np.ndarray:
        value, name = element.value, self.fibergroup.name
        if element.param == "MAT":
            return value
        if element.param == "radians":
            return turn(value)
        n = int(name[1:])
        if name[0] == "C":
            return turn(2 * math.pi * value / n)
        flip, k = value
        mirror = np.diag([1.0, -1.0]) if flip else np.eye(2)
        across = turn(self.axis) @ mirror @ turn(-self.axis)
        return turn(2 * math.pi * k / n) @ across


class Type:
    """A field type; calling it wraps a tensor."""

    def __init__(self, gspace: Space, representations: list[Any]) -> None:
        self.gspace, self.representations = gspace, representations

    def __call__(self, tensor: Tensor) -> Wrapped:
        return Wrapped(tensor)


class Wrapped:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def trivial(_: Element) -> np.ndarray:
    return np.eye(1)


def cyclic(n: int) -> Fiber:
    return Fiber(f"C{n}", "int", list(range(n)))


def dihedral(n: int) -> Fiber:
    return Fiber(f"D{n}", "int", [(flip, k) for flip in (0, 1) for k in range(n)])


def circle() -> Fiber:
    return Fiber("SO(2)", "radians", None)


def space_of(fiber: Fiber, dimensionality: int, axis: float = 0.0) -> Space:
    return Space(fiber, dimensionality, axis)


def vectors(space: Space) -> Any:
    return space.basespace_action


def frequency(k: int) -> Any:
    return lambda element: turn(k * element.value)


OCTAHEDRAL = Fiber("Octahedral", "MAT", [g.numpy() for g in Octahedral().elements()])
SPHERE = Fiber("SO(3)", "MAT", None)


def type_of(space: Space, *more: Any) -> Type:
    return Type(space, [trivial, vectors(space), trivial, *more])


#: Field types, and data they act on: exact actions.
TYPES: dict[str, tuple[Type, Tensor]] = {
    "C4 on the plane": (type_of(space_of(cyclic(4), 2)), normal(3, 4, 6, 6)),
    "D4 on the plane": (type_of(space_of(dihedral(4), 2)), normal(3, 4, 5, 5)),
    "D4, other axis": (type_of(space_of(dihedral(4), 2, math.pi / 2)), normal(3, 4, 5, 5)),
    "C5 on a point": (Type(space_of(cyclic(5), 0), [trivial]), normal(3, 1)),
    "D3 on a point": (
        Type(space_of(dihedral(3), 0), [space_of(dihedral(3), 2).basespace_action]),
        normal(3, 2),
    ),
    "SO(2) on a point": (
        Type(space_of(circle(), 0), [frequency(1), frequency(3), trivial]),
        normal(3, 5),
    ),
    "SO(3) on a point": (Type(space_of(SPHERE, 0), [lambda e: e.value]), normal(3, 3)),
    "O in space": (type_of(space_of(OCTAHEDRAL, 3)), normal(2, 5, 4, 4, 4)),
}


@pytest.mark.parametrize("name", TYPES)
def test_field_types_act_from_the_left(name: str) -> None:
    kind, x = TYPES[name]
    rho = FieldTypeAction(kind)
    g, h = (rho.group.sample(5, generator=torch.Generator().manual_seed(s)) for s in (1, 2))
    twice = rho.apply(g, rho(h, x))
    at_once = rho(rho.group.compose(g, h), x)
    assert isinstance(twice, Tensor)
    assert twice.shape == (5, *x.shape)
    assert float((twice - at_once).abs().max()) < 1e-10
    assert float((rho(rho.group.identity()[None], x)[0] - x).abs().max()) < 1e-12
    if not rho.group.is_abelian:
        wrong = rho(rho.group.compose(h, g), x)
        assert float((twice - wrong).abs().max()) > 1e-2


@pytest.mark.parametrize("name", ["C4 on the plane", "D4 on the plane", "D4, other axis"])
def test_fields_move_as_the_documentation_says(name: str) -> None:
    """x'(p) = ρ(g) x(g^-1 p), with the last axis as x and the one before as -y."""
    kind, x = TYPES[name]
    rho = FieldTypeAction(kind)
    side = x.shape[-1]
    axis = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    for g in rho.group.elements():
        moved = rho(g[None], x)[0]
        element = rho._element(g)
        M = torch.as_tensor(kind.gspace.basespace_action(element))
        matrix = rho.matrices(g[None])[0]
        for row in range(side):
            for column in range(side):
                p = torch.stack([axis[column], -axis[row]])
                before = M.T @ p
                i = round(float(-before[1] + (side - 1) / 2))
                j = round(float(before[0] + (side - 1) / 2))
                assert torch.allclose(moved[:, :, row, column], x[:, :, i, j] @ matrix.T)


def test_voxels_are_in_the_order_of_escnn() -> None:
    kind, x = TYPES["O in space"]
    rho = FieldTypeAction(kind)
    side, half = 4, 1.5
    g = rho.group.elements()[[3, 10, 17]]
    moved = rho(g, x)
    for place, R in enumerate(g):
        matrix = rho.matrices(R[None])[0]
        for a, b, c in ((0, 1, 3), (2, 0, 1), (3, 3, 0)):
            p = torch.tensor([c - half, half - b, half - a], dtype=torch.float64)  # x, y, z
            q = R.T @ p
            i, j, k = (round(float(v)) for v in (half - q[2], half - q[1], q[0] + half))
            assert 0 <= min(i, j, k) <= max(i, j, k) < side
            assert torch.allclose(moved[place, :, :, a, b, c], x[:, :, i, j, k] @ matrix.T)


def test_derivatives_of_fields() -> None:
    circular = space_of(circle(), 2)
    kind = Type(circular, [trivial, frequency(1), frequency(2)])
    cases = [
        (FieldTypeAction(kind), normal(2, 5, 9, 9)),
        (FieldTypeAction(TYPES["SO(2) on a point"][0]), normal(3, 5)),
        (FieldTypeAction(TYPES["SO(3) on a point"][0]), normal(3, 3)),
    ]
    for rho, x in cases:
        v = normal(rho.group.dimension, seed=3)
        ahead, behind = (rho(rho.group.exp(s * v)[None], x)[0] for s in (1e-5, -1e-5))
        found = rho.derivative(v, x)
        assert isinstance(found, Tensor)
        assert torch.allclose(found, (ahead - behind) / 2e-5, atol=1e-5)
    exact = cases[2][0].derivative(torch.tensor([0.0, 0.0, 2.0]), torch.eye(3)[:1])
    assert torch.allclose(exact, torch.tensor([[0.0, 2.0, 0.0]]), atol=1e-6)


class Lifting(nn.Module):
    """Gradients of scalar fields, as vector fields: equivariant up to the grid."""

    def __init__(self, fiber: Fiber) -> None:
        super().__init__()
        space = space_of(fiber, 2)
        self.in_type = Type(space, [trivial])
        self.out_type = Type(space, [vectors(space)])

    def forward(self, x: Wrapped) -> Wrapped:
        right = (x.tensor.roll(-1, -1) - x.tensor.roll(1, -1)) / 2
        up = (x.tensor.roll(1, -2) - x.tensor.roll(-1, -2)) / 2
        return Wrapped(torch.cat([right, up], dim=1))


@pytest.mark.parametrize("fiber", [cyclic(4), dihedral(4)], ids=["C4", "D4"])
def test_modules_are_measured(fiber: Fiber) -> None:
    found = from_escnn(Lifting(fiber).eval())
    assert found.group == (Cyclic(4) if fiber.name == "C4" else Dihedral(4))
    x = normal(3, 1, 6, 6)
    exact = equivariance_error(
        found.function, x, found.group, rep_in=found.rep_in, rep_out=found.rep_out
    )
    assert exact.worst < 1e-14
    swapped = EscnnFunction(Lifting(fiber).eval())
    wrong = equivariance_error(
        lambda x: swapped(x).flip(1), x, found.group, rep_in=found.rep_in, rep_out=found.rep_out
    )
    assert wrong.worst > 0.5


def test_lie_derivatives_of_modules() -> None:
    found = from_escnn(Lifting(circle()).eval())
    axis = torch.linspace(-4, 4, 33, dtype=torch.float64)
    blob = torch.exp(-((axis - 0.5) ** 2 + (axis[:, None] - 1) ** 2))[None, None]
    one = torch.ones(1, dtype=torch.float64)
    right = lie_derivative(found.function, blob, one, rep_in=found.rep_in, rep_out=found.rep_out)
    scalar = FieldTypeAction(Type(space_of(circle(), 2), [trivial, trivial]))
    wrong = lie_derivative(found.function, blob, one, rep_in=found.rep_in, rep_out=scalar)
    # Differences of neighbours are gradients to second order of the spacing, 1/4.
    assert float(right.square().mean()) < 0.01 * float(wrong.square().mean())


def on_the_plane(g: Tensor, x: Tensor) -> Any:
    return FieldTypeAction(TYPES["C4 on the plane"][0])(g, x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FieldTypeAction(object()), "has a gspace and representations; got object"),
        (lambda: FieldTypeAction(type_of(space_of(dihedral(3), 2, math.pi / 2))),
         "its axes are others. Build it with axis=0"),
        (lambda: FieldTypeAction(type_of(space_of(Fiber("O(2)", "radians", None), 2))),
         r"The group O\(2\) on a space of 2 dimensions is not served"),
        (lambda: FieldTypeAction(Type(space_of(Fiber("Q8", "int", list(range(8))), 0), [trivial])),
         "The group Q8 on a space of 0 dimensions is not served"),
        (lambda: FieldTypeAction(type_of(space_of(Fiber("X", "MAT", list(range(8))), 3))),
         "The group X of order 8 is not served"),
        (lambda: from_escnn(nn.Linear(2, 2)), "Linear has no 'in_type'"),
        (lambda: on_the_plane(torch.tensor([1]), normal(3, 5, 6, 6)),
         r"Fields of this type are floating point \(n, 4, \*grid\)"),
        (lambda: on_the_plane(torch.tensor([4]), normal(3, 4, 6, 6)),
         "Element 0, 4, is not in C4"),
    ],
)  # fmt: skip
def test_what_is_not_served_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_modules_of_two_groups_are_refused() -> None:
    module = Lifting(cyclic(4))
    module.out_type = TYPES["D4 on the plane"][0]
    with pytest.raises(InputError, match="in_type is of C4 and out_type of D4"):
        from_escnn(module)


def test_groups_of_the_package_are_those_of_the_fields() -> None:
    assert isinstance(FieldTypeAction(TYPES["SO(2) on a point"][0]).group, SO2)
    assert isinstance(FieldTypeAction(TYPES["SO(3) on a point"][0]).group, SO3)
    inexact = FieldTypeAction(type_of(space_of(cyclic(5), 2)))
    assert not inexact.exact
    assert isinstance(inexact, Representation)
    assert FieldTypeAction(type_of(space_of(cyclic(4), 2)), "cubic").exact is False
