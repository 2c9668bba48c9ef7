"""Closed forms of measures of equivariance."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from repgeo.equivariance import (
    closure_defect,
    coset_hausdorff,
    d_lsbd,
    equivariance_error,
    exactness,
    gram_defect,
    homomorphism_defect,
    lie_derivative,
    lie_derivative_layers,
    local_equivariance_error,
    plane_angles,
    plane_entanglement,
    pose_error,
    prediction_retrieval_error,
    retrieval,
    reynolds_score,
    rollout_retrieval,
    rotation_angles,
    stabiliser_order,
    stationarity_defect,
    wahba,
)
from repgeo.groups import (
    O3,
    SO2,
    SO3,
    Cyclic,
    Icosahedral,
    IrrepsRepresentation,
    Octahedral,
    PeriodicShift,
    Polyhedral,
    Tetrahedral,
    Translations,
    as_representation,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def orthogonal(d: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(normal(d, d, seed=seed))[0]


@pytest.mark.parametrize(
    ("rep_in", "rep_out", "degree_in", "degree_out"),
    [("1o", "1o", 1, 1), ("2e", "2e", 2, 2), ("1o", "2e", 1, 2)],
)
def test_linear_maps_between_irreps(rep_in, rep_out, degree_in, degree_out) -> None:
    """E |W ρ(g) x - ρ'(g) W x|^2 = 2 (|W|^2 - tr(W)^2 / d), or 2 |W|^2 where no map commutes."""
    d_in, d_out = 2 * degree_in + 1, 2 * degree_out + 1
    W = normal(d_out, d_in, seed=3)
    kept = float(W.trace() ** 2 / d_in) if degree_in == degree_out else 0.0
    exact = 2 * (float(W.square().sum()) - kept)
    # The mean over these samples is that over all x of unit covariance: only g is drawn.
    x = d_in**0.5 * torch.eye(d_in, dtype=torch.float64)
    found = equivariance_error(
        lambda x: x @ W.T, x, SO3(), rep_in=rep_in, rep_out=rep_out, relative=False, n_elements=4000
    )
    assert found.mean_square == pytest.approx(exact, rel=0.03)
    score = reynolds_score(
        lambda x: x @ W.T, x, SO3(), rep_in=rep_in, rep_out=rep_out, n_elements=4000
    )
    assert score.score == pytest.approx(kept / float(W.square().sum()), abs=0.02)


@pytest.mark.parametrize("group", [Tetrahedral(), Octahedral(), Icosahedral()])
def test_linear_maps_over_finite_groups_are_exact(group: Polyhedral) -> None:
    """All elements are taken, and x on an orthonormal basis: the identity holds to rounding."""
    W, x = normal(3, 3, seed=3), torch.eye(3, dtype=torch.float64)
    exact = 2 * (W.square().sum() - W.trace() ** 2 / 3) / 3
    found = equivariance_error(
        lambda x: x @ W.T, x, group, rep_in="1o", rep_out="1o", relative=False, n_elements=60
    )
    assert found.complete
    assert found.mean_square == pytest.approx(float(exact), abs=1e-12)
    score = reynolds_score(lambda x: x @ W.T, x, group, rep_in="1o", rep_out="1o", n_elements=60)
    share = W.trace() ** 2 / 3 / W.square().sum()
    assert score.score == pytest.approx(float(share), abs=1e-12)


def test_error_and_reynolds_score_of_a_nonlinear_map() -> None:
    """E |f(gx) - g f(x)|^2 = 2 (|f|^2 - |Π f|^2), the right side by the U-statistic."""
    A, B, x = normal(3, 8, seed=1), normal(8, 3, seed=2), normal(500, 3)

    def f(x: Tensor) -> Tensor:
        return torch.tanh(x @ A) @ B + 2 * x

    error = equivariance_error(f, x, SO3(), rep_in="1o", rep_out="1o", n_elements=200)
    score = reynolds_score(f, x, SO3(), rep_in="1o", rep_out="1o", n_elements=200)
    assert error.mean_square == pytest.approx(2 * (1 - score.score), rel=0.05)
    assert 0.1 < error.mean_square < 1.9


def test_a_map_without_an_equivariant_part_is_at_chance() -> None:
    W, x = normal(5, 3, seed=1), normal(2000, 3)
    found = equivariance_error(lambda x: x @ W.T, x, SO3(), rep_in="1o", rep_out="2e")
    assert found.root_mean_square == pytest.approx(found.chance, rel=0.03)


def test_unrelated_unit_vectors() -> None:
    """The mean distance is 2^(d-1) Γ(d/2)^2 / (√π Γ(d - 1/2)), 4/3 in three dimensions."""
    d, x = 3, torch.nn.functional.normalize(normal(400, 3), dim=1)
    target = torch.nn.functional.normalize(normal(1, 3, seed=9), dim=1)
    found = equivariance_error(
        lambda x: target.expand(len(x), 3), x, SO3(), rep_in="vector", rep_out="vector",
        n_elements=2000,
    )  # fmt: skip
    exact = 2 ** (d - 1) * math.gamma(d / 2) ** 2 / (math.pi**0.5 * math.gamma(d - 0.5))
    assert exact == pytest.approx(4 / 3)
    assert found.mean == pytest.approx(exact, rel=0.03)


def test_tensor_products_are_exact_and_networks_are_not() -> None:
    from e3nn import o3

    from repgeo.groups import FieldsAction, PointCloudAction

    torch.manual_seed(0)
    product = o3.FullyConnectedTensorProduct("2x0e+1o", "0e+1o+2e", "3x0e+2x1o+2e")
    x = {"a": normal(20, 5).float(), "b": normal(20, 9, seed=1).float()}
    acting = FieldsAction(
        {"a": IrrepsRepresentation(O3(), "2x0e+1o"), "b": IrrepsRepresentation(O3(), "0e+1o+2e")}
    )

    class Both(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.product = product

        def forward(self, x: dict[str, Tensor]) -> Tensor:
            return self.product(x["a"], x["b"])

    found = exactness(Both(), x, O3(), rep_in=acting, rep_out="3x0e+2x1o+2e")
    assert found.exact
    assert found.single < 1e-5
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 8), torch.nn.Tanh())
    cloud = normal(20, 4, 3).float()
    broken = exactness(net, cloud, SO3(), rep_in=PointCloudAction(SO3()))
    assert not broken.exact
    assert broken.ratio == pytest.approx(1.0, rel=1e-3)


# Lie derivatives of shifts of periodic signals, in closed form.

SHIFT = PeriodicShift(Translations(1))
ONE = torch.ones(1, dtype=torch.float64)


def band_limited(n: int, frequencies: int, seed: int = 0) -> Tensor:
    """Real signals `(4, n)` of frequencies 1 to `frequencies` - 1."""
    k = torch.arange(1, frequencies, dtype=torch.float64)
    s = torch.arange(n, dtype=torch.float64)
    phase = 2 * torch.pi * (s[:, None] * k / n + normal(4, 1, len(k), seed=seed))
    return phase.cos().sum(dim=2)


def test_convolution_commutes_with_shifts() -> None:
    kernel = normal(1, 1, 5, seed=1)

    def convolution(x: Tensor) -> Tensor:
        wrapped = torch.nn.functional.pad(x[:, None], (2, 2), mode="circular")
        return torch.nn.functional.conv1d(wrapped, kernel)[:, 0]

    x = normal(4, 33)
    assert (
        float(lie_derivative(convolution, x, ONE, rep_in=SHIFT, rep_out=SHIFT).abs().max()) < 1e-11
    )


def test_subsampling_aliases_what_lies_above_a_quarter() -> None:
    halved = PeriodicShift(Translations(1), scale=0.5)

    def every_second(x: Tensor) -> Tensor:
        return x[:, ::2]

    low, full = band_limited(32, 8), band_limited(32, 16)
    assert (
        float(lie_derivative(every_second, low, ONE, rep_in=SHIFT, rep_out=halved).abs().max())
        < 1e-10
    )
    assert (
        float(lie_derivative(every_second, full, ONE, rep_in=SHIFT, rep_out=halved).abs().max()) > 1
    )
    # One frequency k above n/4: cos(2πks/n) is seen as n/2 - k, and moves the other way. With
    # w = 2π/n, its own change is k w sin(k w s), that of its alias -(n/2 - k) w sin(k w s).
    n, k = 32, 12
    s = torch.arange(n, dtype=torch.float64)
    wave = torch.cos(2 * torch.pi * k * s / n)[None]
    found = lie_derivative(every_second, wave, ONE, rep_in=SHIFT, rep_out=halved)
    w = 2 * torch.pi / n
    expected = (k + (n / 2 - k)) * w * torch.sin(k * w * s[::2])
    assert float((found[0] - expected).abs().max()) < 1e-11


def test_nonlinearities_alias_what_they_add() -> None:
    def square(x: Tensor) -> Tensor:
        return x**2

    low, high = band_limited(32, 5), band_limited(32, 12)
    assert float(lie_derivative(square, low, ONE, rep_in=SHIFT, rep_out=SHIFT).abs().max()) < 1e-10
    assert float(lie_derivative(square, high, ONE, rep_in=SHIFT, rep_out=SHIFT).abs().max()) > 1
    relu = lie_derivative(torch.relu, band_limited(32, 5), ONE, rep_in=SHIFT, rep_out=SHIFT)
    assert float(relu.abs().max()) > 0.1
    # cos^2(kws) = (1 + cos(2kws)) / 2, and 2k > n/2 is seen as n - 2k, moving the other way.
    n, k = 32, 11
    s = torch.arange(n, dtype=torch.float64)
    w = 2 * torch.pi / n
    found = lie_derivative(square, torch.cos(k * w * s)[None], ONE, rep_in=SHIFT, rep_out=SHIFT)
    own, alias = k * w * torch.sin(2 * k * w * s), -(n - 2 * k) * w / 2 * torch.sin(2 * k * w * s)
    assert float((found[0] - (own - alias)).abs().max()) < 1e-11


def test_layers_add_up_and_blame_the_one_that_aliases() -> None:
    halved = PeriodicShift(Translations(1), scale=0.5)
    kernel = normal(32, seed=1)

    def filtered(x: Tensor) -> Tensor:
        return torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(kernel), n=32)

    layers = [("filter", filtered), ("square", lambda x: x**2), ("half", lambda x: x[:, ::2]),
              ("mean", lambda x: x.mean(dim=1))]  # fmt: skip
    x = band_limited(32, 4)
    found = lie_derivative_layers(
        layers, x, ONE, representations=[SHIFT, SHIFT, SHIFT, halved, "invariant"]
    )

    def chain(x: Tensor) -> Tensor:
        for _, layer in layers:
            x = layer(x)
        return x

    total = lie_derivative(chain, x, ONE, rep_in=SHIFT)
    assert float((sum(each.contribution for each in found) - total).abs().max()) < 1e-11
    assert max(float(each.own.abs().max()) for each in found) < 1e-9  # 2 * 3 < 8: no alias
    wide = lie_derivative_layers(
        layers, band_limited(32, 8), ONE, representations=[SHIFT, SHIFT, SHIFT, halved, "invariant"]
    )
    assert [float(each.own.abs().max()) > 0.1 for each in wide] == [False, False, True, False]


def test_lie_derivative_of_irreps_by_generators() -> None:
    """W between irreps: L_X W = W dρ(X) - dρ'(X) W; 0 for multiples of the identity."""
    rho = IrrepsRepresentation(SO3(), "2e")
    x, W = normal(6, 5), normal(5, 5, seed=1)
    v = torch.tensor([0.3, -1.0, 0.5], dtype=torch.float64)
    exact = rho.derivative(v, x) @ W.T - rho.derivative(v, x @ W.T)
    found = lie_derivative(lambda x: x @ W.T, x, v, rep_in=rho, rep_out=rho)
    assert float((found - exact).abs().max()) < 1e-12
    assert float(lie_derivative(lambda x: 3 * x, x, v, rep_in=rho, rep_out=rho).abs().max()) < 1e-14
    assert local_equivariance_error(lambda x: x[:, 0] * 0 + 1, x, rep_in=rho).tolist() == [0.0] * 6


# Retrieval.


def test_codes_that_are_all_the_same_are_at_chance() -> None:
    for n, hit, reciprocal in ((20, 0.05, 0.1799), (32, 0.03125, 0.12683), (50, 0.02, 0.0900)):
        found = retrieval(torch.ones(2 * n, 3), torch.ones(2 * n, 3), candidates=n)
        assert found.hit_rate == pytest.approx(hit, abs=1e-12)
        assert found.mean_reciprocal_rank == pytest.approx(reciprocal, abs=5e-5)
        assert found.hit_rate == pytest.approx(found.chance_hit_rate, abs=1e-12)
        assert found.mean_reciprocal_rank == pytest.approx(found.chance_mean_reciprocal_rank)
    random = retrieval(normal(3200, 4), normal(3200, 4, seed=1), candidates=32, k=3)
    assert random.hit_rate == pytest.approx(random.chance_hit_rate, abs=0.02)


def test_exact_poses_are_retrieved_at_every_time() -> None:
    rho = as_representation("vector", SO3())
    frames = IrrepsRepresentation(SO3(), "3x1o")  # the columns of a rotation
    group = SO3()
    poses = [group.sample(64)]
    actions = torch.stack(
        [group.sample(64, generator=torch.Generator().manual_seed(t)) for t in range(20)]
    )
    for action in actions:
        poses.append(action @ poses[-1])
    codes = torch.stack(poses).mT.flatten(2)  # g times each column
    found = rollout_retrieval(frames, codes, actions, times=(1, 10, 20))
    assert [each.hit_rate for each in found.values()] == [1.0, 1.0, 1.0]
    assert [each.mean_reciprocal_rank for each in found.values()] == [1.0, 1.0, 1.0]
    assert rho.group == group


def test_random_views_have_a_retrieval_error_of_three_quarters() -> None:
    q = torch.nn.functional.normalize(normal(4000, 4), dim=1)
    found = prediction_retrieval_error(normal(4000, 3), normal(4000, 3, seed=1), q, q)
    assert float(found.mean()) == pytest.approx(0.75, abs=0.02)
    z = normal(30, 3)
    assert float(prediction_retrieval_error(z, z, q[:30], -q[:30]).max()) < 1e-12


# Poses.


def test_constant_and_random_poses_are_at_chance() -> None:
    true, other = (
        SO3().sample(20_000),
        SO3().sample(20_000, generator=torch.Generator().manual_seed(1)),
    )
    chance = math.pi / 2 + 2 / math.pi
    assert float(rotation_angles(true, other).mean()) == pytest.approx(chance, abs=0.02)
    assert math.degrees(chance) == pytest.approx(126.48, abs=0.01)
    found = pose_error(other, true)
    assert found.chance == pytest.approx(chance)
    assert found.mean == pytest.approx(chance, abs=0.03)
    planar = pose_error(
        SO2().sample(5000), SO2().sample(5000, generator=torch.Generator().manual_seed(1))
    )
    assert planar.mean == pytest.approx(planar.chance, abs=0.05)
    # The plateau of a pose loss: a constant has E |g P - P'|^2 = 6, two thirds of an entry.
    constant = (true @ other[:1] - other[:1]).square()
    assert float(constant.sum(dim=(1, 2)).mean()) == pytest.approx(6.0, abs=0.1)
    for group in (Tetrahedral(), Octahedral(), Icosahedral()):
        gaps = (group.elements() - torch.eye(3)).square().sum(dim=(1, 2))
        assert float(gaps.mean()) == pytest.approx(6.0, abs=1e-12)


# Disentanglement.


def torus(n: int, frequencies: tuple[int, int], warp: float = 0.0) -> Tensor:
    angle = 2 * torch.pi * torch.arange(n, dtype=torch.float64) / n
    a, b = torch.meshgrid(angle, angle, indexing="ij")
    a = frequencies[0] * (a + warp * a.sin())
    b = frequencies[1] * b
    return torch.stack([a.cos(), a.sin(), b.cos(), b.sin()], dim=-1)


def brute_force(codes: Tensor, largest: int) -> tuple[float, list[int]]:
    """The published search: all tuples of frequencies, rotations of the projected codes."""
    import itertools

    sizes, K = codes.shape[:-1], codes.ndim - 1
    grids = torch.meshgrid(
        *(2 * torch.pi * torch.arange(n, dtype=torch.float64) / n for n in sizes), indexing="ij"
    )
    planes = []
    for factor in range(K):
        rows = (codes - codes.mean(dim=factor, keepdim=True)).reshape(-1, codes.shape[-1])
        U, S, _ = torch.linalg.svd(rows, full_matrices=False)
        std = S / (len(rows) - 1) ** 0.5
        planes.append((U * S / (std * 2**0.5))[:, :2])
    best = (math.inf, [0] * K)
    for frequencies in itertools.product(range(-largest, largest + 1), repeat=K):
        total = 0.0
        for factor, w in enumerate(frequencies):
            angle = -w * grids[factor].flatten()
            c, s = angle.cos(), angle.sin()
            p, q = planes[factor].T
            back = torch.stack([c * p - s * q, s * p + c * q], dim=1)
            total += float((back - back.mean(dim=0)).square().sum(dim=1).mean())
        if total / K < best[0] - 1e-12:
            best = (total / K, list(frequencies))
    return best


def test_d_lsbd_of_tori() -> None:
    exact = torus(16, (1, 2))
    assert d_lsbd(exact).score == pytest.approx(0.0, abs=1e-12)
    assert d_lsbd(exact).frequencies == (1, 2)
    mixed = exact @ (normal(4, 4, seed=5) + 2 * torch.eye(4))
    assert d_lsbd(mixed).score == pytest.approx(0.0, abs=1e-12)
    # Wrapped several times: a perfect score of a map that is not injective.
    folded = d_lsbd(torus(16, (3, 4)))
    assert folded.score == pytest.approx(0.0, abs=1e-12)
    assert folded.frequencies == (3, 4)
    random = d_lsbd(normal(16, 16, 4))
    assert 0.95 < random.score < random.chance
    assert d_lsbd(torus(16, (1, 2), warp=0.5)).score == pytest.approx(0.032, abs=5e-4)


def test_d_lsbd_of_entangled_factors() -> None:
    angle = 2 * torch.pi * torch.arange(16, dtype=torch.float64) / 16
    a, b = torch.meshgrid(angle, angle, indexing="ij")
    both = torch.stack([a.cos(), a.sin(), (a + b).cos(), (a + b).sin()], dim=-1)
    # The first factor moves both planes: its principal plane is a mixture; basis dependent.
    assert d_lsbd(both).score > 0.4


@pytest.mark.parametrize("case", ["exact", "warped", "random", "entangled"])
def test_d_lsbd_agrees_with_the_search_over_frequencies(case: str) -> None:
    codes = {
        "exact": torus(8, (1, 2)),
        "warped": torus(8, (2, 1), warp=0.5),
        "random": normal(8, 8, 5),
        "entangled": torus(8, (1, 1)) @ normal(4, 4, seed=2) + 0.3 * normal(8, 8, 4, seed=3),
    }[case]
    score, _ = brute_force(codes, 4)
    assert d_lsbd(codes).score == pytest.approx(score, abs=1e-12)


def test_plane_angles_rebuild_the_rotation() -> None:
    d = 5
    Q = orthogonal(d)
    Q[:, 0] *= torch.linalg.det(Q)
    angles = plane_angles(Q[None])[0]
    R, place = torch.eye(d, dtype=torch.float64), 0
    for i in range(d):
        for j in range(i + 1, d):
            plane = torch.eye(d, dtype=torch.float64)
            c, s = angles[place].cos(), angles[place].sin()
            plane[i, i], plane[j, j], plane[i, j], plane[j, i] = c, c, -s, s
            R, place = R @ plane, place + 1
    assert float((R - Q).abs().max()) < 1e-12
    one = torch.eye(d, dtype=torch.float64)
    one[1, 1] = one[3, 3] = 0.6
    one[1, 3], one[3, 1] = -0.8, 0.8
    assert float(plane_entanglement(one[None])) < 1e-20
    assert float(plane_entanglement(Q[None])) > 0.5


# Kernels of orbits.


def octahedral_orbit() -> Tensor:
    rho = IrrepsRepresentation(Octahedral(), "0e+1o+2e+2x1e")
    return rho(Octahedral().elements(), normal(1, 15))[:, 0]


def test_stationarity_of_an_orbit() -> None:
    group, codes = Octahedral().finite_group, octahedral_orbit()
    for whiten in (False, True):
        assert stationarity_defect(codes, group, whiten=whiten).defect < 1e-12
        turned = codes @ orthogonal(15)
        assert stationarity_defect(turned, group, whiten=whiten).defect < 1e-12
    mixed = codes @ normal(15, 15, seed=4)
    assert stationarity_defect(mixed, group).defect < 1e-10
    assert stationarity_defect(mixed, group, whiten=False).defect > 0.05
    noisy = [
        stationarity_defect(codes + s * normal(24, 15, seed=7), group, whiten=False).defect
        for s in (0.01, 0.1, 0.5, 1.0)
    ]
    assert noisy == sorted(noisy)
    assert noisy[0] < 1e-3 < 0.05 < noisy[-1]


@pytest.mark.parametrize("d", [3, 8, 15])
@pytest.mark.parametrize("whiten", [True, False])
def test_stationarity_of_random_codes_is_at_chance(d: int, whiten: bool) -> None:
    group = Octahedral().finite_group
    found = [stationarity_defect(normal(24, d, seed=s), group, whiten=whiten) for s in range(300)]
    mean = sum(each.defect for each in found) / len(found)
    assert mean == pytest.approx(found[0].chance, abs=0.012)
    assert found[0].rank == d
    if d == 15:
        assert found[0].chance == pytest.approx(0.33 if whiten else 0.58, abs=0.01)


def test_whitened_codes_of_full_rank_say_nothing() -> None:
    found = stationarity_defect(normal(24, 30), Octahedral().finite_group)
    assert (found.rank, found.chance) == (23, 0.0)
    assert found.defect < 1e-10


# Fitted rotations.


def test_a_rotation_is_recovered() -> None:
    z, Q = normal(50, 8), orthogonal(8)
    found = wahba(z, z @ Q.T)
    assert found.residual < 1e-28
    assert float((found.matrix - Q).abs().max()) < 1e-13
    assert gram_defect(z, z @ Q.T) < 1e-26
    unit = torch.nn.functional.normalize(z, dim=1)
    shuffled = unit[torch.randperm(50, generator=torch.Generator().manual_seed(0))]
    assert wahba(unit, shuffled).residual > 0.8
    assert gram_defect(unit, shuffled) == pytest.approx(2 / 8, rel=0.2)  # cosines of variance 1/d


def test_random_rotations_do_not_compose() -> None:
    d, group = 3, SO3()
    A, B, C = (
        torch.stack([orthogonal(d, seed=1000 * k + s) for s in range(500)]) for k in range(3)
    )
    gaps = (A - B @ C).square().sum(dim=(1, 2))
    assert float(gaps.mean()) == pytest.approx(2 * d, rel=0.1)
    x = normal(12, 3)
    good = homomorphism_defect(lambda x: x @ orthogonal(3), x, group, rep_in="vector", n_elements=8)
    bad = homomorphism_defect(lambda x: x.abs(), x, group, rep_in="vector", n_elements=8)
    assert float(good.max()) < 1e-24
    assert float(bad.mean()) > 0.1


# Cosets.


def test_cosets_of_polyhedral_groups() -> None:
    generator = torch.Generator().manual_seed(5)
    for group in (Tetrahedral(), Octahedral(), Icosahedral()):
        H, (g, c) = group.elements(), SO3().sample(2, generator=generator)
        modes = (g @ H @ c)[None]
        assert float(closure_defect(modes)) < 1e-24
        assert float(coset_hausdorff(modes, g @ H @ g.T)) < 1e-12
        assert int(stabiliser_order(modes, tolerance=0.1)) == group.order
    random = SO3().sample(24)[None]
    assert 1 < float(closure_defect(random)) < 12
    assert float(coset_hausdorff(random, Octahedral().elements())) > 0.5


def test_angular_gaps_of_the_circle() -> None:
    for k in (1, 2, 3, 5):
        angle = 2 * torch.pi * torch.arange(k, dtype=torch.float64) / k + 0.3
        points = torch.stack([angle.cos(), angle.sin()], dim=1).repeat(2, 1)[None]
        assert int(stabiliser_order(points, tolerance=0.05)) == k


def test_invariance_over_a_cyclic_group() -> None:
    x = normal(5, 6)
    found = equivariance_error(
        lambda x: torch.fft.rfft(x).abs(), x, Cyclic(6),
        rep_in=lambda k, x: x.roll(int(k), dims=1),
    )  # fmt: skip
    assert found.complete
    assert found.worst < 1e-14
