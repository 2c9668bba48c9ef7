from __future__ import annotations

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
    Cyclic,
    Dihedral,
    Group,
    Icosahedral,
    Octahedral,
    Permutations,
    Polyhedral,
    Product,
    Tetrahedral,
    Translations,
    nearest_rotation,
    resample,
    rotation_generators,
    wigner_matrices,
)

TORUS = Product((SO2(), SO2()))
MIXED = Product((SO3(), Cyclic(3), Permutations(4)))
GROUPS: list[Group] = [
    SO2(), SO3(), O3(), SE2(), SE3(2.0), Cyclic(5), Cyclic(4), Dihedral(3), Permutations(4),
    Translations(2), Translations(1, period=8.0), Tetrahedral(), Octahedral(), Icosahedral(), TORUS,
    MIXED,
]  # fmt: skip
LIE = [group for group in GROUPS if group.dimension]
FINITE = [group for group in GROUPS if group.order is not None]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def close(a: Tensor, b: Tensor, tolerance: float = 1e-12) -> bool:
    return a.shape == b.shape and bool((a.double() - b.double()).abs().max() <= tolerance)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_axioms_and_the_defining_representation(group: Group) -> None:
    g, h, k = (group.sample(20, generator=generator(seed)) for seed in range(3))
    identity = group.identity()
    assert tuple(g.shape) == (20, *group.element_shape)
    assert bool(group.contains(g).all())
    assert bool(group.contains(group.compose(g, h)).all())
    assert close(group.compose(group.compose(g, h), k), group.compose(g, group.compose(h, k)))
    assert close(group.compose(g, identity.expand_as(g)), g)
    assert close(group.compose(group.inverse(g), g), identity.expand_as(g))
    assert close(group.matrix(group.compose(g, h)), group.matrix(g) @ group.matrix(h))
    commute = close(group.compose(g, h), group.compose(h, g))
    assert commute == group.is_abelian
    assert torch.equal(g, group.sample(20, generator=generator(0)))
    assert group.is_integer != g.is_floating_point()


@pytest.mark.parametrize("group", LIE, ids=lambda group: group.name)
def test_exponential_of_generators(group: Group) -> None:
    v = torch.randn(group.dimension, generator=generator(), dtype=torch.float64)
    g = group.exp(v[None])
    assert bool(group.contains(g).all())
    assert close(group.exp(0 * v), group.identity())
    X = torch.einsum("i,ijk->jk", v, group.generators())
    assert close(group.matrix(g)[0], torch.linalg.matrix_exp(X), 1e-12)
    assert close(group.compose(group.exp(0.3 * v), group.exp(0.7 * v)), g[0])
    near = group.at_distance(3, 1e-9)
    assert close(group.quotient(near, near), group.identity().expand_as(near))


@pytest.mark.parametrize("group", FINITE, ids=lambda group: group.name)
def test_elements_of_finite_groups(group: Group) -> None:
    listed = group.elements()
    assert len(listed) == group.order
    assert len(torch.unique(group.matrix(listed).flatten(1).round(decimals=6), dim=0)) == len(
        listed
    )
    assert close(listed[0], group.identity())
    if isinstance(group, Cyclic | Dihedral | Polyhedral | Permutations):
        table = torch.from_numpy(group.finite_group.table.copy())
        products = group.compose(listed[:, None], listed[None])
        assert close(products, listed[table], 1e-9)


def test_haar_means_of_traces() -> None:
    for group, squared in ((SO3(), 1.0), (O3(), 1.0), (SO2(), 2.0)):
        traces = group.sample(20_000, generator=generator()).diagonal(dim1=1, dim2=2).sum(dim=1)
        assert float(traces.mean()) == pytest.approx(0.0, abs=0.05)
        assert float(traces.square().mean()) == pytest.approx(squared, abs=0.05)
    determinants = torch.linalg.det(O3().sample(2_000))
    assert abs(float(determinants.mean())) < 0.1


def test_elements_outside_are_named_and_refused() -> None:
    rotations = SO3().sample(3)
    rotations[1] *= 1.001
    with pytest.raises(InputError, match=r"Element 1, .* is not in SO\(3\) \(defect 0.00"):
        SO3().require(rotations)
    with pytest.raises(InputError, match=r"Element 0, .* is not in SO\(3\) \(defect 2\)"):
        SO3().require(-torch.eye(3)[None])
    with pytest.raises(InputError, match="Element 2, 7, is not in C5"):
        Cyclic(5).require(torch.tensor([0, 1, 7]))
    with pytest.raises(InputError, match=r"Element 0, \[0, 0, 1\], is not in S3"):
        Permutations(3).require(torch.tensor([[0, 0, 1]]))
    with pytest.raises(InputError, match="is not in O "):
        Octahedral().require(SO3().sample(1))
    with pytest.raises(InputError, match=r"have shape \(..., 3, 3\)"):
        SO3().require(torch.zeros(2, 2))
    with pytest.raises(InputError, match="are integers"):
        Cyclic(3).require(torch.zeros(2))
    with pytest.raises(InputError, match="are real floating point"):
        SO2().require(torch.eye(2, dtype=torch.int64))
    with pytest.raises(InputError, match="is not in SO"):
        SO2().require(torch.full((1, 2, 2), float("nan")))
    bad = MIXED.sample(1)
    bad[0, 9] = 0.5
    with pytest.raises(InputError, match="Element 0"):
        MIXED.require(bad)
    assert bool(SO3().contains(SO3().sample(5).float()).all())


def test_what_a_discrete_or_infinite_group_does_not_have() -> None:
    with pytest.raises(InputError, match="no one-parameter subgroups"):
        Cyclic(3).exp(torch.zeros(1))
    with pytest.raises(InputError, match="discrete"):
        Dihedral(3).at_distance(1, 0.1)
    with pytest.raises(InputError, match="cannot be listed"):
        SO3().elements()
    with pytest.raises(InputError, match="too many to list"):
        Permutations(9).elements()
    with pytest.raises(InputError, match="n must be positive"):
        Cyclic(0)
    with pytest.raises(InputError, match="T, O and I"):
        Polyhedral("X")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least one group"):
        Product(())


def test_nearest_rotation_agrees_with_what_it_started_from() -> None:
    R = SO3().sample(10)
    noisy = R + 1e-3 * torch.randn(R.shape, generator=generator(), dtype=torch.float64)
    fixed = nearest_rotation(noisy)
    assert bool(SO3().contains(fixed, tolerance=1e-12).all())
    assert float((fixed - R).abs().max()) < 5e-3
    # Nothing nearer among many rotations close by.
    others = SO3().compose(fixed[:, None], SO3().at_distance(50, 1e-3)[None])
    best = (others - noisy[:, None]).square().sum(dim=(-2, -1)).amin(dim=1)
    assert bool(((fixed - noisy).square().sum(dim=(-2, -1)) <= best).all())


@pytest.mark.parametrize("degree", range(8))
def test_wigner_matrices_agree_with_the_exponential_of_generators(degree: int) -> None:
    X = rotation_generators(degree)
    v = torch.randn(10, 3, generator=generator(), dtype=torch.float64)
    slow = torch.linalg.matrix_exp(torch.einsum("ni,ijk->njk", v, X))
    assert close(wigner_matrices(degree, SO3().exp(v)), slow, 1e-12)


def test_wigner_matrices_are_homomorphisms_of_float64_whatever_the_default() -> None:
    from e3nn import o3

    assert torch.get_default_dtype() == torch.float32
    g, h = SO3().sample(30), SO3().sample(30, generator=generator(1))
    for degree in range(10):
        D = wigner_matrices(degree, g)
        assert D.dtype == torch.float64
        assert close(D @ wigner_matrices(degree, h), wigner_matrices(degree, g @ h), 1e-13)
        # e3nn builds its generators in the default dtype: equal to single precision only.
        theirs = o3.Irreps([(1, (degree, 1))]).D_from_matrix(g)
        assert close(D, theirs, 1e-4)


def test_small_rotations_and_half_turns_keep_their_digits() -> None:
    X = rotation_generators(3)
    v = torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64)
    for size in (1e-4, 1e-9, 1e-14):
        D = wigner_matrices(3, SO3().exp(size * v)[None])[0] - torch.eye(7)
        expected = size * torch.einsum("i,ijk->jk", v, X)
        assert float((D - expected).norm() / expected.norm()) < 10 * size + 1e-15 / size
    for axis in torch.eye(3, dtype=torch.float64):
        half = torch.linalg.matrix_exp(torch.pi * torch.einsum("i,ijk->jk", axis, X))
        assert close(wigner_matrices(3, SO3().exp(torch.pi * axis)[None])[0], half, 1e-13)


def test_wigner_matrices_refuse_what_they_cannot_take() -> None:
    with pytest.raises(InputError, match="not negative"):
        wigner_matrices(-1, torch.eye(3)[None])
    with pytest.raises(InputError, match="not negative"):
        rotation_generators(-1)
    with pytest.raises(InputError, match=r"\(n, 3, 3\)"):
        wigner_matrices(1, torch.eye(3))


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_resampling_is_exact_on_polynomials(dimensions: int) -> None:
    sides = (9, 8, 7)[:dimensions]
    grid = torch.stack(
        torch.meshgrid(*(torch.arange(s, dtype=torch.float64) for s in sides), indexing="ij"), -1
    ).reshape(-1, dimensions)
    points = 2 + (torch.tensor(sides) - 5) * torch.rand(
        1, len(grid), dimensions, generator=generator(), dtype=torch.float64
    )

    def linear(p: Tensor) -> Tensor:
        return p @ torch.arange(1.0, dimensions + 1, dtype=torch.float64) - 3

    def quadratic(p: Tensor) -> Tensor:
        return linear(p) ** 2 + p[..., 0]

    for f, method in ((linear, "linear"), (linear, "cubic"), (quadratic, "cubic")):
        x = f(grid).reshape(1, 1, *sides)
        found = resample(x, points, dimensions=dimensions, method=method)
        assert close(found.flatten(), f(points).flatten(), 1e-10)
    x = torch.randn(1, 2, *sides, generator=generator(), dtype=torch.float64)
    assert torch.equal(resample(x, grid[None], dimensions=dimensions), x)
    shifted = resample(x, grid[None] + 1, dimensions=dimensions, wrap=True)
    assert close(shifted, x.roll([-1] * dimensions, dims=list(range(2, 2 + dimensions))))
    with pytest.raises(InputError, match="are needed"):
        resample(x, grid, dimensions=dimensions)
