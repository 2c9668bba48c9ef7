"""Closed forms of finite groups: representations, Fourier analysis, recovery of tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from repgeo.groups import (
    certify,
    character_table,
    decode_table,
    fourier_score,
    invariance_purity,
    irreps,
    isotypic_components,
    named_group,
    numerical_irreps,
    recover_table,
    spectral_outputs,
    spectral_regulariser,
)

DIMENSIONS = {
    "C5": [1] * 5,
    "C6": [1] * 6,
    "C2xC2": [1] * 4,
    "S3": [1, 1, 2],
    "D4": [1, 1, 1, 1, 2],
    "Q8": [1, 1, 1, 1, 2],
    "D5": [1, 1, 2, 2],
    "A4": [1, 1, 1, 3],
    "S4": [1, 1, 2, 3, 3],
}
OTHERS = ["C1", "C2", "D1", "D2", "Q12", "Q16", "S5", "A5", "S3xC4", "D4xS3", "A4xS3", "I", "O"]
NAMES = list(DIMENSIONS)


def fourier_blocks(group):
    """W_i(h) = ρ_i(h)^†, the weights of a power-spectral network that is the Fourier transform."""
    return [rho.matrices.mH for rho in irreps(group)]


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
@pytest.mark.parametrize("make", [irreps, numerical_irreps])
def test_irreps_are_unitary_homomorphisms_and_orthogonal(name, make):
    group = named_group(name)
    found = make(group)
    table = torch.tensor(group.table)
    dims = [rho.dimension for rho in found]
    if name in DIMENSIONS:
        assert dims == DIMENSIONS[name]
    assert sum(d * d for d in dims) == group.order
    assert len(dims) == len(group.conjugacy_classes)
    assert (found[0].matrices - 1).abs().max() < 1e-10  # the trivial one comes first
    for rho in found:
        products = torch.einsum("gij,hjk->ghik", rho.matrices, rho.matrices)
        assert (products - rho.matrices[table]).abs().max() < 1e-11
        unit = rho.matrices @ rho.matrices.mH - torch.eye(rho.dimension)
        assert unit.abs().max() < 1e-11
    # Schur: the entries of all sqrt(d) ρ are orthogonal functions of norm n.
    entries = [math.sqrt(r.dimension) * r.matrices.reshape(group.order, -1) for r in found]
    functions = torch.cat(entries, dim=1)
    gram = functions.mH @ functions
    assert (gram - group.order * torch.eye(group.order)).abs().max() < 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_closed_forms_have_rounding_errors_only(name):
    group = named_group(name)
    if group.structure is None:
        pytest.skip("no closed form for alternating groups")
    for rho in irreps(group):
        products = torch.einsum("gij,hjk->ghik", rho.matrices, rho.matrices)
        assert (products - rho.matrices[torch.tensor(group.table)]).abs().max() < 1e-14 * 4


def test_d4_and_q8_have_one_character_table_and_two_cayley_tables():
    d4, q8 = named_group("D4"), named_group("Q8")

    def rows(group):
        table = character_table(group).real.round().int().tolist()
        return sorted(sorted(row) for row in table)

    assert rows(d4) == rows(q8)
    assert (d4.element_orders == 2).sum() == 5
    assert (q8.element_orders == 2).sum() == 1
    assert d4.isomorphic_to(q8) is None
    kinds = [[rho.kind for rho in irreps(group)][-1] for group in (d4, q8)]
    assert kinds == ["real", "quaternionic"]
    # The tables that decoding finds differ too.
    names = []
    for group in (d4, q8):
        found = recover_table([rho.matrices for rho in irreps(group)])
        assert found.group is not None
        names.append(int((found.group.element_orders == 2).sum()))
    assert names == [5, 1]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("C3", ["real", "complex", "complex"]),
        ("Q8", ["real"] * 4 + ["quaternionic"]),
        ("Q12", ["real", "real", "complex", "complex", "quaternionic", "real"]),
        ("A4", ["real", "complex", "complex", "real"]),
        ("S4", ["real"] * 5),
    ],
)
def test_frobenius_schur_types(name, kinds):
    group = named_group(name)
    found = irreps(group)
    assert [rho.kind for rho in found] == kinds
    # The square roots of the identity are as many as the real dimensions less the quaternionic.
    signs = {"real": 1, "complex": 0, "quaternionic": -1}
    squares = group.table[np.arange(group.order), np.arange(group.order)]
    count = sum(signs[rho.kind] * rho.dimension for rho in found)
    assert count == int((squares == group.identity).sum())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("C5", 0.0),
        ("C6", 0.0),
        ("C2xC2", 0.0),
        ("S3", 1 / 3),
        ("D4", 1 / 2),
        ("Q8", 1 / 2),
        ("D5", 2 / 5),
        ("A4", 1.0),
        ("S4", 5 / 6),
    ],
)
def test_regularisers_at_the_fourier_transform(name, value):
    stacks = [W[None] for W in fourier_blocks(named_group(name))]
    assert float(spectral_regulariser(stacks, "published")) == pytest.approx(value, abs=1e-12)
    assert float(spectral_regulariser(stacks, "plancherel")) < 1e-25


@pytest.mark.parametrize("name", NAMES)
def test_the_fourier_transform_is_an_invariant_network(name):
    group = named_group(name)
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(5, group.order, dtype=torch.complex128, generator=draws)
    for g in range(group.order):
        moved = x[:, torch.tensor(group.table[g])]
        for W in fourier_blocks(group):
            assert (spectral_outputs(W, moved) - spectral_outputs(W, x)).abs().max() < 1e-11


def test_the_opposite_action_is_not_that_of_a_non_abelian_group():
    for name in ("S3", "Q8", "A4"):
        group = named_group(name)
        x = torch.randn(group.order, dtype=torch.complex128, generator=torch.Generator())[None]
        W = fourier_blocks(group)[-1]
        gaps = [
            float((spectral_outputs(W, x[:, torch.tensor(order)]) - spectral_outputs(W, x)).norm())
            for order in group.table.T  # x(h g) in place of x(g h)
        ]
        assert max(gaps) > 0.1


@pytest.mark.parametrize(
    ("name", "least", "largest"), [("A4", 0.94, 2.58), ("S3", 1.22, 2.24), ("C5", None, None)]
)
def test_distances_between_exact_elements(name, least, largest):
    group = named_group(name)
    off = ~torch.eye(group.order, dtype=torch.bool)
    squared = {"plancherel": 0.0, "published": 0.0}
    for rho in irreps(group):
        gap = rho.matrices[:, None] - rho.matrices[None]
        energy = gap.abs().square().sum((-2, -1))
        squared["plancherel"] += rho.dimension * energy
        squared["published"] += energy / rho.dimension**2
    distances = squared["plancherel"].sqrt()[off]
    assert (distances - math.sqrt(2 * group.order)).abs().max() < 1e-13 * 10
    if least is not None:
        published = squared["published"].sqrt()[off]
        assert float(published.min()) == pytest.approx(least, abs=0.01)
        assert float(published.max()) == pytest.approx(largest, abs=0.01)


@pytest.mark.parametrize("name", ["C5", "S3", "Q8", "A4"])
def test_exact_composition_network(name):
    group = named_group(name)
    n = group.order
    logits = torch.zeros(n, n, n, dtype=torch.complex128)
    wrong = torch.zeros_like(logits)
    for rho in irreps(group):
        R = rho.matrices
        logits += rho.dimension * torch.einsum("aij,bjk,cki->abc", R, R, R.mH)
        wrong += rho.dimension * torch.einsum("aij,bjk,cki->abc", R, R, R)
    expected = torch.zeros(n, n, n)
    a, b = np.indices((n, n))
    expected[a, b, group.table.copy()] = n
    assert (logits - expected).abs().max() < 1e-12
    share = float((wrong.real.argmax(dim=2) == torch.tensor(group.table)).double().mean())
    # Without the inverse the network answers (a b)^-1, which is right where (a b)^2 = e.
    assert share == pytest.approx(float((group.element_orders <= 2).mean()))


@pytest.mark.parametrize("name", ["C5", "C6", "C2xC2", "S3", "Q8", "A4", "S4"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_invariance_is_purity(name, dtype):
    group = named_group(name)
    draws = torch.Generator().manual_seed(1)
    w = torch.randn(6, group.order, dtype=dtype, generator=draws)
    found = invariance_purity(w, group)
    assert found.gap.max() < 1e-13
    # The defect by its definition: the largest eigenvalue of a difference of rank two.
    unit = (w / w.norm(dim=1, keepdim=True)).to(torch.complex128)
    for row in range(2):
        deltas = []
        for g in range(group.order):
            moved = unit[row, torch.tensor(group.table[g])]
            outer = torch.outer(moved, moved.conj()) - torch.outer(unit[row], unit[row].conj())
            deltas.append(float(torch.linalg.matrix_norm(outer, ord=2)) ** 2)
        assert np.mean(deltas) == pytest.approx(found.defect[row], abs=1e-12)
    assert (found.largest >= 1 - found.defect - 1e-12).all()
    if group.is_abelian:
        energies = fourier_score(w.to(torch.complex128), group).fractions
        assert found.purity == pytest.approx((energies**2).sum(axis=1), abs=1e-12)


@pytest.mark.parametrize("name", ["S3", "D4", "Q8", "D5", "A4"])
@pytest.mark.parametrize("eta", [0.1, 0.2])
def test_decoding_is_exact_where_the_certificate_holds(name, eta):
    group = named_group(name)
    draws = torch.Generator().manual_seed(0)
    certified = 0
    for _ in range(20):
        blocks = noisy(group, eta, draws)
        found = recover_table(blocks, known=group)
        if found.certified:
            certified += 1
            assert found.cell_accuracy == 1.0
    if eta == 0.1:
        assert certified == 20


def noisy(group, eta, draws):
    """Representations plus noise whose largest Plancherel norm over g is eta sqrt(n)."""
    noise = [
        torch.randn(r.matrices.shape, dtype=torch.complex128, generator=draws)
        for r in irreps(group)
    ]
    norms = sum(
        r.dimension * e.abs().square().sum((-2, -1))
        for r, e in zip(irreps(group), noise, strict=True)
    ).sqrt()
    scale = eta * math.sqrt(group.order) / norms
    return [
        r.matrices + scale[:, None, None] * e for r, e in zip(irreps(group), noise, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "published", "plancherel"), [("A4", 0.0, 1.0), ("D4", 0.25, 1.0), ("Q8", 0.35, 1.0)]
)
def test_rates_of_exact_tables_under_noise(name, published, plancherel):
    # 40 draws at eta = .4, as tabulated; three standard errors of a share of 40.
    group = named_group(name)
    draws = torch.Generator().manual_seed(2)
    trials = [noisy(group, 0.4, draws) for _ in range(40)]
    for metric, expected in (("published", published), ("plancherel", plancherel)):
        rate = np.mean([(decode_table(b, metric=metric)[0] == group.table).all() for b in trials])
        assert abs(rate - expected) <= 3 * math.sqrt(0.25 / 40)


def test_a_certificate_knows_the_distance_to_the_representation():
    group = named_group("A4")
    blocks = noisy(group, 0.15, torch.Generator().manual_seed(0))
    found = certify(blocks, group)
    assert found is not None
    # Every element is 0.15 from the planted one; in the mean the one found is no farther, and so
    # they are within twice that of each other.
    assert 0.1 < found.eta < 0.3
    assert certify(blocks[:-1], group) is None


@pytest.mark.parametrize(
    ("name", "mean"),
    [
        ("C5", 0.650),
        ("C6", 0.578),
        ("S3", 0.7237),
        ("D4", 0.577),
        ("Q8", 0.578),
        ("D5", 0.566),
        ("A4", 0.7592),
        ("S4", 0.478),
    ],
)
def test_the_largest_share_of_noise(name, mean):
    group = named_group(name)
    w = torch.randn(
        20_000, group.order, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    score = fourier_score(w, group)
    assert score.score.mean() == pytest.approx(mean, abs=0.004)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_null_law_of_shares(name, dtype):
    group = named_group(name)
    w = torch.randn(20_000, group.order, dtype=dtype, generator=torch.Generator().manual_seed(0))
    score = fourier_score(w, group)
    assert np.abs(score.fractions.mean(axis=0) - score.null_mean).max() < 0.005
    spread = score.fractions.std(axis=0)
    assert np.abs(spread / score.null_std - 1).max() < 0.03
    assert score.null_mean.sum() == pytest.approx(1.0)
    sizes = [c.size for c in isotypic_components(group, real=dtype is torch.float64)]
    assert sum(sizes) == group.order
    # p is uniform under the null: a Kolmogorov distance of 1.63 / sqrt(rows) has p = .01.
    ordered = np.sort(score.p, axis=0)
    uniform = np.arange(1, len(w) + 1)[:, None] / len(w)
    assert np.abs(ordered - uniform).max() < 2.2 / math.sqrt(len(w))
