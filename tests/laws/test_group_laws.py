"""Metamorphic laws of Fourier scores and of recovered tables."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from repgeo.errors import InputError
from repgeo.groups import (
    FiniteGroup,
    direct_product,
    fourier_score,
    irreps,
    isotypic_components,
    named_group,
    principal_angles,
    recover_table,
)

NAMES = ["C6", "S3", "Q8", "A4"]


def weights(group, rows=5, dtype=torch.complex128, seed=0):
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(rows, group.order, dtype=dtype, generator=draws)


@pytest.mark.parametrize("name", NAMES)
def test_scores_do_not_see_scale_phase_order_or_translations(name):
    group = named_group(name)
    w = weights(group)
    base = fourier_score(w, group)
    phases = torch.exp(1j * torch.arange(5.0).double())[:, None] * torch.arange(1, 6)[:, None]
    assert np.allclose(fourier_score(phases * w, group).fractions, base.fractions)
    order = torch.tensor([3, 1, 4, 0, 2])
    assert np.allclose(fourier_score(w[order], group).fractions, base.fractions[order.numpy()])
    for g in range(group.order):
        for moves in (group.table[g], group.table[:, g]):
            moved = w[:, torch.tensor(moves)]
            assert np.allclose(fourier_score(moved, group).fractions, base.fractions)
    real = weights(group, dtype=torch.float64)
    assert np.allclose(fourier_score(-2 * real, group).p, fourier_score(real, group).p)


@pytest.mark.parametrize("name", ["C6", "S3", "Q8"])
def test_automorphisms_permute_components(name):
    group = named_group(name)
    n = group.order
    found = 0
    w = weights(group)
    base = np.sort(fourier_score(w, group).fractions, axis=1)
    for images in itertools.permutations(range(1, n), min(n - 1, 5)):
        order = np.array([0, *images, *(set(range(1, n)) - set(images))])
        if (order[group.table] == group.table[np.ix_(order, order)]).all():
            found += 1
            moved = fourier_score(w[:, torch.tensor(order)], group)
            assert np.allclose(np.sort(moved.fractions, axis=1), base)
        if found == 4:
            break
    assert found >= 2


@pytest.mark.parametrize("name", NAMES)
def test_mixing_within_a_block_keeps_its_subspace(name):
    group = named_group(name)
    rho = irreps(group)[-1]
    d = rho.dimension
    w = rho.matrices.reshape(group.order, d * d).T
    draws = torch.Generator().manual_seed(0)
    U = torch.linalg.qr(torch.randn(d * d, d * d, dtype=torch.complex128, generator=draws))[0]
    # Rows are w; their transform takes conj ρ, so the energy is at the conjugate of ρ.
    conjugate = [
        c
        for c in isotypic_components(group, real=False)
        if torch.allclose(irreps(group)[c.irreps[0]].character, rho.character)
    ]
    for mixed in (w, U @ w):
        score = fourier_score(mixed, group)
        assert score.score.min() == pytest.approx(1.0)
        assert [c.name for c in conjugate] == [score.components[score.best[0]].name]
        shared = principal_angles(mixed, group)
        assert [s.rank for s in shared] == [0] * (len(shared) - 1) + [d * d]
        assert shared[-1].angles.max() < 1e-7
        assert min(s.angles.min() for s in shared[:-1]) > 1.57


@pytest.mark.parametrize("name", ["C16", "S4"])
def test_a_random_order_of_coordinates_brings_the_score_to_its_null(name):
    group = named_group(name)
    columns = [rho.matrices.reshape(group.order, -1).T for rho in irreps(group)]
    w = torch.cat(columns).real
    w = w[w.norm(dim=1) > 1e-9]
    draws = torch.Generator().manual_seed(0)
    shuffled = torch.cat(
        [w[:, torch.randperm(group.order, generator=draws)][1:] for _ in range(20)]
    )
    planted, control = fourier_score(w, group), fourier_score(shuffled, group)
    assert planted.score.min() == pytest.approx(1.0)
    assert (planted.row_q < 0.01).mean() > 0.9
    assert (control.row_q < 0.01).mean() < 0.05
    null = fourier_score(torch.randn(4000, group.order, generator=draws), group).score.mean()
    # Rows orthogonal to the constant have no share in it: a little above Gaussian rows.
    assert null - 0.03 < control.score.mean() < null + 0.12


@pytest.mark.parametrize("name", ["S3", "Q8", "A4"])
def test_tables_do_not_see_a_change_of_basis(name):
    group = named_group(name)
    draws = torch.Generator().manual_seed(0)
    noisy, turned = [], []
    for rho in irreps(group):
        d = rho.dimension
        noise = torch.randn(group.order, d, d, dtype=torch.complex128, generator=draws)
        noisy.append(rho.matrices + 0.2 * noise)
        U = torch.linalg.qr(torch.randn(d, d, dtype=torch.complex128, generator=draws))[0]
        turned.append(U @ noisy[-1] @ U.mH)
    a, b = recover_table(noisy, known=group), recover_table(turned, known=group)
    assert (a.table == b.table).all()
    assert np.allclose(a.margin, b.margin)
    assert a.homomorphism_error == pytest.approx(b.homomorphism_error)
    assert a.certificate is not None
    assert b.certificate is not None
    assert a.certificate.eta == pytest.approx(b.certificate.eta)


def test_the_table_of_a_product_is_the_product_of_tables():
    g, h = named_group("S3"), named_group("C4")
    both = direct_product(g, h)
    blocks = [
        torch.einsum("gij,hkl->ghikjl", a.matrices, b.matrices).reshape(
            24, a.dimension * b.dimension, -1
        )
        for a in irreps(g)
        for b in irreps(h)
    ]
    assert FiniteGroup(recover_table(blocks).table) == both


def test_noise_lowers_the_margin_on_average():
    group = named_group("D4")
    means = []
    for noise in (0.0, 0.05, 0.1, 0.2, 0.3):
        draws = torch.Generator().manual_seed(0)
        margins = [
            recover_table(
                [
                    r.matrices
                    + noise * torch.randn(r.matrices.shape, dtype=torch.complex128, generator=draws)
                    for r in irreps(group)
                ]
            ).margin.min()
            for _ in range(12)
        ]
        means.append(np.mean(margins))
    assert means == sorted(means, reverse=True)
    assert means[0] == pytest.approx(1.0)


def test_several_copies_of_a_group():
    group = named_group("C6")
    rows = torch.randn(4, 3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    score = fourier_score(rows, group)
    each = [fourier_score(rows[:, c], group).fractions for c in range(3)]
    energies = rows.square().sum(dim=2).numpy()
    expected = sum(e * energies[:, [c]] for c, e in enumerate(each)) / energies.sum(1)[:, None]
    assert np.allclose(score.fractions, expected)
    assert score.null_std.max() < fourier_score(rows[:, 0], group).null_std.max()
    columns = score.columns()
    assert {len(column) for column in columns.values()} == {4 * len(score.components)}


def test_weights_that_are_none():
    group = named_group("C6")
    with pytest.raises(InputError, match="do not fit"):
        fourier_score(torch.ones(2, 5), group)
    with pytest.raises(InputError, match=r"Rows \[1\] of the weights are zero"):
        fourier_score(torch.tensor([[1.0] * 6, [0.0] * 6]), group)
    with pytest.raises(InputError, match="NaN"):
        principal_angles(torch.full((1, 6), float("nan")), group)
    with pytest.raises(InputError, match=r"\(rows, n\)"):
        fourier_score(torch.ones(6), group)
