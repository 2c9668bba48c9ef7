from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from repgeo.equivariance import (
    action_error,
    class_pose_distances,
    closure_defect,
    coset_hausdorff,
    d_lsbd,
    distance_invariance,
    equivariance_error,
    exactness,
    flip_rate,
    gram_defect,
    homomorphism_defect,
    layerwise_equivariance_error,
    lie_derivative,
    lie_derivative_layers,
    local_equivariance_error,
    orbit_separation,
    plane_angles,
    pose_error,
    prediction_retrieval_error,
    predictive_invariance,
    retrieval,
    retrieval_of_distances,
    reynolds_score,
    rollout,
    rollout_retrieval,
    rotation_angles,
    saliency_invariance,
    stabiliser_order,
    stationarity_defect,
    wahba,
)
from repgeo.errors import InputError
from repgeo.groups import (
    SO2,
    SO3,
    Cyclic,
    FieldsAction,
    ImageRotations,
    Permutations,
    PointCloudAction,
    TokenAction,
    Translations,
    VoxelAction,
    cyclic,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def roll(k: Tensor, x: Tensor) -> Tensor:
    return x.roll(int(k), dims=1)


def test_layers_are_measured_in_the_same_passes() -> None:
    calls = []

    def layers(x: Tensor) -> dict[str, Tensor]:
        calls.append(len(x))
        return {"vectors": 2 * x, "norms": x.norm(dim=1), "first": x[:, 0]}

    x = normal(5, 3)
    reps = {"vectors": "1o", "norms": "invariant", "first": "invariant"}
    found = layerwise_equivariance_error(layers, x, SO3(), rep_in="1o", reps_out=reps, n_elements=8)
    assert calls == [5, 40]
    assert list(found) == ["vectors", "norms", "first"]
    assert found["vectors"].worst < 1e-14
    assert found["norms"].worst < 1e-14
    assert found["first"].mean > 0.1
    alone = equivariance_error(lambda x: x[:, 0], x, SO3(), rep_in="1o", n_elements=8)
    assert torch.equal(alone.values, found["first"].values)
    with pytest.raises(InputError, match="no output 'gone'"):
        layerwise_equivariance_error(layers, x, SO3(), rep_in="1o", reps_out={"gone": "1o"})


def test_inputs_dtype_and_randomness() -> None:
    x = normal(6, 3).float()
    before, state = x.clone(), torch.get_rng_state()
    found = equivariance_error(lambda x: x[:, 0], x, SO3(), rep_in="vector")
    again = equivariance_error(lambda x: x[:, 0], x, SO3(), rep_in="vector")
    assert torch.equal(found.values, again.values)
    assert torch.equal(x, before)
    assert torch.equal(state, torch.get_rng_state())
    assert found.values.dtype == torch.float64
    other = equivariance_error(
        lambda x: x[:, 0], x, SO3(), rep_in="vector", generator=torch.Generator().manual_seed(1)
    )
    assert not torch.equal(other.values, found.values)


def test_sets_and_molecules_as_mappings() -> None:
    group = Permutations(5)
    acting = FieldsAction({"nodes": TokenAction(group)})
    x = {"nodes": normal(4, 5, 3), "charge": normal(4)}

    def total(x: dict[str, Tensor]) -> Tensor:
        return x["nodes"].sum(dim=1) * x["charge"][:, None]

    assert equivariance_error(total, x, group, rep_in=acting).worst < 1e-14
    assert equivariance_error(lambda x: x["nodes"][:, 0], x, group, rep_in=acting).mean > 0.5
    each = equivariance_error(
        lambda x: x["nodes"].tanh(), x, group, rep_in=acting, rep_out=TokenAction(group)
    )
    assert each.worst == 0.0


def test_interpolation_is_a_row_of_its_own() -> None:
    line = torch.linspace(-3, 3, 15, dtype=torch.float64)
    bump = torch.exp(-2 * ((line - 0.8) ** 2 + line[:, None] ** 2))[None, None]
    exact = action_error(bump, Cyclic(4), rep_in=ImageRotations(Cyclic(4)))
    assert exact.worst == 0.0
    errors = [
        action_error(bump, SO2(), rep_in=ImageRotations(SO2(), method)).mean  # type: ignore[arg-type]
        for method in ("fourier", "cubic", "linear")
    ]
    assert 0 < errors[0] < errors[1] < errors[2] < 0.3
    cube = torch.exp(-2 * (line[:, None, None] ** 2 + line[:, None] ** 2 + line**2))[None, None]
    voxels = action_error(cube, SO3(), rep_in=VoxelAction(SO3(), "linear"), n_elements=2)
    assert 0 < voxels.mean < 0.3
    with pytest.raises(InputError, match="on one tensor"):
        action_error({"a": bump}, SO2(), rep_in="vector")


def test_rounding_is_told_from_a_broken_equivariance() -> None:
    torch.manual_seed(0)
    x = normal(8, 3)
    deep = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    broken = exactness(deep, x, SO3(), rep_in="vector")
    assert not broken.exact
    assert next(deep.parameters()).dtype == torch.float32

    class Norms(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = deep

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x.norm(dim=1, keepdim=True).expand(-1, 3))

    found = exactness(Norms(), x, SO3(), rep_in="vector")
    assert found.exact
    assert found.ratio < 1e-5
    assert found.double < 1e-12
    constant = exactness(lambda x: torch.ones(len(x), 2, dtype=x.dtype), x, SO3(), rep_in="vector")
    assert (constant.single, constant.double, constant.ratio, constant.exact) == (0, 0, 0, True)
    with pytest.raises(InputError, match="rounding cannot be told"):
        exactness(lambda x: x.float()[:, 0], x, SO3(), rep_in="vector")


def test_invariance_of_answers_agrees_with_the_definition() -> None:
    W, x = normal(5, 3, seed=1), normal(6, 5)

    def logits(x: Tensor) -> Tensor:
        return x @ W

    kl = predictive_invariance(logits, x, Cyclic(5), rep_in=roll)
    flips = flip_rate(logits, x, Cyclic(5), rep_in=roll)
    p = logits(x).softmax(dim=1)
    for k in range(5):
        q = logits(x.roll(k, dims=1)).softmax(dim=1)
        assert torch.allclose(kl[k], (p * (p / q).log()).sum(dim=1), atol=1e-12)
        assert torch.equal(flips[k], (p.argmax(dim=1) != q.argmax(dim=1)).double())
    assert (
        float(
            predictive_invariance(
                lambda x: x.sum(1, keepdim=True) * W[:1], x, Cyclic(5), rep_in=roll
            ).max()
        )
        < 1e-12
    )


def test_saliency_of_an_invariant_map_moves_along() -> None:
    x = normal(4, 6)
    W = normal(4, 3, seed=2)

    def invariant(x: Tensor) -> Tensor:
        return torch.fft.rfft(x).abs() @ W

    found = saliency_invariance(invariant, x, Cyclic(6), rep_in=roll)
    assert found.shape == (6, 4)
    assert float(found.min()) > 1 - 1e-10
    V = normal(6, 3, seed=3)
    linear = saliency_invariance(lambda x: x @ V, x, Cyclic(6), rep_in=roll)
    top = (x @ V).argmax(dim=1)
    for k in range(6):
        expected = torch.nn.functional.cosine_similarity(V.T[top], V.T[top].roll(-k, dims=1))
        assert torch.allclose(linear[k], expected, atol=1e-12)


def test_distances_survive_isometries() -> None:
    x = normal(6, 3)
    assert float(distance_invariance(lambda x: x + 5, x, SO3(), rep_in="vector").max()) < 1e-14
    moved = distance_invariance(lambda x: x**3, x, SO3(), rep_in="vector")
    assert moved.shape == (32, 6)
    assert float(moved.mean()) > 0.05


def test_codes_of_class_and_pose() -> None:
    P, e = normal(4, 3, 3), normal(4, 5)
    found = class_pose_distances((P, e), (P, 2 * e))
    assert float(found.diagonal().abs().max()) < 1e-12
    i, j = 1, 3
    cosine = float(torch.nn.functional.cosine_similarity(e[i], e[j], dim=0))
    assert float(found[i, j]) == pytest.approx(float((P[i] - P[j]).square().sum()) + 1 - cosine)
    zero = class_pose_distances((P, 0 * e), (P, e))
    assert bool(torch.isfinite(zero).all())


def test_ties_take_no_credit() -> None:
    distances = torch.tensor([[1.0, 1.0, 2.0], [0.0, 1.0, 2.0], [1.0, 1.0, 1.0]])
    found = retrieval_of_distances(distances)
    assert found.hits.tolist() == pytest.approx([0.5, 0.0, 1 / 3])
    assert found.reciprocal_ranks.tolist() == pytest.approx([0.75, 0.5, (1 + 1 / 2 + 1 / 3) / 3])
    two = retrieval_of_distances(distances, k=2)
    assert two.hits.tolist() == pytest.approx([1.0, 1.0, 2 / 3])


def test_learned_transitions_are_rolled_out() -> None:
    start, actions = normal(8, 2), normal(3, 8, 2)
    found = rollout(lambda a, z: z + a, start, actions)
    assert torch.allclose(found[3], start + actions.sum(dim=0))
    codes = torch.cat([start[None], start + actions.cumsum(dim=0)])
    good = rollout_retrieval(lambda a, z: z + a, codes, actions, times=(1, 3), candidates=8)
    drifting = rollout_retrieval(
        lambda a, z: 0.1 * (z + a), codes, actions, times=(1, 3), candidates=8
    )
    assert [each.hit_rate for each in good.values()] == [1.0, 1.0]
    assert drifting[3].hit_rate < 1.0


class Training(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


P = torch.eye(3)[None]
BAD = [
    (lambda: equivariance_error(Training(), normal(4, 3), SO3(), rep_in="1o"), "in training mode"),
    (lambda: equivariance_error(lambda x: x, normal(4, 3), SO3(), rep_in="1o", n_elements=0),
     "At least one element"),
    (lambda: equivariance_error(lambda x: x.sum(), normal(4, 3), SO3(), rep_in="1o"),
     "for n samples"),
    (lambda: equivariance_error(lambda x: x / 0, normal(4, 3), SO3(), rep_in="1o"),
     "NaN or infinite"),
    (lambda: equivariance_error(lambda x: x, normal(4, 3), SO3(), rep_in="1o", elements=2 * P),
     "Element 0, .* is not in SO"),
    (lambda: equivariance_error(lambda x: (x - X).relu(), X, SO3(), rep_in="1o", elements=FLIP),
     "All outputs are 0"),
    (lambda: reynolds_score(lambda x: 0 * x, normal(4, 3), SO3(), rep_in="1o"), "f is 0"),
    (lambda: reynolds_score(lambda x: x, normal(4, 3), SO3(), rep_in="1o", n_elements=1), "Pairs"),
    (lambda: lie_derivative(lambda x: x, normal(4, 3), torch.ones(3), rep_in="1o"), "Which group"),
    (lambda: lie_derivative(lambda x: x, normal(4, 3), torch.ones(2), rep_in="1o", group=SO3()),
     r"shape \(3,\)"),
    (lambda: lie_derivative(lambda x: x, normal(4, 3), torch.ones(1), rep_in=roll, group=Cyclic(3)),
     "discrete"),
    (lambda: lie_derivative_layers([("a", torch.relu)], normal(4, 3), torch.ones(3),
                                   representations=["1o"], group=SO3()), "2 representations"),
    (lambda: local_equivariance_error(lambda x: x, normal(4, 3), rep_in="1o"), "Which group"),
    (lambda: retrieval(normal(4, 3), normal(5, 3)), "the same shape"),
    (lambda: retrieval(normal(4, 3), normal(4, 3)), "Batches of 32"),
    (lambda: retrieval_of_distances(normal(4, 3)), r"\(n, n\)"),
    (lambda: retrieval_of_distances(normal(4, 4), k=5), "k must be from 1"),
    (lambda: retrieval_of_distances(torch.full((2, 2), float("nan"))), "NaN"),
    (lambda: rollout(lambda a, z: z, normal(4, 3), normal(2, 5, 3)), "one for each of 4"),
    (lambda: rollout_retrieval(lambda a, z: z, normal(2, 4, 3), normal(2, 4, 3)), "go with"),
    (lambda: rotation_angles(torch.eye(4), torch.eye(4)), "of the plane or of space"),
    (lambda: pose_error(P, P, torch.zeros(2)), "Classes are"),
    (lambda: pose_error(P, torch.eye(2)[None]), r"\(n, d, d\)"),
    (lambda: prediction_retrieval_error(normal(2, 3), normal(2, 3), normal(2, 3), normal(2, 4)),
     "Quaternions"),
    (lambda: d_lsbd(normal(2, 4)), "at least 3 angles"),
    (lambda: d_lsbd(torch.ones(5, 5, 3)), "Factor 0 moves"),
    (lambda: d_lsbd(torch.full((5, 5, 3), float("nan"))), "NaN"),
    (lambda: plane_angles(2 * P), "Matrix 0 is no rotation"),
    (lambda: plane_angles(torch.eye(3)), r"\(m, d, d\)"),
    (lambda: stationarity_defect(normal(4, 3), cyclic(5)), "5 elements"),
    (lambda: stationarity_defect(torch.ones(5, 3), cyclic(5)), "the same code"),
    (lambda: orbit_separation(normal(4, 3), SO3(), rep="1o", orbits=torch.zeros(4)), "one orbit"),
    (lambda: stabiliser_order(normal(4, 3), tolerance=1.0), r"\(n, N"),
    (lambda: stabiliser_order(normal(4, 3, 2), tolerance=0.0), "tolerance"),
    (lambda: coset_hausdorff(normal(4, 3, 2), P), "rotations"),
    (lambda: coset_hausdorff(P[None], torch.eye(3)), "stabiliser is"),
    (lambda: closure_defect(normal(4, 3)), "rotations"),
    (lambda: wahba(normal(4, 3), normal(4, 2)), "the same shape"),
    (lambda: wahba(normal(4, 3), torch.zeros(4, 3)), "are 0"),
    (lambda: gram_defect(normal(1, 3), normal(1, 3)), "at least two"),
    (lambda: homomorphism_defect(lambda x: x, normal(2, 3), SO3(), rep_in="1o"), "at least d"),
    (lambda: predictive_invariance(lambda x: x[:, 0], normal(2, 3), SO3(), rep_in="1o"), "Logits"),
    (lambda: distance_invariance(lambda x: x, normal(1, 3), SO3(), rep_in="1o"), "two of them"),
    (lambda: distance_invariance(lambda x: 0 * x, normal(2, 3), SO3(), rep_in="1o"), "f is 0"),
    (lambda: action_error(normal(2, 3), SO3(), rep_in="1o", n_elements=0), "At least one element"),
    (lambda: equivariance_error(lambda x: x, {"a": normal(2, 3), "b": normal(3, 3)}, SO3(),
                                rep_in="1o"), "same number of samples"),
    (lambda: equivariance_error(lambda x: x, normal(2, 1, 4, 6), Translations(2),
                                rep_in=lambda t, x: x.mT), "changes their shape"),
]  # fmt: skip

X = normal(1, 3).expand(4, 3).clone()
FLIP = torch.diag(torch.tensor([-1.0, -1.0, 1.0]))[None]


@pytest.mark.parametrize("place", range(len(BAD)))
def test_what_cannot_be_measured_is_refused(place: int) -> None:
    call, message = BAD[place]
    with pytest.raises(InputError, match=message):
        call()


def test_point_clouds_in_float32_are_moved_in_their_dtype() -> None:
    x = normal(3, 4, 3).float()
    action = PointCloudAction(SO3())
    moved = action(SO3().sample(2), x)
    assert moved.dtype == torch.float32
    assert moved.shape == (2, 3, 4, 3)
