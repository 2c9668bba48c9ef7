"""Metamorphic laws of measures of equivariance, and the conventions they rest on."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from repgeo.equivariance import (
    closure_defect,
    coset_hausdorff,
    d_lsbd,
    equivariance_error,
    lie_derivative,
    orbit_separation,
    pose_error,
    reynolds_score,
    stabiliser_order,
    stationarity_defect,
    wahba,
)
from repgeo.groups import (
    SO3,
    Dihedral,
    IrrepsRepresentation,
    MatrixRepresentation,
    Octahedral,
    dihedral,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def orthogonal(d: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(normal(d, d, seed=seed))[0]


GROUP = SO3()
X = normal(10, 3, seed=1)
A, B = normal(3, 6, seed=2), normal(6, 3, seed=3)


def f(x: Tensor) -> Tensor:
    return torch.tanh(x @ A) @ B


def error(f, rep_out="vector", relative=False, elements=None):
    return equivariance_error(
        f, X, GROUP, rep_in="vector", rep_out=rep_out, relative=relative, n_elements=12,
        elements=elements,
    )  # fmt: skip


def test_scaling() -> None:
    one = error(f).values
    assert torch.allclose(error(lambda x: -3 * f(x)).values, 3 * one, rtol=1e-12)
    relative = error(f, relative=True).values
    assert torch.allclose(error(lambda x: -3 * f(x), relative=True).values, relative, rtol=1e-12)


def test_adding_an_equivariant_map_changes_nothing() -> None:
    one = error(f).values
    two = error(lambda x: f(x) + x * x.norm(dim=1, keepdim=True)).values
    assert torch.allclose(two, one, rtol=0, atol=1e-12)


def test_an_orthogonal_change_of_basis_of_outputs_and_representation() -> None:
    one = error(f).values
    for seed in range(5):
        Q = orthogonal(3, seed)
        turned = MatrixRepresentation(GROUP, 3, lambda g, Q=Q: Q @ g @ Q.T)
        two = error(lambda x, Q=Q: f(x) @ Q.T, rep_out=turned).values
        assert torch.allclose(two, one, rtol=0, atol=1e-12)


def test_a_subgroup_is_not_worse_than_the_group() -> None:
    listed = Octahedral().elements()
    whole = error(f, elements=listed)
    half = error(f, elements=listed[torch.linalg.det(listed) > 0][:12])
    assert half.worst <= whole.worst
    assert torch.equal(whole.worst_element, listed[int(whole.per_element.argmax())])


def test_composition_is_bounded() -> None:
    """EED(f h) <= Lip(f) EED(h) + EED(f on the outputs of h), without squares."""
    elements = GROUP.sample(12, generator=generator(4))
    lipschitz = float(torch.linalg.matrix_norm(A, 2) * torch.linalg.matrix_norm(B, 2))

    def h(x: Tensor) -> Tensor:
        return torch.sin(x) + 0.5 * x

    both = error(lambda x: f(h(x)), elements=elements).values
    inner = error(h, elements=elements).values
    outer = equivariance_error(
        f, h(X), GROUP, rep_in="vector", rep_out="vector", relative=False, elements=elements
    ).values
    assert bool((both <= lipschitz * inner + outer + 1e-12).all())


def test_wrong_conventions_are_caught_by_a_group_that_is_not_abelian() -> None:
    """A right action, inverse matrices and Euler angles of two bases are all seen at once."""
    right = MatrixRepresentation(GROUP, 3, lambda g: g.mT)
    assert error(lambda x: x).worst < 1e-14
    assert error(lambda x: x, rep_out=right).mean > 0.5
    # For C_n a rotation and its inverse are of one subgroup, yet elements differ as well.
    D = Dihedral(3)
    x = normal(4, 2)
    good = equivariance_error(lambda x: x, x, D, rep_in="vector", rep_out="vector")
    bad = equivariance_error(
        lambda x: x, x, D, rep_in="vector",
        rep_out=MatrixRepresentation(D, 2, lambda g: D.matrix(D.inverse(g))),
    )  # fmt: skip
    assert good.worst == 0.0
    assert bad.worst > 0.5
    # f(g (h x)) = f((g h) x), and not f((h g) x), for an f that sees everything.
    g, h = GROUP.sample(2, generator=generator(9))
    rho = IrrepsRepresentation(GROUP, "1o+2e")
    z = normal(3, 8)
    twice = rho.apply(g[None], rho(h[None], z))
    assert float((twice - rho((g @ h)[None], z)).abs().max()) < 1e-13
    assert float((twice - rho((h @ g)[None], z)).abs().max()) > 0.1


def test_errors_agree_with_a_loop() -> None:
    elements = GROUP.sample(5, generator=generator(4))
    rho = IrrepsRepresentation(GROUP, "0e+2e")
    W = normal(6, 3, seed=5)

    def to_irreps(x: Tensor) -> Tensor:
        return torch.tanh(x @ W.T)

    found = equivariance_error(to_irreps, X, GROUP, rep_in="vector", rep_out=rho, elements=elements)
    scale = to_irreps(X).square().sum(dim=1).mean().sqrt()
    for i, n in itertools.product(range(5), range(10)):
        moved = to_irreps((elements[i] @ X[n])[None])[0]
        expected = rho.matrices(elements[i : i + 1])[0] @ to_irreps(X[n : n + 1])[0]
        assert float(found.values[i, n]) == pytest.approx(
            float((moved - expected).norm() / scale), abs=1e-12
        )
    assert found.mean == pytest.approx(float(found.values.mean()))
    assert found.worst == pytest.approx(float(found.values.mean(dim=1).max()))


def test_many_elements_in_chunks_agree_with_few() -> None:
    x = normal(700, 3)
    elements = GROUP.sample(7)
    whole = equivariance_error(f, x, GROUP, rep_in="vector", elements=elements).values
    for i in range(7):
        alone = equivariance_error(f, x, GROUP, rep_in="vector", elements=elements[i : i + 1])
        assert torch.allclose(whole[i], alone.values[0], rtol=1e-12)


def test_the_reynolds_score_agrees_with_the_mean_over_pairs() -> None:
    elements = GROUP.sample(6)
    found = reynolds_score(f, X, GROUP, rep_in="vector", rep_out="vector", n_elements=6)
    back = torch.stack([f(X @ g.T) @ g for g in elements])  # g^-1 f(g x)
    pairs = [(back[i] * back[j]).sum(dim=1) for i, j in itertools.permutations(range(6), 2)]
    assert torch.allclose(found.projected, torch.stack(pairs).mean(dim=0), atol=1e-12)
    assert torch.allclose(found.energy, back.square().sum(dim=2).mean(dim=0), atol=1e-12)
    scaled = reynolds_score(
        lambda x: 5 * f(x), X, GROUP, rep_in="vector", rep_out="vector", n_elements=6
    )
    assert scaled.score == pytest.approx(found.score, abs=1e-12)
    equivariant = reynolds_score(
        lambda x: x * x.norm(dim=1, keepdim=True), X, GROUP, rep_in="vector", rep_out="vector"
    )
    assert equivariant.score == pytest.approx(1.0, abs=1e-12)


def test_lie_derivatives_agree_with_small_elements() -> None:
    rho = IrrepsRepresentation(GROUP, "0e+2e")
    W = normal(6, 3, seed=5)

    def to_irreps(x: Tensor) -> Tensor:
        return torch.tanh(x @ W.T)

    v = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    found = lie_derivative(to_irreps, X, v, rep_in="vector", rep_out=rho, group=GROUP)

    def at(t: float) -> Tensor:
        g = GROUP.exp(t * v)
        return rho.apply(g.mT[None], to_irreps(X @ g.T)[None])[0]

    slow = (at(1e-5) - at(-1e-5)) / 2e-5
    assert float((found - slow).abs().max()) < 1e-8
    two = lie_derivative(to_irreps, X, 2 * v, rep_in="vector", rep_out=rho, group=GROUP)
    assert torch.allclose(two, 2 * found, atol=1e-12)
    by_basis = sum(
        v[i] * lie_derivative(to_irreps, X, e, rep_in="vector", rep_out=rho, group=GROUP)
        for i, e in enumerate(torch.eye(3, dtype=torch.float64))
    )
    assert torch.allclose(by_basis, found, atol=1e-12)


def test_lie_derivatives_of_mappings() -> None:
    from repgeo.groups import FieldsAction, PointCloudAction

    cloud = {"p": normal(4, 5, 3), "kind": torch.arange(20).reshape(4, 5)}
    acting = FieldsAction({"p": PointCloudAction(GROUP)})

    def first_axis(x: dict[str, Tensor]) -> Tensor:
        return (x["p"][..., 0] * x["kind"]).sum(dim=1)

    v = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    found = lie_derivative(first_axis, cloud, v, rep_in=acting)
    assert torch.allclose(found, -(cloud["p"][..., 1] * cloud["kind"]).sum(dim=1))


def test_gauges_of_poses() -> None:
    true = GROUP.sample(40)
    noise = GROUP.at_distance(40, 0.2, generator=generator(1))
    predicted = true @ noise
    classes = torch.arange(40) % 3
    one = pose_error(predicted, true, classes)
    constants = GROUP.sample(3, generator=generator(2))
    for right in (constants[:1].expand(40, 3, 3), constants[classes]):
        moved = pose_error(predicted @ right, true, classes)
        assert torch.allclose(moved.angles, one.angles, atol=1e-9)
    left = pose_error(constants[:1] @ predicted, true, classes)
    assert left.mean > 2 * one.mean
    mirrored = pose_error(constants[:1] @ predicted, true, side="left")
    assert mirrored.mean < 0.3
    one_class = pose_error(predicted @ constants[classes], true)
    assert one_class.mean > 2 * one.mean
    assert one.mean < 0.21


def test_permuted_and_doubled_modes() -> None:
    g, c = GROUP.sample(2, generator=generator(3))
    H = Octahedral().elements()
    modes = (g @ H @ c)[None]
    order = torch.randperm(24, generator=generator(4))
    doubled = torch.cat([modes, modes[:, :5]], dim=1)
    for changed in (modes[:, order], doubled, GROUP.sample(1) @ modes):
        assert int(stabiliser_order(changed, tolerance=0.1)) == 24
        assert float(closure_defect(changed)) < 1e-24
    assert (
        float(coset_hausdorff(doubled[:, torch.randperm(29, generator=generator(5))], g @ H @ g.T))
        < 1e-12
    )
    # A part of the coset is far from the whole, one mode is closed but of the wrong order.
    assert float(coset_hausdorff(modes[:, :5], g @ H @ g.T)) > 0.5
    assert float(closure_defect(modes[:, :1])) < 1e-24
    assert int(stabiliser_order(modes[:, :1], tolerance=0.1)) == 1


def test_disentanglement_does_not_see_the_basis_or_the_order_of_factors() -> None:
    angle = 2 * torch.pi * torch.arange(12, dtype=torch.float64) / 12
    a, b = torch.meshgrid(angle, angle[::2], indexing="ij")
    b = b + 0.4 * b.sin()
    codes = torch.stack([a.cos(), a.sin(), (2 * b).cos(), (2 * b).sin()], dim=-1)
    one = d_lsbd(codes)
    for changed in (codes @ orthogonal(4), 7 * codes, codes + 3, codes.roll(2, dims=0)):
        assert d_lsbd(changed).score == pytest.approx(one.score, abs=1e-12)
    swapped = d_lsbd(codes.transpose(0, 1))
    assert torch.allclose(swapped.per_factor, one.per_factor.flip(0), atol=1e-12)


def test_stationarity_does_not_see_the_names_of_elements() -> None:
    group, codes = dihedral(4), normal(8, 3)
    order = torch.randperm(8, generator=generator(1))
    one = stationarity_defect(codes, group)
    two = stationarity_defect(codes[order], group.relabelled(order.numpy()))
    assert two.defect == pytest.approx(one.defect, abs=1e-12)
    for changed in (codes @ normal(3, 3, seed=2), codes + 5):
        assert stationarity_defect(changed, group).defect == pytest.approx(one.defect, abs=1e-10)


def test_stationarity_agrees_with_the_mean_over_the_group() -> None:
    group, codes = dihedral(3), normal(6, 2)
    Z = codes - codes.mean(dim=0)
    K = Z @ Z.T
    PK = torch.zeros_like(K)
    for u, g, h in itertools.product(range(6), repeat=3):
        PK[g, h] += K[group.table[u, g], group.table[u, h]] / 6
    slow = 1 - float(PK.square().sum() / K.square().sum())
    assert stationarity_defect(codes, group, whiten=False).defect == pytest.approx(slow, abs=1e-12)


def test_orbits_are_separated_up_to_the_group() -> None:
    group = Octahedral()
    codes = normal(4, 3)
    moved = torch.stack([g @ z for g, z in zip(group.sample(4), codes, strict=True)])
    orbits = torch.arange(4).repeat(2)
    found = orbit_separation(torch.cat([codes, moved]), group, rep="vector", orbits=orbits)
    same = orbits[:, None] == orbits[None]
    assert float(found.distances[same].max()) < 1e-12
    assert found.margin > 0.01
    for i, j in itertools.combinations(range(4), 2):
        slow = min(float((codes[i] - g @ codes[j]).norm()) for g in group.elements())
        assert float(found.distances[i, j]) == pytest.approx(slow, abs=1e-12)
    constant = orbit_separation(torch.ones(4, 3), group, rep="invariant")
    assert constant.margin == 0.0
    assert constant.collapsed == 1.0


def test_no_rotation_fits_better_than_wahbas() -> None:
    z, w = normal(20, 3), normal(20, 3, seed=1)
    best = wahba(z, w).residual
    for seed in range(50):
        R = orthogonal(3, seed)
        assert float((z @ R.T - w).square().sum() / w.square().sum()) >= best
