"""f(g (h x)) = f((g h) x) for every representation and action: wrong conventions are caught.

A right action, transposed matrices, passive rotations or rows for columns give f((h g) x): of a
group that is not abelian that is something else.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import repgeo.groups
from repgeo.groups import (
    O3,
    SE2,
    SE3,
    SO2,
    SO3,
    CallableAction,
    Cyclic,
    Dihedral,
    DirectSum,
    FieldsAction,
    FieldTypeAction,
    GraphAction,
    Icosahedral,
    ImageRotations,
    ImageShifts,
    IrrepsRepresentation,
    MatrixRepresentation,
    Octahedral,
    PeriodicShift,
    Permutations,
    PointCloudAction,
    Product,
    RegularImages,
    Representation,
    TokenAction,
    Translations,
    Trivial,
    VoxelAction,
    as_representation,
    frequency_representation,
    regular_representation,
    vector_representation,
)
from repgeo.groups.representations import Data, map_fields


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class DihedralFields:
    """A field type of escnn on a point: D_3 on the plane, and the sign of reflections."""

    class gspace:  # noqa: N801 - the name that escnn gives it
        dimensionality = 0

        class fibergroup:  # noqa: N801
            name = "D3"
            elements = tuple(range(6))

            @staticmethod
            def element(value: tuple[int, int], param: str) -> int:
                assert param == "int"
                return 3 * value[0] + value[1]

    representations = (
        lambda g: Dihedral(3).matrix(torch.tensor(g)).numpy(),
        lambda g: [[-1.0 if g >= 3 else 1.0]],
    )


def permuted(p: Tensor, x: Data) -> Tensor:
    assert isinstance(x, Tensor)
    moved = torch.empty_like(x)
    moved[:, p] = x
    return moved


def product() -> CallableAction:
    """Rotations of points in space beside permutations of the points."""
    group = Product((SO3(), Permutations(4)))

    def act(g: Tensor, x: Data) -> Tensor:
        assert isinstance(x, Tensor)
        R, p = group.split(g)
        return permuted(p.long(), x @ R.mT)

    return CallableAction(group, act)


def molecule(n: int = 3) -> dict[str, Tensor]:
    return {"positions": normal(n, 4, 3), "forces": normal(n, 4, 3, seed=1), "kind": normal(n, 4)}


D3 = Dihedral(3)

#: Of groups that are not abelian: the order of elements is seen.
ORDERED: dict[str, tuple[Representation, Data]] = {
    "MatrixRepresentation": (
        MatrixRepresentation(SO3(), 3, lambda g: g, SO3().generators()),
        normal(3, 3),
    ),
    "listed matrices": (as_representation(D3.matrix(D3.elements()), D3), normal(3, 2)),  # type: ignore[dict-item]
    "vectors of SE(3)": (vector_representation(SE3()), normal(3, 3)),
    "vectors of S4": (vector_representation(Permutations(4)), normal(3, 4)),
    "regular, S3": (regular_representation(Permutations(3)), normal(3, 6)),
    "regular, O": (regular_representation(Octahedral()), normal(3, 24)),
    "IrrepsRepresentation": (IrrepsRepresentation(SO3(), "0e+1o+2e+3o"), normal(3, 16)),
    "irreps of O(3)": (IrrepsRepresentation(O3(), "0o+1o+1e+2e"), normal(3, 12)),
    "irreps of I": (IrrepsRepresentation(Icosahedral(), "1o+3o"), normal(3, 10)),
    "DirectSum": (
        DirectSum([(vector_representation(SO3()), 3), (IrrepsRepresentation(SO3(), "2e"), 5)]),
        normal(3, 8),
    ),
    "PointCloudAction": (PointCloudAction(SE3()), normal(3, 5, 3)),
    "points of SE(2)": (PointCloudAction(SE2()), normal(3, 5, 2)),
    "points of D3": (PointCloudAction(D3), normal(3, 5, 2)),
    "TokenAction": (TokenAction(Permutations(5)), normal(3, 5, 2)),
    "tokens, second axis": (TokenAction(Permutations(5), axis=2), normal(3, 2, 5)),
    "GraphAction": (GraphAction(Permutations(5)), normal(3, 5, 5)),
    "ImageRotations": (ImageRotations(Dihedral(4)), normal(3, 1, 5, 5)),
    "images, Fourier": (ImageRotations(Dihedral(4), "fourier"), normal(3, 1, 5, 5)),
    "images, cubic": (ImageRotations(Dihedral(4), "cubic"), normal(3, 1, 5, 5)),
    "RegularImages": (RegularImages(Dihedral(4)), normal(3, 2, 8, 4, 4)),
    "VoxelAction": (VoxelAction(Octahedral()), normal(3, 1, 3, 3, 3)),
    "voxels, linear": (VoxelAction(Octahedral(), "linear"), normal(3, 1, 3, 3, 3)),
    "FieldsAction": (
        FieldsAction(
            {"positions": PointCloudAction(SO3()), "forces": as_representation("1o", SO3())}
        ),
        molecule(),
    ),
    "FieldTypeAction": (FieldTypeAction(DihedralFields), normal(3, 3)),  # type: ignore[arg-type]
    "CallableAction": (CallableAction(Permutations(4), permuted), normal(3, 4)),
    "product": (product(), normal(3, 4, 3)),
}

#: Of abelian groups, or without any effect: only the composition can be seen.
UNORDERED: dict[str, tuple[Representation, Data]] = {
    "Trivial": (Trivial(SO3()), normal(3, 4)),
    "PeriodicShift": (PeriodicShift(Translations(1)), normal(3, 9)),
    "shifts by angles": (PeriodicShift(SO2()), normal(3, 9)),
    "ImageShifts": (ImageShifts(Translations(2)), normal(3, 1, 7, 9)),
    "half shifts": (ImageShifts(Translations(2), 0.5), normal(3, 1, 7, 9)),
    "frequencies": (frequency_representation(SO2(), (0, 1, 3)), normal(3, 6)),
    "images C4": (ImageRotations(Cyclic(4)), normal(3, 1, 4, 4)),
}

ALL = {**ORDERED, **UNORDERED}


def network(z: Data) -> Tensor:
    """Sees everything: a random smooth function of all coordinates, sample by sample."""
    fields = [z] if isinstance(z, Tensor) else [z[name] for name in sorted(z)]
    rows = torch.cat([each.flatten(1) for each in fields], dim=1)
    return torch.tanh(rows @ normal(rows.shape[1], 6, seed=7))


def moved(rho: Representation, g: Tensor, x: Data) -> Data:
    return map_fields(rho(g[None], x), lambda each: each[0])


@pytest.mark.parametrize("name", ALL)
def test_a_function_of_two_moves_is_that_of_their_product(name: str) -> None:
    rho, x = ALL[name]
    group = rho.group
    g, h = (group.sample(4, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    wrong = 0.0
    for one, two in zip(g, h, strict=True):
        twice = network(moved(rho, one, moved(rho, two, x)))
        at_once = network(moved(rho, group.compose(one, two), x))
        assert torch.allclose(twice, at_once, rtol=0, atol=1e-10)
        other = network(moved(rho, group.compose(two, one), x))
        wrong = max(wrong, float((twice - other).abs().max()))
        back = moved(rho, group.inverse(one), moved(rho, one, x))
        assert torch.allclose(network(back), network(x), rtol=0, atol=1e-10)
    if name in ORDERED:
        assert not group.is_abelian
        assert wrong > 1e-2


@pytest.mark.parametrize("name", ALL)
def test_derivatives_are_linear_and_of_the_shape_of_the_data(name: str) -> None:
    rho, x = ALL[name]
    dimension = rho.group.dimension
    differentiable = not isinstance(rho, CallableAction)
    if not dimension or not differentiable:
        return
    u, v = normal(dimension, seed=3), normal(dimension, seed=4)
    both = rho.derivative(2 * u - v, x)
    parts = (rho.derivative(u, x), rho.derivative(v, x))
    whole = [both] if isinstance(both, Tensor) else list(both.values())
    first, second = ([each] if isinstance(each, Tensor) else list(each.values()) for each in parts)
    for a, b, c in zip(whole, first, second, strict=True):
        assert torch.allclose(a, 2 * b - c, rtol=0, atol=1e-9)


def test_no_representation_is_left_out() -> None:
    offered = {
        name
        for name in repgeo.groups.__all__
        if isinstance(kind := getattr(repgeo.groups, name), type)
        and issubclass(kind, Representation)
    }
    assert offered - set(ALL) == {"Representation"}
