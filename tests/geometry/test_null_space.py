from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.sparse.linalg import LinearOperator, lsmr
from torch import Tensor, nn

from repgeo.errors import InputError
from repgeo.geometry import (
    NullSpace,
    PrecisionWarning,
    jacobian,
    null_space,
    project_to_null_space,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matrix(m: int, d: int, values: list[float], seed: int) -> Tensor:
    left = torch.linalg.qr(normal(m, m, seed=seed))[0][:, : len(values)]
    right = torch.linalg.qr(normal(d, d, seed=seed + 1))[0][:, : len(values)]
    return left @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ right.T


@pytest.mark.parametrize(("m", "d"), [(3, 8), (5, 5), (9, 4)])
def test_the_projection_is_that_of_a_dense_basis(m: int, d: int) -> None:
    most = min(m, d)
    ranks = [most, most - 1, 1]
    J = torch.stack([matrix(m, d, [3.0, 2.0, 1.5, 1.0, 0.5][:r], 10 * r) for r in ranks])
    v = normal(3, d, seed=5)
    found = NullSpace.of(J)
    assert found.rank.tolist() == ranks
    assert found.null_dim.tolist() == [d - r for r in ranks]
    for i, r in enumerate(ranks):
        basis = scipy.linalg.null_space(J[i].numpy(), rcond=1e-10)  # (d, d - r)
        assert basis.shape[1] == d - r
        np.testing.assert_allclose(
            found.project(v)[i], basis @ (basis.T @ v[i].numpy()), atol=1e-13
        )
    kept = found.basis.mT @ found.basis  # the identity up to the rank, zero beyond
    for i, r in enumerate(ranks):
        expected = torch.diag((torch.arange(most) < r).double())
        torch.testing.assert_close(kept[i], expected, rtol=0, atol=1e-13)


def test_lifts_are_those_of_the_pseudo_inverse() -> None:
    J = torch.stack([matrix(4, 7, [3.0, 2.0, 1.0, 0.1], 1), matrix(4, 7, [3.0, 1.0], 2)])
    change = normal(2, 4, seed=3)
    expected = (torch.linalg.pinv(J, rtol=1e-10) @ change[:, :, None]).squeeze(2)
    torch.testing.assert_close(NullSpace.of(J).lift(change), expected, rtol=0, atol=1e-12)


def test_small_singular_values_are_not_squared_away() -> None:
    J = matrix(3, 40, [1e3, 1.0, 1e-7], 4)[None]
    found = NullSpace.of(J)
    assert found.rank.tolist() == [3]
    assert float(found.singular_values[0, 2]) == pytest.approx(1e-7, rel=1e-5)
    values = torch.linalg.eigvalsh(J[0].T @ J[0])  # of the metric: 1e-14 drowns in 1e6 eps
    assert abs(float(values[-3]) - 1e-14) > 1e-14
    single = NullSpace.of(matrix(3, 40, [1.0, 1e-2, 1e-4], 4)[None].float(), tol=1e-6)
    assert float(single.singular_values[0, 2]) == pytest.approx(1e-4, rel=1e-3)


def test_the_gap_tells_how_clear_the_rank_is() -> None:
    J = torch.stack([matrix(3, 6, values, 6) for values in ([2.0, 1.0], [2.0, 1.0, 1e-9])])
    eps = torch.finfo(torch.float64).eps
    found = NullSpace.of(J, tol=1e-8)
    assert found.rank.tolist() == [2, 2]
    assert float(found.gap[0]) == pytest.approx(1 / (2 * eps), rel=0.9)
    assert float(found.gap[1]) == pytest.approx(1e9, rel=1e-5)
    assert NullSpace.of(J).rank.tolist() == [2, 3]
    nothing = NullSpace.of(torch.zeros(1, 2, 3))
    assert nothing.rank.tolist() == [0]
    assert nothing.gap.tolist() == [torch.inf]


def test_modules_are_computed_in_double_and_left_as_they_are() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))
    before = [parameter.clone() for parameter in module.parameters()]
    x = torch.randn(3, 6)
    found = null_space(module, x)
    assert found.basis.dtype == torch.float64
    assert all(
        parameter.dtype == torch.float32 and parameter.requires_grad and torch.equal(parameter, old)
        for parameter, old in zip(module.parameters(), before, strict=True)
    )
    pushed = jacobian(module.double(), x.double()) @ found.project(normal(3, 6))[:, :, None]
    assert float(pushed.abs().max()) < 1e-15


@pytest.mark.parametrize("rank", [24, 30])
def test_the_projection_without_a_matrix_agrees_with_dense_and_lsmr(rank: int) -> None:
    d = 50
    A = matrix(30, d, torch.linspace(1.0, 3.0, rank).tolist(), 7)

    def f(x: Tensor) -> Tensor:
        return (x @ A.T) + 0.1 * (x @ A.T) ** 2

    x, v = 0.2 * normal(4, d, seed=8), normal(4, d, seed=9)
    found = project_to_null_space(f, x, v)
    dense = null_space(f, x)
    assert dense.rank.tolist() == [rank] * 4
    torch.testing.assert_close(found, dense.project(v), rtol=0, atol=1e-11)
    for J, row, projected in zip(jacobian(f, x), v, found, strict=True):
        M = J.numpy()
        transposed = LinearOperator(
            (d, 30), matvec=lambda u, M=M: M.T @ u, rmatvec=lambda w, M=M: M @ w
        )
        u = lsmr(transposed, row.numpy(), atol=1e-15, btol=1e-15, conlim=0, maxiter=500)[0]
        np.testing.assert_allclose(projected, row.numpy() - M.T @ u, atol=1e-10)


def test_the_projection_without_a_matrix_keeps_shape_and_knows_convolutions() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten())
    x, v = normal(2, 1, 8, 8, seed=1), normal(2, 1, 8, 8, seed=2)
    found = project_to_null_space(net, x, v)
    assert found.shape == x.shape
    expected = null_space(net, x).project(v.flatten(1))
    torch.testing.assert_close(found.flatten(1), expected, rtol=0, atol=1e-11)


def test_bad_conditions_are_told() -> None:
    A = matrix(12, 20, torch.logspace(0, -9, 12).tolist(), 3)
    with pytest.warns(PrecisionWarning, match="did not converge"):
        project_to_null_space(lambda x: x @ A.T, normal(1, 20), normal(1, 20, seed=1), iterations=3)


def test_wrong_arguments_are_named() -> None:
    x = normal(2, 3)
    with pytest.raises(InputError, match=r"Jacobians are \(B, m, d\)"):
        NullSpace.of(x)
    with pytest.raises(InputError, match="tol must not be negative"):
        null_space(lambda x: x, x, tol=-1.0)
    with pytest.raises(InputError, match="Vectors must have the inputs' shape"):
        project_to_null_space(lambda x: x, x, x[0])
