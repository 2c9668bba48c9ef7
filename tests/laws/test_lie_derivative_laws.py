"""Metamorphic laws of Lie derivatives and of the tangents of orbits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from repgeo.equivariance import (
    Cut,
    distance_invariance,
    layerwise_equivariance_error,
    lie_derivative,
    lie_derivative_cuts,
    lie_derivative_layers,
    local_equivariance_error,
    orbit_tangents,
    predictive_invariance,
    saliency_invariance,
)
from repgeo.errors import InputError
from repgeo.groups import SE3, SO3, MatrixRepresentation, PointCloudAction


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


GROUP = SO3()
X = normal(10, 3, seed=1)
A, B = normal(3, 6, seed=2), normal(6, 3, seed=3)
V = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)


def f(x: Tensor) -> Tensor:
    return torch.tanh(x @ A) @ B


def derivative(f, rep_out="vector", x: Tensor = X) -> Tensor:
    return lie_derivative(f, x, V, rep_in="vector", rep_out=rep_out, group=GROUP)


def local(f, rep_out="vector") -> Tensor:
    return local_equivariance_error(f, X, rep_in="vector", rep_out=rep_out, group=GROUP)


def test_scaled_functions() -> None:
    assert torch.allclose(derivative(lambda x: -3 * f(x)), -3 * derivative(f))
    assert torch.allclose(local(lambda x: -3 * f(x)), 9 * local(f))


def test_an_equivariant_summand_changes_nothing() -> None:
    def more(x: Tensor) -> Tensor:
        return f(x) + x * x.norm(dim=1, keepdim=True)

    assert torch.allclose(derivative(more), derivative(f), rtol=0, atol=1e-12)
    assert torch.allclose(local(more), local(f), rtol=1e-12)


def test_an_orthogonal_change_of_basis_of_outputs_and_representation() -> None:
    for seed in range(3):
        Q = torch.linalg.qr(normal(3, 3, seed=seed))[0]
        basis = Q @ GROUP.generators() @ Q.T
        rep = MatrixRepresentation(GROUP, 3, lambda g, Q=Q: Q @ g @ Q.T, basis)
        turned = derivative(lambda x, Q=Q: f(x) @ Q.T, rep)
        assert torch.allclose(turned, derivative(f) @ Q.T, rtol=0, atol=1e-12)
        assert torch.allclose(local(lambda x, Q=Q: f(x) @ Q.T, rep), local(f), rtol=1e-12)


def test_a_subgroup_is_not_worse_than_the_worst_direction() -> None:
    """About one axis: at most the largest singular value of X -> L_X f(x)."""
    basis = torch.eye(3, dtype=torch.float64)
    parts = [lie_derivative(f, X, e, rep_in="vector", rep_out="vector", group=GROUP) for e in basis]
    worst = torch.linalg.matrix_norm(torch.stack(parts, dim=-1), ord=2)  # (n,)
    for seed in range(5):
        u = torch.nn.functional.normalize(normal(3, seed=seed), dim=0)
        found = lie_derivative(f, X, u, rep_in="vector", rep_out="vector", group=GROUP)
        assert bool((found.norm(dim=1) <= worst + 1e-12).all())


def test_compositions_obey_the_chain_rule_and_its_bound() -> None:
    """|L(f h)| <= Lip(f) |L h| + |L f at h(x)|, without squares."""

    def h(x: Tensor) -> Tensor:
        return torch.sin(x) + 0.5 * x

    lipschitz = float(torch.linalg.matrix_norm(A, 2) * torch.linalg.matrix_norm(B, 2))
    both, inner, outer = derivative(lambda x: f(h(x))), derivative(h), derivative(f, x=h(X))
    bound = lipschitz * inner.norm(dim=1) + outer.norm(dim=1)
    assert bool((both.norm(dim=1) <= bound + 1e-12).all())
    exact = torch.func.jvp(f, (h(X),), (inner,))[1] + outer
    assert torch.allclose(both, exact, rtol=0, atol=1e-12)
    reps = ["vector", "vector", "vector"]
    layers = lie_derivative_layers([("h", h), ("f", f)], X, V, representations=reps, group=GROUP)
    cuts = [Cut("h", h, "vector", f), Cut("f", lambda x: f(h(x)), "vector", lambda z: z)]
    found = lie_derivative_cuts(cuts, X, V, rep_in="vector", group=GROUP)
    for one, two in zip(layers, found, strict=True):
        assert one.name == two.name
        assert two.contribution is not None
        assert torch.allclose(one.contribution, two.contribution, rtol=0, atol=1e-12)
    assert torch.allclose(found[0].derivative, inner)
    assert torch.allclose(found[0].codes, h(X))
    assert torch.allclose(found[1].derivative, both)
    without = lie_derivative_cuts([Cut("h", h, "vector")], X, V, rep_in="vector", group=GROUP)
    assert without[0].contribution is None


def test_layers_measured_together_are_those_measured_alone() -> None:
    elements = GROUP.sample(5)

    def layers(x: Tensor) -> dict[str, Tensor]:
        return {"scaled": 3 * f(x), "moved": f(x) + x}

    found = layerwise_equivariance_error(
        layers, X, GROUP, rep_in="vector", reps_out={"scaled": "vector", "moved": "vector"},
        elements=elements, relative=False,
    )  # fmt: skip
    assert torch.allclose(found["scaled"].values, 3 * found["moved"].values, atol=1e-12)


def test_invariances_do_not_see_what_they_must_not() -> None:
    """One number more for all classes; distances of codes turned and scaled; scaled logits."""
    acting = {"rep_in": "vector", "n_elements": 6}

    def shifted(x: Tensor) -> Tensor:
        return f(x) + x.sum(dim=1, keepdim=True).sin()

    one, two = (predictive_invariance(each, X, GROUP, **acting) for each in (f, shifted))
    assert torch.allclose(one, two, rtol=0, atol=1e-12)
    Q = torch.linalg.qr(normal(3, 3))[0]
    one, two = (
        distance_invariance(each, X, GROUP, **acting) for each in (f, lambda x: -2 * f(x) @ Q.T)
    )
    assert torch.allclose(one, two, rtol=0, atol=1e-12)
    one, two = (saliency_invariance(each, X, GROUP, **acting) for each in (f, lambda x: 4 * f(x)))
    assert torch.allclose(one, two, rtol=0, atol=1e-12)


def test_tangents_of_orbits_are_derivatives_of_the_action() -> None:
    cloud = normal(4, 5, 3)
    tangents = orbit_tangents(cloud, "rigid")
    assert tangents.shape == (4, 6, 5, 3)
    action, basis = PointCloudAction(SE3()), torch.eye(6, dtype=torch.float64)
    # Translations first; rotations in the planes xy, xz, yz, which are about z, -y and x.
    for place, (generator, sign) in enumerate([(3, 1), (4, 1), (5, 1), (2, 1), (1, -1), (0, 1)]):
        slope = action.derivative(sign * basis[generator], cloud)
        assert isinstance(slope, Tensor)
        assert torch.allclose(tangents[:, place], slope, rtol=0, atol=1e-12)
    assert torch.equal(orbit_tangents(cloud, "translations"), tangents[:, :3])
    assert torch.equal(orbit_tangents(cloud, "rotations"), tangents[:, 3:])
    with pytest.raises(InputError, match=r"points .* or clouds of points"):
        orbit_tangents(normal(2, 2, 2, 2), "rigid")
    with pytest.raises(InputError, match="no rotations in one dimension"):
        orbit_tangents(normal(2, 1), "rotations")
