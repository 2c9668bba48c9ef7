from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from repgeo.errors import InputError
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
    GraphAction,
    ImageRotations,
    ImageShifts,
    IrrepsRepresentation,
    MatrixRepresentation,
    Octahedral,
    PeriodicShift,
    Permutations,
    PointCloudAction,
    Product,
    Representation,
    Tetrahedral,
    TokenAction,
    Translations,
    Trivial,
    VoxelAction,
    WignerCache,
    as_representation,
    frequency_representation,
    parse_irreps,
    quarter_turns,
    regular_representation,
    rotation_generators,
    vector_representation,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def roll(k: Tensor, x: Tensor) -> Tensor:
    return x.roll(int(k), dims=-1)


def listed_d3() -> MatrixRepresentation:
    group = Dihedral(3)
    return as_representation(group.matrix(group.elements()), group)  # type: ignore[return-value]


#: Actions that are exact, and data that they act on.
ACTIONS: dict[str, tuple[Representation, Tensor]] = {
    "trivial": (Trivial(SO3()), normal(5, 4)),
    "vectors": (vector_representation(SO3()), normal(5, 7, 3)),
    "vectors SE(3)": (vector_representation(SE3()), normal(5, 3)),
    "irreps": (IrrepsRepresentation(SO3(), "2x0e+1o+2x2e+3o"), normal(5, 2 + 3 + 10 + 7)),
    "irreps O(3)": (IrrepsRepresentation(O3(), "0o+1e+1o+2o"), normal(4, 3, 12)),
    "irreps T": (IrrepsRepresentation(Tetrahedral(), "2e"), normal(5, 5)),
    "regular D3": (regular_representation(Dihedral(3)), normal(5, 2, 6)),
    "regular S3": (regular_representation(Permutations(3)), normal(5, 6)),
    "frequencies": (frequency_representation(SO2(), (0, 1, 3)), normal(5, 6)),
    "frequencies C5": (frequency_representation(Cyclic(5), (1, 2)), normal(5, 4)),
    "listed": (listed_d3(), normal(5, 2)),
    "sum": (
        DirectSum([(vector_representation(SO3()), 3), (IrrepsRepresentation(SO3(), "2e"), 5)]),
        normal(5, 8),
    ),
    "points SE(2)": (PointCloudAction(SE2()), normal(5, 6, 2)),
    "points SE(3)": (PointCloudAction(SE3()), normal(5, 6, 3)),
    "points O(3)": (PointCloudAction(O3()), normal(5, 6, 3)),
    "points D3": (PointCloudAction(Dihedral(3)), normal(5, 6, 2)),
    "points R^2": (PointCloudAction(Translations(2)), normal(5, 6, 2)),
    "tokens": (TokenAction(Permutations(6)), normal(5, 6, 3)),
    "graphs": (GraphAction(Permutations(6)), normal(5, 6, 6)),
    "shifts": (PeriodicShift(Translations(1)), normal(5, 2, 9)),
    "shifts of images": (ImageShifts(Translations(2)), normal(5, 2, 7, 9)),
    "shifts by angles": (PeriodicShift(SO2()), normal(5, 9)),
    "shifts C12": (PeriodicShift(Cyclic(12)), normal(5, 12)),
    "images C4": (ImageRotations(Cyclic(4)), normal(5, 1, 6, 6)),
    "images D4": (ImageRotations(Dihedral(4)), normal(5, 2, 5, 5)),
    "images C2": (ImageRotations(Cyclic(2)), normal(5, 1, 4, 6)),
    "voxels": (VoxelAction(Octahedral()), normal(5, 1, 4, 4, 4)),
    "voxels by cubic": (VoxelAction(Octahedral(), "cubic"), normal(5, 1, 4, 4, 4)),
    "images by linear": (ImageRotations(Dihedral(4), "linear"), normal(5, 1, 5, 5)),
    "images by Fourier": (ImageRotations(Dihedral(4), "fourier"), normal(5, 1, 5, 5)),
    "function": (CallableAction(Cyclic(6), roll), normal(5, 6)),
}
#: Wigner matrices are kept, not differentiated: their derivatives are those of generators.
NOT_DIFFERENTIABLE = {"irreps", "irreps O(3)", "sum"}
LIE = {name: pair for name, pair in ACTIONS.items() if pair[0].group.dimension}


@pytest.mark.parametrize("name", ACTIONS)
def test_left_actions_and_homomorphisms(name: str) -> None:
    """g (h x) = (g h) x: a right action, or a transposed matrix, fails for these groups."""
    rho, x = ACTIONS[name]
    group = rho.group
    g, h = (group.sample(6, generator=generator(seed)) for seed in (1, 2))
    inner = rho(h, x)
    twice = rho.apply(g, inner)
    at_once = rho(group.compose(g, h), x)
    assert isinstance(twice, Tensor)
    assert isinstance(at_once, Tensor)
    assert twice.shape == (6, *x.shape)
    assert twice.dtype == x.dtype
    assert float((twice - at_once).abs().max()) < 1e-11
    back = rho.apply(group.inverse(g), rho(g, x))
    assert float((back - x).abs().max()) < 1e-11
    still = rho(group.identity()[None], x)
    assert float((still - x).abs().max()) < 1e-12


@pytest.mark.parametrize(
    "name", ["vectors", "irreps", "points SE(3)", "tokens", "graphs", "images D4", "regular D3",
             "voxels", "points D3", "irreps T"],
)  # fmt: skip
def test_the_order_of_elements_matters(name: str) -> None:
    rho, x = ACTIONS[name]
    g, h = (rho.group.sample(6, generator=generator(seed)) for seed in (1, 2))
    wrong = rho(rho.group.compose(h, g), x)
    twice = rho.apply(g, rho(h, x))
    assert float((twice - wrong).abs().max()) > 1e-2


@pytest.mark.parametrize("name", ACTIONS)
def test_elements_at_once_agree_with_one_at_a_time(name: str) -> None:
    rho, x = ACTIONS[name]
    g = rho.group.sample(4, generator=generator(3))
    found = rho(g, x)
    for i, n in itertools.product(range(4), range(2)):
        alone = rho(g[i : i + 1], x[n : n + 1])
        assert float((found[i, n] - alone[0, 0]).abs().max()) < 1e-12
    before = x.clone()
    rho(g, x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", LIE)
def test_derivatives_agree_with_differences(name: str) -> None:
    rho, x = LIE[name]
    v = normal(rho.group.dimension, seed=5)
    step = 1e-4
    ahead, behind = (rho(rho.group.exp(s * v)[None], x)[0] for s in (step, -step))
    found = rho.derivative(v, x)
    assert isinstance(found, Tensor)
    assert found.shape == x.shape
    scale = 1 + float(found.abs().max())
    assert float((found - (ahead - behind) / (2 * step)).abs().max()) < 1e-5 * scale
    automatic = Representation.derivative(rho, v, x) if name not in NOT_DIFFERENTIABLE else found
    assert float((found - automatic).abs().max()) < 1e-10 * scale


@pytest.mark.parametrize("method", ["fourier", "cubic"])
def test_derivatives_of_turned_images(method: str) -> None:
    rho = ImageRotations(SO2(), method)  # type: ignore[arg-type]
    x, v = normal(2, 1, 9, 9), torch.ones(1, dtype=torch.float64)
    # The second derivative of the cubic kernel jumps: differences converge at first order.
    ahead, behind = (rho(SO2().exp(s * v)[None], x)[0] for s in (1e-7, -1e-7))
    found = rho.derivative(v, x)
    assert float((found - (ahead - behind) / 2e-7).abs().max()) < 1e-5


def test_quarter_turns_agree_with_the_exact_ones() -> None:
    x = normal(3, 2, 6, 6)
    moved = {
        method: ImageRotations(Cyclic(4), method)(torch.arange(1, 4), x)  # type: ignore[arg-type]
        for method in ("exact", "fourier", "cubic", "linear")
    }
    for k, turn in enumerate(quarter_turns()):
        assert torch.equal(moved["exact"][k], turn(x))
        for method in ("fourier", "cubic", "linear"):
            assert float((moved[method][k] - turn(x)).abs().max()) < 1e-12
    flipped = ImageRotations(Dihedral(4))(torch.tensor([4]), x)[0]
    assert torch.equal(flipped, x.flip(-2))


@pytest.mark.parametrize("method", ["fourier", "cubic"])
def test_smooth_images_turn_as_their_formula_does(method: str) -> None:
    side = 49
    axis = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    right, up = torch.meshgrid(axis, -axis, indexing="xy")

    def bump(a: float, b: float) -> Tensor:
        return torch.exp(-((right - a) ** 2 + (up - b) ** 2) / 18)[None, None]

    angle = torch.tensor([[0.3], [1.1], [2.7]], dtype=torch.float64)
    g = SO2().exp(angle)
    moved = ImageRotations(SO2(), method)(g, bump(5.0, 1.0))  # type: ignore[arg-type]
    for R, image in zip(g, moved, strict=True):
        a, b = (R @ torch.tensor([5.0, 1.0], dtype=torch.float64)).tolist()
        error = float((image - bump(a, b)).abs().max())
        assert error < (1e-4 if method == "fourier" else 1e-2)


def test_voxels_turn_as_points_do() -> None:
    grid = torch.zeros(1, 5, 5, 5, dtype=torch.float64)
    grid[0, 4, 2, 3] = 1.0  # at (2, 0, 1) from the centre
    place = torch.tensor([2.0, 0.0, 1.0], dtype=torch.float64)
    for R in Octahedral().elements():
        expected = (R @ place + 2).round().long().tolist()
        for method in ("exact", "linear", "cubic"):
            moved = VoxelAction(SO3(), method)(R[None], grid)[0, 0]
            assert moved.argmax() == torch.tensor(expected) @ torch.tensor([25, 5, 1])
            assert float(moved.sum()) == pytest.approx(1.0, abs=1e-9)


def test_shifts_agree_with_rolls_and_with_formulas() -> None:
    x = normal(2, 3, 8)
    moved = PeriodicShift(Translations(1))(torch.tensor([[3.0]], dtype=torch.float64), x)[0]
    assert float((moved - x.roll(3, dims=-1)).abs().max()) < 1e-12
    s = torch.arange(9, dtype=torch.float64)
    wave = torch.cos(2 * torch.pi * 2 * s / 9)[None]
    half = PeriodicShift(Translations(1))(torch.tensor([[0.37]], dtype=torch.float64), wave)[0]
    assert float((half - torch.cos(2 * torch.pi * 2 * (s - 0.37) / 9)).abs().max()) < 1e-12
    slow = PeriodicShift(Translations(1), scale=0.5)(
        torch.tensor([[0.74]], dtype=torch.float64), wave
    )[0]
    assert float((slow - half).abs().max()) < 1e-12
    turned = PeriodicShift(SO2())(
        SO2().exp(torch.tensor([[2 * torch.pi / 9]], dtype=torch.float64)), wave
    )[0]
    assert float((turned - wave.roll(1, dims=-1)).abs().max()) < 1e-12


def test_the_highest_frequency_of_an_even_length_is_multiplied_by_a_cosine() -> None:
    x = torch.tensor([[1.0, -1.0, 1.0, -1.0]]).double()
    moved = PeriodicShift(Translations(1))(torch.tensor([[0.25]], dtype=torch.float64), x)[0]
    assert float((moved - x * 0.5**0.5).abs().max()) < 1e-12


def test_irreps_agree_with_e3nn_and_share_a_cache() -> None:
    from e3nn import o3

    cache = WignerCache()
    g, x = O3().sample(8), normal(3, 4 + 6 + 5)
    text = "4x0o+2x1o+1x2e"
    rho = IrrepsRepresentation(O3(), o3.Irreps(text), cache)
    theirs = o3.Irreps(text).D_from_matrix(g)
    assert float((rho(g, x) - torch.einsum("mij,nj->mni", theirs.double(), x)).abs().max()) < 1e-4
    assert float((rho.matrices(g) - theirs.double()).abs().max()) < 1e-4
    dense = MatrixRepresentation(O3(), 15, rho.matrices)
    assert float((rho(g, x) - dense(g, x)).abs().max()) < 1e-12
    kept = cache.matrices(2, torch.linalg.det(g).sign()[:, None, None] * g)
    IrrepsRepresentation(O3(), "2o+1e", cache)(g, normal(2, 8))
    assert cache.matrices(2, torch.linalg.det(g).sign()[:, None, None] * g) is kept
    other = rotation_generators(2)
    assert float((other + other.mT).abs().max()) < 1e-14


def test_fields_are_moved_by_their_own_actions() -> None:
    group = Permutations(4)
    rho = FieldsAction({"edges": GraphAction(group), "nodes": TokenAction(group)})
    x = {"edges": normal(2, 4, 4), "nodes": normal(2, 4, 3), "label": normal(2)}
    p = group.sample(3)
    moved = rho(p, x)
    assert torch.equal(moved["label"], x["label"].expand(3, 2))
    for i, order in enumerate(p):
        for a, b in itertools.product(range(4), repeat=2):
            assert torch.equal(moved["edges"][i, :, order[a], order[b]], x["edges"][:, a, b])
        assert torch.equal(moved["nodes"][i][:, order], x["nodes"])
    with pytest.raises(InputError, match="on the fields edges, nodes; got one tensor"):
        rho(p, normal(2, 4))
    with pytest.raises(InputError, match="by one group"):
        FieldsAction({"a": TokenAction(group), "b": Trivial(SO2())})
    turned = FieldsAction({"p": PointCloudAction(SO2())})
    slope = turned.derivative(torch.ones(1).double(), {"p": normal(2, 3, 2), "q": normal(2)})
    assert torch.equal(slope["q"], torch.zeros(2).double())


def test_representations_of_what_is_accepted() -> None:
    from e3nn import o3

    group = SO3()
    assert isinstance(as_representation("invariant", group), Trivial)
    assert isinstance(as_representation(o3.Irreps("1o+0e"), group), IrrepsRepresentation)
    assert isinstance(as_representation("points", group), PointCloudAction)
    assert isinstance(as_representation("vector", group), MatrixRepresentation)
    assert isinstance(as_representation("regular", Cyclic(3)), MatrixRepresentation)
    assert isinstance(as_representation(roll, Cyclic(3)), CallableAction)
    assert parse_irreps(o3.Irreps("3x1o+2e")) == ((3, 1, -1), (1, 2, 1))
    kept = as_representation("1o", group)
    assert as_representation(kept, O3()) is kept
    with pytest.raises(InputError, match="whose elements are"):
        as_representation(kept, Cyclic(3))
    with pytest.raises(InputError, match="cannot read '1x'"):
        as_representation("1x", group)
    with pytest.raises(InputError, match="not C3"):
        as_representation("1o", Cyclic(3))
    with pytest.raises(InputError, match="got int"):
        as_representation(3, group)
    with pytest.raises(InputError, match="numbered elements"):
        as_representation(torch.eye(3)[None], Cyclic(3))


BAD = [
    (VoxelAction(SO3()), SO3().sample(1), normal(1, 4, 4, 4), "does not permute the axes"),
    (VoxelAction(SO3()), torch.eye(3)[[1, 0, 2]][None] * torch.tensor([1.0, 1, -1]),
     normal(1, 4, 5, 5), "different lengths"),
    (ImageRotations(SO2()), SO2().exp(torch.tensor([[0.5]])), normal(1, 1, 4, 4),
     "Element 0 of SO.2. is 0.5 radians off"),
    (ImageRotations(Cyclic(4)), torch.tensor([1]), normal(1, 1, 4, 5), "square images"),
    (ImageRotations(Cyclic(4)), torch.tensor([1]), normal(1, 4), "Images have shape"),
    (TokenAction(Permutations(3)), torch.tensor([[0, 1, 2]]), normal(1, 4), "do not fit"),
    (GraphAction(Permutations(3)), torch.tensor([[0, 1, 2]]), normal(1, 3), "Graphs have shape"),
    (PointCloudAction(SO3()), torch.eye(3)[None], normal(1, 4), "acts on points"),
    (PeriodicShift(Translations(2)), torch.zeros(1, 2), normal(1, 4), "axes after the batch"),
    (vector_representation(SO2()), torch.eye(2)[None], normal(1, 3), "last axis"),
    (IrrepsRepresentation(SO3(), "1o"), torch.eye(3)[None], normal(1, 4), "dimension 3"),
    (vector_representation(SO3()), 2 * torch.eye(3)[None], normal(1, 3), "Element 0, .* not in"),
    (vector_representation(SO3()), torch.eye(3), normal(1, 3), "has 3 axes"),
    (DirectSum([(Trivial(SO2()), 2)]), torch.eye(2)[None], normal(1, 3), "do not fill"),
]  # fmt: skip


@pytest.mark.parametrize(("rho", "g", "x", "message"), BAD)
def test_what_does_not_fit_is_refused(
    rho: Representation, g: Tensor, x: Tensor, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        rho(g, x)


def test_wrong_groups_and_directions_are_refused() -> None:
    with pytest.raises(InputError, match="planar rotations"):
        ImageRotations(SO3())
    with pytest.raises(InputError, match="exact, fourier"):
        ImageRotations(SO2(), "best")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="rotations of space"):
        VoxelAction(SE2())
    with pytest.raises(InputError, match="rotations of the plane"):
        frequency_representation(SO3(), (1,))
    with pytest.raises(InputError, match="after the batch"):
        TokenAction(Permutations(3), axis=0)
    with pytest.raises(InputError, match=r"shape \(3,\)"):
        vector_representation(SO3()).derivative(torch.ones(2), normal(1, 3))
    with pytest.raises(InputError, match="no direction"):
        regular_representation(Cyclic(3)).derivative(torch.ones(1), normal(1, 3))
    with pytest.raises(InputError, match="one group"):
        DirectSum([(Trivial(SO2()), 1), (Trivial(SO3()), 1)])
    torus = Product((SO2(), SO2()))
    assert vector_representation(torus)(torus.sample(2), normal(3, 4)).shape == (2, 3, 4)


def test_irreps_of_rigid_motions_are_those_of_their_rotations() -> None:
    g, x = SE3().sample(6), normal(3, 1 + 3 + 5)
    rho = IrrepsRepresentation(SE3(), "0e+1o+2e")
    turned = IrrepsRepresentation(SO3(), "0e+1o+2e")
    assert torch.equal(rho(g, x), turned(g[:, :3, :3].contiguous(), x))
    direction = normal(6)
    assert torch.equal(rho.derivative(direction, x), turned.derivative(direction[:3], x))
    with pytest.raises(InputError, match=r"not SE\(2\)"):
        IrrepsRepresentation(SE2(), "1o")
